/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Maps guest clusters to the file, and allocates new ones, for blocks.c. New clusters are allocated
 * at the end of the file; clusters that were allocated and taken back are reused first. The end is
 * found once, by a walk through the whole table, which fails for a damaged table. An entry is set
 * in the cached table after the data is written; parallels.h describes the write order. All
 * functions run with the lock of CstBlocks held.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "walk.h"

#define MAX_STEPS 4096u /* clusters examined for one run */
#define MAX_FILE  ((uint64_t)G_MAXINT64 / 2)

/* --- mapping ---------------------------------------------------------------------------------- */

static gboolean look_inside(Parallels *parallels, uint64_t host, gboolean *ret_inside,
                            GError **error)
{
    if (host >= parallels->file_size &&
        !cst_blob_get_size(parallels->blocks.blob, &parallels->file_size, error))
        return FALSE;
    *ret_inside = host < parallels->file_size && host >= parallels_table_end(parallels->entries);
    return TRUE;
}

/*
 * Returns whether @next continues the run that begins with @first: it lies @clusters clusters after
 * @first, or both entries are 0.
 */
static gboolean goes_on(Parallels *parallels, uint32_t first, uint32_t next, uint64_t clusters)
{
    uint64_t host = next * parallels->unit;
    gboolean inside = FALSE;

    if (first == 0 || next == 0)
        return first == next;
    return host == first * parallels->unit + clusters * parallels->cluster_size &&
           look_inside(parallels, host, &inside, NULL) && inside;
}

static gboolean parallels_map(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                              GError **error)
{
    Parallels *parallels = (Parallels *)blocks;
    uint64_t size = parallels->cluster_size, index = offset / size, clusters = 1;
    uint64_t last = (offset + length - 1) / size;
    CstRunKind nowhere = blocks->backing ? CST_RUN_BACKING : CST_RUN_ZERO;
    uint32_t first = 0, next = 0;
    gboolean inside = TRUE;

    if (!cst_table_get(parallels->bat, index, &first, error) ||
        (first != 0 && !look_inside(parallels, first * parallels->unit, &inside, error)))
        return FALSE;
    if (!inside)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), blocks->blob->name,
                        _("data lies outside the file"));
    /* damage in later entries is reported to a caller that reads there */
    while (index + clusters <= last && clusters < MAX_STEPS &&
           cst_table_get(parallels->bat, index + clusters, &next, NULL) &&
           goes_on(parallels, first, next, clusters))
        clusters++;
    *ret_run =
        (CstRun){first ? CST_RUN_DATA : nowhere, MIN(length, clusters * size - offset % size), 0};
    if (first != 0)
        ret_run->host = first * parallels->unit + offset % size;
    return TRUE;
}

/* --- allocation ------------------------------------------------------------------------------- */

gboolean parallels_find_end(Parallels *parallels, GError **error)
{
    CstImageCheck check = {0};
    ParallelsWalk walk = {.parallels = parallels, .check = &check};
    gboolean walked;

    if (parallels->end_known)
        return TRUE;
    walked = cst_blob_get_size(parallels->blocks.blob, &parallels->old_size, error) &&
             parallels_walk_init(&walk, error) && parallels_walk_table(&walk, error);
    g_free(walk.used);
    if (!walked)
        return FALSE;
    if (check.errors > 0)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"),
                        parallels->blocks.blob->name,
                        _("clusters overlap, or lie outside the file; a check can repair it"));
    parallels->end = check.image_end;
    parallels->end_known = TRUE;
    return TRUE;
}

gboolean parallels_alloc(Parallels *parallels, uint64_t *ret_host, gboolean *ret_fresh,
                         GError **error)
{
    GArray *spare = parallels->spare;
    uint64_t host;

    if (!parallels_find_end(parallels, error))
        return FALSE;
    if (spare->len > 0) {
        *ret_host = g_array_index(spare, uint64_t, spare->len - 1);
        *ret_fresh = FALSE;
        g_array_set_size(spare, spare->len - 1);
        return TRUE;
    }
    host = parallels_align(parallels, parallels->end);
    if (host / parallels->unit > UINT32_MAX || host > MAX_FILE)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' is too long for more data"),
                        parallels->blocks.blob->name);
    parallels->end = host + parallels->cluster_size;
    *ret_host = host;
    *ret_fresh = host >= parallels->old_size;
    return TRUE;
}

static gboolean find_place(CstBlocks *blocks, CstStep *step, GError **error)
{
    Parallels *parallels = (Parallels *)blocks;

    if (!parallels_alloc(parallels, &step->place, &step->fresh, error))
        return FALSE;
    step->is_new = TRUE;
    step->backed = blocks->backing != NULL;
    step->unit = parallels->cluster_size;
    step->host = step->place + step->offset % parallels->cluster_size;
    step->block_end = step->place + parallels->cluster_size;
    return TRUE;
}

gboolean parallels_set(Parallels *parallels, uint64_t index, uint64_t host, GError **error)
{
    return cst_table_set(parallels->bat, index, (uint32_t)(host / parallels->unit), error);
}

gboolean parallels_move(Parallels *parallels, uint64_t index, uint64_t from, GError **error)
{
    uint64_t to = 0;
    gboolean fresh;

    return parallels_alloc(parallels, &to, &fresh, error) &&
           cst_blocks_copy_host(&parallels->blocks, from, to, parallels->cluster_size, error) &&
           parallels_set(parallels, index, to, error);
}

static gboolean parallels_link(CstBlocks *blocks, const CstStep *step, GError **error)
{
    Parallels *parallels = (Parallels *)blocks;

    return parallels_set(parallels, step->offset / parallels->cluster_size, step->place, error);
}

static void take_back(CstBlocks *blocks, const CstStep *step)
{
    g_array_append_val(((Parallels *)blocks)->spare, step->place);
}

/* --- syncing ---------------------------------------------------------------------------------- */

gboolean parallels_sync(CstBlocks *blocks, GError **error)
{
    CstTable *bat = ((Parallels *)blocks)->bat;

    return !cst_table_is_dirty(bat) ||
           (cst_blocks_barrier(blocks, error) && cst_table_write(bat, error));
}

gboolean parallels_cut(Parallels *parallels, uint64_t end, GError **error)
{
    g_autoptr(GError) why = NULL;
    CstBlob *blob = parallels->blocks.blob;
    uint64_t size = 0;

    parallels->end_known = FALSE;
    g_array_set_size(parallels->spare, 0);
    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (size > end && !cst_blob_resize(blob, end, &why) &&
        !g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return cst_blob_get_size(blob, &parallels->file_size, error);
}

const CstBlocksOps parallels_blocks = {
    .map = parallels_map,
    .place = find_place,
    .link = parallels_link,
    .take_back = take_back,
    .sync = parallels_sync,
};
