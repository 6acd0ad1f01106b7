/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "head.h"
#include "refs.h"

/**
 * A change of many tables at once that is true with one write to the header, or not at all.
 *
 * What changes is written to free places: a new L1 table, copies of L2 tables, the snapshot table,
 * and a whole new set of refcounts. The header fields that lead to them lie in one sector. Before
 * that write the image is the old one and what was written is not even leaked; after it the image
 * is the new one, and what only the old one used is free.
 *
 * Order: qcow2_switch_begin(), qcow2_switch_add() for the trees that come and go, places for new
 * tables, qcow2_switch_commit(), qcow2_switch_clear(). Nobody else may write meanwhile.
 */
typedef struct {
    Qcow2 *q; /**< borrowed */
    CstTask *task;
    Qcow2Header header; /**< what it shall be: size, L1 table, snapshot table; with @head, any */
    Qcow2Head *head;    /**< the rest of the first cluster, when it changes too; NULL: it stays */
    Qcow2Counts base;   /**< the file's, and what has been taken since */
    Qcow2Counts plus, minus;
} Qcow2Switch;

/** Writes back what is held, loads all refcounts. */
gboolean qcow2_switch_begin(Qcow2Switch *change, Qcow2 *q, CstTask *task, GError **error);
void qcow2_switch_clear(Qcow2Switch *change);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Switch, qcow2_switch_clear)

/**
 * Adds what an L1 table refers to, the table itself included, to @counts (plus or minus; NULL:
 * looks only). CORRUPT when it is damaged or refers to what is not counted: nothing may be taken
 * before all trees in use have been through here.
 */
gboolean qcow2_switch_add(Qcow2Switch *change, uint64_t l1_offset, uint32_t l1_size,
                          Qcow2Counts *counts, GError **error);
/** Walks all trees, those of @snapshots included; the same error. @ret_walk is zeroed. */
gboolean qcow2_switch_walk(Qcow2Switch *change, const GArray *snapshots, Qcow2Walk *ret_walk,
                           GError **error);
/** The clusters of an area are used once less. */
gboolean qcow2_switch_drop(Qcow2Switch *change, uint64_t offset, uint64_t bytes, GError **error);
/** Writes @bytes bytes to a new place of whole clusters. */
gboolean qcow2_switch_put(Qcow2Switch *change, const uint8_t *data, uint64_t bytes,
                          uint64_t *ret_offset, GError **error);
/** Writes @count entries as the new L1 table. */
gboolean qcow2_switch_put_l1(Qcow2Switch *change, const uint64_t *l1, uint32_t count,
                             GError **error);
/** Writes @snapshots as the new snapshot table; the old one of @old_bytes is used no more. */
gboolean qcow2_switch_put_snapshots(Qcow2Switch *change, const GArray *snapshots,
                                    uint64_t old_bytes, GError **error);
/** What a cluster's count will be. */
uint64_t qcow2_switch_count(const Qcow2Switch *change, uint64_t cluster);
/** Writes the refcounts and the header; the image's state follows. */
gboolean qcow2_switch_commit(Qcow2Switch *change, GError **error);
