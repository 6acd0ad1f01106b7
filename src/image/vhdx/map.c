/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Maps guest offsets to the file, and allocates: the CstBlocksOps of this format. An entry of the
 * block allocation table has a payload block's state and place. In a differencing image a PARTIAL
 * block has only some sectors; its chunk's sector bitmap lists them. The parent has the other
 * sectors.
 *
 * A sector bitmap is entered into the table no later than the first block that needs it. So a
 * committed table never refers to a missing bitmap. All functions run with the head's lock held.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "state.h"

/* --- places of blocks ------------------------------------------------------------------------- */

static gboolean get_place(Vhdx *vhdx, uint64_t entry, uint64_t length, uint64_t *ret_offset,
                          GError **error)
{
    uint64_t size = 0;

    if (!cst_blob_get_size(vhdx->file, &size, error))
        return FALSE;
    if (!vhdx_place_is_sound(vhdx, VHDX_PLACE(entry), length, size))
        return vhdx_corrupt(vhdx, error, _("a block lies outside the file, or inside of a table"));
    *ret_offset = VHDX_PLACE(entry) * CST_MIB;
    return TRUE;
}

/* --- sector bitmaps --------------------------------------------------------------------------- */

/* Bits in the file, from the first sector of a payload block on. */
typedef struct {
    uint64_t offset; /* offset of the first bit's byte */
    uint64_t count;
} Bits;

static uint64_t sectors_per_block(const Vhdx *vhdx)
{
    return vhdx->blocks.block_size / vhdx->layout.sector_size;
}

static gboolean find_bits(Vhdx *vhdx, uint64_t block, Bits *ret_bits, GError **error)
{
    uint64_t entry = 0, offset = 0;

    if (!vhdx_bat_get(vhdx, vhdx_bat_bitmap_index(vhdx, block), &entry, error))
        return FALSE;
    if (VHDX_STATE(entry) != VHDX_PRESENT)
        return vhdx_corrupt(vhdx, error, _("a sector bitmap is missing"));
    if (!get_place(vhdx, entry, CST_MIB, &offset, error))
        return FALSE;
    /* a block has at least 256 sectors, so its bits begin at a byte boundary */
    ret_bits->offset = offset + block % vhdx->chunk_ratio * sectors_per_block(vhdx) / 8;
    ret_bits->count = sectors_per_block(vhdx);
    return TRUE;
}

/*
 * Returns the length of the run of equal bits from @first on, at most @count. It ends with the
 * page.
 */
static gboolean count_bits(Vhdx *vhdx, const Bits *bits, uint64_t first, uint64_t count,
                           gboolean *ret_set, uint64_t *ret_count, GError **error)
{
    uint64_t at = bits->offset + first / 8, n = 0;
    const CstPage *page = vhdx_page_get(vhdx->pages, at, error);
    uint64_t bit = at % VHDX_SECTOR * 8 + first % 8;
    const uint8_t *bytes;
    uint8_t same;
    gboolean set;

    if (!page)
        return FALSE;
    bytes = page->data;
    set = bytes[bit / 8] >> bit % 8 & 1;
    same = set ? 0xff : 0;
    count = MIN(count, VHDX_SECTOR * 8 - bit);
    while (n < count) {
        if ((bit + n) % 8 == 0 && count - n >= 8 && bytes[(bit + n) / 8] == same)
            n += 8;
        else if ((bytes[(bit + n) / 8] >> (bit + n) % 8 & 1) == set)
            n++;
        else
            break;
    }
    *ret_set = set;
    *ret_count = n;
    return TRUE;
}

static gboolean set_bits(Vhdx *vhdx, const Bits *bits, uint64_t first, uint64_t count, gboolean set,
                         GError **error)
{
    while (count > 0) {
        uint64_t at = bits->offset + first / 8;
        uint64_t bit = at % VHDX_SECTOR * 8 + first % 8, n = MIN(count, VHDX_SECTOR * 8 - bit);
        CstPage *page = vhdx_page_get(vhdx->pages, at, error);
        uint8_t *bytes;

        if (!page)
            return FALSE;
        bytes = page->data;
        for (uint64_t i = bit; i < bit + n;) {
            if (i % 8 == 0 && bit + n - i >= 8) {
                bytes[i / 8] = set ? 0xff : 0;
                i += 8;
            } else {
                bytes[i / 8] = (uint8_t)((bytes[i / 8] & ~(1 << i % 8)) | set << i % 8);
                i++;
            }
        }
        if (!vhdx_page_dirty(vhdx->pages, page, error))
            return FALSE;
        first += n;
        count -= n;
    }
    return TRUE;
}

/* Allocates the sector bitmap of the block's chunk if it is missing. */
static gboolean make_bitmap(Vhdx *vhdx, uint64_t block, GError **error)
{
    uint64_t index = vhdx_bat_bitmap_index(vhdx, block), entry = 0, place = 0;

    if (!vhdx_bat_get(vhdx, index, &entry, error))
        return FALSE;
    if (VHDX_STATE(entry) == VHDX_PRESENT)
        return TRUE;
    if (!vhdx_units_take(vhdx, 1, &place, error))
        return FALSE;
    if (!vhdx_units_zero(vhdx, place, 1, error) ||
        !vhdx_bat_set(vhdx, index, vhdx_entry(VHDX_PRESENT, place), error)) {
        vhdx_units_reset(&vhdx->units, place, 1);
        return FALSE;
    }
    return TRUE;
}

/* --- for blocks.c ----------------------------------------------------------------------------- */

static gboolean map_partial(Vhdx *vhdx, uint64_t entry, uint64_t offset, CstRun *run,
                            GError **error)
{
    uint64_t block = offset / vhdx->blocks.block_size, inside = offset % vhdx->blocks.block_size;
    uint64_t sector = vhdx->layout.sector_size, place = 0, count = 0;
    uint64_t first = inside / sector, end = cst_div_up(inside + run->length, sector);
    gboolean set = FALSE;
    Bits bits = {0, 0};

    if (!get_place(vhdx, entry, vhdx->blocks.block_size, &place, error) ||
        !find_bits(vhdx, block, &bits, error) ||
        !count_bits(vhdx, &bits, first, end - first, &set, &count, error))
        return FALSE;
    run->kind = set ? CST_RUN_DATA : CST_RUN_BACKING;
    run->host = place + inside;
    run->length = MIN(run->length, (first + count) * sector - inside);
    return TRUE;
}

static gboolean vhdx_map(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                         GError **error)
{
    Vhdx *vhdx = (Vhdx *)blocks;
    CstRun run = {CST_RUN_ZERO, length, 0};
    uint64_t entry = 0;

    if (!vhdx_bat_get(vhdx, vhdx_bat_index(vhdx, offset / blocks->block_size), &entry, error))
        return FALSE;
    switch (VHDX_STATE(entry)) {
    case VHDX_PRESENT:
        run.kind = CST_RUN_DATA;
        if (!get_place(vhdx, entry, blocks->block_size, &run.host, error))
            return FALSE;
        run.host += offset % blocks->block_size;
        break;
    case VHDX_PARTIAL:
        if (!vhdx->is_diff)
            return vhdx_corrupt(vhdx, error, _("a block is said to be partly in a parent image"));
        if (!map_partial(vhdx, entry, offset, &run, error))
            return FALSE;
        break;
    case VHDX_NOT_PRESENT:
        if (vhdx->is_diff)
            run.kind = CST_RUN_BACKING;
        break;
    case VHDX_UNDEFINED:
    case VHDX_ZERO:
    case VHDX_UNMAPPED: break;
    default: return vhdx_corrupt(vhdx, error, _("a block has an unknown state"));
    }
    *ret_run = run;
    return TRUE;
}

static gboolean covers_block(const Vhdx *vhdx, const CstStep *step)
{
    uint64_t start = step->offset / vhdx->blocks.block_size * vhdx->blocks.block_size;
    uint64_t end = MIN(start + vhdx->blocks.block_size, vhdx->blocks.image.capacity);

    return step->offset == start && step->length >= end - start;
}

/* Places further sectors of a partial block. */
static gboolean place_sectors(Vhdx *vhdx, uint64_t entry, CstStep *step, GError **error)
{
    uint64_t place = 0;

    if (!get_place(vhdx, entry, vhdx->blocks.block_size, &place, error))
        return FALSE;
    step->unit = vhdx->layout.sector_size;
    step->host = place + step->offset % vhdx->blocks.block_size;
    return TRUE;
}

static gboolean vhdx_find_place(CstBlocks *blocks, CstStep *step, GError **error)
{
    Vhdx *vhdx = (Vhdx *)blocks;
    uint64_t block = step->offset / blocks->block_size, entry = 0, size = 0, host;
    gboolean partly;

    if (!vhdx_begin_writing(vhdx, error) || !vhdx_relieve(vhdx, error) ||
        !vhdx_bat_get(vhdx, vhdx_bat_index(vhdx, block), &entry, error) ||
        !cst_blob_get_size(vhdx->file, &size, error))
        return FALSE;
    if (VHDX_STATE(entry) == VHDX_PARTIAL)
        return place_sectors(vhdx, entry, step, error);
    partly = vhdx->is_diff && VHDX_STATE(entry) == VHDX_NOT_PRESENT && !covers_block(vhdx, step);
    if ((partly && !make_bitmap(vhdx, block, error)) ||
        !vhdx_units_take(vhdx, blocks->block_size / CST_MIB, &step->place, error))
        return FALSE;
    host = step->place * CST_MIB;
    step->is_new = TRUE;
    step->unit = partly ? vhdx->layout.sector_size : blocks->block_size;
    step->fresh = !partly && host >= size;
    step->host = host + step->offset % blocks->block_size;
    step->block_end = host + blocks->block_size;
    return TRUE;
}

static gboolean link_sectors(Vhdx *vhdx, const CstStep *step, uint64_t block, GError **error)
{
    uint64_t sector = vhdx->layout.sector_size, inside = step->offset % vhdx->blocks.block_size;
    uint64_t first = inside / sector, end = cst_div_up(inside + step->length, sector);
    Bits bits = {0, 0};

    return find_bits(vhdx, block, &bits, error) &&
           (!step->is_new || set_bits(vhdx, &bits, 0, bits.count, FALSE, error)) &&
           set_bits(vhdx, &bits, first, end - first, TRUE, error);
}

static gboolean vhdx_link(CstBlocks *blocks, const CstStep *step, GError **error)
{
    Vhdx *vhdx = (Vhdx *)blocks;
    uint64_t block = step->offset / blocks->block_size;
    gboolean partly = step->unit != blocks->block_size;

    if (!vhdx_relieve(vhdx, error) || (partly && !link_sectors(vhdx, step, block, error)))
        return FALSE;
    return !step->is_new ||
           vhdx_bat_set(vhdx, vhdx_bat_index(vhdx, block),
                        vhdx_entry(partly ? VHDX_PARTIAL : VHDX_PRESENT, step->place), error);
}

static void vhdx_take_back(CstBlocks *blocks, const CstStep *step)
{
    Vhdx *vhdx = (Vhdx *)blocks;

    if (step->is_new)
        vhdx_units_reset(&vhdx->units, step->place, blocks->block_size / CST_MIB);
}

static gboolean vhdx_sync(CstBlocks *blocks, GError **error)
{
    return vhdx_commit((Vhdx *)blocks, error);
}

const CstBlocksOps vhdx_blocks_ops = {
    .map = vhdx_map,
    .place = vhdx_find_place,
    .link = vhdx_link,
    .take_back = vhdx_take_back,
    .sync = vhdx_sync,
};

gboolean vhdx_place_block(Vhdx *vhdx, uint64_t block, uint64_t fresh_from, GError **error)
{
    uint64_t place = 0, units = vhdx->blocks.block_size / CST_MIB;

    if (!vhdx_relieve(vhdx, error) || !vhdx_units_take(vhdx, units, &place, error))
        return FALSE;
    if ((place * CST_MIB < fresh_from && !vhdx_units_zero(vhdx, place, units, error)) ||
        !vhdx_bat_set(vhdx, vhdx_bat_index(vhdx, block), vhdx_entry(VHDX_PRESENT, place), error)) {
        vhdx_units_reset(&vhdx->units, place, units);
        return FALSE;
    }
    return TRUE;
}
