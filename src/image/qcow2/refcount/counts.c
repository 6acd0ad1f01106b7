/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A sparse array of reference counts: an index of chunks of 16-bit counters. A chunk is allocated
 * with the first count in its range. A counter of 65,535 is saturated; the hash table "more" has
 * the part of the count above 65,535.
 *
 * The index (CHUNKS_MAX) and the chunks (BYTES_MAX) have limits, because any user can create a
 * sparse file of any length.
 */
#include "counts.h"

#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#define CHUNK      (UINT64_C(1) << QCOW2_COUNTS_CHUNK_BITS)
#define CHUNKS_MAX (UINT64_C(1) << 21) /* 64 Gi clusters, 16 MiB of pointers */
#define BYTES_MAX  CST_GIB             /* 512 Mi counted clusters: 32 TiB of 64 KiB ones */

static gboolean counts_extend(Qcow2Counts *counts, uint64_t clusters, GError **error)
{
    uint64_t chunks = clusters / CHUNK + 1;

    if (chunks > CHUNKS_MAX)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("the file has too many clusters (%" PRIu64 ") to count them"), clusters);
    if (chunks > counts->chunk_count) {
        uint16_t **grown = cst_realloc(counts->chunks, chunks, sizeof(*grown), counts->name, error);

        if (!grown)
            return FALSE;
        counts->chunks = grown;
        memset(counts->chunks + counts->chunk_count, 0,
               (chunks - counts->chunk_count) * sizeof(*counts->chunks));
        counts->chunk_count = chunks;
    }
    counts->clusters = MAX(counts->clusters, clusters);
    return TRUE;
}

gboolean qcow2_counts_init(Qcow2Counts *counts, uint64_t clusters, const char *name, GError **error)
{
    *counts = (Qcow2Counts){.name = name};
    if (!counts_extend(counts, clusters, error))
        return FALSE;
    counts->more = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    return TRUE;
}

void qcow2_counts_clear(Qcow2Counts *counts)
{
    for (uint64_t i = 0; i < counts->chunk_count; i++)
        g_free(counts->chunks[i]);
    g_free(counts->chunks);
    g_clear_pointer(&counts->more, g_hash_table_unref);
    memset(counts, 0, sizeof(*counts));
}

static gboolean add_chunk(Qcow2Counts *counts, uint64_t cluster, GError **error)
{
    if (counts->bytes >= BYTES_MAX)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("counting the file's clusters takes more than %u MiB of memory"),
                        (unsigned)(BYTES_MAX / CST_MIB));
    counts->chunks[cluster / CHUNK] = cst_alloc0(CHUNK, sizeof(uint16_t), counts->name, error);
    if (!counts->chunks[cluster / CHUNK])
        return FALSE;
    counts->bytes += CHUNK * sizeof(uint16_t);
    return TRUE;
}

gboolean qcow2_counts_add_slowly(Qcow2Counts *counts, uint64_t cluster, uint64_t times,
                                 GError **error)
{
    uint64_t sum = qcow2_counts_get(counts, cluster) + times;

    if (!counts->chunks[cluster / CHUNK] && !add_chunk(counts, cluster, error))
        return FALSE;
    counts->chunks[cluster / CHUNK][cluster % CHUNK] = (uint16_t)MIN(sum, G_MAXUINT16);
    if (sum >= G_MAXUINT16) {
        uint64_t rest = sum - G_MAXUINT16;

        g_hash_table_replace(counts->more, g_memdup2(&cluster, sizeof(cluster)),
                             g_memdup2(&rest, sizeof(rest)));
    }
    return TRUE;
}

void qcow2_counts_subtract(Qcow2Counts *counts, uint64_t cluster, uint64_t times)
{
    uint64_t count = qcow2_counts_get(counts, cluster);

    g_assert(times <= count);
    if (times == 0)
        return;
    if (count >= G_MAXUINT16)
        g_hash_table_remove(counts->more, &cluster);
    counts->chunks[cluster / CHUNK][cluster % CHUNK] = 0;
    /* cannot fail: the chunk exists */
    qcow2_counts_add(counts, cluster, count - times, NULL);
    if (count == times)
        counts->hint = MIN(counts->hint, cluster);
}

uint64_t qcow2_counts_get(const Qcow2Counts *counts, uint64_t cluster)
{
    const uint16_t *chunk = cluster < counts->clusters ? counts->chunks[cluster / CHUNK] : NULL;
    uint64_t count = chunk ? chunk[cluster % CHUNK] : 0;

    if (count == G_MAXUINT16) {
        const uint64_t *rest = g_hash_table_lookup(counts->more, &cluster);

        count += rest ? *rest : 0;
    }
    return count;
}

uint64_t qcow2_counts_next(const Qcow2Counts *counts, uint64_t from, uint64_t end)
{
    uint64_t at = from, stop = MIN(end, counts->clusters);

    while (at < stop) {
        const uint16_t *chunk = counts->chunks[at / CHUNK];
        uint64_t border = MIN((at / CHUNK + 1) * CHUNK, stop);

        for (; chunk && at < border; at++)
            if (chunk[at % CHUNK] != 0)
                return at;
        at = border;
    }
    return end;
}

gboolean qcow2_counts_take(Qcow2Counts *counts, uint64_t from, uint64_t wanted,
                           uint64_t *ret_cluster, GError **error)
{
    uint64_t first = MAX(from, counts->hint);

    for (;;) {
        uint64_t hit = qcow2_counts_next(counts, first, first + wanted);

        if (hit == first + wanted)
            break;
        first = hit + 1;
    }
    if (!counts_extend(counts, MAX(counts->clusters, first + wanted), error))
        return FALSE;
    for (uint64_t i = 0; i < wanted; i++)
        if (!qcow2_counts_add(counts, first + i, 1, error))
            return FALSE;
    if (wanted == 1 && from <= counts->hint)
        counts->hint = first + 1;
    *ret_cluster = first;
    return TRUE;
}
