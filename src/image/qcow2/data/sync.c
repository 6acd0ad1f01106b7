/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes changed metadata in the order that keeps the image valid: refcount blocks, a barrier, the
 * refcount table; a barrier, L2 tables, a barrier, the L1 table. Clusters that were given up are
 * counted down after another barrier, when no table on the disk refers to them. The next sync
 * writes the lower counts. A power cut therefore leaves leaked clusters at worst.
 */
#include "bytes.h"

#include "qcow2/qcow2.h"
#include "qcow2/state.h"
#include <base/alloc.h>

#define PENDING_MAX 65536 /* half a MiB of cluster numbers */

/* Writes entries @first to before @end of a table of 64-bit numbers, and empties the range. */
static gboolean write_entries(Qcow2 *q, const uint64_t *table, uint64_t place, uint32_t *first,
                              uint32_t *end, GError **error)
{
    uint32_t count = *end - *first;
    g_autofree uint8_t *raw = cst_alloc(count, 8, q->blocks.blob->name, error);

    if (!raw)
        return FALSE;
    for (uint32_t i = 0; i < count; i++)
        cst_put_be64(raw + (size_t)i * 8, table[*first + i]);
    if (!cst_blob_pwrite(q->blocks.blob, raw, (size_t)count * 8, place + *first * UINT64_C(8),
                         error))
        return FALSE;
    *first = UINT32_MAX;
    *end = 0;
    return TRUE;
}

static gboolean write_refcounts(Qcow2 *q, GError **error)
{
    if (!cst_page_cache_write(q->refblocks, 0, error))
        return FALSE;
    if (q->reftable_dirty_end == 0)
        return TRUE;
    return qcow2_barrier(q, error) &&
           write_entries(q, q->reftable, q->header.reftable_offset, &q->reftable_dirty_first,
                         &q->reftable_dirty_end, error);
}

/* Writes L2 and L1 tables. The first barrier also covers the guest's data that they refer to. */
static gboolean write_tables(Qcow2 *q, GError **error)
{
    if (cst_page_cache_dirty_count(q->l2s, 0) > 0 &&
        (!qcow2_barrier(q, error) || !cst_page_cache_write(q->l2s, 0, error)))
        return FALSE;
    if (q->l1_dirty_end == 0)
        return TRUE;
    return qcow2_barrier(q, error) && write_entries(q, q->l1, q->header.l1_offset,
                                                    &q->l1_dirty_first, &q->l1_dirty_end, error);
}

gboolean qcow2_sync(Qcow2 *q, GError **error)
{
    if (!write_refcounts(q, error) || !write_tables(q, error))
        return FALSE;
    if (q->applying || q->pending->len == 0)
        return TRUE;
    /* From here on, lower counts may reach the disk at any time. The next sync writes them. */
    return qcow2_barrier(q, error) && qcow2_apply_pending(q, error);
}

gboolean qcow2_write_back(Qcow2 *q, GError **error)
{
    gboolean ok;

    g_mutex_lock(&q->blocks.lock);
    ok = qcow2_sync(q, error) && write_refcounts(q, error);
    g_mutex_unlock(&q->blocks.lock);
    return ok;
}

gboolean qcow2_flush(CstImage *image, GError **error)
{
    Qcow2 *q = qcow2_of(image);

    return qcow2_write_back(q, error) && (!q->data || cst_blob_flush(q->data, error)) &&
           cst_blob_flush(q->blocks.blob, error);
}

gboolean qcow2_relieve(Qcow2 *q, GError **error)
{
    return q->pending->len < PENDING_MAX || qcow2_sync(q, error);
}
