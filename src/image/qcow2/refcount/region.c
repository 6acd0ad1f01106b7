/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Allocates areas that must be contiguous (the L1 table, the refcount table, tables of bitmaps),
 * and grows the refcount table.
 *
 * A region begins after the last cluster in use. The refcount blocks that are missing to count it
 * follow directly. The size of the file is irrelevant, because a block device has no space past its
 * end. A new refcount table is complete on the disk before the header refers to it. The old one is
 * given up after that. The caller holds the lock.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "qcow2/state.h"
#include "refcount.h"

/* A region. All numbers are in clusters. */
typedef struct {
    uint64_t first;  /* first cluster */
    uint64_t count;  /* requested clusters */
    uint64_t blocks; /* refcount blocks after them */
} Region;

gboolean qcow2_used_end(Qcow2 *q, uint64_t *ret_cluster, GError **error)
{
    for (uint64_t index = q->reftable_entries; index-- > 0;) {
        uint64_t first = index << q->block_bits;

        if (q->reftable[index] == 0)
            continue;
        for (uint64_t i = UINT64_C(1) << q->block_bits; i-- > 0;) {
            uint64_t count = 0;

            if (!qcow2_count_get(q, first + i, &count, error))
                return FALSE;
            if (count != 0) {
                *ret_cluster = first + i + 1;
                return TRUE;
            }
        }
    }
    *ret_cluster = 0;
    return TRUE;
}

static uint64_t place_of(const Qcow2 *q, uint64_t index)
{
    return index < q->reftable_entries ? q->reftable[index] : 0;
}

/* Returns the number of missing blocks for the clusters from @first to before @end. */
static uint64_t missing_blocks(const Qcow2 *q, uint64_t first, uint64_t end)
{
    uint64_t missing = 0;

    for (uint64_t i = first >> q->block_bits; i <= (end - 1) >> q->block_bits; i++)
        missing += place_of(q, i) == 0;
    return missing;
}

static gboolean plan_region(Qcow2 *q, uint64_t count, Region *ret_region, GError **error)
{
    uint64_t first = 0, blocks = 0, before;

    if (!qcow2_used_end(q, &first, error))
        return FALSE;
    do {
        before = blocks;
        blocks = missing_blocks(q, first, first + count + before);
    } while (blocks != before);
    *ret_region = (Region){first, count, blocks};
    return TRUE;
}

/*
 * Enters the region's blocks into the table in memory. Entries past the end of the table on the
 * disk are not marked dirty. switch_reftable() writes them with the longer table.
 */
static gboolean add_blocks(Qcow2 *q, const Region *region, GError **error)
{
    uint64_t end = region->first + region->count + region->blocks;
    uint64_t place = region->first + region->count;
    uint64_t on_disk = (uint64_t)q->header.reftable_clusters << (q->cluster_bits - 3);

    for (uint64_t i = region->first >> q->block_bits; i <= (end - 1) >> q->block_bits; i++) {
        CstPageId id;

        if (q->reftable[i] != 0)
            continue;
        id = qcow2_table_id(q, place << q->cluster_bits);
        if (!cst_page_cache_add(q->refblocks, &id, error))
            return FALSE;
        q->reftable[i] = place++ << q->cluster_bits;
        if (i >= on_disk)
            continue;
        q->reftable_dirty_first = MIN(q->reftable_dirty_first, (uint32_t)i);
        q->reftable_dirty_end = MAX(q->reftable_dirty_end, (uint32_t)i + 1);
    }
    return TRUE;
}

/* Sets the refcounts of the region and its blocks to 1 in the cache. */
static gboolean install_region(Qcow2 *q, const Region *region, GError **error)
{
    uint64_t end = region->first + region->count + region->blocks;

    if (!add_blocks(q, region, error))
        return FALSE;
    for (uint64_t cluster = region->first; cluster < end; cluster++)
        if (!qcow2_count_set(q, cluster, 1, error))
            return FALSE;
    return TRUE;
}

/* Removes the blocks of an unusable region from the table and the cache, so that they are never
 * written. Clusters of the region that older blocks count are leaked. */
static void forget_region(Qcow2 *q, const Region *region)
{
    uint64_t end = region->first + region->count + region->blocks;
    uint64_t place = region->first + region->count;

    for (uint64_t i = region->first >> q->block_bits; i <= (end - 1) >> q->block_bits; i++) {
        if (q->reftable[i] != place << q->cluster_bits)
            continue;
        cst_page_cache_drop(q->refblocks, q->reftable[i], 0);
        q->reftable[i] = 0;
        place++;
    }
}

static uint64_t entries_for(const Qcow2 *q, const Region *region)
{
    return cst_div_up(region->first + region->count + region->blocks, UINT64_C(1) << q->block_bits);
}

gboolean qcow2_alloc_region(Qcow2 *q, uint64_t count, uint64_t *ret_cluster, GError **error)
{
    Region region;

    if (!plan_region(q, count, &region, error))
        return FALSE;
    while (entries_for(q, &region) > q->reftable_entries)
        if (!qcow2_reftable_grow(q, entries_for(q, &region), error) ||
            !plan_region(q, count, &region, error))
            return FALSE;
    if (!install_region(q, &region, error)) {
        forget_region(q, &region);
        return FALSE;
    }
    *ret_cluster = region.first;
    return TRUE;
}

static gboolean write_reftable(Qcow2 *q, uint64_t offset, GError **error)
{
    g_autofree uint8_t *raw = cst_alloc(q->reftable_entries, 8, q->blocks.blob->name, error);

    if (!raw)
        return FALSE;
    for (uint32_t i = 0; i < q->reftable_entries; i++)
        cst_put_be64(raw + (size_t)i * 8, q->reftable[i]);
    return cst_blob_pwrite(q->blocks.blob, raw, (size_t)q->reftable_entries * 8, offset, error);
}

/* Writes the new table completely to the disk, then points the header to it. */
static gboolean switch_reftable(Qcow2 *q, const Region *region, GError **error)
{
    uint64_t old = q->header.reftable_offset >> q->cluster_bits;
    uint64_t old_clusters = q->header.reftable_clusters;
    uint64_t offset = region->first << q->cluster_bits;
    uint8_t raw[12];

    if (!cst_page_cache_write(q->refblocks, 0, error) || !write_reftable(q, offset, error) ||
        !qcow2_barrier(q, error))
        return FALSE;
    cst_put_be64(raw, offset);
    cst_put_be32(raw + 8, (uint32_t)region->count);
    if (!cst_blob_pwrite(q->blocks.blob, raw, sizeof(raw), QCOW2_AT_REFTABLE_OFFSET, error))
        return FALSE;
    q->header.reftable_offset = offset;
    q->header.reftable_clusters = (uint32_t)region->count;
    q->reftable_dirty_first = UINT32_MAX;
    q->reftable_dirty_end = 0;
    qcow2_give_up(q, old, old_clusters);
    return TRUE;
}

gboolean qcow2_reftable_grow(Qcow2 *q, uint64_t entries, GError **error)
{
    uint64_t per_cluster = q->cluster_size / 8;
    uint64_t clusters =
        cst_div_up(MAX(entries, q->reftable_entries * UINT64_C(3) / 2), per_cluster);
    uint64_t *old = q->reftable, *table;
    uint32_t old_entries = q->reftable_entries;
    Region region = {0, 0, 0};

    do { /* until the table also counts its own clusters */
        clusters = MAX(clusters, cst_div_up(entries_for(q, &region), per_cluster));
        if (clusters << q->cluster_bits > QCOW2_MAX_REFTABLE_BYTES)
            return cst_fail(error, CST_ERROR_LIMIT, _("'%s' can't grow any further"),
                            q->blocks.blob->name);
        if (!plan_region(q, clusters, &region, error))
            return FALSE;
    } while (entries_for(q, &region) > clusters * per_cluster);

    table = cst_alloc0(clusters * per_cluster, sizeof(uint64_t), q->blocks.blob->name, error);
    if (!table)
        return FALSE;
    memcpy(table, old, (size_t)old_entries * 8);
    q->reftable = table;
    q->reftable_entries = (uint32_t)(clusters * per_cluster);
    if (!install_region(q, &region, error) || !switch_reftable(q, &region, error)) {
        forget_region(q, &region);
        g_free(q->reftable);
        q->reftable = old;
        q->reftable_entries = old_entries;
        return FALSE;
    }
    g_free(old);
    return TRUE;
}
