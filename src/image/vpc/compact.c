/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Moves blocks from the end of the file into its gaps and truncates the file after the footer. The
 * pieces of the file, sorted by offset, are walked from both ends: the first gap receives the last
 * block after it. A batch of copies is durable before the table refers to it. The originals stay
 * until the file is truncated, after a barrier and with a footer after the last piece.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "vpc.h"

/* Number of moves that share one barrier. */
#define BATCH 256

static int by_host(gconstpointer a, gconstpointer b)
{
    const VpcPiece *left = a, *right = b;

    if (left->host != right->host)
        return left->host < right->host ? -1 : 1;
    return left->block < right->block ? -1 : left->block > right->block;
}

GArray *vpc_pieces(Vpc *vpc, GError **error)
{
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(VpcPiece));
    uint64_t size = 0, host;
    uint32_t entry = 0;

    if (!cst_blob_get_size(vpc->blocks.blob, &size, error))
        return NULL;
    for (unsigned i = 0; i < vpc->header.region_count; i++) {
        VpcPiece piece = {vpc->header.regions[i].offset, VPC_NOWHERE,
                          vpc->header.regions[i].length};

        g_array_append_val(pieces, piece);
    }
    for (uint32_t i = 0; i < vpc->header.entries; i++) {
        if (!cst_table_get(vpc->table, i, &entry, error))
            return NULL;
        host = (uint64_t)entry * VPC_SECTOR;
        if (entry != VPC_NOWHERE && host < size && vpc->header.bitmap_size <= size - host) {
            VpcPiece piece = {host, i, vpc_stride(&vpc->header)};

            g_array_append_val(pieces, piece);
        }
    }
    g_array_sort(pieces, by_host);
    return g_steal_pointer(&pieces);
}

/* --- moving ---------------------------------------------------------------------------------- */

typedef struct {
    Vpc *vpc;
    CstTask *task;
    VpcPiece *pieces;
    guint low, high; /* pieces before low have no gap; pieces from high on have moved */
    uint64_t gap;    /* possible start of the next gap */
    GArray *moves;   /* VpcPiece with the new place */
} Mover;

/*
 * Enters the moves into the table. The copies are durable before; the old blocks stay until the
 * end.
 */
static gboolean mover_enter(Mover *mover, GError **error)
{
    Vpc *vpc = mover->vpc;

    for (guint i = 0; i < mover->moves->len; i++) {
        const VpcPiece *move = &g_array_index(mover->moves, VpcPiece, i);

        if (!cst_table_set(vpc->table, move->block, (uint32_t)(move->host / VPC_SECTOR), error))
            return FALSE;
    }
    g_array_set_size(mover->moves, 0);
    return vpc_sync(&vpc->blocks, error);
}

/* Returns the last piece after the gap that is a block; NULL: not found. */
static VpcPiece *last_block(Mover *mover)
{
    while (mover->high > mover->low) {
        VpcPiece *piece = &mover->pieces[mover->high - 1];

        if (piece->block != VPC_NOWHERE)
            return piece->host > mover->gap ? piece : NULL;
        mover->high--;
    }
    return NULL;
}

static gboolean fill_gap(Mover *mover, uint64_t gap_end, GError **error)
{
    uint64_t stride = vpc_stride(&mover->vpc->header);
    VpcPiece *piece;

    while (gap_end >= stride && mover->gap <= gap_end - stride &&
           (piece = last_block(mover)) != NULL) {
        VpcPiece move = {mover->gap, piece->block, stride};

        if (!cst_task_check(mover->task, error) ||
            !cst_blocks_copy_host(&mover->vpc->blocks, piece->host, mover->gap, stride, error))
            return FALSE;
        g_array_append_val(mover->moves, move);
        mover->gap += stride;
        mover->high--;
        if (mover->moves->len == BATCH && !mover_enter(mover, error))
            return FALSE;
    }
    return TRUE;
}

static uint64_t sector_up(uint64_t offset)
{
    return cst_round_up(offset, VPC_SECTOR);
}

static gboolean move_blocks(Vpc *vpc, CstTask *task, GError **error)
{
    g_autoptr(GArray) pieces = vpc_pieces(vpc, error);
    g_autoptr(GArray) moves = g_array_new(FALSE, FALSE, sizeof(VpcPiece));
    Mover mover = {.vpc = vpc, .task = task, .moves = moves};
    uint64_t taken = 0;

    if (!pieces)
        return FALSE;
    mover.pieces = (VpcPiece *)pieces->data;
    mover.high = pieces->len;
    for (; mover.low < mover.high; mover.low++) {
        const VpcPiece *piece = &mover.pieces[mover.low];

        if (piece->host < taken)
            return vpc_corrupt(vpc, error, _("parts of the image overlap"));
        taken = piece->host + piece->length;
        if (!fill_gap(&mover, piece->host, error))
            return FALSE;
        mover.gap = MAX(mover.gap, sector_up(piece->host + piece->length));
    }
    return mover_enter(&mover, error);
}

gboolean vpc_compact(Vpc *vpc, CstTask *task, GError **error)
{
    g_autoptr(GError) why = NULL;
    CstBlob *blob = vpc->blocks.blob;
    uint64_t size = 0;

    /* blocks are copied within the file, so their bitmaps must be written first */
    if (!vpc_sync(&vpc->blocks, error) || !move_blocks(vpc, task, error))
        return FALSE;
    cst_page_cache_clear(vpc->bitmaps);
    g_array_set_size(vpc->spare, 0);
    vpc->end_known = FALSE;
    if (!cst_blocks_barrier(&vpc->blocks, error) || !vpc_find_end(vpc, error) ||
        !cst_blob_get_size(blob, &size, error))
        return FALSE;
    vpc->end_known = FALSE; /* the file's size changes */
    if (size <= vpc->end + VPC_FOOTER_LEN)
        return TRUE;
    if (!cst_blob_pwrite(blob, vpc->header.footer, VPC_FOOTER_LEN, vpc->end, error) ||
        !cst_blocks_barrier(&vpc->blocks, error))
        return FALSE;
    if (cst_blob_resize(blob, vpc->end + VPC_FOOTER_LEN, &why) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}
