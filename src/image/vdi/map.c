/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Maps guest offsets to the file, and allocates: the CstBlocksOps of this format, and the write
 * order that vdi.h describes. Allocation uses the lowest free block of the file. A walk through the
 * map fills a bitmap of used blocks before the first allocation. All functions run with the head's
 * lock held.
 */
#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "vdi.h"

gboolean(vdi_corrupt)(const Vdi *vdi, GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), vdi->blocks.blob->name,
                    what);
}

gboolean vdi_room(const Vdi *vdi, uint32_t *ret_blocks, GError **error)
{
    uint64_t size = 0, there;

    if (!cst_blob_get_size(vdi->blocks.blob, &size, error))
        return FALSE;
    there = size > vdi->header.offset_data ? size - vdi->header.offset_data : 0;
    there = cst_div_up(there, vdi->header.block_size);
    /* while resize.c builds a longer map, a few blocks are beyond the regular end */
    *ret_blocks = (uint32_t)MIN(there, vdi->header.blocks + 1 +
                                           VDI_MAX_BLOCKS * UINT64_C(4) / vdi->header.block_size);
    return TRUE;
}

static gboolean vdi_map(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                        GError **error)
{
    Vdi *vdi = (Vdi *)blocks;
    uint32_t entry = 0, room = 0;
    CstRun run = {CST_RUN_ZERO, length, 0};

    if (!cst_table_get(vdi->map, offset / blocks->block_size, &entry, error))
        return FALSE;
    if (entry < VDI_ZERO) {
        if (!vdi_room(vdi, &room, error))
            return FALSE;
        if (entry >= room)
            return vdi_corrupt(vdi, error, _("a block lies outside the file"));
        run.kind = CST_RUN_DATA;
        run.host = vdi_place(vdi, entry) + offset % blocks->block_size;
    }
    *ret_run = run;
    return TRUE;
}

/* --- blocks of the file ---------------------------------------------------------------------- */

void vdi_forget_used(Vdi *vdi)
{
    g_clear_pointer(&vdi->used, g_free);
}

static gboolean is_used(const uint8_t *used, uint32_t block)
{
    return (used[block / 8] & 1 << block % 8) != 0;
}

static void set_used(uint8_t *used, uint32_t block)
{
    used[block / 8] |= (uint8_t)(1 << block % 8);
}

gboolean vdi_find_used(Vdi *vdi, GError **error)
{
    g_autofree uint8_t *used = NULL;
    uint32_t entry = 0, room = 0, high = 0;

    if (vdi->used)
        return TRUE;
    if (!vdi_room(vdi, &room, error) || !cst_blob_get_size(vdi->blocks.blob, &vdi->old_size, error))
        return FALSE;
    used = cst_alloc0(MAX(room, vdi->header.blocks) / 8 + 1, 1, vdi->blocks.blob->name, error);
    if (!used)
        return FALSE;
    for (uint32_t i = 0; i < vdi->header.blocks; i++) {
        if (!cst_table_get(vdi->map, i, &entry, error))
            return FALSE;
        if (entry >= VDI_ZERO)
            continue;
        if (entry >= room)
            return vdi_corrupt(vdi, error, _("a block lies outside the file"));
        if (is_used(used, entry))
            return vdi_corrupt(vdi, error, _("two entries of the block map share a block"));
        set_used(used, entry);
        high = MAX(high, entry + 1);
    }
    vdi->used = g_steal_pointer(&used);
    vdi->used_bits = MAX(room, vdi->header.blocks);
    vdi->high = high;
    vdi->free_hint = 0;
    return TRUE;
}

gboolean vdi_alloc(Vdi *vdi, uint32_t *ret_block, gboolean *ret_fresh, GError **error)
{
    uint32_t block;

    if (!vdi_find_used(vdi, error))
        return FALSE;
    block = vdi->free_hint;
    while (block < vdi->header.blocks && is_used(vdi->used, block))
        block++;
    /* there are as many blocks as entries, and the caller has an entry without a block */
    g_assert(block < vdi->header.blocks);
    set_used(vdi->used, block);
    vdi->free_hint = block + 1;
    *ret_fresh = block >= vdi->high && vdi_place(vdi, block) >= vdi->old_size;
    vdi->high = MAX(vdi->high, block + 1);
    *ret_block = block;
    return TRUE;
}

static gboolean vdi_find_place(CstBlocks *blocks, CstStep *step, GError **error)
{
    Vdi *vdi = (Vdi *)blocks;
    uint32_t block = 0;

    if (!vdi_alloc(vdi, &block, &step->fresh, error))
        return FALSE;
    step->place = block;
    step->is_new = TRUE;
    step->unit = blocks->block_size;
    step->host = vdi_place(vdi, block) + step->offset % blocks->block_size;
    step->block_end = vdi_place(vdi, block) + blocks->block_size;
    return TRUE;
}

static gboolean vdi_link(CstBlocks *blocks, const CstStep *step, GError **error)
{
    Vdi *vdi = (Vdi *)blocks;

    if (!cst_table_set(vdi->map, step->offset / blocks->block_size, (uint32_t)step->place, error))
        return FALSE;
    if (vdi->header.allocated != vdi->high)
        vdi->header_dirty = TRUE;
    vdi->header.allocated = vdi->high;
    return TRUE;
}

static void vdi_take_back(CstBlocks *blocks, const CstStep *step)
{
    Vdi *vdi = (Vdi *)blocks;
    uint32_t block = (uint32_t)step->place;

    vdi->used[block / 8] &= (uint8_t) ~(1 << block % 8);
    vdi->free_hint = MIN(vdi->free_hint, block);
}

/* --- syncing --------------------------------------------------------------------------------- */

gboolean vdi_write_header(Vdi *vdi, GError **error)
{
    vdi_header_update(&vdi->header);
    if (!cst_blob_pwrite(vdi->blocks.blob, vdi->header.raw, sizeof(vdi->header.raw), 0, error))
        return FALSE;
    vdi->header_dirty = FALSE;
    return TRUE;
}

gboolean vdi_sync(CstBlocks *blocks, GError **error)
{
    Vdi *vdi = (Vdi *)blocks;

    if (vdi->header_dirty && !vdi_write_header(vdi, error))
        return FALSE;
    return !cst_table_is_dirty(vdi->map) ||
           (cst_blocks_barrier(blocks, error) && cst_table_write(vdi->map, error));
}

const CstBlocksOps vdi_ops = {
    .map = vdi_map,
    .place = vdi_find_place,
    .link = vdi_link,
    .take_back = vdi_take_back,
    .sync = vdi_sync,
};
