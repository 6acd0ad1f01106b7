/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Allocates clusters, one or a few in a row, from the refcount blocks. region.c allocates areas
 * that must be contiguous. The search begins at q->free_hint, because no cluster below it is free.
 * It creates missing refcount blocks on its way.
 *
 * An allocation changes cached refcount blocks only. sync.c writes them before any table that
 * refers to the clusters, so a crash leaves an allocated cluster free or leaked. The header and the
 * active tables are never allocated, even if damaged refcounts mark their clusters as free. The
 * caller holds the lock.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "qcow2/state.h"
#include "refcount.h"

#define HOST_LIMIT_BITS 56 /* width of an offset in L1 and L2 entries */

/*
 * Allocates a missing block in the first cluster that it counts. This cluster is free, because all
 * clusters without a block are free.
 */
static gboolean ensure_block(Qcow2 *q, uint64_t cluster, GError **error)
{
    uint64_t index = qcow2_block_index(q, cluster), first = index << q->block_bits;
    CstPageId id = qcow2_table_id(q, first << q->cluster_bits);
    CstPage *block;

    if (index >= q->reftable_entries && !qcow2_reftable_grow(q, index + 1, error))
        return FALSE;
    if (q->reftable[index] != 0)
        return TRUE;
    if (first == 0)
        return qcow2_corrupt(q, error, _("the header is not counted"));
    block = cst_page_cache_add(q->refblocks, &id, error);
    if (!block)
        return FALSE;
    qcow2_refcount_set(block->data, q->header.refcount_order, 0, 1);
    q->reftable[index] = first << q->cluster_bits;
    q->reftable_dirty_first = MIN(q->reftable_dirty_first, (uint32_t)index);
    q->reftable_dirty_end = MAX(q->reftable_dirty_end, (uint32_t)index + 1);
    return TRUE;
}

static gboolean cluster_overlaps(const Qcow2 *q, uint64_t cluster, uint64_t offset, uint64_t length)
{
    uint64_t first = offset >> q->cluster_bits;

    return length > 0 && cluster >= first && cluster <= (offset + length - 1) >> q->cluster_bits;
}

/* Refuses clusters of the header and of tables in use, which damaged refcounts may mark as free. */
static gboolean check_is_free(Qcow2 *q, uint64_t cluster, GError **error)
{
    const Qcow2Header *header = &q->header;

    if (cluster == 0 ||
        cluster_overlaps(q, cluster, header->l1_offset, (uint64_t)header->l1_size * 8) ||
        cluster_overlaps(q, cluster, header->reftable_offset,
                         (uint64_t)header->reftable_clusters << q->cluster_bits) ||
        cluster_overlaps(q, cluster, header->snapshots_offset, (uint64_t)header->snapshots * 40))
        return qcow2_corrupt(q, error, _("metadata in use is not counted"));
    return TRUE;
}

/* Finds the first free cluster. Creates and returns the block that counts it. */
static CstPage *find_free(Qcow2 *q, uint64_t *ret_cluster, GError **error)
{
    uint64_t entries = UINT64_C(1) << q->block_bits, cluster = q->free_hint;

    for (;; cluster = ((cluster >> q->block_bits) + 1) << q->block_bits) {
        CstPage *block = NULL;

        if (cluster >> (HOST_LIMIT_BITS - q->cluster_bits)) {
            cst_fail(error, CST_ERROR_LIMIT, _("'%s' can't grow any further"),
                     q->blocks.blob->name);
            return NULL;
        }
        if (!ensure_block(q, cluster, error) || !qcow2_block_of(q, cluster, &block, error))
            return NULL;
        for (uint64_t i = cluster & (entries - 1); i < entries; i++) {
            if (qcow2_refcount_get(block->data, q->header.refcount_order, i) != 0)
                continue;
            *ret_cluster = (cluster & ~(entries - 1)) + i;
            return block;
        }
    }
}

gboolean qcow2_alloc(Qcow2 *q, uint64_t wanted, uint64_t *ret_cluster, uint64_t *ret_count,
                     GError **error)
{
    uint64_t entries = UINT64_C(1) << q->block_bits, first = 0, got = 0;
    unsigned order = q->header.refcount_order;
    CstPage *block = find_free(q, &first, error);

    if (!block)
        return FALSE;
    wanted = MIN(wanted, entries - (first & (entries - 1))); /* the run must be inside one block */
    while (got < wanted &&
           qcow2_refcount_get(block->data, order, (first + got) & (entries - 1)) == 0) {
        if (!check_is_free(q, first + got, error))
            return FALSE;
        got++;
    }
    if (!cst_page_cache_dirty(q->refblocks, block, error))
        return FALSE;
    for (uint64_t i = 0; i < got; i++)
        qcow2_refcount_set(block->data, order, (first + i) & (entries - 1), 1);
    q->free_hint = first + got;
    *ret_cluster = first;
    *ret_count = got;
    return TRUE;
}
