/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Access to single refcounts through the cache of refcount blocks. The caller holds the lock.
 *
 * The refcount of a cluster that loses a reference is not lowered at once, because the disk may
 * still refer to the cluster. The cluster waits in q->pending until sync.c has written the tables
 * without the reference. A cluster whose count becomes 0 is dropped from the cache of L2 tables and
 * discarded in the file.
 */
#include <base/i18n.h>

#include "qcow2/state.h"
#include "refcount.h"

gboolean qcow2_block_of(Qcow2 *q, uint64_t cluster, CstPage **ret_block, GError **error)
{
    uint64_t index = qcow2_block_index(q, cluster);
    uint64_t place = index < q->reftable_entries ? q->reftable[index] : 0;
    CstPageId id = qcow2_table_id(q, place);

    *ret_block = NULL;
    if (place == 0)
        return TRUE;
    if (place & (q->cluster_size - 1))
        return qcow2_corrupt(q, error, _("a refcount block is not aligned"));
    *ret_block = cst_page_cache_get(q->refblocks, &id, error);
    return *ret_block != NULL;
}

gboolean qcow2_count_get(Qcow2 *q, uint64_t cluster, uint64_t *ret_count, GError **error)
{
    uint64_t mask = (UINT64_C(1) << q->block_bits) - 1;
    CstPage *block = NULL;

    if (!qcow2_block_of(q, cluster, &block, error))
        return FALSE;
    *ret_count =
        block ? qcow2_refcount_get(block->data, q->header.refcount_order, cluster & mask) : 0;
    return TRUE;
}

gboolean qcow2_count_set(Qcow2 *q, uint64_t cluster, uint64_t count, GError **error)
{
    uint64_t mask = (UINT64_C(1) << q->block_bits) - 1;
    CstPage *block = NULL;

    if (!qcow2_block_of(q, cluster, &block, error))
        return FALSE;
    if (!block)
        return qcow2_corrupt(q, error, _("a cluster in use is not counted"));
    if (!cst_page_cache_dirty(q->refblocks, block, error))
        return FALSE;
    qcow2_refcount_set(block->data, q->header.refcount_order, cluster & mask, count);
    if (count == 0)
        q->free_hint = MIN(q->free_hint, cluster);
    return TRUE;
}

void qcow2_alloc_undo(Qcow2 *q, uint64_t cluster, uint64_t count)
{
    /* a failure leaves a leak; the caller already has an error to report */
    for (uint64_t i = 0; i < count; i++)
        if (!qcow2_count_set(q, cluster + i, 0, NULL))
            return;
}

void qcow2_give_up(Qcow2 *q, uint64_t cluster, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t one = cluster + i;

        g_array_append_val(q->pending, one);
    }
}

void qcow2_hand_back(const Qcow2 *q, uint64_t cluster, uint64_t count)
{
    uint64_t offset = cluster << q->cluster_bits, end = (cluster + count) << q->cluster_bits;
    uint64_t size = 0;

    if (cst_blob_get_size(q->blocks.blob, &size, NULL))
        cst_blob_discard(q->blocks.blob, MIN(offset, size), MIN(end, size) - MIN(offset, size),
                         NULL);
}

void qcow2_freed_end(const Qcow2 *q, Qcow2Freed *freed)
{
    qcow2_hand_back(q, freed->first, freed->count);
    freed->count = 0;
}

void qcow2_freed_add(const Qcow2 *q, Qcow2Freed *freed, uint64_t cluster)
{
    if (freed->first + freed->count != cluster)
        qcow2_freed_end(q, freed);
    if (freed->count == 0)
        freed->first = cluster;
    freed->count++;
}

static gboolean count_down(Qcow2 *q, uint64_t cluster, Qcow2Freed *freed, GError **error)
{
    uint64_t count = 0;

    if (!qcow2_count_get(q, cluster, &count, error))
        return FALSE;
    if (count == 0)
        return qcow2_corrupt(q, error, _("a cluster in use is not counted"));
    if (!qcow2_count_set(q, cluster, count - 1, error))
        return FALSE;
    if (count > 1)
        return TRUE;
    cst_page_cache_drop(q->l2s, cluster << q->cluster_bits, 0);
    if (q->packed_at >> q->cluster_bits == cluster)
        q->packed_at = 0;
    qcow2_freed_add(q, freed, cluster);
    return TRUE;
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

gboolean qcow2_apply_pending(Qcow2 *q, GError **error)
{
    g_autoptr(GArray) work = NULL;
    Qcow2Freed freed = {0, 0};
    gboolean ok = TRUE;

    if (q->applying || q->pending->len == 0)
        return TRUE;
    work = q->pending;
    q->pending = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    q->applying = TRUE; /* a full cache may sync during the loop */
    qsort(work->data, work->len, sizeof(uint64_t), by_number);
    for (guint i = 0; ok && i < work->len; i++)
        ok = count_down(q, g_array_index(work, uint64_t, i), &freed, error);
    qcow2_freed_end(q, &freed);
    q->applying = FALSE;
    return ok;
}
