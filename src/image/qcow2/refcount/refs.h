/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qcow2/check/walk.h"

/**
 * The refcount structure as a whole: the table, its blocks, all counts of a file. For callers that
 * need every count (a check) or change very many counts at once (switch.h). refblocks.c has single
 * counts.
 */

/**
 * Counts the clusters of the refcount table and of its blocks in the walk. *ret_sound is FALSE when
 * the structure is unusable because blocks are misplaced, shared or missing. Call it after all
 * other areas have been counted.
 */
gboolean qcow2_refs_mark(Qcow2Walk *walk, gboolean *ret_sound, GError **error);
/** Reverts the counts of qcow2_refs_mark(). No area may have been added since. */
void qcow2_refs_unmark(Qcow2Walk *walk);

/** The result of qcow2_refs_compare(), in clusters. */
typedef struct {
    uint64_t errors; /**< clusters with a refcount below their number of references */
    uint64_t leaks;  /**< clusters with a refcount above their number of references */
    uint64_t errors_fixed, leaks_fixed;
    uint64_t end; /**< number of the first cluster after all counted or referenced clusters */
} Qcow2RefsReport;

/**
 * Compares the refcounts in the file with the counts of the walk. Corrects in place the differences
 * that @fix (CstCheckFlags) selects, without a flush. Describes the differences in the findings of
 * the walk. @task may be NULL.
 */
gboolean qcow2_refs_compare(Qcow2Walk *walk, unsigned fix, Qcow2RefsReport *ret_report,
                            CstTask *task, GError **error);

/** The counts of a new structure: base + plus - minus. */
typedef struct {
    unsigned order; /**< log2 of the width in bits, which may differ from the old width */
    Qcow2Counts *base;
    const Qcow2Counts *plus;  /**< NULL: no additions */
    const Qcow2Counts *minus; /**< NULL: no removals; clusters that it frees are not allocated
                                   again */
} Qcow2Sum;

/** Returns the new count of @cluster: base + plus - minus. */
uint64_t qcow2_sum_get(const Qcow2Sum *sum, uint64_t cluster);

/**
 * Initialises @counts with the refcounts in the file. The caller writes the cache back before the
 * call and clears @counts afterwards, even after a failure. CORRUPT when the structure is damaged,
 * LIMIT or NO_MEMORY.
 */
gboolean qcow2_refs_load(Qcow2 *q, Qcow2Counts *counts, CstTask *task, GError **error);

/**
 * Writes a new refcount table and all blocks for @sum to free clusters from @from on, and counts
 * these clusters in sum->base. Returns the offset of the table in bytes and its length in clusters.
 * Does not change the header and does not flush. CORRUPT when a count would be negative. LIMIT when
 * a count exceeds its width, or the table exceeds the limit of the format.
 */
gboolean qcow2_refs_write(Qcow2 *q, Qcow2Sum *sum, uint64_t from, uint64_t *ret_offset,
                          uint32_t *ret_clusters, CstTask *task, GError **error);
