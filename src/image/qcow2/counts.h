/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * How often each cluster of a file is referred to. Memory is used for clusters that are referred to
 * only: one chunk of 64 KiB for each 32,768 clusters of which at least one has a count. Has no
 * lock: callers serialise changes.
 */
typedef struct {
    uint64_t clusters; /**< the count of all further ones is 0 */
    uint64_t chunk_count;
    uint16_t **chunks;
    GHashTable *more; /**< uint64_t cluster -> uint64_t: by how much its count exceeds 65,535 */
    uint64_t bytes;   /**< memory taken by chunks */
    uint64_t hint;    /**< no cluster below it is free */
    const char *name;
} Qcow2Counts;

#define QCOW2_COUNTS_CHUNK_BITS 15

/**
 * Sets up counts of 0 for @clusters clusters. Borrows @name, the file's name for errors, until
 * qcow2_counts_clear(). LIMIT when the file is too long for an index, NO_MEMORY.
 */
gboolean qcow2_counts_init(Qcow2Counts *counts, uint64_t clusters, const char *name,
                           GError **error);
/** Frees the counts and zeroes the struct. May be called for a struct of zeroes. */
void qcow2_counts_clear(Qcow2Counts *counts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Counts, qcow2_counts_clear)

/** Completes qcow2_counts_add(), which calls it: new chunks, counts that need more than 16 bits. */
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

/** Subtracts @times from the count of @cluster. @times is at most that count. */
void qcow2_counts_subtract(Qcow2Counts *counts, uint64_t cluster, uint64_t times);

/** Returns the count of @cluster, which may be any number. */
uint64_t qcow2_counts_get(const Qcow2Counts *counts, uint64_t cluster);

/** Returns the first cluster from @from on whose count is not 0; @end if there is none before. */
uint64_t qcow2_counts_next(const Qcow2Counts *counts, uint64_t from, uint64_t end);

/**
 * Takes the first @wanted contiguous free clusters from @from on: sets their counts to 1 and
 * *ret_cluster to the first. Extends the range if needed. LIMIT or NO_MEMORY as above.
 */
gboolean qcow2_counts_take(Qcow2Counts *counts, uint64_t from, uint64_t wanted,
                           uint64_t *ret_cluster, GError **error);
