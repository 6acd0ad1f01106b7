/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots of the disks of a running domain that are ZFS volumes. ZFS's tools are simulated by a
 * script, which logs its calls. The simulated domain logs its pause there (paused.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/snapshots.h>

#include "../pool/fake_zfs.h"
#include "fixture.h"
#include "paused.h"

static Fixture *fixture;
static CstPool *pool;

static int set_up(void **state)
{
    assert_int_equal(fake_set_up(state), 0);
    paused_reset();
    fake_add("tank/a");
    fake_add("tank/b");
    assert_int_equal(fixture_setup(state), 0);
    fixture = *state;
    pool = paused_start_pool(fixture, "<pool type='zfs'><name>p</name><source><name>tank</name>"
                                      "</source></pool>");
    return 0;
}

static int tear_down(void **state)
{
    g_clear_pointer(&pool, cst_pool_unref);
    fixture_teardown(state);
    return fake_tear_down(state);
}

static gboolean take(CstSnapshotSet *ret_set, GError **error)
{
    static const CstSnapshotRequest request = {.name = "s"};
    const CstSnapshotVolume volumes[] = {{.pool = pool, .volume = "a"},
                                         {.pool = pool, .volume = "b"}};

    return cst_vol_snapshot_create_set(volumes, G_N_ELEMENTS(volumes), &request, NULL, ret_set,
                                       error);
}

static void assert_taken(void)
{
    g_auto(CstSnapshotSet) set = {0};
    g_autoptr(GError) error = NULL;

    take(&set, &error);
    assert_no_error(error);
    assert_true(set.one_step);
    assert_int_equal(set.consistency, CST_CONSISTENCY_FILESYSTEM);
}

/* The error has @code. */
static void assert_refused(int code)
{
    g_auto(CstSnapshotSet) set = {0};
    g_autoptr(GError) error = NULL;

    assert_false(take(&set, &error));
    assert_error(&error, code);
}

static void pause_has_one_command_for_all_volumes(void **unused)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    assert_taken();
    text = paused_log();
    lines = g_strsplit(text, "\n", -1);
    if (g_strv_length(lines) != 2)
        fail_msg("commands of the pause:\n%s", text);
    assert_true(g_str_has_prefix(lines[0], "zfs snapshot -o cistern:consistency="));
    assert_true(g_str_has_suffix(lines[0], " tank/a@s tank/b@s"));
}

static void snapshots_have_the_consistency_of_the_pause(void **unused)
{
    static const char *const volumes[] = {"a", "b"};

    assert_taken();
    for (guint i = 0; i < G_N_ELEMENTS(volumes); i++) {
        g_autoptr(GPtrArray) list = cst_vol_snapshots(pool, volumes[i], NULL, NULL);
        const CstSnapshot *snapshot = list->pdata[0];

        assert_int_equal(list->len, 1);
        assert_int_equal(snapshot->consistency, CST_CONSISTENCY_FILESYSTEM);
        assert_null(snapshot->consistency_reason);
    }
}

static void snapshot_fails(void)
{
    fake_lie("snapshot", "fail");
}

static void failed_command_leaves_no_snapshot(void **unused)
{
    paused_hook = snapshot_fails;
    assert_refused(CST_ERROR_FAILED);
    assert_int_equal(paused_count, 1);
    assert_int_equal(fake_count(), 2);
}

static void another_program_takes_the_name(void)
{
    fake_by_others("zfs", "snapshot", "tank/b@s", NULL);
}

static void snapshot_of_another_program_with_the_same_name_stays(void **unused)
{
    paused_hook = another_program_takes_the_name;
    assert_refused(CST_ERROR_EXISTS);
    assert_false(fake_has("tank/a@s"));
    assert_true(fake_has("tank/b@s"));
}

static void another_program_replaces_the_volume(void)
{
    fake_by_others("zfs", "rename", "tank/b", "tank/old", NULL);
    fake_add("tank/b");
}

static void snapshot_of_a_replaced_volume_is_dropped(void **unused)
{
    paused_hook = another_program_replaces_the_volume;
    assert_refused(CST_ERROR_BUSY);
    assert_int_equal(fake_count(), 3);
}

static void lost_report_suspends_no_domain(void **unused)
{
    g_auto(CstSnapshotSet) set = {0};

    fake_lie("list", "fail");
    assert_false(take(&set, NULL));
    assert_int_equal(paused_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(pause_has_one_command_for_all_volumes),
        TEST(snapshots_have_the_consistency_of_the_pause),
        TEST(failed_command_leaves_no_snapshot),
        TEST(snapshot_of_another_program_with_the_same_name_stays),
        TEST(snapshot_of_a_replaced_volume_is_dropped),
        TEST(lost_report_suspends_no_domain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
