/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checked dispatcher of blobs.
 *
 * Every call checks access mode, range and capability before it calls an implementation, and
 * asserts the implementation's side of the contract afterwards: a failure has set an error, an
 * extent is neither empty nor longer than asked for. cst_blob_zero() and cst_blob_discard() are the
 * only calls with a fallback: zeroes are written out, a discard is skipped.
 *
 * Nothing here takes a lock. The reference count is atomic; all other state belongs to the
 * implementation.
 */
#include <blob/blob.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#define ZERO_CHUNK (1 * CST_MIB) /* one write of zeroes */

void cst_blob_init(CstBlob *blob, const CstBlobOps *ops, const char *name, gboolean writable)
{
    g_assert(ops->pread && ops->get_size && ops->close);
    blob->ops = ops;
    blob->name = g_strdup(name);
    blob->writable = writable;
    blob->refs = 1;
}

CstBlob *cst_blob_ref(CstBlob *blob)
{
    g_atomic_int_inc(&blob->refs);
    return blob;
}

void cst_blob_unref(CstBlob *blob)
{
    char *name;

    if (!blob || !g_atomic_int_dec_and_test(&blob->refs))
        return;
    name = blob->name;
    blob->ops->close(blob);
    g_free(name);
}

/* A failure without an error would crash much later, in a caller that reads error->message. */
static gboolean result(gboolean ok, GError **error)
{
    g_assert(ok || !error || *error);
    return ok;
}

static gboolean unsupported(CstBlob *blob, const char *what, GError **error)
{
    return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' cannot %s"), blob->name, what);
}

static gboolean check_writable(CstBlob *blob, GError **error)
{
    if (!blob->writable)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("'%s' is open for reading only"), blob->name);
    return TRUE;
}

static gboolean check_range(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    uint64_t size = 0;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (offset > size || length > size - offset)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("range %" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT
                          " is outside of '%s' (%" G_GUINT64_FORMAT " bytes)"),
                        offset, length, blob->name, size);
    return TRUE;
}

gboolean cst_blob_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    return result(blob->ops->get_size(blob, ret_size, error), error);
}

gboolean cst_blob_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    if (!check_range(blob, offset, len, error))
        return FALSE;
    return len == 0 || result(blob->ops->pread(blob, buf, len, offset, error), error);
}

gboolean cst_blob_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                         GError **error)
{
    if (!check_writable(blob, error))
        return FALSE;
    if (!blob->ops->pwrite)
        return unsupported(blob, _("be written to"), error);
    if (offset > G_MAXINT64 || len > G_MAXINT64 - offset)
        return cst_fail(error, CST_ERROR_INVALID, _("write to '%s' is out of range"), blob->name);
    return len == 0 || result(blob->ops->pwrite(blob, buf, len, offset, error), error);
}

gboolean cst_blob_flush(CstBlob *blob, GError **error)
{
    if (!blob->writable || !blob->ops->flush)
        return TRUE;
    return result(blob->ops->flush(blob, error), error);
}

gboolean cst_blob_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                         GError **error)
{
    CstExtent extent = {offset, length, CST_EXTENT_DATA};

    if (!check_range(blob, offset, length, error))
        return FALSE;
    if (length > 0 && blob->ops->extent) {
        if (!result(blob->ops->extent(blob, offset, length, &extent, error), error))
            return FALSE;
        g_assert(extent.offset == offset && extent.length > 0 && extent.length <= length);
    }
    *ret_extent = extent;
    return TRUE;
}

static gboolean write_zeroes(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    static const uint8_t zeroes[ZERO_CHUNK];

    while (length > 0) {
        size_t n = (size_t)MIN(length, sizeof(zeroes));

        if (!cst_blob_pwrite(blob, zeroes, n, offset, error))
            return FALSE;
        offset += n;
        length -= n;
    }
    return TRUE;
}

gboolean cst_blob_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                       GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!check_writable(blob, error) || !check_range(blob, offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    if (blob->ops->zero) {
        if (result(blob->ops->zero(blob, offset, length, flags, &why), &why))
            return TRUE;
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
    }
    if (flags & CST_ZERO_FAST)
        return unsupported(blob, _("be zeroed without writing"), error);
    return write_zeroes(blob, offset, length, error);
}

gboolean cst_blob_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!check_writable(blob, error) || !check_range(blob, offset, length, error))
        return FALSE;
    if (length == 0 || !blob->ops->discard)
        return TRUE;
    if (result(blob->ops->discard(blob, offset, length, &why), &why) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean cst_blob_allocate(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    if (!check_writable(blob, error) || !check_range(blob, offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    if (!blob->ops->allocate)
        return unsupported(blob, _("reserve space"), error);
    return result(blob->ops->allocate(blob, offset, length, error), error);
}

gboolean cst_blob_resize(CstBlob *blob, uint64_t size, GError **error)
{
    if (!check_writable(blob, error))
        return FALSE;
    if (!blob->ops->resize)
        return unsupported(blob, _("change its size"), error);
    if (size > G_MAXINT64)
        return cst_fail(error, CST_ERROR_INVALID, _("size of '%s' is out of range"), blob->name);
    return result(blob->ops->resize(blob, size, error), error);
}

gboolean cst_blob_locate(CstBlob *blob, uint64_t offset, uint64_t length,
                         CstBlobLocation *ret_location, GError **error)
{
    CstBlobLocation location = {blob, offset, length};

    if (!check_range(blob, offset, length, error))
        return FALSE;
    while (location.blob && location.length > 0 && location.blob->ops->locate) {
        uint64_t wanted = location.length;

        if (!result(location.blob->ops->locate(location.blob, location.offset, wanted, &location,
                                               error),
                    error))
            return FALSE;
        g_assert(location.length > 0 && location.length <= wanted);
    }
    *ret_location = location;
    return TRUE;
}

uint64_t cst_blob_share_unit(CstBlob *blob)
{
    return blob->ops->share_unit ? blob->ops->share_unit(blob) : 0;
}

gboolean cst_blob_share(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                        uint64_t length, GError **error)
{
    if (!check_writable(dst, error) || !check_range(src, src_offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    if (dst->ops->take_shared)
        return result(dst->ops->take_shared(dst, dst_offset, src, src_offset, length, error),
                      error);
    if (src->ops->copy_range && dst->ops->share_unit)
        return result(src->ops->copy_range(src, src_offset, dst, dst_offset, length, TRUE, error),
                      error);
    return unsupported(dst, _("share data"), error);
}

gboolean cst_bytes_are_zero(const void *buf, size_t len)
{
    const uint8_t *bytes = buf;

    /*
     * When the first 16 bytes are zero and each byte equals the one 16 bytes before it, all are
     * zero. The second condition is one memcmp() of the buffer with itself, shifted, which is
     * faster than a loop over words.
     */
    if (len <= 16) {
        for (size_t i = 0; i < len; i++)
            if (bytes[i] != 0)
                return FALSE;
        return TRUE;
    }
    return cst_bytes_are_zero(buf, 16) && memcmp(bytes, bytes + 16, len - 16) == 0;
}
