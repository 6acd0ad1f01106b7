/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads the bits of a dirty bitmap, in the order of the guest's bytes, one cluster of bits at a
 * time. A damaged table may have far more entries with a cluster than the file has clusters. Such a
 * table is refused, because two entries never share a cluster.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bitmapdir.h"

gboolean qcow2_bitmap_bits(Qcow2 *q, uint64_t entry, uint8_t *bits, GError **error)
{
    uint64_t place = entry & QCOW2_OFFSET_MASK, size = 0;

    if (place == 0) {
        memset(bits, entry & 1 ? 0xff : 0, q->cluster_size);
        return TRUE;
    }
    if (!cst_blob_get_size(q->blocks.blob, &size, error))
        return FALSE;
    if ((entry & 1) || (place & (q->cluster_size - 1)) || place > size ||
        q->cluster_size > size - place)
        return qcow2_corrupt(q, error, _("a bitmap's table is damaged"));
    return cst_blob_pread(q->blocks.blob, bits, q->cluster_size, place, error);
}

static gboolean is_set(const uint8_t *bits, uint64_t bit)
{
    return bits[bit / 8] & 1u << bit % 8;
}

/* Returns the length of the run of equal bits at @first. The run ends before bit @count. */
static uint64_t run_length(const uint8_t *bits, uint64_t first, uint64_t count)
{
    gboolean set = is_set(bits, first);
    uint8_t all = set ? 0xff : 0;
    uint64_t end = first + 1;

    while (end < count) {
        if (end % 8 == 0 && bits[end / 8] == all)
            end += 8;
        else if (is_set(bits, end) == set)
            end++;
        else
            break;
    }
    return MIN(end, count) - first;
}

/* Calls @func for the runs of set bits in one cluster of bits. The first bit of the cluster is bit
 * @first of the bitmap, and @count bits are inside the guest's disk. */
static gboolean each_in_cluster(const Qcow2 *q, const Qcow2Bitmap *bitmap, const uint8_t *bits,
                                uint64_t first, uint64_t count, Qcow2DirtyFunc func, gpointer data,
                                GError **error)
{
    for (uint64_t bit = 0; bit < count;) {
        uint64_t length = run_length(bits, bit, count);
        uint64_t from = (first + bit) << bitmap->granularity_bits;

        if (is_set(bits, bit) &&
            !func(data, from, MIN(q->header.size, from + (length << bitmap->granularity_bits)),
                  error))
            return FALSE;
        bit += length;
    }
    return TRUE;
}

static gboolean check_count(Qcow2 *q, const uint64_t *table, uint32_t entries, GError **error)
{
    uint64_t size = 0, count = 0;

    for (uint32_t i = 0; i < entries; i++)
        count += (table[i] & QCOW2_OFFSET_MASK) != 0;
    return cst_blob_get_size(q->blocks.blob, &size, error) &&
           (count <= size >> q->cluster_bits ||
            qcow2_corrupt(q, error, _("a bitmap's table is damaged")));
}

gboolean qcow2_bitmap_each_dirty(Qcow2 *q, const Qcow2Bitmap *bitmap, Qcow2DirtyFunc func,
                                 gpointer data, GError **error)
{
    g_autofree uint64_t *table = qcow2_bitmap_table(q, bitmap, error);
    g_autofree uint8_t *bits =
        table ? cst_alloc(q->cluster_size, 1, q->blocks.blob->name, error) : NULL;
    uint64_t per_cluster = q->cluster_size * 8;
    uint64_t all = cst_div_up(q->header.size, UINT64_C(1) << bitmap->granularity_bits);

    if (!bits || !check_count(q, table, bitmap->table_size, error))
        return FALSE;
    for (uint32_t i = 0; i < bitmap->table_size; i++)
        if (table[i] != 0 &&
            (!qcow2_bitmap_bits(q, table[i], bits, error) ||
             !each_in_cluster(q, bitmap, bits, i * per_cluster,
                              MIN(per_cluster, all - i * per_cluster), func, data, error)))
            return FALSE;
    return TRUE;
}
