/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "counts.h"
#include "state.h"

/**
 * Counts what an image's tables refer to. An L2 table that several L1 tables share is read once,
 * whatever the number of snapshots; tables are read on several threads, in the file's order.
 *
 * First all L1 tables (qcow2_walk_l1()), then the L2 tables found there (qcow2_walk_tables()), then
 * any other areas (qcow2_walk_mark()).
 */

typedef struct {
    uint64_t place;
    uint64_t uses;   /**< entries of L1 tables that refer to it */
    gboolean active; /**< one of them is in use, not a snapshot's */
} Qcow2WalkTable;

typedef struct {
    uint64_t offset, bytes;
} Qcow2Area;

typedef struct {
    Qcow2 *q; /**< borrowed */
    uint64_t file_size;
    Qcow2Counts counts;
    Qcow2WalkTable *tables; /**< by place once qcow2_walk_tables() has begun */
    guint table_count;
    GArray *areas; /**< Qcow2Area: what only one thing may refer to */
    uint64_t l1_bytes;
    gboolean mend;       /**< entries that can be mended count as if they were */
    CstImageCheck found; /**< errors, also in words, and figures of the L1 table in use */
    uint64_t fixable;    /**< those of the errors that qcow2_entry_mended() mends */
} Qcow2Walk;

gboolean qcow2_walk_init(Qcow2Walk *walk, Qcow2 *q, GError **error);
void qcow2_walk_clear(Qcow2Walk *walk);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Walk, qcow2_walk_clear)

/** Counts an area once; outside of the file is an error of the image. */
gboolean qcow2_walk_mark(Qcow2Walk *walk, uint64_t offset, uint64_t bytes, GError **error);
/** The same for an area that nothing else may refer to. */
gboolean qcow2_walk_mark_own(Qcow2Walk *walk, uint64_t offset, uint64_t bytes, GError **error);

/**
 * Gathers the L2 tables of an L1 table. The table in use goes first. *ret_sound is FALSE when it
 * lies outside of the file, so that what it refers to stays unknown.
 */
gboolean qcow2_walk_l1(Qcow2Walk *walk, uint64_t offset, uint64_t entries, gboolean active,
                       gboolean *ret_sound, GError **error);
/** Counts the L1 tables, the L2 tables' entries. */
gboolean qcow2_walk_tables(Qcow2Walk *walk, CstTask *task, GError **error);

/** A table's bytes; where the file is cut off they are zero. */
gboolean qcow2_walk_read(Qcow2Walk *walk, uint8_t *buf, uint64_t place, uint64_t bytes,
                         GError **error);

/**
 * @entry with what is certainly wrong and can be put right without losing anything: flags that
 * must not be there, subclusters that are said to be zero and data at once.
 */
Qcow2Entry qcow2_entry_mended(const Qcow2 *q, const Qcow2Entry *entry);
