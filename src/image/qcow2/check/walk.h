/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qcow2/refcount/counts.h"
#include "qcow2/state.h"

/**
 * Counts the references in the tables of an image. An L2 table that several L1 tables share is read
 * once, regardless of the number of snapshots. Several threads read L2 tables, in the file's order.
 *
 * Order of calls: qcow2_walk_l1() for all L1 tables, qcow2_walk_tables() for the L2 tables of their
 * entries, qcow2_walk_mark() for other areas. Damage is an error in walk->found and does not end
 * the walk, unless stated otherwise. One thread may use a walk at a time.
 */

/** An L2 table. */
typedef struct {
    uint64_t place;  /**< offset in the file */
    uint64_t uses;   /**< number of L1 entries that refer to it */
    gboolean active; /**< the active L1 table refers to it, not only L1 tables of snapshots */
} Qcow2WalkTable;

/** A range of the file. */
typedef struct {
    uint64_t offset, bytes;
} Qcow2Area;

typedef struct {
    Qcow2 *q; /**< borrowed */
    uint64_t file_size;
    Qcow2Counts counts;
    Qcow2WalkTable *tables; /**< sorted by place once qcow2_walk_tables() has begun */
    guint table_count;
    GArray *areas;       /**< Qcow2Area: ranges that must have exactly one user */
    uint64_t l1_bytes;   /**< total length of the L1 tables */
    gboolean mend;       /**< count repairable entries as if they had been repaired */
    CstImageCheck found; /**< errors, their findings, and statistics of the active L1 table */
    uint64_t fixable;    /**< number of errors that qcow2_entry_mended() repairs */
} Qcow2Walk;

/** Begins a walk over @q, which it borrows. @walk is zeroed. Call qcow2_walk_clear() even after a
 * failure. LIMIT when the file is too long. */
gboolean qcow2_walk_init(Qcow2Walk *walk, Qcow2 *q, GError **error);
/** Frees the members of the walk. Accepts a zeroed struct. */
void qcow2_walk_clear(Qcow2Walk *walk);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Walk, qcow2_walk_clear)

/** Adds one reference to each cluster of an area. An area outside the file is an error of the
 * image. LIMIT or NO_MEMORY, as for all functions that count. */
gboolean qcow2_walk_mark(Qcow2Walk *walk, uint64_t offset, uint64_t bytes, GError **error);
/** Like qcow2_walk_mark(), for an area that must have no other user. */
gboolean qcow2_walk_mark_own(Qcow2Walk *walk, uint64_t offset, uint64_t bytes, GError **error);

/**
 * Collects the L2 tables of the L1 table at @offset. Call it for the @active table first.
 * *ret_sound is FALSE when the table is misplaced or too long; its references are not counted then.
 * CORRUPT when the L1 tables overlap.
 */
gboolean qcow2_walk_l1(Qcow2Walk *walk, uint64_t offset, uint64_t entries, gboolean active,
                       gboolean *ret_sound, GError **error);
/** Counts the areas of the L1 tables and all references of the L2 tables. @task may be NULL. */
gboolean qcow2_walk_tables(Qcow2Walk *walk, CstTask *task, GError **error);

/** Reads @bytes bytes at the offset @place. Bytes past the end of the file are zero. */
gboolean qcow2_walk_read(Qcow2Walk *walk, uint8_t *buf, uint64_t place, uint64_t bytes,
                         GError **error);

/**
 * Returns @entry with the errors corrected whose correction loses no data: reserved flags,
 * subclusters marked both as zero and as data, unused offsets that are misaligned. An entry that
 * would still be damaged is returned unchanged.
 */
Qcow2Entry qcow2_entry_mended(const Qcow2 *q, const Qcow2Entry *entry);
