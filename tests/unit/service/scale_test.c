/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Work that must not grow with the number of pools, volumes or pages. The tests count the steps at
 * the test points.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>

#include "await.h"
#include "core/pool.h"
#include "fixture.h"
#include "points.h"

#define STORM 200  /* files that appear at once */
#define GROWN 4200 /* more than TRIM_FROM of core/scan.c */

static guint count_volumes(CstPool *pool)
{
    GError *error = NULL;
    guint count = 0;

    cst_pool_count_volumes(pool, &count, &error);
    assert_no_error(error);
    return count;
}

/* --- pages of a listing ----------------------------------------------------------------------- */

/*
 * Reads a page of at most two rows with sizes, long after the last scan. Returns the number of
 * rows.
 */
static guint read_late_page(CstPool *pool, const char *after)
{
    g_autoptr(GPtrArray) rows = NULL;

    g_mutex_lock(&pool->lock);
    pool->scanned_at = g_get_monotonic_time() - 10 * G_TIME_SPAN_SECOND;
    g_mutex_unlock(&pool->lock);
    rows = cst_pool_list_volumes(pool, after, 2, CST_VOL_ROWS_DETAILS, NULL);
    assert_non_null(rows);
    return rows->len;
}

static void only_the_first_page_of_a_listing_scans(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");

    fixture_create(pool, "a", "raw", "");
    fixture_create(pool, "b", "raw", "");
    fixture_create(pool, "c", "raw", "");
    assert_int_equal(count_volumes(pool), 3);
    point_watch("pool.scan.scanned");
    assert_int_equal(read_late_page(pool, NULL), 2);
    assert_int_equal(point_passed("pool.scan.scanned"), 1);
    assert_int_equal(read_late_page(pool, "b"), 1);
    assert_int_equal(read_late_page(pool, "c"), 0);
    assert_int_equal(point_passed("pool.scan.scanned"), 1);
    points_clear();
}

/* --- memory of a scan ------------------------------------------------------------------------- */

static void refresh_pool(CstPool *pool)
{
    g_autoptr(GError) error = NULL;

    cst_pool_refresh(pool, 0, NULL, &error);
    assert_no_error(error);
}

/* The monitor must not read the new files in parts. It is released before a check may fail. */
static void scan_returns_its_memory_when_the_pool_has_grown(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = NULL;
    guint empty, grown, same;

    point_hold("monitor.thread.poll");
    pool = fixture_pool(f, "p");
    point_await("monitor.thread.poll", 1);
    point_watch("pool.scan.trimmed");
    refresh_pool(pool);
    empty = point_passed("pool.scan.trimmed");
    for (guint i = 0; i < GROWN; i++) {
        g_autofree char *name = g_strdup_printf("v%u", i);

        fixture_write(f, "p", name, "");
    }
    refresh_pool(pool);
    grown = point_passed("pool.scan.trimmed");
    refresh_pool(pool);
    same = point_passed("pool.scan.trimmed");
    point_release("monitor.thread.poll");
    assert_int_equal(empty, 0);
    assert_int_equal(grown, 1);
    assert_int_equal(same, 1);
    points_clear();
}

/* --- the monitor ------------------------------------------------------------------------------ */

/*
 * One scan of all files, instead of a scan and a transaction for each file. A single new file needs
 * no full scan.
 */
static void many_new_files_are_read_by_one_scan(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = NULL;

    point_hold("monitor.thread.poll");
    pool = fixture_pool(f, "p");
    point_await("monitor.thread.poll", 1);
    assert_int_equal(count_volumes(pool), 0);
    for (guint i = 0; i < STORM; i++) {
        g_autofree char *name = g_strdup_printf("v%u", i);

        fixture_write(f, "p", name, "content");
    }
    point_watch("pool.scan.scanned");
    point_watch("volume.scan.scanned");
    point_release("monitor.thread.poll");
    AWAIT_STATE(count_volumes(pool) == STORM, "%u volumes", count_volumes(pool));
    assert_true(point_passed("pool.scan.scanned") > 0);
    /* Reports of the last files may arrive late, and are then scanned one by one. */
    assert_true(point_passed("volume.scan.scanned") < STORM);
    fixture_write(f, "p", "late", "content");
    AWAIT_STATE(count_volumes(pool) == STORM + 1, "%u volumes", count_volumes(pool));
    assert_true(point_passed("volume.scan.scanned") > 0);
    points_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_the_first_page_of_a_listing_scans, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(scan_returns_its_memory_when_the_pool_has_grown,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(many_new_files_are_read_by_one_scan, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
