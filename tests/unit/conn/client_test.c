/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ask_type.h"
#include "client_private.h"

static const CstWireProc lookup = {WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_NAME,
                                   (xdrproc_t)xdr_wire_text, (xdrproc_t)xdr_wire_pool_args};
static const CstWireProc echo = {WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_SUPPORTS_FEATURE,
                                 (xdrproc_t)xdr_wire_int, (xdrproc_t)xdr_wire_int};

/* --- calls ----------------------------------------------------------------------------------- */

static void call_gives_the_answer(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_one_type, NULL));
    g_autofree char *type = ask_type(client, NULL);

    assert_string_equal(type, STORAGE);
    cst_wire_client_free(client);
    fake_stop(&server);
}

static void serve_missing_pool(int fd, gpointer data)
{
    fake_reply_error(fd, fake_expect(fd, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_NAME), 49,
                     "Storage pool not found: no storage pool with matching name 'x'");
    serve_one_type(fd, NULL);
}

static void error_answer_prints_as_the_server_wrote_it(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_missing_pool, NULL));
    wire_text args = {(char *)"x"};
    wire_pool_args ret = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL, *type = NULL;

    assert_false(cst_wire_client_call(client, &lookup, &args, &ret, &error));
    assert_int_equal(error->code, CST_ERROR_NO_POOL);
    text = cst_error_text(error);
    assert_string_equal(text, "Storage pool not found: no storage pool with matching name 'x'");
    /* The connection works after an error answer. */
    type = ask_type(client, NULL);
    assert_string_equal(type, STORAGE);
    cst_wire_client_free(client);
    fake_stop(&server);
}

static gboolean holds(const void *memory, size_t len, const char *text)
{
    return memmem(memory, len, text, strlen(text)) != NULL;
}

/* Sends the reply and half of a ping. The other half comes with the next reply. */
static void serve_one_and_a_half(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_NAME);
    CstWireHeader ping = {
        WIRE_KEEPALIVE_PROGRAM, WIRE_VERSION, WIRE_KEEPALIVE_PING, WIRE_MESSAGE, 0, WIRE_OK};
    g_autoptr(GByteArray) buf = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    guint half;

    cst_fail(&error, CST_ERROR_NO_POOL, "what came");
    call.type = WIRE_REPLY;
    cst_wire_append_error(buf, &call, CST_WIRE_FROM_DRIVER, error);
    half = buf->len + CST_WIRE_HEADER_LEN / 2;
    cst_wire_append_raw(buf, &ping, NULL, 0);
    fake_write(fd, buf->data, half);
    call = fake_expect(fd, WIRE_PROC_CONNECT_GET_TYPE);
    fake_write(fd, buf->data + half, buf->len - half);
    reply_type(fd, call);
}

static void serve_one(int fd, gpointer data)
{
    fake_reply_error(fd, fake_expect(fd, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_NAME), 49, "what came");
    serve_one_type(fd, NULL);
}

/* The sent and received bytes may contain a secret's value. */
static void a_wiped_client_keeps_no_byte_of_a_call(void **state)
{
    static const FakeScript scripts[] = {serve_one, serve_one_and_a_half};

    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        FakeServer server;
        CstWireClient *client = cst_wire_client_new(fake_start(&server, scripts[i], NULL));
        wire_text args = {(char *)"what was sent"};
        wire_pool_args ret = {0};
        g_autofree char *type = NULL;

        assert_false(cst_wire_client_call(client, &lookup, &args, &ret, NULL));
        assert_true(holds(client->in, client->in_size, "what came"));
        cst_wire_client_wipe(client);
        assert_false(holds(client->in, client->in_size, "what came"));
        assert_int_equal(client->out->len, 0);
        assert_false(holds(client->out->data, CST_WIRE_HEADER_LEN + 64, "what was sent"));
        type = ask_type(client, NULL);
        assert_string_equal(type, STORAGE);
        cst_wire_client_free(client);
        fake_stop(&server);
    }
}

#define BATCH 4

static void serve_backwards(int fd, gpointer data)
{
    CstWireHeader calls[BATCH];

    for (int i = 0; i < BATCH; i++)
        calls[i] = fake_expect(fd, WIRE_PROC_CONNECT_SUPPORTS_FEATURE);
    for (int i = BATCH - 1; i >= 0; i--) {
        wire_int ret = {100 + i};

        fake_reply(fd, calls[i], xdr_wire_int, &ret);
    }
}

static void answers_out_of_order_find_their_calls(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_backwards, NULL));
    uint32_t serials[BATCH];

    for (int i = 0; i < BATCH; i++) {
        wire_int args = {i};

        assert_true(cst_wire_client_send(client, &echo, &args, &serials[i], NULL));
    }
    for (int i = 0; i < BATCH; i++) {
        wire_int ret = {0};

        assert_true(cst_wire_client_collect(client, serials[i], &echo, &ret, NULL));
        assert_int_equal(ret.value, 100 + i);
    }
    cst_wire_client_free(client);
    fake_stop(&server);
}

#define MANY 3000

/** Answers with a text so long that neither side's buffer holds all answers, one call at a time. */
static void serve_long_answers(int fd, gpointer data)
{
    g_autofree char *text = g_strnfill(2000, 'x');
    wire_text ret = {text};

    for (int i = 0; i < MANY; i++)
        fake_reply(fd, fake_expect(fd, WIRE_PROC_CONNECT_GET_TYPE), xdr_wire_text, &ret);
}

static void many_calls_under_way_do_not_lock_up(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_long_answers, NULL));
    g_autofree uint32_t *serials = g_new(uint32_t, MANY);

    for (int i = 0; i < MANY; i++)
        assert_true(cst_wire_client_send(client, &get_type, NULL, &serials[i], NULL));
    for (int i = MANY - 1; i >= 0; i--) {
        wire_text ret = {0};

        assert_true(cst_wire_client_collect(client, serials[i], &get_type, &ret, NULL));
        assert_int_equal(strlen(ret.value), 2000);
        g_free(ret.value);
    }
    cst_wire_client_free(client);
    fake_stop(&server);
}

static void serve_late(int fd, gpointer data)
{
    CstWireHeader late = fake_expect(fd, WIRE_PROC_CONNECT_SUPPORTS_FEATURE);
    CstWireHeader type = fake_expect(fd, WIRE_PROC_CONNECT_GET_TYPE);
    wire_int ret = {1};

    fake_reply(fd, late, xdr_wire_int, &ret);
    reply_type(fd, type);
}

static void forgotten_answer_is_dropped(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_late, NULL));
    wire_int args = {1};
    uint32_t serial;
    gboolean there = TRUE;
    g_autofree char *type = NULL;

    assert_true(cst_wire_client_send(client, &echo, &args, &serial, NULL));
    assert_true(cst_wire_client_await(client, serial, 10, &there, NULL));
    assert_false(there);
    cst_wire_client_forget(client, serial);
    type = ask_type(client, NULL);
    assert_string_equal(type, STORAGE);
    cst_wire_client_free(client);
    fake_stop(&server);
}

/* --- servers that break the rules ------------------------------------------------------------ */

typedef void (*Misdeed)(int fd, CstWireHeader call);

static void misbehave(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_CONNECT_GET_TYPE);
    FakePacket packet;

    ((Misdeed)data)(fd, call);
    /* The client hangs up. The server sends no more until then. */
    while (fake_read(fd, &packet))
        fake_packet_clear(&packet);
}

static void assert_breaks(Misdeed misdeed, int code, const char *part)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, misbehave, (gpointer)misdeed));
    g_autoptr(GError) first = NULL;
    g_autoptr(GError) second = NULL;

    assert_null(ask_type(client, &first));
    assert_fails_with(first, code, part);
    assert_null(ask_type(client, &second));
    assert_string_equal(first->message, second->message);
    assert_non_null(cst_wire_client_broken(client));
    cst_wire_client_free(client);
    fake_stop(&server);
}

static void send_tiny_length(int fd, CstWireHeader call)
{
    const uint8_t packet[32] = {0, 0, 0, 27};

    fake_write(fd, packet, sizeof(packet));
}

static void send_huge_length(int fd, CstWireHeader call)
{
    const uint8_t packet[32] = {0xff, 0xff, 0xff, 0xff};

    fake_write(fd, packet, sizeof(packet));
}

static void send_wrong_serial(int fd, CstWireHeader call)
{
    call.serial += 7;
    reply_type(fd, call);
}

static void send_wrong_procedure(int fd, CstWireHeader call)
{
    call.procedure++;
    reply_type(fd, call);
}

static void send_wrong_status(int fd, CstWireHeader call)
{
    fake_send_raw(fd, call, WIRE_REPLY, WIRE_CONTINUE, NULL, 0);
}

static void send_call(int fd, CstWireHeader call)
{
    fake_send_raw(fd, call, WIRE_CALL, WIRE_OK, NULL, 0);
}

static void send_half(int fd, CstWireHeader call)
{
    const uint8_t packet[10] = {0, 0, 1, 0};

    fake_write(fd, packet, sizeof(packet));
    shutdown(fd, SHUT_RDWR);
}

static void broken_rules_end_the_connection(void **state)
{
    assert_breaks(send_tiny_length, CST_ERROR_RPC, "packet length 27");
    assert_breaks(send_huge_length, CST_ERROR_RPC, "packet length 4294967295");
    assert_breaks(send_wrong_serial, CST_ERROR_RPC, "a call that was not made");
    assert_breaks(send_wrong_procedure, CST_ERROR_RPC, "another procedure");
    assert_breaks(send_wrong_status, CST_ERROR_RPC, "status");
    assert_breaks(send_call, CST_ERROR_RPC, "clients do not accept");
    assert_breaks(send_half, CST_ERROR_UNREACHABLE, "closed the connection");
}

static void serve_short_payload(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_CONNECT_GET_TYPE);
    const uint8_t length_only[4] = {0, 0, 0, 200};

    fake_send_raw(fd, call, WIRE_REPLY, WIRE_OK, length_only, sizeof(length_only));
    serve_one_type(fd, NULL);
}

static void short_payload_fails_only_its_call(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_short_payload, NULL));
    g_autoptr(GError) error = NULL;
    g_autofree char *type = NULL;

    assert_null(ask_type(client, &error));
    assert_fails_with(error, CST_ERROR_RPC, "decode");
    type = ask_type(client, NULL);
    assert_string_equal(type, STORAGE);
    cst_wire_client_free(client);
    fake_stop(&server);
}

/* --- messages and keepalive ------------------------------------------------------------------ */

static void serve_events(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_CONNECT_GET_TYPE);
    CstWireHeader event = {WIRE_REMOTE_PROGRAM,
                           WIRE_VERSION,
                           WIRE_PROC_STORAGE_POOL_EVENT_REFRESH,
                           WIRE_MESSAGE,
                           1,
                           WIRE_OK};
    wire_pool_refresh_event args = {.callback = 5, .pool = {.name = (char *)"p"}};
    CstWireHeader stray = {WIRE_REMOTE_PROGRAM, WIRE_VERSION, 209, WIRE_STREAM, 99, WIRE_CONTINUE};

    fake_send(fd, &event, xdr_wire_pool_refresh_event, &args);
    fake_send_raw(fd, stray, WIRE_STREAM, WIRE_CONTINUE, "x", 1);
    fake_send(fd, &event, xdr_wire_pool_refresh_event, &args);
    reply_type(fd, call);
}

static void count_event(const CstWireHeader *header, const uint8_t *packet, size_t len,
                        gpointer data)
{
    assert_int_equal(header->procedure, WIRE_PROC_STORAGE_POOL_EVENT_REFRESH);
    ++*(int *)data;
}

static void events_between_answers_reach_the_callback(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_events, NULL));
    int events = 0;
    g_autofree char *type = NULL;

    cst_wire_client_on_message(client, count_event, &events);
    type = ask_type(client, NULL);
    assert_string_equal(type, STORAGE);
    assert_int_equal(events, 2);
    cst_wire_client_free(client);
    fake_stop(&server);
}

static void serve_ping(int fd, gpointer data)
{
    const CstWireHeader ping = {
        WIRE_KEEPALIVE_PROGRAM, WIRE_VERSION, WIRE_KEEPALIVE_PING, WIRE_MESSAGE, 0, WIRE_OK};
    CstWireHeader call = fake_expect(fd, WIRE_PROC_CONNECT_GET_TYPE), pong;

    fake_send_raw(fd, ping, WIRE_MESSAGE, WIRE_OK, NULL, 0);
    pong = fake_expect(fd, WIRE_KEEPALIVE_PONG);
    g_assert_cmpuint(pong.program, ==, WIRE_KEEPALIVE_PROGRAM);
    g_assert_cmpuint(pong.type, ==, WIRE_MESSAGE);
    reply_type(fd, call);
}

static void ping_is_answered_while_a_call_waits(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_ping, NULL));
    g_autofree char *type = ask_type(client, NULL);

    assert_string_equal(type, STORAGE);
    cst_wire_client_free(client);
    fake_stop(&server);
}

/** Answers pings for a while before the call. */
static void serve_slowly(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_CONNECT_GET_TYPE);

    for (int i = 0; i < 4; i++) {
        CstWireHeader ping = fake_expect(fd, WIRE_KEEPALIVE_PING);

        ping.procedure = WIRE_KEEPALIVE_PONG;
        fake_send_raw(fd, ping, WIRE_MESSAGE, WIRE_OK, NULL, 0);
    }
    reply_type(fd, call);
}

static void slow_server_that_answers_pings_is_waited_for(void **state)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_slowly, NULL));
    g_autofree char *type = NULL;

    cst_wire_client_set_keepalive(client, 30, 1);
    type = ask_type(client, NULL);
    assert_string_equal(type, STORAGE);
    cst_wire_client_free(client);
    fake_stop(&server);
}

static void do_nothing(int fd, CstWireHeader call)
{
}

static void silent_server_is_given_up(void **state)
{
    FakeServer server;
    CstWireClient *client =
        cst_wire_client_new(fake_start(&server, misbehave, (gpointer)do_nothing));
    g_autoptr(GError) error = NULL;

    cst_wire_client_set_keepalive(client, 20, 2);
    assert_null(ask_type(client, &error));
    assert_fails_with(error, CST_ERROR_TIMEOUT, "has not responded for");
    cst_wire_client_free(client);
    fake_stop(&server);
}

/* --- authentication -------------------------------------------------------------------------- */

static void serve_auth(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_AUTH_LIST);
    int *type = data;
    wire_auth_list_ret ret = {.types = {1, type}};
    wire_int complete = {1};

    if (*type < 0) {
        fake_reply_error(fd, call, 3,
                         "this function is not supported by the connection driver: auth");
        return;
    }
    fake_reply(fd, call, xdr_wire_auth_list_ret, &ret);
    if (*type == 2)
        fake_reply(fd, fake_expect(fd, WIRE_PROC_AUTH_POLKIT), xdr_wire_int, &complete);
}

static gboolean authenticate(int type, GError **error)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_auth, &type));
    gboolean ok = cst_wire_client_authenticate(client, error);

    cst_wire_client_free(client);
    fake_stop(&server);
    return ok;
}

static void authentication_follows_the_servers_first_choice(void **state)
{
    g_autoptr(GError) sasl = NULL;
    g_autoptr(GError) unknown = NULL;

    assert_true(authenticate(0, NULL));
    assert_true(authenticate(2, NULL));
    assert_true(authenticate(-1, NULL));
    assert_false(authenticate(1, &sasl));
    assert_fails_with(sasl, CST_ERROR_AUTH, "SASL");
    assert_false(authenticate(9, &unknown));
    assert_fails_with(unknown, CST_ERROR_AUTH, "unknown authentication type 9");
}

static void missing_socket_names_its_path(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_wire_client_connect("/nonexistent/cst/sock", &error));
    assert_fails_with(error, CST_ERROR_UNREACHABLE, "/nonexistent/cst/sock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_gives_the_answer),
        cmocka_unit_test(error_answer_prints_as_the_server_wrote_it),
        cmocka_unit_test(a_wiped_client_keeps_no_byte_of_a_call),
        cmocka_unit_test(answers_out_of_order_find_their_calls),
        cmocka_unit_test(many_calls_under_way_do_not_lock_up),
        cmocka_unit_test(forgotten_answer_is_dropped),
        cmocka_unit_test(broken_rules_end_the_connection),
        cmocka_unit_test(short_payload_fails_only_its_call),
        cmocka_unit_test(events_between_answers_reach_the_callback),
        cmocka_unit_test(ping_is_answered_while_a_call_waits),
        cmocka_unit_test(slow_server_that_answers_pings_is_waited_for),
        cmocka_unit_test(silent_server_is_given_up),
        cmocka_unit_test(authentication_follows_the_servers_first_choice),
        cmocka_unit_test(missing_socket_names_its_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
