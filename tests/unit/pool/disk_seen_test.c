/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Readers of a disk pool that run while another operation changes the disk, and the cached results
 * that answer the next reader.
 */
#include "points.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <glib/gstdio.h>

#include "fake_disk.h"

static CstPoolState *pool;

static int set_up(void **state)
{
    fake_disk_set_up(state);
    disk_seen_us = G_MAXINT64;
    return 0;
}

static int tear_down(void **state)
{
    disk_seen_us = G_TIME_SPAN_SECOND;
    g_clear_pointer(&pool, cst_pool_state_unref);
    return fake_disk_tear_down(state);
}

static gboolean delete_volume(GError **error)
{
    return cst_pool_state_delete(pool, "sdx1", 0, error);
}

static gboolean grow_volume(GError **error)
{
    return cst_pool_state_vol_resize(pool, "sdx1", 6 * FAKE_MIB, NULL, error);
}

static void build_gpt(void)
{
    pool = fake_disk_build("gpt");
    fake_disk_make(pool, "sdx1", 4, NULL);
}

static void change_by_other_tool(const DiskChange *change)
{
    int fd = g_open(fake_disk.file, O_RDONLY | O_CLOEXEC, 0);
    DiskTable *table = NULL;

    assert_true(disk_fdisk.read(fd, "/dev/sdx", &table, NULL));
    assert_true(disk_fdisk.change("/dev/sdx", table, change, NULL));
    disk_table_free(table);
    close(fd);
}

static void remove_first_partition(gpointer unused)
{
    const DiskChange change = {
        .action = DISK_REMOVE,
        .partition = {
            .number = 1, .kind = DISK_PRIMARY, .start = 1 * FAKE_MIB, .end = 5 * FAKE_MIB}};

    change_by_other_tool(&change);
    g_array_set_size(fake_disk.shown, 0);
}

/* --- readers ---------------------------------------------------------------------------------- */

static void read_volume(gpointer known)
{
    CstVolume **volume = known;
    CstVolume *now = NULL;

    assert_true(cst_pool_state_scan_one(pool, "sdx1", *volume, &now, NULL));
    if (*volume)
        cst_volume_unref(*volume);
    *volume = now;
}

/* A reader runs when the change is made but not yet acknowledged. */
static void read_during_a_change_is_not_cached(void **state)
{
    g_autoptr(CstVolume) known = NULL;

    build_gpt();
    assert_true(cst_pool_state_scan_one(pool, "sdx1", NULL, &known, NULL));
    point_run("disk.lock", read_volume, &known);
    assert_true(grow_volume(NULL));
    points_clear();
    assert_int_equal(known->capacity, 4 * FAKE_MIB);
    read_volume(&known);
    assert_int_equal(known->capacity, 6 * FAKE_MIB);
}

/* Reads the table, bypassing the cache. */
static void read_volume_anew(gpointer known)
{
    CstVolume **volume = known;

    g_clear_pointer(volume, cst_volume_unref);
    read_volume(volume);
}

/* The delete fails, and the partition that was temporarily hidden is shown again. */
static void read_during_a_failed_delete_is_not_cached(void **state)
{
    g_autoptr(CstVolume) known = NULL;

    build_gpt();
    assert_true(cst_pool_state_scan_one(pool, "sdx1", NULL, &known, NULL));
    assert_null(cst_volume_problem(known));
    fake_disk.opened = 0;
    fake_disk.open_fails = 3; /* the opens of the lock and the reader, and the one for writing */
    point_run("disk.delete.hidden", read_volume_anew, &known);
    assert_false(delete_volume(NULL));
    points_clear();
    assert_non_null(cst_volume_problem(known));
    read_volume(&known);
    assert_null(cst_volume_problem(known));
}

static void grow_by_thread_of_ours(gpointer unused)
{
    assert_true(grow_volume(NULL));
}

/* The volume grows after a reader has read the table, and before it caches the result. */
static void read_before_a_change_is_not_cached(void **state)
{
    g_autoptr(CstVolume) known = NULL;

    build_gpt();
    point_run("disk.scan.read", grow_by_thread_of_ours, NULL);
    read_volume(&known);
    points_clear();
    assert_int_equal(known->capacity, 4 * FAKE_MIB);
    read_volume(&known);
    assert_int_equal(known->capacity, 6 * FAKE_MIB);
}

/* One reader has a record of the volume, and another reader sees a newer state. */
static void record_that_differs_from_the_cache_is_rebuilt(void **state)
{
    const DiskChange change = {
        .action = DISK_RESIZE,
        .partition = {
            .number = 1, .kind = DISK_PRIMARY, .start = 1 * FAKE_MIB, .end = 9 * FAKE_MIB}};
    g_autoptr(CstVolume) known = NULL, other = NULL;

    build_gpt();
    read_volume(&known);
    change_by_other_tool(&change);
    read_volume(&other);
    read_volume(&known);
    assert_int_equal(other->capacity, 8 * FAKE_MIB);
    assert_int_equal(known->capacity, 8 * FAKE_MIB);
}

static void build_and_start_drop_the_cache(void **state)
{
    g_autoptr(CstVolume) known = NULL, other = NULL;

    build_gpt();
    read_volume(&known);
    remove_first_partition(NULL);
    assert_true(cst_pool_state_start(pool, NULL));
    read_volume(&known);
    assert_null(known);
    fake_disk_make(pool, "sdx1", 4, NULL);
    read_volume(&other);
    assert_true(cst_pool_state_build(pool, CST_POOL_BUILD_OVERWRITE, NULL));
    read_volume(&other);
    assert_null(other);
}

static CstVolume *seen_at_settle;

/* udev sets the mode of the node after the reader has read it. */
static void read_and_change_mode(void)
{
    read_volume(&seen_at_settle);
    fake_disk.mode = 0600;
}

static void read_before_udev_has_settled_is_not_cached(void **state)
{
    build_gpt();
    assert_true(cst_pool_state_scan_one(pool, "sdx1", NULL, &seen_at_settle, NULL));
    fake_disk.on_settle = read_and_change_mode;
    assert_true(grow_volume(NULL));
    fake_disk.on_settle = NULL;
    assert_int_equal(seen_at_settle->capacity, 6 * FAKE_MIB);
    assert_int_equal(seen_at_settle->mode, 0660);
    read_volume(&seen_at_settle);
    assert_int_equal(seen_at_settle->mode, 0600);
    g_clear_pointer(&seen_at_settle, cst_volume_unref);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(read_during_a_change_is_not_cached),
        TEST(read_during_a_failed_delete_is_not_cached),
        TEST(read_before_udev_has_settled_is_not_cached),
        TEST(read_before_a_change_is_not_cached),
        TEST(record_that_differs_from_the_cache_is_rebuilt),
        TEST(build_and_start_drop_the_cache),
    };

    return cmocka_run_group_tests_name("disk readers", tests, NULL, NULL);
}
