/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fdio.h"
#include "remote_private.h"

static CstWireStream *start(CstRemote *remote, int number, const CstVolRef *vol, uint64_t offset,
                            uint64_t length, unsigned flags, CstWireStreamFunc func, gpointer data,
                            GError **error)
{
    CstWireProc proc = cst_remote_proc(number, xdr_wire_vol_stream_args, NULL);
    wire_vol_stream_args args = {cst_remote_vol_arg(vol), offset, length, flags};

    return cst_wire_stream_start(remote->client, &proc, &args, func, data, error);
}

static gboolean send_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                           GError **error)
{
    return hole ? cst_wire_stream_send_hole(data, hole, error)
                : cst_wire_stream_send(data, bytes, len, error);
}

gboolean cst_remote_vol_upload(gpointer self, const CstVolRef *vol, int fd, uint64_t offset,
                               uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    g_autoptr(CstWireStream) stream = NULL;
    CstFdSource source;

    if (!cst_fd_source_init(&source, fd, flags & CST_VOL_STREAM_SPARSE, error))
        return FALSE;
    cst_task_set_total(task, source.size);
    stream =
        start(self, WIRE_PROC_STORAGE_VOL_UPLOAD, vol, offset, length, flags, NULL, NULL, error);
    return stream && cst_fd_source_pump(&source, send_piece, stream, task, error) &&
           cst_wire_stream_finish(stream, error);
}

typedef struct {
    CstFdSink sink;
    CstTask *task;
} Receiver;

static gboolean receive_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                              GError **error)
{
    Receiver *receiver = data;

    if (!(hole ? cst_fd_sink_hole(&receiver->sink, hole, receiver->task, error)
               : cst_fd_sink_write(&receiver->sink, bytes, len, error)))
        return FALSE;
    cst_task_advance(receiver->task, len);
    cst_task_skip(receiver->task, hole);
    return TRUE;
}

gboolean cst_remote_vol_download(gpointer self, const CstVolRef *vol, int fd, uint64_t offset,
                                 uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    g_autoptr(CstWireStream) stream = NULL;
    Receiver receiver = {.task = task};

    if (!cst_fd_sink_init(&receiver.sink, fd, error))
        return FALSE;
    stream = start(self, WIRE_PROC_STORAGE_VOL_DOWNLOAD, vol, offset, length, flags, receive_piece,
                   &receiver, error);
    return stream && cst_wire_stream_receive(stream, task, error) &&
           cst_wire_stream_finish(stream, error) && cst_fd_sink_finish(&receiver.sink, error);
}
