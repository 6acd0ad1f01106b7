/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ask_type.h"

static const CstWireProc download = {WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DOWNLOAD, NULL,
                                     NULL};
static const CstWireProc upload = {WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_UPLOAD, NULL, NULL};

/* A stream from or to a server that follows a script. */
typedef struct {
    FakeServer server;
    CstWireClient *client;
    CstWireStream *stream;
} Session;

static void session_open(Session *session, const CstWireProc *proc, FakeScript script,
                         gpointer script_data, CstWireStreamFunc func, gpointer func_data)
{
    session->client = cst_wire_client_new(fake_start(&session->server, script, script_data));
    session->stream =
        cst_wire_stream_start(session->client, proc, NULL, NULL, func, func_data, NULL);
    assert_non_null(session->stream);
}

static void session_close(Session *session)
{
    cst_wire_stream_free(session->stream);
    cst_wire_client_free(session->client);
    fake_stop(&session->server);
}

/* Packets on the wire are complete, so the connection works after the stream. */
static void session_close_asking(Session *session)
{
    g_autofree char *type = NULL;

    g_clear_pointer(&session->stream, cst_wire_stream_free);
    type = ask_type(session->client, NULL);
    assert_string_equal(type, STORAGE);
    session_close(session);
}

/* --- downloads ------------------------------------------------------------------------------- */

typedef struct {
    GString *seen; /* data as it is, holes as [length] */
    gboolean refuse;
} Sink;

static gboolean sink_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                           GError **error)
{
    Sink *sink = data;

    if (sink->refuse)
        return cst_fail(error, CST_ERROR_NO_SPACE, "disk full");
    if (hole)
        g_string_append_printf(sink->seen, "[%" G_GUINT64_FORMAT "]", hole);
    else
        g_string_append_len(sink->seen, bytes, len);
    return TRUE;
}

static void send_hole(int fd, CstWireHeader call, int64_t length)
{
    wire_hole hole = {length, 0};

    call.type = WIRE_STREAM_HOLE;
    call.status = WIRE_CONTINUE;
    fake_send(fd, &call, xdr_wire_hole, &hole);
}

static void expect_end(int fd, uint32_t status)
{
    FakePacket packet;

    g_assert_true(fake_read(fd, &packet));
    g_assert_cmpuint(packet.header.type, ==, WIRE_STREAM);
    g_assert_cmpuint(packet.header.status, ==, status);
    g_assert_cmpuint(packet.len, ==, CST_WIRE_HEADER_LEN);
    fake_send_raw(fd, packet.header, WIRE_STREAM, WIRE_OK, NULL, 0);
    fake_packet_clear(&packet);
}

static void serve_download(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_DOWNLOAD);

    fake_reply(fd, call, NULL, NULL);
    fake_send_raw(fd, call, WIRE_STREAM, WIRE_CONTINUE, "abc", 3);
    send_hole(fd, call, 4096);
    fake_send_raw(fd, call, WIRE_STREAM, WIRE_CONTINUE, "de", 2);
    fake_send_raw(fd, call, WIRE_STREAM, WIRE_CONTINUE, NULL, 0);
    expect_end(fd, WIRE_OK);
}

static void download_gives_data_and_holes_in_order(void **state)
{
    Session session;
    Sink sink = {g_string_new(NULL), FALSE};

    session_open(&session, &download, serve_download, NULL, sink_piece, &sink);
    assert_true(cst_wire_stream_receive(session.stream, NULL, NULL));
    assert_true(cst_wire_stream_finish(session.stream, NULL));
    assert_string_equal(sink.seen->str, "abc[4096]de");
    session_close(&session);
    g_string_free(sink.seen, TRUE);
}

static void serve_failing_download(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_DOWNLOAD);
    CstWireHeader bad = call;
    char *text = (char *)"operation failed: the disk is gone";
    wire_error error = {.code = 9, .message = &text};

    fake_reply(fd, call, NULL, NULL);
    fake_send_raw(fd, call, WIRE_STREAM, WIRE_CONTINUE, "abc", 3);
    bad.type = WIRE_STREAM;
    bad.status = WIRE_ERROR;
    fake_send(fd, &bad, xdr_wire_error, &error);
    /* No end of the stream is to come from the client, only its next call. */
    serve_one_type(fd, NULL);
}

static void stream_error_ends_the_download(void **state)
{
    Session session;
    Sink sink = {g_string_new(NULL), FALSE};
    g_autoptr(GError) error = NULL;

    session_open(&session, &download, serve_failing_download, NULL, sink_piece, &sink);
    assert_false(cst_wire_stream_receive(session.stream, NULL, &error));
    assert_non_null(strstr(error->message, "the disk is gone"));
    session_close_asking(&session);
    g_string_free(sink.seen, TRUE);
}

/** Sends until the client stops the stream. */
static void serve_endless_download(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_DOWNLOAD);
    g_autofree char *chunk = g_strnfill(100000, 'z');
    uint8_t byte;

    fake_reply(fd, call, NULL, NULL);
    while (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
        fake_send_raw(fd, call, WIRE_STREAM, WIRE_CONTINUE, chunk, 100000);
    expect_end(fd, WIRE_ERROR);
    serve_one_type(fd, NULL);
}

static void failing_sink_aborts_the_download(void **state)
{
    Session session;
    Sink sink = {g_string_new(NULL), TRUE};
    g_autoptr(GError) error = NULL;

    session_open(&session, &download, serve_endless_download, NULL, sink_piece, &sink);
    assert_false(cst_wire_stream_receive(session.stream, NULL, &error));
    assert_fails_with(error, CST_ERROR_NO_SPACE, "disk full");
    session_close_asking(&session);
    g_string_free(sink.seen, TRUE);
}

static gboolean cancel_after_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                   GError **error)
{
    cst_task_cancel(data);
    return TRUE;
}

static void cancelled_task_aborts_the_download(void **state)
{
    Session session;
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    session_open(&session, &download, serve_endless_download, NULL, cancel_after_piece, task);
    assert_false(cst_wire_stream_receive(session.stream, task, &error));
    assert_fails_with(error, CST_ERROR_CANCELLED, "cancelled");
    session_close_asking(&session);
}

/** Sends no data, and cancels when the client waits. */
static void serve_silent_download(int fd, gpointer data)
{
    fake_reply(fd, fake_expect(fd, WIRE_PROC_STORAGE_VOL_DOWNLOAD), NULL, NULL);
    point_await("wire.stream.receive_wait", 1);
    cst_task_cancel(data);
    expect_end(fd, WIRE_ERROR);
}

static void download_without_data_can_be_canceled(void **state)
{
    Session session;
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    point_watch("wire.stream.receive_wait");
    session_open(&session, &download, serve_silent_download, task, cancel_after_piece, task);
    assert_false(cst_wire_stream_receive(session.stream, task, &error));
    assert_fails_with(error, CST_ERROR_CANCELLED, "cancelled");
    session_close(&session);
    points_clear();
}

static void serve_bad_hole(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_DOWNLOAD);

    fake_reply(fd, call, NULL, NULL);
    send_hole(fd, call, -1);
    expect_end(fd, WIRE_ERROR);
}

static void hole_of_negative_length_is_refused(void **state)
{
    Session session;
    Sink sink = {g_string_new(NULL), FALSE};
    g_autoptr(GError) error = NULL;

    session_open(&session, &download, serve_bad_hole, NULL, sink_piece, &sink);
    assert_false(cst_wire_stream_receive(session.stream, NULL, &error));
    assert_fails_with(error, CST_ERROR_RPC, "hole");
    session_close(&session);
    g_string_free(sink.seen, TRUE);
}

/* --- uploads --------------------------------------------------------------------------------- */

#define UPLOAD_LEN (5u * 1024 * 1024 + 17)

/** Sends a flood of events between the packets it reads, each end's buffers full both ways. */
static void serve_upload(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_UPLOAD);
    const CstWireHeader event = {WIRE_REMOTE_PROGRAM,
                                 WIRE_VERSION,
                                 WIRE_PROC_STORAGE_POOL_EVENT_REFRESH,
                                 WIRE_MESSAGE,
                                 1,
                                 WIRE_OK};
    g_autofree uint8_t *noise = g_malloc0(512 * 1024);
    GByteArray *got = data;
    FakePacket packet;

    fake_reply(fd, call, NULL, NULL);
    for (;;) {
        fake_send_raw(fd, event, WIRE_MESSAGE, WIRE_OK, noise, 512 * 1024);
        g_assert_true(fake_read(fd, &packet));
        g_assert_cmpuint(packet.header.serial, ==, call.serial);
        if (packet.header.type == WIRE_STREAM_HOLE) {
            g_byte_array_append(got, (const uint8_t *)"HOLE", 4);
        } else if (packet.header.status == WIRE_CONTINUE) {
            g_byte_array_append(got, packet.bytes + CST_WIRE_HEADER_LEN,
                                packet.len - CST_WIRE_HEADER_LEN);
        } else {
            break;
        }
        fake_packet_clear(&packet);
    }
    g_assert_cmpuint(packet.header.status, ==, WIRE_OK);
    fake_send_raw(fd, call, WIRE_STREAM, WIRE_OK, NULL, 0);
    fake_packet_clear(&packet);
}

static void upload_arrives_whole_while_events_flood_in(void **state)
{
    Session session;
    g_autoptr(GByteArray) got = g_byte_array_new();
    g_autofree uint8_t *bytes = g_malloc(UPLOAD_LEN);

    session_open(&session, &upload, serve_upload, got, NULL, NULL);
    for (guint i = 0; i < UPLOAD_LEN; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 4096);
    assert_true(cst_wire_stream_send(session.stream, bytes, UPLOAD_LEN, NULL));
    assert_true(cst_wire_stream_send_hole(session.stream, 8192, NULL));
    assert_true(cst_wire_stream_finish(session.stream, NULL));
    session_close(&session);
    assert_int_equal(got->len, UPLOAD_LEN + 4);
    assert_memory_equal(got->data, bytes, UPLOAD_LEN);
    assert_memory_equal(got->data + UPLOAD_LEN, "HOLE", 4);
}

static void serve_full_disk(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_UPLOAD), bad = call;
    char *text = (char *)"cannot write to stream: No space left on device";
    wire_error error = {.code = 38, .message = &text, .int1 = ENOSPC};
    FakePacket packet;

    fake_reply(fd, call, NULL, NULL);
    bad.type = WIRE_STREAM;
    bad.status = WIRE_ERROR;
    fake_send(fd, &bad, xdr_wire_error, &error);
    while (fake_read(fd, &packet)) {
        g_assert_cmpuint(packet.header.status, !=, WIRE_ERROR);
        fake_packet_clear(&packet);
        if (packet.header.procedure == WIRE_PROC_CONNECT_GET_TYPE)
            reply_type(fd, packet.header);
    }
}

static void upload_stops_at_the_servers_error(void **state)
{
    Session session;
    g_autofree uint8_t *bytes = g_malloc0(UPLOAD_LEN);
    g_autoptr(GError) error = NULL;
    int sent = 0;

    session_open(&session, &upload, serve_full_disk, NULL, NULL, NULL);
    while (sent < 1000 && cst_wire_stream_send(session.stream, bytes, UPLOAD_LEN, &error))
        sent++;
    assert_fails_with(error, CST_ERROR_NO_SPACE, "cannot write to stream");
    session_close_asking(&session);
}

static void serve_refused_upload(int fd, gpointer data)
{
    fake_reply_error(fd, fake_expect(fd, WIRE_PROC_STORAGE_VOL_UPLOAD), 50,
                     "Storage volume not found: no storage vol with matching name 'v'");
    serve_one_type(fd, NULL);
}

static void refused_start_makes_no_stream(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_refused_upload, NULL));
    g_autoptr(GError) error = NULL;
    g_autofree char *type = NULL;

    assert_null(cst_wire_stream_start(client, &upload, NULL, NULL, NULL, NULL, &error));
    assert_fails_with(error, CST_ERROR_NO_VOL, "'v'");
    type = ask_type(client, NULL);
    assert_string_equal(type, STORAGE);
    cst_wire_client_free(client);
    fake_stop(&server);
}

static void close_at_once(int fd, gpointer data)
{
    fake_reply(fd, fake_expect(fd, WIRE_PROC_STORAGE_VOL_UPLOAD), NULL, NULL);
}

static void server_that_disconnects_during_an_upload_is_reported(void **state)
{
    Session session;
    g_autofree uint8_t *bytes = g_malloc0(UPLOAD_LEN);
    g_autoptr(GError) error = NULL;

    session_open(&session, &upload, close_at_once, NULL, NULL, NULL);
    assert_false(cst_wire_stream_send(session.stream, bytes, UPLOAD_LEN, &error));
    assert_int_equal(error->code, CST_ERROR_UNREACHABLE);
    session_close(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(download_gives_data_and_holes_in_order),
        cmocka_unit_test(stream_error_ends_the_download),
        cmocka_unit_test(failing_sink_aborts_the_download),
        cmocka_unit_test(cancelled_task_aborts_the_download),
        cmocka_unit_test(download_without_data_can_be_canceled),
        cmocka_unit_test(hole_of_negative_length_is_refused),
        cmocka_unit_test(upload_arrives_whole_while_events_flood_in),
        cmocka_unit_test(upload_stops_at_the_servers_error),
        cmocka_unit_test(refused_start_makes_no_stream),
        cmocka_unit_test(server_that_disconnects_during_an_upload_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
