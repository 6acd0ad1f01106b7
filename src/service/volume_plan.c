/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume_plan.h"

#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

/* Longer chains are refused rather than followed. */
static gboolean is_raw(const CstVolDef *def)
{
    return !def->format || strcmp(def->format, "raw") == 0;
}

gboolean volume_flags_fit(const CstVolDef *def, unsigned flags, GError **error)
{
    if (is_raw(def) && (flags & CST_VOL_CREATE_PREALLOC_METADATA))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("metadata preallocation is not supported for raw volumes"));
    return TRUE;
}

static gboolean refuse_raw_extras(const CstVolDef *def, unsigned flags, GError **error)
{
    if (!volume_flags_fit(def, flags, error))
        return FALSE;
    if (def->backing)
        return cst_fail(error, CST_ERROR_NO_SUPPORT,
                        _("backing storage not supported for raw volumes"));
    return TRUE;
}

static gboolean check_backing(const CstVolDef *def, unsigned flags, GError **error)
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

/*
 * The caller's word, or what libvirt makes of <allocation>: a raw volume reserves its space when
 * the allocation covers the capacity, and so does one whose metadata is to be preallocated.
 */
static CstPreallocation preallocation(const CstVolDef *def, unsigned flags, gboolean raw)
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

static gboolean refuse_format(const char *name, GError **error)
{
    g_autoptr(GString) can = g_string_new(NULL);

    for (const CstImageFormat *const *format = cst_image_formats(); *format; format++)
        if (cst_image_format_can_create(*format))
            g_string_append_printf(can, "%s%s", can->len ? ", " : "",
                                   cst_image_format_name(*format));
    return cst_fail(error, CST_ERROR_CONFIG,
                    _("volumes of format '%s' can't be created; those of these formats can: %s"),
                    name, can->str);
}

const CstImageFormat *volume_format(const char *name, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(name, NULL);

    if (format && cst_image_format_can_create(format))
        return format;
    refuse_format(name, error);
    return NULL;
}

gboolean volume_copy_options(const char *format, const char *text,
                             const CstImageFormat **ret_format, CstImageOptions *ret_options,
                             GError **error)
{
    *ret_format = volume_format(format, error);
    return *ret_format &&
           cst_image_options_parse(ret_options, *ret_format, text ? text : "", error) &&
           cst_image_options_for_copy(ret_options, error);
}

static gboolean plan_image(const CstVolDef *def, unsigned flags, VolumePlan *plan, GError **error)
{
    gboolean raw = is_raw(def);

    plan->format = volume_format(def->format ? def->format : "raw", error);
    if (!plan->format)
        return FALSE;
    if (def->encryption)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("encrypted volumes can't be created by this version; create the volume "
                          "without <encryption>"));
    if (raw ? !refuse_raw_extras(def, flags, error) : !check_backing(def, flags, error))
        return FALSE;
    if (def->lazy_refcounts && g_strcmp0(def->compat, "0.10") == 0)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("lazy_refcounts not supported with compat level %s"), def->compat);
    plan->options = (CstImageCreate){
        .capacity = def->capacity,
        .file_name = def->name,
        .preallocation = preallocation(def, flags, raw),
        .backing = def->backing ? def->backing->path : NULL,
        .backing_format = def->backing ? def->backing->format : NULL,
        .compat = def->compat,
        .cluster_size = def->cluster_size,
        .lazy_refcounts = def->lazy_refcounts,
        .extended_l2 = def->extended_l2,
    };
    return TRUE;
}

gboolean volume_plan(const CstVolDef *def, unsigned flags, VolumePlan *ret_plan, GError **error)
{
    if (def->type != CST_VOL_DIR)
        return plan_image(def, flags, ret_plan, error);
    if (def->backing)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("backing storage not supported for directories volumes"));
    return TRUE;
}

/* --- reading a volume's content --------------------------------------------------------------- */

CstBlob *volume_open_part(const VolumeClaim *claim, const char *name, gboolean writable,
                          GError **error)
{
    return cst_name_check(name, _("volume"), error)
               ? cst_pool_state_vol_open(claim->state, name, writable, error)
               : NULL;
}

static CstBlob *part_open(const char *name, gboolean writable, gpointer data, GError **error)
{
    return volume_open_part(data, name, writable, error);
}

CstImage *volume_open_image(const VolumeClaim *claim, const CstVolume *volume, unsigned flags,
                            GError **error)
{
    gboolean writable = (flags & CST_IMAGE_WRITE) != 0;
    const CstImageFiles files = {.open = part_open, .data = (gpointer)claim};
    const CstImageOpen how = {.flags = flags, .files = &files};
    const CstImageFormat *format = cst_image_format_find(volume->format, error);
    g_autoptr(CstBlob) blob = NULL;

    if (!format)
        return NULL;
    blob = cst_pool_state_vol_open(claim->state, volume->name, writable, error);
    return blob ? cst_image_open_as(blob, format, &how, error) : NULL;
}
