/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The history of the use of pools: averages, bounds, clocks that jump. */
#include <store/usage.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

#define START 1800000000 /* a multiple of 300, and in the middle of an hour and of a day */

static const CstUuid pool_a = {{1}}, pool_b = {{2}};

static CstUsageStore *store_open(const Scratch *scratch)
{
    GError *error = NULL;
    CstUsageStore *store = cst_usage_store_open(scratch->paths, &error);

    assert_null(error);
    return store;
}

static void sample_add(CstUsageStore *store, const CstUuid *pool, int64_t time, uint64_t allocation)
{
    const CstUsagePoint sample = {.time = time,
                                  .capacity = 1000,
                                  .allocation = allocation,
                                  .available = 1000 - allocation,
                                  .provisioned = 2 * allocation,
                                  .data_size = 50,
                                  .data_used = allocation / 20,
                                  .metadata_size = 10,
                                  .metadata_used = allocation / 100};
    GError *error = NULL;

    assert_true(cst_usage_store_add(store, pool, &sample, &error));
}

static GArray *points_of(CstUsageStore *store, const CstUuid *pool, unsigned step, int64_t now)
{
    GArray *points = cst_usage_store_points(store, pool, step, G_MININT32, now, NULL);

    assert_non_null(points);
    return points;
}

static guint count_of(CstUsageStore *store, unsigned step, int64_t now)
{
    g_autoptr(GArray) points = points_of(store, &pool_a, step, now);

    return points->len;
}

static void test_sample_is_in_the_point_of_each_step(void **state)
{
    g_autoptr(CstUsageStore) store = store_open(*state);
    const unsigned steps[] = {CST_USAGE_FINE, CST_USAGE_HOURLY, CST_USAGE_DAILY};

    sample_add(store, &pool_a, START + 7, 400);
    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autoptr(GArray) points = points_of(store, &pool_a, steps[i], START + 7);
        const CstUsagePoint *point = &g_array_index(points, CstUsagePoint, 0);

        assert_int_equal(points->len, 1);
        assert_int_equal(point->time, (START + 7) / steps[i] * steps[i]);
        assert_int_equal(point->capacity, 1000);
        assert_int_equal(point->allocation, 400);
        assert_int_equal(point->peak, 400);
        assert_int_equal(point->available, 600);
        assert_int_equal(point->provisioned, 800);
        assert_int_equal(point->data_size, 50);
        assert_int_equal(point->data_used, 20);
        assert_int_equal(point->metadata_size, 10);
        assert_int_equal(point->metadata_used, 4);
    }
}

static void test_point_has_the_average_and_the_peak(void **state)
{
    g_autoptr(CstUsageStore) store = store_open(*state);
    g_autoptr(GArray) points = NULL;
    const CstUsagePoint *point;

    sample_add(store, &pool_a, START, 100);
    sample_add(store, &pool_a, START + 300, 900);
    sample_add(store, &pool_a, START + 600, 200);
    points = points_of(store, &pool_a, CST_USAGE_HOURLY, START + 600);
    point = &g_array_index(points, CstUsagePoint, 0);
    assert_int_equal(points->len, 1);
    assert_int_equal(point->allocation, 400);
    assert_int_equal(point->peak, 900);
    assert_int_equal(point->available, 600);
    assert_int_equal(count_of(store, CST_USAGE_FINE, START + 600), 3);
}

static void test_pools_are_apart_and_unknown_pool_is_empty(void **state)
{
    g_autoptr(CstUsageStore) store = store_open(*state);
    g_autoptr(GArray) points = NULL;

    sample_add(store, &pool_a, START, 100);
    points = points_of(store, &pool_b, CST_USAGE_FINE, START);
    assert_int_equal(points->len, 0);
}

static void test_since_includes_the_point_that_it_is_in(void **state)
{
    g_autoptr(CstUsageStore) store = store_open(*state);

    for (int i = 0; i < 4; i++)
        sample_add(store, &pool_a, START + 300 * i, 100);
    for (int i = 0; i < 4; i++) {
        g_autoptr(GArray) points = cst_usage_store_points(store, &pool_a, CST_USAGE_FINE,
                                                          START + 300 * i + 299, START + 900, NULL);

        assert_int_equal(points->len, 4 - i);
    }
}

static void test_second_sample_in_five_minutes_is_not_due(void **state)
{
    g_autoptr(CstUsageStore) store = store_open(*state);
    gboolean due = FALSE;

    assert_true(cst_usage_store_is_due(store, &pool_a, START, &due, NULL));
    assert_true(due);
    sample_add(store, &pool_a, START, 100);
    assert_true(cst_usage_store_is_due(store, &pool_a, START + 299, &due, NULL));
    assert_false(due);
    assert_true(cst_usage_store_is_due(store, &pool_a, START + 300, &due, NULL));
    assert_true(due);
    assert_true(cst_usage_store_is_due(store, &pool_b, START, &due, NULL));
    assert_true(due);
}

static goffset history_size(const Scratch *scratch)
{
    g_autofree char *path = g_build_filename(scratch->paths->data_dir, "usage.db", NULL);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* Twelve years of days: the daily points are full. */
static void test_history_is_bounded_in_points_and_bytes(void **state)
{
    CstUsageStore *store = store_open(*state);
    int64_t time = START;

    for (int i = 0; i < 12 * 366; i++, time += CST_USAGE_DAILY)
        sample_add(store, &pool_a, time, (uint64_t)i % 1000);
    for (int i = 0; i < 1000; i++, time += CST_USAGE_HOURLY)
        sample_add(store, &pool_a, time, 500);
    for (int i = 0; i < 400; i++, time += CST_USAGE_FINE)
        sample_add(store, &pool_a, time, 500);
    assert_int_equal(count_of(store, CST_USAGE_FINE, time), CST_USAGE_FINE_KEPT);
    assert_int_equal(count_of(store, CST_USAGE_HOURLY, time), CST_USAGE_HOURLY_KEPT);
    assert_int_equal(count_of(store, CST_USAGE_DAILY, time), CST_USAGE_DAILY_KEPT);
    cst_usage_store_close(store);
    assert_true(history_size(*state) < 1 << 20);
}

static void test_clock_that_was_ahead_leaves_no_future_points(void **state)
{
    g_autoptr(CstUsageStore) store = store_open(*state);
    int64_t ahead = START + 10 * 366 * (int64_t)CST_USAGE_DAILY;

    for (int i = 0; i < 10; i++)
        sample_add(store, &pool_a, START + 300 * i, 100);
    sample_add(store, &pool_a, ahead, 900);
    sample_add(store, &pool_a, ahead + 300, 900);
    assert_int_equal(count_of(store, CST_USAGE_FINE, START + 3000), 10);
    sample_add(store, &pool_a, START + 3000, 100);
    assert_int_equal(count_of(store, CST_USAGE_FINE, INT64_MAX), 11);
}

/* The points of the future are as many as the history keeps. */
static void test_clock_that_was_ahead_for_long_hides_no_new_points(void **state)
{
    g_autoptr(CstUsageStore) store = store_open(*state);
    int64_t ahead = START + 366 * (int64_t)CST_USAGE_DAILY;
    const int kept = CST_USAGE_FINE_KEPT;

    for (int i = 0; i < kept + 5; i++)
        sample_add(store, &pool_a, ahead + 300 * i, 900);
    for (int i = 0; i < kept + 5; i++) {
        sample_add(store, &pool_a, START + 300 * i, 100);
        assert_int_equal(count_of(store, CST_USAGE_FINE, START + 300 * i), MIN(i + 1, kept));
        assert_int_equal(count_of(store, CST_USAGE_FINE, INT64_MAX),
                         i + 1 < kept ? kept + i + 1 : kept);
    }
}

static void test_earlier_clock_removes_no_history(void **state)
{
    g_autoptr(CstUsageStore) store = store_open(*state);

    for (int i = 0; i < 10; i++)
        sample_add(store, &pool_a, START + 300 * i, 100);
    for (int i = 0; i < 3; i++)
        sample_add(store, &pool_a, 300 * i, 100);
    assert_int_equal(count_of(store, CST_USAGE_FINE, START + 3000), 13);
    assert_int_equal(count_of(store, CST_USAGE_FINE, 3000), 3);
    sample_add(store, &pool_a, -5, 100);
}

static void test_number_of_pools_is_bounded(void **state)
{
    g_autoptr(CstUsageStore) store = store_open(*state);
    g_autoptr(GArray) first = NULL, last = NULL;
    CstUuid pool = {{0}};

    for (int i = 0; i <= CST_USAGE_POOLS_MAX; i++) {
        pool.bytes[0] = (uint8_t)(i >> 8);
        pool.bytes[1] = (uint8_t)i;
        sample_add(store, &pool, START + i, 100);
    }
    last = points_of(store, &pool, CST_USAGE_FINE, START + 2000);
    assert_int_equal(last->len, 1);
    memset(&pool, 0, sizeof(pool));
    first = points_of(store, &pool, CST_USAGE_FINE, START + 2000);
    assert_int_equal(first->len, 0);
}

static void test_committed_samples_survive_a_kill(void **state)
{
    Scratch *scratch = *state;
    g_autoptr(CstUsageStore) store = NULL;
    int status, ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        g_autoptr(CstUsageStore) child = cst_usage_store_open(scratch->paths, NULL);

        for (int i = 0; i < 100000; i++) {
            CstUsagePoint sample = {.time = START + 300 * i, .capacity = 10, .allocation = 5};

            if (!cst_usage_store_add(child, &pool_a, &sample, NULL))
                _exit(1);
            if (i == 20 && write(ready[1], "", 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    close(ready[0]);
    assert_true(WIFSIGNALED(status));
    store = store_open(scratch);
    assert_true(count_of(store, CST_USAGE_FINE, INT64_MAX) >= 21);
    sample_add(store, &pool_a, START, 5);
}

static void test_missing_database_is_not_created_by_a_query(void **state)
{
    Scratch *scratch = *state;
    GError *error = NULL;

    assert_null(cst_usage_store_open_existing(scratch->paths, &error));
    assert_null(error);
    assert_int_equal(scratch_mode(scratch->paths->data_dir, "usage.db"), -1);
}

static void test_blocked_directory_is_an_error_that_names_the_file(void **state)
{
    Scratch *scratch = *state;
    GError *error = NULL;

    scratch_block(scratch->paths->data_dir);
    assert_null(cst_usage_store_open(scratch->paths, &error));
    assert_non_null(error);
    g_clear_error(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(test_sample_is_in_the_point_of_each_step),
        scratch_test(test_point_has_the_average_and_the_peak),
        scratch_test(test_pools_are_apart_and_unknown_pool_is_empty),
        scratch_test(test_since_includes_the_point_that_it_is_in),
        scratch_test(test_second_sample_in_five_minutes_is_not_due),
        scratch_test(test_history_is_bounded_in_points_and_bytes),
        scratch_test(test_clock_that_was_ahead_leaves_no_future_points),
        scratch_test(test_clock_that_was_ahead_for_long_hides_no_new_points),
        scratch_test(test_earlier_clock_removes_no_history),
        scratch_test(test_number_of_pools_is_bounded),
        scratch_test(test_committed_samples_survive_a_kill),
        scratch_test(test_missing_database_is_not_created_by_a_query),
        scratch_test(test_blocked_directory_is_an_error_that_names_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
