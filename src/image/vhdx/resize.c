/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Grows and shrinks an image. Entries beyond the end of the disk are meaningless and may have any
 * value. Growing clears the added entries before it commits the new size. Shrinking commits the
 * size first, then clears the entries, and frees their space once the cleared entries are durable.
 *
 * A table that must grow beyond its region is copied to free space. The first copy of the region
 * table then switches to it. The second copy still names the old table; the next commit updates it.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "space.h"
#include "state.h"
#include "vhdx.h"

static uint64_t entries_for(const Vhdx *vhdx, uint64_t capacity)
{
    return vhdx_bat_entries(capacity, vhdx->layout.block_size, vhdx->layout.sector_size,
                            vhdx->is_diff);
}

static uint64_t blocks_for(const Vhdx *vhdx, uint64_t capacity)
{
    return cst_div_up(capacity, vhdx->blocks.block_size);
}

/* The size may cross the border of two pages, because an item may be anywhere in its region. */
static gboolean commit_capacity(Vhdx *vhdx, uint64_t capacity, GError **error)
{
    uint8_t raw[8];

    if (!vhdx_relieve(vhdx, error))
        return FALSE;
    cst_put_le64(raw, capacity);
    if (!vhdx_pages_write(vhdx->pages, vhdx->layout.capacity_at, raw, sizeof(raw), error) ||
        !vhdx_commit(vhdx, error))
        return FALSE;
    vhdx_set_geometry(vhdx, capacity);
    return TRUE;
}

static gboolean clear_entry(Vhdx *vhdx, uint64_t index, uint64_t entry, gpointer data,
                            GError **error)
{
    return vhdx_relieve(vhdx, error) && vhdx_bat_set(vhdx, index, 0, error);
}

/* --- a longer table --------------------------------------------------------------------------- */

/* Until the first copy is complete, the second copy is valid, and with it the old table. */
static gboolean write_first_regions(Vhdx *vhdx, uint64_t bat_offset, uint32_t bat_length,
                                    GError **error)
{
    g_autofree uint8_t *raw = g_malloc(VHDX_REGIONS_LEN);

    if (!cst_blob_pread(vhdx->file, raw, VHDX_REGIONS_LEN, vhdx->layout.regions_at, error))
        return FALSE;
    for (uint32_t i = 0; i < cst_le32(raw + 8) && i < 2047; i++) {
        uint8_t *entry = raw + 16 + i * 32;

        if (memcmp(entry, vhdx_guid_bat, 16) == 0) {
            cst_put_le64(entry + 16, bat_offset);
            cst_put_le32(entry + 24, bat_length);
        }
    }
    vhdx_checksum_set(raw, VHDX_REGIONS_LEN);
    /* regardless of which copy is valid, the next commit updates the other one */
    vhdx->layout.regions_differ = TRUE;
    vhdx->layout.regions_at = VHDX_AT_REGIONS + VHDX_REGIONS_LEN;
    if (!cst_blob_pwrite(vhdx->file, raw, VHDX_REGIONS_LEN, VHDX_AT_REGIONS, error) ||
        !cst_blocks_barrier(&vhdx->blocks, error))
        return FALSE;
    vhdx->layout.regions_at = VHDX_AT_REGIONS;
    return TRUE;
}

static void move_range(VhdxLayout *layout, uint64_t from, uint64_t to, uint64_t length)
{
    for (unsigned i = 0; i < layout->range_count; i++)
        if (layout->ranges[i].offset == from)
            layout->ranges[i] = (VhdxRange){to, length};
}

static gboolean move_bat(Vhdx *vhdx, uint64_t first, uint64_t units, GError **error)
{
    VhdxLayout *layout = &vhdx->layout;
    uint64_t old = layout->bat_offset, old_units = layout->bat_length / CST_MIB;
    uint64_t bytes = entries_for(vhdx, layout->capacity) * 8;

    if (!vhdx_units_zero(vhdx, first, units, error) ||
        !cst_blocks_copy_host(&vhdx->blocks, old, first * CST_MIB, bytes, error) ||
        !cst_blocks_barrier(&vhdx->blocks, error) ||
        !write_first_regions(vhdx, first * CST_MIB, (uint32_t)(units * CST_MIB), error))
        return FALSE;
    vhdx_pages_clear(vhdx->pages);
    move_range(layout, old, first * CST_MIB, units * CST_MIB);
    layout->bat_offset = first * CST_MIB;
    layout->bat_length = (uint32_t)(units * CST_MIB);
    if (!vhdx_commit(vhdx, error))
        return FALSE;
    vhdx_units_reset(&vhdx->units, old / CST_MIB, old_units);
    return cst_blob_discard(vhdx->file, old, old_units * CST_MIB, error);
}

static gboolean make_room(Vhdx *vhdx, uint64_t capacity, GError **error)
{
    uint64_t units = cst_div_up(entries_for(vhdx, capacity) * 8, CST_MIB), first = 0;

    if (units * CST_MIB <= vhdx->layout.bat_length)
        return TRUE;
    /*
     * The log must not have changes of the old table, because the copy reads the file past the
     * cache.
     */
    if (!vhdx_empty_log(vhdx, error) || !vhdx_units_take(vhdx, units, &first, error))
        return FALSE;
    /* After a failure the disk may already refer to the new place, so the space stays allocated. */
    return move_bat(vhdx, first, units, error);
}

/* --- growing ---------------------------------------------------------------------------------- */

/* Returns the end of the parent's content in the added range, which must read as zeroes. */
static uint64_t parent_end(const Vhdx *vhdx, uint64_t capacity)
{
    if (!vhdx->is_diff)
        return 0;
    return vhdx->blocks.lacks_backing ? capacity : MIN(capacity, vhdx->blocks.backing_size);
}

static gboolean hide_parent(Vhdx *vhdx, uint64_t capacity, GError **error)
{
    for (uint64_t block = vhdx->block_count; block < blocks_for(vhdx, parent_end(vhdx, capacity));
         block++)
        if (!vhdx_relieve(vhdx, error) ||
            !vhdx_bat_set(vhdx, vhdx_bat_index(vhdx, block), vhdx_entry(VHDX_ZERO, 0), error))
            return FALSE;
    return TRUE;
}

/* The rest of the last block may have data from before a shrink, or other old data. */
static gboolean zero_rest_of_block(Vhdx *vhdx, uint64_t capacity, GError **error)
{
    uint64_t old = vhdx->layout.capacity, end = vhdx->block_count * vhdx->blocks.block_size;

    end = MIN(end, capacity);
    while (old < end) {
        uint64_t length = end - old, parent = parent_end(vhdx, end);
        gboolean ok;
        CstRun run;

        g_mutex_lock(&vhdx->blocks.lock);
        ok = vhdx->blocks.ops->map(&vhdx->blocks, old, length, &run, error);
        g_mutex_unlock(&vhdx->blocks.lock);
        if (!ok)
            return FALSE;
        length = run.length;
        if (run.kind == CST_RUN_BACKING)
            length = old < parent ? MIN(length, parent - old) : 0;
        if (length > 0 && run.kind != CST_RUN_ZERO &&
            !cst_blocks_write_zeroes(&vhdx->blocks, old, length, 0, error))
            return FALSE;
        old += run.length;
    }
    return TRUE;
}

/* The file is extended at once, before any entry refers to the new blocks. */
static gboolean allocate_blocks(Vhdx *vhdx, uint64_t capacity, GError **error)
{
    uint64_t last = blocks_for(vhdx, capacity), size = 0, end;

    if (!cst_blob_get_size(vhdx->file, &size, error))
        return FALSE;
    end = vhdx_units_end(&vhdx->units) * CST_MIB +
          (last - vhdx->block_count) * vhdx->blocks.block_size;
    if (end > VHDX_MAX_FILE)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' can't grow any further"), vhdx->file->name);
    if (end > size && !cst_blob_resize(vhdx->file, end, error))
        return FALSE;
    for (uint64_t block = vhdx->block_count; block < last; block++)
        if (!vhdx_place_block(vhdx, block, size, error))
            return FALSE;
    return TRUE;
}

static gboolean grow_tables(Vhdx *vhdx, uint64_t capacity, gboolean allocate, GError **error)
{
    /* the table's entries are read past the cache, so no change may be uncommitted */
    if (!vhdx_commit(vhdx, error) || !make_room(vhdx, capacity, error) ||
        !vhdx_bat_walk(vhdx, entries_for(vhdx, vhdx->layout.capacity), entries_for(vhdx, capacity),
                       clear_entry, NULL, error))
        return FALSE;
    if (vhdx->is_diff) {
        uint64_t last = blocks_for(vhdx, capacity);

        /* the unused entries of the last chunk */
        for (uint64_t block = vhdx->block_count; block < last && block % vhdx->chunk_ratio != 0;
             block++)
            if (!clear_entry(vhdx, vhdx_bat_index(vhdx, block), 0, NULL, error))
                return FALSE;
        return hide_parent(vhdx, capacity, error);
    }
    return !allocate || allocate_blocks(vhdx, capacity, error);
}

static gboolean vhdx_preallocate(Vhdx *vhdx, uint64_t offset, CstPreallocation preallocation,
                                 CstTask *task, GError **error)
{
    uint64_t end = vhdx->layout.capacity;

    while (offset < end) {
        uint64_t length =
            MIN(end - offset, vhdx->blocks.block_size - offset % vhdx->blocks.block_size);
        CstRun run;
        gboolean ok;

        g_mutex_lock(&vhdx->blocks.lock);
        ok = vhdx->blocks.ops->map(&vhdx->blocks, offset, length, &run, error);
        g_mutex_unlock(&vhdx->blocks.lock);
        if (!ok ||
            (run.kind == CST_RUN_DATA &&
             !cst_space_preallocate(vhdx->file, run.host, run.length, preallocation, task, error)))
            return FALSE;
        offset += run.length;
    }
    return TRUE;
}

static gboolean vhdx_grow(Vhdx *vhdx, uint64_t capacity, CstPreallocation preallocation,
                          CstTask *task, GError **error)
{
    uint64_t old = vhdx->layout.capacity;
    gboolean allocate = (vhdx->layout.flags & VHDX_FLAG_FIXED) || preallocation != CST_PREALLOC_OFF;
    gboolean ok;

    if (vhdx->is_diff && preallocation != CST_PREALLOC_OFF)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("an image with a backing image can't be preallocated, as the backing "
                          "image would be hidden"));
    if (!zero_rest_of_block(vhdx, capacity, error))
        return FALSE;
    g_mutex_lock(&vhdx->blocks.lock);
    ok = grow_tables(vhdx, capacity, allocate, error) && commit_capacity(vhdx, capacity, error);
    g_mutex_unlock(&vhdx->blocks.lock);
    return ok && vhdx_preallocate(vhdx, old, preallocation, task, error);
}

/* --- shrinking -------------------------------------------------------------------------------- */

typedef struct {
    VhdxUnits units;
    uint64_t block_count; /* before the shrink */
} Gone;

/* Frees only space of the disk's own entries, because the survey has checked only these. */
static gboolean forget_entry(Vhdx *vhdx, uint64_t index, uint64_t entry, gpointer data,
                             GError **error)
{
    uint64_t group = vhdx->chunk_ratio + 1;
    gboolean is_bitmap = index % group == vhdx->chunk_ratio;
    uint64_t block = index / group * vhdx->chunk_ratio + index % group;
    gboolean is_ours = is_bitmap ? vhdx->is_diff : block < ((Gone *)data)->block_count;
    gboolean has_place =
        VHDX_STATE(entry) == VHDX_PRESENT || (VHDX_STATE(entry) == VHDX_PARTIAL && !is_bitmap);

    if (is_ours && has_place &&
        !vhdx_units_set(&((Gone *)data)->units, VHDX_PLACE(entry),
                        (is_bitmap ? CST_MIB : vhdx->blocks.block_size) / CST_MIB, vhdx->file->name,
                        error))
        return FALSE;
    return clear_entry(vhdx, index, entry, NULL, error);
}

/* Frees units that no entry on the disk refers to any more. */
static gboolean give_back(Vhdx *vhdx, const VhdxUnits *gone, GError **error)
{
    uint64_t end = vhdx_units_end(gone), size = 0, used;

    for (uint64_t unit = 0; unit < end; unit++) {
        if (!vhdx_units_test(gone, unit, 1))
            continue;
        vhdx_units_reset(&vhdx->units, unit, 1);
        if (!cst_blob_get_size(vhdx->file, &size, error))
            return FALSE;
        if (unit * CST_MIB < size && !cst_blob_discard(vhdx->file, unit * CST_MIB,
                                                       MIN(CST_MIB, size - unit * CST_MIB), error))
            return FALSE;
    }
    used = vhdx_units_end(&vhdx->units) * CST_MIB;
    if (used < size) {
        g_autoptr(GError) why = NULL;

        if (!cst_blob_resize(vhdx->file, used, &why) &&
            !g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean vhdx_shrink(Vhdx *vhdx, uint64_t capacity, GError **error)
{
    uint64_t last = blocks_for(vhdx, capacity), first = vhdx_bat_index(vhdx, last);
    uint64_t end = entries_for(vhdx, vhdx->layout.capacity);
    Gone gone = {.block_count = vhdx->block_count};
    gboolean ok;

    /*
     * in a differencing image the last chunk's bitmap is still used; its entry follows all of the
     * chunk's blocks
     */
    ok = vhdx_commit(vhdx, error) && commit_capacity(vhdx, capacity, error);
    if (ok && vhdx->is_diff && last % vhdx->chunk_ratio != 0) {
        uint64_t chunk_end = vhdx_bat_bitmap_index(vhdx, last);

        ok = vhdx_bat_walk(vhdx, first, chunk_end, forget_entry, &gone, error);
        first = chunk_end + 1;
    }
    /* The file must not be truncated while the log records a longer file. */
    ok = ok && vhdx_bat_walk(vhdx, first, end, forget_entry, &gone, error) &&
         vhdx_empty_log(vhdx, error) && give_back(vhdx, &gone.units, error);
    vhdx_units_clear(&gone.units);
    return ok;
}

gboolean vhdx_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                     CstTask *task, GError **error)
{
    Vhdx *vhdx = vhdx_of(image);
    uint64_t sector = vhdx->layout.sector_size;
    gboolean ok;

    capacity = cst_round_up(capacity, sector);
    if (capacity > VHDX_MAX_CAPACITY)
        return cst_fail(error, CST_ERROR_INVALID, _("a VHDX image can have at most 64 TiB"));
    g_mutex_lock(&vhdx->blocks.lock);
    ok = vhdx_begin_writing(vhdx, error);
    if (ok && capacity < vhdx->layout.capacity)
        ok = vhdx_shrink(vhdx, capacity, error);
    g_mutex_unlock(&vhdx->blocks.lock);
    if (ok && capacity > vhdx->layout.capacity)
        ok = vhdx_grow(vhdx, capacity, preallocation, task, error);
    return ok;
}
