/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A walk through the table of an image, with a bit for each cluster of the file. An entry that
 * points outside of the file is an error. If two entries have the same place, the second one is an
 * error.
 */
#include "walk.h"

#include <inttypes.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#define CANCEL_EVERY 65536

gboolean parallels_walk_uses(const ParallelsWalk *walk, uint64_t cluster)
{
    return (walk->used[cluster / 8] & 1 << cluster % 8) != 0;
}

/*
 * Returns the last cluster of the file that the bytes at @host reach; an unaligned place touches
 * two.
 */
static uint64_t last_cluster(const ParallelsWalk *walk, uint64_t host)
{
    return (host + walk->shift + walk->parallels->cluster_size - 1) / walk->parallels->cluster_size;
}

gboolean parallels_walk_init(ParallelsWalk *walk, GError **error)
{
    Parallels *parallels = walk->parallels;
    uint64_t size = parallels->cluster_size, first = parallels_align(parallels, 0);
    uint64_t most = UINT32_MAX * parallels->unit;

    if (!cst_blob_get_size(parallels->blocks.blob, &parallels->file_size, error))
        return FALSE;
    walk->shift = first ? size - first : 0;
    walk->used_bytes = (size_t)last_cluster(walk, MIN(parallels->file_size, most)) / 8 + 1;
    walk->used = cst_alloc0(walk->used_bytes, 1, parallels->blocks.blob->name, error);
    return walk->used != NULL;
}

static void cluster_count(ParallelsWalk *walk, uint64_t host)
{
    CstImageCheck *check = walk->check;
    uint64_t size = walk->parallels->cluster_size;

    check->allocated_clusters++;
    if (walk->before != 0 && host != walk->before + size)
        check->fragmented_clusters++;
    walk->before = host;
}

static gboolean look_at(ParallelsWalk *walk, uint64_t index, uint64_t host, GError **error)
{
    Parallels *parallels = walk->parallels;
    uint64_t first = (host + walk->shift) / parallels->cluster_size;
    uint64_t last = last_cluster(walk, host);
    gboolean outside =
        host >= parallels->file_size || host < parallels_table_end(parallels->entries);

    if (!outside)
        walk->check->image_end = MAX(walk->check->image_end, host + parallels->cluster_size);
    if (!outside && !parallels_walk_uses(walk, first) && !parallels_walk_uses(walk, last)) {
        walk->used[first / 8] |= (uint8_t)(1 << first % 8);
        walk->used[last / 8] |= (uint8_t)(1 << last % 8);
        cluster_count(walk, host);
        return TRUE;
    }
    if (outside)
        cst_check_errors(walk->check, 1, _("cluster %" PRIu64 " can't lie at %" PRIu64), index,
                         host);
    else
        cst_check_errors(
            walk->check, 1,
            _("cluster %" PRIu64 " lies at %" PRIu64 ", where another one lies as well"), index,
            host);
    return !walk->fix || (cst_task_check(walk->task, error) &&
                          walk->fix(parallels, index, outside ? 0 : host, error));
}

gboolean parallels_walk_table(ParallelsWalk *walk, GError **error)
{
    Parallels *parallels = walk->parallels;
    uint32_t entry = 0;

    walk->check->image_end = MAX(parallels->data_start, parallels_table_end(parallels->entries));
    for (uint64_t i = 0; i < parallels->entries; i++)
        if ((i % CANCEL_EVERY == 0 && !cst_task_check(walk->task, error)) ||
            !cst_table_get(parallels->bat, i, &entry, error) ||
            (entry != 0 && !look_at(walk, i, entry * parallels->unit, error)))
            return FALSE;
    return TRUE;
}
