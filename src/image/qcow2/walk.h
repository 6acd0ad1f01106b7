/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "counts.h"
#include "state.h"

/**
 * Counts what the tables of an image refer to. An L2 table that several L1 tables share is read
 * once, whatever the number of snapshots. Several threads read L2 tables, in the file's order.
 *
 * Order of calls: qcow2_walk_l1() for all L1 tables, qcow2_walk_tables() for the L2 tables found
 * there, qcow2_walk_mark() for other areas. Damage is an error in walk->found and does not end the
 * walk, unless stated otherwise. One thread may use a walk at a time.
 */

/** An L2 table. */
typedef struct {
    uint64_t place;  /**< offset in the file */
    uint64_t uses;   /**< how many entries of L1 tables refer to it */
    gboolean active; /**< the active L1 table refers to it, not only those of snapshots */
} Qcow2WalkTable;

/** A range of the file. */
typedef struct {
    uint64_t offset, bytes;
} Qcow2Area;

typedef struct {
    Qcow2 *q; /**< borrowed */
    uint64_t file_size;
    Qcow2Counts counts;
    Qcow2WalkTable *tables; /**< sorted by place when qcow2_walk_tables() has begun */
    guint table_count;
    GArray *areas;       /**< Qcow2Area: ranges that may have only one user */
    uint64_t l1_bytes;   /**< total length of the L1 tables */
    gboolean mend;       /**< count entries that can be mended as if they had been */
    CstImageCheck found; /**< errors, their findings, and statistics of the active L1 table */
    uint64_t fixable;    /**< number of errors that qcow2_entry_mended() mends */
} Qcow2Walk;

/** Begins a walk over @q, which it borrows. @walk is zero. Call qcow2_walk_clear() after a failure
 * too. LIMIT when the file is too long. */
gboolean qcow2_walk_init(Qcow2Walk *walk, Qcow2 *q, GError **error);
/** Frees what the walk owns. May be called for a struct of zeroes. */
void qcow2_walk_clear(Qcow2Walk *walk);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Walk, qcow2_walk_clear)

/** Counts the clusters of an area once more. An area outside the file is an error of the image.
 * LIMIT or NO_MEMORY, as for all functions that count. */
gboolean qcow2_walk_mark(Qcow2Walk *walk, uint64_t offset, uint64_t bytes, GError **error);
/** Does the same for an area that may have no other user. */
gboolean qcow2_walk_mark_own(Qcow2Walk *walk, uint64_t offset, uint64_t bytes, GError **error);

/**
 * Gathers the L2 tables of the L1 table at @offset. Call it for the @active table first. *ret_sound
 * is FALSE when the table is misplaced or too long, so that what it refers to stays unknown.
 * CORRUPT when the L1 tables overlap.
 */
gboolean qcow2_walk_l1(Qcow2Walk *walk, uint64_t offset, uint64_t entries, gboolean active,
                       gboolean *ret_sound, GError **error);
/** Counts the areas of the L1 tables and all that the L2 tables refer to. @task may be NULL. */
gboolean qcow2_walk_tables(Qcow2Walk *walk, CstTask *task, GError **error);

/** Reads @bytes bytes at the offset @place; those behind the end of the file are zero. */
gboolean qcow2_walk_read(Qcow2Walk *walk, uint8_t *buf, uint64_t place, uint64_t bytes,
                         GError **error);

/**
 * Returns @entry with those errors corrected that can be corrected without losing data: flags that
 * must not be set, subclusters marked both as zero and as data, places that nothing is read from.
 * One that would still be damaged is returned as it is.
 */
Qcow2Entry qcow2_entry_mended(const Qcow2 *q, const Qcow2Entry *entry);
