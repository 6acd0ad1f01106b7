/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Adds the bits of one bitmap to another bitmap, which may have another granularity.
 *
 * The source's bits are read in the order of the guest's bytes, so that only one cluster of each
 * bitmap is in memory at a time. A changed cluster of the target is written to a new cluster. The
 * old bitmap stays complete until the edit is committed (bitmapedit.h).
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bitmapdir.h"

/* The bitmap to which bits are added. */
typedef struct {
    Qcow2 *q;
    uint64_t *table; /* table of the target, changed in place */
    uint32_t entries;
    unsigned granularity_bits;
    uint8_t *bits;    /* the loaded cluster of bits */
    uint32_t index;   /* its table entry; entries: no cluster is loaded */
    gboolean changed; /* bits differ from the cluster on the disk */
    GArray *fresh, *stale;
} Target;

static gboolean write_bits(Target *target, GError **error)
{
    Qcow2 *q = target->q;
    uint64_t old, cluster = 0, got = 0;

    if (target->index == target->entries || !target->changed)
        return TRUE;
    old = (target->table[target->index] & QCOW2_OFFSET_MASK) >> q->cluster_bits;
    if (!qcow2_alloc(q, 1, &cluster, &got, error))
        return FALSE;
    g_array_append_val(target->fresh, cluster);
    if (!cst_blob_pwrite(q->blocks.blob, target->bits, q->cluster_size, cluster << q->cluster_bits,
                         error))
        return FALSE;
    if (old)
        g_array_append_val(target->stale, old);
    target->table[target->index] = cluster << q->cluster_bits;
    return TRUE;
}

static gboolean load_bits(Target *target, uint32_t index, GError **error)
{
    if (index == target->index)
        return TRUE;
    if (!write_bits(target, error))
        return FALSE;
    target->index = target->entries;
    target->changed = FALSE;
    if (!qcow2_bitmap_bits(target->q, target->table[index], target->bits, error))
        return FALSE;
    target->index = index;
    return TRUE;
}

/* Sets the bits @first to @last of the loaded cluster. */
static void set_bits(Target *target, uint64_t first, uint64_t last)
{
    for (uint64_t bit = first; bit <= last; bit++) {
        uint8_t *byte = &target->bits[bit / 8];

        if (bit % 8 == 0 && last - bit >= 7) {
            target->changed = target->changed || *byte != 0xff;
            *byte = 0xff;
            bit += 7;
        } else if (!(*byte & (1u << bit % 8))) {
            *byte = (uint8_t)(*byte | 1u << bit % 8);
            target->changed = TRUE;
        }
    }
}

/* Sets the bits of the guest's bytes from @from to before @to. */
static gboolean set_range(gpointer data, uint64_t from, uint64_t to, GError **error)
{
    Target *target = data;
    uint64_t per_cluster = target->q->cluster_size * 8;
    uint64_t bit = from >> target->granularity_bits;
    uint64_t last = (to - 1) >> target->granularity_bits;

    while (bit <= last) {
        uint64_t stop = MIN(last, (bit / per_cluster + 1) * per_cluster - 1);

        if (!load_bits(target, (uint32_t)(bit / per_cluster), error))
            return FALSE;
        set_bits(target, bit % per_cluster, stop % per_cluster);
        bit = stop + 1;
    }
    return TRUE;
}

uint64_t *qcow2_bitmap_merged(Qcow2 *q, const Qcow2Bitmap *to, Qcow2 *source,
                              const Qcow2Bitmap *from, GArray *fresh, GArray *stale, GError **error)
{
    g_autofree uint64_t *table = qcow2_bitmap_table(q, to, error);
    g_autofree uint8_t *bits =
        table ? cst_alloc0(q->cluster_size, 1, q->blocks.blob->name, error) : NULL;
    Target target = {q,     table, to->table_size, to->granularity_bits, bits, to->table_size,
                     FALSE, fresh, stale};

    if (!bits || !qcow2_bitmap_each_dirty(source, from, set_range, &target, error) ||
        !write_bits(&target, error))
        return NULL;
    return g_steal_pointer(&table);
}
