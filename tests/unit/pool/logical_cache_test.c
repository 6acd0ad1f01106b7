/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The number of LVM calls of the logical backend, and its cached data. */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "await.h"
#include "fake_lvm.h"

/* Many lookups at once need one report. Known changes cause a new report. */
static void report_is_cached_briefly(void **unused)
{
    lvm_host.fresh_us = G_TIME_SPAN_HOUR;
    fake_add("first", 4 * MIB, "-wi-a-----", "", "");
    assert_true(fake_is_seen("first"));
    fake_add("second", 4 * MIB, "-wi-a-----", "", "");
    assert_true(fake_is_seen("first"));
    fake_assert_calls("lvm ");
    /* A volume with a node exists, regardless of the cached report. */
    assert_true(fake_is_seen("second"));
    fake_assert_calls("lvm ");
    logical_cache_invalidate(LOGICAL(fake_state));
    assert_true(fake_is_seen("second"));
    fake_assert_calls("lvm ");
    assert_true(cst_pool_state_delete(fake_state, "first", 0, NULL));
    assert_false(fake_is_seen("first"));
}

/* A report is as slow as a change, so devices are queried where possible. */
static void a_change_asks_lvm_no_more_than_it_must(void **unused)
{
    lvm_host.fresh_us = G_TIME_SPAN_HOUR;
    assert_true(fake_create("disk", NULL));
    fake_assert_calls("lvcreate lvrename ");
    assert_true(fake_is_seen("disk"));
    fake_assert_calls("lvm ");
    assert_true(cst_pool_state_vol_resize(fake_state, "disk", 16 * MIB, NULL, NULL));
    fake_assert_calls("lvm lvextend ");
    assert_true(fake_is_seen("disk"));
    fake_assert_calls("lvm ");
    g_ptr_array_unref(cst_pool_state_snapshots(fake_state, "disk", NULL));
    fake_assert_calls("");
    assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    fake_assert_calls("lvremove ");
    assert_false(fake_is_seen("disk"));
    fake_assert_calls("");
}

/* The backend's own changes also create and remove nodes. These are known already. */
static void a_node_is_news_when_the_report_does_not_know_it(void **unused)
{
    lvm_host.fresh_us = G_TIME_SPAN_HOUR;
    fake_add("first", 4 * MIB, "-wi-a-----", "", "");
    assert_true(fake_is_seen("first"));
    fake_assert_calls("lvm ");
    logical_cache_node_changed(LOGICAL(fake_state), "first", TRUE);
    logical_cache_node_changed(LOGICAL(fake_state), "other", FALSE);
    assert_true(fake_is_seen("first"));
    fake_assert_calls("");
    fake_add("second", 4 * MIB, "-wi-a-----", "", "");
    logical_cache_node_changed(LOGICAL(fake_state), "second", TRUE);
    assert_true(fake_is_seen("first"));
    fake_assert_calls("lvm ");
    logical_cache_node_changed(LOGICAL(fake_state), "second", FALSE);
    assert_true(fake_is_seen("first"));
    fake_assert_calls("lvm ");
}

static gpointer look_once(gpointer unused)
{
    g_autoptr(LvmGroup) group = logical_group_cached(LOGICAL(fake_state), NULL);

    assert_non_null(group);
    return NULL;
}

/*
 * While a report is being made, other callers wait for it. A result that it lacks is queried again.
 */
static void running_report_serves_all_waiting_callers(void **unused)
{
    static const struct {
        const char *node;
        gboolean is_there;
        const char *calls;
    } rows[] = {{"first", TRUE, "lvm "}, {"first", FALSE, "lvm lvm "}, {"new", TRUE, "lvm lvm "}};

    fake_add("first", 4 * MIB, "-wi-a-----", "", "");
    lvm_host.fresh_us = G_TIME_SPAN_HOUR;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        GThread *looker, *other;

        logical_cache_invalidate(LOGICAL(fake_state));
        point_hold("logical.report.read");
        looker = g_thread_new("look", look_once, NULL);
        point_await("logical.report.read", 1);
        other = g_thread_new("other", look_once, NULL);
        logical_cache_node_changed(LOGICAL(fake_state), rows[i].node, rows[i].is_there);
        point_release("logical.report.read");
        g_thread_join(looker);
        g_thread_join(other);
        points_clear();
        fake_assert_calls(rows[i].calls);
    }
}

/* The report agrees with the last event, and the LV may be another one. */
static void volume_removed_and_created_during_a_report_outdates_it(void **unused)
{
    GThread *looker;

    lvm_host.fresh_us = G_TIME_SPAN_HOUR;
    fake_add("first", 4 * MIB, "-wi-a-----", "", "");
    point_hold("logical.report.read");
    looker = g_thread_new("look", look_once, NULL);
    point_await("logical.report.read", 1);
    logical_cache_node_changed(LOGICAL(fake_state), "first", FALSE);
    logical_cache_node_changed(LOGICAL(fake_state), "first", TRUE);
    point_release("logical.report.read");
    g_thread_join(looker);
    points_clear();
    fake_assert_calls("lvm ");
    look_once(NULL);
    fake_assert_calls("lvm ");
}

static gpointer read_in_vain(gpointer unused)
{
    g_autoptr(LvmGroup) group = logical_group_read(LOGICAL(fake_state), NULL, NULL);

    assert_null(group);
    return NULL;
}

/* The last report is older than the change, and no newer report takes its place. */
static void change_during_a_failed_report_outdates_the_last_report(void **unused)
{
    GThread *reader;

    lvm_host.fresh_us = G_TIME_SPAN_HOUR;
    fake_add("first", 4 * MIB, "-wi-a-----", "", "");
    assert_true(fake_is_seen("first"));
    fake_assert_calls("lvm ");
    fake_fault(1, "fail");
    point_hold("logical.report.read");
    reader = g_thread_new("read", read_in_vain, NULL);
    point_await("logical.report.read", 1);
    logical_cache_node_changed(LOGICAL(fake_state), "new", TRUE);
    point_release("logical.report.read");
    g_thread_join(reader);
    points_clear();
    assert_true(fake_fault_end());
    fake_assert_calls("lvm ");
    assert_true(fake_is_seen("first"));
    fake_assert_calls("lvm ");
}

static gpointer rename_a_snapshot(gpointer unused)
{
    g_autoptr(GError) error = NULL;

    if (!cst_pool_state_snapshot_rename(fake_state, "disk", "a", "b", &error))
        fail_msg("%s", error->message);
    return NULL;
}

/* A report that started while a tool ran may lack the tool's change. */
static void a_report_from_before_a_changes_end_is_outdated(void **unused)
{
    g_autofree char *held = fake_path("held");
    g_autoptr(GError) error = NULL;
    GThread *renamer;

    lvm_host.fresh_us = G_TIME_SPAN_HOUR;
    fake_add("disk", 8 * MIB, "Vwi-a-tz--", "", "");
    fake_add(".cistern-1.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-disk,cistern:snap=a,cistern:at=7");
    look_once(NULL);
    fake_put("held", "");
    fake_lie("lvchange", "held");
    renamer = g_thread_new("rename", rename_a_snapshot, NULL);
    AWAIT(fake_was_called("lvchange"));
    g_ptr_array_unref(cst_pool_state_snapshots(fake_state, "disk", NULL));
    assert_int_equal(unlink(held), 0);
    g_thread_join(renamer);
    if (!cst_pool_state_snapshot_rename(fake_state, "disk", "b", "c", &error))
        fail_msg("%s", error->message);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(report_is_cached_briefly),
        TEST(a_change_asks_lvm_no_more_than_it_must),
        TEST(a_node_is_news_when_the_report_does_not_know_it),
        TEST(running_report_serves_all_waiting_callers),
        TEST(volume_removed_and_created_during_a_report_outdates_it),
        TEST(change_during_a_failed_report_outdates_the_last_report),
        TEST(a_report_from_before_a_changes_end_is_outdated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
