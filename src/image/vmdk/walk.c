/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The walk of a check through all metadata of a hosted sparse extent. Every sector of the file has
 * at most one user: header, descriptor and directories, one table, or one grain. A sector with two
 * users and a place outside of the file are errors. A sector without a user that is not zero is a
 * leak. A redundant table that differs from the primary one also counts as a leak, because it is
 * never read.
 *
 * All uses are collected in an array and sorted by sector, so the memory use depends on the
 * allocated grains, not on the capacity. The walk changes nothing; repair.c works on its result.
 */
#include "check.h"

#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "create.h"

#define CANCEL_EVERY 65536
#define TEXT_SECTORS (VMDK_MAX_DESCRIPTOR / VMDK_SECTOR)

static gboolean is_set(const uint8_t *bits, uint64_t bit)
{
    return (bits[bit / 8] & 1 << bit % 8) != 0;
}

static void sector_bit_set(uint8_t *bits, uint64_t bit)
{
    bits[bit / 8] |= (uint8_t)(1 << bit % 8);
}

static int by_sector(const void *a, const void *b)
{
    const VmdkUse *left = a, *right = b;

    if (left->sector != right->sector)
        return left->sector < right->sector ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

static void walk_use(VmdkWalk *walk, uint32_t sector, VmdkUseKind kind, uint64_t index)
{
    VmdkUse entry = {sector, kind, index};

    g_array_append_val(walk->uses, entry);
}

static uint64_t length_of(const VmdkWalk *walk, const VmdkUse *entry)
{
    const VmdkHeader *header = &walk->sparse->header;

    return entry->kind == VMDK_USE_GRAIN ? header->grain : vmdk_header_table_len(header);
}

/* --- tables ----------------------------------------------------------------------------------- */

/*
 * Marks overlapping tables bad before any is read, because a directory may name one a million
 * times.
 */
static void mark_shared(VmdkWalk *walk)
{
    const VmdkUse *before = NULL;

    g_array_sort(walk->uses, by_sector);
    for (guint i = 0; i < walk->uses->len; i++) {
        const VmdkUse *entry = &g_array_index(walk->uses, VmdkUse, i);

        if (before && entry->sector < before->sector + length_of(walk, before)) {
            sector_bit_set(walk->bad, before->index);
            sector_bit_set(walk->bad, entry->index);
        }
        before = entry;
    }
}

static gboolean find_tables(VmdkWalk *walk, GError **error)
{
    VmdkSparse *sparse = walk->sparse;
    gboolean is_redundant = (sparse->header.flags & VMDK_FLAG_REDUNDANT) != 0;
    uint64_t count = vmdk_header_tables(&sparse->header);
    gboolean holds = FALSE, redundant_holds = TRUE;

    for (uint64_t i = 0; i < count; i++) {
        uint32_t place = 0, redundant = 0;

        if ((i % CANCEL_EVERY == 0 && !cst_task_check(walk->task, error)) ||
            !vmdk_tables_places(sparse->tables, i, &place, &redundant, error))
            return FALSE;
        if (place == 0 && redundant == 0)
            continue;
        if (!vmdk_tables_place_holds(sparse->tables, place, &holds, error) ||
            (is_redundant &&
             !vmdk_tables_place_holds(sparse->tables, redundant, &redundant_holds, error)))
            return FALSE;
        if (!holds || !redundant_holds) {
            sector_bit_set(walk->bad, i);
            continue;
        }
        walk_use(walk, place, VMDK_USE_TABLE, i);
        if (is_redundant)
            walk_use(walk, redundant, VMDK_USE_REDUNDANT, i);
    }
    mark_shared(walk);
    for (uint64_t i = 0; i < count; i++)
        if (is_set(walk->bad, i))
            cst_check_errors(
                &walk->check, 1,
                _("'%s': grain table %" PRIu64 " lies outside of the file or over another one"),
                sparse->blocks.blob->name, i);
    return TRUE;
}

/* Records a leak if the redundant table differs from the primary one. */
static gboolean compare_copies(VmdkWalk *walk, uint64_t index, uint32_t place, uint32_t redundant,
                               GError **error)
{
    VmdkSparse *sparse = walk->sparse;
    size_t len = sparse->header.gtes * sizeof(uint32_t);
    uint8_t a[VMDK_MAX_GTES * 4], b[VMDK_MAX_GTES * 4];

    if (redundant == 0)
        return TRUE;
    if (!cst_blob_pread(sparse->blocks.blob, a, len, place * UINT64_C(512), error) ||
        !cst_blob_pread(sparse->blocks.blob, b, len, redundant * UINT64_C(512), error))
        return FALSE;
    if (memcmp(a, b, len) != 0) {
        g_array_append_val(walk->lagging, index);
        cst_check_leaks(&walk->check, 1,
                        _("'%s': the second copy of grain table %" PRIu64 " is out of date"),
                        sparse->blocks.blob->name, index);
    }
    return TRUE;
}

/* --- grains ----------------------------------------------------------------------------------- */

static gboolean look_at_grain(VmdkWalk *walk, uint64_t grain, uint32_t entry, GError **error)
{
    gboolean holds = FALSE;

    if (!vmdk_sparse_holds(walk->sparse, grain, entry, &holds, error))
        return FALSE;
    if (!holds) {
        cst_check_errors(&walk->check, 1, _("'%s': grain %" PRIu64 " can't lie at sector %u"),
                         walk->sparse->blocks.blob->name, grain, entry);
        return TRUE;
    }
    walk_use(walk, entry, VMDK_USE_GRAIN, grain);
    walk->check.allocated_clusters++;
    if (walk->before != 0 && entry != walk->before + walk->sparse->header.grain)
        walk->check.fragmented_clusters++;
    walk->before = entry;
    return TRUE;
}

gboolean vmdk_walk_grains(VmdkWalk *walk, uint64_t index, VmdkGrainFunc visit, GError **error)
{
    const VmdkHeader *header = &walk->sparse->header;
    uint64_t grain = index * header->gtes, count = 0;
    uint64_t end = MIN(grain + header->gtes, walk->check.total_clusters);
    uint32_t entry = 0;

    for (; grain < end; grain += count) {
        if (!vmdk_tables_get(walk->sparse->tables, grain, end - grain, &entry, &count, error))
            return FALSE;
        if (entry == 0 || (entry == VMDK_GTE_ZERO && (header->flags & VMDK_FLAG_ZERO_GRAINS)))
            continue;
        count = 1;
        if (!visit(walk, grain, entry, error))
            return FALSE;
    }
    return TRUE;
}

/* Counts a grain as one error, no matter how many uses overlap it. */
static void note_conflict(VmdkWalk *walk, const VmdkUse *grain)
{
    if (g_hash_table_add(walk->conflicts, g_memdup2(&grain->index, sizeof(grain->index))))
        cst_check_errors(
            &walk->check, 1,
            _("'%s': grain %" PRIu64 " lies at sector %u, where something else lies as well"),
            walk->sparse->blocks.blob->name, grain->index, grain->sector);
}

/* Each grain in an overlap of two uses is an error. */
static void find_conflicts(VmdkWalk *walk)
{
    uint64_t end = 0;
    const VmdkUse *last = NULL; /* the use that ends at end */

    g_array_sort(walk->uses, by_sector);
    for (guint i = 0; i < walk->uses->len; i++) {
        const VmdkUse *entry = &g_array_index(walk->uses, VmdkUse, i);

        if (last && entry->sector < end) {
            const VmdkUse *both[] = {last, entry};

            for (unsigned n = 0; n < 2; n++)
                if (both[n]->kind == VMDK_USE_GRAIN)
                    note_conflict(walk, both[n]);
        }
        if (!last || entry->sector + length_of(walk, entry) > end) {
            end = entry->sector + length_of(walk, entry);
            last = entry;
        }
    }
    walk->check.image_end = MAX(end, walk->sparse->header.overhead) * VMDK_SECTOR;
}

/* --- leaks ------------------------------------------------------------------------------------ */

/* Records the non-zero grain-sized units of an unused range as leaks. */
static gboolean look_at_gap(VmdkWalk *walk, uint64_t from, uint64_t to, GError **error)
{
    CstBlob *blob = walk->sparse->blocks.blob;
    uint64_t unit = walk->sparse->blocks.block_size, piece = MIN(unit, CST_MIB);
    g_autofree uint8_t *buf = cst_alloc(piece, 1, blob->name, error);
    gboolean leaks = FALSE;

    if (!buf)
        return FALSE;
    for (uint64_t at = from; at < to;) {
        uint64_t n = MIN(piece, to - at);
        CstExtent extent;

        if (!cst_task_check(walk->task, error) ||
            !cst_blob_extent(blob, at, to - at, &extent, error))
            return FALSE;
        if (extent.flags & CST_EXTENT_ZERO) {
            at += extent.length;
            continue;
        }
        n = MIN(n, unit - at % unit);
        if (!cst_blob_pread(blob, buf, (size_t)n, at, error))
            return FALSE;
        if (!cst_bytes_are_zero(buf, (size_t)n)) {
            cst_check_leaks(&walk->check, 1, _("'%s': no table refers to the data at %" PRIu64),
                            blob->name, at);
            leaks = TRUE;
            n = MIN(unit - at % unit, to - at); /* count the rest of the unit only once */
        }
        at += n;
    }
    if (leaks) {
        VmdkGap gap = {from, to - from};

        g_array_append_val(walk->gaps, gap);
    }
    return TRUE;
}

static gboolean find_leaks(VmdkWalk *walk, GError **error)
{
    const VmdkHeader *header = &walk->sparse->header;
    uint64_t directory = vmdk_header_directory_len(header), end = 0, size = 0;

    /* directories may be after the grains, and other programs place the text anywhere */
    for (uint64_t i = 0; header->descriptor && i < MIN(header->descriptor_len, TEXT_SECTORS); i++)
        walk_use(walk, (uint32_t)(header->descriptor + i), VMDK_USE_TABLE, 0);
    for (uint64_t i = 0; i < directory; i++) {
        walk_use(walk, (uint32_t)(header->gd + i), VMDK_USE_TABLE, 0);
        if (header->flags & VMDK_FLAG_REDUNDANT)
            walk_use(walk, (uint32_t)(header->rgd + i), VMDK_USE_TABLE, 0);
    }
    g_array_sort(walk->uses, by_sector);
    if (!cst_blob_get_size(walk->sparse->blocks.blob, &size, error))
        return FALSE;
    end = MAX(header->overhead, 1) * VMDK_SECTOR;
    for (guint i = 0; i < walk->uses->len; i++) {
        const VmdkUse *entry = &g_array_index(walk->uses, VmdkUse, i);
        uint64_t start = entry->sector * UINT64_C(512);

        if (start > end && start <= size && !look_at_gap(walk, end, start, error))
            return FALSE;
        end = MAX(end, start + length_of(walk, entry) * VMDK_SECTOR);
    }
    return end >= size || look_at_gap(walk, end, size, error);
}

/* --- the whole walk --------------------------------------------------------------------------- */

void vmdk_walk_clear(VmdkWalk *walk)
{
    g_free(walk->bad);
    if (walk->uses) {
        g_array_unref(walk->uses);
        g_array_unref(walk->gaps);
        g_array_unref(walk->lagging);
        g_hash_table_unref(walk->conflicts);
    }
}

/* Skips missing tables at little cost, because a directory may have millions of entries. */
static gboolean look_at(VmdkWalk *walk, uint64_t index, GError **error)
{
    uint32_t place = 0, redundant = 0;

    if (!vmdk_tables_places(walk->sparse->tables, index, &place, &redundant, error))
        return FALSE;
    if (place == 0 || is_set(walk->bad, index))
        return TRUE;
    return cst_task_check(walk->task, error) &&
           compare_copies(walk, index, place, redundant, error) &&
           vmdk_walk_grains(walk, index, look_at_grain, error);
}

gboolean vmdk_walk(VmdkWalk *walk, VmdkSparse *sparse, CstTask *task, GError **error)
{
    uint64_t count = vmdk_header_tables(&sparse->header);

    walk->sparse = sparse;
    walk->task = task;
    walk->uses = g_array_new(FALSE, FALSE, sizeof(VmdkUse));
    walk->gaps = g_array_new(FALSE, FALSE, sizeof(VmdkGap));
    walk->lagging = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    walk->conflicts = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    walk->check.total_clusters = cst_div_up(sparse->header.capacity, sparse->header.grain);
    walk->bad = cst_alloc0(count / 8 + 1, 1, sparse->blocks.blob->name, error);
    if (!walk->bad || !find_tables(walk, error))
        return FALSE;
    for (uint64_t i = 0; i < count; i++)
        if (!look_at(walk, i, error))
            return FALSE;
    find_conflicts(walk);
    return find_leaks(walk, error);
}

gboolean vmdk_walk_is_bad(const VmdkWalk *walk, uint64_t index)
{
    return is_set(walk->bad, index);
}
