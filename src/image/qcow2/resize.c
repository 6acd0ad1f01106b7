/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Changes the size of the disk. The caller prevents concurrent guest writes.
 *
 * Growing: the L1 table grows, the new bytes are made to read as zeroes and are preallocated if
 * requested, and the header's size is written last. Until then the image has its old size.
 * Shrinking: entries after the new end are removed and synced, then the size is written, then the
 * L1 table and the file are truncated. The size is written before the L1 table is truncated,
 * because a table that is too short for the size makes the image unusable. Bitmaps that depend on
 * the size change together with it (bitmapedit.h).
 */
#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "qcow2.h"
#include "qcow2/bitmap/bitmapedit.h"
#include "state.h"

/* --- growing ------------------------------------------------------------------------------- */

static gboolean write_l1(Qcow2 *q, const uint64_t *l1, uint64_t entries, uint64_t clusters,
                         uint64_t offset, GError **error)
{
    g_autofree uint8_t *raw = cst_alloc0(clusters, q->cluster_size, q->blocks.blob->name, error);

    if (!raw)
        return FALSE;
    for (uint64_t i = 0; i < entries; i++)
        cst_put_be64(raw + i * 8, l1[i]);
    return cst_blob_pwrite(q->blocks.blob, raw, clusters << q->cluster_bits, offset, error);
}

/* Writes offset and length of the L1 table to the header with one write inside one sector. */
static gboolean write_l1_place(Qcow2 *q, uint32_t entries, uint64_t offset, GError **error)
{
    uint8_t raw[12];

    cst_put_be32(raw, entries);
    cst_put_be64(raw + 4, offset);
    return cst_blob_pwrite(q->blocks.blob, raw, sizeof(raw), QCOW2_AT_L1_SIZE, error);
}

/* Lock held. The new table is complete on the disk before the header refers to it. */
static gboolean grow_l1(Qcow2 *q, uint64_t entries, GError **error)
{
    uint64_t old_clusters = cst_div_up((uint64_t)q->header.l1_size * 8, q->cluster_size);
    uint64_t clusters = cst_div_up(entries * 8, q->cluster_size);
    uint64_t offset = q->header.l1_offset, first = 0;
    g_autofree uint64_t *l1 = NULL;

    if (entries <= q->header.l1_size)
        return TRUE;
    l1 = cst_alloc0(entries, sizeof(*l1), q->blocks.blob->name, error);
    if (!l1)
        return FALSE;
    if (clusters > old_clusters) {
        if (!qcow2_alloc_region(q, clusters, &first, error))
            return FALSE;
        offset = first << q->cluster_bits;
    }
    memcpy(l1, q->l1, (size_t)q->header.l1_size * 8);
    if (!qcow2_sync(q, error) || !write_l1(q, l1, entries, clusters, offset, error) ||
        !qcow2_barrier(q, error) || !write_l1_place(q, (uint32_t)entries, offset, error))
        return FALSE;
    if (offset != q->header.l1_offset)
        qcow2_give_up(q, q->header.l1_offset >> q->cluster_bits, old_clusters);
    g_free(q->l1);
    q->l1 = g_steal_pointer(&l1);
    q->header.l1_size = (uint32_t)entries;
    q->header.l1_offset = offset;
    return TRUE;
}

static gboolean zero_range(Qcow2 *q, uint64_t offset, uint64_t end, GError **error)
{
    CstBlockClaim claim;
    gboolean ok;

    if (offset >= end || q->header.crypt != QCOW2_CRYPT_NONE)
        return TRUE;
    qcow2_claim(q, &claim, offset, end - offset);
    ok = qcow2_zero_claimed(q, offset, end - offset, CST_ZERO_MAY_UNMAP, error);
    qcow2_release(q, &claim);
    return ok;
}

/*
 * Makes new bytes read as zeroes. The rest of the old last cluster may hold any bytes, and a
 * backing image that is longer than the old size would show after it.
 */
static gboolean zero_new_bytes(Qcow2 *q, uint64_t old, uint64_t new, GError **error)
{
    uint64_t cluster_end = (old + q->cluster_size - 1) & ~(q->cluster_size - 1);
    uint64_t shown = q->blocks.lacks_backing ? new : q->blocks.backing ? q->blocks.backing_size : 0;

    return zero_range(q, old, MIN(new, cluster_end), error) &&
           zero_range(q, cluster_end, MIN(new, shown), error);
}

/* Writes the size to the header, together with the bitmaps if they changed. */
static gboolean write_size(Qcow2 *q, Qcow2BitmapEdit *bitmaps, uint64_t size, GError **error)
{
    uint8_t raw[8];
    gboolean ok;

    if (bitmaps->changed) {
        g_mutex_lock(&q->blocks.lock);
        ok = qcow2_bitmap_edit_commit(bitmaps, size, error);
        g_mutex_unlock(&q->blocks.lock);
        return ok && qcow2_write_back(q, error);
    }
    cst_put_be64(raw, size);
    if (!qcow2_write_back(q, error) || !qcow2_barrier(q, error) ||
        !cst_blob_pwrite(q->blocks.blob, raw, sizeof(raw), QCOW2_AT_SIZE, error))
        return FALSE;
    q->header.size = size;
    return TRUE;
}

/* Grows the data file. Zeroes its bytes past the old end of the disk, because they would show. */
static gboolean grow_data(Qcow2 *q, uint64_t capacity, GError **error)
{
    uint64_t old = q->blocks.image.capacity, size = 0;

    if (!q->data)
        return TRUE;
    if (!cst_blob_get_size(q->data, &size, error) ||
        (qcow2_is_raw(q) && size > old &&
         !cst_blob_zero(q->data, old, MIN(size, capacity) - old, CST_ZERO_MAY_UNMAP, error)))
        return FALSE;
    return size >= capacity || cst_blob_resize(q->data, capacity, error);
}

/* Truncates a raw data file, which has the size of the disk. A device keeps its size. */
static gboolean cut_data(Qcow2 *q, uint64_t capacity, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!qcow2_is_raw(q) || cst_blob_resize(q->data, capacity, &why) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean qcow2_grow(Qcow2 *q, Qcow2BitmapEdit *bitmaps, uint64_t capacity,
                           CstPreallocation preallocation, CstTask *task, GError **error)
{
    uint64_t old = q->blocks.image.capacity,
             entries = cst_div_up(capacity, qcow2_l1_span(&q->header));
    gboolean ok;

    if (entries > QCOW2_MAX_L1_BYTES / 8)
        return cst_fail(
            error, CST_ERROR_LIMIT,
            _("an image of clusters of %" PRIu64 " bytes can have at most %" PRIu64 " bytes"),
            q->cluster_size, QCOW2_MAX_L1_BYTES / 8 * qcow2_l1_span(&q->header));
    g_mutex_lock(&q->blocks.lock);
    ok = grow_l1(q, entries, error);
    g_mutex_unlock(&q->blocks.lock);
    if (!ok || !grow_data(q, capacity, error))
        return FALSE;
    if (qcow2_is_raw(q)) /* a raw data file needs a table entry for each cluster */
        preallocation = MAX(preallocation, CST_PREALLOC_METADATA);
    q->blocks.image.capacity = capacity;
    ok = zero_new_bytes(q, old, capacity, error) &&
         (preallocation == CST_PREALLOC_OFF ||
          qcow2_preallocate(q, old, capacity - old, preallocation, task, error)) &&
         write_size(q, bitmaps, capacity, error);
    if (!ok)
        q->blocks.image.capacity = old;
    return ok;
}

/* --- shrinking ----------------------------------------------------------------------------- */

gboolean qcow2_give_up_l2(Qcow2 *q, uint32_t index, GError **error)
{
    uint64_t entries = UINT64_C(1) << q->l2_bits;
    const uint8_t *table = NULL;

    if (!qcow2_l2_for_read(q, index, &table, error))
        return FALSE;
    if (!table)
        return TRUE;
    for (uint64_t i = 0; i < entries; i++) {
        Qcow2Entry entry = qcow2_entry_get(q, table, i);

        for (unsigned sub = 0; sub < q->sub_count; sub++)
            if (qcow2_entry_kind(q, &entry, sub) == QCOW2_BAD)
                return qcow2_corrupt(q, error, _("an L2 entry is damaged"));
        qcow2_entry_give_up(q, &entry);
    }
    qcow2_give_up(q, (q->l1[index] & QCOW2_OFFSET_MASK) >> q->cluster_bits, 1);
    cst_page_cache_drop(q->l2s, q->l1[index] & QCOW2_OFFSET_MASK, 0);
    q->l1[index] = 0;
    qcow2_l1_dirty(q, index);
    return qcow2_relieve(q, error);
}

/* Lock held. Removes the tables' references past the new end. */
static gboolean cut_tables(Qcow2 *q, uint64_t capacity, GError **error)
{
    uint64_t span = qcow2_l1_span(&q->header), keep = cst_div_up(capacity, span);
    uint64_t first = (capacity + q->cluster_size - 1) & ~(q->cluster_size - 1);

    for (uint64_t i = keep; i < q->header.l1_size; i++)
        if (!qcow2_give_up_l2(q, (uint32_t)i, error))
            return FALSE;
    return qcow2_forget(q, first, MIN(keep * span, q->header.l1_size * span), FALSE, error);
}

/* Lock held. Shortens the L1 table in place and gives up the clusters at its end. */
static gboolean cut_l1(Qcow2 *q, uint64_t capacity, GError **error)
{
    uint64_t keep = MAX(cst_div_up(capacity, qcow2_l1_span(&q->header)), 1);
    uint64_t clusters = cst_div_up(keep * 8, q->cluster_size);
    uint64_t old_clusters = cst_div_up((uint64_t)q->header.l1_size * 8, q->cluster_size);

    if (keep >= q->header.l1_size)
        return TRUE;
    if (!write_l1_place(q, (uint32_t)keep, q->header.l1_offset, error))
        return FALSE;
    q->header.l1_size = (uint32_t)keep;
    qcow2_give_up(q, (q->header.l1_offset >> q->cluster_bits) + clusters, old_clusters - clusters);
    return TRUE;
}

gboolean qcow2_cut_file(Qcow2 *q, GError **error)
{
    g_autoptr(GError) why = NULL;
    uint64_t end = 0, size = 0;
    gboolean ok;

    g_mutex_lock(&q->blocks.lock);
    ok = qcow2_used_end(q, &end, error);
    g_mutex_unlock(&q->blocks.lock);
    if (!ok || !cst_blob_get_size(q->blocks.blob, &size, error))
        return FALSE;
    if (end << q->cluster_bits >= size ||
        cst_blob_resize(q->blocks.blob, end << q->cluster_bits, &why) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean qcow2_shrink(Qcow2 *q, Qcow2BitmapEdit *bitmaps, uint64_t capacity, GError **error)
{
    gboolean ok;

    g_mutex_lock(&q->blocks.lock);
    ok = cut_tables(q, capacity, error);
    g_mutex_unlock(&q->blocks.lock);
    /* write the size first, because a table that is too short for it makes the image unusable */
    if (!ok || !write_size(q, bitmaps, capacity, error) || !qcow2_barrier(q, error))
        return FALSE;
    q->blocks.image.capacity = capacity;
    g_mutex_lock(&q->blocks.lock);
    ok = cut_l1(q, capacity, error);
    g_mutex_unlock(&q->blocks.lock);
    return ok && qcow2_write_back(q, error) && qcow2_cut_file(q, error) &&
           cut_data(q, capacity, error);
}

/* --- both ---------------------------------------------------------------------------------- */

/*
 * Prepares header and bitmaps. Growing leaves the guest's bytes unchanged, so bitmaps stay valid;
 * the caller prevents concurrent guest writes. Shrinking removes data before the size changes, and
 * the bitmaps do not record that. They are marked as in use first, and valid ones are written with
 * the new size. Lock held.
 */
static gboolean resize_begin(Qcow2 *q, Qcow2BitmapEdit *bitmaps, uint64_t capacity, GError **error)
{
    gboolean shrinks = capacity < q->header.size;

    if (!qcow2_bitmaps_are_valid(q))
        return qcow2_begin_writing(q, error);
    if (!qcow2_begin_changing(q, error) || !qcow2_bitmap_edit_begin(bitmaps, q, error) ||
        !qcow2_bitmap_edit_fit(bitmaps, capacity, error))
        return FALSE;
    bitmaps->changed = bitmaps->changed || shrinks;
    if (shrinks)
        return qcow2_begin_writing(q, error);
    q->writing = TRUE;
    return TRUE;
}

/* Ends the edit. The next write marks the bitmaps as in use again. Lock held. */
static void resize_finish(Qcow2 *q, Qcow2BitmapEdit *bitmaps)
{
    if (!bitmaps->q)
        return;
    q->writing = FALSE;
    qcow2_bitmap_edit_clear(bitmaps);
}

gboolean qcow2_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                      CstTask *task, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    Qcow2BitmapEdit bitmaps = {0};
    gboolean ok;

    if (capacity == image->capacity)
        return TRUE;
    if (q->header.snapshots > 0 && q->header.version < 3)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' has snapshots, and in an image of compatibility level 0.10 they "
                          "must have its size"),
                        q->blocks.blob->name);
    g_mutex_lock(&q->blocks.lock);
    ok = resize_begin(q, &bitmaps, capacity, error);
    g_mutex_unlock(&q->blocks.lock);
    ok = ok &&
         (capacity > image->capacity ? qcow2_grow(q, &bitmaps, capacity, preallocation, task, error)
                                     : qcow2_shrink(q, &bitmaps, capacity, error));
    g_mutex_lock(&q->blocks.lock);
    resize_finish(q, &bitmaps);
    g_mutex_unlock(&q->blocks.lock);
    if (!ok && !q->lost)
        qcow2_write_back(q, NULL); /* frees the clusters of the failed resize */
    return ok;
}
