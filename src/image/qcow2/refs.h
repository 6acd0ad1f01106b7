/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "walk.h"

/**
 * The refcount structure as a whole: the table, its blocks, all counts of a file. For callers that
 * need every count (a check) or change very many at once (switch.h). refblocks.c has single counts.
 */

/**
 * Counts the clusters of the refcount table and of its blocks in the walk. *ret_sound is FALSE when
 * the structure can't be used as it is: blocks are misplaced, shared or missing. Call it when
 * everything else has been counted.
 */
gboolean qcow2_refs_mark(Qcow2Walk *walk, gboolean *ret_sound, GError **error);
/** Subtracts what qcow2_refs_mark() has counted; no area may have been added since. */
void qcow2_refs_unmark(Qcow2Walk *walk);

/** The result of qcow2_refs_compare(), in clusters. */
typedef struct {
    uint64_t errors; /**< counted less often than they are referred to */
    uint64_t leaks;  /**< counted more often than they are referred to */
    uint64_t errors_fixed, leaks_fixed;
    uint64_t end; /**< one past the last cluster that is counted or referred to */
} Qcow2RefsReport;

/**
 * Compares the refcounts in the file with what the walk has counted, and corrects those that @fix
 * (CstCheckFlags) asks for in place, without a flush. Describes the differences in the findings of
 * the walk. @task may be NULL.
 */
gboolean qcow2_refs_compare(Qcow2Walk *walk, unsigned fix, Qcow2RefsReport *ret_report,
                            CstTask *task, GError **error);

/** The counts of a new structure: base + plus - minus. */
typedef struct {
    unsigned order; /**< log2 of their width in bits, which need not be that of the old ones */
    Qcow2Counts *base;
    const Qcow2Counts *plus;  /**< NULL: none */
    const Qcow2Counts *minus; /**< NULL: none; what it frees is not allocated again */
} Qcow2Sum;

/** Returns the new count of @cluster. */
uint64_t qcow2_sum_get(const Qcow2Sum *sum, uint64_t cluster);

/**
 * Initialises @counts with the refcounts in the file. The caller has written the cache back, and
 * clears @counts, after a failure too. CORRUPT when the structure is damaged, LIMIT or NO_MEMORY.
 */
gboolean qcow2_refs_load(Qcow2 *q, Qcow2Counts *counts, CstTask *task, GError **error);

/**
 * Writes a new refcount table and all blocks for @sum to free clusters from @from on, and counts
 * these clusters in sum->base. Returns the offset of the table and its length in clusters. Does not
 * change the header and does not flush. CORRUPT when a count would be negative, LIMIT when a count
 * is too large for its width or the table for the format.
 */
gboolean qcow2_refs_write(Qcow2 *q, Qcow2Sum *sum, uint64_t from, uint64_t *ret_offset,
                          uint32_t *ret_clusters, CstTask *task, GError **error);
