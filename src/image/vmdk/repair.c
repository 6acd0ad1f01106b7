/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Repairs the findings of a walk (walk.c) in a sparse extent. Errors come first, tables before
 * grains. Both copies of a bad table are rebuilt at the end of the file from the readable copy. A
 * grain that shares its place gets a copy of the data. Each pass is followed by a new walk, at most
 * PASSES times. Leaks are freed only when no error is left, because a damaged entry may refer to
 * their space.
 *
 * New tables and grains are durable before the directories refer to them, as with every other
 * change of the extent (sparse.h). Space that a repair drops becomes a leak, not an error.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "check.h"
#include "create.h"

#define PASSES 4

/* --- errors ----------------------------------------------------------------------------------- */

/*
 * Reads the table's entries from the first copy at a valid place; without such a copy they are
 * zero.
 */
static gboolean read_any_copy(VmdkSparse *sparse, uint64_t index, uint8_t *buf, size_t len,
                              GError **error)
{
    uint32_t places[2] = {0, 0};
    gboolean holds = FALSE;

    memset(buf, 0, len);
    if (!vmdk_tables_places(sparse->tables, index, &places[0], &places[1], error))
        return FALSE;
    for (unsigned i = 0; i < 2; i++) {
        if (!vmdk_tables_place_holds(sparse->tables, places[i], &holds, error))
            return FALSE;
        if (holds)
            return cst_blob_pread(sparse->blocks.blob, buf, len, places[i] * UINT64_C(512), error);
    }
    return TRUE;
}

/* Writes both copies at the end of the file. */
static gboolean rebuild_table(VmdkSparse *sparse, uint64_t index, GError **error)
{
    uint64_t len = vmdk_header_table_len(&sparse->header), sector = 0;
    uint8_t entries[VMDK_MAX_GTES * 4] = {0};
    CstBlob *blob = sparse->blocks.blob;

    return read_any_copy(sparse, index, entries, sparse->header.gtes * sizeof(uint32_t), error) &&
           vmdk_sparse_take(sparse, 2 * len, &sector, error) &&
           cst_blob_pwrite(blob, entries, (size_t)len * VMDK_SECTOR, sector * VMDK_SECTOR, error) &&
           cst_blob_pwrite(blob, entries, (size_t)len * VMDK_SECTOR, (sector + len) * VMDK_SECTOR,
                           error) &&
           vmdk_tables_move(sparse->tables, index, (uint32_t)sector, (uint32_t)(sector + len),
                            error);
}

/*
 * A grain that shares its place gets a copy of the data, because either user may be the right one.
 * A grain at an invalid place is dropped.
 */
static gboolean repair_grain(VmdkWalk *walk, uint64_t grain, uint32_t entry, GError **error)
{
    VmdkSparse *sparse = walk->sparse;
    gboolean holds = FALSE;
    uint64_t sector = 0;

    if (!vmdk_sparse_holds(sparse, grain, entry, &holds, error))
        return FALSE;
    if (holds) {
        if (!g_hash_table_contains(walk->conflicts, &grain))
            return TRUE;
        if (!vmdk_sparse_take(sparse, sparse->header.grain, &sector, error) ||
            !cst_blocks_copy_host(&sparse->blocks, entry * UINT64_C(512), sector * VMDK_SECTOR,
                                  sparse->blocks.block_size, error))
            return FALSE;
    }
    return vmdk_tables_set(sparse->tables, grain, (uint32_t)sector, error);
}

static gboolean repair_grains(VmdkWalk *walk, GError **error)
{
    VmdkSparse *sparse = walk->sparse;

    for (uint64_t i = 0; i < vmdk_header_tables(&sparse->header); i++) {
        uint32_t place = 0, redundant = 0;

        if (!vmdk_tables_places(sparse->tables, i, &place, &redundant, error))
            return FALSE;
        if (place != 0 &&
            (!cst_task_check(walk->task, error) || !vmdk_walk_grains(walk, i, repair_grain, error)))
            return FALSE;
    }
    return TRUE;
}

static gboolean repair_errors(VmdkWalk *walk, GError **error)
{
    VmdkSparse *sparse = walk->sparse;
    gboolean moved = FALSE;

    for (uint64_t i = 0; i < vmdk_header_tables(&sparse->header); i++) {
        if (!vmdk_walk_is_bad(walk, i))
            continue;
        if (!rebuild_table(sparse, i, error))
            return FALSE;
        moved = TRUE;
    }
    if (moved && (!cst_blocks_flush(&sparse->blocks.image, error) ||
                  !vmdk_sparse_reset_tables(sparse, error)))
        return FALSE;
    return repair_grains(walk, error) && cst_blocks_flush(&sparse->blocks.image, error);
}

/* --- leaks ------------------------------------------------------------------------------------ */

static gboolean catch_up(VmdkWalk *walk, GError **error)
{
    VmdkSparse *sparse = walk->sparse;
    size_t len = sparse->header.gtes * sizeof(uint32_t);
    uint8_t entries[VMDK_MAX_GTES * 4];

    for (guint i = 0; i < walk->lagging->len; i++) {
        uint32_t place = 0, redundant = 0;

        if (!vmdk_tables_places(sparse->tables, g_array_index(walk->lagging, uint64_t, i), &place,
                                &redundant, error) ||
            !cst_blob_pread(sparse->blocks.blob, entries, len, place * UINT64_C(512), error) ||
            !cst_blob_pwrite(sparse->blocks.blob, entries, len, redundant * UINT64_C(512), error))
            return FALSE;
    }
    return TRUE;
}

static gboolean give_back_leaks(VmdkWalk *walk, GError **error)
{
    for (guint i = 0; i < walk->gaps->len; i++) {
        const VmdkGap *gap = &g_array_index(walk->gaps, VmdkGap, i);

        if (!cst_blocks_zero_host(&walk->sparse->blocks, gap->offset, gap->length,
                                  CST_ZERO_MAY_UNMAP, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean repair_leaks(VmdkWalk *walk, GError **error)
{
    VmdkSparse *sparse = walk->sparse;
    VmdkHeader *header = &sparse->header;

    if (!catch_up(walk, error) || !give_back_leaks(walk, error))
        return FALSE;
    if (header->unclean) {
        header->unclean = FALSE;
        if (!cst_blocks_flush(&sparse->blocks.image, error) ||
            !vmdk_write_header(sparse->blocks.blob, header, error))
            return FALSE;
    }
    return cst_blocks_flush(&sparse->blocks.image, error);
}

/* Rebuilt tables may share grains, so this walks and repairs again. */
static gboolean repair_again(VmdkWalk *walk, unsigned pass, GError **error)
{
    g_auto(VmdkWalk) again = {0};
    CstImageCheck *check = &walk->check;

    if (pass == PASSES)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is too damaged to be repaired"),
                        walk->sparse->blocks.blob->name);
    if (!vmdk_walk(&again, walk->sparse, walk->task, error))
        return FALSE;
    if (again.check.errors > 0) {
        if (!repair_errors(&again, error) || !repair_again(&again, pass + 1, error))
            return FALSE;
        check->errors += again.check.errors;
    } else if (!repair_leaks(&again, error)) {
        return FALSE;
    }
    check->leaks = again.check.leaks;
    check->image_end = again.check.image_end;
    return TRUE;
}

gboolean vmdk_repair(VmdkWalk *walk, unsigned flags, GError **error)
{
    CstImageCheck *check = &walk->check;

    if (check->errors > 0) {
        /* leaks are unknown while errors hide used space */
        if (!(flags & CST_CHECK_REPAIR_ALL))
            return TRUE;
        if (!repair_errors(walk, error) || !repair_again(walk, 1, error))
            return FALSE;
        check->errors_fixed = check->errors;
    } else if (!repair_leaks(walk, error)) {
        return FALSE;
    }
    check->leaks_fixed = check->leaks;
    return TRUE;
}
