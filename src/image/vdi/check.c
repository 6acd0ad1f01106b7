/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Check and repair of an image. One walk through the map sets a bit for each block of the file that
 * an entry refers to. An entry beyond the file, or an entry whose block an earlier entry has, is an
 * error. Unused blocks below the highest used one are leaks. A too high count in the header is a
 * leak; a too low count is an error.
 *
 * Repair gives a second user of a block a copy of it, and clears entries beyond the file; the write
 * order is that of vdi_sync(). Leaks are repaired by vdi_compact(), and only if the map is sound.
 * The check has exclusive use of the image and takes no lock.
 */
#include <inttypes.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "vdi.h"

typedef struct {
    Vdi *vdi;
    uint32_t room;
    CstImageCheck *check;
    CstTask *task;
} Walk;

#define CANCEL_EVERY 65536

static gboolean is_set(const uint8_t *bits, uint32_t bit)
{
    return (bits[bit / 8] & 1 << bit % 8) != 0;
}

static void block_bit_set(uint8_t *bits, uint32_t bit)
{
    bits[bit / 8] |= (uint8_t)(1 << bit % 8);
}

static void note_entry(Walk *walk, uint32_t index, uint32_t entry)
{
    if (entry >= walk->room)
        cst_check_errors(walk->check, 1,
                         _("block %u refers to block %u of the file, which is past its end"), index,
                         entry);
    else
        cst_check_errors(walk->check, 1,
                         _("block %u is said to be the file's block %u, which "
                           "another one is as well"),
                         index, entry);
}

/* Counts findings and fills vdi->used and vdi->high, which a repair uses for allocation. */
static gboolean look_through(Walk *walk, GError **error)
{
    Vdi *vdi = walk->vdi;
    uint32_t entry = 0, before = VDI_NOWHERE;

    vdi->used_bits = MAX(walk->room, vdi->header.blocks);
    vdi->used = cst_alloc0(vdi->used_bits / 8 + 1, 1, vdi->blocks.blob->name, error);
    if (!vdi->used || !cst_blob_get_size(vdi->blocks.blob, &vdi->old_size, error))
        return FALSE;
    for (uint32_t i = 0; i < vdi->header.blocks; i++) {
        if ((i % CANCEL_EVERY == 0 && !cst_task_check(walk->task, error)) ||
            !cst_table_get(vdi->map, i, &entry, error))
            return FALSE;
        if (entry >= VDI_ZERO)
            continue;
        if (entry >= walk->room || is_set(vdi->used, entry)) {
            note_entry(walk, i, entry);
            continue;
        }
        block_bit_set(vdi->used, entry);
        vdi->high = MAX(vdi->high, entry + 1);
        walk->check->allocated_clusters++;
        if (before < VDI_ZERO && entry != before + 1)
            walk->check->fragmented_clusters++;
        before = entry;
    }
    return TRUE;
}

static void count_rest(Walk *walk)
{
    Vdi *vdi = walk->vdi;
    uint32_t taken = MAX(vdi->high, vdi->header.allocated);

    /* a writer that trusts a too low count overwrites used blocks */
    if (vdi->header.allocated < vdi->high)
        cst_check_errors(walk->check, 1,
                         _("the header counts %u allocated blocks, and block %u is in use"),
                         vdi->header.allocated, vdi->high - 1);
    cst_check_leaks(walk->check, taken - walk->check->allocated_clusters,
                    _("of the file's %u blocks, no entry refers to %" PRIu64), taken,
                    taken - walk->check->allocated_clusters);
    walk->check->total_clusters = vdi->header.blocks;
    walk->check->image_end = vdi_place(vdi, vdi->high);
}

/* Gives a second user of a block a copy, because either of the two may be right. */
static gboolean repair_entry(const Walk *walk, uint32_t index, uint32_t entry, GError **error)
{
    Vdi *vdi = walk->vdi;
    uint32_t block = VDI_NOWHERE;
    gboolean fresh;

    if (entry < walk->room &&
        (!cst_task_check(walk->task, error) || !vdi_alloc(vdi, &block, &fresh, error) ||
         !cst_blocks_copy_host(&vdi->blocks, vdi_place(vdi, entry), vdi_place(vdi, block),
                               vdi->header.block_size, error)))
        return FALSE;
    return cst_table_set(vdi->map, index, block, error);
}

static gboolean repair_errors(Walk *walk, GError **error)
{
    Vdi *vdi = walk->vdi;
    g_autofree uint8_t *seen = cst_alloc0(walk->room / 8 + 1, 1, vdi->blocks.blob->name, error);
    uint32_t entry = 0;

    if (!seen)
        return FALSE;
    for (uint32_t i = 0; i < vdi->header.blocks; i++) {
        if (!cst_table_get(vdi->map, i, &entry, error))
            return FALSE;
        if (entry >= VDI_ZERO)
            continue;
        if (entry < walk->room && !is_set(seen, entry)) {
            block_bit_set(seen, entry);
            continue;
        }
        if (!repair_entry(walk, i, entry, error))
            return FALSE;
    }
    vdi->header.allocated = MAX(vdi->header.allocated, vdi->high);
    vdi->header_dirty = TRUE;
    if (!vdi_sync(&vdi->blocks, error) || !cst_blob_flush(vdi->blocks.blob, error))
        return FALSE;
    walk->check->errors_fixed = walk->check->errors;
    return TRUE;
}

static gboolean vdi_repair(Walk *walk, unsigned flags, GError **error)
{
    CstImageCheck *check = walk->check;

    if ((flags & CST_CHECK_REPAIR_ALL) && check->errors > 0 && !repair_errors(walk, error))
        return FALSE;
    /* moving blocks needs a sound map */
    if (flags == 0 || check->leaks == 0 || check->errors > check->errors_fixed)
        return TRUE;
    if (!vdi_compact(walk->vdi, walk->task, error) ||
        !cst_blob_flush(walk->vdi->blocks.blob, error))
        return FALSE;
    check->leaks_fixed = check->leaks;
    check->image_end = vdi_place(walk->vdi, walk->vdi->header.allocated);
    return TRUE;
}

gboolean vdi_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                   unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error)
{
    const CstImageOpen how = {.flags = flags ? CST_IMAGE_WRITE : 0};
    Walk walk = {.check = ret_check, .task = task};
    gboolean ok;

    walk.vdi = vdi_new(format, blob, &how, error);
    if (!walk.vdi)
        return FALSE;
    ok = vdi_room(walk.vdi, &walk.room, error) && look_through(&walk, error);
    if (ok) {
        count_rest(&walk);
        ok = vdi_repair(&walk, flags, error);
    }
    vdi_free(walk.vdi);
    return ok;
}
