/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Allocates, reloads and frees the state of an opened image (state.h).
 *
 * The caches hold about L2_CACHE_BYTES and BLOCK_CACHE_BYTES, regardless of the size of the image.
 * When all pages of a cache are dirty, a complete sync writes them, so that the order of sync.c
 * holds then too. qcow2_state_renew() drops all cached tables after the tables on the disk were
 * replaced without the caches.
 */
#include "state.h"

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"

#define L2_CACHE_BYTES    (4 * CST_MIB)
#define BLOCK_CACHE_BYTES (1 * CST_MIB)
#define CACHE_MIN_TABLES  4
#define CACHE_MAX_TABLES  2048

static void set_geometry(Qcow2 *q)
{
    gboolean extended = (q->header.incompatible & QCOW2_INCOMPAT_EXTENDED_L2) != 0;

    q->cluster_bits = q->header.cluster_bits;
    q->cluster_size = UINT64_C(1) << q->cluster_bits;
    q->entry_size = extended ? 16 : 8;
    q->l2_bits = q->cluster_bits - (extended ? 4 : 3);
    q->sub_count = extended ? 32 : 1;
    q->sub_bits = q->cluster_bits - (extended ? 5 : 0);
    q->block_bits = q->cluster_bits + 3 - q->header.refcount_order;
}

/* Reads @count entries of a table whose bounds the header check has approved. */
static uint64_t *read_table(CstBlob *blob, uint64_t offset, uint32_t count, GError **error)
{
    uint64_t *table = cst_alloc(count, sizeof(*table), blob->name, error);

    if (!table)
        return NULL;
    if (!cst_blob_pread(blob, table, (size_t)count * 8, offset, error)) {
        g_free(table);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        table[i] = cst_be64((const uint8_t *)&table[i]);
    return table;
}

gboolean qcow2_state_read_tables(Qcow2 *q, gboolean counts, GError **error)
{
    uint32_t entries = (uint32_t)(q->header.reftable_clusters << (q->cluster_bits - 3));
    g_autofree uint64_t *l1 = NULL;
    uint64_t *reftable = NULL;

    l1 = read_table(q->blocks.blob, q->header.l1_offset, q->header.l1_size, error);
    if (!l1 || (counts && !(reftable = read_table(q->blocks.blob, q->header.reftable_offset,
                                                  entries, error))))
        return FALSE;
    g_free(q->l1);
    g_free(q->reftable);
    q->l1 = g_steal_pointer(&l1);
    q->reftable = reftable;
    q->reftable_entries = counts ? entries : 0;
    return TRUE;
}

static gboolean caches_write_back(void *owner, GError **error)
{
    return qcow2_sync(owner, error);
}

static unsigned tables_in(const Qcow2 *q, uint64_t bytes)
{
    return (unsigned)CLAMP(bytes >> q->cluster_bits, CACHE_MIN_TABLES, CACHE_MAX_TABLES);
}

void qcow2_state_free(Qcow2 *q)
{
    cst_page_cache_free(q->l2s);
    cst_page_cache_free(q->refblocks);
    cst_blob_unref(q->data);
    g_array_unref(q->pending);
    g_free(q->l1);
    g_free(q->reftable);
    cst_blocks_clear(&q->blocks);
    g_free(q);
}

static void make_caches(Qcow2 *q)
{
    CstPageCacheHooks hooks = {.spill = caches_write_back, .owner = q};

    q->l2s =
        cst_page_cache_new(q->blocks.blob, q->cluster_size, tables_in(q, L2_CACHE_BYTES), &hooks);
    q->refblocks = cst_page_cache_new(q->blocks.blob, q->cluster_size,
                                      tables_in(q, BLOCK_CACHE_BYTES), &hooks);
}

gboolean qcow2_state_renew(Qcow2 *q, const Qcow2Header *header, GError **error)
{
    q->header = *header;
    q->blocks.image.capacity = header->size;
    set_geometry(q);
    q->l1_dirty_first = q->reftable_dirty_first = UINT32_MAX;
    q->l1_dirty_end = q->reftable_dirty_end = 0;
    q->free_hint = 0;
    q->packed_at = 0;
    cst_page_cache_free(q->l2s);
    cst_page_cache_free(q->refblocks);
    make_caches(q);
    return qcow2_state_read_tables(q, TRUE, error);
}

Qcow2 *qcow2_state_new(CstBlob *blob, const Qcow2Header *header, const CstImageOpen *how,
                       GError **error)
{
    Qcow2 *q = g_new0(Qcow2, 1);

    if (!cst_blocks_init(&q->blocks, &qcow2_blocks_ops, blob, how, error)) {
        g_free(q);
        return NULL;
    }
    q->blocks.block_size = CST_BLOCKS_ANY_LENGTH; /* runs of many clusters are read at once */
    q->header = *header;
    q->blocks.image.capacity = header->size;
    q->l1_dirty_first = q->reftable_dirty_first = UINT32_MAX;
    set_geometry(q);
    q->pending = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    make_caches(q);
    return q;
}
