/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams of a client that end in each possible way. No stream remains in the client's tables, the
 * first failure is reported, and packets on the wire are complete.
 */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tables.h"

static const CstWireProc download = {WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DOWNLOAD, NULL,
                                     NULL};
static const CstWireProc upload = {WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_UPLOAD, NULL, NULL};

static void refuse_stream(int fd, gpointer data)
{
    fake_reply_error(fd, fake_expect(fd, WIRE_PROC_STORAGE_VOL_DOWNLOAD), 50, "no such volume");
    serve_one_type(fd, NULL);
}

/* Sends data at once, in one write with the reply, and answers the end of the stream. */
static void serve_stream(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_DOWNLOAD), packet;
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    call.type = WIRE_REPLY;
    cst_wire_append_raw(bytes, &call, NULL, 0);
    call.type = WIRE_STREAM;
    call.status = WIRE_CONTINUE;
    cst_wire_append_raw(bytes, &call, "abc", 3);
    cst_wire_append_raw(bytes, &call, NULL, 0);
    fake_write(fd, bytes->data, bytes->len);
    packet = fake_expect(fd, WIRE_PROC_STORAGE_VOL_DOWNLOAD);
    g_assert_cmpuint(packet.type, ==, WIRE_STREAM);
    *(uint32_t *)data = packet.status;
    fake_send_raw(fd, call, WIRE_STREAM, WIRE_OK, NULL, 0);
    serve_one_type(fd, NULL);
}

static gboolean append_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                             GError **error)
{
    g_string_append_len(data, bytes, len);
    return TRUE;
}

static void refused_stream_leaves_no_entry_in_the_tables(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, refuse_stream, NULL));

    assert_null(cst_wire_stream_start(client, &download, NULL, NULL, append_piece, NULL, NULL));
    assert_tables_empty(client);
    assert_goes_on(client);
    cst_wire_client_free(client);
    fake_stop(&server);
}

/* Finished, or given up: the server hears which, and has answered when the stream is freed. */
static void ended_stream_leaves_no_entry_in_the_tables(void **state)
{
    for (int finished = 0; finished < 2; finished++) {
        FakeServer server;
        uint32_t status = 99;
        CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_stream, &status));
        GString *got = g_string_new(NULL);
        CstWireStream *stream =
            cst_wire_stream_start(client, &download, NULL, NULL, append_piece, got, NULL);

        assert_non_null(stream);
        if (finished) {
            assert_true(cst_wire_stream_receive(stream, NULL, NULL));
            assert_string_equal(got->str, "abc");
            assert_true(cst_wire_stream_finish(stream, NULL));
        }
        cst_wire_stream_free(stream);
        assert_int_equal(status, finished ? WIRE_OK : WIRE_ERROR);
        assert_tables_empty(client);
        assert_goes_on(client);
        g_string_free(got, TRUE);
        cst_wire_client_free(client);
        fake_stop(&server);
    }
}

/* Data that the client refuses, and then the end of the stream, with @data as its status. */
static void serve_refused_data(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_DOWNLOAD);
    char *text = (char *)"operation failed: the disk is gone";
    wire_error error = {.code = 9, .message = &text};
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    fake_reply(fd, call, NULL, NULL);
    call.type = WIRE_STREAM;
    call.status = WIRE_CONTINUE;
    cst_wire_append_raw(bytes, &call, "abc", 3);
    call.status = GPOINTER_TO_UINT(data);
    if (call.status == WIRE_OK)
        cst_wire_append_raw(bytes, &call, NULL, 0);
    else
        g_assert_true(cst_wire_append(bytes, &call, (xdrproc_t)xdr_wire_error, &error, NULL));
    fake_write(fd, bytes->data, bytes->len);
    serve_one_type(fd, NULL);
}

static gboolean refuse_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                             GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SPACE, "disk full");
}

static void first_failure_of_a_stream_stays(void **state)
{
    static const uint32_t ends[] = {WIRE_OK, WIRE_ERROR};

    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        FakeServer server;
        CstWireClient *client =
            cst_wire_client_new(fake_start(&server, serve_refused_data, GUINT_TO_POINTER(ends[i])));
        CstWireStream *stream =
            cst_wire_stream_start(client, &download, NULL, NULL, refuse_piece, NULL, NULL);
        g_autoptr(GError) error = NULL, finish = NULL;

        assert_non_null(stream);
        while (!stream->server_done)
            assert_true(cst_wire_client_pump(client, -1, -1, NULL));
        assert_false(cst_wire_stream_receive(stream, NULL, &error));
        assert_fails_with(error, CST_ERROR_NO_SPACE, "disk full");
        assert_false(cst_wire_stream_finish(stream, &finish));
        assert_fails_with(finish, CST_ERROR_NO_SPACE, "disk full");
        cst_wire_stream_free(stream);
        assert_goes_on(client);
        cst_wire_client_free(client);
        fake_stop(&server);
    }
}

/* The end of the stream and a packet that fails the connection come together. */
static void serve_end_and_nonsense(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_UPLOAD);
    const uint8_t nonsense[32] = {0, 0, 0, 1};
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    fake_reply(fd, call, NULL, NULL);
    fake_expect(fd, WIRE_PROC_STORAGE_VOL_UPLOAD);
    call.type = WIRE_STREAM;
    call.status = WIRE_OK;
    cst_wire_append_raw(bytes, &call, NULL, 0);
    g_byte_array_append(bytes, nonsense, sizeof(nonsense));
    fake_write(fd, bytes->data, bytes->len);
}

static void end_that_came_before_the_failure_counts(void **state)
{
    g_autoptr(GError) error = NULL;
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_end_and_nonsense, NULL));
    CstWireStream *stream = cst_wire_stream_start(client, &upload, NULL, NULL, NULL, NULL, NULL);

    assert_non_null(stream);
    assert_true(cst_wire_stream_finish(stream, &error));
    assert_null(error);
    assert_non_null(cst_wire_client_broken(client));
    cst_wire_stream_free(stream);
    assert_tables_empty(client);
    cst_wire_client_free(client);
    fake_stop(&server);
}

/* Another packet comes first, and the failure when the client waits again. */
static void fail_after_an_event(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_UPLOAD);
    const CstWireHeader event = {WIRE_REMOTE_PROGRAM,
                                 WIRE_VERSION,
                                 WIRE_PROC_STORAGE_POOL_EVENT_REFRESH,
                                 WIRE_MESSAGE,
                                 1,
                                 WIRE_OK};
    char *text = (char *)"operation failed: the disk is gone";
    wire_error error = {.code = 9, .message = &text};

    fake_reply(fd, call, NULL, NULL);
    fake_expect(fd, WIRE_PROC_STORAGE_VOL_UPLOAD);
    fake_send_raw(fd, event, WIRE_MESSAGE, WIRE_OK, "", 0);
    point_await("wire.stream.end_wait", 2);
    call.type = WIRE_STREAM;
    call.status = WIRE_ERROR;
    fake_send(fd, &call, xdr_wire_error, &error);
    serve_one_type(fd, NULL);
}

static void finish_waits_until_the_server_has_ended_the_stream(void **state)
{
    g_autoptr(GError) error = NULL;
    FakeServer server;
    CstWireClient *client;
    CstWireStream *stream;

    point_watch("wire.stream.end_wait");
    client = cst_wire_client_new(fake_start(&server, fail_after_an_event, NULL));
    stream = cst_wire_stream_start(client, &upload, NULL, NULL, NULL, NULL, NULL);
    assert_non_null(stream);
    assert_false(cst_wire_stream_finish(stream, &error));
    assert_non_null(strstr(error->message, "the disk is gone"));
    cst_wire_stream_free(stream);
    assert_goes_on(client);
    points_clear();
    cst_wire_client_free(client);
    fake_stop(&server);
}

/* Reads the rest of a packet of which the first @have bytes are at @head. */
static void read_rest(int fd, const uint8_t *head, size_t have)
{
    g_autofree uint8_t *rest = NULL;
    size_t len;

    g_assert_true(cst_wire_packet_length(head, &len, NULL));
    rest = g_malloc(len - have);
    g_assert_true(fake_read_full(fd, rest, len - have));
}

/* In the middle of a packet, the stream fails; the client's next packet is its next call. */
static void fail_in_the_middle(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_UPLOAD);
    char *text = (char *)"operation failed: the disk is gone";
    wire_error error = {.code = 9, .message = &text};
    uint8_t head[1000];

    fake_reply(fd, call, NULL, NULL);
    g_assert_true(fake_read_full(fd, head, sizeof(head)));
    call.type = WIRE_STREAM;
    call.status = WIRE_ERROR;
    fake_send(fd, &call, xdr_wire_error, &error);
    read_rest(fd, head, sizeof(head));
    serve_one_type(fd, NULL);
}

/* In the middle of a packet, the server pings; the answer comes between two packets. */
static void ping_in_the_middle(int fd, gpointer data)
{
    const CstWireHeader ping = {
        WIRE_KEEPALIVE_PROGRAM, WIRE_VERSION, WIRE_KEEPALIVE_PING, WIRE_MESSAGE, 0, WIRE_OK};
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_UPLOAD);
    gboolean ponged = FALSE, ended = FALSE;
    uint8_t head[1000];
    FakePacket packet;

    fake_reply(fd, call, NULL, NULL);
    g_assert_true(fake_read_full(fd, head, sizeof(head)));
    fake_send_raw(fd, ping, WIRE_MESSAGE, WIRE_OK, NULL, 0);
    read_rest(fd, head, sizeof(head));
    for (; !ended && fake_read(fd, &packet); fake_packet_clear(&packet)) {
        ponged |= packet.header.program == WIRE_KEEPALIVE_PROGRAM;
        ended = packet.header.type == WIRE_STREAM && packet.header.status == WIRE_OK;
    }
    g_assert_true(ponged && ended);
    fake_send_raw(fd, call, WIRE_STREAM, WIRE_OK, NULL, 0);
    serve_one_type(fd, NULL);
}

/* Packets are longer than the socket's buffer. */
static void packet_that_was_begun_is_completed(void **state)
{
    static const FakeScript scripts[] = {fail_in_the_middle, ping_in_the_middle};
    g_autofree uint8_t *bytes = g_malloc0(4 << 20);

    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        g_autoptr(GError) error = NULL;
        FakeServer server;
        CstWireClient *client = cst_wire_client_new(fake_start(&server, scripts[i], NULL));
        CstWireStream *stream;
        int size = 8192;

        assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
        stream = cst_wire_stream_start(client, &upload, NULL, NULL, NULL, NULL, NULL);
        assert_non_null(stream);
        assert_int_equal(cst_wire_stream_send(stream, bytes, 4 << 20, &error), i == 1);
        if (i == 1)
            assert_true(cst_wire_stream_finish(stream, NULL));
        else
            assert_non_null(strstr(error->message, "the disk is gone"));
        cst_wire_stream_free(stream);
        assert_goes_on(client);
        cst_wire_client_free(client);
        fake_stop(&server);
    }
}

/*
 * The server's error comes in the middle of a packet that is being sent. Then the server hangs up.
 */
static void fail_and_close(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_VOL_UPLOAD);
    char *text = (char *)"cannot write to stream: No space left on device";
    wire_error error = {.code = 38, .message = &text, .int1 = ENOSPC};
    uint8_t some[1000];

    fake_reply(fd, call, NULL, NULL);
    g_assert_true(fake_read_full(fd, some, sizeof(some)));
    call.type = WIRE_STREAM;
    call.status = WIRE_ERROR;
    fake_send(fd, &call, xdr_wire_error, &error);
}

static void reason_of_the_server_comes_before_the_loss_of_the_connection(void **state)
{
    g_autofree uint8_t *bytes = g_malloc0(8 << 20);
    g_autoptr(GError) error = NULL, finish = NULL;
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, fail_and_close, NULL));
    CstWireStream *stream = cst_wire_stream_start(client, &upload, NULL, NULL, NULL, NULL, NULL);

    assert_non_null(stream);
    assert_false(cst_wire_stream_send(stream, bytes, 8 << 20, &error));
    assert_fails_with(error, CST_ERROR_NO_SPACE, "No space left");
    assert_false(cst_wire_stream_finish(stream, &finish));
    assert_fails_with(finish, CST_ERROR_NO_SPACE, "No space left");
    assert_int_equal(client->direct[0].iov_len + client->direct[1].iov_len, 0);
    cst_wire_stream_free(stream);
    assert_tables_empty(client);
    cst_wire_client_free(client);
    fake_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_stream_leaves_no_entry_in_the_tables),
        cmocka_unit_test(ended_stream_leaves_no_entry_in_the_tables),
        cmocka_unit_test(first_failure_of_a_stream_stays),
        cmocka_unit_test(end_that_came_before_the_failure_counts),
        cmocka_unit_test(finish_waits_until_the_server_has_ended_the_stream),
        cmocka_unit_test(packet_that_was_begun_is_completed),
        cmocka_unit_test(reason_of_the_server_comes_before_the_loss_of_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
