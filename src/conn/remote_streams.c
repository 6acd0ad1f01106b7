/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uploads and downloads over libvirt's streams. The task is the client's own: it counts the bytes
 * that this side has moved, and its rate holds this side back, and so the server. Cancelling ends
 * the pump, and freeing the stream aborts it at the server.
 */
#include "remote_private.h"

static CstWireStream *start(CstRemote *remote, int number, const wire_vol_stream_args *args,
                            CstWireStreamFunc func, gpointer data, GError **error)
{
    const CstWireProc proc = {WIRE_REMOTE_PROGRAM, number, (xdrproc_t)xdr_wire_vol_stream_args,
                              NULL};

    return cst_wire_stream_start(remote->client, &proc, args, func, data, error);
}

static gboolean send_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                           GError **error)
{
    return hole ? cst_wire_stream_send_hole(data, hole, error)
                : cst_wire_stream_send(data, bytes, len, error);
}

gboolean cst_remote_upload(gpointer self, const wire_vol_stream_args *args, CstFdSource *source,
                           CstTask *task, GError **error)
{
    g_autoptr(CstWireStream) stream =
        start(self, WIRE_PROC_STORAGE_VOL_UPLOAD, args, NULL, NULL, error);

    return stream && cst_fd_source_pump(source, send_piece, stream, task, error) &&
           cst_wire_stream_finish(stream, error);
}

typedef struct {
    CstFdSink *sink;
    CstTask *task;
} Receiver;

static gboolean receive_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                              GError **error)
{
    Receiver *receiver = data;

    if (!(hole ? cst_fd_sink_hole(receiver->sink, hole, receiver->task, error)
               : cst_fd_sink_write(receiver->sink, bytes, len, error)))
        return FALSE;
    cst_task_advance(receiver->task, len);
    cst_task_skip(receiver->task, hole);
    return TRUE;
}

gboolean cst_remote_download(gpointer self, const wire_vol_stream_args *args, CstFdSink *sink,
                             CstTask *task, GError **error)
{
    Receiver receiver = {sink, task};
    g_autoptr(CstWireStream) stream =
        start(self, WIRE_PROC_STORAGE_VOL_DOWNLOAD, args, receive_piece, &receiver, error);

    return stream && cst_wire_stream_receive(stream, task, error) &&
           cst_wire_stream_finish(stream, error);
}
