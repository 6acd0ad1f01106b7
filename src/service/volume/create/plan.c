/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Converts a volume's definition to parameters of the image engine. Rejects unsupported definitions
 * with libvirt's messages. Opens no files. The strings of a plan belong to the definition.
 */
#include "plan.h"

#include <string.h>

#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>

/*
 * As in libvirt, a volume of format "dir" is a directory, independently of the type in the
 * document. Files that documents call "network" are files here.
 */
CstVolDef *volume_parse(const char *xml, const CstPoolState *state, unsigned create_flags,
                        unsigned parse_flags, GError **error)
{
    unsigned flags =
        parse_flags | (create_flags & CST_VOL_CREATE_VALIDATE ? CST_VOL_PARSE_VALIDATE : 0);
    CstVolDef *def = cst_vol_def_parse(xml, state->def->type, flags, error);

    if (def && g_strcmp0(def->format, "dir") == 0)
        def->type = CST_VOL_DIR;
    else if (def && cst_pool_type_info(state->def->type)->url_scheme)
        def->type = cst_pool_new_volume_type(state->def->type);
    return def;
}

/* As in libvirt, a volume without a format is raw. */
static gboolean vol_def_is_plain(const CstVolDef *def)
{
    return !def->format || cst_image_name_is_plain(def->format);
}

gboolean volume_is_raw(const CstVolDef *def)
{
    const CstImageFormat *format = def->format ? cst_image_format_find(def->format, NULL) : NULL;

    return !def->format || (format && cst_image_format_is_raw(format));
}

/*
 * Returns whether the format is plain bytes with their own structure, such as an ISO. It is created
 * as a raw image, and declared.
 */
static gboolean is_medium(const CstVolDef *def)
{
    return vol_def_is_plain(def) && !volume_is_raw(def);
}

/* Also called for copies, which plan no image. */
gboolean volume_flags_fit(const CstVolDef *def, unsigned flags, GError **error)
{
    if (!(flags & CST_VOL_CREATE_PREALLOC_METADATA) || !vol_def_is_plain(def))
        return TRUE;
    return cst_fail(error, CST_ERROR_CONFIG,
                    is_medium(def) ? _("metadata preallocation only available with qcow2")
                                   : _("metadata preallocation is not supported for raw volumes"));
}

/* Rejects a backing file for plain bytes. */
static gboolean refuse_raw_backing(const CstVolDef *def, GError **error)
{
    if (!def->backing)
        return TRUE;
    if (is_medium(def))
        return cst_fail(error, CST_ERROR_CONFIG, _("cannot set backing store for raw volume"));
    return cst_fail(error, CST_ERROR_NO_SUPPORT,
                    _("backing storage not supported for raw volumes"));
}

/* As in libvirt, an overlay cannot be preallocated (CONFIG). */
static gboolean plan_check_backing(const CstVolDef *def, unsigned flags, GError **error)
{
    if (!def->backing)
        return TRUE;
    if (flags & (CST_VOL_CREATE_PREALLOC_FLAGS & ~CST_VOL_CREATE_PREALLOC_OFF))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("metadata preallocation conflicts with backing store"));
    if (!def->backing->format)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("the backing store '%s' needs a <format>: guessing it from its content "
                          "would trust the guest"),
                        def->backing->path);
    return TRUE;
}

/* Compares the formats of the engine, because documents have several names for some formats. */
gboolean volume_base_format(const char *have, const char *path, char **format, GError **error)
{
    const CstImageFormat *said = *format ? cst_image_format_find(*format, NULL) : NULL;

    if (!*format)
        *format = g_strdup(have);
    else if (said != cst_image_format_find(have, NULL))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("the backing store '%s' is %s, not %s: the guest would see other bytes "
                          "than are meant; leave the format out, or name the right one"),
                        path, have, *format);
    return TRUE;
}

/*
 * Returns the preallocation in the flags, or else libvirt's interpretation of <allocation>: a raw
 * volume reserves its space if the allocation covers the capacity. So does a volume with
 * preallocated metadata.
 */
static CstPreallocation plan_preallocation(const CstVolDef *def, unsigned flags, gboolean raw)
{
    gboolean covered = def->allocation >= def->capacity && def->capacity > 0;

    if (flags & CST_VOL_CREATE_PREALLOC_OFF)
        return CST_PREALLOC_OFF;
    if (flags & CST_VOL_CREATE_PREALLOC_FULL)
        return CST_PREALLOC_FULL;
    if (flags & CST_VOL_CREATE_PREALLOC_FALLOC)
        return CST_PREALLOC_FALLOC;
    if (flags & CST_VOL_CREATE_PREALLOC_METADATA)
        return covered ? CST_PREALLOC_FALLOC : CST_PREALLOC_METADATA;
    return raw && covered ? CST_PREALLOC_FALLOC : CST_PREALLOC_OFF;
}

/*
 * Fails with CONFIG and the names of the formats that can be created. @more: names of formats
 * outside of the engine; NULL: no such formats.
 */
static gboolean refuse_format(const char *name, const char *more, GError **error)
{
    g_autoptr(GString) can = g_string_new(NULL);

    for (const CstImageFormat *const *format = cst_image_formats(); *format; format++)
        if (cst_image_format_can_create(*format))
            g_string_append_printf(can, "%s%s", can->len ? ", " : "",
                                   cst_image_format_name(*format));
    if (more)
        g_string_append_printf(can, ", %s", more);
    return cst_fail(error, CST_ERROR_CONFIG,
                    _("volumes of format '%s' cannot be created; possible formats are: %s"), name,
                    can->str);
}

/* Returns a format that can be created. Returns NULL with CONFIG, naming the creatable formats. */
static const CstImageFormat *plan_find_format(const char *name, const char *more, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(name, NULL);

    if (format && cst_image_format_can_create(format))
        return format;
    refuse_format(name, more, error);
    return NULL;
}

gboolean volume_copy_options(const char *format, const char *text,
                             const CstImageFormat **ret_format, CstImageOptions *ret_options,
                             GError **error)
{
    *ret_format = plan_find_format(format, NULL, error);
    return *ret_format &&
           cst_image_options_parse(ret_options, *ret_format, text ? text : "", error) &&
           cst_image_options_for_copy(ret_options, error);
}

static gboolean vol_plan_image(const CstVolDef *def, unsigned flags, VolumePlan *plan,
                               GError **error)
{
    gboolean plain = vol_def_is_plain(def);

    if (g_strcmp0(def->format, "ploop") == 0)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("a new volume of format 'ploop' is a directory that the tool 'ploop' "
                          "makes, which is not used here; format 'parallels' makes one image "
                          "file of that kind"));
    plan->format = plan_find_format(plain ? "raw" : def->format, "iso, dir", error);
    if (!plan->format)
        return FALSE;
    if (def->encryption)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("encrypted volumes can't be created by this version; create the volume "
                          "without <encryption>"));
    if (plain ? !refuse_raw_backing(def, error) : !plan_check_backing(def, flags, error))
        return FALSE;
    if (def->lazy_refcounts && g_strcmp0(def->compat, "0.10") == 0)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("lazy_refcounts not supported with compat level %s"), def->compat);
    plan->options = (CstImageCreate){
        .capacity = def->capacity,
        .file_name = def->name,
        .preallocation = plan_preallocation(def, flags, volume_is_raw(def)),
        .backing = def->backing ? def->backing->path : NULL,
        .backing_format = def->backing ? def->backing->format : NULL,
        .compat = def->compat,
        .cluster_size = def->cluster_size,
        .lazy_refcounts = def->lazy_refcounts,
        .extended_l2 = def->extended_l2,
    };
    return TRUE;
}

/* A directory supports neither preallocation nor a backing store. Its plan is empty. */
gboolean volume_plan(const CstVolDef *def, unsigned flags, VolumePlan *ret_plan, GError **error)
{
    if (def->type != CST_VOL_DIR)
        return vol_plan_image(def, flags, ret_plan, error);
    if (!cst_flags_check(flags & CST_VOL_CREATE_PREALLOC_FLAGS, 0, "createFileDir", error))
        return FALSE;
    if (def->backing)
        return cst_fail(error, CST_ERROR_NO_SUPPORT,
                        _("backing storage not supported for directories volumes"));
    return TRUE;
}
