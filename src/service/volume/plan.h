/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/options.h>
#include <model/vol_def.h>
#include <pool/pool.h>

/** The definition of a new volume; CstVolCreateFlags, and CST_VOL_PARSE_… more. */
CstVolDef *volume_parse(const char *xml, const CstPoolState *state, unsigned create_flags,
                        unsigned parse_flags, GError **error);

/** What a new volume is to be: its definition turned into the image engine's words. */
typedef struct {
    const CstImageFormat *format; /* NULL: a directory volume */
    CstImageCreate options;       /* strings belong to the definition */
} VolumePlan;

/** Refuses what can't be made, in libvirt's words. @flags: CstVolCreateFlags. */
gboolean volume_plan(const CstVolDef *def, unsigned flags, VolumePlan *ret_plan, GError **error);

/**
 * What an overlay says of the format of @base, which its definition calls @path: *format is filled
 * in when nothing was said; CONFIG when it contradicts the base's own.
 */
gboolean volume_base_format(const CstVolume *base, const char *path, char **format, GError **error);

/**
 * The format of a copy, with @text ("name=value,…"; NULL: none) as its options. CONFIG, naming
 * those that there are, when images of that format can't be made.
 */
gboolean volume_copy_options(const char *format, const char *text,
                             const CstImageFormat **ret_format, CstImageOptions *ret_options,
                             GError **error);

/** The definition names raw, or no format. */
gboolean volume_is_raw(const CstVolDef *def);

/** CONFIG when @flags ask for what the format of @def has not. */
gboolean volume_flags_fit(const CstVolDef *def, unsigned flags, GError **error);
