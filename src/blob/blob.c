/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checked dispatcher of blobs, the only place that calls through a CstBlobOps.
 *
 * Every call checks access mode, range and capability before it calls an implementation. Afterwards
 * it verifies the implementation's part of the contract: a failed call has set an error, and a
 * successful one has not; an extent is neither empty nor longer than the request. A breach is an
 * INTERNAL error that names the kind of blob and the slot, never an abort. cst_blob_zero() and
 * cst_blob_discard() are the only calls with a fallback: zeroes are written, a discard is skipped.
 *
 * With debug on, each call is logged when it ends: kind and slot, name, range, duration and result.
 * get_size and share_unit are not logged, because every range check calls them.
 *
 * This file takes no lock. The reference count is atomic; all other state belongs to the
 * implementation.
 */
#include <blob/blob.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <base/call.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#define ZERO_CHUNK (1 * CST_MIB) /* length of one write of zeroes */

void cst_blob_init(CstBlob *blob, const CstBlobOps *ops, const char *name, gboolean writable)
{
    g_assert(ops->pread && ops->get_size && ops->close);
    blob->ops = ops;
    blob->name = g_strdup(name);
    blob->writable = writable;
    blob->refs = 1;
}

/* --- one call ------------------------------------------------------------------------------- */

static CstCall call_begin(const CstBlob *blob, const char *slot, uint64_t offset, uint64_t length)
{
    return (CstCall){.kind = blob->ops->kind,
                     .noun = "blob",
                     .slot = slot,
                     .object = blob->name,
                     .has_range = TRUE,
                     .offset = offset,
                     .length = length,
                     .began = cst_call_now()};
}

/* Calls blob->ops->SLOT(blob, …, error), checked and traced. */
#define CALL(blob, slot, offset, length, error, ...)                         \
    ({                                                                       \
        CstCall call_ = call_begin(blob, #slot, offset, length);             \
        gboolean done_ = cst_call_enter(&call_, (blob)->liveness) &&         \
                         (blob)->ops->slot(blob, ##__VA_ARGS__, &call_.why); \
                                                                             \
        cst_call_end(&call_, done_, error);                                  \
    })

void cst_blob_set_liveness(CstBlob *blob, CstLiveness *liveness)
{
    cst_liveness_unref(blob->liveness);
    blob->liveness = cst_liveness_ref(liveness);
}

/* --- references ----------------------------------------------------------------------------- */

CstBlob *cst_blob_ref(CstBlob *blob)
{
    g_atomic_int_inc(&blob->refs);
    return blob;
}

void cst_blob_unref(CstBlob *blob)
{
    g_autofree char *name = NULL;
    CstLiveness *liveness;
    CstCall call;

    if (!blob || !g_atomic_int_dec_and_test(&blob->refs))
        return;
    /* close() frees the struct, but the log needs the name. */
    name = blob->name;
    liveness = blob->liveness;
    call = call_begin(blob, "close", 0, 0);
    blob->ops->close(blob);
    cst_call_trace(&call, TRUE);
    cst_liveness_unref(liveness);
}

/* --- checks --------------------------------------------------------------------------------- */

static gboolean blob_unsupported(CstBlob *blob, const char *what, GError **error)
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
                        _("range %" PRIu64 "+%" PRIu64 " is outside of '%s' (%" PRIu64 " bytes)"),
                        offset, length, blob->name, size);
    return TRUE;
}

/* --- calls ---------------------------------------------------------------------------------- */

gboolean cst_blob_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    GError *why = NULL;
    gboolean done;
    CstCall call;

    if (blob->liveness)
        return CALL(blob, get_size, 0, 0, error, ret_size);
    done = blob->ops->get_size(blob, ret_size, &why);
    if (done && !why)
        return TRUE;
    call = call_begin(blob, "get_size", 0, 0);
    call.why = why;
    return cst_call_end(&call, done, error);
}

gboolean cst_blob_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    if (!check_range(blob, offset, len, error))
        return FALSE;
    return len == 0 || CALL(blob, pread, offset, len, error, buf, len, offset);
}

gboolean cst_blob_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                         GError **error)
{
    if (!check_writable(blob, error))
        return FALSE;
    if (!blob->ops->pwrite)
        return blob_unsupported(blob, _("be written to"), error);
    /* A write may go past the end, but the kernel's offsets are signed. */
    if (offset > G_MAXINT64 || len > G_MAXINT64 - offset)
        return cst_fail(error, CST_ERROR_INVALID, _("write to '%s' is out of range"), blob->name);
    return len == 0 || CALL(blob, pwrite, offset, len, error, buf, len, offset);
}

gboolean cst_blob_flush(CstBlob *blob, GError **error)
{
    /* A blob without a flush callback is not persistent, so the flush does nothing. */
    if (!blob->writable || !blob->ops->flush)
        return TRUE;
    return CALL(blob, flush, 0, 0, error);
}

gboolean cst_blob_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                         GError **error)
{
    CstExtent extent = {offset, length, CST_EXTENT_DATA};

    if (!check_range(blob, offset, length, error))
        return FALSE;
    if (length > 0 && blob->ops->extent) {
        /* Built in place, because a copy doubled the time of block status. */
        CstCall call = call_begin(blob, "extent", offset, length);
        gboolean done = cst_call_enter(&call, blob->liveness) &&
                        blob->ops->extent(blob, offset, length, &extent, &call.why);

        if (done && (extent.offset != offset || extent.length == 0 || extent.length > length))
            return cst_call_broken(&call, "returned a run that is not the range's", error);
        if (!cst_call_end(&call, done, error))
            return FALSE;
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
        if (CALL(blob, zero, offset, length, &why, offset, length, flags))
            return TRUE;
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
    }
    if (flags & CST_ZERO_FAST)
        return blob_unsupported(blob, _("be zeroed without writing"), error);
    return write_zeroes(blob, offset, length, error);
}

gboolean cst_blob_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!check_writable(blob, error) || !check_range(blob, offset, length, error))
        return FALSE;
    if (length == 0 || !blob->ops->discard)
        return TRUE;
    if (CALL(blob, discard, offset, length, &why, offset, length) ||
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
        return blob_unsupported(blob, _("reserve space"), error);
    return CALL(blob, allocate, offset, length, error, offset, length);
}

gboolean cst_blob_pad_image(CstBlob *blob, GError **error)
{
    const uint64_t unit = blob->ops->image_unit;
    uint64_t size = 0;

    if (unit == 0 || !blob->writable)
        return TRUE;
    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    return size % unit == 0 || cst_blob_resize(blob, size + unit - size % unit, error);
}

int cst_blob_node_fd(CstBlob *blob)
{
    return blob->ops->node_fd ? blob->ops->node_fd(blob) : -1;
}

/* Uses errno instead of an error, like fcntl(2), because a held lock is a normal answer. */
int cst_blob_lock(CstBlob *blob, int command, struct flock *lock)
{
    CstLivenessCall call;
    int result = -1;

    if (!blob->ops->lock) {
        errno = EOPNOTSUPP;
    } else if (!cst_liveness_enter(blob->liveness, &call, NULL)) {
        errno = EIO;
    } else {
        result = blob->ops->lock(blob, command, lock);
        cst_liveness_leave(blob->liveness, &call);
    }
    return result;
}

gboolean cst_blob_can_resize(CstBlob *blob)
{
    return blob->ops->resize != NULL;
}

gboolean cst_blob_resize(CstBlob *blob, uint64_t size, GError **error)
{
    if (!check_writable(blob, error))
        return FALSE;
    if (!blob->ops->resize)
        return blob_unsupported(blob, _("change its size"), error);
    if (size > G_MAXINT64)
        return cst_fail(error, CST_ERROR_INVALID, _("size of '%s' is out of range"), blob->name);
    return CALL(blob, resize, 0, size, error, size);
}

/* Moves @location one layer down, to the blob below. */
static gboolean locate_below(CstBlobLocation *location, GError **error)
{
    CstBlobLocation from = *location;
    CstCall call = call_begin(from.blob, "locate", from.offset, from.length);
    gboolean done =
        from.blob->ops->locate(from.blob, from.offset, from.length, location, &call.why);

    if (done && (location->length == 0 || location->length > from.length))
        return cst_call_broken(&call, "returned a location that is not the range's", error);
    return cst_call_end(&call, done, error);
}

gboolean cst_blob_locate(CstBlob *blob, uint64_t offset, uint64_t length,
                         CstBlobLocation *ret_location, GError **error)
{
    CstBlobLocation location = {blob, offset, length};

    if (!check_range(blob, offset, length, error))
        return FALSE;
    while (location.blob && location.length > 0 && location.blob->ops->locate)
        if (!locate_below(&location, error))
            return FALSE;
    *ret_location = location;
    return TRUE;
}

uint64_t cst_blob_share_unit(CstBlob *blob)
{
    return blob->ops->share_unit ? blob->ops->share_unit(blob) : 0;
}

gboolean cst_blob_copy_range(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                             uint64_t length, gboolean share_only, GError **error)
{
    if (!check_writable(dst, error) || !check_range(src, src_offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    if (!src->ops->copy_range)
        return blob_unsupported(src, _("be copied by the kernel"), error);
    return CALL(src, copy_range, src_offset, length, error, src_offset, dst, dst_offset, length,
                share_only);
}

gboolean cst_blob_share(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                        uint64_t length, GError **error)
{
    if (!check_writable(dst, error) || !check_range(src, src_offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    if (dst->ops->take_shared)
        return CALL(dst, take_shared, dst_offset, length, error, dst_offset, src, src_offset,
                    length);
    if (dst->ops->share_unit)
        return cst_blob_copy_range(src, src_offset, dst, dst_offset, length, TRUE, error);
    return blob_unsupported(dst, _("share data"), error);
}

/* --- zeroes --------------------------------------------------------------------------------- */

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
