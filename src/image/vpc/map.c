/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Maps guest offsets to the file, and allocates: the CstBlocksOps of this format, and the write
 * order that vpc.h describes. New blocks are written to the end of the file, over the footer. The
 * next sync writes the footer after them. All functions run with the head's lock held.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "vpc.h"

gboolean(vpc_corrupt)(const Vpc *vpc, GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), vpc->blocks.blob->name,
                    what);
}

gboolean vpc_meets_metadata(const Vpc *vpc, uint64_t host, uint64_t length)
{
    for (unsigned i = 0; i < vpc->header.region_count; i++) {
        const VpcRegion *region = &vpc->header.regions[i];

        if (host < region->offset + region->length && region->offset < host + length)
            return TRUE;
    }
    return FALSE;
}

/* Sets *ret_host to the place of a block; 0: no place. */
static gboolean find_block(Vpc *vpc, uint32_t block, uint64_t *ret_host, GError **error)
{
    uint32_t entry = 0;
    uint64_t host, size = 0;

    if (!cst_table_get(vpc->table, block, &entry, error))
        return FALSE;
    *ret_host = 0;
    if (entry == VPC_NOWHERE)
        return TRUE;
    host = (uint64_t)entry * VPC_SECTOR;
    if (!cst_blob_get_size(vpc->blocks.blob, &size, error))
        return FALSE;
    if (host > size || vpc->header.bitmap_size > size - host)
        return vpc_corrupt(vpc, error, _("a block lies outside the file"));
    if (vpc_meets_metadata(vpc, host, vpc_stride(&vpc->header)))
        return vpc_corrupt(vpc, error, _("a block lies over other parts of the image"));
    *ret_host = host;
    return TRUE;
}

static gboolean vpc_map(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                        GError **error)
{
    Vpc *vpc = (Vpc *)blocks;
    uint64_t inside = offset % blocks->block_size, host = 0;
    uint32_t block, first = (uint32_t)(inside / VPC_SECTOR), sectors, run = 0;
    CstRunKind none = vpc->header.kind == VPC_DIFFERENCING ? CST_RUN_BACKING : CST_RUN_ZERO;
    gboolean valid = FALSE;

    *ret_run = (CstRun){CST_RUN_DATA, length, offset};
    if (vpc_is_fixed(vpc))
        return TRUE;
    block = (uint32_t)(offset / blocks->block_size);
    if (!find_block(vpc, block, &host, error))
        return FALSE;
    ret_run->kind = none;
    if (host == 0)
        return TRUE;
    sectors = (uint32_t)cst_div_up(inside + length, VPC_SECTOR) - first;
    if (!vpc_bitmap_run(vpc, host, first, sectors, &valid, &run, error))
        return FALSE;
    if (valid)
        ret_run->kind = CST_RUN_DATA;
    ret_run->host = host + vpc->header.bitmap_size + inside;
    ret_run->length = MIN(length, (uint64_t)run * VPC_SECTOR - inside % VPC_SECTOR);
    return TRUE;
}

/* --- new blocks ------------------------------------------------------------------------------ */

gboolean vpc_find_end(Vpc *vpc, GError **error)
{
    uint64_t end = 0;
    uint32_t entry = 0;

    if (vpc->end_known)
        return TRUE;
    if (!cst_blob_get_size(vpc->blocks.blob, &vpc->old_size, error))
        return FALSE;
    for (unsigned i = 0; i < vpc->header.region_count; i++)
        end = MAX(end, vpc->header.regions[i].offset + vpc->header.regions[i].length);
    for (uint32_t i = 0; i < vpc->header.entries; i++) {
        if (!cst_table_get(vpc->table, i, &entry, error))
            return FALSE;
        if (entry == VPC_NOWHERE)
            continue;
        if ((uint64_t)entry * VPC_SECTOR >= vpc->old_size)
            return vpc_corrupt(vpc, error, _("a block lies outside the file"));
        end = MAX(end, (uint64_t)entry * VPC_SECTOR + vpc_stride(&vpc->header));
    }
    vpc->end = cst_round_up(end, VPC_SECTOR);
    vpc->end_known = TRUE;
    return TRUE;
}

gboolean vpc_alloc(Vpc *vpc, uint64_t *ret_host, gboolean *ret_fresh, GError **error)
{
    if (!vpc_find_end(vpc, error))
        return FALSE;
    if (vpc->spare->len > 0) {
        *ret_host = g_array_index(vpc->spare, uint64_t, vpc->spare->len - 1);
        *ret_fresh = FALSE;
        g_array_set_size(vpc->spare, vpc->spare->len - 1);
        return TRUE;
    }
    if (vpc->end / VPC_SECTOR >= VPC_NOWHERE)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' is full: a VHD file ends at 2 TiB"),
                        vpc->blocks.blob->name);
    *ret_host = vpc->end;
    /* the bitmap overwrites the old footer */
    *ret_fresh = vpc->end + vpc->header.bitmap_size >= vpc->old_size;
    vpc->end += vpc_stride(&vpc->header);
    vpc->footer_dirty = TRUE;
    return TRUE;
}

static gboolean vpc_find_place(CstBlocks *blocks, CstStep *step, GError **error)
{
    Vpc *vpc = (Vpc *)blocks;
    uint64_t host = 0;

    if (!find_block(vpc, (uint32_t)(step->offset / blocks->block_size), &host, error))
        return FALSE;
    step->unit = VPC_SECTOR;
    step->is_new = host == 0;
    if (step->is_new) {
        if (!vpc_alloc(vpc, &host, &step->fresh, error))
            return FALSE;
        if (vpc->header.kind == VPC_DYNAMIC)
            step->unit = blocks->block_size;
        else
            step->fresh = FALSE; /* the parent's data is copied to it */
    }
    step->place = host;
    step->host = host + vpc->header.bitmap_size + step->offset % blocks->block_size;
    return TRUE;
}

static gboolean vpc_link(CstBlocks *blocks, const CstStep *step, GError **error)
{
    Vpc *vpc = (Vpc *)blocks;
    uint32_t block = (uint32_t)(step->offset / blocks->block_size);
    uint64_t inside = step->offset % blocks->block_size;
    uint32_t first = (uint32_t)(inside / VPC_SECTOR);
    uint32_t count = (uint32_t)cst_div_up(inside + step->length, VPC_SECTOR) - first;

    if (!step->is_new)
        return vpc_bitmap_set(vpc, step->place, first, count, error);
    if (vpc->header.kind == VPC_DYNAMIC) {
        first = 0;
        count = vpc->header.block_size / VPC_SECTOR;
    }
    return vpc_bitmap_write_new(vpc, step->place, first, count, error) &&
           cst_table_set(vpc->table, block, (uint32_t)(step->place / VPC_SECTOR), error);
}

static void vpc_take_back(CstBlocks *blocks, const CstStep *step)
{
    Vpc *vpc = (Vpc *)blocks;

    if (step->is_new)
        g_array_append_val(vpc->spare, step->place);
}

/* --- syncing --------------------------------------------------------------------------------- */

gboolean vpc_write_footer(Vpc *vpc, GError **error)
{
    uint64_t size = 0, at = vpc->end;

    if (!cst_blob_get_size(vpc->blocks.blob, &size, error))
        return FALSE;
    /* the file may be longer, and a block device always is */
    if (size > VPC_FOOTER_LEN)
        at = MAX(at, size - VPC_FOOTER_LEN);
    if (!cst_blob_pwrite(vpc->blocks.blob, vpc->header.footer, VPC_FOOTER_LEN, at, error))
        return FALSE;
    vpc->footer_dirty = FALSE;
    vpc->header.has_end = TRUE;
    return TRUE;
}

gboolean vpc_sync(CstBlocks *blocks, GError **error)
{
    Vpc *vpc = (Vpc *)blocks;

    if (vpc_is_fixed(vpc))
        return TRUE;
    if (!vpc->header.has_end && !vpc->footer_dirty) {
        if (!vpc_find_end(vpc, error))
            return FALSE;
        vpc->footer_dirty = TRUE;
    }
    if (vpc->footer_dirty && !vpc_write_footer(vpc, error))
        return FALSE;
    if (!cst_table_is_dirty(vpc->table) && cst_page_cache_dirty_count(vpc->bitmaps, 0) == 0)
        return TRUE;
    return cst_blocks_barrier(blocks, error) && cst_page_cache_write(vpc->bitmaps, 0, error) &&
           cst_table_write(vpc->table, error);
}

const CstBlocksOps vpc_ops = {
    .map = vpc_map,
    .place = vpc_find_place,
    .link = vpc_link,
    .take_back = vpc_take_back,
    .sync = vpc_sync,
};
