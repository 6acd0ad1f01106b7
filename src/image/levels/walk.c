/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A walk through all tables, for check and repair. Tables are checked first, so that an overlap of
 * data with a table is an error of the data. Compressed data is checked last, because several
 * pieces may share a unit. If two entries use the same cluster or table, a repair copies it for the
 * second one, because either may be right. An entry with an invalid place is cleared.
 */
#include "walk.h"

#include <inttypes.h>

#include <base/alloc.h>
#include <base/i18n.h>
#include <base/units.h>

#define MAX_UNITS (UINT64_C(1) << 33)

static gboolean is_set(const uint8_t *bits, uint64_t bit)
{
    return (bits[bit / 8] & 1 << bit % 8) != 0;
}

/* Returns whether a unit of the range is set. Units beyond the end of the file count as not set. */
static gboolean bits_overlap(const CstLevelsWalk *walk, const uint8_t *bits, uint64_t offset,
                             uint64_t length)
{
    uint64_t unit = walk->levels->align, end = MIN(cst_div_up(offset + length, unit), walk->units);

    for (uint64_t i = offset / unit; i < end; i++)
        if (is_set(bits, i))
            return TRUE;
    return FALSE;
}

void cst_levels_walk_mark(const CstLevelsWalk *walk, uint8_t *bits, uint64_t offset,
                          uint64_t length)
{
    uint64_t unit = walk->levels->align, end = MIN(cst_div_up(offset + length, unit), walk->units);

    for (uint64_t i = offset / unit; i < end; i++)
        bits[i / 8] |= (uint8_t)(1 << i % 8);
}

gboolean cst_levels_walk_is_free(const CstLevelsWalk *walk, uint64_t number)
{
    uint64_t size = walk->levels->cluster_size;

    return !bits_overlap(walk, walk->used, number * size, size) &&
           !bits_overlap(walk, walk->packed, number * size, size);
}

static void bits_mark(CstLevelsWalk *walk, uint8_t *bits, uint64_t offset, uint64_t length)
{
    cst_levels_walk_mark(walk, bits, offset, length);
    walk->check->image_end = MAX(walk->check->image_end, offset + length);
}

/* --- tables ----------------------------------------------------------------------------------- */

static gboolean look_at_table(CstLevelsWalk *walk, uint64_t l1_index, uint64_t table,
                              GError **error)
{
    CstLevels *levels = walk->levels;
    gboolean sound = cst_levels_table_is_sound(levels, table, walk->file_size);
    uint64_t bytes = cst_levels_l2_bytes(levels);
    /* a table that is not aligned to units may share its units */
    gboolean shared =
        sound && table % levels->align == 0 && bits_overlap(walk, walk->used, table, bytes);

    if (sound && !shared) {
        bits_mark(walk, walk->used, table, bytes);
        return TRUE;
    }
    if (sound)
        cst_check_errors(walk->check, 1,
                         _("the table of L1 entry %" PRIu64 " lies at %" PRIu64
                           ", where something else lies as well"),
                         l1_index, table);
    else
        cst_check_errors(walk->check, 1,
                         _("the table of L1 entry %" PRIu64 " can't lie at "
                           "%" PRIu64),
                         l1_index, table);
    if (!walk->fix)
        return g_hash_table_add(walk->bad, GUINT_TO_POINTER((guint)l1_index + 1)) || TRUE;
    return sound ? walk->fix->copy_table(levels, l1_index, table, error)
                 : cst_levels_l1_set(levels, l1_index, 0, error);
}

static gboolean walk_tables(CstLevelsWalk *walk, GError **error)
{
    CstLevels *levels = walk->levels;
    uint64_t table = 0;

    for (uint64_t i = 0; i < levels->l1_entries; i++)
        if (!cst_levels_l1_get(levels, i, &table, error) ||
            (table != 0 && !look_at_table(walk, i, table, error)))
            return FALSE;
    return TRUE;
}

/* --- clusters --------------------------------------------------------------------------------- */

static void entry_count(CstLevelsWalk *walk, const CstLevelsEntry *entry)
{
    CstImageCheck *check = walk->check;

    check->allocated_clusters++;
    if (entry->kind == CST_RUN_PACKED) {
        check->compressed_clusters++;
        bits_mark(walk, walk->packed, entry->host, entry->packed);
        return;
    }
    if (walk->before != 0 && entry->host != walk->before + walk->levels->cluster_size)
        check->fragmented_clusters++;
    walk->before = entry->host;
    bits_mark(walk, walk->used, entry->host, walk->levels->cluster_size);
}

/* Checks one entry that refers to a cluster. */
static gboolean look_at_entry(CstLevelsWalk *walk, uint64_t table, uint64_t inside, uint64_t raw,
                              gboolean packed, GError **error)
{
    CstLevels *levels = walk->levels;
    CstLevelsEntry entry;
    gboolean sound = cst_levels_decode(levels, raw, &entry);
    uint64_t length = entry.kind == CST_RUN_PACKED ? entry.packed : levels->cluster_size;

    if ((entry.kind == CST_RUN_PACKED) != packed ||
        (sound && entry.kind != CST_RUN_PACKED && entry.kind != CST_RUN_DATA))
        return TRUE;
    sound = sound && entry.host < walk->file_size;
    if (sound && !bits_overlap(walk, walk->used, entry.host, length)) {
        entry_count(walk, &entry);
        return TRUE;
    }
    if (sound)
        cst_check_errors(walk->check, 1,
                         _("entry %" PRIu64 " of the table at %" PRIu64 ": its data lie at %" PRIu64
                           ", where something else lies as well"),
                         inside, table, entry.host);
    else
        cst_check_errors(
            walk->check, 1,
            _("entry %" PRIu64 " of the table at %" PRIu64 " leads to no place inside the file"),
            inside, table);
    if (!walk->fix)
        return TRUE;
    return sound && !packed ? walk->fix->copy_cluster(levels, table, inside, entry.host, error)
                            : cst_levels_l2_set(levels, table, inside, 0, error);
}

static gboolean walk_table(CstLevelsWalk *walk, uint64_t table, gboolean packed, GError **error)
{
    uint64_t raw = 0;

    for (uint64_t i = 0; i < walk->levels->l2_entries; i++)
        if (!cst_levels_l2_get(walk->levels, table, i, &raw, error) ||
            (raw != 0 && !look_at_entry(walk, table, i, raw, packed, error)))
            return FALSE;
    return cst_task_check(walk->task, error);
}

static gboolean walk_clusters(CstLevelsWalk *walk, gboolean packed, GError **error)
{
    CstLevels *levels = walk->levels;
    uint64_t table = 0;

    for (uint64_t i = 0; i < levels->l1_entries; i++) {
        if (!cst_levels_l1_get(levels, i, &table, error))
            return FALSE;
        if (table == 0 || g_hash_table_contains(walk->bad, GUINT_TO_POINTER((guint)i + 1)))
            continue;
        if (!walk_table(walk, table, packed, error))
            return FALSE;
    }
    return TRUE;
}

/* --- the whole walk --------------------------------------------------------------------------- */

static gboolean walk_prepare(CstLevelsWalk *walk, GError **error)
{
    CstLevels *levels = walk->levels;
    CstBlob *blob = levels->blocks.blob;

    cst_levels_walk_clear(walk);
    if (!cst_blob_get_size(blob, &walk->file_size, error))
        return FALSE;
    walk->units = cst_div_up(walk->file_size, levels->align);
    if (walk->units > MAX_UNITS)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' is too long to be checked"), blob->name);
    walk->used = cst_alloc0(walk->units / 8 + 1, 1, blob->name, error);
    walk->packed = walk->used ? cst_alloc0(walk->units / 8 + 1, 1, blob->name, error) : NULL;
    if (!walk->packed)
        return FALSE;
    walk->bad = g_hash_table_new(NULL, NULL);
    walk->before = 0;
    bits_mark(walk, walk->used, 0, levels->header.length);
    bits_mark(walk, walk->used, levels->l1_offset, levels->l1_entries * 8);
    /* QEMU writes whole sectors from the table's start on */
    cst_levels_walk_mark(walk, walk->packed, levels->l1_offset,
                         cst_round_up(levels->l1_entries * 8, CST_LEVELS_SECTOR));
    if (levels->name.length > 0)
        bits_mark(walk, walk->used, levels->name.offset, levels->name.length);
    return TRUE;
}

static void count_leaks(CstLevelsWalk *walk)
{
    uint64_t clusters = cst_div_up(walk->file_size, walk->levels->cluster_size);
    CstCheckRun run = {.findings = walk->check->findings, .unit = walk->levels->cluster_size};

    for (uint64_t i = 0; i < clusters; i++) {
        if (!cst_levels_walk_is_free(walk, i))
            continue;
        walk->check->leaks++;
        cst_check_run_add(&run, CST_FINDING_LEAK, i, N_("no table refers to them"));
    }
    cst_check_run_end(&run);
}

gboolean cst_levels_walk(CstLevelsWalk *walk, GError **error)
{
    CstLevels *levels = walk->levels;

    *walk->check = (CstImageCheck){.findings = walk->check->findings};
    if (!walk_prepare(walk, error) || !walk_tables(walk, error) ||
        !walk_clusters(walk, FALSE, error) ||
        (levels->format->packed && !walk_clusters(walk, TRUE, error)))
        return FALSE;
    walk->check->total_clusters = cst_div_up(levels->blocks.image.capacity, levels->cluster_size);
    count_leaks(walk);
    return TRUE;
}

void cst_levels_walk_clear(CstLevelsWalk *walk)
{
    g_clear_pointer(&walk->used, g_free);
    g_clear_pointer(&walk->packed, g_free);
    g_clear_pointer(&walk->bad, g_hash_table_unref);
}
