/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>

#include "fake_server.h"
#include "remote.h"

/* --- a server that knows some procedures ----------------------------------------------------- */

typedef struct {
    gboolean cistern; /* speaks the second program */
    int last;         /* procedure of it; 0: one of long ago */
    guint volumes;
    int registrations, deregistrations;
    int progress_asked;
    gboolean cancelled;
    CstWireHeader long_call; /* unanswered */
    gboolean long_pending;
    CstTask *task;    /* atomic; cancelled when the long call has come; NULL: no task is */
    gboolean hang_up; /* after the next call */
} Model;

typedef struct {
    int fd;
    Model *model;
    const FakePacket *packet;
} Call;

static void reply(const Call *call, gpointer func, const void *ret)
{
    fake_reply(call->fd, call->packet->header, func, ret);
}

static void decode(const Call *call, gpointer func, void *args)
{
    g_assert_true(cst_wire_payload_decode(call->packet->bytes, call->packet->len, (xdrproc_t)func,
                                          args, NULL));
}

static void auth_list(const Call *call)
{
    wire_auth_list_ret ret = {0};

    reply(call, xdr_wire_auth_list_ret, &ret);
}

static void open_name(const Call *call)
{
    wire_open_args args = {0};

    decode(call, xdr_wire_open_args, &args);
    g_assert_cmpstr(*args.name, ==, "storage:///system");
    xdr_free((xdrproc_t)xdr_wire_open_args, (char *)&args);
    reply(call, NULL, NULL);
}

static char *vol_name(guint i)
{
    return g_strdup_printf("v%06u", i);
}

static void list_all(const Call *call)
{
    wire_vols_ret ret = {0};

    ret.vols.vols_len = call->model->volumes;
    ret.vols.vols_val = g_new0(wire_vol, call->model->volumes);
    for (guint i = 0; i < call->model->volumes; i++)
        ret.vols.vols_val[i] = (wire_vol){g_strdup("p"), vol_name(i), vol_name(i)};
    reply(call, xdr_wire_vols_ret, &ret);
    xdr_free((xdrproc_t)xdr_wire_vols_ret, (char *)&ret);
}

/* Number 3 is missing, number 5 is unreadable. */
static void vol_info(const Call *call)
{
    wire_vol_args args = {0};
    wire_vol_info_ret ret = {CST_VOL_BLOCK, 0, 7};

    decode(call, xdr_wire_vol_args, &args);
    ret.capacity = strtoul(args.vol.name + 1, NULL, 10) + 1000;
    if (ret.capacity == 1003)
        fake_reply_error(call->fd, call->packet->header, 50, "Storage volume not found: v000003");
    else if (ret.capacity == 1005)
        fake_reply_error(call->fd, call->packet->header, 38, "cannot stat: Input/output error");
    else
        reply(call, xdr_wire_vol_info_ret, &ret);
    xdr_free((xdrproc_t)xdr_wire_vol_args, (char *)&args);
}

static void vol_path(const Call *call)
{
    wire_vol_args args = {0};
    wire_text ret;
    g_autofree char *path = NULL;

    decode(call, xdr_wire_vol_args, &args);
    path = g_strconcat("/pool/", args.vol.name, NULL);
    ret.value = path;
    reply(call, xdr_wire_text, &ret);
    xdr_free((xdrproc_t)xdr_wire_vol_args, (char *)&args);
}

static void page(const Call *call)
{
    wire_vol_page_args args = {0};
    wire_vol_page_ret ret = {0};
    guint first = 0;

    decode(call, xdr_wire_vol_page_args, &args);
    if (args.after)
        first = strtoul(*args.after + 1, NULL, 10) + 1;
    ret.rows.rows_len = MIN(args.limit, call->model->volumes - first);
    ret.rows.rows_val = g_new0(wire_vol_row, ret.rows.rows_len + 1);
    ret.more = first + ret.rows.rows_len < call->model->volumes;
    for (guint i = 0; i < ret.rows.rows_len; i++) {
        wire_vol_row *row = &ret.rows.rows_val[i];

        row->name = vol_name(first + i);
        row->key = vol_name(first + i);
        row->path = vol_name(first + i);
        row->capacity = first + i;
        row->format = g_new(char *, 1);
        *row->format = g_strdup("qcow2");
    }
    reply(call, xdr_wire_vol_page_ret, &ret);
    xdr_free((xdrproc_t)xdr_wire_vol_page_ret, (char *)&ret);
    xdr_free((xdrproc_t)xdr_wire_vol_page_args, (char *)&args);
}

static void register_events(const Call *call)
{
    wire_pool_refresh_event event = {.callback = 40, .pool = {.name = (char *)"p"}};
    CstWireHeader message = {WIRE_REMOTE_PROGRAM,
                             WIRE_VERSION,
                             WIRE_PROC_STORAGE_POOL_EVENT_REFRESH,
                             WIRE_MESSAGE,
                             1,
                             WIRE_OK};
    wire_int ret = {40};

    call->model->registrations++;
    /* One event comes before the answer and one after it. */
    fake_send(call->fd, &message, xdr_wire_pool_refresh_event, &event);
    reply(call, xdr_wire_int, &ret);
    fake_send(call->fd, &message, xdr_wire_pool_refresh_event, &event);
}

static void deregister(const Call *call)
{
    wire_int args = {0};

    decode(call, xdr_wire_int, &args);
    g_assert_cmpint(args.value, ==, 40);
    call->model->deregistrations++;
    reply(call, NULL, NULL);
}

static void start_long(const Call *call)
{
    call->model->long_call = call->packet->header;
    call->model->long_pending = TRUE;
    if (g_atomic_pointer_get(&call->model->task))
        cst_task_cancel(g_atomic_pointer_get(&call->model->task));
}

static void tell_progress(const Call *call)
{
    Model *model = call->model;
    wire_serial_args args = {0};
    wire_progress_ret ret = {1, 0, 300};

    decode(call, xdr_wire_serial_args, &args);
    g_assert_cmpuint(args.serial, ==, model->long_call.serial);
    ret.done = 100 * (uint64_t)++model->progress_asked;
    reply(call, xdr_wire_progress_ret, &ret);
    if (model->progress_asked == 2 && model->long_pending) {
        fake_reply(call->fd, model->long_call, NULL, NULL);
        model->long_pending = FALSE;
    }
}

static void cancel(const Call *call)
{
    wire_int ret = {1};

    call->model->cancelled = TRUE;
    reply(call, xdr_wire_int, &ret);
    fake_reply_error(call->fd, call->model->long_call, 78,
                     "operation aborted: cancelled by request");
    call->model->long_pending = FALSE;
}

static void version(const Call *call)
{
    int last = call->model->last ? call->model->last : 5;
    wire_version_ret ret = {(char *)"cistern", (char *)"0", last};

    reply(call, xdr_wire_version_ret, &ret);
}

static wire_check_ret check_result(void)
{
    return (wire_check_ret){.format = (char *)"qcow2", .errors = 3, .leaks = 4};
}

static void check(const Call *call)
{
    wire_check_ret ret = check_result();

    reply(call, xdr_wire_check_ret, &ret);
}

static void check_list(const Call *call)
{
    wire_finding findings[] = {
        {0, 3, (char *)"wrong"}, {1, 4, (char *)"lost"}, {99, 1, (char *)"?"}};
    wire_check_list_ret ret = {check_result(), {G_N_ELEMENTS(findings), findings}};

    reply(call, xdr_wire_check_list_ret, &ret);
}

static const struct {
    uint32_t program;
    int procedure;
    void (*run)(const Call *call);
} procedures[] = {
    {WIRE_REMOTE_PROGRAM, WIRE_PROC_AUTH_LIST, auth_list},
    {WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_OPEN, open_name},
    {WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_LIST_ALL_VOLUMES, list_all},
    {WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_GET_INFO, vol_info},
    {WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_GET_PATH, vol_path},
    {WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_WIPE_PATTERN, start_long},
    {WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY, register_events},
    {WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY, deregister},
    {WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VERSION, version},
    {WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_LIST_PAGE, page},
    {WIRE_CISTERN_PROGRAM, WIRE_CISTERN_CALL_PROGRESS, tell_progress},
    {WIRE_CISTERN_PROGRAM, WIRE_CISTERN_CALL_CANCEL, cancel},
    {WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_CHECK, check},
    {WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_CHECK_LIST, check_list},
};

static void answer(const Call *call)
{
    const CstWireHeader *header = &call->packet->header;

    if (header->program == WIRE_CISTERN_PROGRAM && !call->model->cistern) {
        fake_reply_error(call->fd, *header, 39, "Cannot find program 1128878932 version 1");
        return;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(procedures); i++)
        if (procedures[i].program == header->program &&
            procedures[i].procedure == header->procedure) {
            procedures[i].run(call);
            return;
        }
    fake_reply_error(call->fd, *header, 39, "unknown procedure: 1");
}

static void serve(int fd, gpointer data)
{
    Call call = {fd, data, NULL};
    FakePacket packet;
    gboolean going = TRUE;

    while (going && fake_read(fd, &packet)) {
        call.packet = &packet;
        answer(&call);
        going = !g_atomic_int_get(&call.model->hang_up) &&
                (packet.header.program != WIRE_REMOTE_PROGRAM ||
                 packet.header.procedure != WIRE_PROC_CONNECT_CLOSE);
        fake_packet_clear(&packet);
    }
}

static CstConn *connect_to(FakeServer *server, Model *model)
{
    CstConnUri uri = {.target = CST_URI_UNIX, .name = (char *)"storage:///system"};
    gboolean reached = FALSE;
    gpointer self;

    fake_listen(server, serve, model);
    uri.socket = server->path;
    self = cst_remote_open(&uri, FALSE, &reached, NULL);
    assert_true(reached);
    assert_non_null(self);
    return cst_conn_new(&cst_remote_transport, self, "asked:///", FALSE);
}

static char pool_name[] = "p";
static const CstPoolRef pool = {.name = pool_name};
static const CstVolRef vol = {pool_name, pool_name, pool_name};

/* --- listing --------------------------------------------------------------------------------- */

static void cisternd_is_listed_in_pages(void **state)
{
    Model model = {.cistern = TRUE, .volumes = 2 * WIRE_PAGE_MAX + 5};
    FakeServer server;
    CstConn *conn = connect_to(&server, &model);
    g_autoptr(GPtrArray) rows = cst_conn_vol_list(conn, &pool, TRUE, NULL);

    assert_non_null(rows);
    assert_int_equal(rows->len, model.volumes);
    for (guint i = 0; i < rows->len; i++) {
        const CstVolRow *row = rows->pdata[i];

        assert_int_equal(row->info.capacity, i);
        assert_string_equal(row->format, "qcow2");
        assert_null(row->problem);
    }
    cst_conn_free(conn);
    fake_stop(&server);
}

static void libvirtd_is_asked_for_each_volume(void **state)
{
    Model model = {.volumes = 500};
    FakeServer server;
    CstConn *conn = connect_to(&server, &model);
    g_autoptr(GPtrArray) rows = cst_conn_vol_list(conn, &pool, TRUE, NULL);
    const CstVolRow *third, *fourth, *last;

    assert_non_null(rows);
    assert_int_equal(rows->len, 499);
    third = rows->pdata[3];
    fourth = rows->pdata[4];
    last = rows->pdata[498];
    assert_string_equal(third->name, "v000004");
    assert_string_equal(third->path, "/pool/v000004");
    assert_int_equal(third->info.capacity, 1004);
    assert_int_equal(third->info.type, CST_VOL_BLOCK);
    assert_null(third->problem);
    assert_string_equal(fourth->problem, "cannot stat: Input/output error");
    assert_string_equal(fourth->path, "/pool/v000005");
    assert_int_equal(last->info.capacity, 1499);
    cst_conn_free(conn);
    fake_stop(&server);
}

/* --- checks ---------------------------------------------------------------------------------- */

static void an_older_daemon_counts_and_a_newer_one_lists(void **state)
{
    for (int last = WIRE_CISTERN_VOL_CHECK_LIST - 1; last <= WIRE_CISTERN_VOL_CHECK_LIST; last++) {
        Model model = {.cistern = TRUE, .last = last};
        FakeServer server;
        CstConn *conn = connect_to(&server, &model);
        g_auto(CstCheckReport) report = {0};

        assert_true(cst_conn_vol_check(conn, &vol, 0, NULL, &report, NULL));
        assert_int_equal(report.errors, 3);
        assert_int_equal(report.leaks, 4);
        assert_string_equal(report.format, "qcow2");
        if (last < WIRE_CISTERN_VOL_CHECK_LIST) {
            assert_null(report.findings);
        } else {
            assert_int_equal(cst_findings_length(report.findings), 3);
            assert_string_equal(cst_findings_get(report.findings, 1)->text, "lost");
            assert_int_equal(cst_findings_get(report.findings, 1)->kind, CST_FINDING_LEAK);
            assert_int_equal(cst_findings_get(report.findings, 1)->count, 4);
            assert_int_equal(cst_findings_get(report.findings, 2)->kind, CST_FINDING_ERROR);
        }
        cst_conn_free(conn);
        fake_stop(&server);
    }
}

/* --- long calls ------------------------------------------------------------------------------ */

static void long_call_brings_progress_home(void **state)
{
    Model model = {.cistern = TRUE};
    FakeServer server;
    CstConn *conn = connect_to(&server, &model);
    g_autoptr(CstTask) task = cst_task_new();
    CstProgress progress;

    assert_true(cst_conn_vol_wipe(conn, &vol, 0, task, NULL));
    progress = cst_task_progress(task);
    assert_int_equal(progress.done, 200);
    assert_int_equal(progress.total, 300);
    assert_int_equal(model.progress_asked, 2);
    cst_conn_free(conn);
    fake_stop(&server);
}

static void assert_cancelled(Model *model, const char *part)
{
    FakeServer server;
    CstConn *conn = connect_to(&server, model);
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    g_atomic_pointer_set(&model->task, task);
    assert_false(cst_conn_vol_wipe(conn, &vol, 0, task, &error));
    assert_int_equal(error->code, CST_ERROR_CANCELLED);
    assert_non_null(strstr(error->message, part));
    cst_conn_free(conn);
    fake_stop(&server);
}

static void cancelled_task_cancels_at_cisternd(void **state)
{
    Model model = {.cistern = TRUE};

    assert_cancelled(&model, "cancelled by request");
    assert_true(model.cancelled);
}

static void cancelled_task_leaves_libvirtd_to_finish(void **state)
{
    Model model = {0};

    assert_cancelled(&model, "cannot cancel");
    assert_true(model.long_pending);
}

/*
 * --- features that a server lacks ----------------------------------------------------------------
 */

static void ignore(const CstConnEvent *event, gpointer data)
{
}

static void unknown_procedure_is_not_supported_by_this_server(void **state)
{
    Model model = {0};
    FakeServer server;
    CstConn *conn = connect_to(&server, &model);
    g_autoptr(GError) error = NULL;
    g_autofree char *uri = cst_conn_uri(conn, NULL);
    guint id;

    assert_null(cst_conn_pool_capabilities(conn, &error));
    assert_int_equal(error->code, CST_ERROR_NO_SUPPORT);
    assert_non_null(strstr(error->message, "not supported by this server"));
    assert_string_equal(uri, "asked:///");
    g_clear_error(&error);
    assert_false(
        cst_conn_subscribe(conn, CST_CONN_EVENT_SECRET_VALUE, NULL, ignore, NULL, &id, &error));
    assert_int_equal(error->code, CST_ERROR_NO_SUPPORT);
    assert_non_null(strstr(error->message, "not supported by this server"));
    cst_conn_free(conn);
    fake_stop(&server);
}

/* --- events ---------------------------------------------------------------------------------- */

static void count(const CstConnEvent *event, gpointer data)
{
    assert_string_equal(event->pool, "p");
    ++*(int *)data;
}

static void subscriptions_share_one_registration(void **state)
{
    Model model = {0};
    FakeServer server;
    CstConn *conn = connect_to(&server, &model);
    int first = 0, second = 0;
    guint id1, id2, delivered = 0, total = 0;

    assert_true(
        cst_conn_subscribe(conn, CST_CONN_EVENT_POOL_REFRESH, NULL, count, &first, &id1, NULL));
    assert_true(
        cst_conn_subscribe(conn, CST_CONN_EVENT_POOL_REFRESH, NULL, count, &second, &id2, NULL));
    assert_int_equal(model.registrations, 1);
    while (total < 2) {
        assert_true(cst_conn_wait_events(conn, 5000, -1, &delivered, NULL));
        assert_true(delivered > 0);
        total += delivered;
    }
    assert_int_equal(first, 2);
    assert_int_equal(second, 2);
    assert_true(cst_conn_unsubscribe(conn, id1, NULL));
    assert_int_equal(model.deregistrations, 0);
    assert_true(cst_conn_unsubscribe(conn, id2, NULL));
    assert_int_equal(model.deregistrations, 1);
    cst_conn_free(conn);
    fake_stop(&server);
}

static void count_closed(const CstConnEvent *event, gpointer data)
{
    assert_int_equal(event->type, CST_CONN_EVENT_CLOSED);
    ++*(int *)data;
}

static void end_of_the_server_is_an_event_once(void **state)
{
    Model model = {.hang_up = FALSE};
    FakeServer server;
    CstConn *conn = connect_to(&server, &model);
    g_autoptr(GError) error = NULL;
    int closed = 0;
    guint id, delivered = 0;

    assert_true(
        cst_conn_subscribe(conn, CST_CONN_EVENT_CLOSED, NULL, count_closed, &closed, &id, NULL));
    g_atomic_int_set(&model.hang_up, TRUE);
    assert_null(cst_conn_hostname(conn, NULL));
    assert_true(cst_conn_wait_events(conn, 5000, -1, &delivered, NULL));
    assert_int_equal(delivered, 1);
    assert_int_equal(closed, 1);
    assert_false(cst_conn_wait_events(conn, 5000, -1, &delivered, &error));
    assert_int_equal(error->code, CST_ERROR_UNREACHABLE);
    cst_conn_free(conn);
    fake_stop(&server);
}

static void wait_for_events_ends_on_request(void **state)
{
    Model model = {0};
    FakeServer server;
    CstConn *conn = connect_to(&server, &model);
    guint delivered = 7;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_true(cst_conn_wait_events(conn, -1, ends[0], &delivered, NULL));
    assert_int_equal(delivered, 0);
    close(ends[0]);
    close(ends[1]);
    cst_conn_free(conn);
    fake_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cisternd_is_listed_in_pages),
        cmocka_unit_test(libvirtd_is_asked_for_each_volume),
        cmocka_unit_test(an_older_daemon_counts_and_a_newer_one_lists),
        cmocka_unit_test(long_call_brings_progress_home),
        cmocka_unit_test(cancelled_task_cancels_at_cisternd),
        cmocka_unit_test(cancelled_task_leaves_libvirtd_to_finish),
        cmocka_unit_test(unknown_procedure_is_not_supported_by_this_server),
        cmocka_unit_test(subscriptions_share_one_registration),
        cmocka_unit_test(end_of_the_server_is_an_event_once),
        cmocka_unit_test(wait_for_events_ends_on_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
