/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * How often each cluster of a file is referred to. Memory follows the clusters that are: pieces of
 * 64 KiB for 32,768 clusters in a row, of which at least one counts. Not locked.
 */
typedef struct {
    uint64_t clusters; /**< those behind count 0 */
    uint64_t chunk_count;
    uint16_t **chunks;
    GHashTable *more; /**< what exceeds 65,535, by cluster */
    uint64_t bytes;   /**< of chunks */
    uint64_t hint;    /**< no cluster below is free */
    const char *name;
} Qcow2Counts;

#define QCOW2_COUNTS_CHUNK_BITS 15

/**
 * LIMIT when the file is so long that not even an index of it fits in memory. @name, of the file,
 * must stay for as long as the counts do.
 */
gboolean qcow2_counts_init(Qcow2Counts *counts, uint64_t clusters, const char *name,
                           GError **error);
void qcow2_counts_clear(Qcow2Counts *counts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Counts, qcow2_counts_clear)

/** The slow way of qcow2_counts_add(): new pieces, counts that need more than 16 bits. */
gboolean qcow2_counts_add_slowly(Qcow2Counts *counts, uint64_t cluster, uint64_t times,
                                 GError **error);

/** @cluster lies inside. LIMIT or NO_MEMORY when the counts need too much memory. */
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

/** Takes back what was added; @times is not more than there is. */
void qcow2_counts_subtract(Qcow2Counts *counts, uint64_t cluster, uint64_t times);

/** Any @cluster. */
uint64_t qcow2_counts_get(const Qcow2Counts *counts, uint64_t cluster);

/** The next cluster from @from on that counts, before @end; @end when there is none. */
uint64_t qcow2_counts_next(const Qcow2Counts *counts, uint64_t from, uint64_t end);

/** Counts @wanted free clusters in a row once: the first such place from @from on. */
gboolean qcow2_counts_take(Qcow2Counts *counts, uint64_t from, uint64_t wanted,
                           uint64_t *ret_cluster, GError **error);
