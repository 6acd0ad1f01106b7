/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stream as a blob. Pieces are kept in the order of their offsets until they have been read. One
 * lock guards all state.
 *
 * Several threads read at slightly different offsets. So a piece is dropped when its bytes have
 * been read, not when a later piece is read. A piece that the readers skip (mostly zeroes) is
 * dropped when they are FAR past it.
 */
#include <blob/pipe.h>

#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#define FAR (UINT64_C(1) << 30) /* exceeds the distance between any two readers */

typedef struct {
    uint64_t start;
    uint64_t length;
    uint64_t unread;
    uint8_t *data; /* NULL: zeroes */
} Piece;

typedef struct {
    CstBlob head;
    uint64_t size;
    GMutex lock;
    GCond changed;
    /* guarded by the lock: */
    GSequence *pieces; /* of Piece, by start */
    uint64_t given;    /* end of the available bytes */
    uint64_t wanted;   /* largest end of a requested range */
    uint64_t reached;  /* largest requested offset */
    uint64_t kept;     /* bytes of data in the pieces */
    gboolean ended, left;
    GError *why;
} PipeBlob;

static void piece_free(gpointer data)
{
    Piece *piece = data;

    g_free(piece->data);
    g_free(piece);
}

static int compare_start(gconstpointer a, gconstpointer b, gpointer data)
{
    const Piece *piece = a, *other = b;

    return (piece->start > other->start) - (piece->start < other->start);
}

/* --- reading; lock held ----------------------------------------------------------------------- */

static void piece_drop(PipeBlob *pipe, GSequenceIter *at)
{
    const Piece *piece = g_sequence_get(at);

    if (piece->data)
        pipe->kept -= piece->length;
    g_sequence_remove(at);
    g_cond_broadcast(&pipe->changed);
}

static void drop_far_behind(PipeBlob *pipe, uint64_t offset)
{
    GSequenceIter *first = g_sequence_get_begin_iter(pipe->pieces);

    pipe->reached = MAX(pipe->reached, offset);
    while (!g_sequence_iter_is_end(first)) {
        const Piece *piece = g_sequence_get(first);

        if (piece->start + piece->length + FAR >= pipe->reached)
            return;
        piece_drop(pipe, first);
        first = g_sequence_get_begin_iter(pipe->pieces);
    }
}

static gboolean wait_for(PipeBlob *pipe, uint64_t end, GError **error)
{
    pipe->wanted = MAX(pipe->wanted, end);
    if (pipe->given < end)
        g_cond_broadcast(&pipe->changed);
    while (pipe->given < end && !pipe->ended) {
        CST_TEST_POINT("blob_pipe.read.wait");
        g_cond_wait(&pipe->changed, &pipe->lock);
    }
    if (pipe->given >= end)
        return TRUE;
    if (pipe->why) {
        g_propagate_error(error, g_error_copy(pipe->why));
        return FALSE;
    }
    return cst_fail(error, CST_ERROR_IO, _("'%s' ended after %" PRIu64 " of %" PRIu64 " bytes"),
                    pipe->head.name, pipe->given, pipe->size);
}

/* Finds the piece that contains @offset. */
static gboolean piece_find(PipeBlob *pipe, uint64_t offset, GSequenceIter **ret_at, GError **error)
{
    Piece key = {.start = offset};
    GSequenceIter *after = g_sequence_search(pipe->pieces, &key, compare_start, NULL);
    GSequenceIter *at = g_sequence_iter_prev(after);
    const Piece *piece = at == after ? NULL : g_sequence_get(at);

    *ret_at = at;
    return (piece && offset - piece->start < piece->length) ||
           cst_fail(error, CST_ERROR_INTERNAL,
                    _("'%s' can be read once only, and byte %" PRIu64 " was"), pipe->head.name,
                    offset);
}

/* Copies up to @len bytes from the piece at @offset and marks them read. */
static gboolean piece_read(PipeBlob *pipe, uint8_t *buf, size_t len, uint64_t offset,
                           size_t *ret_taken, GError **error)
{
    GSequenceIter *at;
    uint64_t inside;
    Piece *piece;

    if (!piece_find(pipe, offset, &at, error))
        return FALSE;
    piece = g_sequence_get(at);
    inside = offset - piece->start;
    *ret_taken = (size_t)MIN(len, piece->length - inside);
    if (!piece->data) {
        memset(buf, 0, *ret_taken);
        return TRUE;
    }
    memcpy(buf, piece->data + inside, *ret_taken);
    piece->unread -= MIN(piece->unread, *ret_taken);
    if (piece->unread == 0)
        piece_drop(pipe, at);
    return TRUE;
}

static gboolean pipe_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    PipeBlob *pipe = (PipeBlob *)blob;
    uint8_t *to = buf;
    gboolean ok;

    g_mutex_lock(&pipe->lock);
    ok = wait_for(pipe, offset + len, error);
    while (ok && len > 0) {
        size_t n = 0;

        ok = piece_read(pipe, to, len, offset, &n, error);
        to += n;
        offset += n;
        len -= n;
    }
    drop_far_behind(pipe, offset);
    g_mutex_unlock(&pipe->lock);
    return ok;
}

static gboolean pipe_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                            GError **error)
{
    PipeBlob *pipe = (PipeBlob *)blob;
    GSequenceIter *at;
    gboolean ok;

    g_mutex_lock(&pipe->lock);
    drop_far_behind(pipe, offset);
    ok = wait_for(pipe, offset + 1, error) && piece_find(pipe, offset, &at, error);
    if (ok) {
        const Piece *piece = g_sequence_get(at);

        *ret_extent =
            (CstExtent){offset, MIN(length, piece->start + piece->length - offset),
                        piece->data ? CST_EXTENT_DATA : CST_EXTENT_HOLE | CST_EXTENT_ZERO};
    }
    g_mutex_unlock(&pipe->lock);
    return ok;
}

static gboolean pipe_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = ((PipeBlob *)blob)->size;
    return TRUE;
}

static void pipe_close(CstBlob *blob)
{
    PipeBlob *pipe = (PipeBlob *)blob;

    g_sequence_free(pipe->pieces);
    g_clear_error(&pipe->why);
    g_mutex_clear(&pipe->lock);
    g_cond_clear(&pipe->changed);
    g_free(pipe);
}

static const CstBlobOps pipe_ops = {
    .kind = "pipe",
    .pread = pipe_pread,
    .get_size = pipe_get_size,
    .close = pipe_close,
    .extent = pipe_extent,
};

CstBlob *cst_blob_pipe_new(const char *name, uint64_t size)
{
    PipeBlob *pipe = g_new0(PipeBlob, 1);

    cst_blob_init(&pipe->head, &pipe_ops, name, FALSE);
    pipe->size = size;
    pipe->pieces = g_sequence_new(piece_free);
    g_mutex_init(&pipe->lock);
    g_cond_init(&pipe->changed);
    return &pipe->head;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Appends a piece. A hole after a hole extends the earlier one. */
static void pipe_append(PipeBlob *pipe, const void *bytes, uint64_t length)
{
    GSequenceIter *last = g_sequence_iter_prev(g_sequence_get_end_iter(pipe->pieces));
    Piece *piece = g_sequence_iter_is_end(last) ? NULL : g_sequence_get(last);

    if (!bytes && piece && !piece->data && piece->start + piece->length == pipe->given) {
        piece->length += length;
    } else {
        piece = g_new0(Piece, 1);
        piece->start = pipe->given;
        piece->length = piece->unread = length;
        piece->data = bytes ? g_memdup2(bytes, (gsize)length) : NULL;
        g_sequence_append(pipe->pieces, piece);
    }
    pipe->kept += bytes ? length : 0;
    pipe->given += length;
    g_cond_broadcast(&pipe->changed);
}

gboolean cst_blob_pipe_put(CstBlob *blob, const void *bytes, size_t len, uint64_t hole,
                           GError **error)
{
    PipeBlob *pipe = (PipeBlob *)blob;
    uint64_t length = hole ? hole : len;
    gboolean ok;

    if (length == 0)
        return TRUE;
    g_mutex_lock(&pipe->lock);
    /*
     * Does not wait while a reader needs bytes that are not available yet, because that reader
     * can't free space.
     */
    while (pipe->kept >= CST_BLOB_PIPE_WINDOW && pipe->wanted <= pipe->given && !pipe->left) {
        CST_TEST_POINT("blob_pipe.put.wait");
        g_cond_wait(&pipe->changed, &pipe->lock);
    }
    if (pipe->left)
        ok = cst_fail(error, CST_ERROR_CANCELLED, _("'%s' is not read any more"), blob->name);
    else if (length > pipe->size - pipe->given)
        ok = cst_fail(error, CST_ERROR_INVALID, _("'%s' is longer than the %" PRIu64 " bytes said"),
                      blob->name, pipe->size);
    else
        ok = TRUE;
    if (ok)
        pipe_append(pipe, hole ? NULL : bytes, length);
    g_mutex_unlock(&pipe->lock);
    return ok;
}

void cst_blob_pipe_end(CstBlob *blob, const GError *why)
{
    PipeBlob *pipe = (PipeBlob *)blob;

    g_mutex_lock(&pipe->lock);
    pipe->ended = TRUE;
    pipe->why = why ? g_error_copy(why) : NULL;
    g_cond_broadcast(&pipe->changed);
    g_mutex_unlock(&pipe->lock);
}

void cst_blob_pipe_leave(CstBlob *blob)
{
    PipeBlob *pipe = (PipeBlob *)blob;

    g_mutex_lock(&pipe->lock);
    pipe->left = TRUE;
    g_cond_broadcast(&pipe->changed);
    g_mutex_unlock(&pipe->lock);
}
