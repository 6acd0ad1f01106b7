/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Samples of the use of pools: the numbers, and the storage that a sample does not access. */
#include "memory_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/usage.h>

static struct {
    guint queries; /* of the usage */
    uint64_t capacity;
    gboolean estimated; /* the usage; the space of thin pools is not queried then */
} storage;

static gboolean fake_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    storage.queries++;
    ret_usage->capacity = storage.capacity;
    ret_usage->allocation = 300;
    ret_usage->available = 600;
    if (storage.estimated)
        ret_usage->until = g_get_monotonic_time() + G_TIME_SPAN_HOUR;
    return TRUE;
}

static void space_add(GPtrArray *usage, CstSpaceKind kind, uint64_t size, guint hundredths)
{
    CstSpaceUsage *space = cst_space_usage_add(usage, hundredths, FALSE, "space %u", usage->len);

    space->kind = kind;
    space->size = size;
}

/* The second thin pool has the fullest data, the first one the fullest metadata. */
static gboolean fake_space_usage(CstPoolState *state, GPtrArray *usage, GError **error)
{
    space_add(usage, CST_SPACE_DATA, 1000, 2500);
    space_add(usage, CST_SPACE_METADATA, 100, 9000);
    space_add(usage, CST_SPACE_DATA, 4000, 5000);
    space_add(usage, CST_SPACE_METADATA, 200, 100);
    space_add(usage, CST_SPACE_OTHER, 0, 9900);
    return TRUE;
}

static int history_setup(void **state)
{
    int result = memory_setup(state);

    storage.queries = 0;
    storage.capacity = 1000;
    storage.estimated = FALSE;
    test_backend.usage = fake_usage;
    test_backend.space_usage = fake_space_usage;
    return result;
}

static guint sample_count(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    guint count = 99;

    cst_service_usage_sample(fixture->service, NULL, &count, &error);
    assert_no_error(error);
    return count;
}

static GArray *fine_points(CstPool *pool)
{
    GArray *points = cst_pool_usage(pool, CST_USAGE_FINE, 0, NULL);

    assert_non_null(points);
    return points;
}

static void test_sample_of_a_daemon_is_from_memory(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GArray) points = NULL;
    const CstUsagePoint *point;
    guint queries;

    fixture_restart(fixture, CST_SERVICE_DAEMON);
    pool = memory_pool(fixture, "p");
    memory_put("p", "a", 65536);
    memory_put("p", "b", 131072);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    queries = storage.queries;
    assert_int_equal(sample_count(fixture), 1);
    assert_int_equal(storage.queries, queries);
    points = fine_points(pool);
    assert_int_equal(points->len, 1);
    point = &g_array_index(points, CstUsagePoint, 0);
    assert_int_equal(point->capacity, 1000);
    assert_int_equal(point->allocation, 300);
    assert_int_equal(point->available, 600);
    assert_int_equal(point->provisioned, 65536 + 131072);
    assert_int_equal(point->data_size, 4000);
    assert_int_equal(point->data_used, 2000);
    assert_int_equal(point->metadata_size, 100);
    assert_int_equal(point->metadata_used, 90);
}

static void test_sample_of_a_command_queries_the_storage(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GArray) points = NULL;
    guint queries;

    fixture_restart(fixture, CST_SERVICE_EMBEDDED);
    pool = memory_pool(fixture, "p");
    memory_put("p", "a", 65536);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    queries = storage.queries;
    assert_int_equal(sample_count(fixture), 1);
    assert_true(storage.queries > queries);
    points = fine_points(pool);
    assert_int_equal(g_array_index(points, CstUsagePoint, 0).provisioned, 65536);
    assert_int_equal(g_array_index(points, CstUsagePoint, 0).data_used, 2000);
}

static void test_pool_without_sizes_or_storage_has_no_sample(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(CstPool) unknown = NULL, stopped = NULL;

    fixture_restart(fixture, CST_SERVICE_DAEMON);
    stopped = memory_pool(fixture, "stopped");
    assert_true(cst_pool_stop(stopped, NULL, NULL));
    storage.capacity = 0;
    unknown = memory_pool(fixture, "unknown");
    assert_int_equal(sample_count(fixture), 0);
}

static void test_stopped_pool_forgets_its_thin_pools(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GArray) points = NULL;

    fixture_restart(fixture, CST_SERVICE_DAEMON);
    pool = memory_pool(fixture, "p");
    assert_true(cst_pool_stop(pool, NULL, NULL));
    storage.estimated = TRUE;
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
    assert_int_equal(sample_count(fixture), 1);
    points = fine_points(pool);
    assert_int_equal(g_array_index(points, CstUsagePoint, 0).data_size, 0);
}

static void test_database_that_cannot_be_opened_is_an_error(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *path = g_build_filename(fixture->paths->data_dir, "usage.db", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) pool = NULL;

    fixture_restart(fixture, CST_SERVICE_DAEMON);
    pool = memory_pool(fixture, "p");
    assert_int_equal(g_mkdir_with_parents(path, 0700), 0);
    assert_false(cst_service_usage_sample(fixture->service, NULL, NULL, &error));
    assert_non_null(strstr(error->message, path));
    assert_null(cst_pool_usage(pool, CST_USAGE_DAILY, 0, NULL));
}

static void test_cancelled_sample_ends(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) pool = NULL;

    fixture_restart(fixture, CST_SERVICE_DAEMON);
    pool = memory_pool(fixture, "p");
    cst_task_cancel(task);
    assert_false(cst_service_usage_sample(fixture->service, task, NULL, &error));
    assert_error(&error, CST_ERROR_CANCELLED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, history_setup, memory_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sample_of_a_daemon_is_from_memory),
        TEST(test_sample_of_a_command_queries_the_storage),
        TEST(test_pool_without_sizes_or_storage_has_no_sample),
        TEST(test_stopped_pool_forgets_its_thin_pools),
        TEST(test_database_that_cannot_be_opened_is_an_error),
        TEST(test_cancelled_sample_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
