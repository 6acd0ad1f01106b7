/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dispatcher of snapshots that are created in steps, or of several volumes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/log.h>
#include <pool/pool.h>

#include "await.h"
#include "odd_backend.h"
#include "points.h"

/* Replaces the registry. */
const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return &odd_backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return TRUE;
}

static CstPoolState *pool;
static CstSnapshotDraft *draft; /* open while the callbacks fail */
static CstSnapshotPlan *plan;   /* the same */
static const char *const plan_names[] = {"v", "w", NULL};

static int set_up(void **unused)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_new(CST_POOL_DIR);

    def->name = g_strdup("p");
    odd_how = ODD_RIGHT;
    odd_gives_draft = TRUE;
    pool = cst_pool_state_open(def, NULL, NULL);
    draft = cst_pool_state_snapshot_draft_begin(pool, "v", "s", NULL);
    assert_non_null(draft);
    plan = cst_pool_state_snapshot_plan_begin(pool, plan_names, "s", &(CstSnapshotCreate){0}, NULL);
    assert_non_null(plan);
    odd_drafts_ended = 0;
    return 0;
}

/* The first draft gets enough time, even on a busy host. */
static int set_up_impatient(void **unused)
{
    set_up(unused);
    cst_liveness_times.patience = 100 * G_TIME_SPAN_MILLISECOND;
    /* A probe that began before has the former patience. Wait for its end. */
    point_watch("liveness.period.wait");
    point_await("liveness.period.wait", 1);
    points_clear();
    return 0;
}

static int tear_down(void **unused)
{
    cst_dry_run_set(FALSE);
    cst_liveness_times.patience = G_TIME_SPAN_DAY;
    cst_pool_state_snapshot_draft_end(pool, draft);
    cst_pool_state_snapshot_plan_end(pool, plan);
    cst_pool_state_unref(pool);
    return 0;
}

/* --- each call -------------------------------------------------------------------------------- */

static gboolean call_begin(GError **error)
{
    CstSnapshotDraft *made = cst_pool_state_snapshot_draft_begin(pool, "v", "s", error);

    cst_pool_state_snapshot_draft_end(pool, made);
    return made != NULL;
}

static gboolean call_update(GError **error)
{
    return cst_pool_state_snapshot_draft_update(pool, draft, error);
}

static gboolean call_commit(GError **error)
{
    return cst_pool_state_snapshot_draft_commit(pool, draft, &(CstSnapshotCreate){0}, error);
}

static gboolean call_plan(GError **error)
{
    CstSnapshotPlan *made =
        cst_pool_state_snapshot_plan_begin(pool, plan_names, "s", &(CstSnapshotCreate){0}, error);

    cst_pool_state_snapshot_plan_end(pool, made);
    return made != NULL;
}

static gboolean call_rehearse(GError **error)
{
    uint64_t us;

    return cst_pool_state_snapshot_plan_rehearse(pool, plan, NULL, &us, error);
}

static gboolean call_make(GError **error)
{
    return cst_pool_state_snapshot_plan_make(pool, plan, NULL, error);
}

static gboolean call_plan_commit(GError **error)
{
    return cst_pool_state_snapshot_plan_commit(pool, plan, 0, &(CstSnapshotCreate){0}, error);
}

static gboolean call_create_many(GError **error)
{
    return cst_pool_state_snapshot_create_many(pool, plan_names, "s", &(CstSnapshotCreate){0}, NULL,
                                               error);
}

static const OddCall calls[] = {
    {"snapshots.draft_begin", call_begin, "v"},
    {"snapshots.draft_update", call_update, NULL},
    {"snapshots.draft_commit", call_commit, NULL},
    {"snapshots.plan_begin", call_plan, "v"},
    {"snapshots.plan_rehearse", call_rehearse, NULL},
    {"snapshots.plan_make", call_make, NULL},
    {"snapshots.plan_commit", call_plan_commit, NULL},
    {"snapshots.create_many", call_create_many, "v"},
};

static char *blame(const char *slot)
{
    return g_strdup("'p': the dir backend's");
}

static char *trace(const OddCall *call)
{
    return g_strdup_printf("dir.%s 'p'%s: ", call->slot, call->about ? " 'v'" : "");
}

static const OddDispatcher dispatcher = {calls, G_N_ELEMENTS(calls), blame, trace};

static void result_and_error_are_handed_on(void **unused)
{
    odd_assert_handed_on(&dispatcher);
}

static void backend_that_breaks_its_contract_is_named(void **unused)
{
    g_autoptr(GError) error = NULL;

    odd_assert_broken_are_named(&dispatcher);
    odd_how = ODD_RIGHT;
    odd_gives_draft = FALSE;
    assert_false(call_begin(&error));
    odd_assert_broken(&dispatcher, error, "snapshots.draft_begin", "returned no draft");
    g_clear_error(&error);
    assert_false(call_plan(&error));
    odd_assert_broken(&dispatcher, error, "snapshots.plan_begin", "returned no plan");
}

static void draft_of_a_broken_begin_is_ended(void **unused)
{
    odd_how = ODD_BOTH;
    assert_false(call_begin(NULL));
    assert_int_equal(odd_drafts_ended, 1);
    assert_false(call_plan(NULL));
    assert_int_equal(odd_drafts_ended, 2);
    odd_how = ODD_RIGHT;
    assert_true(call_begin(NULL));
    assert_true(call_plan(NULL));
    assert_int_equal(odd_drafts_ended, 4);
    cst_pool_state_snapshot_draft_end(pool, NULL);
    cst_pool_state_snapshot_plan_end(pool, NULL);
    assert_int_equal(odd_drafts_ended, 4);
}

static void calls_are_logged_when_debug_is_on(void **unused)
{
    odd_assert_traced(&dispatcher);
}

/* --- refused calls ---------------------------------------------------------------------------- */

static void assert_refused(gboolean done, int code, const char *words, GError **error)
{
    assert_false(done);
    assert_non_null(*error);
    assert_int_equal((*error)->code, code);
    if (!strstr((*error)->message, words))
        fail_msg("'%s' lacks '%s'", (*error)->message, words);
    g_clear_error(error);
}

static void pool_without_drafts_reports_it(void **unused)
{
    const CstSnapshotBackend without = {.list = odd_snapshots.list};
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_state_can_draft_snapshot(pool));
    odd_backend.snapshots = &without;
    assert_false(cst_pool_state_can_draft_snapshot(pool));
    assert_false(cst_pool_state_can_plan_snapshots(pool));
    assert_refused(call_begin(&error), CST_ERROR_UNSUPPORTED, "in two steps", &error);
    assert_refused(call_plan(&error), CST_ERROR_UNSUPPORTED, "do not prepare", &error);
    odd_backend.snapshots = NULL;
    assert_false(cst_pool_state_can_draft_snapshot(pool));
    assert_refused(call_begin(&error), CST_ERROR_NO_SUPPORT, "no snapshots of its own", &error);
    assert_refused(call_plan(&error), CST_ERROR_NO_SUPPORT, "no snapshots of its own", &error);
    odd_backend.snapshots = &odd_snapshots;
}

static gboolean list_one(CstPoolState *state, const char *volume, GPtrArray *snapshots,
                         GError **error)
{
    CstSnapshot *snapshot = g_new0(CstSnapshot, 1);

    snapshot->name = g_strdup("s");
    g_ptr_array_add(snapshots, snapshot);
    return TRUE;
}

/* The callback itself would fail with BUSY. */
static void dry_run_checks_the_name_and_begins_no_draft(void **unused)
{
    gboolean (*list)(CstPoolState *, const char *, GPtrArray *, GError **) = odd_snapshots.list;
    g_autoptr(GError) error = NULL;

    cst_dry_run_set(TRUE);
    assert_refused(call_begin(&error), CST_ERROR_DRY_RUN, "", &error);
    assert_refused(call_plan(&error), CST_ERROR_DRY_RUN, "", &error);
    odd_snapshots.list = list_one;
    odd_how = ODD_SAYS_WHY;
    assert_refused(call_begin(&error), CST_ERROR_EXISTS, "has a snapshot 's' already", &error);
    assert_refused(call_plan(&error), CST_ERROR_EXISTS, "has a snapshot 's' already", &error);
    odd_snapshots.list = list;
}

/* A draft is freed even then. */
static void no_draft_is_changed_while_the_storage_hangs(void **unused)
{
    g_atomic_int_set(&odd_hangs, TRUE);
    AWAIT(!cst_pool_state_answers(pool, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autoptr(GError) error = NULL;

        assert_refused(calls[i].call(&error), CST_ERROR_UNREACHABLE, "has not answered", &error);
    }
    cst_pool_state_snapshot_draft_end(pool, g_steal_pointer(&draft));
    cst_pool_state_snapshot_plan_end(pool, g_steal_pointer(&plan));
    assert_int_equal(odd_drafts_ended, 2);
    g_atomic_int_set(&odd_hangs, FALSE);
}

int main(void)
{
#define TEST(name)    cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define HANGING(name) cmocka_unit_test_setup_teardown(name, set_up_impatient, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(result_and_error_are_handed_on),
        TEST(backend_that_breaks_its_contract_is_named),
        TEST(draft_of_a_broken_begin_is_ended),
        TEST(calls_are_logged_when_debug_is_on),
        TEST(dry_run_checks_the_name_and_begins_no_draft),
        TEST(pool_without_drafts_reports_it),
        HANGING(no_draft_is_changed_while_the_storage_hangs),
    };

    cst_log_init();
    cst_liveness_times = (struct CstLivenessTimes){.patience = G_TIME_SPAN_DAY, .period = 1000};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
