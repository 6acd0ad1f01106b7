/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Resizes a two-level image. Growing first clears entries beyond the old end, and moves the L1
 * table of qcow if it needs more space. It writes zeroes where a longer backing image would become
 * visible. Then one write of the header switches to the new size. Shrinking switches first, then
 * drops the data beyond the new end. So a power cut leaves the image with the old or the new size,
 * and at worst leaks.
 */
#include "levels.h"

#include <base/i18n.h>
#include <base/units.h>

static uint64_t clusters_of(const CstLevels *levels, uint64_t capacity)
{
    return cst_div_up(capacity, levels->cluster_size);
}

static gboolean forget_entry(CstLevels *levels, uint64_t table, uint64_t inside, GError **error)
{
    uint64_t raw = 0;

    return cst_levels_l2_get(levels, table, inside, &raw, error) &&
           (raw == 0 || cst_levels_l2_set(levels, table, inside, 0, error));
}

/* Lock held. Clears the entries of all clusters from @first on. */
static gboolean forget_from(CstLevels *levels, uint64_t first, CstTask *task, GError **error)
{
    uint64_t table = 0, l1_index = first / levels->l2_entries, inside = first % levels->l2_entries;

    if (inside > 0 && l1_index < levels->l1_entries) {
        if (!cst_levels_l1_get(levels, l1_index, &table, error))
            return FALSE;
        for (; table != 0 && inside < levels->l2_entries; inside++)
            if (!forget_entry(levels, table, inside, error))
                return FALSE;
        l1_index++;
    }
    for (; l1_index < levels->l1_entries; l1_index++)
        if (!cst_task_check(task, error) || !cst_levels_l1_get(levels, l1_index, &table, error) ||
            (table != 0 && !cst_levels_l1_set(levels, l1_index, 0, error)))
            return FALSE;
    return TRUE;
}

/* --- growing ---------------------------------------------------------------------------------- */

/* Lock held, the cache clean. The old table on the disk stays unchanged until the switch. */
static gboolean copy_l1(CstLevels *levels, uint64_t to, uint64_t length, GError **error)
{
    uint64_t old = levels->l1_entries * 8;

    return cst_blocks_copy_host(&levels->blocks, levels->l1_offset, to, old, error) &&
           cst_blocks_zero_host(&levels->blocks, to + old, length - old, CST_ZERO_MAY_UNMAP,
                                error) &&
           cst_blob_pwrite(levels->blocks.blob, "", 1, to + length - 1, error) &&
           cst_blocks_barrier(&levels->blocks, error);
}

/* Lock held. Makes the clusters of the old table available, so that they are allocated next. */
static void spare_l1(CstLevels *levels, uint64_t offset, uint64_t length)
{
    uint64_t size = levels->cluster_size;

    for (uint64_t at = offset; offset % size == 0 && at < offset + length; at += size)
        g_array_append_val(levels->spare, at);
}

/* Lock held. */
static gboolean move_l1(CstLevels *levels, uint64_t entries, GError **error)
{
    uint64_t old_offset = levels->l1_offset, to = 0;
    uint64_t length = cst_round_up(entries * 8, levels->cluster_size);
    gboolean fresh;

    if (!cst_levels_alloc(levels, length, &to, &fresh, error) ||
        !copy_l1(levels, to, length, error))
        return FALSE;
    levels->l1_offset = to;
    if (!levels->format->write_header(levels, error)) {
        levels->l1_offset = old_offset;
        return FALSE;
    }
    cst_page_cache_clear(levels->cache);
    if (!cst_blocks_barrier(&levels->blocks, error))
        return FALSE;
    spare_l1(levels, old_offset, levels->l1_entries * 8);
    levels->l1_entries = entries;
    return TRUE;
}

/*
 * Makes the added range read as zeroes, in the last old cluster and where a backing image is
 * longer.
 */
static gboolean zero_added(CstLevels *levels, uint64_t old, uint64_t capacity, GError **error)
{
    uint64_t end = MIN(cst_round_up(old, levels->cluster_size), capacity);
    uint64_t shown = levels->blocks.lacks_backing ? capacity : levels->blocks.backing_size;

    if (!levels->blocks.backing && !levels->blocks.lacks_backing)
        shown = 0;
    end = MAX(end, MIN(shown, capacity));
    if (levels->blocks.lacks_backing && !levels->format->zero_entries)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' can't grow without its backing image, which may be longer"),
                        levels->blocks.blob->name);
    return end <= old ||
           cst_levels_zero(&levels->blocks.image, old, end - old, CST_ZERO_MAY_UNMAP, error);
}

/* Holds the lock only while tables change, because writing acquires it. */
static gboolean prepare_tables(CstLevels *levels, uint64_t capacity, CstTask *task, GError **error)
{
    uint64_t entries = levels->format->l1_entries(levels, capacity);
    gboolean ok;

    g_mutex_lock(&levels->blocks.lock);
    ok = (!levels->format->begin || levels->format->begin(levels, error)) &&
         forget_from(levels, clusters_of(levels, levels->blocks.image.capacity), task, error) &&
         cst_levels_sync(&levels->blocks, error) && cst_blocks_barrier(&levels->blocks, error) &&
         (entries <= levels->l1_entries || move_l1(levels, entries, error));
    g_mutex_unlock(&levels->blocks.lock);
    return ok;
}

static gboolean levels_grow(CstLevels *levels, uint64_t capacity, CstTask *task, GError **error)
{
    uint64_t old = levels->blocks.image.capacity;

    if (!prepare_tables(levels, capacity, task, error))
        return FALSE;
    levels->blocks.image.capacity = capacity;
    if (zero_added(levels, old, capacity, error) &&
        cst_blocks_write_through(&levels->blocks, error) &&
        levels->format->write_header(levels, error))
        return cst_blocks_barrier(&levels->blocks, error);
    levels->blocks.image.capacity = old;
    return FALSE;
}

/* --- shrinking -------------------------------------------------------------------------------- */

static gboolean levels_shrink(CstLevels *levels, uint64_t capacity, CstTask *task, GError **error)
{
    uint64_t old = levels->blocks.image.capacity;
    CstImageCheck check = {0};
    gboolean ok;

    if (!cst_blocks_write_through(&levels->blocks, error))
        return FALSE;
    levels->blocks.image.capacity = capacity;
    if (!levels->format->write_header(levels, error)) {
        levels->blocks.image.capacity = old;
        return FALSE;
    }
    if (!cst_blocks_barrier(&levels->blocks, error))
        return FALSE;
    g_mutex_lock(&levels->blocks.lock);
    ok = (!levels->format->begin || levels->format->begin(levels, error)) &&
         forget_from(levels, clusters_of(levels, capacity), task, error) &&
         cst_levels_sync(&levels->blocks, error) && cst_blocks_barrier(&levels->blocks, error);
    levels->l1_entries = levels->format->l1_entries(levels, capacity);
    cst_page_cache_clear(levels->cache);
    g_mutex_unlock(&levels->blocks.lock);
    /* a damaged image keeps its leaks */
    return ok && cst_levels_check(levels, CST_CHECK_REPAIR_LEAKS, &check, task, error);
}

gboolean cst_levels_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                           CstTask *task, GError **error)
{
    CstLevels *levels = cst_levels_of(image);
    uint64_t old = image->capacity;

    if (!levels->format->check_capacity(levels, capacity, error))
        return FALSE;
    if (preallocation != CST_PREALLOC_OFF &&
        (levels->blocks.backing || levels->blocks.lacks_backing))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' has a backing image: preallocation is not supported"),
                        levels->blocks.blob->name);
    if (capacity < old)
        return levels_shrink(levels, capacity, task, error);
    if (capacity > old && !levels_grow(levels, capacity, task, error))
        return FALSE;
    return preallocation == CST_PREALLOC_OFF ||
           cst_levels_preallocate(levels, clusters_of(levels, old), clusters_of(levels, capacity),
                                  preallocation, task, error);
}
