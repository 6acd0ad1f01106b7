/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The number of ZFS tool calls of the zfs backend, and its cached data. */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

#include "fake_zfs.h"

#define MANY 100

/* Reports stay fresh for the length of a test. */
static int set_up(void **state)
{
    fake_set_up(state);
    zfs_host.fresh_us = zfs_host.estimate_us = G_TIME_SPAN_HOUR;
    fake_add("tank/disk");
    return 0;
}

static uint64_t capacity_of(const char *name)
{
    g_autoptr(CstVolume) volume = NULL;

    assert_true(cst_pool_state_scan_one(fake_state, name, NULL, &volume, NULL));
    return volume ? volume->capacity : 0;
}

static gboolean make(const char *name, GError **error)
{
    g_autoptr(CstVolDef) def = fake_volume(name, 8 * MIB);

    return cst_pool_state_make(fake_state, def, error);
}

static gboolean delete (const char *name, GError **error)
{
    return cst_pool_state_delete(fake_state, name, 0, error);
}

static CstPoolUsage usage(void)
{
    CstPoolUsage now = CST_POOL_USAGE_UNKNOWN;

    assert_true(cst_pool_state_usage(fake_state, &now, NULL));
    return now;
}

/* Reads the volume once with an expired cache. */
static void get_old(void)
{
    zfs_host.fresh_us = 0;
    assert_int_equal(capacity_of("disk"), 8 * MIB);
    zfs_host.fresh_us = G_TIME_SPAN_HOUR;
    fake_put("log", "");
}

/* The first lookup of many makes its own report, the second one for all volumes. */
static void details_of_many_cost_two_reports(void **unused)
{
    for (guint i = 0; i < MANY; i++) {
        g_autofree char *dataset = g_strdup_printf("tank/v%u", i);

        fake_add(dataset);
    }
    for (guint i = 0; i < MANY; i++) {
        g_autofree char *name = g_strdup_printf("v%u", i);

        assert_int_equal(capacity_of(name), 8 * MIB);
    }
    fake_assert_calls("zfs-list zfs-list ");
}

static void listing_serves_later_queries_of_details(void **unused)
{
    g_autofree char *names = fake_names(NULL);

    assert_int_equal(capacity_of("disk"), 8 * MIB);
    fake_assert_calls("zfs-list ");
    /* The sizes of the pool are read only for a complete query. */
    assert_int_equal(usage().capacity, 1073741824);
    assert_int_equal(usage().until, 0);
    fake_assert_calls("zpool-list zpool-list ");
}

/*
 * A volume that the report lacks is looked up each time, because another tool may just have made
 * it.
 */
static void dataset_missing_from_a_report_is_searched(void **unused)
{
    g_autofree char *names = fake_names(NULL);

    fake_add("tank/new");
    fake_put("log", "");
    assert_int_equal(capacity_of("new"), 8 * MIB);
    assert_int_equal(capacity_of("none"), 0);
    assert_int_equal(capacity_of("none"), 0);
    fake_assert_calls("zfs-list zfs-list zfs-list ");
    /* The full report was not replaced by these lookups. */
    assert_int_equal(capacity_of("disk"), 8 * MIB);
    fake_assert_calls("");
}

static void a_report_is_no_answer_when_it_is_old(void **unused)
{
    assert_int_equal(capacity_of("disk"), 8 * MIB);
    fake_by_others("zfs", "set", "volsize=16777216", "tank/disk", NULL);
    assert_int_equal(capacity_of("disk"), 8 * MIB);
    zfs_host.fresh_us = 0;
    assert_int_equal(capacity_of("disk"), 16 * MIB);
}

static void our_own_changes_outdate_a_report(void **unused)
{
    g_autofree char *names = fake_names(NULL);

    fake_put("log", "");
    assert_true(cst_pool_state_vol_resize(fake_state, "disk", 16 * MIB, NULL, NULL));
    assert_int_equal(capacity_of("disk"), 16 * MIB);
    assert_true(delete ("disk", NULL));
    assert_int_equal(capacity_of("disk"), 0);
    assert_true(make("disk", NULL));
    assert_int_equal(capacity_of("disk"), 8 * MIB);
    fake_lie("set", "failing");
    assert_true(cst_pool_state_vol_resize(fake_state, "disk", 24 * MIB, NULL, NULL));
    assert_int_equal(capacity_of("disk"), 24 * MIB);
}

/* One tool to make a volume, one to read it, and one to remove it. */
static void volume_is_created_and_deleted_by_few_tools(void **unused)
{
    g_autofree char *names = fake_names(NULL);

    usage();
    fake_put("log", "");
    assert_true(make("a", NULL));
    assert_int_equal(capacity_of("a"), 8 * MIB);
    usage();
    fake_assert_calls("zfs-create udevadm-settle zfs-list ");
    assert_true(delete ("a", NULL));
    usage();
    fake_assert_calls("zfs-program ");
    assert_true(make("b", NULL));
    fake_assert_calls("zfs-create udevadm-settle ");
    get_old();
    assert_true(delete ("b", NULL));
    fake_assert_calls("zfs-program ");
}

/* Before a volume is made, the pool's dataset is compared with the expected one. */
static void volume_is_not_created_on_an_unverified_pool(void **unused)
{
    g_autofree char *identity = cst_pool_state_identity(fake_state, NULL);
    g_autofree char *root = fake_path("sets/tank");
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_state_expect(fake_state, identity, FALSE, NULL));
    fake_put("log", "");
    fake_by_others("sed", "-i", "2s/.*/4242/", root, NULL);
    assert_false(make("a", &error));
    fake_assert_error(&error, CST_ERROR_STATE);
    fake_assert_calls("zfs-list ");
}

/* An earlier report has the expected dataset. ZFS now reports another one. */
static void volume_is_not_deleted_by_an_old_report(void **unused)
{
    g_autofree char *identity = cst_pool_state_identity(fake_state, NULL);
    g_autofree char *names = NULL, *root = fake_path("sets/tank");
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_state_expect(fake_state, identity, FALSE, NULL));
    names = fake_names(NULL);
    fake_by_others("sed", "-i", "2s/.*/4242/", root, NULL);
    assert_int_equal(capacity_of("disk"), 8 * MIB);
    assert_false(delete ("disk", &error));
    fake_assert_error(&error, CST_ERROR_STATE);
    assert_true(fake_has("tank/disk"));
    /* From then on every call knows. */
    assert_false(make("a", &error));
    fake_assert_error(&error, CST_ERROR_STATE);
}

/* Another tool replaces the volume by another one, before or during the removal. */
static void another_volume_of_the_name_is_not_removed(void **unused)
{
    for (int while_removed = 0; while_removed < 2; while_removed++) {
        g_autofree char *names = fake_names(NULL);
        g_autoptr(GError) error = NULL;

        if (while_removed) {
            fake_between("zfs destroy tank/disk; zfs create -V 8388608 tank/disk");
        } else {
            fake_by_others("zfs", "destroy", "tank/disk", NULL);
            fake_by_others("zfs", "create", "-V", "8388608", "tank/disk", NULL);
        }
        assert_false(delete ("disk", &error));
        assert_non_null(strstr(error->message, "another dataset"));
        fake_assert_error(&error, CST_ERROR_STATE);
        assert_true(fake_has("tank/disk"));
        /* After the new volume was seen, it is the one to remove. */
        assert_int_equal(capacity_of("disk"), 8 * MIB);
        assert_true(delete ("disk", NULL));
        assert_true(make("disk", NULL));
    }
}

/* A snapshot that is made during the removal prevents it. */
static void foreign_snapshot_keeps_the_volume(void **unused)
{
    g_autofree char *names = fake_names(NULL);
    g_autoptr(GError) error = NULL;

    fake_between("zfs snapshot tank/disk@mine");
    assert_false(delete ("disk", &error));
    assert_non_null(strstr(error->message, "'mine'"));
    fake_assert_error(&error, CST_ERROR_BUSY);
    assert_true(fake_has("tank/disk") && fake_has("tank/disk@mine"));
}

/* A file system is not a volume, regardless of an earlier report. */
static void only_volumes_are_removed(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add_filesystem("tank/home");
    assert_false(delete ("home", &error));
    fake_assert_error(&error, CST_ERROR_NO_VOL);
    assert_true(fake_has("tank/home"));
    assert_false(delete (".cistern-1", &error));
    fake_assert_error(&error, CST_ERROR_NO_VOL);
    assert_false(delete ("disk@s", &error));
    fake_assert_error(&error, CST_ERROR_NO_VOL);
}

static void sizes_are_estimated_after_our_changes(void **unused)
{
    g_autofree char *names = fake_names(NULL);
    CstPoolUsage before = usage(), after;
    gint64 began = g_get_monotonic_time();

    fake_assert_calls("zfs-list zpool-list ");
    assert_int_equal(before.until, 0);
    fake_put("held/tank%disk", "4000000\n");
    g_free(names);
    names = fake_names(NULL);
    before = usage();
    fake_put("log", "");
    assert_true(delete ("disk", NULL));
    after = usage();
    fake_assert_calls("zfs-program ");
    assert_true(after.until >= began + zfs_host.estimate_us);
    assert_int_equal(after.available, before.available + 4000000);
    assert_int_equal(after.capacity, before.capacity);
    zfs_host.estimate_us = 0;
    after = usage();
    assert_int_equal(after.until, 0);
    fake_assert_calls("zpool-list zfs-list ");
    /* Other changes are not estimated. */
    zfs_host.estimate_us = G_TIME_SPAN_HOUR;
    assert_true(make("disk", NULL));
    fake_put("log", "");
    usage();
    fake_assert_calls("zfs-list ");
}

static gpointer look(gpointer name)
{
    return GUINT_TO_POINTER((guint)capacity_of(name));
}

/* Callers wait while a report is being made. */
static void many_at_once_are_served_by_one_report(void **unused)
{
    GThread *threads[8];

    fake_lie("list", "slow");
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("look", look, (gpointer) "disk");
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        assert_int_equal(GPOINTER_TO_UINT(g_thread_join(threads[i])), 8 * MIB);
    fake_assert_calls("zfs-list ");
}

static void grow(gpointer unused)
{
    assert_true(cst_pool_state_vol_resize(fake_state, "disk", 16 * MIB, NULL, NULL));
}

/* A report that started before our change is not valid after it. */
static void a_report_from_before_a_change_is_not_kept(void **unused)
{
    g_autoptr(CstBlob) blob = NULL;
    uint64_t kept;

    point_run("zfs.report.read", grow, NULL);
    assert_int_equal(capacity_of("disk"), 8 * MIB);
    points_clear();
    assert_null(zfs_cache_shown(ZFS(fake_state)->cache, "tank/disk", &kept));
    fake_put("log", "");
    assert_int_equal(capacity_of("disk"), 16 * MIB);
    fake_assert_calls("zfs-list ");
    /* A writer needs the present state. */
    blob = cst_pool_state_vol_open(fake_state, "disk", FALSE, NULL);
    assert_non_null(blob);
    fake_assert_calls("");
    cst_blob_unref(blob);
    blob = cst_pool_state_vol_open(fake_state, "disk", TRUE, NULL);
    assert_non_null(blob);
    fake_assert_calls("zfs-list ");
}

int main(void)
{
#define CACHE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        CACHE_TEST(details_of_many_cost_two_reports),
        CACHE_TEST(listing_serves_later_queries_of_details),
        CACHE_TEST(dataset_missing_from_a_report_is_searched),
        CACHE_TEST(a_report_is_no_answer_when_it_is_old),
        CACHE_TEST(our_own_changes_outdate_a_report),
        CACHE_TEST(volume_is_created_and_deleted_by_few_tools),
        CACHE_TEST(volume_is_not_created_on_an_unverified_pool),
        CACHE_TEST(volume_is_not_deleted_by_an_old_report),
        CACHE_TEST(another_volume_of_the_name_is_not_removed),
        CACHE_TEST(foreign_snapshot_keeps_the_volume),
        CACHE_TEST(only_volumes_are_removed),
        CACHE_TEST(sizes_are_estimated_after_our_changes),
        CACHE_TEST(many_at_once_are_served_by_one_report),
        CACHE_TEST(a_report_from_before_a_change_is_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
