/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qcow2/header/head.h"
#include "qcow2/refcount/refs.h"

/**
 * A change of many tables that one write of the header makes valid.
 *
 * New content is written to free clusters: a new L1 table, copies of L2 tables, the snapshot table,
 * and a complete new refcount structure. The header fields that refer to them are in one sector.
 * Before that write, the disk holds the old image, and the new content is free space. After it, the
 * disk holds the new image, and the clusters that only the old image used are free space.
 *
 * Order of calls: qcow2_switch_begin(), qcow2_switch_add() for each tree that is added or removed,
 * the functions that put new tables, qcow2_switch_commit(), qcow2_switch_clear(). No other change
 * of the image may run in between: the caller claims all guest clusters or has the only state of
 * the image. The caller does not hold the lock.
 */
typedef struct {
    Qcow2 *q; /**< borrowed */
    CstTask *task;
    Qcow2Header header;      /**< new size, L1 table and snapshot table; with a head, any field */
    Qcow2Head *head;         /**< borrowed: the first cluster, if more of it changes; NULL: no */
    Qcow2Counts base;        /**< the counts in the file, and 1 for each cluster allocated since */
    Qcow2Counts plus, minus; /**< references to add, and to remove */
} Qcow2Switch;

/** Writes cached metadata back and loads all refcounts. CORRUPT when the refcount of metadata in
 * use is 0. Call qcow2_switch_clear() even after a failure. @task may be NULL. */
gboolean qcow2_switch_begin(Qcow2Switch *change, Qcow2 *q, CstTask *task, GError **error);
/** Frees the counts. Without a commit, the written clusters are free space. */
void qcow2_switch_clear(Qcow2Switch *change);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Switch, qcow2_switch_clear)

/**
 * Adds the references of an L1 table of @l1_size entries to @counts (plus or minus), including the
 * references to the table itself. A NULL @counts only checks the tree. CORRUPT when the tree is
 * damaged, or refers to a cluster with the refcount 0. Check all trees in use before the first
 * cluster is allocated.
 */
gboolean qcow2_switch_add(Qcow2Switch *change, uint64_t l1_offset, uint32_t l1_size,
                          Qcow2Counts *counts, GError **error);
/** Walks and checks the active tree and the trees of @snapshots. The caller passes @ret_walk zeroed
 * and clears it, even after a failure. CORRUPT as for qcow2_switch_add(). */
gboolean qcow2_switch_walk(Qcow2Switch *change, const GArray *snapshots, Qcow2Walk *ret_walk,
                           GError **error);
/** Removes one reference to each cluster of the area at @offset. */
gboolean qcow2_switch_drop(Qcow2Switch *change, uint64_t offset, uint64_t bytes, GError **error);
/** Writes @data to new contiguous clusters, padded with zeroes. Returns their offset in
 * *ret_offset. */
gboolean qcow2_switch_put(Qcow2Switch *change, const uint8_t *data, uint64_t bytes,
                          uint64_t *ret_offset, GError **error);
/** Writes @count entries in host order as the new L1 table. The old table keeps its reference. */
gboolean qcow2_switch_put_l1(Qcow2Switch *change, const uint64_t *l1, uint32_t count,
                             GError **error);
/** Writes @snapshots as the new snapshot table. Drops the old table of @old_bytes bytes. LIMIT when
 * the new table would be too large. */
gboolean qcow2_switch_put_snapshots(Qcow2Switch *change, const GArray *snapshots,
                                    uint64_t old_bytes, GError **error);
/** Returns the count of @cluster after the commit, as far as the change is known at this point. */
uint64_t qcow2_switch_count(const Qcow2Switch *change, uint64_t cluster);
/** Writes the refcounts, then the header, between barriers. Reloads the state of the image. After a
 * failure q->lost is set if the disk may hold either image. */
gboolean qcow2_switch_commit(Qcow2Switch *change, GError **error);
