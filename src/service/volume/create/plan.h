/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/options.h>
#include <model/vol_def.h>
#include <pool/pool.h>

/**
 * Parses the document of a new volume for @state's type of pool. @create_flags: CstVolCreateFlags;
 * @parse_flags: further CST_VOL_PARSE_… flags. The caller frees the result.
 */
CstVolDef *volume_parse(const char *xml, const CstPoolState *state, unsigned create_flags,
                        unsigned parse_flags, GError **error);

/** The parameters of a new volume for the image engine. */
typedef struct {
    const CstImageFormat *format; /* NULL: a directory volume */
    CstImageCreate options;       /* strings belong to the definition */
} VolumePlan;

/**
 * Plans the volume, or rejects an unsupported definition with libvirt's message. @flags:
 * CstVolCreateFlags that fit @def. The plan borrows from @def.
 */
gboolean volume_plan(const CstVolDef *def, unsigned flags, VolumePlan *ret_plan, GError **error);

/**
 * Checks the format that a definition states for its base @path, which has the format @have. Sets
 * *format if it is NULL. CONFIG if it differs from the base's format.
 */
gboolean volume_base_format(const char *have, const char *path, char **format, GError **error);

/**
 * Parses the format of a copy and its options @text ("name=value,…"; NULL: defaults). CONFIG,
 * naming the creatable formats, if the format cannot be created. The caller clears *ret_options.
 */
gboolean volume_copy_options(const char *format, const char *text,
                             const CstImageFormat **ret_format, CstImageOptions *ret_options,
                             GError **error);

/** Returns whether the definition's format is raw or missing. */
gboolean volume_is_raw(const CstVolDef *def);

/** Fails with CONFIG if @flags request a feature that the format of @def does not have. */
gboolean volume_flags_fit(const CstVolDef *def, unsigned flags, GError **error);

/** Returns whether a new image with these options allocates its whole capacity. */
static inline gboolean image_takes_all_space(const CstImageCreate *options)
{
    return options->preallocation == CST_PREALLOC_FALLOC ||
           options->preallocation == CST_PREALLOC_FULL;
}
