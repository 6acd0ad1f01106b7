/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Check and repair of a two-level image. One walk counts (walk.c). A repair of errors walks again
 * and fixes each error it finds. The second user of a table or cluster gets a copy. The copy is
 * durable before the table that refers to it, because the tables are written in the order of
 * levels.h. Then a third walk counts the remaining errors.
 *
 * Leaks are repaired only when no error is left. Damaged tables hide used clusters, and
 * cst_levels_compact() would overwrite data that a damaged entry refers to.
 */
#include "compact.h"
#include "walk.h"

/* --- copies for second users ------------------------------------------------------------------ */

static gboolean copy_table(CstLevels *levels, uint64_t l1_index, uint64_t from, GError **error)
{
    uint64_t table = 0;

    return cst_levels_sync(&levels->blocks, error) &&
           cst_levels_new_table(levels, l1_index, &table, error) &&
           cst_blocks_copy_host(&levels->blocks, from, table, cst_levels_l2_bytes(levels), error);
}

static gboolean copy_cluster(CstLevels *levels, uint64_t table, uint64_t inside, uint64_t from,
                             GError **error)
{
    uint64_t host = 0;
    gboolean fresh;

    return cst_levels_alloc(levels, levels->cluster_size, &host, &fresh, error) &&
           cst_blocks_copy_host(&levels->blocks, from, host, levels->cluster_size, error) &&
           cst_levels_l2_set(levels, table, inside, host, error);
}

static const CstLevelsFix copies = {.copy_table = copy_table, .copy_cluster = copy_cluster};

/* --- repair ----------------------------------------------------------------------------------- */

/* Repairs the errors with a second walk. On return, @walk has the result of a third walk. */
static gboolean repair_errors(CstLevelsWalk *walk, GError **error)
{
    CstLevels *levels = walk->levels;
    CstImageCheck found = *walk->check;

    if (levels->format->begin && !levels->format->begin(levels, error))
        return FALSE;
    /*
     * An unaligned cluster may cross the end of the file. Its tail is reserved, so that copies do
     * not overwrite it.
     */
    if (levels->align < levels->cluster_size &&
        !cst_levels_leave(levels, levels->cluster_size, error))
        return FALSE;
    walk->fix = &copies;
    if (!cst_levels_walk(walk, error) || !cst_levels_sync(&levels->blocks, error) ||
        !cst_blob_flush(levels->blocks.blob, error))
        return FALSE;
    walk->fix = NULL;
    if (!cst_levels_walk(walk, error))
        return FALSE;
    found.errors_fixed = found.errors - MIN(found.errors, walk->check->errors);
    found.image_end = walk->check->image_end;
    found.leaks = walk->check->leaks;
    *walk->check = found;
    return TRUE;
}

static gboolean repair_leaks(CstLevelsWalk *walk, GError **error)
{
    CstLevels *levels = walk->levels;
    CstImageCheck found = *walk->check;

    if (levels->format->begin && !levels->format->begin(levels, error))
        return FALSE;
    if (!cst_levels_compact(walk, error) || !cst_levels_walk(walk, error) ||
        !cst_levels_cut(levels, walk->check->image_end, error) ||
        !cst_blob_flush(levels->blocks.blob, error) || !cst_levels_walk(walk, error))
        return FALSE;
    found.leaks_fixed = found.leaks - MIN(found.leaks, walk->check->leaks);
    found.image_end = walk->check->image_end;
    *walk->check = found;
    return TRUE;
}

static gboolean levels_repair(CstLevelsWalk *walk, unsigned flags, GError **error)
{
    CstImageCheck *check = walk->check;
    gboolean errors = (flags & (CST_CHECK_REPAIR_ALL | CST_LEVELS_REPAIR_ERRORS)) != 0;

    if (errors && check->errors > 0 && !repair_errors(walk, error))
        return FALSE;
    return (flags & ~CST_LEVELS_REPAIR_ERRORS) == 0 || check->leaks == 0 ||
           check->errors > check->errors_fixed || repair_leaks(walk, error);
}

gboolean cst_levels_check(CstLevels *levels, unsigned flags, CstImageCheck *ret_check,
                          CstTask *task, GError **error)
{
    CstLevelsWalk walk = {.levels = levels, .check = ret_check, .task = task};
    gboolean ok = cst_levels_walk(&walk, error) && levels_repair(&walk, flags, error);

    cst_levels_walk_clear(&walk);
    return ok;
}
