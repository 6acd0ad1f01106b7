/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The guest's view of an opened image as a blob, and the way from the blob to the image. blob.c
 * checks ranges, traces each call and turns a missing operation into an error. The functions here
 * add the rules of the image: writes end at the capacity, and shared data is in whole units of the
 * format. A plain format (raw, iso) has no separate view, because its guest's bytes are the bytes
 * of the file. The physical blob is returned instead, so that copies between such images can share
 * extents.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "format.h"

typedef struct {
    CstBlob head;
    CstImage *image;
} CstGuestBlob;

static CstImage *image_of(CstBlob *blob)
{
    return ((CstGuestBlob *)blob)->image;
}

static gboolean guest_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    CstImage *image = image_of(blob);

    return image->format->pread(image, buf, len, offset, error);
}

static gboolean guest_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = image_of(blob)->capacity;
    return TRUE;
}

static void guest_close(CstBlob *blob)
{
    cst_image_free(image_of(blob));
    g_free(blob);
}

static gboolean guest_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                             GError **error)
{
    CstImage *image = image_of(blob);

    if (offset > image->capacity || len > image->capacity - offset)
        return cst_fail(error, CST_ERROR_INVALID, _("cannot write past the end of '%s'"),
                        blob->name);
    return image->format->pwrite(image, buf, len, offset, error);
}

static gboolean guest_flush(CstBlob *blob, GError **error)
{
    return cst_image_flush(image_of(blob), error);
}

static gboolean guest_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                             GError **error)
{
    CstImage *image = image_of(blob);

    return image->format->extent(image, offset, length, ret_extent, error);
}

static gboolean guest_locate(CstBlob *blob, uint64_t offset, uint64_t length,
                             CstBlobLocation *ret_location, GError **error)
{
    CstImage *image = image_of(blob);

    if (image->format->locate)
        return image->format->locate(image, offset, length, ret_location, error);
    *ret_location = (CstBlobLocation){NULL, 0, length};
    return TRUE;
}

static uint64_t guest_share_unit(CstBlob *blob)
{
    CstImage *image = image_of(blob);

    return image->writable && image->format->share_unit ? image->format->share_unit(image) : 0;
}

static gboolean guest_take_shared(CstBlob *blob, uint64_t offset, CstBlob *src, uint64_t src_offset,
                                  uint64_t length, GError **error)
{
    CstImage *image = image_of(blob);
    uint64_t unit = guest_share_unit(blob);

    if (unit == 0 || (offset | length) & (unit - 1) || offset > image->capacity ||
        length > image->capacity - offset)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' cannot share data"), blob->name);
    return image->format->take_shared(image, offset, src, src_offset, length, error);
}

static gboolean guest_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                           GError **error)
{
    CstImage *image = image_of(blob);

    return image->format->zero(image, offset, length, flags, error);
}

static gboolean guest_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    CstImage *image = image_of(blob);

    return image->format->discard(image, offset, length, error);
}

static const CstBlobOps guest_ops = {
    .kind = "guest",
    .pread = guest_pread,
    .get_size = guest_get_size,
    .close = guest_close,
    .pwrite = guest_pwrite,
    .flush = guest_flush,
    .extent = guest_extent,
    .share_unit = guest_share_unit,
    .locate = guest_locate,
    .take_shared = guest_take_shared,
    .zero = guest_zero,
    .discard = guest_discard,
};

CstImage *cst_guest_image(CstBlob *blob)
{
    return blob->ops == &guest_ops ? image_of(blob) : NULL;
}

CstImage *cst_guest_image_of(CstBlob *blob, const CstImageFormat *format)
{
    CstImage *image = blob ? cst_guest_image(blob) : NULL;

    return image && image->format == format ? image : NULL;
}

unsigned cst_guest_sector_size(CstBlob *guest)
{
    CstImage *image = cst_guest_image(guest);

    return image ? cst_image_sector_size(image) : CST_SECTOR_SIZE;
}

CstBlob *cst_image_guest_blob(CstImage *image)
{
    CstGuestBlob *guest;

    if (image->format->is_plain) {
        CstBlob *blob = cst_blob_ref(image->blob);

        cst_image_free(image);
        return blob;
    }
    guest = g_new0(CstGuestBlob, 1);
    cst_blob_init(&guest->head, &guest_ops, image->blob->name, image->writable);
    guest->image = image;
    return &guest->head;
}
