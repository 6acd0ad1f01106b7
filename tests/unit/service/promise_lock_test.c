/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lock of a pool's promise against other processes without a daemon. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/log_context.h>
#include <service/promise.h>
#include <store/promise_lock.h>

#include "core/pool.h"
#include "points.h"

#define CAPACITY 1048576

static void quota_set(Fixture *f)
{
    g_autoptr(CstPool) known = cst_service_pool_by_name(f->service, "p", NULL);
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir' xmlns:c='urn:cistern:storage:1.0'><name>p</name><uuid>%s</uuid>"
        "<target><path>%s/p</path></target><c:limits quota='1' unit='MiB'/></pool>",
        cst_uuid_format(cst_pool_uuid(known), uuid), f->images);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) pool = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
}

static gboolean try_create(CstPool *pool, const char *name, uint64_t capacity, GError **error)
{
    g_autofree char *xml =
        g_strdup_printf("<volume><name>%s</name><capacity>%" G_GUINT64_FORMAT "</capacity>"
                        "<target><format type='qcow2'/></target></volume>",
                        name, capacity);
    g_autofree char *made = NULL;

    return cst_vol_create(pool, xml, 0, NULL, &made, error);
}

static void unlock_other_process(gpointer data)
{
    Fixture *f = ((gpointer *)data)[0];

    cst_promise_unlock(f->paths, cst_pool_uuid(((gpointer *)data)[1]),
                       GPOINTER_TO_INT(((gpointer *)data)[2]));
}

/* Opens the pool "p" as a process without a daemon does. */
static CstPool *embedded_pool(Fixture *f)
{
    CstPool *pool = fixture_pool(f, "p");

    quota_set(f);
    cst_pool_unref(pool);
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    pool = cst_service_pool_by_name(f->service, "p", NULL);
    assert_non_null(pool);
    return pool;
}

/* The other process creates a volume, and then releases the lock. */
static void embedded_creation_waits_for_other_processes(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = embedded_pool(f);
    gpointer other[] = {f, pool, NULL};
    g_autofree char *block = g_strnfill(4096, 'x');
    CstPoolPromise promise;
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_get_promise(pool, &promise, NULL));
    assert_int_equal(promise.promised, 0);
    other[2] = GINT_TO_POINTER(cst_promise_lock(f->paths, cst_pool_uuid(pool), NULL));
    fixture_write(f, "p", "other", block);
    point_run("promise.lock.wait", unlock_other_process, other);
    assert_false(try_create(pool, "v", CAPACITY, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    points_clear();
    assert_true(try_create(pool, "v", CAPACITY - 8192, NULL));
    assert_int_equal(pool->promise_users, 0);
}

static void cancel_task(gpointer task)
{
    cst_task_cancel(task);
}

static void embedded_creation_that_waits_can_be_cancelled(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = embedded_pool(f);
    g_autoptr(CstTask) task = cst_task_new();
    CstLogContext context;
    int fd = cst_promise_lock(f->paths, cst_pool_uuid(pool), NULL);
    g_autoptr(GError) error = NULL;

    cst_log_context_init(&context);
    context.task = task;
    cst_log_push(&context);
    point_run("promise.lock.wait", cancel_task, task);
    assert_false(try_create(pool, "v", CAPACITY, &error));
    cst_log_pop(&context);
    assert_error(&error, CST_ERROR_CANCELLED);
    points_clear();
    cst_promise_unlock(f->paths, cst_pool_uuid(pool), fd);
    assert_true(try_create(pool, "v", CAPACITY, NULL));
    assert_int_equal(pool->promises->len, 0);
}

/* The holder removes the file after it was opened, and before it is locked. */
static void removed_lock_file_is_opened_again(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    gpointer other[] = {f, pool, NULL};
    g_autoptr(GError) error = NULL;
    int fd;

    other[2] = GINT_TO_POINTER(cst_promise_lock(f->paths, cst_pool_uuid(pool), NULL));
    point_run("lock_file.opened", unlock_other_process, other);
    fd = cst_promise_lock(f->paths, cst_pool_uuid(pool), &error);
    points_clear();
    assert_no_error(error);
    assert_true(fd >= 0);
    assert_int_equal(cst_promise_lock(f->paths, cst_pool_uuid(pool), &error), -1);
    assert_error(&error, CST_ERROR_BUSY);
    cst_promise_unlock(f->paths, cst_pool_uuid(pool), fd);
    cst_promise_unlock(f->paths, cst_pool_uuid(pool), -1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(embedded_creation_waits_for_other_processes),
        CASE(embedded_creation_that_waits_can_be_cancelled),
        CASE(removed_lock_file_is_opened_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
