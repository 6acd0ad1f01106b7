/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include <base/error.h>

#include "provider.h"

/* A provider with a few slots, to see what reaches it. */
typedef struct {
    int calls;
    int closed;
    uint64_t physical;
} Twin;

static void twin_close(gpointer self)
{
    ((Twin *)self)->closed++;
}

static char *twin_type(gpointer self, GError **error)
{
    ((Twin *)self)->calls++;
    return g_strdup("twin");
}

/** Fails without an error: a defect that the dispatcher must not pass on. */
static char *twin_hostname(gpointer self, GError **error)
{
    return NULL;
}

static gboolean twin_pool_stop(gpointer self, const CstPoolRef *pool, GError **error)
{
    ((Twin *)self)->calls++;
    return TRUE;
}

static gboolean twin_vol_info(gpointer self, const CstVolRef *vol, gboolean physical,
                              CstConnVolInfo *ret, GError **error)
{
    Twin *twin = self;

    if (!twin->physical)
        return cst_fail(error, CST_ERROR_NO_SUPPORT, "info");
    *ret = (CstConnVolInfo){CST_VOL_FILE, 1, physical ? twin->physical : 2, 0, FALSE};
    return TRUE;
}

static gboolean twin_vol_download(gpointer self, const CstVolRef *vol, int fd, uint64_t offset,
                                  uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    ((Twin *)self)->calls++;
    return TRUE;
}

static const CstConnOps twin_ops = {
    .close = twin_close,
    .type = twin_type,
    .hostname = twin_hostname,
    .pool_stop = twin_pool_stop,
    .vol_info = twin_vol_info,
    .vol_download = twin_vol_download,
};

static char pool_name[] = "p";
static const CstPoolRef pool = {.name = pool_name};
static const CstVolRef vol = {pool_name, pool_name, pool_name};

static void call_reaches_the_provider(void **state)
{
    Twin twin = {0};
    CstConn *conn = cst_conn_new(&twin_ops, &twin, FALSE);
    g_autofree char *type = cst_conn_type(conn, NULL);

    assert_string_equal(type, "twin");
    assert_true(cst_conn_pool_stop(conn, &pool, NULL));
    assert_int_equal(twin.calls, 2);
    cst_conn_free(conn);
    assert_int_equal(twin.closed, 1);
}

static void read_only_connection_refuses_changes_before_the_provider(void **state)
{
    Twin twin = {0};
    g_autoptr(CstConn) conn = cst_conn_new(&twin_ops, &twin, TRUE);
    g_autoptr(GError) error = NULL;
    g_autofree char *type = cst_conn_type(conn, NULL);
    g_autofree char *text = NULL;

    assert_string_equal(type, "twin");
    assert_true(cst_conn_is_read_only(conn));
    assert_false(cst_conn_pool_stop(conn, &pool, &error));
    assert_int_equal(twin.calls, 1);
    text = cst_error_text(error);
    assert_string_equal(text,
                        "operation forbidden: read only access prevents virStoragePoolDestroy");
}

static void absent_slot_is_not_supported_by_this_server(void **state)
{
    Twin twin = {0};
    g_autoptr(CstConn) conn = cst_conn_new(&twin_ops, &twin, FALSE);
    g_autoptr(GError) error = NULL;

    assert_null(cst_conn_pool_by_name(conn, "x", &error));
    assert_int_equal(error->code, CST_ERROR_NO_SUPPORT);
    assert_non_null(strstr(error->message, "not supported by this server"));
}

static void failure_without_an_error_becomes_one(void **state)
{
    Twin twin = {0};
    g_autoptr(CstConn) conn = cst_conn_new(&twin_ops, &twin, FALSE);
    g_autoptr(GError) error = NULL;

    assert_null(cst_conn_hostname(conn, NULL));
    assert_null(cst_conn_hostname(conn, &error));
    assert_int_equal(error->code, CST_ERROR_INTERNAL);
}

static uint64_t total_of_download(uint64_t physical, uint64_t offset, uint64_t length)
{
    Twin twin = {.physical = physical};
    g_autoptr(CstConn) conn = cst_conn_new(&twin_ops, &twin, FALSE);
    g_autoptr(CstTask) task = cst_task_new();

    assert_true(cst_conn_vol_download(conn, &vol, -1, offset, length, 0, task, NULL));
    assert_int_equal(twin.calls, 1);
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
        cmocka_unit_test(call_reaches_the_provider),
        cmocka_unit_test(read_only_connection_refuses_changes_before_the_provider),
        cmocka_unit_test(absent_slot_is_not_supported_by_this_server),
        cmocka_unit_test(failure_without_an_error_becomes_one),
        cmocka_unit_test(download_knows_how_much_will_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
