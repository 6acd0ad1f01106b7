/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * The number of references to each cluster of a file. The array is sparse: one chunk of 64 KiB
 * counts 32,768 clusters, and a chunk exists only if one of its clusters has a reference. The
 * struct has no lock; callers serialise changes.
 */
typedef struct {
    uint64_t clusters; /**< the range of the counts; the count of a later cluster is 0 */
    uint64_t chunk_count;
    uint16_t **chunks;
    GHashTable *more; /**< uint64_t cluster -> uint64_t: the part of its count above 65,535 */
    uint64_t bytes;   /**< memory that the chunks use */
    uint64_t hint;    /**< no cluster below this one is free */
    const char *name;
} Qcow2Counts;

#define QCOW2_COUNTS_CHUNK_BITS 15

/**
 * Initialises counts of 0 for @clusters clusters. Borrows @name, the file's name for errors, until
 * qcow2_counts_clear(). LIMIT when the file has too many clusters for an index, NO_MEMORY.
 */
gboolean qcow2_counts_init(Qcow2Counts *counts, uint64_t clusters, const char *name,
                           GError **error);
/** Frees the counts and zeroes the struct. Accepts a zeroed struct. */
void qcow2_counts_clear(Qcow2Counts *counts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Counts, qcow2_counts_clear)

/** The slow path of qcow2_counts_add(): allocates chunks, and stores counts that exceed 16 bits. */
gboolean qcow2_counts_add_slowly(Qcow2Counts *counts, uint64_t cluster, uint64_t times,
                                 GError **error);

/** Adds @times to the count of @cluster, which is less than counts->clusters. LIMIT or NO_MEMORY
 * when the counts need too much memory. */
static inline gboolean qcow2_counts_add(Qcow2Counts *counts, uint64_t cluster, uint64_t times,
                                        GError **error)
{
    uint16_t *chunk = counts->chunks[cluster >> QCOW2_COUNTS_CHUNK_BITS];
    uint64_t index = cluster & ((1u << QCOW2_COUNTS_CHUNK_BITS) - 1);

    if (chunk && times < G_MAXUINT16 && chunk[index] < G_MAXUINT16 - times) {
        chunk[index] = (uint16_t)(chunk[index] + times);
        return TRUE;
    }
    return qcow2_counts_add_slowly(counts, cluster, times, error);
}

/** Subtracts @times from the count of @cluster. @times must not exceed that count. */
void qcow2_counts_subtract(Qcow2Counts *counts, uint64_t cluster, uint64_t times);

/** Returns the count of @cluster. @cluster may exceed counts->clusters; its count is 0 then. */
uint64_t qcow2_counts_get(const Qcow2Counts *counts, uint64_t cluster);

/** Returns the first cluster in the range from @from to before @end whose count is not 0. Returns
 * @end if every count is 0. */
uint64_t qcow2_counts_next(const Qcow2Counts *counts, uint64_t from, uint64_t end);

/**
 * Allocates the first @wanted contiguous free clusters from @from on: sets their counts to 1, and
 * *ret_cluster to the first of them. Extends the range if needed. LIMIT or NO_MEMORY when the
 * counts need too much memory.
 */
gboolean qcow2_counts_take(Qcow2Counts *counts, uint64_t from, uint64_t wanted,
                           uint64_t *ret_cluster, GError **error);
