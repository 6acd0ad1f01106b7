/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls of a client that end in each possible way. No call remains in the client's tables, and the
 * connection continues, or reports why it cannot.
 */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <poll.h>

#include "ask_type.h"
#include "tables.h"

static const CstWireProc echo = {WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_SUPPORTS_FEATURE,
                                 (xdrproc_t)xdr_wire_int, (xdrproc_t)xdr_wire_int};

gint64 __wrap_g_get_monotonic_time(void);
gint64 __real_g_get_monotonic_time(void);

static gint64 seconds_passed; /* added to the clock's seconds */

static void await_bytes(const CstWireClient *client)
{
    struct pollfd readable = {.fd = client->fd, .events = POLLIN};

    assert_int_equal(poll(&readable, 1, 120000), 1);
}

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

static void received_reply_is_returned_after_the_deadline(void **state)
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
    /* Abandoned although the reply has arrived: its memory is freed at once. */
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

static void failed_calls_leave_no_entry_in_the_tables(void **state)
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

/* A reply to no call, and then the right one. */
static void serve_wrong_and_right_reply(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_CONNECT_GET_TYPE);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    wire_text ret = {(char *)STORAGE};

    call.type = WIRE_REPLY;
    call.serial += 7;
    g_assert_true(cst_wire_append(bytes, &call, (xdrproc_t)xdr_wire_text, &ret, NULL));
    call.serial -= 7;
    g_assert_true(cst_wire_append(bytes, &call, (xdrproc_t)xdr_wire_text, &ret, NULL));
    fake_write(fd, bytes->data, bytes->len);
}

static void packets_after_the_failure_are_not_handled(void **state)
{
    FakeServer server;
    CstWireClient *client =
        cst_wire_client_new(fake_start(&server, serve_wrong_and_right_reply, NULL));
    g_autoptr(GError) error = NULL;

    assert_null(ask_type(client, &error));
    assert_fails_with(error, CST_ERROR_RPC, "a call that was not made");
    assert_tables_empty(client);
    cst_wire_client_free(client);
    fake_stop(&server);
}

/* The program was busy for an hour and has not read the socket. */
static void silence_of_the_program_is_not_the_servers(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_one_type, NULL));
    g_autofree char *type = NULL;

    cst_wire_client_set_keepalive(client, 300 * 1000, 0);
    seconds_passed += 3600;
    type = ask_type(client, NULL);
    assert_string_equal(type, STORAGE);
    cst_wire_client_free(client);
    fake_stop(&server);
}

static void close_without_reply(int fd, gpointer data)
{
    fake_expect(fd, WIRE_PROC_CONNECT_SUPPORTS_FEATURE);
    fake_expect(fd, WIRE_PROC_CONNECT_SUPPORTS_FEATURE);
}

/* Replies to the first call before it arrives, and hangs up. */
static void reply_and_close(gpointer data)
{
    const CstWireHeader call = {.program = WIRE_REMOTE_PROGRAM,
                                .version = WIRE_VERSION,
                                .procedure = WIRE_PROC_CONNECT_GET_TYPE};
    int *fd = data;

    fake_reply_error(*fd, call, 38, "the server has too many clients");
    close(*fd);
}

/* The socket is closed between the check and the write, which fails. */
static void reply_that_came_before_a_failed_write_counts(void **state)
{
    g_autoptr(GError) error = NULL, next = NULL;
    CstWireClient *client;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    client = cst_wire_client_new(pair[0]);
    point_run("wire.client.write", reply_and_close, &pair[1]);
    assert_null(ask_type(client, &error));
    assert_non_null(strstr(error->message, "too many clients"));
    assert_null(ask_type(client, &next));
    assert_int_equal(next->code, CST_ERROR_UNREACHABLE);
    assert_tables_empty(client);
    points_clear();
    cst_wire_client_free(client);
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

gint64 __wrap_g_get_monotonic_time(void)
{
    return __real_g_get_monotonic_time() + seconds_passed * G_TIME_SPAN_SECOND;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(received_reply_is_returned_after_the_deadline),
        cmocka_unit_test(reply_of_a_call_that_was_given_up_is_dropped),
        cmocka_unit_test(second_reply_fails_the_connection),
        cmocka_unit_test(failed_calls_leave_no_entry_in_the_tables),
        cmocka_unit_test(reply_that_came_before_the_failure_counts),
        cmocka_unit_test(reply_that_came_before_a_failed_write_counts),
        cmocka_unit_test(packets_after_the_failure_are_not_handled),
        cmocka_unit_test(silence_of_the_program_is_not_the_servers),
        cmocka_unit_test(end_of_the_connection_fails_each_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
