/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images from any source. References in an image are reported and never opened: backing image, data
 * file, external extents. An import copies the content of one file, so an image with content in
 * other files is refused.
 */
#include "disk.h"

#include <inttypes.h>

#include <base/i18n.h>
#include <base/text.h>
#include <base/units.h>
#include <base/url.h>
#include <blob/tail.h>

#include "kind.h"

#define VHD_FOOTER UINT64_C(512) /* bytes at the end of the file */
#define LAST_MAX   (2 * CST_MIB) /* bytes that may be missing in a file's last cluster */

static gboolean refuse_reference(const char *name, const char *what, const char *file,
                                 GError **error)
{
    g_autofree char *plain = cst_reference_shown(file), *shown = cst_text_escape(plain);

    return cst_fail(error, CST_ERROR_DENIED,
                    _("'%s' is not all there is: it refers to %s '%s', which is not followed; "
                      "convert it to one file first"),
                    name, what, shown);
}

static gboolean check_references(CstBlob *blob, const char *name, const CstImageInfo *info,
                                 GError **error)
{
    g_autoptr(GPtrArray) parts = NULL;
    g_autoptr(GError) unread = NULL;

    if (info->backing)
        return refuse_reference(name, _("the backing image"), info->backing, error);
    if (info->data_file)
        return refuse_reference(name, _("the data file"), info->data_file, error);
    /* Ignore a read error: cst_image_open() then fails too, and opens no other file. */
    parts = cst_image_inspect_parts(blob, info->format, &unread);
    for (guint i = 0; parts && i < parts->len; i++) {
        const CstImagePart *part = parts->pdata[i];

        if (part->file)
            return refuse_reference(name, _("the extent"), part->file, error);
    }
    return TRUE;
}

/*
 * Refuses larger sectors, because a volume does not record the sector size, and a guest finds no
 * partitions with another size.
 */
static gboolean import_check_sector_size(const ImportContext *context, const char *name,
                                         const CstImageInfo *info, GError **error)
{
    if (info->sector_size <= CST_SECTOR_SIZE)
        return TRUE;
    if (!context->how->drop_sector_size)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("cannot import '%s': its sectors have %u bytes, which the volume would "
                          "not record, so a guest would find no partitions; say "
                          "--drop-sector-size, and give its <disk> element "
                          "<blockio logical_block_size='%u'/>"),
                        name, info->sector_size, info->sector_size);
    import_note(context,
                _("the sectors of '%s' have %u bytes, which the volume does not record; its guest "
                  "needs <blockio logical_block_size='%u'/> in the <disk> element"),
                name, info->sector_size, info->sector_size);
    return TRUE;
}

static gboolean import_check_info(const ImportContext *context, CstBlob *blob, const char *name,
                                  const CstImageInfo *info, GError **error)
{
    const char *format = cst_image_format_name(info->format);
    g_autofree char *problem = NULL;

    if (!check_references(blob, name, info, error))
        return FALSE;
    if (info->encryption || cst_image_format_is_container(info->format))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' (%s) is encrypted; to have it as it is, give --source-format raw"),
                        name, format);
    if (info->corrupt) {
        problem = cst_text_escape(info->problem ? info->problem : "");
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' (%s) is damaged: %s"), name, format,
                        problem);
    }
    if (!cst_image_format_can_open(info->format))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' has the format %s, which is not read"), name, format);
    if (info->snapshots > 0)
        import_note(context, _("'%s' has %u snapshots, which are left out"), name, info->snapshots);
    return import_check_sector_size(context, name, info, error) &&
           import_check_size(context, info->capacity, name, error);
}

/*
 * Fails if the metadata are inconsistent, or refer to data after the end of the file. In a
 * truncated file such data would read as zeroes. The last cluster in use may be incomplete.
 */
static gboolean import_check_complete(const ImportContext *context, CstBlob *blob, const char *name,
                                      const CstImageInfo *info, uint64_t size, GError **error)
{
    g_autoptr(GError) unchecked = NULL;
    CstImageCheck check = {0};

    if (!cst_image_check(blob, info->format, 0, &check, context->task, &unchecked)) {
        if (cst_error_code(unchecked) == CST_ERROR_UNSUPPORTED)
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&unchecked));
        return FALSE;
    }
    if (check.errors > 0)
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("'%s' (%s) is damaged: its metadata have %" PRIu64
                          " errors; image-check tells which"),
                        name, cst_image_format_name(info->format), check.errors);
    if (check.image_end >= size + CLAMP(info->cluster_size, 1, LAST_MAX))
        return cst_fail(
            error, CST_ERROR_CORRUPT,
            _("'%s' (%s) is cut off: it should have %" PRIu64 " bytes, and has %" PRIu64), name,
            cst_image_format_name(info->format), check.image_end, size);
    return TRUE;
}

/*
 * Returns whether the file was recognised as a fixed VHD: a raw disk with a footer. The engine has
 * checked that the footer's size equals the number of bytes before it.
 */
static gboolean is_fixed_vhd(const CstImageInfo *info)
{
    return info->format == cst_image_format_find("vpc", NULL) && !info->problem &&
           g_strcmp0(info->subformat, "fixed") == 0;
}

/*
 * Opens the bytes before the footer. The size in the footer is used, as in Hyper-V and Azure, and
 * not the geometry, which may be smaller.
 */
static CstBlob *open_fixed_vhd(const ImportContext *context, CstBlob *blob, const char *name,
                               uint64_t size, const CstImageInfo *info,
                               const CstImageFormat **ret_format, GError **error)
{
    if (!import_check_size(context, size - VHD_FOOTER, name, error))
        return NULL;
    *ret_format = info->format;
    return cst_blob_slice(blob, 0, size - VHD_FOOTER, name);
}

CstBlob *import_disk_open(const ImportContext *context, const char *name, CstBlob *blob,
                          const CstImageFormat **ret_format, GError **error)
{
    const CstImageFormat *format = NULL;
    g_auto(CstImageInfo) info = {0};
    g_autoptr(CstImage) image = NULL;
    uint64_t size;

    if (!cst_blob_get_size(blob, &size, error))
        return NULL;
    if (size == 0) {
        cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is empty"), name);
        return NULL;
    }
    if (context->how->format) {
        format = cst_image_format_find(context->how->format, error);
        if (!format)
            return NULL;
    }
    if (!cst_image_inspect(blob, format, &info, error))
        return NULL;
    if (!format && is_fixed_vhd(&info))
        return open_fixed_vhd(context, blob, name, size, &info, ret_format, error);
    if (!format && cst_image_format_is_plain(info.format) &&
        !import_check_is_disk(blob, name, error))
        return NULL;
    if (!import_check_info(context, blob, name, &info, error) ||
        !import_check_complete(context, blob, name, &info, size, error))
        return NULL;
    image = cst_image_open(blob, info.format, 0, NULL, error);
    /* Check the capacity of the open image, because the inspected value may be rounded. */
    if (!image || !import_check_size(context, cst_image_capacity(image), name, error))
        return NULL;
    *ret_format = info.format;
    return cst_image_guest_blob(g_steal_pointer(&image));
}
