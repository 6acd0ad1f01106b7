/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The errors of the remote transport for servers that refuse, are old, or hang up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>

#include "fake_server.h"
#include "remote.h"

/* --- servers ---------------------------------------------------------------------------------- */

typedef enum {
    REFUSES,       /* knows every call, and fails each */
    OLD,           /* a daemon of the first version */
    HANGS_UP,      /* once a connection is open */
    HANGS_UP_LATE, /* after its answer about features */
    SERVERS
} Kind;

/* FALSE: the connection is over. */
static gboolean answer(int fd, const CstWireHeader *call, Kind kind)
{
    wire_version_ret version = {(char *)"cistern", (char *)"0", kind == OLD ? 1 : 10000};
    wire_auth_list_ret auth = {0};

    if (call->program == WIRE_CISTERN_PROGRAM && call->procedure == WIRE_CISTERN_VERSION &&
        kind != HANGS_UP) {
        fake_reply(fd, *call, xdr_wire_version_ret, &version);
        return TRUE;
    }
    if (call->program == WIRE_REMOTE_PROGRAM && call->procedure == WIRE_PROC_AUTH_LIST) {
        fake_reply(fd, *call, xdr_wire_auth_list_ret, &auth);
        return TRUE;
    }
    if (call->program == WIRE_REMOTE_PROGRAM && call->procedure == WIRE_PROC_CONNECT_OPEN) {
        fake_reply(fd, *call, NULL, NULL);
        return TRUE;
    }
    if (kind == HANGS_UP || kind == HANGS_UP_LATE)
        return FALSE;
    fake_reply_error(fd, *call, 38, "the server says no");
    return TRUE;
}

static void serve(int fd, gpointer data)
{
    FakePacket packet;
    gboolean going = TRUE;

    while (going && fake_read(fd, &packet)) {
        going = answer(fd, &packet.header, GPOINTER_TO_INT(data)) &&
                (packet.header.program != WIRE_REMOTE_PROGRAM ||
                 packet.header.procedure != WIRE_PROC_CONNECT_CLOSE);
        fake_packet_clear(&packet);
    }
}

/* --- calls ------------------------------------------------------------------------------------ */

static char name[] = "n";

static gboolean call(gpointer self, uint32_t program, int number, CstTask *task, GError **error)
{
    /* Large enough for the arguments of each, which are volumes at first. */
    union {
        wire_vol_flags_args flags;
        wire_vol_args vol;
    } args = {.flags = {.vol = {name, name, name}}};

    return cst_remote_transport.call(self, cst_api_find(program, number), &args, NULL, task, error);
}

static gboolean call_libvirts(gpointer self, GError **error)
{
    return call(self, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DELETE, NULL, error);
}

static gboolean call_ours(gpointer self, GError **error)
{
    return call(self, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_FLATTEN, NULL, error);
}

static gboolean call_watched(gpointer self, GError **error)
{
    g_autoptr(CstTask) task = cst_task_new();

    return call(self, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_FLATTEN, task, error);
}

static gboolean call_limited(gpointer self, GError **error)
{
    g_autoptr(CstTask) task = cst_task_new();

    cst_task_set_rate(task, 1000);
    return call(self, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DELETE, task, error);
}

static gboolean call_cancelled(gpointer self, GError **error)
{
    g_autoptr(CstTask) task = cst_task_new();

    cst_task_cancel(task);
    return call(self, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DELETE, task, error);
}

static gboolean call_many(gpointer self, GError **error)
{
    wire_vol_args args = {.vol = {name, name, name}};
    wire_text rets[2] = {{NULL}};
    CstConnCall calls[2] = {{0}};
    gboolean done;

    for (gsize i = 0; i < G_N_ELEMENTS(calls); i++)
        calls[i] = (CstConnCall){cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_GET_PATH),
                                 &args, &rets[i], NULL};
    done = cst_remote_transport.call_all(self, calls, G_N_ELEMENTS(calls), error);
    for (gsize i = 0; i < G_N_ELEMENTS(calls); i++) {
        if (done)
            assert_non_null(calls[i].error);
        g_clear_error(&calls[i].error);
    }
    return done;
}

static gboolean supports(gpointer self, GError **error)
{
    gboolean supported;

    return cst_remote_transport.supports(self, WIRE_CISTERN_VOL_FLATTEN, &supported, error);
}

static gboolean detach(gpointer self, GError **error)
{
    return cst_remote_transport.set_detach(self, TRUE, error);
}

static gboolean stay(gpointer self, GError **error)
{
    return cst_remote_transport.set_detach(self, FALSE, error);
}

static gboolean run_dry(gpointer self, GError **error)
{
    return cst_remote_transport.set_dry_run(self, TRUE, error);
}

static gboolean subscribe(gpointer self, CstConnEventType type, const CstUuid *uuid, GError **error)
{
    guint id;

    return cst_remote_transport.subscribe(self, type, uuid, NULL, NULL, &id, error);
}

static gboolean subscribe_to_all(gpointer self, GError **error)
{
    return subscribe(self, CST_CONN_EVENT_POOL_LIFECYCLE, NULL, error);
}

static gboolean subscribe_to_a_pool(gpointer self, GError **error)
{
    return subscribe(self, CST_CONN_EVENT_POOL_REFRESH, &(CstUuid){{1}}, error);
}

static gboolean subscribe_to_a_secret(gpointer self, GError **error)
{
    return subscribe(self, CST_CONN_EVENT_SECRET_VALUE, &(CstUuid){{1}}, error);
}

static gboolean unsubscribe(gpointer self, GError **error)
{
    return cst_remote_transport.unsubscribe(self, 99, error);
}

/*
 * --- a limit whose call is not sent -------------------------------------------------------------
 */

/* Gets a limit, and then the end of the limit; the call never comes. */
static void serve_limit(int fd, gpointer data)
{
    uint64_t *limits = data;
    FakePacket packet;

    for (int count = 0; count < 2 && fake_read(fd, &packet); fake_packet_clear(&packet)) {
        wire_serial_rate_args args = {1, 1};
        wire_int found = {1};

        if (packet.header.procedure != WIRE_CISTERN_CALL_RATE ||
            packet.header.program != WIRE_CISTERN_PROGRAM) {
            answer(fd, &packet.header, REFUSES);
            continue;
        }
        g_assert_true(cst_wire_payload_decode(packet.bytes, packet.len,
                                              (xdrproc_t)xdr_wire_serial_rate_args, &args, NULL));
        g_assert_cmpuint(args.serial, ==, 0);
        limits[count++] = args.limit;
        fake_reply(fd, packet.header, xdr_wire_int, &found);
    }
}

static void limit_of_a_call_that_cannot_be_sent_is_removed(void **state)
{
    uint64_t limits[2] = {0, 1};
    CstConnUri uri = {.target = CST_URI_UNIX, .name = (char *)"storage:///system"};
    /* Longer than the protocol has texts. */
    g_autofree char *text = g_strnfill(8 << 20, 'x');
    wire_vol_flags_args args = {.vol = {name, text, name}};
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    FakeServer server;
    gboolean reached;
    gpointer self;

    fake_listen(&server, serve_limit, limits);
    uri.socket = server.path;
    self = cst_remote_open(&uri, FALSE, &reached, NULL);
    assert_non_null(self);
    cst_task_set_rate(task, 1000);
    assert_false(cst_remote_transport.call(
        self, cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DELETE), &args, NULL, task,
        &error));
    assert_non_null(error);
    cst_remote_transport.close(self);
    fake_stop(&server);
    assert_int_equal(limits[0], 1000);
    assert_int_equal(limits[1], 0);
}

/* --- tests ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    gboolean (*call)(gpointer self, GError **error);
    gboolean succeeds[SERVERS];
} rows[] = {
    {"libvirt's", call_libvirts, {FALSE, FALSE, FALSE, FALSE}},
    {"ours", call_ours, {FALSE, FALSE, FALSE, FALSE}},
    {"watched", call_watched, {FALSE, FALSE, FALSE, FALSE}},
    {"limited", call_limited, {FALSE, FALSE, FALSE, FALSE}},
    {"cancelled", call_cancelled, {FALSE, FALSE, FALSE, FALSE}},
    {"many", call_many, {TRUE, TRUE, FALSE, FALSE}}, /* each has an error of its own */
    {"supports", supports, {TRUE, TRUE, FALSE, TRUE}},
    {"detach", detach, {TRUE, FALSE, FALSE, TRUE}},
    {"no detach", stay, {TRUE, TRUE, TRUE, TRUE}},
    {"dry run", run_dry, {FALSE, FALSE, FALSE, FALSE}},
    {"all events", subscribe_to_all, {FALSE, FALSE, FALSE, FALSE}},
    {"events of a pool", subscribe_to_a_pool, {FALSE, FALSE, FALSE, FALSE}},
    {"events of a secret", subscribe_to_a_secret, {FALSE, FALSE, FALSE, FALSE}},
    {"unsubscribe", unsubscribe, {FALSE, FALSE, FALSE, FALSE}},
};

static void call_succeeds_or_reports_the_reason(void **state)
{
    for (Kind kind = 0; kind < SERVERS; kind++)
        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
            CstConnUri uri = {.target = CST_URI_UNIX, .name = (char *)"storage:///system"};
            g_autoptr(GError) error = NULL;
            gboolean reached, done;
            FakeServer server;
            gpointer self;

            fake_listen(&server, serve, GINT_TO_POINTER(kind));
            uri.socket = server.path;
            self = cst_remote_open(&uri, FALSE, &reached, NULL);
            assert_non_null(self);
            done = rows[i].call(self, &error);
            cst_remote_transport.close(self);
            fake_stop(&server);
            if (done != rows[i].succeeds[kind] || done != !error)
                fail_msg("%s, server %d: %s", rows[i].name, (int)kind,
                         error  ? error->message
                         : done ? "done"
                                : "no error");
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_succeeds_or_reports_the_reason),
        cmocka_unit_test(limit_of_a_call_that_cannot_be_sent_is_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
