/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Resizes an image, which QEMU can't do with this format. A longer table would overlap the first
 * clusters. So these are moved to the end of the file first, and zero entries replace them. One
 * write of the header switches between the old and the new size. All other writes are valid with
 * either header.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "parallels.h"

static gboolean write_out(Parallels *parallels, GError **error)
{
    return parallels_sync(&parallels->blocks, error) &&
           cst_blocks_barrier(&parallels->blocks, error);
}

/*
 * All earlier changes are durable. Later changes need not wait for this header, because they are
 * valid with either one: no entry refers to a removed cluster, and a longer table does not overlap
 * used space.
 */
static gboolean switch_header(Parallels *parallels, uint64_t capacity, uint64_t entries,
                              GError **error)
{
    uint64_t sectors = capacity / PARALLELS_SECTOR;
    uint8_t *raw = parallels->raw, before[PARALLELS_HEADER_LEN];

    memcpy(before, raw, sizeof(before));
    if (parallels_is_old(raw))
        cst_put_le32(raw + PARALLELS_AT_SECTORS, (uint32_t)sectors);
    else
        cst_put_le64(raw + PARALLELS_AT_SECTORS, sectors);
    cst_put_le32(raw + PARALLELS_AT_ENTRIES, (uint32_t)entries);
    cst_put_le32(raw + PARALLELS_AT_DATA, (uint32_t)(parallels->data_start / PARALLELS_SECTOR));
    if (!parallels_write_header(parallels, error)) {
        memcpy(raw, before, sizeof(before));
        return FALSE;
    }
    parallels->blocks.image.capacity = capacity;
    parallels_reset_bat(parallels);
    return TRUE;
}

/* --- growing ---------------------------------------------------------------------------------- */

/* Zeroes the last cluster beyond the old end, because it may have old data. */
static gboolean zero_tail(Parallels *parallels, GError **error)
{
    uint64_t end = parallels->blocks.image.capacity, size = parallels->cluster_size;
    uint32_t entry = 0;

    if (end % size == 0)
        return TRUE;
    if (!cst_table_get(parallels->bat, end / size, &entry, error))
        return FALSE;
    return entry == 0 ||
           cst_blocks_zero_host(&parallels->blocks, entry * parallels->unit + end % size,
                                size - end % size, CST_ZERO_MAY_UNMAP, error);
}

/* Clears the entries from @first on, which are beyond the guest's disk. */
static gboolean forget_from(Parallels *parallels, uint64_t first, CstTask *task, GError **error)
{
    uint32_t entry = 0;

    for (uint64_t i = first; i < parallels->entries; i++)
        if (!cst_task_check(task, error) || !cst_table_get(parallels->bat, i, &entry, error) ||
            (entry != 0 && !parallels_set(parallels, i, 0, error)))
            return FALSE;
    return write_out(parallels, error);
}

/* Moves all clusters before @start. On success the table on the disk refers to the copies. */
static gboolean make_room(Parallels *parallels, uint64_t start, CstTask *task, GError **error)
{
    uint32_t entry = 0;

    parallels->end = MAX(parallels->end, start);
    g_array_set_size(parallels->spare, 0); /* they may lie before @start */
    for (uint64_t i = 0; i < parallels->entries; i++) {
        if (!cst_task_check(task, error) || !cst_table_get(parallels->bat, i, &entry, error))
            return FALSE;
        if (entry != 0 && entry * parallels->unit < start &&
            !parallels_move(parallels, i, entry * parallels->unit, error))
            return FALSE;
    }
    return write_out(parallels, error);
}

static gboolean lengthen_table(Parallels *parallels, uint64_t entries, CstTask *task,
                               GError **error)
{
    uint64_t start = parallels->data_start, table_end = parallels_table_end(entries);

    if (table_end > start)
        start += cst_round_up(table_end - start, parallels->cluster_size);
    if (!make_room(parallels, start, task, error) ||
        !cst_table_fill(parallels->blocks.blob, PARALLELS_HEADER_LEN, parallels->entries,
                        entries - parallels->entries, 0, task, error) ||
        !cst_blocks_barrier(&parallels->blocks, error))
        return FALSE;
    parallels->data_start = start;
    return TRUE;
}

static gboolean parallels_grow(Parallels *parallels, uint64_t capacity,
                               CstPreallocation preallocation, CstTask *task, GError **error)
{
    uint64_t size = parallels->cluster_size;
    uint64_t old = cst_div_up(parallels->blocks.image.capacity, size);
    uint64_t wanted = cst_div_up(capacity, size), entries = MAX(wanted, parallels->entries);

    if (!parallels_find_end(parallels, error) || !zero_tail(parallels, error) ||
        !forget_from(parallels, old, task, error) ||
        !lengthen_table(parallels, entries, task, error) ||
        !switch_header(parallels, capacity, entries, error))
        return FALSE;
    return preallocation == CST_PREALLOC_OFF ||
           parallels_preallocate(parallels, old, wanted, preallocation, task, error);
}

/* --- shrinking -------------------------------------------------------------------------------- */

/*
 * Clears the removed entries first, so that growing again finds zeroes. Free clusters at the end of
 * the file are truncated; free clusters between used ones are returned to the file system.
 */
static gboolean parallels_shrink(Parallels *parallels, uint64_t capacity, CstTask *task,
                                 GError **error)
{
    uint64_t entries = cst_div_up(capacity, parallels->cluster_size);

    return forget_from(parallels, entries, task, error) &&
           switch_header(parallels, capacity, entries, error) &&
           parallels_give_back(parallels, task, error);
}

gboolean parallels_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                          CstTask *task, GError **error)
{
    Parallels *parallels = (Parallels *)image;
    gboolean ok;

    if (!parallels_check_capacity(capacity, parallels->cluster_size,
                                  parallels_is_old(parallels->raw), error))
        return FALSE;
    g_mutex_lock(&parallels->blocks.lock);
    ok = parallels_begin(parallels, error) && write_out(parallels, error);
    if (ok && capacity > image->capacity)
        ok = parallels_grow(parallels, capacity, preallocation, task, error);
    else if (ok && capacity < image->capacity)
        ok = parallels_shrink(parallels, capacity, task, error);
    g_mutex_unlock(&parallels->blocks.lock);
    return ok;
}
