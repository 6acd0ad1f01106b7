/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Repair. An entry that points outside of the file is cleared. If two entries have the same place,
 * the second one gets a copy, because either may be right. The in-use mark is set before any
 * change.
 */
#include <string.h>

#include <base/units.h>

#include "walk.h"

static gboolean fix_entry(Parallels *parallels, uint64_t index, uint64_t host, GError **error)
{
    return host == 0 ? parallels_set(parallels, index, 0, error)
                     : parallels_move(parallels, index, host, error);
}

/*
 * Both walks find the same errors, because the second one never reads an entry that it has changed.
 */
static gboolean repair_table(const ParallelsWalk *walk, GError **error)
{
    Parallels *parallels = walk->parallels;
    CstImageCheck *found = walk->check, recount = {0};
    ParallelsWalk again = *walk;

    parallels->end = found->image_end;
    parallels->end_known = TRUE;
    parallels->old_size = parallels->file_size;
    memset(again.used, 0, again.used_bytes);
    again.before = 0;
    again.check = &recount;
    again.fix = fix_entry;
    /* parallels_check() flushes before it clears the mark. */
    if (!parallels_begin(parallels, error) || !parallels_walk_table(&again, error) ||
        !parallels_sync(&parallels->blocks, error))
        return FALSE;
    found->errors_fixed = found->errors;
    found->image_end = parallels->end;
    return TRUE;
}

gboolean parallels_review(Parallels *parallels, gboolean fix, CstImageCheck *ret_check,
                          CstTask *task, GError **error)
{
    ParallelsWalk walk = {.parallels = parallels, .check = ret_check, .task = task};
    gboolean ok = parallels_walk_init(&walk, error) && parallels_walk_table(&walk, error) &&
                  (!fix || ret_check->errors == 0 || repair_table(&walk, error));

    ret_check->total_clusters =
        cst_div_up(parallels->blocks.image.capacity, parallels->cluster_size);
    g_free(walk.used);
    return ok;
}

/* Releases clusters inside the file that no entry refers to. */
static gboolean give_back_gaps(const ParallelsWalk *walk, GError **error)
{
    Parallels *parallels = walk->parallels;
    uint64_t size = parallels->cluster_size, end = walk->check->image_end;

    for (uint64_t at = parallels_align(parallels, parallels->data_start); at < end; at += size)
        if (!parallels_walk_uses(walk, (at + walk->shift) / size) &&
            (!cst_task_check(walk->task, error) ||
             !cst_blob_discard(parallels->blocks.blob, at, size, error)))
            return FALSE;
    return TRUE;
}

gboolean parallels_give_back(Parallels *parallels, CstTask *task, GError **error)
{
    CstImageCheck check = {0};
    ParallelsWalk walk = {.parallels = parallels, .check = &check, .task = task};
    gboolean ok = parallels_walk_init(&walk, error) && parallels_walk_table(&walk, error) &&
                  (check.errors > 0 || (give_back_gaps(&walk, error) &&
                                        parallels_cut(parallels, check.image_end, error)));

    g_free(walk.used);
    return ok;
}
