/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Extents without metadata. A flat extent is plain bytes of a file ("Virtual Disk Format 5.0",
 * "Simple Extents"); its callbacks call the blob. An extent of type ZERO has no file. Their only
 * mutable state is the length, so they need no lock.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "space.h"
#include "vmdk.h"

typedef struct {
    VmdkExtent extent;
    uint64_t offset; /* in the file */
} Flat;

static Flat *flat_of(VmdkExtent *extent)
{
    return (Flat *)extent;
}

static gboolean flat_pread(VmdkExtent *extent, void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    return cst_blob_pread(extent->blob, buf, len, flat_of(extent)->offset + offset, error);
}

static gboolean flat_extent(VmdkExtent *extent, uint64_t offset, uint64_t length,
                            CstExtent *ret_extent, GError **error)
{
    if (!cst_blob_extent(extent->blob, flat_of(extent)->offset + offset, length, ret_extent, error))
        return FALSE;
    ret_extent->offset = offset;
    return TRUE;
}

static gboolean flat_locate(VmdkExtent *extent, uint64_t offset, uint64_t length,
                            CstBlobLocation *ret_location, GError **error)
{
    *ret_location = (CstBlobLocation){extent->blob, flat_of(extent)->offset + offset, length};
    return TRUE;
}

static gboolean flat_pwrite(VmdkExtent *extent, const void *buf, size_t len, uint64_t offset,
                            GError **error)
{
    return cst_blob_pwrite(extent->blob, buf, len, flat_of(extent)->offset + offset, error);
}

static gboolean flat_zero(VmdkExtent *extent, uint64_t offset, uint64_t length, unsigned flags,
                          GError **error)
{
    return cst_blob_zero(extent->blob, flat_of(extent)->offset + offset, length, flags, error);
}

static gboolean flat_discard(VmdkExtent *extent, uint64_t offset, uint64_t length, GError **error)
{
    return cst_blob_discard(extent->blob, flat_of(extent)->offset + offset, length, error);
}

static gboolean flat_flush(VmdkExtent *extent, GError **error)
{
    return cst_blob_flush(extent->blob, error);
}

static gboolean flat_write_back(VmdkExtent *extent, GError **error)
{
    return TRUE;
}

/*
 * The file may have data beyond the extent, for example from an interrupted resize. This data must
 * not become visible, so it is zeroed.
 */
static gboolean flat_grow(VmdkExtent *extent, uint64_t length, CstPreallocation preallocation,
                          CstTask *task, GError **error)
{
    uint64_t start = flat_of(extent)->offset, end = start + extent->length, size = 0;

    if (!cst_blob_get_size(extent->blob, &size, error))
        return FALSE;
    if (size > end && !cst_blob_zero(extent->blob, end, MIN(size, start + length) - end,
                                     CST_ZERO_MAY_UNMAP, error))
        return FALSE;
    if (size < start + length && !cst_blob_resize(extent->blob, start + length, error))
        return FALSE;
    return cst_space_preallocate(extent->blob, end, length - extent->length, preallocation, task,
                                 error);
}

static gboolean flat_resize(VmdkExtent *extent, uint64_t length, CstPreallocation preallocation,
                            CstTask *task, GError **error)
{
    gboolean ok = length > extent->length
                      ? flat_grow(extent, length, preallocation, task, error)
                      : cst_blob_resize(extent->blob, flat_of(extent)->offset + length, error);

    if (ok)
        extent->length = length;
    return ok;
}

static void flat_close(VmdkExtent *extent)
{
    cst_blob_unref(extent->blob);
    g_free(extent);
}

static const VmdkExtentOps flat_ops = {
    .pread = flat_pread,
    .extent = flat_extent,
    .locate = flat_locate,
    .pwrite = flat_pwrite,
    .zero = flat_zero,
    .discard = flat_discard,
    .flush = flat_flush,
    .write_back = flat_write_back,
    .resize = flat_resize,
    .close = flat_close,
};

VmdkExtent *vmdk_flat_new(CstBlob *blob, uint64_t offset, const VmdkExtentHow *how, GError **error)
{
    uint64_t size = 0;
    Flat *flat;

    if (!cst_blob_get_size(blob, &size, error)) {
        cst_blob_unref(blob);
        return NULL;
    }
    if (offset > size || how->length > size - offset) {
        cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is shorter than its VMDK descriptor says"),
                 blob->name);
        cst_blob_unref(blob);
        return NULL;
    }
    flat = g_new0(Flat, 1);
    flat->extent = (VmdkExtent){&flat_ops, blob, how->start, how->length, how->access};
    flat->offset = offset;
    return &flat->extent;
}

/* --- extents of type ZERO --------------------------------------------------------------------- */

static gboolean void_pread(VmdkExtent *extent, void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    memset(buf, 0, len);
    return TRUE;
}

static gboolean void_extent(VmdkExtent *extent, uint64_t offset, uint64_t length,
                            CstExtent *ret_extent, GError **error)
{
    *ret_extent = (CstExtent){offset, length, CST_EXTENT_HOLE | CST_EXTENT_ZERO};
    return TRUE;
}

static void void_close(VmdkExtent *extent)
{
    g_free(extent);
}

static const VmdkExtentOps void_ops = {
    .pread = void_pread,
    .extent = void_extent,
    .close = void_close,
};

VmdkExtent *vmdk_void_new(const VmdkExtentHow *how)
{
    VmdkExtent *extent = g_new0(VmdkExtent, 1);

    *extent = (VmdkExtent){&void_ops, NULL, how->start, how->length, how->access};
    return extent;
}
