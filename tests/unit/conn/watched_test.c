/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls of the remote transport that are watched, abandoned, or concurrent: the packets that the
 * server gets, and the entries that remain in the tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "conn_private.h"
#include "remote_private.h"
#include "tables.h"

/* Answers the calls with which a connection begins; FALSE for another call. */
static gboolean answer_beginning(int fd, const CstWireHeader *call, gboolean cistern)
{
    wire_version_ret version = {(char *)"cistern", (char *)"0", 10000};
    wire_auth_list_ret auth = {0};

    if (call->program == WIRE_CISTERN_PROGRAM && !cistern)
        fake_reply_error(fd, *call, 39, "Cannot find program 1128878932 version 1");
    else if (call->program == WIRE_CISTERN_PROGRAM && call->procedure == WIRE_CISTERN_VERSION)
        fake_reply(fd, *call, xdr_wire_version_ret, &version);
    else if (call->program == WIRE_REMOTE_PROGRAM && call->procedure == WIRE_PROC_AUTH_LIST)
        fake_reply(fd, *call, xdr_wire_auth_list_ret, &auth);
    else if (call->program == WIRE_REMOTE_PROGRAM && call->procedure == WIRE_PROC_CONNECT_OPEN)
        fake_reply(fd, *call, NULL, NULL);
    else
        return FALSE;
    return TRUE;
}

typedef struct {
    CstTask *task;
    int cancels, rates; /* that were received */
    uint64_t rate;      /* the last one */
} Watched;

static gpointer open_remote(FakeServer *server)
{
    CstConnUri uri = {.target = CST_URI_UNIX, .name = (char *)"storage:///system"};
    gboolean reached;
    gpointer self;

    uri.socket = server->path;
    self = cst_remote_open(&uri, FALSE, &reached, NULL);
    assert_non_null(self);
    return self;
}

static gboolean wipe(gpointer self, CstTask *task, GError **error)
{
    char text[] = "n";
    wire_vol_flags_args args = {.vol = {text, text, text}};

    return cst_remote_transport.call(self,
                                     cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_WIPE),
                                     &args, NULL, task, error);
}

static gboolean wipe_again(gpointer self, GError **error)
{
    return wipe(self, NULL, error);
}

/*
 * A stock server. The task is canceled after the call has arrived, and the reply comes much later.
 */
static void serve_late_wipe(int fd, gpointer data)
{
    CstWireHeader late = {0};
    FakePacket packet;

    while (fake_read(fd, &packet)) {
        CstWireHeader call = packet.header;

        fake_packet_clear(&packet);
        if (answer_beginning(fd, &call, FALSE))
            continue;
        if (call.procedure == WIRE_PROC_STORAGE_VOL_WIPE && late.serial == 0) {
            late = call;
            cst_task_cancel(data);
        } else if (call.procedure == WIRE_PROC_STORAGE_VOL_WIPE) {
            fake_reply(fd, late, NULL, NULL);
            fake_reply(fd, call, NULL, NULL);
        }
    }
}

static void late_reply_of_a_watched_call_is_dropped(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    FakeServer server;
    CstRemote *remote;

    fake_listen(&server, serve_late_wipe, task);
    remote = open_remote(&server);
    assert_false(wipe(remote, task, &error));
    assert_fails_with(error, CST_ERROR_CANCELLED, "cannot cancel calls");
    assert_int_equal(g_hash_table_size(remote->client->pending), 1);
    assert_true(wipe_again(remote, NULL));
    assert_tables_empty(remote->client);
    cst_remote_transport.close(remote);
    fake_stop(&server);
}

static void answer_found(int fd, CstWireHeader call, int found)
{
    wire_int ret = {found};

    fake_reply(fd, call, xdr_wire_int, &ret);
}

/* The first request to cancel, and the first new limit, come before the server knows the call. */
static void serve_slow_start(int fd, gpointer data)
{
    Watched *watched = data;
    CstWireHeader wiping = {0};
    FakePacket packet;

    for (; fake_read(fd, &packet); fake_packet_clear(&packet)) {
        CstWireHeader call = packet.header;
        wire_progress_ret progress = {0};
        wire_serial_rate_args rate = {0};

        if (answer_beginning(fd, &call, TRUE))
            continue;
        if (call.program == WIRE_REMOTE_PROGRAM && call.procedure == WIRE_PROC_STORAGE_VOL_WIPE) {
            wiping = call;
            cst_task_set_rate(watched->task, 77);
        } else if (call.procedure == WIRE_CISTERN_CALL_PROGRESS) {
            fake_reply(fd, call, xdr_wire_progress_ret, &progress);
        } else if (call.procedure == WIRE_CISTERN_CALL_RATE) {
            g_assert_true(cst_wire_payload_decode(
                packet.bytes, packet.len, (xdrproc_t)xdr_wire_serial_rate_args, &rate, NULL));
            g_assert_cmpuint(rate.serial, ==, wiping.serial);
            watched->rate = rate.limit;
            answer_found(fd, call, watched->rates++ > 0);
            if (watched->rates == 2)
                cst_task_cancel(watched->task);
        } else if (call.procedure == WIRE_CISTERN_CALL_CANCEL) {
            answer_found(fd, call, watched->cancels++ > 0);
            if (watched->cancels == 2)
                fake_reply_error(fd, wiping, 78, "operation aborted: cancelled by request");
        }
    }
}

static void cancel_and_limit_are_sent_until_the_call_is_found(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    Watched watched = {.task = task};
    FakeServer server;
    CstRemote *remote;

    fake_listen(&server, serve_slow_start, &watched);
    remote = open_remote(&server);
    assert_false(wipe(remote, task, &error));
    assert_fails_with(error, CST_ERROR_CANCELLED, "cancelled by request");
    assert_tables_empty(remote->client);
    cst_remote_transport.close(remote);
    fake_stop(&server);
    assert_int_equal(watched.cancels, 2);
    assert_int_equal(watched.rates, 2);
    assert_int_equal(watched.rate, 77);
}

#define WINDOW 128
#define MANY   300

/* Reads as many calls as may be in flight before it answers the first one. */
static void serve_window(int fd, gpointer data)
{
    CstWireHeader calls[MANY];
    int got = 0, answered = 0;
    FakePacket packet;

    while (answered < MANY && fake_read(fd, &packet)) {
        char text[] = "/path";
        wire_text ret = {text};
        uint8_t byte;

        fake_packet_clear(&packet);
        if (answer_beginning(fd, &packet.header, FALSE))
            continue;
        calls[got++] = packet.header;
        if (got - answered < MIN(WINDOW, MANY - answered))
            continue;
        /* All that were sent together have been read. */
        g_assert_cmpint(recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT), <, 0);
        do
            fake_reply(fd, calls[answered++], xdr_wire_text, &ret);
        while (got == MANY && answered < MANY);
    }
    while (fake_read(fd, &packet))
        fake_packet_clear(&packet);
}

static void calls_in_parallel_fill_the_window_and_no_more(void **state)
{
    char text[] = "n";
    wire_vol_args args = {.vol = {text, text, text}};
    g_autofree wire_text *rets = g_new0(wire_text, MANY);
    g_autofree CstConnCall *calls = g_new0(CstConnCall, MANY);
    FakeServer server;
    CstRemote *remote;

    fake_listen(&server, serve_window, NULL);
    remote = open_remote(&server);
    for (int i = 0; i < MANY; i++)
        calls[i] = (CstConnCall){cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_GET_PATH),
                                 &args, &rets[i], NULL};
    assert_true(cst_remote_transport.call_all(remote, calls, MANY, NULL));
    for (int i = 0; i < MANY; i++) {
        assert_null(calls[i].error);
        assert_string_equal(rets[i].value, "/path");
        g_free(rets[i].value);
    }
    assert_tables_empty(remote->client);
    cst_remote_transport.close(remote);
    fake_stop(&server);
}

#define VALUE "the value of the secret"

static void serve_secret(int fd, gpointer data)
{
    char value[] = VALUE;
    wire_secret_value_ret ret = {{sizeof(value), value}};
    FakePacket packet;

    for (; fake_read(fd, &packet); fake_packet_clear(&packet)) {
        if (answer_beginning(fd, &packet.header, FALSE))
            continue;
        if (packet.header.procedure == WIRE_PROC_SECRET_GET_VALUE)
            fake_reply(fd, packet.header, xdr_wire_secret_value_ret, &ret);
        else if (packet.header.procedure == WIRE_PROC_SECRET_SET_VALUE)
            fake_reply(fd, packet.header, NULL, NULL);
    }
}

static gboolean has_value(const CstWireClient *client)
{
    /* the array keeps the memory of the sent bytes */
    return memmem(client->in, client->in_size, VALUE, strlen(VALUE)) ||
           memmem(client->out->data, 1024, VALUE, strlen(VALUE));
}

static void buffers_keep_no_value_of_a_secret(void **state)
{
    char usage[] = "u", value[] = VALUE;
    wire_secret_flags_args get = {.secret = {.usage_id = usage}};
    wire_secret_set_value_args set = {.secret = {.usage_id = usage},
                                      .value = {sizeof(value), value}};
    wire_secret_value_ret ret = {0};
    FakeServer server;
    CstRemote *remote;

    fake_listen(&server, serve_secret, NULL);
    remote = open_remote(&server);
    assert_true(cst_remote_transport.call(
        remote, cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_SECRET_GET_VALUE), &get, &ret, NULL,
        NULL));
    assert_string_equal(ret.value.value_val, VALUE);
    assert_false(has_value(remote->client));
    xdr_free((xdrproc_t)xdr_wire_secret_value_ret, (char *)&ret);
    assert_true(cst_remote_transport.call(
        remote, cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_SECRET_SET_VALUE), &set, NULL, NULL,
        NULL));
    assert_false(has_value(remote->client));
    cst_remote_transport.close(remote);
    fake_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_reply_of_a_watched_call_is_dropped),
        cmocka_unit_test(cancel_and_limit_are_sent_until_the_call_is_found),
        cmocka_unit_test(calls_in_parallel_fill_the_window_and_no_more),
        cmocka_unit_test(buffers_keep_no_value_of_a_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
