/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Check and repair of an image. First the table is checked for entries with invalid places. Then
 * all blocks and metadata regions are checked, in the order of the file, for overlaps (errors) and
 * gaps (leaks).
 *
 * A stale or missing footer, at the start or at the end, counts as a leak, because the other one is
 * sufficient. Blocks beyond the end of the disk are leaks too. Errors are repaired before leaks.
 * Leaks are repaired only in a sound table, because this moves blocks (compact.c). A fixed disk has
 * only its footer to check. The check has exclusive use of the image and takes no lock.
 */
#include <inttypes.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "vpc.h"

typedef struct {
    Vpc *vpc;
    CstImageCheck *check;
    CstTask *task;
    GArray *misplaced;   /* uint32_t: blocks at invalid places */
    GArray *sharing;     /* VpcPiece: blocks that overlap the preceding one */
    gboolean footers;    /* need to be written */
    uint64_t fallen_off; /* leaks of blocks beyond the end of the disk */
} Walk;

#define CANCEL_EVERY 65536

static uint32_t needed_blocks(const Vpc *vpc)
{
    uint32_t size = vpc->header.block_size;

    return (uint32_t)cst_div_up(vpc->header.capacity, size);
}

static gboolean look_at_entries(Walk *walk, GError **error)
{
    Vpc *vpc = walk->vpc;
    uint64_t size = 0, before = 0, stride = vpc_stride(&vpc->header);
    uint32_t entry = 0, needed = needed_blocks(vpc);

    if (!cst_blob_get_size(vpc->blocks.blob, &size, error))
        return FALSE;
    for (uint32_t i = 0; i < vpc->header.entries; i++) {
        uint64_t host;

        if ((i % CANCEL_EVERY == 0 && !cst_task_check(walk->task, error)) ||
            !cst_table_get(vpc->table, i, &entry, error))
            return FALSE;
        if (entry == VPC_NOWHERE)
            continue;
        host = (uint64_t)entry * VPC_SECTOR;
        if (host > size || vpc->header.bitmap_size > size - host ||
            vpc_meets_metadata(vpc, host, stride)) {
            cst_check_errors(walk->check, 1, _("block %u can't lie at %" PRIu64), i, host);
            g_array_append_val(walk->misplaced, i);
            continue;
        }
        if (stride > size - host) { /* the file is cut off: the rest is lost, and reads as zeroes */
            cst_check_errors(walk->check, 1,
                             _("block %u at %" PRIu64 " is cut off by the file's end"), i, host);
            walk->footers = TRUE;
        }
        if (i >= needed) {
            walk->fallen_off++;
            continue;
        }
        walk->check->allocated_clusters++;
        if (before && host != before + stride)
            walk->check->fragmented_clusters++;
        before = host;
    }
    cst_check_leaks(walk->check, walk->fallen_off,
                    _("%" PRIu64 " blocks lie past the end of the disk"), walk->fallen_off);
    walk->check->total_clusters = needed;
    return TRUE;
}

/* Finds overlaps and gaps. */
static gboolean look_at_places(Walk *walk, GError **error)
{
    g_autoptr(GArray) pieces = vpc_pieces(walk->vpc, error);
    uint64_t end = 0, stride = vpc_stride(&walk->vpc->header);

    if (!pieces)
        return FALSE;
    for (guint i = 0; i < pieces->len; i++) {
        const VpcPiece *piece = &g_array_index(pieces, VpcPiece, i);

        if (piece->block != VPC_NOWHERE &&
            vpc_meets_metadata(walk->vpc, piece->host, piece->length))
            continue; /* reported already */
        if (piece->host < end && piece->block != VPC_NOWHERE) {
            cst_check_errors(walk->check, 1, _("block %u at %" PRIu64 " lies over another one"),
                             piece->block, piece->host);
            g_array_append_val(walk->sharing, *piece);
        } else if (piece->host > end) {
            cst_check_leaks(
                walk->check, (piece->host - end) / stride,
                _("bytes %" PRIu64 " to %" PRIu64 " of the file: no table refers to them"), end,
                piece->host - 1);
        }
        end = MAX(end, piece->host + piece->length);
    }
    walk->check->image_end = end;
    return TRUE;
}

/* --- repair ---------------------------------------------------------------------------------- */

/* Gives a second user of bytes a copy of them, because either of the two may be right. */
static gboolean part_sharing(Walk *walk, GError **error)
{
    Vpc *vpc = walk->vpc;

    for (guint i = 0; i < walk->sharing->len; i++) {
        const VpcPiece *piece = &g_array_index(walk->sharing, VpcPiece, i);
        uint64_t host = 0;
        gboolean fresh;

        if (!cst_task_check(walk->task, error) || !vpc_alloc(vpc, &host, &fresh, error) ||
            !cst_blocks_copy_host(&vpc->blocks, piece->host, host, piece->length, error) ||
            !cst_table_set(vpc->table, piece->block, (uint32_t)(host / VPC_SECTOR), error))
            return FALSE;
    }
    return TRUE;
}

static gboolean repair_errors(Walk *walk, GError **error)
{
    Vpc *vpc = walk->vpc;

    for (guint i = 0; i < walk->misplaced->len; i++)
        if (!cst_table_set(vpc->table, g_array_index(walk->misplaced, uint32_t, i), VPC_NOWHERE,
                           error))
            return FALSE;
    /* writing the footer after the last block extends a file that was cut off */
    if (!vpc_find_end(vpc, error))
        return FALSE;
    vpc->footer_dirty = TRUE;
    if (!vpc_sync(&vpc->blocks, error) || !part_sharing(walk, error) ||
        !vpc_sync(&vpc->blocks, error) || !cst_blob_flush(vpc->blocks.blob, error))
        return FALSE;
    walk->check->errors_fixed = walk->check->errors;
    return TRUE;
}

static gboolean forget_fallen_off(Walk *walk, GError **error)
{
    Vpc *vpc = walk->vpc;

    for (uint32_t i = needed_blocks(vpc); walk->fallen_off > 0 && i < vpc->header.entries; i++)
        if (!cst_table_set(vpc->table, i, VPC_NOWHERE, error))
            return FALSE;
    return TRUE;
}

static gboolean repair_leaks(Walk *walk, GError **error)
{
    Vpc *vpc = walk->vpc;

    if (walk->footers) {
        vpc->footer_dirty = TRUE;
        if (!vpc_find_end(vpc, error) || !vpc_sync(&vpc->blocks, error) ||
            !cst_blob_flush(vpc->blocks.blob, error) ||
            !cst_blob_pwrite(vpc->blocks.blob, vpc->header.footer, VPC_FOOTER_LEN, 0, error))
            return FALSE;
    }
    if (!forget_fallen_off(walk, error) || !vpc_compact(vpc, walk->task, error) ||
        !cst_blob_flush(vpc->blocks.blob, error))
        return FALSE;
    walk->check->leaks_fixed = walk->check->leaks;
    return TRUE;
}

static gboolean check_blocks(Walk *walk, unsigned flags, GError **error)
{
    CstImageCheck *check = walk->check;

    if (!look_at_entries(walk, error) || !look_at_places(walk, error))
        return FALSE;
    walk->footers = walk->footers || walk->vpc->header.differ;
    cst_check_leaks(check, walk->footers,
                    _("the footer or its copy in front is missing or out of date"));
    if ((flags & CST_CHECK_REPAIR_ALL) && check->errors > 0 && !repair_errors(walk, error))
        return FALSE;
    /* moving blocks needs a sound table */
    if (flags == 0 || check->leaks == 0 || check->errors > check->errors_fixed)
        return TRUE;
    return repair_leaks(walk, error);
}

gboolean vpc_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                   unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error)
{
    const CstImageOpen how = {.flags = flags ? CST_IMAGE_WRITE : 0};
    Walk walk = {.check = ret_check, .task = task};
    gboolean ok = TRUE;

    walk.vpc = vpc_new(format, blob, &how, error);
    if (!walk.vpc)
        return FALSE;
    walk.misplaced = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    walk.sharing = g_array_new(FALSE, FALSE, sizeof(VpcPiece));
    ret_check->image_end = walk.vpc->header.capacity;
    if (!vpc_is_fixed(walk.vpc))
        ok = check_blocks(&walk, flags, error);
    g_array_unref(walk.misplaced);
    g_array_unref(walk.sharing);
    vpc_free(walk.vpc);
    return ok;
}
