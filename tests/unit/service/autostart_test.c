/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pools that a daemon starts or recovers (recovery/autostart.h). Each pool has one task, which
 * lasts until its work is done and adapts to changes made in that time.
 */
#include "memory_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

#include "await.h"
#include "core/pool.h"
#include "core/registry.h"
#include "points.h"
#include "recovery/autostart.h"

static gint starts, recoveries; /* atomic: calls of the storage's callbacks */
static gint failing_scans;      /* atomic: scans still to fail */

static gboolean count_start(CstPoolState *state, GError **error)
{
    g_atomic_int_inc(&starts);
    return cst_memory_backend.start(state, error);
}

static gboolean count_recovery(CstPoolState *state, GError **error)
{
    g_atomic_int_inc(&recoveries);
    return cst_memory_backend.drop_drafts(state, error);
}

static gboolean fail_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    if (g_atomic_int_get(&failing_scans) == 0)
        return cst_memory_backend.scan(state, scan, task, error);
    g_atomic_int_add(&failing_scans, -1);
    return cst_fail(error, CST_ERROR_IO, "the storage is away");
}

static gint warnings; /* atomic: logged warnings */

static GLogWriterOutput count_warning(GLogLevelFlags level, const GLogField *fields, gsize count,
                                      gpointer unused)
{
    for (gsize i = 0; i < count; i++)
        if (g_str_equal(fields[i].key, "MESSAGE") && strstr(fields[i].value, "the storage is away"))
            g_atomic_int_inc(&warnings);
    return G_LOG_WRITER_HANDLED;
}

static int set_up(void **state)
{
    int result = memory_setup(state);

    test_backend.start = count_start;
    test_backend.drop_drafts = count_recovery;
    test_backend.scan = fail_scan;
    return result;
}

/* An inactive pool with autostart. */
static CstPool *make_pool(Fixture *f, const char *name)
{
    CstPool *pool = memory_pool(f, name);

    assert_true(cst_pool_set_autostart(pool, TRUE, NULL));
    assert_true(cst_pool_stop(pool, NULL, NULL));
    g_atomic_int_set(&starts, 0);
    g_atomic_int_set(&recoveries, 0);
    return pool;
}

static gboolean is_retried(CstPool *pool)
{
    gboolean retried;

    g_mutex_lock(&pool->lock);
    retried = pool->retried;
    g_mutex_unlock(&pool->lock);
    return retried;
}

static void await_end_of_task(CstPool *pool)
{
    AWAIT_STATE(!is_retried(pool), "pool '%s', active: %d, problem: %s", pool->name, pool->active,
                pool->problem);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void scheduler_is_woken_by_a_new_task(void **state)
{
    g_autoptr(CstPool) pool = make_pool(*state, "p");
    Autostart *autostart;

    point_watch("autostart.wait");
    autostart = autostart_new();
    point_await("autostart.wait", 1);
    autostart_add(autostart, pool);
    await_end_of_task(pool);
    assert_true(cst_pool_is_active(pool));
    autostart_free(autostart);
    points_clear();
}

static void pool_has_one_task_at_a_time(void **state)
{
    g_autoptr(CstPool) pool = make_pool(*state, "p");
    Autostart *autostart = autostart_new();
    gint refs;

    cst_memory_hang("start");
    autostart_add(autostart, pool);
    memory_await_hang("start");
    refs = g_atomic_int_get(&pool->refs);
    autostart_add(autostart, pool);
    assert_int_equal(g_atomic_int_get(&pool->refs), refs);
    cst_memory_release();
    await_end_of_task(pool);
    autostart_free(autostart);
    assert_int_equal(g_atomic_int_get(&starts), 1);
    assert_null(pool->problem);
    assert_true(cst_pool_is_active(pool));
}

static void unwanted_pool_gets_no_task(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) off = make_pool(f, "off"), removed = make_pool(f, "removed");
    g_autofree char *xml = memory_pool_xml("transient");
    g_autoptr(CstPool) transient =
        cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, NULL);
    CstPool *const pools[] = {off, removed, transient};
    Autostart *autostart = autostart_new();

    assert_true(cst_pool_set_autostart(off, FALSE, NULL));
    assert_true(cst_pool_undefine(removed, NULL, NULL));
    assert_true(cst_pool_stop(transient, NULL, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(pools); i++) {
        autostart_add(autostart, pools[i]);
        assert_false(is_retried(pools[i]));
    }
    autostart_free(autostart);
}

static void switch_off(gpointer pool)
{
    assert_true(cst_pool_set_autostart(pool, FALSE, NULL));
}

/* The start fails, and autostart is switched off before the retry is due. */
static void failed_start_is_not_repeated_once_it_is_unwanted(void **state)
{
    g_autoptr(CstPool) pool = make_pool(*state, "p");
    Autostart *autostart = autostart_new();

    cst_memory_fault("start", 1);
    point_run("autostart.task.tried", switch_off, pool);
    autostart_add(autostart, pool);
    await_end_of_task(pool);
    assert_int_equal(point_passed("autostart.task.tried"), 2);
    assert_int_equal(g_atomic_int_get(&starts), 1);
    assert_false(cst_pool_is_active(pool));
    assert_non_null(strstr(pool->problem, "start was told to fail"));
    autostart_free(autostart);
    points_clear();
}

static void failed_start_is_repeated(void **state)
{
    g_autoptr(CstPool) pool = make_pool(*state, "p");
    Autostart *autostart = autostart_new();

    cst_memory_fault("start", 1);
    autostart_add(autostart, pool);
    await_end_of_task(pool);
    assert_int_equal(g_atomic_int_get(&starts), 2);
    assert_true(cst_pool_is_active(pool));
    assert_null(pool->problem);
    autostart_free(autostart);
}

/* A client starts the pool before the retry of its task is due. The task then scans the pool. */
static void start_pool(gpointer pool)
{
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
}

static void pool_that_a_client_has_started_is_not_started_again(void **state)
{
    g_autoptr(CstPool) pool = make_pool(*state, "p");
    Autostart *autostart = autostart_new();

    cst_memory_fault("start", 1);
    point_run("autostart.task.tried", start_pool, pool);
    autostart_add(autostart, pool);
    await_end_of_task(pool);
    assert_int_equal(g_atomic_int_get(&starts), 2);
    assert_true(cst_pool_is_active(pool));
    assert_null(pool->problem);
    autostart_free(autostart);
    points_clear();
}

static void active_pool_is_scanned_until_its_storage_answers(void **state)
{
    g_autoptr(CstPool) pool = NULL;
    Autostart *autostart = autostart_new();

    test_backend.remote = TRUE;
    pool = memory_pool(*state, "p");
    g_atomic_int_set(&failing_scans, 2);
    g_atomic_int_set(&warnings, 0);
    memory_put("p", "v", 512);
    point_watch("autostart.task.tried");
    autostart_add(autostart, pool);
    point_await("autostart.task.tried", 3);
    await_end_of_task(pool);
    assert_int_equal(g_atomic_int_get(&failing_scans), 0);
    /* Only one task runs, and it logs only its first failure. */
    assert_int_equal(g_atomic_int_get(&warnings), 1);
    assert_int_equal(volume_table_size(pool->volumes), 1);
    assert_null(pool->problem);
    assert_false(pool->inaccessible);
    autostart_free(autostart);
    points_clear();
}

/* A pool of local storage is scanned once; the monitor scans it when the storage is back. */
static void active_pool_of_local_storage_is_scanned_once(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    Autostart *autostart = autostart_new();

    g_atomic_int_set(&failing_scans, 1);
    point_watch("autostart.task.tried");
    autostart_add(autostart, pool);
    await_end_of_task(pool);
    assert_int_equal(point_passed("autostart.task.tried"), 1);
    assert_non_null(strstr(pool->problem, "the storage is away"));
    assert_true(pool->inaccessible);
    autostart_free(autostart);
    points_clear();
}

/* Another recovery becomes necessary after the task has finished its work and before it ends. */
static void need_recovery(gpointer data)
{
    CstPool *pool = data;

    g_atomic_int_set(&recoveries, 0);
    g_mutex_lock(&pool->lock);
    assert_true(pool->retried);
    pool->needs_recovery = TRUE;
    g_mutex_unlock(&pool->lock);
}

static void recovery_that_is_needed_at_the_end_gets_another_task(void **state)
{
    g_autoptr(CstPool) pool = NULL;
    Autostart *autostart = autostart_new();

    test_backend.remote = TRUE;
    pool = memory_pool(*state, "p");
    point_run("autostart.task.tried", need_recovery, pool);
    autostart_add(autostart, pool);
    point_await("autostart.task.tried", 2);
    await_end_of_task(pool);
    assert_int_equal(g_atomic_int_get(&recoveries), 1);
    assert_false(pool->needs_recovery);
    autostart_free(autostart);
    points_clear();
}

/* The task that waits for its retry is dropped, and releases its reference. */
static void waiting_task_is_dropped_at_the_end(void **state)
{
    g_autoptr(CstPool) pool = make_pool(*state, "p");
    Autostart *autostart;

    point_watch("autostart.wait");
    autostart = autostart_new();
    point_await("autostart.wait", 1);
    cst_memory_fault("start", 1);
    autostart_add(autostart, pool);
    /* One pass for the task, and one for its deferral. */
    point_await("autostart.wait", 3);
    autostart_free(autostart);
    assert_int_equal(g_atomic_int_get(&starts), 1);
    assert_false(cst_pool_is_active(pool));
    /* The table and this function hold one reference each. The monitor releases its own soon. */
    AWAIT_STATE(g_atomic_int_get(&pool->refs) == 2, "%d references", g_atomic_int_get(&pool->refs));
    points_clear();
}

static gboolean freed, freed_too_early; /* atomic */

static gpointer free_autostart(gpointer autostart)
{
    autostart_free(autostart);
    g_atomic_int_set(&freed, TRUE);
    return NULL;
}

/* Gives the thread that frees the autostart time to proceed as far as it can. */
static void outlast_free(gpointer unused)
{
    for (int i = 0; i < 1000; i++)
        g_thread_yield();
    g_atomic_int_set(&freed_too_early, g_atomic_int_get(&freed));
}

static void start_under_way_is_waited_for_at_the_end(void **state)
{
    g_autoptr(CstPool) pool = make_pool(*state, "p");
    Autostart *autostart = autostart_new();
    GThread *thread;

    cst_memory_hang("start");
    autostart_add(autostart, pool);
    memory_await_hang("start");
    point_run("autostart.task.tried", outlast_free, NULL);
    thread = g_thread_new("free", free_autostart, autostart);
    cst_memory_release();
    g_thread_join(thread);
    point_await("autostart.task.tried", 1);
    await_end_of_task(pool);
    assert_false(g_atomic_int_get(&freed_too_early));
    assert_true(cst_pool_is_active(pool));
    points_clear();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, memory_teardown)
    const struct CMUnitTest tests[] = {
        TEST(scheduler_is_woken_by_a_new_task),
        TEST(pool_has_one_task_at_a_time),
        TEST(unwanted_pool_gets_no_task),
        TEST(failed_start_is_not_repeated_once_it_is_unwanted),
        TEST(failed_start_is_repeated),
        TEST(pool_that_a_client_has_started_is_not_started_again),
        TEST(active_pool_is_scanned_until_its_storage_answers),
        TEST(active_pool_of_local_storage_is_scanned_once),
        TEST(recovery_that_is_needed_at_the_end_gets_another_task),
        TEST(waiting_task_is_dropped_at_the_end),
        TEST(start_under_way_is_waited_for_at_the_end),
    };

    g_log_set_writer_func(count_warning, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
