/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Copies into an image with compression, one unit of the format at a time, on all processors.
 * Drawing a piece is serialised, and skips whole units that the destination is known to show. A
 * worker reads its unit and compares it with the content that the destination shows without a
 * write. Therefore zeroes and bytes equal to the backing image need no space. The source may end
 * inside a unit. The rest of that unit, up to the destination's end, is filled with zeroes.
 */
#include <image/pack.h>

#include <string.h>

#include <base/alloc.h>

#include "format.h"
#include "marker.h"
#include "workers.h"

typedef struct {
    CstBlob *src;
    CstBlob *below; /* backing image of the destination, without an end; NULL: no backing image */
    CstImage *dst;
    unsigned flags; /* CstPackFlags */
    CstTask *task;
    uint64_t size, capacity; /* of the source, and of the destination */
    uint64_t unit;
    uint64_t cursor;
} Pack;

/**
 * Finds the run at the cursor. CST_EXTENT_ZERO in its flags means that the destination already
 * shows it.
 */
static gboolean next_run(const Pack *pack, uint64_t left, CstExtent *run, GError **error)
{
    CstExtent under;

    if (!cst_blob_extent(pack->src, pack->cursor, left, run, error))
        return FALSE;
    if (!pack->below || !(run->flags & CST_EXTENT_ZERO))
        return TRUE;
    if (!cst_blob_extent(pack->below, pack->cursor, run->length, &under, error))
        return FALSE;
    run->length = under.length;
    run->flags &= under.flags;
    return TRUE;
}

/** Moves the cursor over whole units that the destination already shows. */
static gboolean skip_zeroes(Pack *pack, GError **error)
{
    while (pack->cursor < pack->size) {
        uint64_t left = pack->size - pack->cursor, skip;
        CstExtent run;

        if (!next_run(pack, left, &run, error))
            return FALSE;
        if (!(run.flags & CST_EXTENT_ZERO))
            return TRUE;
        skip = run.length == left ? left : run.length / pack->unit * pack->unit;
        if (skip == 0)
            return TRUE;
        pack->cursor += skip;
        cst_task_skip(pack->task, skip);
    }
    return TRUE;
}

static gboolean pack_next_piece(gpointer data, CstPiece *piece, GError **error)
{
    Pack *pack = data;

    if ((!(pack->flags & CST_PACK_ALL) && !skip_zeroes(pack, error)) || pack->cursor >= pack->size)
        return FALSE;
    *piece = (CstPiece){pack->cursor, MIN(pack->unit, pack->size - pack->cursor), 0};
    pack->cursor += piece->length;
    return TRUE;
}

/* Sets *ret_shown if the destination shows these bytes without a write. */
static gboolean is_shown(const Pack *pack, const uint8_t *buf, size_t len, uint64_t offset,
                         gboolean *ret_shown, GError **error)
{
    g_autofree uint8_t *under = NULL;

    *ret_shown = !pack->below && cst_bytes_are_zero(buf, len);
    if (!pack->below)
        return TRUE;
    under = cst_alloc(len, 1, pack->below->name, error);
    if (!under || !cst_blob_pread(pack->below, under, len, offset, error))
        return FALSE;
    *ret_shown = memcmp(buf, under, len) == 0;
    return TRUE;
}

/* Compresses a unit. Does not use the buffers of the worker threads, because a unit may be
 * longer. */
static gboolean pack_piece_work(gpointer data, const CstPiece *piece, uint8_t *const bufs[2],
                                GError **error)
{
    Pack *pack = data;
    size_t there = (size_t)piece->length;
    size_t len = (size_t)MIN(pack->unit, pack->capacity - piece->offset);
    g_autofree uint8_t *buf = cst_alloc(len, 1, pack->src->name, error);
    gboolean shown = FALSE;

    if (!buf || !cst_blob_pread(pack->src, buf, there, piece->offset, error))
        return FALSE;
    memset(buf + there, 0, len - there);
    if (!(pack->flags & CST_PACK_ALL) && !is_shown(pack, buf, len, piece->offset, &shown, error))
        return FALSE;
    if (!shown && !cst_image_write_compressed(pack->dst, buf, len, piece->offset, error))
        return FALSE;
    cst_task_advance(pack->task, there);
    return TRUE;
}

static const CstWorkersOps pack_ops = {
    .per_processor = TRUE, .draw = pack_next_piece, .work = pack_piece_work};

gboolean cst_image_pack(CstBlob *src, CstImage *dst, unsigned flags, CstTask *task, GError **error)
{
    g_autoptr(CstBlob) below =
        dst->backing && !(flags & CST_PACK_ZEROED) ? cst_marker_new(dst->backing) : NULL;
    Pack pack = {.src = src, .below = below, .dst = dst, .flags = flags, .task = task};

    if (!cst_blob_get_size(src, &pack.size, error))
        return FALSE;
    pack.capacity = cst_image_capacity(dst);
    pack.unit = cst_image_compression_unit(dst);
    g_return_val_if_fail(pack.unit > 0 && pack.size <= pack.capacity, FALSE);
    return cst_task_begin_copy(task, error) && cst_workers_run(&pack_ops, &pack, task, error);
}
