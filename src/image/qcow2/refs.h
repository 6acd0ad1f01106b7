/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "walk.h"

/**
 * The refcount structure as a whole: the table, its blocks, all counts of a file. For those that
 * look at every count (check) or change very many at once (snapshots); alloc.c has single ones.
 */

/**
 * Counts the refcount table and its blocks, and finds out whether they can be used as they are:
 * *ret_sound is FALSE when blocks are misplaced, shared or missing. After qcow2_walk_tables().
 */
gboolean qcow2_refs_mark(Qcow2Walk *walk, gboolean *ret_sound, GError **error);
/** Takes back what qcow2_refs_mark() counted. */
void qcow2_refs_unmark(Qcow2Walk *walk);

typedef struct {
    uint64_t errors; /**< clusters counted less often than they are referred to */
    uint64_t leaks;  /**< more often */
    uint64_t errors_fixed, leaks_fixed;
    uint64_t end; /**< one past the last cluster that is counted or referred to */
} Qcow2RefsReport;

/** Compares what the file says with what the walk has counted; @fix: CstCheckFlags. */
gboolean qcow2_refs_compare(Qcow2Walk *walk, unsigned fix, Qcow2RefsReport *ret_report,
                            CstTask *task, GError **error);

/** Counts to be: base + plus - minus. */
typedef struct {
    unsigned order; /**< log2 of their width in bits, which need not be that of the old ones */
    Qcow2Counts *base;
    const Qcow2Counts *plus;  /**< NULL: none */
    const Qcow2Counts *minus; /**< NULL: none; nothing is free on its account */
} Qcow2Sum;

uint64_t qcow2_sum_get(const Qcow2Sum *sum, uint64_t cluster);

/** The counts that are in the file. */
gboolean qcow2_refs_load(Qcow2 *q, Qcow2Counts *counts, CstTask *task, GError **error);

/**
 * Writes a new refcount table with all blocks for @sum into free places from cluster @from on, and
 * counts these in sum->base. Nothing refers to it yet and nothing is flushed. CORRUPT when a count
 * would be negative, LIMIT when one is too large for the image.
 */
gboolean qcow2_refs_write(Qcow2 *q, Qcow2Sum *sum, uint64_t from, uint64_t *ret_offset,
                          uint32_t *ret_clusters, CstTask *task, GError **error);
