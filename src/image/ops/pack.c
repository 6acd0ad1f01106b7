/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/pack.h>

#include <string.h>

#include "crew.h"

typedef struct {
    CstBlob *src;
    CstImage *dst;
    CstTask *task;
    uint64_t size, capacity; /* of the source; of the destination */
    uint64_t unit;
    uint64_t cursor;
} Pack;

/** Passes over whole units that are known to be zero. */
static gboolean skip_zeroes(Pack *pack, GError **error)
{
    while (pack->cursor < pack->size) {
        uint64_t left = pack->size - pack->cursor, skip;
        CstExtent run;

        if (!cst_blob_extent(pack->src, pack->cursor, left, &run, error))
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

static gboolean draw(gpointer data, CstPiece *piece, GError **error)
{
    Pack *pack = data;

    if (!skip_zeroes(pack, error) || pack->cursor >= pack->size)
        return FALSE;
    *piece = (CstPiece){pack->cursor, MIN(pack->unit, pack->size - pack->cursor), 0};
    pack->cursor += piece->length;
    return TRUE;
}

/* A unit may be longer than the crew's buffers. */
static gboolean work(gpointer data, const CstPiece *piece, uint8_t *const bufs[2], GError **error)
{
    Pack *pack = data;
    size_t there = (size_t)piece->length;
    size_t len = (size_t)MIN(pack->unit, pack->capacity - piece->offset);
    g_autofree uint8_t *buf = g_malloc(len);

    if (!cst_blob_pread(pack->src, buf, there, piece->offset, error))
        return FALSE;
    memset(buf + there, 0, len - there);
    if (!cst_bytes_are_zero(buf, there) &&
        !cst_image_write_compressed(pack->dst, buf, len, piece->offset, error))
        return FALSE;
    cst_task_advance(pack->task, there);
    return TRUE;
}

static const CstCrewOps pack_ops = {.everybody = TRUE, .draw = draw, .work = work};

gboolean cst_image_pack(CstBlob *src, CstImage *dst, CstTask *task, GError **error)
{
    Pack pack = {.src = src, .dst = dst, .task = task};

    if (!cst_blob_get_size(src, &pack.size, error))
        return FALSE;
    pack.capacity = cst_image_capacity(dst);
    pack.unit = cst_image_compression_unit(dst);
    g_return_val_if_fail(pack.unit > 0 && pack.size <= pack.capacity, FALSE);
    return cst_crew_run(&pack_ops, &pack, task, error);
}
