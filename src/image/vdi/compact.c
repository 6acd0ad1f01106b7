/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Moves blocks from the end of the file into its gaps, lowers the header's count and truncates the
 * file. Blocks are copied in batches. The copies are durable before the map refers to them, and the
 * old blocks stay unchanged until the whole map is durable. So every entry always refers to a block
 * with the right content, and a power cut can at worst leave gaps.
 */
#include <base/error.h>

#include "vdi.h"

/* Number of moves that share one barrier. */
#define BATCH 256

typedef struct {
    uint32_t entry; /* index in the map */
    uint32_t to;    /* target block of the file */
} Move;

static gboolean is_used(const Vdi *vdi, uint32_t block)
{
    return (vdi->used[block / 8] & 1 << block % 8) != 0;
}

static uint32_t count_used(const Vdi *vdi)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i <= vdi->used_bits / 8; i++)
        count += (uint32_t)__builtin_popcount(vdi->used[i]);
    return count;
}

/* Enters @moves into the map. The copies are durable before; the old blocks stay until the end. */
static gboolean moves_enter(Vdi *vdi, GArray *moves, GError **error)
{
    for (guint i = 0; i < moves->len; i++) {
        const Move *move = &g_array_index(moves, Move, i);

        if (!cst_table_set(vdi->map, move->entry, move->to, error))
            return FALSE;
    }
    g_array_set_size(moves, 0);
    return vdi_sync(&vdi->blocks, error);
}

static gboolean move_blocks(Vdi *vdi, uint32_t kept, CstTask *task, GError **error)
{
    g_autoptr(GArray) moves = g_array_new(FALSE, FALSE, sizeof(Move));
    uint32_t entry = 0, gap = 0;

    for (uint32_t i = 0; i < vdi->header.blocks; i++) {
        if (!cst_table_get(vdi->map, i, &entry, error))
            return FALSE;
        if (entry >= VDI_ZERO || entry < kept)
            continue;
        while (is_used(vdi, gap))
            gap++;
        if (!cst_task_check(task, error) ||
            !cst_blocks_copy_host(&vdi->blocks, vdi_place(vdi, entry), vdi_place(vdi, gap),
                                  vdi->header.block_size, error))
            return FALSE;
        g_array_append_val(moves, ((Move){i, gap}));
        gap++;
        if (moves->len == BATCH && !moves_enter(vdi, moves, error))
            return FALSE;
    }
    return moves_enter(vdi, moves, error);
}

gboolean vdi_compact(Vdi *vdi, CstTask *task, GError **error)
{
    g_autoptr(GError) why = NULL;
    CstBlob *blob = vdi->blocks.blob;
    uint64_t size = 0, end;
    uint32_t kept;

    vdi_forget_used(vdi);
    if (!vdi_find_used(vdi, error))
        return FALSE;
    kept = count_used(vdi);
    if (kept < vdi->high && !move_blocks(vdi, kept, task, error))
        return FALSE;
    vdi_forget_used(vdi);
    vdi->header.allocated = kept;
    /* lower the count only after no entry on the disk refers to a block beyond it */
    if (!cst_blocks_barrier(&vdi->blocks, error) || !vdi_write_header(vdi, error) ||
        !cst_blob_get_size(blob, &size, error))
        return FALSE;
    end = vdi_place(vdi, kept);
    if (size <= end || cst_blob_resize(blob, end, &why) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}
