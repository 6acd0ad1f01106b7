/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes the bitmaps extension of the header, and marks bitmaps as in use.
 *
 * Extensions are multiples of 8 bytes long, so an aligned group of 8 bytes never crosses a sector,
 * and a sector is written atomically. An extension within one sector changes with one write,
 * together with the disk's size if the extension is in the header's first sector. Otherwise the
 * autoclear bit, which makes the extension valid, is cleared first and set again last, with a
 * barrier after each write. A power cut in between leaves an image without bitmaps, never one with
 * wrong bitmaps.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "bitmapdir.h"
#include "bytes.h"
#include "qcow2/header/head.h"

#define EXT_HEAD  8u
#define EXT_BYTES 32u /* with its head */

static gboolean bitmap_bytes_put(Qcow2 *q, uint64_t offset, const void *data, size_t len,
                                 GError **error)
{
    return cst_blob_pwrite(q->blocks.blob, data, len, offset, error) && qcow2_barrier(q, error);
}

static gboolean put_autoclear(Qcow2 *q, uint64_t value, GError **error)
{
    uint8_t raw[8];

    cst_put_be64(raw, value);
    if (!bitmap_bytes_put(q, QCOW2_AT_AUTOCLEAR, raw, sizeof(raw), error))
        return FALSE;
    q->header.autoclear = value;
    return TRUE;
}

static void extension_encode(uint8_t *raw, uint32_t count, uint64_t offset, uint64_t bytes)
{
    cst_put_be32(raw, QCOW2_EXT_BITMAPS);
    cst_put_be32(raw + 4, EXT_BYTES - 8);
    cst_put_be32(raw + 8, count);
    cst_put_be32(raw + 12, 0);
    cst_put_be64(raw + 16, bytes);
    cst_put_be64(raw + 24, offset);
}

/* Writes the extension. It is not valid yet, because the autoclear bit is cleared. */
static gboolean extension_place(Qcow2 *q, Qcow2Head *head, const uint8_t *ext, uint64_t size,
                                GError **error)
{
    const Qcow2HeadExtension *old = qcow2_head_find(head, QCOW2_EXT_BITMAPS);

    if (old)
        return bitmap_bytes_put(q, old->at, ext, EXT_BYTES, error);
    head->header = q->header;
    head->header.size = size;
    qcow2_head_set(head, QCOW2_EXT_BITMAPS, ext + EXT_HEAD, EXT_BYTES - EXT_HEAD);
    return qcow2_head_write(head, error);
}

/* Invalidates the bitmaps and turns the extension into a filler, which every reader skips. */
static gboolean take_away(Qcow2 *q, const Qcow2Head *head, GError **error)
{
    const Qcow2HeadExtension *old = qcow2_head_find(head, QCOW2_EXT_BITMAPS);
    uint8_t raw[EXT_HEAD];

    if (!put_autoclear(q, q->header.autoclear & ~(uint64_t)QCOW2_AUTOCLEAR_BITMAPS, error))
        return FALSE;
    if (!old)
        return TRUE;
    cst_put_be32(raw, QCOW2_EXT_FILLER);
    cst_put_be32(raw + 4, EXT_BYTES - EXT_HEAD);
    return bitmap_bytes_put(q, old->at, raw, sizeof(raw), error);
}

static gboolean is_in_one_sector(uint64_t offset, uint64_t len)
{
    return offset / QCOW2_SECTOR == (offset + len - 1) / QCOW2_SECTOR;
}

static gboolean put_size(Qcow2 *q, uint64_t size, GError **error)
{
    uint8_t raw[8];

    cst_put_be64(raw, size);
    return size == q->header.size || bitmap_bytes_put(q, QCOW2_AT_SIZE, raw, sizeof(raw), error);
}

/* Writes size and extension, which are both in the first sector. The bytes between them are
 * rewritten unchanged. */
static gboolean put_both(Qcow2 *q, const Qcow2Head *head, uint64_t at, const uint8_t *ext,
                         uint64_t size, GError **error)
{
    cst_put_be64(head->raw + QCOW2_AT_SIZE, size);
    memcpy(head->raw + at, ext, EXT_BYTES);
    return bitmap_bytes_put(q, QCOW2_AT_SIZE, head->raw + QCOW2_AT_SIZE,
                            at + EXT_BYTES - QCOW2_AT_SIZE, error);
}

static gboolean switch_to(Qcow2 *q, Qcow2Head *head, const uint8_t *ext, uint64_t size,
                          GError **error)
{
    const Qcow2HeadExtension *old = qcow2_head_find(head, QCOW2_EXT_BITMAPS);
    uint64_t bit = QCOW2_AUTOCLEAR_BITMAPS;

    /* The extension's head does not change. In headers that QEMU wrote, only the head is in the
     * first sector. */
    if (qcow2_bitmaps_are_valid(q) && old && size == q->header.size &&
        is_in_one_sector(old->at + EXT_HEAD, EXT_BYTES - EXT_HEAD))
        return bitmap_bytes_put(q, old->at + EXT_HEAD, ext + EXT_HEAD, EXT_BYTES - EXT_HEAD, error);
    if (qcow2_bitmaps_are_valid(q) && old && old->at + EXT_BYTES <= QCOW2_SECTOR)
        return put_both(q, head, old->at, ext, size, error);
    return (!(q->header.autoclear & bit) || put_autoclear(q, q->header.autoclear & ~bit, error)) &&
           put_size(q, size, error) && extension_place(q, head, ext, size, error) &&
           put_autoclear(q, q->header.autoclear | bit, error);
}

/* Returns whether the header had no room for the change. The header is unwritten then. */
static gboolean was_refused(const GError *error)
{
    return g_error_matches(error, CST_ERROR, CST_ERROR_LIMIT) ||
           g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED);
}

gboolean qcow2_bitmaps_switch(Qcow2 *q, uint32_t count, uint64_t offset, uint64_t bytes,
                              uint64_t size, GError **error)
{
    g_auto(Qcow2Head) head = {0};
    uint8_t ext[EXT_BYTES];
    GError *why = NULL;

    extension_encode(ext, count, offset, bytes);
    if (!qcow2_sync(q, error) || !qcow2_barrier(q, error) || !qcow2_head_read(&head, q, error))
        return FALSE;
    if (!(count ? switch_to(q, &head, ext, size, &why)
                : take_away(q, &head, &why) && put_size(q, size, &why))) {
        /* after a failed write the disk may refer to either directory */
        q->lost = !was_refused(why);
        q->writing = FALSE;
        g_propagate_error(error, why);
        return FALSE;
    }
    q->header.has_bitmaps = count > 0;
    q->header.bitmaps = count;
    q->header.bitmaps_offset = offset;
    q->header.bitmaps_bytes = bytes;
    q->header.size = size;
    q->writing = FALSE; /* so that the next write marks the new bitmaps as in use */
    return TRUE;
}

/* --- marking as in use --------------------------------------------------------------------- */

gboolean qcow2_bitmaps_outdate(Qcow2 *q, gboolean all, GError **error)
{
    uint64_t left = q->header.autoclear & ~(uint64_t)QCOW2_AUTOCLEAR_BITMAPS;
    g_autoptr(GArray) bitmaps = NULL;
    GError *why = NULL;
    gboolean changed = FALSE;

    if (!qcow2_bitmaps_are_valid(q))
        return left == q->header.autoclear || put_autoclear(q, left, error);
    bitmaps = qcow2_bitmaps_read(q, &why);
    if (!bitmaps && g_error_matches(why, CST_ERROR, CST_ERROR_CORRUPT)) {
        g_error_free(why);
        return put_autoclear(q, left, error);
    }
    if (!bitmaps) {
        g_propagate_error(error, why);
        return FALSE;
    }
    for (guint i = 0; i < bitmaps->len; i++) {
        const Qcow2Bitmap *bitmap = &g_array_index(bitmaps, Qcow2Bitmap, i);
        uint8_t raw[4];

        if (!(all || (bitmap->flags & QCOW2_BITMAP_AUTO)) || (bitmap->flags & QCOW2_BITMAP_IN_USE))
            continue;
        cst_put_be32(raw, bitmap->flags | QCOW2_BITMAP_IN_USE);
        changed = TRUE;
        if (!cst_blob_pwrite(q->blocks.blob, raw, sizeof(raw),
                             q->header.bitmaps_offset + bitmap->at + 12, error))
            return FALSE;
    }
    return !changed || qcow2_barrier(q, error);
}
