/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots of the disks of a running domain that are logical volumes. LVM's tools are simulated by
 * a script, which logs its calls. The simulated domain logs its pause there (paused.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/snapshots.h>

#include "../pool/fake_lvm.h"
#include "fixture.h"
#include "paused.h"

static Fixture *fixture;
static CstPool *pool;

/* The domain has two disks: a classic volume and a thin one. */
static int set_up(void **state)
{
    assert_int_equal(fake_set_up(state), 0);
    paused_reset();
    fake_add("tp", 64 * MIB, "twi-aotz--", "", "");
    fake_add("thick", 8 * MIB, "-wi-a-----", "", "");
    fake_add("thin", 8 * MIB, "Vwi-a-tz--", "", "");
    assert_int_equal(fixture_setup(state), 0);
    fixture = *state;
    pool = paused_start_pool(fixture, "<pool type='logical'><name>p</name><source>"
                                      "<device path='/dev/sda'/><name>vg</name></source></pool>");
    return 0;
}

static int tear_down(void **state)
{
    g_clear_pointer(&pool, cst_pool_unref);
    fixture_teardown(state);
    return fake_tear_down(state);
}

static gboolean take(const CstSnapshotRequest *request, CstSnapshotSet *ret_set, GError **error)
{
    const CstSnapshotVolume volumes[] = {{.pool = pool, .volume = "thick"},
                                         {.pool = pool, .volume = "thin"}};

    return cst_vol_snapshot_create_set(volumes, G_N_ELEMENTS(volumes), request, NULL, ret_set,
                                       error);
}

static const CstSnapshotRequest plain = {.name = "s"};

static void assert_taken(void)
{
    g_auto(CstSnapshotSet) set = {0};
    g_autoptr(GError) error = NULL;

    take(&plain, &set, &error);
    assert_no_error(error);
    assert_true(set.one_step);
    assert_int_equal(set.consistency, CST_CONSISTENCY_FILESYSTEM);
}

/* No snapshot is made; the error has @code and @words. */
static void assert_refused(const CstSnapshotRequest *request, int code, const char *words)
{
    g_auto(CstSnapshotSet) set = {0};
    g_autoptr(GError) error = NULL;

    assert_false(take(request, &set, &error));
    if (!strstr(error->message, words))
        fail_msg("'%s' lacks '%s'", error->message, words);
    assert_error(&error, code);
}

static void pause_has_one_lvcreate_for_each_volume(void **unused)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    assert_taken();
    text = paused_log();
    lines = g_strsplit(text, "\n", -1);
    if (g_strv_length(lines) != 3)
        fail_msg("commands of the pause:\n%s", text);
    assert_true(g_str_has_prefix(lines[0], "lvcreate -y -s -L"));
    assert_true(g_str_has_suffix(lines[0], " vg/thick"));
    assert_true(g_str_has_prefix(lines[1], "lvcreate -y -s --setactivationskip n -an "));
    assert_true(g_str_has_suffix(lines[1], " vg/thin"));
    for (guint i = 0; i < 2; i++) {
        assert_non_null(strstr(lines[i], "--addtag cistern:of="));
        assert_non_null(strstr(lines[i], "--addtag cistern:snap=s "));
        assert_non_null(strstr(lines[i], "--addtag cistern:at="));
        assert_non_null(strstr(lines[i], "--addtag cistern:consistency="));
    }
}

static void snapshots_have_the_consistency_of_the_pause_and_a_device(void **unused)
{
    static const char *const volumes[] = {"thick", "thin"};

    assert_taken();
    for (guint i = 0; i < G_N_ELEMENTS(volumes); i++) {
        g_autoptr(GPtrArray) list = cst_vol_snapshots(pool, volumes[i], NULL, NULL);
        g_autoptr(CstBlob) content =
            cst_pool_state_snapshot_open(fake_state, volumes[i], "s", NULL);
        const CstSnapshot *snapshot = list->pdata[0];

        assert_int_equal(list->len, 1);
        assert_int_equal(snapshot->consistency, CST_CONSISTENCY_FILESYSTEM);
        assert_null(snapshot->consistency_reason);
        assert_non_null(content);
    }
}

static void lvcreate_gets_full(void)
{
    fake_lie("lvcreate", "full");
}

static void failed_lvcreate_resumes_the_domain_and_leaves_no_snapshot(void **unused)
{
    g_autofree char *text = NULL;

    paused_hook = lvcreate_gets_full;
    assert_refused(&plain, CST_ERROR_NO_SPACE, "insufficient free space");
    text = paused_log();
    assert_non_null(strstr(text, "lvcreate "));
    assert_null(strstr(text, "lvm "));
    assert_int_equal(fake_count(), 3);
}

static void second_lvcreate_fails(void)
{
    fake_fault(2, "fail");
}

static void first_snapshot_is_removed_if_the_second_fails(void **unused)
{
    paused_hook = second_lvcreate_fails;
    assert_refused(&plain, CST_ERROR_FAILED, "Something is wrong");
    assert_int_equal(fake_count(), 3);
}

static void failing_rehearsal_suspends_no_domain(void **unused)
{
    fake_lie("lvcreate", "threshold");
    assert_refused(&plain, CST_ERROR_NO_SPACE, "reached threshold");
    assert_int_equal(paused_count, 0);
    assert_int_equal(fake_count(), 3);
}

static void thin_pool_that_is_full_is_named_before_the_pause(void **unused)
{
    const CstSnapshotVolume volume = {.pool = pool, .volume = "thin"};
    g_auto(CstSnapshotSet) set = {0};
    g_autoptr(GError) error = NULL;

    fake_put("percent/tp", "100.00");
    fake_lie("lvcreate", "threshold");
    assert_false(cst_vol_snapshot_create_set(&volume, 1, &plain, NULL, &set, &error));
    assert_non_null(strstr(error->message, "thin pool 'tp'"));
    assert_non_null(strstr(error->message, "extend it (lvextend"));
    assert_int_equal(paused_count, 0);
}

static void another_program_takes_the_name(void)
{
    fake_add(".cistern-1.snap", 8 * MIB, "Vri-a-tz--", "thin",
             "cistern:of=uuid-thin,cistern:snap=s");
}

static void snapshot_of_another_program_with_the_same_name_stays(void **unused)
{
    paused_hook = another_program_takes_the_name;
    assert_refused(&plain, CST_ERROR_EXISTS, "'s'");
    assert_true(fake_has(".cistern-1.snap"));
    assert_int_equal(fake_count(), 4);
}

/* The fake LVM makes the UUID of the name. */
static void another_program_replaces_the_volume(void)
{
    g_free(fake_output("mv lvs/thin lvs/old; mv dev/vg/thin dev/vg/old"));
    fake_add("thin", 8 * MIB, "Vwi-a-tz--", "", "");
    fake_put("uuid/thin", "uuid-another");
}

static void snapshot_of_a_replaced_volume_is_dropped(void **unused)
{
    paused_hook = another_program_replaces_the_volume;
    assert_refused(&plain, CST_ERROR_BUSY, "replaced");
    assert_int_equal(fake_count(), 4);
}

static void pause_that_would_be_too_long_does_not_begin(void **unused)
{
    const CstSnapshotRequest frozen = {
        .name = "s", .minimum = CST_CONSISTENCY_FILESYSTEM, .max_pause_ms = 1};

    assert_refused(&frozen, CST_ERROR_BUSY, "its guest would stand for about");
    assert_int_equal(paused_count, 0);
    assert_int_equal(fake_count(), 3);
}

static void time_gets_slow(void)
{
    paused_clock_step_us = 40000;
}

static void lvcreate_that_took_long_predicts_the_next_pause(void **unused)
{
    CstSnapshotRequest frozen = {
        .name = "t", .minimum = CST_CONSISTENCY_FILESYSTEM, .max_pause_ms = 200};
    g_auto(CstSnapshotSet) set = {0};
    g_autoptr(GError) error = NULL;

    paused_hook = time_gets_slow;
    take(&frozen, &set, &error);
    assert_no_error(error);
    paused_clock_step_us = 1000;
    frozen.name = "u";
    assert_refused(&frozen, CST_ERROR_BUSY, "its guest would stand for about");
    assert_int_equal(paused_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(pause_has_one_lvcreate_for_each_volume),
        TEST(snapshots_have_the_consistency_of_the_pause_and_a_device),
        TEST(failed_lvcreate_resumes_the_domain_and_leaves_no_snapshot),
        TEST(first_snapshot_is_removed_if_the_second_fails),
        TEST(failing_rehearsal_suspends_no_domain),
        TEST(thin_pool_that_is_full_is_named_before_the_pause),
        TEST(snapshot_of_another_program_with_the_same_name_stays),
        TEST(snapshot_of_a_replaced_volume_is_dropped),
        TEST(pause_that_would_be_too_long_does_not_begin),
        TEST(lvcreate_that_took_long_predicts_the_next_pause),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
