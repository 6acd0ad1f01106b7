/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Grows, shrinks and preallocates an image. One write of the header's sector switches to a larger
 * size, and to a new map if the old one has no room to grow. All data that the new header refers to
 * is durable before this write, and all data of the old header stays valid until then.
 *
 * Growing first clears leftovers beyond the old end, in the last block and in the map. Shrinking
 * clears the entries beyond the new end first, so until the header is written this range reads as
 * zeroes.
 */
#include <inttypes.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "space.h"
#include "vdi.h"

static uint32_t blocks_for(const Vdi *vdi, uint64_t capacity)
{
    uint32_t size = vdi->header.block_size;

    return (uint32_t)cst_div_up(capacity, size);
}

/* --- allocation ------------------------------------------------------------------------------ */

/* Allocates a block of zeroes and enters it into the map. */
static gboolean give_place(Vdi *vdi, uint32_t index, CstPreallocation preallocation, CstTask *task,
                           GError **error)
{
    CstStep step = {.offset = (uint64_t)index * vdi->header.block_size};
    uint32_t block = 0;

    if (!vdi_alloc(vdi, &block, &step.fresh, error))
        return FALSE;
    step.place = block;
    if (!step.fresh && !cst_blob_zero(vdi->blocks.blob, vdi_place(vdi, block),
                                      vdi->header.block_size, CST_ZERO_MAY_UNMAP, error))
        return FALSE;
    return cst_space_preallocate(vdi->blocks.blob, vdi_place(vdi, block), vdi->header.block_size,
                                 preallocation, task, error) &&
           vdi_ops.link(&vdi->blocks, &step, error);
}

/* Extends the file so that it has room for blocks of all entries of [@first, @end). */
static gboolean vdi_lengthen(Vdi *vdi, uint32_t first, uint32_t end, GError **error)
{
    uint32_t entry = 0, missing = 0;
    uint64_t size = 0, wanted;

    if (!vdi_find_used(vdi, error))
        return FALSE;
    for (uint32_t i = first; i < end; i++) {
        if (!cst_table_get(vdi->map, i, &entry, error))
            return FALSE;
        missing += entry >= VDI_ZERO;
    }
    wanted = vdi_place(vdi, (uint32_t)MIN((uint64_t)vdi->high + missing, vdi->header.blocks));
    return cst_blob_get_size(vdi->blocks.blob, &size, error) &&
           (size >= wanted || cst_blob_resize(vdi->blocks.blob, wanted, error));
}

gboolean vdi_preallocate(Vdi *vdi, uint32_t first, uint32_t end, CstPreallocation preallocation,
                         CstTask *task, GError **error)
{
    if (!vdi_lengthen(vdi, first, end, error))
        return FALSE;
    for (uint32_t i = first; i < end; i++) {
        uint32_t entry = 0;

        if (!cst_task_check(task, error) || !cst_table_get(vdi->map, i, &entry, error))
            return FALSE;
        if (entry >= VDI_ZERO && !give_place(vdi, i, preallocation, task, error))
            return FALSE;
    }
    return TRUE;
}

/* --- room for a longer map ------------------------------------------------------------------- */

/*
 * The map can't grow over the blocks. So the first blocks of the file move to its end, and a new
 * map is written to their space. All block numbers are then relative to the end of the new map. The
 * old map stays unchanged, and one write of the header switches to the new numbers.
 */
static gboolean free_first_blocks(Vdi *vdi, uint32_t count, uint32_t used_end, CstTask *task,
                                  GError **error)
{
    uint32_t entry = 0, to = MAX(used_end, count);

    if (used_end == 0)
        return TRUE;
    for (uint32_t i = 0; i < vdi->header.blocks; i++) {
        if (!cst_table_get(vdi->map, i, &entry, error))
            return FALSE;
        if (entry >= count) /* no block, or not in the new map's space */
            continue;
        if (!cst_task_check(task, error) ||
            !cst_blocks_copy_host(&vdi->blocks, vdi_place(vdi, entry), vdi_place(vdi, to),
                                  vdi->header.block_size, error) ||
            !cst_table_set(vdi->map, i, to, error))
            return FALSE;
        vdi->header.allocated = ++to;
        vdi->header_dirty = TRUE;
    }
    return vdi_sync(&vdi->blocks, error) && cst_blocks_barrier(&vdi->blocks, error);
}

/* Writes the entries of the new map: the entries of the old one, minus @count. */
static gboolean copy_map(Vdi *vdi, CstTable *to, uint32_t count, GError **error)
{
    uint32_t entry = 0;

    for (uint32_t i = 0; i < vdi->header.blocks; i++) {
        if (!cst_table_get(vdi->map, i, &entry, error))
            return FALSE;
        if (!cst_table_set(to, i, entry < VDI_ZERO ? entry - count : entry, error))
            return FALSE;
    }
    return cst_table_write(to, error);
}

/* Also sets the count in @before, because the old map refers to the moved blocks. */
static gboolean move_map(Vdi *vdi, uint32_t blocks, VdiHeader *before, CstTask *task,
                         GError **error)
{
    uint32_t size = vdi->header.block_size, offset_map = vdi->header.offset_data, used_end;
    uint32_t count = (uint32_t)cst_div_up((uint64_t)blocks * 4, size);
    uint64_t offset_data = offset_map + (uint64_t)count * size;
    CstTable *table = NULL;
    gboolean ok;

    if (offset_data > UINT32_MAX)
        return cst_fail(error, CST_ERROR_LIMIT, _("the block map of '%s' has no room to grow"),
                        vdi->blocks.blob->name);
    if (!vdi_find_used(vdi, error))
        return FALSE;
    used_end = vdi->high;
    if (!free_first_blocks(vdi, count, used_end, task, error) ||
        !cst_table_fill(vdi->blocks.blob, offset_map, 0, blocks, VDI_NOWHERE, task, error))
        return FALSE;
    table = cst_table_new(vdi->blocks.blob, offset_map, blocks, FALSE, NULL, NULL);
    ok = copy_map(vdi, table, count, error);
    cst_table_free(table);
    if (!ok)
        return FALSE;
    vdi->header.offset_map = offset_map;
    vdi->header.offset_data = (uint32_t)offset_data;
    before->allocated = vdi->header.allocated;
    vdi->header.allocated -= MIN(vdi->header.allocated, count);
    return TRUE;
}

/* --- growing and shrinking ------------------------------------------------------------------- */

static gboolean switch_header(Vdi *vdi, uint64_t capacity, uint32_t blocks, GError **error)
{
    vdi->header.capacity = capacity;
    vdi->header.blocks = blocks;
    return cst_blocks_barrier(&vdi->blocks, error) && vdi_write_header(vdi, error);
}

/*
 * Uses the written header from now on, although it may not be durable yet: any program that opens
 * the file now reads it, and with it the new map.
 */
static gboolean use_header(Vdi *vdi, GError **error)
{
    vdi_forget_used(vdi);
    vdi_reset_map(vdi);
    vdi->blocks.image.capacity = vdi->header.capacity;
    return cst_blocks_barrier(&vdi->blocks, error);
}

/* Zeroes the last block beyond the old end, because it may have old data. */
static gboolean zero_tail(Vdi *vdi, GError **error)
{
    uint64_t end = vdi->header.capacity, size = vdi->header.block_size;
    uint32_t entry = 0;

    if (end % size == 0)
        return TRUE;
    if (!cst_table_get(vdi->map, end / size, &entry, error))
        return FALSE;
    return entry >= VDI_ZERO ||
           cst_blocks_zero_host(&vdi->blocks, vdi_place(vdi, entry) + end % size, size - end % size,
                                CST_ZERO_MAY_UNMAP, error);
}

/* Clears entries beyond the old end, because they may have any value. */
static gboolean clear_spare_entries(Vdi *vdi, GError **error)
{
    uint32_t entry = 0;

    for (uint32_t i = blocks_for(vdi, vdi->header.capacity); i < vdi->header.blocks; i++) {
        if (!cst_table_get(vdi->map, i, &entry, error) ||
            (entry != VDI_NOWHERE && !cst_table_set(vdi->map, i, VDI_NOWHERE, error)))
            return FALSE;
    }
    return vdi_sync(&vdi->blocks, error);
}

static gboolean vdi_grow(Vdi *vdi, uint64_t capacity, CstPreallocation preallocation, CstTask *task,
                         GError **error)
{
    uint32_t old = vdi->header.blocks, blocks = MAX(blocks_for(vdi, capacity), old);
    VdiHeader before = vdi->header;
    gboolean ok;

    if (!zero_tail(vdi, error) || !clear_spare_entries(vdi, error))
        return FALSE;
    if (before.offset_map + (uint64_t)blocks * 4 > before.offset_data)
        ok = move_map(vdi, blocks, &before, task, error);
    else
        ok = cst_table_fill(vdi->blocks.blob, before.offset_map, old, blocks - old, VDI_NOWHERE,
                            task, error);
    if (!ok || !switch_header(vdi, capacity, blocks, error)) {
        before.allocated = MAX(before.allocated, vdi->header.allocated);
        vdi->header = before;
        vdi_forget_used(vdi);
        return FALSE;
    }
    if (!use_header(vdi, error))
        return FALSE;
    return (vdi->header.kind == VDI_DYNAMIC && preallocation == CST_PREALLOC_OFF) ||
           vdi_preallocate(vdi, old, blocks, preallocation, task, error);
}

/* Clears the removed entries first, so that growing again finds zeroes. */
static gboolean vdi_shrink(Vdi *vdi, uint64_t capacity, CstTask *task, GError **error)
{
    uint32_t blocks = blocks_for(vdi, capacity);

    for (uint32_t i = blocks; i < vdi->header.blocks; i++)
        if (!cst_table_set(vdi->map, i, VDI_NOWHERE, error))
            return FALSE;
    if (!vdi_sync(&vdi->blocks, error))
        return FALSE;
    vdi->header.capacity = vdi->blocks.image.capacity = capacity;
    if (!vdi_compact(vdi, task, error))
        return FALSE;
    return switch_header(vdi, capacity, blocks, error) && use_header(vdi, error);
}

gboolean vdi_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                    CstTask *task, GError **error)
{
    Vdi *vdi = vdi_of(image);
    gboolean ok;

    if (capacity > (uint64_t)VDI_MAX_BLOCKS * vdi->header.block_size || capacity > VDI_MAX_CAPACITY)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a VDI image can have at most %" PRIu64 " bytes"),
                        MIN((uint64_t)VDI_MAX_BLOCKS * vdi->header.block_size, VDI_MAX_CAPACITY));
    g_mutex_lock(&vdi->blocks.lock);
    ok = vdi_sync(&vdi->blocks, error);
    if (ok && capacity > vdi->header.capacity)
        ok = vdi_grow(vdi, capacity, preallocation, task, error);
    else if (ok && capacity < vdi->header.capacity)
        ok = vdi_shrink(vdi, capacity, task, error);
    g_mutex_unlock(&vdi->blocks.lock);
    return ok;
}
