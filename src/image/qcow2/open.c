/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Opens and closes images. The header is checked completely before a table is read. The L1 table is
 * read at once, the refcount table only for writing. L2 tables and refcount blocks are read through
 * the caches on demand. Opening for reading writes no data; opening for writing repairs an image
 * that was not closed cleanly.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "qcow2.h"
#include "state.h"

static gboolean check_openable(const CstBlob *blob, const CstImageInfo *info,
                               const Qcow2Header *header, const CstImageOpen *how, GError **error)
{
    gboolean writable = (how->flags & CST_IMAGE_WRITE) != 0;

    if (info->corrupt && !(header->incompatible & QCOW2_INCOMPAT_CORRUPT))
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' can't be opened: %s"), blob->name,
                        info->problem);
    if (info->problem && !info->corrupt)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' can't be opened: %s"), blob->name,
                        info->problem);
    if (info->data_file && !(how->flags & CST_IMAGE_NO_DATA) && !(how->files && how->files->open))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' keeps its data in the external file '%s', which was not allowed"),
                        blob->name, info->data_file);
    if (writable && (header->incompatible & QCOW2_INCOMPAT_CORRUPT))
        return cst_fail(error, CST_ERROR_STATE,
                        _("'%s' is marked as corrupt: it can only be read until it is repaired"),
                        blob->name);
    return TRUE;
}

/*
 * Repairs an image with lazy refcounts that was not closed cleanly before the first write, as QEMU
 * does. The repair clears the mark "dirty".
 */
static gboolean qcow2_repair(const CstImageFormat *format, CstBlob *blob, GError **error)
{
    CstImageCheck check = {0};

    if (!cst_image_check(blob, format, CST_CHECK_REPAIR_ALL | QCOW2_CHECK_UNASKED, &check, NULL,
                         error)) {
        g_prefix_error(error, _("'%s' was not closed cleanly: "), blob->name);
        return FALSE;
    }
    if (check.errors > check.errors_fixed)
        return cst_fail(error, CST_ERROR_STATE,
                        _("'%s' was not closed cleanly, and not all of its damage could be "
                          "repaired: it can only be read"),
                        blob->name);
    return TRUE;
}

/* Reads and checks the header. *ret_data_file is the name of the external data file; NULL: the
 * guest's data is in the image. */
static gboolean read_header(CstBlob *blob, const CstImageOpen *how, Qcow2Header *ret_header,
                            gboolean *ret_wants_backing, char **ret_data_file, GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    CstInspection inspection;
    gboolean sound;

    if (!cst_inspection_init(&inspection, blob, head, &info, error))
        return FALSE;
    sound = qcow2_header_read(&inspection, ret_header);
    if (!cst_inspection_ok(&inspection, error))
        return FALSE;
    if (!sound)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' can't be opened: %s"), blob->name,
                        info.problem);
    if (!check_openable(blob, &info, ret_header, how, error))
        return FALSE;
    *ret_wants_backing = info.backing != NULL;
    *ret_data_file = g_steal_pointer(&info.data_file);
    return TRUE;
}

static gboolean read_clean_header(const CstImageFormat *format, CstBlob *blob,
                                  const CstImageOpen *how, Qcow2Header *ret_header,
                                  gboolean *ret_wants_backing, char **ret_data_file, GError **error)
{
    if (!read_header(blob, how, ret_header, ret_wants_backing, ret_data_file, error))
        return FALSE;
    if (!(how->flags & CST_IMAGE_WRITE) || !(ret_header->incompatible & QCOW2_INCOMPAT_DIRTY))
        return TRUE;
    g_clear_pointer(ret_data_file, g_free);
    return qcow2_repair(format, blob, error) &&
           read_header(blob, how, ret_header, ret_wants_backing, ret_data_file, error);
}

static gboolean open_data(Qcow2 *q, const char *data_file, const CstImageOpen *how, GError **error)
{
    q->lacks_data = data_file && (how->flags & CST_IMAGE_NO_DATA);
    if (q->lacks_data && (how->flags & CST_IMAGE_WRITE))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' can't be changed without its data file"),
                        q->blocks.blob->name);
    if (!data_file || q->lacks_data)
        return TRUE;
    q->data =
        how->files->open(data_file, (how->flags & CST_IMAGE_WRITE) != 0, how->files->data, error);
    if (!q->data)
        return FALSE;
    q->blocks.data = q->data;
    return TRUE;
}

CstImage *qcow2_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                     GError **error)
{
    gboolean writable = (how->flags & CST_IMAGE_WRITE) != 0, wants_backing = FALSE;
    g_autofree char *data_file = NULL;
    Qcow2Header header = {0};
    Qcow2 *q;

    if (!read_clean_header(format, blob, how, &header, &wants_backing, &data_file, error))
        return NULL;
    if (how->backing && !wants_backing && !(how->flags & CST_IMAGE_SAME_CONTENT)) {
        cst_fail(error, CST_ERROR_INVALID, _("'%s' has no backing image"), blob->name);
        return NULL;
    }
    q = qcow2_state_new(blob, &header, how, error);
    if (!q)
        return NULL;
    q->blocks.lacks_backing = wants_backing && !how->backing;
    q->same_content = (how->flags & CST_IMAGE_SAME_CONTENT) != 0;
    if (!open_data(q, data_file, how, error) || !qcow2_state_read_tables(q, writable, error) ||
        (how->snapshot && !qcow2_snapshot_show(q, how->snapshot, error))) {
        qcow2_state_free(q);
        return NULL;
    }
    return &q->blocks.image;
}

void qcow2_close(CstImage *image)
{
    Qcow2 *q = qcow2_of(image);

    /* a caller that needs the result has called qcow2_flush() before */
    if (image->writable)
        qcow2_write_back(q, NULL);
    qcow2_state_free(q);
}
