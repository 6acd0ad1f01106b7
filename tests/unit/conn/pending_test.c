/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls and streams of a client that end in each possible way: none stays in the client's tables,
 * and the connection goes on, or reports why it does not.
 */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <poll.h>

#include "ask_type.h"
#include "client_private.h"

static const CstWireProc echo = {WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_SUPPORTS_FEATURE,
                                 (xdrproc_t)xdr_wire_int, (xdrproc_t)xdr_wire_int};
static const CstWireProc download = {WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DOWNLOAD, NULL,
                                     NULL};
static const CstWireProc upload = {WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_UPLOAD, NULL, NULL};

static void assert_tables_empty(const CstWireClient *client)
{
    assert_int_equal(g_hash_table_size(client->pending), 0);
    assert_int_equal(g_hash_table_size(client->streams), 0);
}

/* The connection works, and nothing is in the tables. */
static void assert_goes_on(CstWireClient *client)
{
    g_autofree char *type = ask_type(client, NULL);

    assert_string_equal(type, STORAGE);
    assert_tables_empty(client);
}

static void await_bytes(const CstWireClient *client)
{
    struct pollfd readable = {.fd = client->fd, .events = POLLIN};

    assert_int_equal(poll(&readable, 1, 120000), 1);
}

/* --- calls ------------------------------------------------------------------------------------ */

static void serve_echoes(int fd, gpointer data)
{
    wire_int ret = {5};

    for (int i = 0; i < 2; i++)
        fake_reply(fd, fake_expect(fd, WIRE_PROC_CONNECT_SUPPORTS_FEATURE), xdr_wire_int, &ret);
    serve_one_type(fd, NULL);
}

static uint32_t send_echo(CstWireClient *client)
{
    wire_int args = {5};
    uint32_t serial;

    assert_true(cst_wire_client_send(client, &echo, &args, &serial, NULL));
    return serial;
}

static void reply_that_is_there_needs_no_time(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_echoes, NULL));
    uint32_t first = send_echo(client), second = send_echo(client);
    gboolean arrived = FALSE;

    assert_true(cst_wire_client_await(client, first, -1, &arrived, NULL));
    assert_true(arrived);
    if (!((CstWirePending *)g_hash_table_lookup(client->pending, GUINT_TO_POINTER(second)))->packet)
        await_bytes(client);
    assert_true(cst_wire_client_await(client, second, 0, &arrived, NULL));
    assert_true(arrived);
    /* Given up although the reply is there: its memory is freed at once. */
    cst_wire_client_forget(client, second);
    assert_int_equal(g_hash_table_size(client->pending), 1);
    cst_wire_client_forget(client, first);
    assert_tables_empty(client);
    assert_goes_on(client);
    cst_wire_client_free(client);
    fake_stop(&server);
}

static void reply_of_a_call_that_was_given_up_is_dropped(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_echoes, NULL));

    for (int i = 0; i < 2; i++)
        cst_wire_client_forget(client, send_echo(client));
    assert_int_equal(g_hash_table_size(client->pending), 2);
    assert_goes_on(client);
    cst_wire_client_free(client);
    fake_stop(&server);
}

/* The second reply has no call. */
static void serve_two_replies(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_CONNECT_SUPPORTS_FEATURE);
    wire_int ret = {5};

    fake_reply(fd, call, xdr_wire_int, &ret);
    fake_reply(fd, call, xdr_wire_int, &ret);
}

static void second_reply_fails_the_connection(void **state)
{
    for (int forgotten = 0; forgotten < 2; forgotten++) {
        FakeServer server;
        CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_two_replies, NULL));
        uint32_t serial = send_echo(client);
        GError *error = NULL;

        if (forgotten)
            cst_wire_client_forget(client, serial);
        while (cst_wire_client_pump(client, -1, -1, &error))
            ;
        assert_fails_with(error, CST_ERROR_RPC, "a call that was not made");
        g_error_free(error);
        cst_wire_client_free(client);
        fake_stop(&server);
    }
}

static void serve_errors(int fd, gpointer data)
{
    const uint8_t cut[2] = {0};

    fake_reply_error(fd, fake_expect(fd, WIRE_PROC_CONNECT_SUPPORTS_FEATURE), 38, "no");
    fake_send_raw(fd, fake_expect(fd, WIRE_PROC_CONNECT_SUPPORTS_FEATURE), WIRE_REPLY, WIRE_OK, cut,
                  sizeof(cut));
    serve_one_type(fd, NULL);
}

static void failed_calls_leave_nothing(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_errors, NULL));

    for (int i = 0; i < 2; i++) {
        wire_int ret = {0};
        g_autoptr(GError) error = NULL;

        assert_false(cst_wire_client_collect(client, send_echo(client), &echo, &ret, &error));
        assert_non_null(error);
        assert_tables_empty(client);
    }
    assert_goes_on(client);
    cst_wire_client_free(client);
    fake_stop(&server);
}

/* The reply and a packet that fails the connection come together. */
static void serve_reply_and_nonsense(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_CONNECT_GET_TYPE);
    const uint8_t nonsense[32] = {0, 0, 0, 1};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    wire_text ret = {(char *)STORAGE};

    call.type = WIRE_REPLY;
    g_assert_true(cst_wire_append(bytes, &call, (xdrproc_t)xdr_wire_text, &ret, NULL));
    g_byte_array_append(bytes, nonsense, sizeof(nonsense));
    fake_write(fd, bytes->data, bytes->len);
}

static void reply_that_came_before_the_failure_counts(void **state)
{
    FakeServer server;
    CstWireClient *client =
        cst_wire_client_new(fake_start(&server, serve_reply_and_nonsense, NULL));
    g_autoptr(GError) error = NULL, next = NULL;
    g_autofree char *type = ask_type(client, &error);

    assert_null(error);
    assert_string_equal(type, STORAGE);
    assert_non_null(cst_wire_client_broken(client));
    assert_null(ask_type(client, &next));
    assert_fails_with(next, CST_ERROR_RPC, "packet length 1");
    assert_tables_empty(client);
    cst_wire_client_free(client);
    fake_stop(&server);
}

static void close_without_reply(int fd, gpointer data)
{
    fake_expect(fd, WIRE_PROC_CONNECT_SUPPORTS_FEATURE);
    fake_expect(fd, WIRE_PROC_CONNECT_SUPPORTS_FEATURE);
}

/* In the middle of the wait for the first of two. */
static void end_of_the_connection_fails_each_call(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, close_without_reply, NULL));
    uint32_t serials[] = {send_echo(client), send_echo(client)};

    for (size_t i = 0; i < G_N_ELEMENTS(serials); i++) {
        wire_int ret = {0};
        g_autoptr(GError) error = NULL;

        assert_false(cst_wire_client_collect(client, serials[i], &echo, &ret, &error));
        assert_fails_with(error, CST_ERROR_UNREACHABLE, "closed the connection");
    }
    assert_tables_empty(client);
    cst_wire_client_free(client);
    fake_stop(&server);
}

/* --- streams ---------------------------------------------------------------------------------- */

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

static void refused_stream_leaves_nothing(void **state)
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
static void ended_stream_leaves_nothing(void **state)
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

/* The server's reason comes in the middle of a packet that is being sent; then it hangs up. */
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
        cmocka_unit_test(reply_that_is_there_needs_no_time),
        cmocka_unit_test(reply_of_a_call_that_was_given_up_is_dropped),
        cmocka_unit_test(second_reply_fails_the_connection),
        cmocka_unit_test(failed_calls_leave_nothing),
        cmocka_unit_test(reply_that_came_before_the_failure_counts),
        cmocka_unit_test(end_of_the_connection_fails_each_call),
        cmocka_unit_test(refused_stream_leaves_nothing),
        cmocka_unit_test(ended_stream_leaves_nothing),
        cmocka_unit_test(first_failure_of_a_stream_stays),
        cmocka_unit_test(finish_waits_until_the_server_has_ended_the_stream),
        cmocka_unit_test(reason_of_the_server_comes_before_the_loss_of_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
