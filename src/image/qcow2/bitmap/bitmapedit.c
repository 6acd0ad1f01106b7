/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Implements the transaction for changes of bitmaps (bitmapedit.h).
 *
 * All new content is written to free clusters, which edit->fresh lists. edit->stale lists the
 * clusters that it replaces. The old directory, tables and bits stay complete on the disk until
 * qcow2_bitmaps_switch() writes the header. The stale clusters are given up after that. A failure
 * before that point frees the fresh clusters. If a failed write leaves the header in an unknown
 * state (q->lost), neither list is freed, so that at worst clusters are leaked.
 */
#include "bitmapedit.h"

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "qcow2/qcow2.h"

gboolean qcow2_bitmap_edit_begin(Qcow2BitmapEdit *edit, Qcow2 *q, GError **error)
{
    GArray *bitmaps = qcow2_bitmaps_read(q, error);

    if (!bitmaps)
        return FALSE;
    *edit = (Qcow2BitmapEdit){.q = q, .bitmaps = bitmaps};
    edit->fresh = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    edit->stale = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    return TRUE;
}

void qcow2_bitmap_edit_clear(Qcow2BitmapEdit *edit)
{
    if (!edit->q)
        return;
    for (guint i = 0; !edit->q->lost && i < edit->fresh->len; i++)
        qcow2_alloc_undo(edit->q, g_array_index(edit->fresh, uint64_t, i), 1);
    g_array_unref(edit->bitmaps);
    g_array_unref(edit->fresh);
    g_array_unref(edit->stale);
    edit->q = NULL;
}

static void clusters_note(GArray *clusters, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t cluster = first + i;

        g_array_append_val(clusters, cluster);
    }
}

static gboolean edit_put(Qcow2BitmapEdit *edit, const void *data, uint64_t bytes,
                         uint64_t *ret_offset, GError **error)
{
    Qcow2 *q = edit->q;
    uint64_t clusters = cst_div_up(bytes, q->cluster_size), first = 0, got = 0;
    g_autofree uint8_t *padded = NULL;

    *ret_offset = 0;
    if (clusters == 0)
        return TRUE;
    padded = cst_alloc0(clusters, q->cluster_size, q->blocks.blob->name, error);
    if (!padded)
        return FALSE;
    if (!(clusters == 1 ? qcow2_alloc(q, 1, &first, &got, error)
                        : qcow2_alloc_region(q, clusters, &first, error)))
        return FALSE;
    clusters_note(edit->fresh, first, clusters);
    memcpy(padded, data, bytes);
    *ret_offset = first << q->cluster_bits;
    return cst_blob_pwrite(q->blocks.blob, padded, clusters << q->cluster_bits, *ret_offset, error);
}

gboolean qcow2_bitmap_edit_put_bits(Qcow2BitmapEdit *edit, const uint8_t *bits, uint64_t *entry,
                                    GError **error)
{
    return edit_put(edit, bits, edit->q->cluster_size, entry, error);
}

gboolean qcow2_bitmap_edit_put_table(Qcow2BitmapEdit *edit, Qcow2Bitmap *bitmap,
                                     const uint64_t *table, GError **error)
{
    uint64_t bytes = bitmap->table_size * UINT64_C(8);
    g_autofree uint8_t *raw = cst_alloc0(bytes, 1, edit->q->blocks.blob->name, error);

    if (!raw)
        return FALSE;
    for (uint32_t i = 0; table && i < bitmap->table_size; i++)
        cst_put_be64(raw + i * UINT64_C(8), table[i]);
    return edit_put(edit, raw, bytes, &bitmap->table_offset, error);
}

void qcow2_bitmap_edit_drop_table(Qcow2BitmapEdit *edit, const Qcow2Bitmap *bitmap)
{
    const Qcow2 *q = edit->q;

    clusters_note(edit->stale, bitmap->table_offset >> q->cluster_bits,
                  cst_div_up(bitmap->table_size * UINT64_C(8), q->cluster_size));
}

gboolean qcow2_bitmap_edit_drop_bits(Qcow2BitmapEdit *edit, uint64_t entry, GError **error)
{
    const Qcow2 *q = edit->q;
    uint64_t place = entry & QCOW2_OFFSET_MASK;

    if (place & (q->cluster_size - 1))
        return qcow2_corrupt(q, error, _("a bitmap's table is damaged"));
    if (place != 0)
        clusters_note(edit->stale, place >> q->cluster_bits, 1);
    return TRUE;
}

gboolean qcow2_bitmap_edit_drop(Qcow2BitmapEdit *edit, const Qcow2Bitmap *bitmap, GError **error)
{
    Qcow2 *q = edit->q;
    g_autofree uint64_t *table = qcow2_bitmap_table(q, bitmap, error);

    if (!table)
        return FALSE;
    for (uint32_t i = 0; i < bitmap->table_size; i++)
        if (!qcow2_bitmap_edit_drop_bits(edit, table[i], error))
            return FALSE;
    qcow2_bitmap_edit_drop_table(edit, bitmap);
    return TRUE;
}

/* Refuses damaged refcounts before any change: the refcounts of stale clusters must be above 0. */
static gboolean stale_is_counted(Qcow2BitmapEdit *edit, GError **error)
{
    for (guint i = 0; i < edit->stale->len; i++) {
        uint64_t count = 0;

        if (!qcow2_count_get(edit->q, g_array_index(edit->stale, uint64_t, i), &count, error))
            return FALSE;
        if (count == 0)
            return qcow2_corrupt(edit->q, error, _("a cluster in use is not counted"));
    }
    return TRUE;
}

gboolean qcow2_bitmap_edit_commit(Qcow2BitmapEdit *edit, uint64_t size, GError **error)
{
    Qcow2 *q = edit->q;
    uint64_t bytes = 0, offset = 0;
    g_autofree uint8_t *raw =
        qcow2_bitmaps_pack(edit->bitmaps, q->blocks.blob->name, &bytes, error);

    if (!raw)
        return FALSE;
    if (edit->bitmaps->len > QCOW2_MAX_BITMAPS || bytes > QCOW2_MAX_BITMAP_BYTES)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' has too many bitmaps"),
                        q->blocks.blob->name);
    if (qcow2_bitmaps_are_valid(q))
        clusters_note(edit->stale, q->header.bitmaps_offset >> q->cluster_bits,
                      cst_div_up(q->header.bitmaps_bytes, q->cluster_size));
    if (!stale_is_counted(edit, error) || !edit_put(edit, raw, bytes, &offset, error) ||
        !qcow2_bitmaps_switch(q, edit->bitmaps->len, offset, bytes, size, error))
        return FALSE;
    g_array_set_size(edit->fresh, 0);
    for (guint i = 0; i < edit->stale->len; i++)
        qcow2_give_up(q, g_array_index(edit->stale, uint64_t, i), 1);
    return TRUE;
}
