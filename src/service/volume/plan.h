/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/options.h>
#include <model/vol_def.h>
#include <pool/pool.h>

/**
 * Parses the document of a new volume of @state's type of pool. @create_flags: CstVolCreateFlags;
 * @parse_flags: CST_VOL_PARSE_… in addition. The caller frees it.
 */
CstVolDef *volume_parse(const char *xml, const CstPoolState *state, unsigned create_flags,
                        unsigned parse_flags, GError **error);

/** What a new volume is to be: its definition as parameters of the image engine. */
typedef struct {
    const CstImageFormat *format; /* NULL: a directory volume */
    CstImageCreate options;       /* strings belong to the definition */
} VolumePlan;

/**
 * Plans the volume, or refuses what can't be made in libvirt's words. @flags: CstVolCreateFlags
 * that fit @def. The plan borrows from @def.
 */
gboolean volume_plan(const CstVolDef *def, unsigned flags, VolumePlan *ret_plan, GError **error);

/**
 * Checks what a definition says of the format of its base @path, which has the format @have: fills
 * *format in when nothing was said; CONFIG when it contradicts the base's own.
 */
gboolean volume_base_format(const char *have, const char *path, char **format, GError **error);

/**
 * Parses the format of a copy and its options @text ("name=value,…"; NULL: none). CONFIG, naming
 * those that can be created, when images of that format can't be. The caller clears *ret_options.
 */
gboolean volume_copy_options(const char *format, const char *text,
                             const CstImageFormat **ret_format, CstImageOptions *ret_options,
                             GError **error);

/** Whether the definition names raw, or no format. */
gboolean volume_is_raw(const CstVolDef *def);

/** Fails with CONFIG when @flags ask for what the format of @def does not have. */
gboolean volume_flags_fit(const CstVolDef *def, unsigned flags, GError **error);

/** Whether a new image with these options takes space for each byte of its capacity. */
static inline gboolean image_takes_all_space(const CstImageCreate *options)
{
    return options->preallocation == CST_PREALLOC_FALLOC ||
           options->preallocation == CST_PREALLOC_FULL;
}
