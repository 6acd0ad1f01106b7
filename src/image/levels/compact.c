/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Closes the gaps of a file, before its end is cut off. The old copies of moved data stay until the
 * file is cut. So after a power cut each table refers to the old or the new place, and both hold
 * the same bytes. Compressed data is not moved, and neither are tables for which no gap is long
 * enough.
 */
#include "compact.h"

#include <base/units.h>

typedef struct {
    CstLevelsWalk *walk;
    uint64_t kept; /* number of clusters that the file would have without gaps */
    uint64_t gap;  /* all clusters below are used */
} Move;

/* Finds the first run of @count free clusters below @end; returns @end if no run is long enough. */
static uint64_t find_gap(const Move *move, uint64_t from, uint64_t count, uint64_t end)
{
    uint64_t free = 0;

    for (uint64_t i = from; i < end; i++) {
        free = cst_levels_walk_is_free(move->walk, i) ? free + 1 : 0;
        if (free == count)
            return i + 1 - count;
    }
    return end;
}

/* Copies @count clusters to a gap; *ret_host is their old offset if no gap is long enough. */
static gboolean move_down(Move *move, uint64_t from, uint64_t count, uint64_t *ret_host,
                          GError **error)
{
    CstLevels *levels = move->walk->levels;
    uint64_t size = levels->cluster_size, end = from / size;
    uint64_t to = find_gap(move, move->gap, count, end);

    *ret_host = to * size;
    if (count == 1)
        move->gap = to;
    if (to == end)
        return TRUE;
    cst_levels_walk_mark(move->walk, move->walk->used, to * size, count * size);
    return cst_task_check(move->walk->task, error) &&
           cst_blocks_copy_host(&levels->blocks, from, to * size, count * size, error);
}

/*
 * Moves the L1 table, which may be at the end after growing. One write of the header switches to
 * it.
 */
static gboolean move_l1(Move *move, GError **error)
{
    CstLevels *levels = move->walk->levels;
    uint64_t size = levels->cluster_size, from = levels->l1_offset, to = 0;

    if (from % size != 0 || from < move->kept * size)
        return TRUE;
    if (!move_down(move, from, cst_div_up(levels->l1_entries * 8, size), &to, error))
        return FALSE;
    cst_page_cache_clear(levels->cache);
    levels->l1_offset = to;
    return to == from || (cst_blocks_barrier(&levels->blocks, error) &&
                          levels->format->write_header(levels, error) &&
                          cst_blocks_barrier(&levels->blocks, error));
}

static gboolean move_tables(Move *move, GError **error)
{
    CstLevels *levels = move->walk->levels;
    uint64_t size = levels->cluster_size, table = 0, to = 0, bytes = cst_levels_l2_bytes(levels);

    if (bytes % size != 0)
        return TRUE;
    for (uint64_t i = 0; i < levels->l1_entries; i++) {
        if (!cst_levels_l1_get(levels, i, &table, error))
            return FALSE;
        if (table % size != 0 || table < move->kept * size)
            continue;
        if (!move_down(move, table, bytes / size, &to, error) ||
            (to != table && !cst_levels_l1_set(levels, i, to, error)))
            return FALSE;
    }
    return cst_levels_sync(&levels->blocks, error);
}

static gboolean move_clusters_of(Move *move, uint64_t table, GError **error)
{
    CstLevels *levels = move->walk->levels;
    uint64_t size = levels->cluster_size, raw = 0, to = 0;
    CstLevelsEntry entry;

    for (uint64_t i = 0; i < levels->l2_entries; i++) {
        if (!cst_levels_l2_get(levels, table, i, &raw, error))
            return FALSE;
        if (!cst_levels_decode(levels, raw, &entry) || entry.kind != CST_RUN_DATA ||
            entry.host % size != 0 || entry.host < move->kept * size)
            continue;
        if (!move_down(move, entry.host, 1, &to, error) ||
            (to != entry.host && !cst_levels_l2_set(levels, table, i, to, error)))
            return FALSE;
    }
    return TRUE;
}

gboolean cst_levels_compact(CstLevelsWalk *walk, GError **error)
{
    CstLevels *levels = walk->levels;
    uint64_t clusters = cst_div_up(walk->file_size, levels->cluster_size), table = 0;
    Move move = {.walk = walk, .kept = clusters - walk->check->leaks};

    if (!cst_levels_sync(&levels->blocks, error) || !move_l1(&move, error) ||
        !move_tables(&move, error))
        return FALSE;
    cst_page_cache_clear(levels->cache);
    for (uint64_t i = 0; i < levels->l1_entries; i++)
        if (!cst_levels_l1_get(levels, i, &table, error) ||
            (table != 0 && !move_clusters_of(&move, table, error)))
            return FALSE;
    return cst_levels_sync(&levels->blocks, error) && cst_blob_flush(levels->blocks.blob, error);
}
