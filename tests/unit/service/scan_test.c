/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scans (core/scan.h) during which the table, the pool or the storage changes. Another thread acts
 * after the scan has read the storage and before it changes the table.
 */
#include "memory_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/log_context.h>

#include "core/pool.h"
#include "core/scan.h"
#include "core/table.h"
#include "points.h"

/* --- storage that counts ---------------------------------------------------------------------- */

static gint scans, running, most_running; /* atomic */
static gint failures;                     /* atomic: number of next scans that fail at their end */

static gboolean counting_scan(CstPoolState *state, const CstScan *scan, CstTask *task,
                              GError **error)
{
    gint now = g_atomic_int_add(&running, 1) + 1;
    gboolean done;

    g_atomic_int_inc(&scans);
    if (now > g_atomic_int_get(&most_running))
        g_atomic_int_set(&most_running, now);
    done = cst_memory_backend.scan(state, scan, task, error);
    g_atomic_int_add(&running, -1);
    if (g_atomic_int_get(&failures) == 0)
        return done;
    g_atomic_int_add(&failures, -1);
    return cst_fail(error, CST_ERROR_IO, "the storage fails");
}

static int set_up(void **state)
{
    int result = memory_setup(state);

    g_atomic_int_set(&scans, 0);
    g_atomic_int_set(&running, 0);
    g_atomic_int_set(&most_running, 0);
    g_atomic_int_set(&failures, 0);
    test_backend.scan = counting_scan;
    return result;
}

/* --- content of the table --------------------------------------------------------------------- */

/* Compares the names in the table, without a scan. */
static void assert_table(CstPool *pool, const char *expected)
{
    g_autoptr(GPtrArray) sorted = pool_table_sorted(pool);
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < sorted->len; i++)
        g_string_append_printf(names, "%s ", ((CstVolume *)g_ptr_array_index(sorted, i))->name);
    assert_string_equal(names->str, expected);
}

static uint64_t capacity_of(CstPool *pool, const char *name)
{
    g_autoptr(CstVolume) volume = pool_table_found(pool, name);

    return volume ? volume->capacity : 0;
}

static void assert_no_scan_is_left(CstPool *pool)
{
    assert_false(pool->scanning);
    assert_null(pool->touched);
    assert_int_equal(pool->name_scans->len, 0);
}

/* --- threads ---------------------------------------------------------------------------------- */

typedef struct {
    CstPool *pool;
    CstPoolState *state;
    CstTask *task;
    gboolean done;
    GError *error;
    guint count;
    GThread *thread;
} Work;

static gpointer refresh(gpointer data)
{
    Work *work = data;

    work->done = cst_pool_refresh(work->pool, 0, work->task, &work->error);
    return NULL;
}

static gpointer scan(gpointer data)
{
    Work *work = data;

    work->done = pool_scan(work->pool, work->state, work->task, &work->error);
    return NULL;
}

static gpointer count(gpointer data)
{
    Work *work = data;

    work->done = cst_pool_count_volumes(work->pool, &work->count, &work->error);
    return NULL;
}

static void work_end(Work *work)
{
    g_thread_join(work->thread);
    assert_no_error(work->error);
    assert_true(work->done);
}

static void work_fail(Work *work)
{
    g_thread_join(work->thread);
    assert_false(work->done);
    assert_error(&work->error, CST_ERROR_IO);
}

static void remove_volume(CstPool *pool, const char *name)
{
    g_autoptr(GError) error = NULL;

    cst_vol_delete(pool, name, 0, NULL, &error);
    assert_no_error(error);
}

/* Wakes all waits for the pool without a change. */
static void wake_all(CstPool *pool)
{
    g_mutex_lock(&pool->lock);
    g_cond_broadcast(&pool->cond);
    g_mutex_unlock(&pool->lock);
}

/* --- scans of the whole pool ------------------------------------------------------------------ */

/* The scan has seen "gone", which is then deleted, and has not seen "new"; "same" stays. */
static void scan_keeps_changes_made_while_it_ran(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    Work work = {.pool = pool};

    memory_put("p", "gone", 512);
    memory_put("p", "same", 512);
    memory_put("p", "larger", 512);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    memory_put("p", "found", 512);
    point_hold("pool.scan.scanned");
    work.thread = g_thread_new("refresh", refresh, &work);
    point_await("pool.scan.scanned", 1);
    remove_volume(pool, "gone");
    fixture_create(pool, "new", "raw", "");
    assert_true(cst_vol_resize(pool, "larger", 4096, 0, NULL, NULL));
    assert_table(pool, "larger new same ");
    point_release("pool.scan.scanned");
    work_end(&work);
    assert_table(pool, "found larger new same ");
    assert_int_equal(capacity_of(pool, "larger"), 4096);
    assert_no_scan_is_left(pool);
    points_clear();
}

static void failed_scan_keeps_the_table(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(GError) error = NULL;
    g_autofree char *problem = NULL;

    memory_put("p", "a", 512);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    memory_put("p", "b", 512);
    cst_memory_fault("scan", 1);
    assert_false(cst_pool_refresh(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_IO);
    assert_table(pool, "a ");
    assert_no_scan_is_left(pool);
    problem = cst_pool_get_problem(pool);
    assert_non_null(problem);
    assert_true(pool->inaccessible);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_table(pool, "a b ");
    assert_null(pool->problem);
    assert_false(pool->inaccessible);
}

/* Both wait without a task, so the end of the first scan, a failure, must wake them. */
static void scans_run_one_at_a_time(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstPoolState) storage = pool_state_get(pool, NULL);
    Work works[3] = {{.pool = pool, .state = storage},
                     {.pool = pool, .state = storage},
                     {.pool = pool, .state = storage}};
    gint before = g_atomic_int_get(&scans);

    g_atomic_int_set(&failures, 1);
    cst_memory_hang("scan");
    works[0].thread = g_thread_new("scan", scan, &works[0]);
    memory_await_hang("scan");
    point_watch("pool.wait");
    works[1].thread = g_thread_new("scan", scan, &works[1]);
    works[2].thread = g_thread_new("scan", scan, &works[2]);
    point_await("pool.wait", 2);
    wake_all(pool);
    point_await("pool.wait", 4);
    assert_int_equal(g_atomic_int_get(&scans), before + 1);
    cst_memory_release();
    work_fail(&works[0]);
    work_end(&works[1]);
    work_end(&works[2]);
    assert_int_equal(g_atomic_int_get(&scans), before + 3);
    assert_int_equal(g_atomic_int_get(&most_running), 1);
    assert_no_scan_is_left(pool);
    points_clear();
}

static void scan_gives_up_waiting_for_another_one(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstPoolState) storage = pool_state_get(pool, NULL);
    g_autoptr(CstTask) task = cst_task_new(), cancelled = cst_task_new();
    CstLogContext log = {.task = task};
    Work work = {.pool = pool, .state = storage};
    g_autoptr(GError) error = NULL;

    cst_task_set_max_wait(task, 1);
    cst_task_cancel(cancelled);
    point_hold("pool.scan.scanned");
    work.thread = g_thread_new("scan", scan, &work);
    point_await("pool.scan.scanned", 1);
    assert_false(pool_scan(pool, storage, task, &error));
    assert_non_null(strstr(error->message, "storage pool 'p' is still being refreshed"));
    assert_error(&error, CST_ERROR_BUSY);
    assert_false(cst_task_waiting(task));
    assert_false(pool_scan(pool, storage, cancelled, &error));
    assert_error(&error, CST_ERROR_CANCELLED);
    assert_false(cst_task_waiting(cancelled));
    pool_table_clear(pool);
    cst_log_push(&log);
    assert_false(pool_scan_if_new(pool, storage, &error));
    cst_log_pop(&log);
    assert_error(&error, CST_ERROR_BUSY);
    assert_false(cst_task_waiting(task));
    assert_true(pool->scanning);
    point_release("pool.scan.scanned");
    work_end(&work);
    assert_true(pool_scan(pool, storage, task, NULL));
    points_clear();
}

static void listing_waits_for_the_first_scan_only(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstPoolState) storage = pool_state_get(pool, NULL);
    Work first = {.pool = pool, .state = storage};
    Work list = {.pool = pool}, other = {.pool = pool}, again = {.pool = pool};
    gint before = g_atomic_int_get(&scans);

    memory_put("p", "a", 512);
    pool_table_clear(pool);
    point_hold("pool.scan.scanned");
    point_watch("pool.first_scan.wait");
    first.thread = g_thread_new("scan", scan, &first);
    point_await("pool.scan.scanned", 1);
    list.thread = g_thread_new("list", count, &list);
    point_await("pool.first_scan.wait", 1);
    other.thread = g_thread_new("list", count, &other);
    point_await("pool.first_scan.wait", 2);
    wake_all(pool);
    point_await("pool.first_scan.wait", 4);
    point_release("pool.scan.scanned");
    work_end(&first);
    work_end(&list);
    work_end(&other);
    assert_int_equal(list.count, 1);
    assert_int_equal(g_atomic_int_get(&scans), before + 1);
    /* A later scan does not block a listing. */
    memory_put("p", "b", 512);
    point_hold("pool.scan.scanned");
    first.thread = g_thread_new("scan", scan, &first);
    point_await("pool.scan.scanned", 1);
    again.thread = g_thread_new("list", count, &again);
    work_end(&again);
    assert_int_equal(again.count, 1);
    point_release("pool.scan.scanned");
    work_end(&first);
    points_clear();
}

/*
 * The first scan fails. The listing that waited for it scans itself, and returns the correct
 * result.
 */
static void listing_scans_when_the_first_scan_has_failed(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstPoolState) storage = pool_state_get(pool, NULL);
    Work first = {.pool = pool, .state = storage}, list = {.pool = pool};

    memory_put("p", "a", 512);
    pool_table_clear(pool);
    g_atomic_int_set(&failures, 1);
    cst_memory_hang("scan");
    first.thread = g_thread_new("scan", scan, &first);
    memory_await_hang("scan");
    point_watch("pool.first_scan.wait");
    list.thread = g_thread_new("list", count, &list);
    point_await("pool.first_scan.wait", 1);
    cst_memory_release();
    work_fail(&first);
    work_end(&list);
    assert_int_equal(list.count, 1);
    assert_no_scan_is_left(pool);
    points_clear();
}

/* --- the pool is stopped while a scan runs ---------------------------------------------------- */

static void stop_pool(gpointer pool)
{
    g_autoptr(GError) error = NULL;

    cst_pool_stop(pool, NULL, &error);
    assert_no_error(error);
}

static void assert_nothing_is_known(CstPool *pool)
{
    CstPoolInfo info;

    cst_pool_get_info(pool, &info);
    assert_int_equal(info.state, CST_POOL_INACTIVE);
    assert_int_equal(info.volumes, 0);
    assert_int_equal(info.capacity, 0);
    assert_int_equal(info.allocation, 0);
    assert_null(pool->problem);
    assert_false(pool->scanned);
    assert_no_scan_is_left(pool);
}

static void scan_of_a_stopped_pool_is_discarded(void **state)
{
    static const char *const points[] = {"pool.scan.scanned", "pool.usage.asked"};

    for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
        g_autofree char *name = g_strdup_printf("p%zu", i);
        g_autoptr(CstPool) pool = memory_pool(*state, name);

        memory_put(name, "a", 512);
        if (i == 0)
            point_run("pool.scan.scanned", stop_pool, pool);
        else
            point_run("pool.usage.asked", stop_pool, pool);
        cst_pool_refresh(pool, 0, NULL, NULL);
        assert_nothing_is_known(pool);
        points_clear();
        assert_true(cst_pool_start(pool, 0, NULL, NULL));
        assert_table(pool, "a ");
        cst_pool_unref(g_steal_pointer(&pool));
    }
}

/* The scan fails after the stop. The failure concerns storage that the pool no longer uses. */
static void failed_scan_of_a_stopped_pool_is_no_problem(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    Work work = {.pool = pool};

    cst_memory_hang("scan");
    g_atomic_int_set(&failures, 1);
    work.thread = g_thread_new("refresh", refresh, &work);
    memory_await_hang("scan");
    stop_pool(pool);
    cst_memory_release();
    work_fail(&work);
    assert_nothing_is_known(pool);
}

static void lookup_in_a_stopped_pool_does_not_change_the_table(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstPoolState) storage = pool_state_get(pool, NULL);
    g_autoptr(CstVolume) volume = NULL;

    memory_put("p", "a", 512);
    point_run("volume.scan.scanned", stop_pool, pool);
    assert_true(pool_scan_volume(pool, storage, "a", &volume, NULL));
    assert_non_null(volume);
    assert_nothing_is_known(pool);
    points_clear();
}

/* --- scans of one name ------------------------------------------------------------------------ */

static void delete_volume(gpointer pool)
{
    remove_volume(pool, "v");
}

static void make_volume(gpointer pool)
{
    fixture_create(pool, "v", "raw", "");
}

static void resize_volume(gpointer pool)
{
    assert_true(cst_vol_resize(pool, "v", 2 << 20, 0, NULL, NULL));
}

static void refresh_pool(gpointer pool)
{
    memory_put("p", "v", 4096);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
}

/* The result of the lookup is older than a change by another thread. */
static void lookup_is_repeated_when_the_volume_changes(void **state)
{
    static const struct {
        const char *called;
        void (*change)(gpointer pool);
        gboolean exists; /* before */
        uint64_t capacity;
    } rows[] = {
        {"delete", delete_volume, TRUE, 0},
        {"create", make_volume, FALSE, 1 << 20},
        {"resize", resize_volume, TRUE, 2 << 20},
        {"refresh", refresh_pool, TRUE, 4096},
    };
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstPoolState) storage = pool_state_get(pool, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstVolume) volume = NULL;

        cst_memory_take("p", "v");
        assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
        if (rows[i].exists)
            memory_put("p", "v", 512);
        point_run("volume.scan.scanned", rows[i].change, pool);
        assert_true(pool_scan_volume(pool, storage, "v", &volume, NULL));
        if (capacity_of(pool, "v") != rows[i].capacity || !volume != !rows[i].capacity)
            fail_msg("%s: the table has %d bytes", rows[i].called, (int)capacity_of(pool, "v"));
        assert_no_scan_is_left(pool);
        points_clear();
    }
}

static void failed_lookup_leaves_no_deferred_scan(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstPoolState) storage = pool_state_get(pool, NULL);
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(GError) error = NULL;

    cst_memory_fault("scan_one", 1);
    assert_false(pool_scan_volume(pool, storage, "v", &volume, &error));
    assert_error(&error, CST_ERROR_IO);
    assert_no_scan_is_left(pool);
}

/* A report that arrives during the scan of the name is not treated as an earlier one. */
static void report_again(gpointer pool)
{
    g_mutex_lock(&((CstPool *)pool)->lock);
    g_hash_table_add(((CstPool *)pool)->deferred, g_strdup("v"));
    g_mutex_unlock(&((CstPool *)pool)->lock);
}

static void lookup_keeps_a_report_that_arrives_during_it(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstPoolState) storage = pool_state_get(pool, NULL);
    g_autoptr(CstVolume) volume = NULL;

    report_again(pool);
    assert_true(pool_scan_volume(pool, storage, "v", &volume, NULL));
    assert_false(g_hash_table_contains(pool->deferred, "v"));
    point_run("volume.scan.scanned", report_again, pool);
    assert_true(pool_scan_volume(pool, storage, "v", &volume, NULL));
    assert_true(g_hash_table_contains(pool->deferred, "v"));
    points_clear();
}

/* --- stale names ------------------------------------------------------------------------------ */

static void changed_volume_that_cannot_be_scanned_is_scanned_later(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstPoolState) storage = pool_state_get(pool, NULL);
    g_autoptr(CstVolume) volume = NULL;

    memory_put("p", "v", 512);
    memory_put("p", "w", 512);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    memory_put("p", "v", 1024);
    memory_put("p", "w", 1024);
    cst_memory_fault("scan_one", 1);
    pool_rescan_volume(pool, storage, "v");
    cst_memory_fault("scan_one", 1);
    pool_rescan_volume(pool, storage, "w");
    assert_int_equal(capacity_of(pool, "v"), 512);
    /* A lookup scans a stale name. If the scan fails too, the name stays stale. */
    cst_memory_fault("scan_one", 1);
    assert_null(pool_volume(pool, storage, "v", NULL));
    volume = pool_volume(pool, storage, "v", NULL);
    assert_int_equal(volume->capacity, 1024);
    assert_false(g_hash_table_contains(pool->stale, "v"));
    /* A listing scans the other name. */
    assert_true(g_hash_table_contains(pool->stale, "w"));
    assert_true(pool_scan_if_new(pool, storage, NULL));
    assert_int_equal(capacity_of(pool, "w"), 1024);
    assert_int_equal(g_hash_table_size(pool->stale), 0);
}

static void deleted_volume_is_not_stale(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstPoolState) storage = pool_state_get(pool, NULL);

    memory_put("p", "v", 512);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    cst_memory_fault("scan_one", 1);
    pool_rescan_volume(pool, storage, "v");
    assert_int_equal(g_hash_table_size(pool->stale), 1);
    pool_table_remove(pool, "v");
    assert_int_equal(g_hash_table_size(pool->stale), 0);
    cst_memory_fault("scan_one", 1);
    pool_rescan_volume(pool, storage, "w");
    stop_pool(pool);
    assert_int_equal(g_hash_table_size(pool->stale), 0);
}

/* --- the sorted list -------------------------------------------------------------------------- */

static void add_volume(gpointer pool)
{
    fixture_create(pool, "b", "raw", "");
}

static void list_sorted_before_a_change_is_not_kept(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");

    memory_put("p", "c", 512);
    memory_put("p", "a", 512);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    point_run("pool_table.sort.unlocked", add_volume, pool);
    assert_table(pool, "a c ");
    assert_table(pool, "a b c ");
    assert_int_equal(point_passed("pool_table.sort.unlocked"), 2);
    assert_table(pool, "a b c ");
    assert_int_equal(point_passed("pool_table.sort.unlocked"), 2);
    points_clear();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, memory_teardown)
    const struct CMUnitTest tests[] = {
        TEST(scan_keeps_changes_made_while_it_ran),
        TEST(failed_scan_keeps_the_table),
        TEST(scans_run_one_at_a_time),
        TEST(scan_gives_up_waiting_for_another_one),
        TEST(listing_waits_for_the_first_scan_only),
        TEST(listing_scans_when_the_first_scan_has_failed),
        TEST(scan_of_a_stopped_pool_is_discarded),
        TEST(failed_scan_of_a_stopped_pool_is_no_problem),
        TEST(lookup_in_a_stopped_pool_does_not_change_the_table),
        TEST(lookup_is_repeated_when_the_volume_changes),
        TEST(failed_lookup_leaves_no_deferred_scan),
        TEST(lookup_keeps_a_report_that_arrives_during_it),
        TEST(changed_volume_that_cannot_be_scanned_is_scanned_later),
        TEST(deleted_volume_is_not_stale),
        TEST(list_sorted_before_a_change_is_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
