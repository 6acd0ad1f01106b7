/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Changes many tables with one write of the header (switch.h).
 *
 * New content is written to clusters with a count of 0 in change->base. base has all refcounts of
 * the file, so no cluster of the old image is overwritten. qcow2_switch_begin() therefore refuses
 * an image that has metadata in use with a refcount of 0. Commit order: the new refcount structure,
 * a barrier, the header, a barrier. Then the state is reloaded, and clusters that only the old
 * image used are discarded. A crash before the header is written leaves the old image without a
 * leak.
 */
#include "switch.h"

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "snaptable.h"

#define SWITCHED_AT  QCOW2_AT_SIZE /* bytes of the header that change in one write, */
#define SWITCHED_END 72            /* up to here; all are in the first sector */

/* Refuses an area with a refcount of 0, because its clusters would be allocated again. */
static gboolean check_area(const Qcow2Switch *change, uint64_t offset, uint64_t bytes,
                           GError **error)
{
    unsigned bits = change->q->cluster_bits;

    for (uint64_t at = offset >> bits; bytes > 0 && at <= (offset + bytes - 1) >> bits; at++)
        if (qcow2_counts_get(&change->base, at) == 0)
            return qcow2_corrupt(change->q, error, _("metadata in use is not counted"));
    return TRUE;
}

static gboolean check_areas(const Qcow2Switch *change, GError **error)
{
    const Qcow2 *q = change->q;
    const Qcow2Header *header = &q->header;

    if (!check_area(change, 0, 1, error) ||
        !check_area(change, header->l1_offset, header->l1_size * UINT64_C(8), error) ||
        !check_area(change, header->snapshots_offset, header->snapshots * UINT64_C(40), error) ||
        !check_area(change, header->reftable_offset,
                    (uint64_t)header->reftable_clusters << q->cluster_bits, error))
        return FALSE;
    for (uint32_t i = 0; i < q->reftable_entries; i++)
        if (q->reftable[i] != 0 && !check_area(change, q->reftable[i], 1, error))
            return FALSE;
    return TRUE;
}

gboolean qcow2_switch_begin(Qcow2Switch *change, Qcow2 *q, CstTask *task, GError **error)
{
    memset(change, 0, sizeof(*change));
    if (!qcow2_write_back(q, error))
        return FALSE;
    change->q = q;
    change->task = task;
    change->header = q->header;
    return qcow2_refs_load(q, &change->base, task, error) &&
           qcow2_counts_init(&change->plus, change->base.clusters, q->blocks.blob->name, error) &&
           qcow2_counts_init(&change->minus, change->base.clusters, q->blocks.blob->name, error) &&
           check_areas(change, error);
}

void qcow2_switch_clear(Qcow2Switch *change)
{
    qcow2_counts_clear(&change->base);
    qcow2_counts_clear(&change->plus);
    qcow2_counts_clear(&change->minus);
}

/* Adds the references of the walk to @counts. Refuses clusters with a refcount of 0. */
static gboolean add_trees(Qcow2Switch *change, const Qcow2Walk *walk, Qcow2Counts *counts,
                          GError **error)
{
    uint64_t end = walk->counts.clusters, at = 0;

    if (walk->found.errors > 0)
        return qcow2_corrupt(change->q, error, _("its tables must be checked and repaired first"));
    for (; (at = qcow2_counts_next(&walk->counts, at, end)) < end; at++) {
        if (qcow2_counts_get(&change->base, at) == 0)
            return qcow2_corrupt(change->q, error, _("a cluster in use is not counted"));
        if (counts && !qcow2_counts_add(counts, at, qcow2_counts_get(&walk->counts, at), error))
            return FALSE;
    }
    return TRUE;
}

gboolean qcow2_switch_add(Qcow2Switch *change, uint64_t l1_offset, uint32_t l1_size,
                          Qcow2Counts *counts, GError **error)
{
    g_auto(Qcow2Walk) walk = {0};
    gboolean sound = FALSE;

    return qcow2_walk_init(&walk, change->q, error) &&
           qcow2_walk_l1(&walk, l1_offset, l1_size, TRUE, &sound, error) &&
           qcow2_walk_tables(&walk, change->task, error) && add_trees(change, &walk, counts, error);
}

gboolean qcow2_switch_walk(Qcow2Switch *change, const GArray *snapshots, Qcow2Walk *ret_walk,
                           GError **error)
{
    const Qcow2Header *header = &change->q->header;
    gboolean sound = FALSE;

    if (!qcow2_walk_init(ret_walk, change->q, error) ||
        !qcow2_walk_l1(ret_walk, header->l1_offset, header->l1_size, TRUE, &sound, error))
        return FALSE;
    for (guint i = 0; i < snapshots->len; i++) {
        const Qcow2Snapshot *snapshot = &g_array_index(snapshots, Qcow2Snapshot, i);

        if (!qcow2_walk_l1(ret_walk, snapshot->l1_offset, snapshot->l1_size, FALSE, &sound, error))
            return FALSE;
    }
    return qcow2_walk_tables(ret_walk, change->task, error) &&
           add_trees(change, ret_walk, NULL, error);
}

gboolean qcow2_switch_drop(Qcow2Switch *change, uint64_t offset, uint64_t bytes, GError **error)
{
    unsigned bits = change->q->cluster_bits;

    for (uint64_t at = offset >> bits; bytes > 0 && at <= (offset + bytes - 1) >> bits; at++)
        if (!qcow2_counts_add(&change->minus, at, 1, error))
            return FALSE;
    return TRUE;
}

gboolean qcow2_switch_put(Qcow2Switch *change, const uint8_t *data, uint64_t bytes,
                          uint64_t *ret_offset, GError **error)
{
    Qcow2 *q = change->q;
    uint64_t clusters = cst_div_up(bytes, q->cluster_size), cluster = 0;
    uint64_t whole = clusters << q->cluster_bits;
    g_autofree uint8_t *padded = cst_alloc0(whole, 1, q->blocks.blob->name, error);

    if (!padded)
        return FALSE;
    memcpy(padded, data, bytes);
    if (!qcow2_counts_take(&change->base, 0, clusters, &cluster, error) ||
        !cst_blob_pwrite(q->blocks.blob, padded, whole, cluster << q->cluster_bits, error))
        return FALSE;
    *ret_offset = cluster << q->cluster_bits;
    return TRUE;
}

gboolean qcow2_switch_put_l1(Qcow2Switch *change, const uint64_t *l1, uint32_t count,
                             GError **error)
{
    g_autofree uint8_t *raw = cst_alloc(count, 8, change->q->blocks.blob->name, error);

    if (!raw)
        return FALSE;
    for (uint32_t i = 0; i < count; i++)
        cst_put_be64(raw + i * UINT64_C(8), l1[i]);
    change->header.l1_size = count;
    return qcow2_switch_put(change, raw, count * UINT64_C(8), &change->header.l1_offset, error);
}

gboolean qcow2_switch_put_snapshots(Qcow2Switch *change, const GArray *snapshots,
                                    uint64_t old_bytes, GError **error)
{
    Qcow2Header *header = &change->header;
    g_autofree uint8_t *raw = NULL;
    uint64_t bytes = 0;

    header->snapshots = snapshots->len;
    header->snapshots_offset = 0;
    if (!qcow2_switch_drop(change, change->q->header.snapshots_offset, old_bytes, error))
        return FALSE;
    if (snapshots->len == 0)
        return TRUE;
    raw = qcow2_snapshots_pack(change->q, header, snapshots, &bytes, error);
    return raw && qcow2_switch_put(change, raw, bytes, &header->snapshots_offset, error);
}

uint64_t qcow2_switch_count(const Qcow2Switch *change, uint64_t cluster)
{
    const Qcow2Sum sum = {change->header.refcount_order, (Qcow2Counts *)&change->base,
                          &change->plus, &change->minus};

    return qcow2_sum_get(&sum, cluster);
}

/* --- committing ---------------------------------------------------------------------------- */

static gboolean put_refs(Qcow2Switch *change, GError **error)
{
    Qcow2 *q = change->q;
    Qcow2Sum sum = {change->header.refcount_order, &change->base, &change->plus, &change->minus};

    if (!qcow2_switch_drop(change, q->header.reftable_offset,
                           (uint64_t)q->header.reftable_clusters << q->cluster_bits, error))
        return FALSE;
    for (uint32_t i = 0; i < q->reftable_entries; i++)
        if (q->reftable[i] != 0 && !qcow2_switch_drop(change, q->reftable[i], 1, error))
            return FALSE;
    return qcow2_refs_write(q, &sum, 0, &change->header.reftable_offset,
                            &change->header.reftable_clusters, change->task, error);
}

static gboolean put_fields(Qcow2Switch *change, GError **error)
{
    Qcow2 *q = change->q;
    const Qcow2Header *header = &change->header;
    uint8_t raw[SWITCHED_END];

    if (!cst_blob_pread(q->blocks.blob, raw, sizeof(raw), 0, error))
        return FALSE;
    cst_put_be64(raw + QCOW2_AT_SIZE, header->size);
    cst_put_be32(raw + QCOW2_AT_L1_SIZE, header->l1_size);
    cst_put_be64(raw + QCOW2_AT_L1_OFFSET, header->l1_offset);
    cst_put_be64(raw + QCOW2_AT_REFTABLE_OFFSET, header->reftable_offset);
    cst_put_be32(raw + QCOW2_AT_REFTABLE_SIZE, header->reftable_clusters);
    cst_put_be32(raw + QCOW2_AT_SNAPSHOTS, header->snapshots);
    cst_put_be64(raw + QCOW2_AT_SNAPSHOTS + 4, header->snapshots_offset);
    return qcow2_put_header(q, raw + SWITCHED_AT, SWITCHED_AT, SWITCHED_END - SWITCHED_AT, error);
}

/* Commits the change: one write of the header, after all new content is on the disk. */
static gboolean put_header(Qcow2Switch *change, GError **error)
{
    if (!change->head)
        return put_fields(change, error);
    change->head->header = change->header;
    if (!qcow2_head_write(change->head, error))
        return FALSE;
    change->header = change->q->header;
    return TRUE;
}

/* Discards the clusters that the old image used and the new one does not. */
static void hand_back(const Qcow2Switch *change)
{
    uint64_t end = change->minus.clusters, at = 0;
    Qcow2Freed freed = {0, 0};

    for (; (at = qcow2_counts_next(&change->minus, at, end)) < end; at++)
        if (qcow2_switch_count(change, at) == 0)
            qcow2_freed_add(change->q, &freed, at);
    qcow2_freed_end(change->q, &freed);
}

gboolean qcow2_switch_commit(Qcow2Switch *change, GError **error)
{
    Qcow2 *q = change->q;

    if (!put_refs(change, error) || !put_header(change, error))
        return FALSE;
    g_mutex_lock(&q->blocks.lock);
    q->lost = !qcow2_state_renew(q, &change->header, error);
    g_mutex_unlock(&q->blocks.lock);
    if (q->lost)
        return FALSE;
    hand_back(change);
    return TRUE;
}
