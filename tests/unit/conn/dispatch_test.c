/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>

#include "transport.h"

/* A transport that answers a few calls itself, and records them. */
typedef struct {
    int calls;
    int closed;
    gboolean was_dry;
    gboolean has_no_dry_runs;
    gboolean lacks_space; /* each end of a stream fails */
    uint64_t hole;        /* that a download consists of */
    uint64_t physical;
} Twin;

static void twin_close(gpointer self)
{
    ((Twin *)self)->closed++;
}

static gboolean twin_call(gpointer self, const CstProcedure *procedure, const void *args, void *ret,
                          CstTask *task, GError **error)
{
    Twin *twin = self;

    twin->calls++;
    twin->was_dry = cst_dry_run();
    switch (procedure->number) {
    case WIRE_PROC_CONNECT_GET_TYPE: ((wire_text *)ret)->value = g_strdup("twin"); return TRUE;
    case WIRE_PROC_CONNECT_GET_URI: ((wire_text *)ret)->value = g_strdup("twin:///"); return TRUE;
    /* Fails without an error: a defect that must not be passed on. */
    case WIRE_PROC_CONNECT_GET_HOSTNAME: return FALSE;
    case WIRE_PROC_STORAGE_POOL_DESTROY:
        return g_str_equal(((const wire_pool_args *)args)->pool.name, "p");
    case WIRE_PROC_STORAGE_VOL_GET_INFO_FLAGS:
        *(wire_vol_info_ret *)ret = (wire_vol_info_ret){0, 1, twin->physical};
        return twin->physical || cst_fail(error, CST_ERROR_NO_SUPPORT, "info");
    default: return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s", procedure->name);
    }
}

static gpointer twin_stream_start(gpointer self, const CstProcedure *procedure, const void *args,
                                  void *ret, CstTask *task, GError **error)
{
    ((Twin *)self)->calls++;
    return self;
}

static gboolean twin_stream_take(gpointer stream, CstPieceFunc func, gpointer data, GError **error)
{
    uint64_t hole = ((Twin *)stream)->hole;

    return hole == 0 || func(NULL, 0, hole, data, error);
}

static gboolean twin_stream_put(gpointer stream, const void *bytes, size_t len, uint64_t hole,
                                GError **error)
{
    return TRUE;
}

static gboolean twin_stream_finish(gpointer stream, GError **error)
{
    return !((Twin *)stream)->lacks_space || cst_fail(error, CST_ERROR_NO_SPACE, "full");
}

static void twin_stream_free(gpointer stream)
{
}

static gboolean twin_set_dry_run(gpointer self, gboolean dry_run, GError **error)
{
    return !((Twin *)self)->has_no_dry_runs || cst_fail(error, CST_ERROR_NO_SUPPORT, "dry runs");
}

static const CstTransport twin_transport = {
    .close = twin_close,
    .call = twin_call,
    .stream_start = twin_stream_start,
    .stream_put = twin_stream_put,
    .stream_take = twin_stream_take,
    .stream_finish = twin_stream_finish,
    .stream_free = twin_stream_free,
    .set_dry_run = twin_set_dry_run,
};

static char pool_name[] = "p";
static const CstPoolRef pool = {.name = pool_name};
static const CstVolRef vol = {pool_name, pool_name, pool_name};

static void call_reaches_the_transport(void **state)
{
    Twin twin = {0};
    CstConn *conn = cst_conn_new(&twin_transport, &twin, NULL, FALSE);
    g_autofree char *type = cst_conn_type(conn, NULL);

    assert_string_equal(type, "twin");
    assert_true(cst_conn_pool_stop(conn, &pool, NULL));
    assert_int_equal(twin.calls, 2);
    cst_conn_free(conn);
    assert_int_equal(twin.closed, 1);
}

static void read_only_connection_refuses_changes_before_the_transport(void **state)
{
    Twin twin = {0};
    g_autoptr(CstConn) conn = cst_conn_new(&twin_transport, &twin, NULL, TRUE);
    g_autoptr(GError) error = NULL;
    g_autofree char *type = cst_conn_type(conn, NULL);
    g_autofree char *text = NULL;

    assert_string_equal(type, "twin");
    assert_true(cst_conn_is_read_only(conn));
    assert_false(cst_conn_vol_upload(conn, &vol, -1, 0, 0, 0, NULL, NULL));
    assert_false(cst_conn_pool_stop(conn, &pool, &error));
    assert_int_equal(twin.calls, 1);
    text = cst_error_text(error);
    assert_string_equal(text,
                        "operation forbidden: read only access prevents virStoragePoolDestroy");
}

static void given_uri_is_the_uri_of_the_connection(void **state)
{
    Twin twin = {0};
    g_autoptr(CstConn) typed = cst_conn_new(&twin_transport, &twin, "typed:///", FALSE);
    g_autoptr(CstConn) other = cst_conn_new(&twin_transport, &twin, NULL, FALSE);
    g_autofree char *first = cst_conn_uri(typed, NULL);
    g_autofree char *second = cst_conn_uri(other, NULL);

    assert_string_equal(first, "typed:///");
    assert_string_equal(second, "twin:///");
}

static void calls_are_dry_runs_by_their_connection(void **state)
{
    Twin twin = {0};
    g_autoptr(CstConn) dry = cst_conn_new(&twin_transport, &twin, NULL, FALSE);
    g_autoptr(CstConn) real = cst_conn_new(&twin_transport, &twin, NULL, FALSE);

    assert_true(cst_conn_set_dry_run(dry, TRUE, NULL));
    assert_true(cst_conn_pool_stop(dry, &pool, NULL));
    assert_true(twin.was_dry);
    assert_true(cst_conn_pool_stop(real, &pool, NULL));
    assert_false(twin.was_dry);
    assert_true(cst_conn_pool_stop(dry, &pool, NULL));
    assert_true(twin.was_dry);
    assert_true(cst_conn_set_dry_run(dry, FALSE, NULL));
    assert_true(cst_conn_pool_stop(dry, &pool, NULL));
    assert_false(twin.was_dry);
}

/* A call must not pass for a dry run that the server carries out. */
static void dry_run_that_the_server_refuses_is_not_set(void **state)
{
    Twin twin = {.has_no_dry_runs = TRUE};
    g_autoptr(CstConn) conn = cst_conn_new(&twin_transport, &twin, NULL, FALSE);

    for (int i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;

        assert_false(cst_conn_set_dry_run(conn, TRUE, &error));
        assert_int_equal(error->code, CST_ERROR_NO_SUPPORT);
        assert_false(cst_dry_run());
        assert_true(cst_conn_pool_stop(conn, &pool, NULL));
        assert_false(twin.was_dry);
    }
}

/* The server has the bytes, but could not keep them. */
static void stream_with_a_failed_end_has_failed(void **state)
{
    Twin twin = {.lacks_space = TRUE};
    g_autoptr(CstConn) conn = cst_conn_new(&twin_transport, &twin, NULL, FALSE);
    g_autoptr(GError) upload = NULL, download = NULL, patch = NULL;
    CstConnReceive *receive;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    assert_false(cst_conn_vol_upload(conn, &vol, fd, 0, 0, 0, NULL, &upload));
    assert_int_equal(upload->code, CST_ERROR_NO_SPACE);
    assert_false(cst_conn_vol_download(conn, &vol, fd, 0, 0, 0, NULL, &download));
    assert_int_equal(download->code, CST_ERROR_NO_SPACE);
    receive = cst_conn_vol_patch(conn, &vol, 0, NULL, NULL);
    assert_non_null(receive);
    assert_false(cst_conn_patch_finish(receive, &patch));
    assert_int_equal(patch->code, CST_ERROR_NO_SPACE);
    cst_conn_receive_free(receive);
    close(fd);
}

static void download_that_ends_in_a_hole_has_its_size(void **state)
{
    Twin twin = {.hole = 123456};
    g_autoptr(CstConn) conn = cst_conn_new(&twin_transport, &twin, NULL, FALSE);
    const CstVolSend all = {0};
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("cst-hole-XXXXXX", &path, NULL);

    assert_true(cst_conn_vol_download(conn, &vol, fd, 0, 0, 0, NULL, NULL));
    assert_int_equal(lseek(fd, 0, SEEK_END), 123456);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_true(cst_conn_vol_send_to(conn, &vol, &all, fd, NULL, NULL));
    assert_int_equal(lseek(fd, 0, SEEK_END), 123456);
    unlink(path);
    close(fd);
}

static void failure_without_an_error_becomes_one(void **state)
{
    Twin twin = {0};
    g_autoptr(CstConn) conn = cst_conn_new(&twin_transport, &twin, NULL, FALSE);
    g_autoptr(GError) error = NULL;

    assert_null(cst_conn_hostname(conn, NULL));
    assert_null(cst_conn_hostname(conn, &error));
    assert_int_equal(error->code, CST_ERROR_INTERNAL);
}

static uint64_t total_of_download(uint64_t physical, uint64_t offset, uint64_t length)
{
    Twin twin = {.physical = physical};
    g_autoptr(CstConn) conn = cst_conn_new(&twin_transport, &twin, NULL, FALSE);
    g_autoptr(CstTask) task = cst_task_new();
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_true(cst_conn_vol_download(conn, &vol, fd, offset, length, 0, task, NULL));
    assert_int_equal(twin.calls, 2);
    close(fd);
    return cst_task_progress(task).total;
}

static void download_knows_how_much_will_come(void **state)
{
    assert_int_equal(total_of_download(1000, 0, 0), 1000);
    assert_int_equal(total_of_download(1000, 300, 0), 700);
    assert_int_equal(total_of_download(1000, 300, 50), 50);
    assert_int_equal(total_of_download(1000, 300, 5000), 700);
    assert_int_equal(total_of_download(1000, 2000, 0), 0);
    assert_int_equal(total_of_download(0, 0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_reaches_the_transport),
        cmocka_unit_test(read_only_connection_refuses_changes_before_the_transport),
        cmocka_unit_test(given_uri_is_the_uri_of_the_connection),
        cmocka_unit_test(calls_are_dry_runs_by_their_connection),
        cmocka_unit_test(dry_run_that_the_server_refuses_is_not_set),
        cmocka_unit_test(stream_with_a_failed_end_has_failed),
        cmocka_unit_test(download_that_ends_in_a_hole_has_its_size),
        cmocka_unit_test(failure_without_an_error_becomes_one),
        cmocka_unit_test(download_knows_how_much_will_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
