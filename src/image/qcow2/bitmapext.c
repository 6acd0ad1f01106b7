/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "bitmapdir.h"
#include "bytes.h"

/*
 * The bitmaps extension of the header. Extensions follow each other up to an end mark; all of them
 * are multiples of 8 bytes long, so that 8 bytes never cross a sector and are written whole or not
 * at all. What can't be written that way goes between clearing and setting the autoclear bit, which
 * says whether the extension counts.
 */
#define EXT_BYTES 32u /* with its own 8 bytes */

typedef struct {
    uint8_t *raw;
    uint64_t room;    /* bytes that extensions may use: up to the backing file's name */
    uint64_t end;     /* the end mark */
    uint64_t bitmaps; /* the extension; 0: not there */
    uint64_t filler;  /* one that is large enough; 0: none */
} Area;

static void area_clear(Area *area)
{
    g_clear_pointer(&area->raw, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Area, area_clear)

/* The header has been checked at opening: extensions lie inside of the area. */
static gboolean read_area(Qcow2 *q, Area *area, GError **error)
{
    uint64_t size = 0, bytes = MIN(q->cluster_size, QCOW2_HEADER_AREA), at = q->header.length;

    if (!cst_blob_get_size(q->blob, &size, error))
        return FALSE;
    area->raw = g_malloc0(bytes);
    if (!cst_blob_pread(q->blob, area->raw, MIN(bytes, size), 0, error))
        return FALSE;
    area->room = q->header.backing_offset ? MIN(q->header.backing_offset, bytes) : bytes;
    while (at + 8 <= area->room && cst_be32(area->raw + at) != QCOW2_EXT_END) {
        uint32_t type = cst_be32(area->raw + at), len = cst_be32(area->raw + at + 4);

        if (len > area->room - at - 8)
            return qcow2_corrupt(q, error, _("a header extension is too long"));
        if (type == QCOW2_EXT_BITMAPS)
            area->bitmaps = at;
        if (type == QCOW2_EXT_FILLER && len == EXT_BYTES - 8)
            area->filler = at;
        at += 8 + (len + UINT64_C(7)) / 8 * 8;
    }
    area->end = at;
    return TRUE;
}

static gboolean put(Qcow2 *q, uint64_t offset, const void *data, size_t len, GError **error)
{
    return cst_blob_pwrite(q->blob, data, len, offset, error) && qcow2_barrier(q, error);
}

static gboolean put_autoclear(Qcow2 *q, uint64_t value, GError **error)
{
    uint8_t raw[8];

    cst_put_be64(raw, value);
    if (!put(q, QCOW2_AT_AUTOCLEAR, raw, sizeof(raw), error))
        return FALSE;
    q->header.autoclear = value;
    return TRUE;
}

static void encode(uint8_t *raw, uint32_t count, uint64_t offset, uint64_t bytes)
{
    cst_put_be32(raw, QCOW2_EXT_BITMAPS);
    cst_put_be32(raw + 4, EXT_BYTES - 8);
    cst_put_be32(raw + 8, count);
    cst_put_be32(raw + 12, 0);
    cst_put_be64(raw + 16, bytes);
    cst_put_be64(raw + 24, offset);
}

/* The name moves out of the way: a copy first, then the header's pointer to it. */
static gboolean move_backing_name(Qcow2 *q, const Area *area, uint64_t needed, GError **error)
{
    const Qcow2Header *header = &q->header;
    uint64_t to = (MAX(header->backing_offset + header->backing_size, needed) + 7) / 8 * 8;
    uint8_t raw[8];

    if (to + header->backing_size > MIN(q->cluster_size, QCOW2_HEADER_AREA))
        return cst_fail(error, CST_ERROR_LIMIT, _("the header of '%s' has no room for bitmaps"),
                        q->blob->name);
    cst_put_be64(raw, to);
    if (!put(q, to, area->raw + header->backing_offset, header->backing_size, error) ||
        !put(q, QCOW2_AT_BACKING_OFFSET, raw, sizeof(raw), error))
        return FALSE;
    q->header.backing_offset = to;
    return TRUE;
}

/* At the end mark: what comes behind it first, and a new mark; then the 8 bytes become a head. */
static gboolean append(Qcow2 *q, Area *area, const uint8_t *ext, GError **error)
{
    uint64_t needed = area->end + EXT_BYTES + 8;
    uint8_t behind[EXT_BYTES] = {0};

    if (needed > area->room) {
        if (!q->header.backing_offset)
            return cst_fail(error, CST_ERROR_LIMIT, _("the header of '%s' has no room for bitmaps"),
                            q->blob->name);
        if (!move_backing_name(q, area, needed, error))
            return FALSE;
    }
    memcpy(behind, ext + 8, EXT_BYTES - 8);
    return put(q, area->end + 8, behind, sizeof(behind), error) && put(q, area->end, ext, 8, error);
}

/* The extension is there, but does not count yet. */
static gboolean place(Qcow2 *q, Area *area, const uint8_t *ext, GError **error)
{
    uint64_t at = area->bitmaps ? area->bitmaps : area->filler;

    return at ? put(q, at, ext, EXT_BYTES, error) : append(q, area, ext, error);
}

static gboolean take_away(Qcow2 *q, const Area *area, GError **error)
{
    uint8_t head[8] = {0};

    if (!put_autoclear(q, q->header.autoclear & ~(uint64_t)QCOW2_AUTOCLEAR_BITMAPS, error))
        return FALSE;
    if (!area->bitmaps)
        return TRUE;
    if (area->bitmaps + EXT_BYTES != area->end) {
        cst_put_be32(head, QCOW2_EXT_FILLER);
        cst_put_be32(head + 4, EXT_BYTES - 8);
    }
    return put(q, area->bitmaps, head, sizeof(head), error);
}

static gboolean is_in_one_sector(uint64_t offset, uint64_t len)
{
    return offset / QCOW2_SECTOR == (offset + len - 1) / QCOW2_SECTOR;
}

static gboolean put_size(Qcow2 *q, uint64_t size, GError **error)
{
    uint8_t raw[8];

    cst_put_be64(raw, size);
    return size == q->header.size || put(q, QCOW2_AT_SIZE, raw, sizeof(raw), error);
}

/* Size and extension are both in the first sector: what lies between them stays as it is. */
static gboolean put_both(Qcow2 *q, Area *area, const uint8_t *ext, uint64_t size, GError **error)
{
    cst_put_be64(area->raw + QCOW2_AT_SIZE, size);
    memcpy(area->raw + area->bitmaps, ext, EXT_BYTES);
    return put(q, QCOW2_AT_SIZE, area->raw + QCOW2_AT_SIZE,
               area->bitmaps + EXT_BYTES - QCOW2_AT_SIZE, error);
}

static gboolean switch_to(Qcow2 *q, Area *area, const uint8_t *ext, uint64_t size, GError **error)
{
    uint64_t bit = QCOW2_AUTOCLEAR_BITMAPS;

    if (qcow2_bitmaps_are_valid(q) && size == q->header.size &&
        is_in_one_sector(area->bitmaps, EXT_BYTES))
        return put(q, area->bitmaps, ext, EXT_BYTES, error);
    if (qcow2_bitmaps_are_valid(q) && area->bitmaps + EXT_BYTES <= QCOW2_SECTOR)
        return put_both(q, area, ext, size, error);
    return (!(q->header.autoclear & bit) || put_autoclear(q, q->header.autoclear & ~bit, error)) &&
           put_size(q, size, error) && place(q, area, ext, error) &&
           put_autoclear(q, q->header.autoclear | bit, error);
}

gboolean qcow2_bitmaps_switch(Qcow2 *q, uint32_t count, uint64_t offset, uint64_t bytes,
                              uint64_t size, GError **error)
{
    g_auto(Area) area = {0};
    uint8_t ext[EXT_BYTES];
    GError *why = NULL;

    encode(ext, count, offset, bytes);
    if (!qcow2_sync(q, error) || !qcow2_barrier(q, error) || !read_area(q, &area, error))
        return FALSE;
    if (!(count ? switch_to(q, &area, ext, size, &why)
                : take_away(q, &area, &why) && put_size(q, size, &why))) {
        /* nobody knows which directory counts, unless nothing has been written */
        q->lost = !g_error_matches(why, CST_ERROR, CST_ERROR_LIMIT);
        q->writing = FALSE;
        g_propagate_error(error, why);
        return FALSE;
    }
    q->header.has_bitmaps = count > 0;
    q->header.bitmaps = count;
    q->header.bitmaps_offset = offset;
    q->header.bitmaps_bytes = bytes;
    q->header.size = size;
    q->writing = FALSE; /* the next write has to outdate the new ones */
    return TRUE;
}

/* --- outdating ----------------------------------------------------------------------------- */

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
        if (!cst_blob_pwrite(q->blob, raw, sizeof(raw), q->header.bitmaps_offset + bitmap->at + 12,
                             error))
            return FALSE;
    }
    return !changed || qcow2_barrier(q, error);
}
