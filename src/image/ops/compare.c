/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/compare.h>

#include <string.h>

#include "workers.h"

/*
 * Compares two views. Threads draw runs from one cursor. A difference far ahead does not end the
 * comparison of earlier runs: runs are drawn in order, all drawn runs are finished, and the
 * smallest offset counts.
 */

/* Sides of a piece that are known to be zero, and are not read. */
enum { A_ZERO = 1, B_ZERO = 2, BOTH_ZERO = 3 };

typedef struct {
    CstBlob *blob;
    uint64_t size;
    CstExtent run; /**< the rest of the last extent, from the cursor on */
} Side;

typedef struct {
    Side sides[2];
    uint64_t length; /**< of the longer one */
    CstTask *task;
    uint64_t cursor;
    GMutex lock;    /* guards first */
    uint64_t first; /**< smallest offset of a difference; G_MAXUINT64: no difference so far */
} Compare;

static gboolean look_ahead(Compare *compare, Side *side, GError **error)
{
    uint64_t at = compare->cursor;

    if (side->run.length > 0)
        return TRUE;
    if (at < side->size)
        return cst_blob_extent(side->blob, at, side->size - at, &side->run, error);
    side->run = (CstExtent){at, compare->length - at, CST_EXTENT_ZERO};
    return TRUE;
}

static gboolean difference_is_found(Compare *compare)
{
    gboolean found;

    g_mutex_lock(&compare->lock);
    found = compare->first != G_MAXUINT64;
    g_mutex_unlock(&compare->lock);
    return found;
}

static gboolean compare_next_piece(gpointer job, CstPiece *piece, GError **error)
{
    Compare *compare = job;
    Side *a = &compare->sides[0], *b = &compare->sides[1];

    if (compare->cursor >= compare->length || difference_is_found(compare) ||
        !look_ahead(compare, a, error) || !look_ahead(compare, b, error))
        return FALSE;
    piece->offset = compare->cursor;
    piece->length = MIN(a->run.length, b->run.length);
    piece->flags = (a->run.flags & CST_EXTENT_ZERO ? A_ZERO : 0) |
                   (b->run.flags & CST_EXTENT_ZERO ? B_ZERO : 0);
    if (piece->flags != BOTH_ZERO)
        piece->length = MIN(piece->length, CST_PIECE_MAX);
    for (int i = 0; i < 2; i++)
        compare->sides[i].run.length -= piece->length;
    compare->cursor += piece->length;
    return TRUE;
}

static void differ_at(Compare *compare, uint64_t offset)
{
    g_mutex_lock(&compare->lock);
    compare->first = MIN(compare->first, offset);
    g_mutex_unlock(&compare->lock);
}

static size_t first_difference(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t i = 0;

    while (i < len && a[i] == b[i])
        i++;
    return i;
}

static gboolean compare_piece_work(gpointer job, const CstPiece *piece, uint8_t *const bufs[2],
                                   GError **error)
{
    Compare *compare = job;
    size_t n = (size_t)piece->length;

    if (piece->flags == BOTH_ZERO) {
        cst_task_skip(compare->task, piece->length);
        return TRUE;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (piece->flags & (A_ZERO << i))
            memset(bufs[i], 0, n);
        else if (!cst_blob_pread(compare->sides[i].blob, bufs[i], n, piece->offset, error))
            return FALSE;
    }
    if (memcmp(bufs[0], bufs[1], n) != 0)
        differ_at(compare, piece->offset + first_difference(bufs[0], bufs[1], n));
    cst_task_advance(compare->task, n);
    return TRUE;
}

static const CstWorkersOps compare_ops = {.draw = compare_next_piece, .work = compare_piece_work};

gboolean cst_image_compare(CstBlob *a, CstBlob *b, CstDifference *ret_difference, CstTask *task,
                           GError **error)
{
    Compare compare = {.sides = {{.blob = a}, {.blob = b}}, .task = task, .first = G_MAXUINT64};
    gboolean ok;

    for (int i = 0; i < 2; i++) {
        if (!cst_blob_get_size(compare.sides[i].blob, &compare.sides[i].size, error))
            return FALSE;
        compare.length = MAX(compare.length, compare.sides[i].size);
    }
    cst_task_add_total(task, compare.length);
    g_mutex_init(&compare.lock);
    ok = cst_workers_run(&compare_ops, &compare, task, error);
    g_mutex_clear(&compare.lock);
    if (!ok)
        return FALSE;
    ret_difference->same = compare.first == G_MAXUINT64;
    ret_difference->offset = ret_difference->same ? 0 : compare.first;
    ret_difference->common = MIN(compare.sides[0].size, compare.sides[1].size);
    ret_difference->sizes_same = compare.sides[0].size == compare.sides[1].size;
    return TRUE;
}
