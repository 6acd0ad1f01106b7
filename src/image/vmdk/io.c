/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads and writes of the guest, split at the borders of the extents, which a binary search finds.
 * Every change begins with vmdk_begin_writing(). The array of extents changes only during a resize
 * of the image, when no other thread uses it. So the search needs no lock; each extent has its own.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "vmdk.h"

static VmdkExtent *extent_at(const Vmdk *vmdk, uint64_t offset)
{
    guint low = 0, high = vmdk->extents->len;

    while (high - low > 1) {
        guint middle = low + (high - low) / 2;

        if (vmdk_extent(vmdk, middle)->start <= offset)
            low = middle;
        else
            high = middle;
    }
    return vmdk_extent(vmdk, low);
}

static uint64_t extent_piece(const VmdkExtent *extent, uint64_t offset, uint64_t length)
{
    return MIN(length, extent->start + extent->length - offset);
}

static gboolean check_readable(const Vmdk *vmdk, const VmdkExtent *extent, GError **error)
{
    return extent->access != VMDK_NOACCESS ||
           cst_fail(error, CST_ERROR_DENIED, _("an extent of '%s' can't be accessed"),
                    vmdk->blob->name);
}

static gboolean check_writable(const Vmdk *vmdk, const VmdkExtent *extent, GError **error)
{
    return (extent->access == VMDK_RW && extent->ops->pwrite) ||
           cst_fail(error, CST_ERROR_READ_ONLY, _("an extent of '%s' can't be written to"),
                    vmdk->blob->name);
}

gboolean vmdk_pread(CstImage *image, void *buf, size_t len, uint64_t offset, GError **error)
{
    uint8_t *at = buf;

    while (len > 0) {
        VmdkExtent *extent = extent_at(vmdk_of(image), offset);
        size_t n = (size_t)extent_piece(extent, offset, len);

        if (!check_readable(vmdk_of(image), extent, error) ||
            !extent->ops->pread(extent, at, n, offset - extent->start, error))
            return FALSE;
        at += n;
        offset += n;
        len -= n;
    }
    return TRUE;
}

gboolean vmdk_guest_extent(CstImage *image, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                           GError **error)
{
    VmdkExtent *extent = extent_at(vmdk_of(image), offset);

    if (!check_readable(vmdk_of(image), extent, error) ||
        !extent->ops->extent(extent, offset - extent->start, extent_piece(extent, offset, length),
                             ret_extent, error))
        return FALSE;
    ret_extent->offset = offset;
    return TRUE;
}

gboolean vmdk_locate(CstImage *image, uint64_t offset, uint64_t length,
                     CstBlobLocation *ret_location, GError **error)
{
    VmdkExtent *extent = extent_at(vmdk_of(image), offset);
    uint64_t n = extent_piece(extent, offset, length);

    *ret_location = (CstBlobLocation){NULL, 0, n};
    return !extent->ops->locate ||
           (check_readable(vmdk_of(image), extent, error) &&
            extent->ops->locate(extent, offset - extent->start, n, ret_location, error));
}

gboolean vmdk_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset, GError **error)
{
    const uint8_t *at = buf;

    while (len > 0) {
        VmdkExtent *extent = extent_at(vmdk_of(image), offset);
        size_t n = (size_t)extent_piece(extent, offset, len);

        if (!check_writable(vmdk_of(image), extent, error) ||
            !vmdk_begin_writing(vmdk_of(image), error) ||
            !extent->ops->pwrite(extent, at, n, offset - extent->start, error))
            return FALSE;
        at += n;
        offset += n;
        len -= n;
    }
    return TRUE;
}

gboolean vmdk_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                   GError **error)
{
    while (length > 0) {
        VmdkExtent *extent = extent_at(vmdk_of(image), offset);
        uint64_t n = extent_piece(extent, offset, length);

        if (!check_writable(vmdk_of(image), extent, error) ||
            !vmdk_begin_writing(vmdk_of(image), error) ||
            !extent->ops->zero(extent, offset - extent->start, n, flags, error))
            return FALSE;
        offset += n;
        length -= n;
    }
    return TRUE;
}

gboolean vmdk_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error)
{
    while (length > 0) {
        VmdkExtent *extent = extent_at(vmdk_of(image), offset);
        uint64_t n = extent_piece(extent, offset, length);

        if (!check_writable(vmdk_of(image), extent, error) ||
            !vmdk_begin_writing(vmdk_of(image), error) ||
            !extent->ops->discard(extent, offset - extent->start, n, error))
            return FALSE;
        offset += n;
        length -= n;
    }
    return TRUE;
}

gboolean vmdk_flush(CstImage *image, GError **error)
{
    Vmdk *vmdk = vmdk_of(image);

    for (guint i = 0; i < vmdk->extents->len; i++) {
        VmdkExtent *extent = vmdk_extent(vmdk, i);

        if (extent->ops->flush && extent->access == VMDK_RW && !extent->ops->flush(extent, error))
            return FALSE;
    }
    return cst_blob_flush(vmdk->blob, error);
}
