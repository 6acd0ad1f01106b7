/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams over either transport: uploads and downloads between the caller's descriptor and a
 * volume, and guest-visible content. They do not pass through call() of conn.c, because they
 * continue after the reply. So the same checks are made here.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "conn_private.h"

#define DIGESTS_MAX (UINT64_C(1) << 30) /* maximum bytes accepted from a server */

/* --- a stream --------------------------------------------------------------------------------- */

typedef struct {
    const CstTransport *transport;
    const CstProcedure *procedure;
    gpointer self; /* the transport's stream */
} Stream;

static gboolean stream_start(Stream *stream, CstConn *conn, uint32_t program, int number,
                             const void *args, void *ret, CstTask *task, GError **error)
{
    const CstTransport *transport = conn->transport;
    wire_void none = {0};

    stream->transport = transport;
    stream->procedure = cst_api_find(program, number);
    if (!cst_conn_check_access(conn, stream->procedure, error))
        return FALSE;
    stream->self = transport->stream_start(conn->self, stream->procedure, args, ret ? ret : &none,
                                           task, error);
    return cst_conn_check_result(stream->self != NULL, stream->procedure->name, error);
}

static gboolean stream_put(const void *bytes, size_t len, uint64_t hole, gpointer data,
                           GError **error)
{
    const Stream *stream = data;

    return stream->transport->stream_put(stream->self, bytes, len, hole, error);
}

static gboolean stream_receive(const Stream *stream, CstPieceFunc piece, gpointer data,
                               GError **error)
{
    return cst_conn_check_result(stream->transport->stream_take(stream->self, piece, data, error) &&
                                     stream->transport->stream_finish(stream->self, error),
                                 stream->procedure->name, error);
}

static gboolean stream_finish(const Stream *stream, GError **error)
{
    return cst_conn_check_result(stream->transport->stream_finish(stream->self, error),
                                 stream->procedure->name, error);
}

static void stream_clear(Stream *stream)
{
    if (stream->self)
        stream->transport->stream_free(stream->self);
    stream->self = NULL;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Stream, stream_clear)

/* --- stored bytes ----------------------------------------------------------------------------- */

gboolean cst_conn_vol_upload(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                             uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    wire_vol_stream_args args = {cst_vol_arg(vol), offset, length, flags};
    g_auto(Stream) stream = {0};
    CstFdSource source;

    if (!cst_fd_source_init(&source, fd, flags & CST_VOL_STREAM_SPARSE, task, error))
        return FALSE;
    cst_task_set_total(task, source.size);
    return stream_start(&stream, conn, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_UPLOAD, &args,
                        NULL, task, error) &&
           cst_fd_source_pump(&source, stream_put, &stream, error) && stream_finish(&stream, error);
}

/* Sets the total of @task. It remains unknown if the server does not report the size. */
static void expect_download(CstConn *conn, const CstVolRef *vol, uint64_t offset, uint64_t length,
                            CstTask *task)
{
    CstVolInfo info;

    /* A download of the whole volume has the physical size. */
    if (!task || !cst_conn_vol_info(conn, vol, TRUE, &info, NULL) || info.allocation <= offset)
        return;
    info.allocation -= offset;
    cst_task_set_total(task, length ? MIN(length, info.allocation) : info.allocation);
}

typedef struct {
    CstFdSink sink;
    CstTask *task;          /* gets the total of the content; may be NULL */
    const CstVolSend *what; /* the part of the content */
} Receiver;

static gboolean receive_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                              GError **error)
{
    Receiver *receiver = data;

    return hole ? cst_fd_sink_hole(&receiver->sink, hole, error)
                : cst_fd_sink_write(&receiver->sink, bytes, len, error);
}

gboolean cst_conn_vol_download_pieces(CstConn *conn, const CstVolRef *vol, uint64_t offset,
                                      uint64_t length, unsigned flags, CstPieceFunc piece,
                                      gpointer data, CstTask *task, GError **error)
{
    wire_vol_stream_args args = {cst_vol_arg(vol), offset, length, flags};
    g_auto(Stream) stream = {0};

    return stream_start(&stream, conn, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DOWNLOAD, &args,
                        NULL, task, error) &&
           stream_receive(&stream, piece, data, error);
}

gboolean cst_conn_vol_download(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                               uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    Receiver receiver = {.task = task};

    if (!cst_fd_sink_init(&receiver.sink, fd, task, error))
        return FALSE;
    expect_download(conn, vol, offset, length, task);
    return cst_conn_vol_download_pieces(conn, vol, offset, length, flags, receive_piece, &receiver,
                                        task, error) &&
           cst_fd_sink_finish(&receiver.sink, error);
}

/* --- guest-visible content -------------------------------------------------------------------- */

gboolean cst_conn_vol_send(CstConn *conn, const CstVolRef *vol, const CstVolSend *what,
                           const CstConnSink *sink, CstTask *task, GError **error)
{
    char *snapshot = (char *)what->snapshot;
    wire_vol_send_args args = {cst_vol_arg(vol), cst_opt_arg(&snapshot), what->offset, what->length,
                               what->flags};
    g_auto(Stream) stream = {0};
    wire_vol_send_ret ret = {0};

    return stream_start(&stream, conn, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_SEND, &args, &ret,
                        task, error) &&
           (!sink->begin || sink->begin(ret.capacity, sink->data, error)) &&
           stream_receive(&stream, sink->piece, sink->data, error);
}

static gboolean begin_receiving(uint64_t capacity, gpointer data, GError **error)
{
    const Receiver *receiver = data;
    uint64_t rest = capacity - MIN(capacity, receiver->what->offset),
             length = receiver->what->length;

    cst_task_set_total(receiver->task, length ? MIN(length, rest) : rest);
    return TRUE;
}

gboolean cst_conn_vol_send_to(CstConn *conn, const CstVolRef *vol, const CstVolSend *what, int fd,
                              CstTask *task, GError **error)
{
    Receiver receiver = {.task = task, .what = what};
    const CstConnSink sink = {begin_receiving, receive_piece, &receiver};

    return cst_fd_sink_init(&receiver.sink, fd, task, error) &&
           cst_conn_vol_send(conn, vol, what, &sink, task, error) &&
           cst_fd_sink_finish(&receiver.sink, error);
}

void cst_vol_digests_clear(CstVolDigests *digests)
{
    g_clear_pointer(&digests->digests, g_byte_array_unref);
}

/* Cannot overflow, because there are at most G_MAXUINT64 / 64 KiB digests. */
static uint64_t digests_size(const CstVolDigests *digests)
{
    return cst_div_up(digests->length, digests->chunk) * CST_VOL_DIGEST_SIZE;
}

/*
 * Accepts digests only up to the length that results from the server's reply, because the server
 * controls the amount of data.
 */
static gboolean digests_append_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                     GError **error)
{
    CstVolDigests *digests = data;
    uint64_t more = len + hole, had = digests->digests->len;

    if (more > DIGESTS_MAX - had || had + more > digests_size(digests))
        return cst_fail(error, CST_ERROR_LIMIT, _("the server sends too many digests"));
    g_byte_array_set_size(digests->digests, (guint)(had + more));
    if (hole)
        memset(digests->digests->data + had, 0, hole);
    else
        memcpy(digests->digests->data + had, bytes, len);
    return TRUE;
}

static gboolean check_digests(const CstVolDigests *digests, GError **error)
{
    return digests->digests->len == digests_size(digests) ||
           cst_fail(error, CST_ERROR_RPC, _("the server has sent too few digests"));
}

static gboolean fetch_digests(CstConn *conn, const wire_vol_digests_args *args,
                              CstVolDigests *digests, CstTask *task, GError **error)
{
    g_auto(Stream) stream = {0};
    wire_vol_send_ret said = {0};

    if (!stream_start(&stream, conn, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_DIGESTS, args, &said,
                      task, error))
        return FALSE;
    digests->capacity = said.capacity;
    digests->offset = MIN(args->offset, said.capacity);
    digests->length = said.capacity - digests->offset;
    if (args->length)
        digests->length = MIN(args->length, digests->length);
    return stream_receive(&stream, digests_append_piece, digests, error) &&
           check_digests(digests, error);
}

gboolean cst_conn_vol_digests(CstConn *conn, const CstVolRef *vol, const CstVolSend *what,
                              uint64_t chunk, CstTask *task, CstVolDigests *ret, GError **error)
{
    char *snapshot = (char *)what->snapshot;
    const wire_vol_digests_args args = {cst_vol_arg(vol), cst_opt_arg(&snapshot), chunk,
                                        what->offset,     what->length,           what->flags};

    *ret = (CstVolDigests){.chunk = chunk};
    if (chunk < CST_VOL_DIGEST_CHUNK_MIN)
        return cst_fail(error, CST_ERROR_INVALID, _("digests are of chunks of at least 64 KiB"));
    ret->digests = g_byte_array_new();
    if (fetch_digests(conn, &args, ret, task, error))
        return TRUE;
    cst_vol_digests_clear(ret);
    return FALSE;
}

struct CstConnReceive {
    Stream stream;
    CstConn *conn; /* borrowed */
    CstPoolRef *pool;
    char *name;
};

CstConnReceive *cst_conn_vol_receive(CstConn *conn, const CstPoolRef *pool, const char *xml,
                                     unsigned flags, CstTask *task, GError **error)
{
    wire_vol_receive_args args = {cst_pool_arg(pool), (char *)xml, flags};
    g_autoptr(CstConnReceive) receive = g_new0(CstConnReceive, 1);
    wire_text ret = {0};

    if (!stream_start(&receive->stream, conn, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_RECEIVE, &args,
                      &ret, task, error))
        return NULL;
    /* XDR allocates strings with malloc(), so g_free() may free them. */
    receive->conn = conn;
    receive->pool = cst_pool_ref_new(pool->name, &pool->uuid);
    receive->name = ret.value;
    return g_steal_pointer(&receive);
}

CstConnReceive *cst_conn_vol_patch(CstConn *conn, const CstVolRef *vol, uint64_t offset,
                                   CstTask *task, GError **error)
{
    wire_vol_patch_args args = {cst_vol_arg(vol), offset, 0};
    g_autoptr(CstConnReceive) receive = g_new0(CstConnReceive, 1);

    if (!stream_start(&receive->stream, conn, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_PATCH, &args,
                      NULL, task, error))
        return NULL;
    return g_steal_pointer(&receive);
}

CstConnReceive *cst_conn_vol_upload_pieces(CstConn *conn, const CstVolRef *vol, unsigned flags,
                                           CstTask *task, GError **error)
{
    wire_vol_stream_args args = {cst_vol_arg(vol), 0, 0, flags};
    g_autoptr(CstConnReceive) receive = g_new0(CstConnReceive, 1);

    if (!stream_start(&receive->stream, conn, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_UPLOAD,
                      &args, NULL, task, error))
        return NULL;
    return g_steal_pointer(&receive);
}

gboolean cst_conn_abilities(CstConn *conn, CstConnAbilities *ret, GError **error)
{
    return cst_conn_supports(conn, WIRE_CISTERN_CALL_MODE, &ret->dry_runs, error) &&
           cst_conn_supports(conn, WIRE_CISTERN_VOL_SEND, &ret->sends, error) &&
           cst_conn_supports(conn, WIRE_CISTERN_VOL_RECEIVE, &ret->receives, error) &&
           cst_conn_supports(conn, WIRE_CISTERN_VOL_DIGESTS, &ret->digests, error) &&
           cst_conn_supports(conn, WIRE_CISTERN_VOL_PATCH, &ret->patches, error);
}

gboolean cst_conn_receive_piece(const void *bytes, size_t len, uint64_t hole, gpointer receive,
                                GError **error)
{
    return stream_put(bytes, len, hole, &((CstConnReceive *)receive)->stream, error);
}

gboolean cst_conn_patch_finish(CstConnReceive *receive, GError **error)
{
    gboolean done = stream_finish(&receive->stream, error);

    stream_clear(&receive->stream);
    return done;
}

CstVolRef *cst_conn_receive_finish(CstConnReceive *receive, GError **error)
{
    if (!cst_conn_patch_finish(receive, error))
        return NULL;
    return cst_conn_vol_by_name(receive->conn, receive->pool, receive->name, error);
}

void cst_conn_receive_free(CstConnReceive *receive)
{
    if (!receive)
        return;
    stream_clear(&receive->stream);
    g_clear_pointer(&receive->pool, cst_pool_ref_free);
    g_free(receive->name);
    g_free(receive);
}
