/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "head.h"
#include "refs.h"

/**
 * A change of many tables that one write to the header makes valid.
 *
 * What changes is written to free places: a new L1 table, copies of L2 tables, the snapshot table,
 * and a complete new refcount structure. The header fields that refer to them lie in one sector.
 * Before that write the disk has the old image, and the new content is free space; after it the
 * disk has the new image, and what only the old one used is free space.
 *
 * Order of calls: qcow2_switch_begin(), qcow2_switch_add() for the trees that come and go, the
 * functions that put new tables, qcow2_switch_commit(), qcow2_switch_clear(). Nobody else
 * may change the image meanwhile (the caller claims all guest clusters or has the only state of the
 * image). The caller does not hold the lock.
 */
typedef struct {
    Qcow2 *q; /**< borrowed */
    CstTask *task;
    Qcow2Header header; /**< new size, L1 table and snapshot table; with a head, any field */
    Qcow2Head *head;    /**< borrowed: the first cluster, if more of it changes; NULL: it stays */
    Qcow2Counts base;   /**< the counts in the file, and 1 for each cluster taken since */
    Qcow2Counts plus, minus; /**< references that are added, and removed */
} Qcow2Switch;

/** Writes cached metadata back and loads all refcounts. CORRUPT when metadata in use is not
 * counted. Call qcow2_switch_clear() after a failure too. @task may be NULL. */
gboolean qcow2_switch_begin(Qcow2Switch *change, Qcow2 *q, CstTask *task, GError **error);
/** Frees the counts. Without a commit, what was written is free space. */
void qcow2_switch_clear(Qcow2Switch *change);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Switch, qcow2_switch_clear)

/**
 * Adds what an L1 table of @l1_size entries refers to, the table itself included, to @counts (plus
 * or minus; NULL: only checks). CORRUPT when the tree is damaged or refers to a cluster that is not
 * counted. Check all trees in use like this before the first cluster is taken.
 */
gboolean qcow2_switch_add(Qcow2Switch *change, uint64_t l1_offset, uint32_t l1_size,
                          Qcow2Counts *counts, GError **error);
/** Walks and checks the active tree and those of @snapshots. The caller passes @ret_walk zeroed and
 * clears it, after a failure too. CORRUPT as for qcow2_switch_add(). */
gboolean qcow2_switch_walk(Qcow2Switch *change, const GArray *snapshots, Qcow2Walk *ret_walk,
                           GError **error);
/** Removes one reference to each cluster of the area at @offset. */
gboolean qcow2_switch_drop(Qcow2Switch *change, uint64_t offset, uint64_t bytes, GError **error);
/** Writes @data to new contiguous clusters, padded with zeroes, and returns their offset. */
gboolean qcow2_switch_put(Qcow2Switch *change, const uint8_t *data, uint64_t bytes,
                          uint64_t *ret_offset, GError **error);
/** Writes @count entries in host order as the new L1 table. The old one keeps its reference. */
gboolean qcow2_switch_put_l1(Qcow2Switch *change, const uint64_t *l1, uint32_t count,
                             GError **error);
/** Writes @snapshots as the new snapshot table, and drops the old one of @old_bytes bytes. LIMIT
 * when it would be too large. */
gboolean qcow2_switch_put_snapshots(Qcow2Switch *change, const GArray *snapshots,
                                    uint64_t old_bytes, GError **error);
/** Returns the count of @cluster after the commit, as far as it is known yet. */
uint64_t qcow2_switch_count(const Qcow2Switch *change, uint64_t cluster);
/** Writes the refcounts, then the header, between barriers, and reloads the state of the image.
 * After a failure q->lost is set if the disk may have either image. */
gboolean qcow2_switch_commit(Qcow2Switch *change, GError **error);
