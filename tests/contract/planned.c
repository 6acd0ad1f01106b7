/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>

/*
 * Snapshots that are prepared before a guest is suspended. The calls are those of the pool, on a
 * state of their own. The service makes, writes and reads the volumes.
 */

#define BLOCKS ((guint)(VOLUME_SIZE / TAG_BLOCK))

static const CstSnapshotCreate before = {.consistency = CST_CONSISTENCY_CRASH,
                                         .consistency_reason = "not verified"};
static const CstSnapshotCreate after = {.consistency = CST_CONSISTENCY_FILESYSTEM,
                                        .consistency_reason = "100 %, \xc3\xa4=#@/\\'\""};
static const char *const both[] = {"v", "w", NULL};

static CstSnapshotPlan *begin_plan(CstPoolState *state, const char *const *volumes)
{
    g_autoptr(GError) error = NULL;
    CstSnapshotPlan *plan =
        cst_pool_state_snapshot_plan_begin(state, volumes, "s", &before, &error);

    assert_no_error(error);
    return plan;
}

static void make_volumes(Site *site)
{
    for (guint i = 0; both[i]; i++) {
        volume_make(site, both[i], VOLUME_SIZE);
        content_write(site, both[i], 0, BLOCKS, 1);
    }
}

static void assert_names(Site *site, const char *expected)
{
    for (guint i = 0; both[i]; i++) {
        g_autofree char *names = snapshot_names(site, both[i]);

        assert_string_equal(names, expected);
    }
}

static void plan_is_refused(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    g_autoptr(GError) error = NULL;

    if (site_has(site, GROUND_SNAPSHOTS_INSIDE))
        return;
    volume_make(site, "v", VOLUME_SIZE);
    assert_null(cst_pool_state_snapshot_plan_begin(state, (const char *const[]){"v", NULL}, "s",
                                                   &before, &error));
    if (!cst_pool_state_has_snapshots(state))
        assert_error_says(&error, CST_ERROR_NO_SUPPORT, "no snapshots of its own");
    else
        assert_error(&error, CST_ERROR_UNSUPPORTED);
    assert_true(cst_vol_delete(site->pool, "v", 0, NULL, NULL));
}

static void planned_snapshots_have_the_content_of_their_making(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    CstSnapshotPlan *plan;
    uint64_t us = 0;

    make_volumes(site);
    plan = begin_plan(state, both);
    for (guint i = 0; both[i]; i++)
        content_write(site, both[i], 0, BLOCKS, 2);
    assert_true(cst_pool_state_snapshot_plan_rehearse(state, plan, NULL, &us, NULL));
    assert_true(us > 0);
    assert_names(site, "");
    assert_true(cst_pool_state_snapshot_plan_make(state, plan, NULL, NULL));
    for (guint i = 0; both[i]; i++)
        content_write(site, both[i], 0, BLOCKS, 3);
    for (guint i = 0; both[i]; i++)
        assert_true(cst_pool_state_snapshot_plan_commit(state, plan, i, &after, NULL));
    cst_pool_state_snapshot_plan_end(state, plan);
    assert_names(site, "s");
    for (guint i = 0; both[i]; i++) {
        g_autoptr(GPtrArray) list = cst_pool_state_snapshots(state, both[i], NULL);
        const CstSnapshot *snapshot = list->pdata[0];

        assert_int_equal(snapshot->consistency, after.consistency);
        assert_string_equal(snapshot->consistency_reason, after.consistency_reason);
        assert_true(cst_vol_snapshot_revert(site->pool, both[i], "s", NULL, NULL, NULL));
        content_assert_all(site, both[i], 2);
    }
}

static void plan_that_is_not_made_leaves_no_snapshot(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    g_autofree char *native = NULL, *now = NULL;
    CstSnapshotPlan *plan;
    uint64_t us;

    make_volumes(site);
    native = site_native(site, "p");
    plan = begin_plan(state, both);
    assert_true(cst_pool_state_snapshot_plan_rehearse(state, plan, NULL, &us, NULL));
    cst_pool_state_snapshot_plan_end(state, plan);
    assert_names(site, "");
    now = site_native(site, "p");
    assert_string_equal(now, native);
}

static void plan_of_a_used_name_or_a_missing_volume_fails(Site *site)
{
    static const char *const missing[] = {"v", "x", NULL};
    g_autoptr(CstPoolState) state = site_open_state(site);
    g_autoptr(GError) error = NULL;

    make_volumes(site);
    assert_null(cst_pool_state_snapshot_plan_begin(state, missing, "s", &before, &error));
    assert_error_says(&error, CST_ERROR_NO_VOL, "'x'");
    assert_true(cst_vol_snapshot_create(site->pool, "w", "s", 0, NULL, NULL));
    assert_null(cst_pool_state_snapshot_plan_begin(state, both, "s", &before, &error));
    assert_error_says(&error, CST_ERROR_EXISTS, "'s'");
}

static void second_of_two_plans_of_a_name_fails(Site *site)
{
    static const char *const one[] = {"v", NULL};
    g_autoptr(CstPoolState) state = site_open_state(site);
    g_autoptr(GError) error = NULL;
    CstSnapshotPlan *first, *second;

    make_volumes(site);
    first = begin_plan(state, one);
    second = begin_plan(state, one);
    assert_true(cst_pool_state_snapshot_plan_make(state, first, NULL, NULL));
    assert_true(cst_pool_state_snapshot_plan_commit(state, first, 0, &after, NULL));
    if (cst_pool_state_snapshot_plan_make(state, second, NULL, &error))
        assert_false(cst_pool_state_snapshot_plan_commit(state, second, 0, &after, &error));
    /* ZFS names it "DATASET@s". */
    assert_error_says(&error, CST_ERROR_EXISTS, "s'");
    cst_pool_state_snapshot_plan_end(state, first);
    cst_pool_state_snapshot_plan_end(state, second);
    assert_true(cst_vol_snapshot_delete(site->pool, "v", "s", NULL, NULL));
    assert_names(site, "");
}

const ContractTest planned_tests[] = {
    {"planned snapshots have the content of their making",
     planned_snapshots_have_the_content_of_their_making, GROUND_PLANS, plan_is_refused},
    {"a plan of snapshots that is not made leaves no snapshot",
     plan_that_is_not_made_leaves_no_snapshot, GROUND_PLANS, NULL},
    {"a plan of snapshots with a used name or a missing volume fails",
     plan_of_a_used_name_or_a_missing_volume_fails, GROUND_PLANS, NULL},
    {"the second of two plans of a snapshot's name fails", second_of_two_plans_of_a_name_fails,
     GROUND_PLANS, NULL},
    {0},
};
