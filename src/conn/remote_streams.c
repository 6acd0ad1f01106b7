/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams over libvirt's protocol. The client updates the task: it counts the bytes that this side
 * has transferred, and its rate slows down this side and therefore the server. Cancelling ends the
 * pump, and freeing the stream aborts it at the server.
 */
#include "remote_private.h"

typedef struct {
    CstWireStream *wire;
    CstTask *task;     /* borrowed; may be NULL */
    CstPieceFunc func; /* NULL: no consumer yet */
    gpointer data;
    GPtrArray *early; /* of Piece *, data that arrived together with the reply */
} RemoteStream;

typedef struct {
    GBytes *bytes; /* NULL: a hole */
    uint64_t hole;
} Piece;

static void stream_piece_free(gpointer data)
{
    Piece *piece = data;

    g_clear_pointer(&piece->bytes, g_bytes_unref);
    g_free(piece);
}

static void stream_queue_piece(RemoteStream *stream, const void *bytes, size_t len, uint64_t hole)
{
    Piece *piece = g_new0(Piece, 1);

    if (len > 0)
        piece->bytes = g_bytes_new(bytes, len);
    piece->hole = hole;
    g_ptr_array_add(stream->early, piece);
}

static void task_count_piece(CstTask *task, size_t len, uint64_t hole)
{
    cst_task_advance(task, len);
    cst_task_skip(task, hole);
}

static gboolean on_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                         GError **error)
{
    RemoteStream *stream = data;

    if (!stream->func) {
        stream_queue_piece(stream, bytes, len, hole);
        return TRUE;
    }
    if (!stream->func(bytes, len, hole, stream->data, error))
        return FALSE;
    task_count_piece(stream->task, len, hole);
    return TRUE;
}

gpointer cst_remote_stream_start(gpointer self, const CstProcedure *procedure, const void *args,
                                 void *ret, CstTask *task, GError **error)
{
    const CstWireProc proc = {procedure->program, procedure->number, procedure->args_func,
                              procedure->ret_func};
    CstRemote *remote = self;
    RemoteStream *stream = g_new0(RemoteStream, 1);
    GError *why = NULL;

    stream->task = task;
    stream->early = g_ptr_array_new_with_free_func(stream_piece_free);
    stream->wire = cst_wire_stream_start(remote->client, &proc, args, ret, on_piece, stream, &why);
    if (stream->wire)
        return stream;
    cst_remote_stream_free(stream);
    cst_remote_fail(procedure, why, error);
    return NULL;
}

gboolean cst_remote_stream_put(gpointer self, const void *bytes, size_t len, uint64_t hole,
                               GError **error)
{
    RemoteStream *stream = self;

    if (!cst_task_check(stream->task, error) ||
        !(hole ? cst_wire_stream_send_hole(stream->wire, hole, error)
               : cst_wire_stream_send(stream->wire, bytes, len, error)))
        return FALSE;
    task_count_piece(stream->task, len, hole);
    return TRUE;
}

gboolean cst_remote_stream_take(gpointer self, CstPieceFunc func, gpointer data, GError **error)
{
    RemoteStream *stream = self;

    stream->func = func;
    stream->data = data;
    for (guint i = 0; i < stream->early->len; i++) {
        const Piece *piece = g_ptr_array_index(stream->early, i);
        size_t len = 0;
        const void *bytes = piece->bytes ? g_bytes_get_data(piece->bytes, &len) : NULL;

        if (!on_piece(bytes, len, piece->hole, stream, error))
            return FALSE;
    }
    g_ptr_array_set_size(stream->early, 0);
    return cst_wire_stream_receive(stream->wire, stream->task, error);
}

gboolean cst_remote_stream_finish(gpointer self, GError **error)
{
    return cst_wire_stream_finish(((RemoteStream *)self)->wire, error);
}

void cst_remote_stream_free(gpointer self)
{
    RemoteStream *stream = self;

    cst_wire_stream_free(stream->wire);
    g_ptr_array_unref(stream->early);
    g_free(stream);
}
