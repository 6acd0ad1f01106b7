/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/compare.h>

#include <string.h>

#include <base/error.h>
#include <base/units.h>

/*
 * Threads draw runs from one cursor. A difference far ahead does not end the comparison of what is
 * before it: runs are handed out in order, so all that is drawn is finished, and the smallest
 * offset counts.
 */

#define THREADS 2
#define RUN     (4 * CST_MIB)
#define BUFFER  (512 * CST_KIB)

typedef struct {
    CstBlob *blob;
    uint64_t size;
    CstExtent run; /**< what the last question said about the bytes at the cursor; guarded */
} Side;

typedef struct {
    Side sides[2];
    uint64_t length; /**< of the longer one */
    CstTask *task;
    GMutex lock; /* guards what follows */
    uint64_t cursor;
    uint64_t first; /**< smallest offset that differs; G_MAXUINT64: none so far */
    GError *error;
} Compare;

/** A piece to compare; sides that are zero there need not be read. */
typedef struct {
    uint64_t offset, length;
    gboolean zero[2];
} Piece;

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

/** Lock held. */
static gboolean draw(Compare *compare, Piece *piece)
{
    Side *a = &compare->sides[0], *b = &compare->sides[1];

    if (compare->error || compare->first != G_MAXUINT64 || compare->cursor >= compare->length)
        return FALSE;
    if (!cst_task_check(compare->task, &compare->error) ||
        !look_ahead(compare, a, &compare->error) || !look_ahead(compare, b, &compare->error))
        return FALSE;
    piece->offset = compare->cursor;
    piece->length = MIN(a->run.length, b->run.length);
    piece->zero[0] = (a->run.flags & CST_EXTENT_ZERO) != 0;
    piece->zero[1] = (b->run.flags & CST_EXTENT_ZERO) != 0;
    if (!piece->zero[0] || !piece->zero[1])
        piece->length = MIN(piece->length, RUN);
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

static gboolean compare_piece(Compare *compare, const Piece *piece, uint8_t *const bufs[2],
                              GError **error)
{
    for (uint64_t done = 0; done < piece->length;) {
        size_t n = (size_t)MIN(BUFFER, piece->length - done);
        uint64_t offset = piece->offset + done;

        for (int i = 0; i < 2; i++) {
            if (piece->zero[i])
                memset(bufs[i], 0, n);
            else if (!cst_blob_pread(compare->sides[i].blob, bufs[i], n, offset, error))
                return FALSE;
        }
        if (memcmp(bufs[0], bufs[1], n) != 0) {
            differ_at(compare, offset + first_difference(bufs[0], bufs[1], n));
            return TRUE;
        }
        done += n;
    }
    return TRUE;
}

static gboolean next(Compare *compare, Piece *piece)
{
    gboolean more;

    g_mutex_lock(&compare->lock);
    more = draw(compare, piece);
    g_mutex_unlock(&compare->lock);
    return more;
}

static void fail(Compare *compare, GError *error)
{
    g_mutex_lock(&compare->lock);
    if (compare->error)
        g_error_free(error);
    else
        compare->error = error;
    g_mutex_unlock(&compare->lock);
}

static void *worker(void *data)
{
    Compare *compare = data;
    uint8_t *bufs[2] = {g_malloc(BUFFER), g_malloc(BUFFER)};
    Piece piece;

    while (next(compare, &piece)) {
        GError *error = NULL;

        if (piece.zero[0] && piece.zero[1]) {
            cst_task_skip(compare->task, piece.length);
            continue;
        }
        if (!compare_piece(compare, &piece, bufs, &error))
            fail(compare, error);
        cst_task_advance(compare->task, piece.length);
    }
    g_free(bufs[0]);
    g_free(bufs[1]);
    return NULL;
}

gboolean cst_image_compare(CstBlob *a, CstBlob *b, CstDifference *ret_difference, CstTask *task,
                           GError **error)
{
    Compare compare = {.sides = {{.blob = a}, {.blob = b}}, .task = task, .first = G_MAXUINT64};
    GThread *threads[THREADS - 1];

    for (int i = 0; i < 2; i++) {
        if (!cst_blob_get_size(compare.sides[i].blob, &compare.sides[i].size, error))
            return FALSE;
        compare.length = MAX(compare.length, compare.sides[i].size);
    }
    cst_task_add_total(task, compare.length);
    g_mutex_init(&compare.lock);
    /* This thread works as well, so it goes on where no thread can be had. */
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_try_new("compare", worker, &compare, NULL);
    worker(&compare);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        if (threads[i])
            g_thread_join(threads[i]);
    g_mutex_clear(&compare.lock);
    if (compare.error) {
        g_propagate_error(error, compare.error);
        return FALSE;
    }
    ret_difference->same = compare.first == G_MAXUINT64;
    ret_difference->offset = ret_difference->same ? 0 : compare.first;
    ret_difference->sizes_same = compare.sides[0].size == compare.sides[1].size;
    return TRUE;
}
