/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots of the disks of a running domain, which is suspended for them.
 *
 *   1. cst_hypervisor_pause_begin(): the domain can be suspended. Nothing is changed.
 *   2. A draft of each file: a copy that shares the extents of the file. Drafts are torn, because
 *      the guest writes meanwhile. They are updated until an update is quick. The last one predicts
 *      the time for which the guest will stand, because both share the same number of new extents.
 *      A plan of the devices of each pool: the pool's technology reads its reports, rehearses its
 *      commands, and predicts their time.
 *   3. cst_hypervisor_pause_suspend(): freezes the file systems and suspends the domain. QEMU
 *      flushes its caches and tables to the files.
 *   4. The last update of each draft. The commands of each plan create the snapshots of devices.
 *   5. cst_hypervisor_pause_resume(): resumes and thaws the domain, and verifies that it stood.
 *   6. Each draft is synced and becomes the snapshot. Each planned snapshot is verified, and gets
 *      the consistency that the pause had.
 *
 * A failure or a kill before step 6 leaves drafts, which are removed by their end or by the
 * recovery of the pool, and snapshots of devices, which the intent of the set names. The watchdog
 * of the pause resumes the domain in each case.
 *
 * The file of a snapshot is complete only when the drafts have been synced, so the sync is not part
 * of the pause.
 */
#include "set_private.h"

#include <inttypes.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>

#include "core/domains.h"

#define UPDATES_MAX 6    /* of the drafts while the guest runs */
#define MS          1000 /* microseconds */

static gboolean domain_fail(const SnapshotSet *set, CstErrorCode code, const char *reason,
                            GError **error)
{
    g_autofree char *domain = cst_text_escape(set->disk->domain);

    if (set->request->qmp)
        return cst_fail(error, code, _("cannot make a snapshot of the disks of %s: %s"), domain,
                        reason);
    return cst_fail(error, code, _("cannot make a snapshot of the disks of domain '%s': %s"),
                    domain, reason);
}

/* Fails if the requested consistency is impossible while the domain runs. */
static gboolean domain_can_reach(const SnapshotSet *set, GError **error)
{
    CstConsistency minimum = set->request->minimum;

    if (minimum == CST_CONSISTENCY_OFFLINE)
        return domain_fail(set, CST_ERROR_STATE,
                           _("it runs, so they are not offline; shut it down first, or request "
                             "consistency 'filesystem'"),
                           error);
    if (minimum == CST_CONSISTENCY_APPLICATION)
        return domain_fail(set, CST_ERROR_STATE,
                           _("a guest agent does not report whether applications have written "
                             "their data; request consistency 'filesystem'"),
                           error);
    if (minimum == CST_CONSISTENCY_FILESYSTEM && set->request->qmp)
        return domain_fail(set, CST_ERROR_STATE,
                           _("a monitor of QEMU cannot freeze the file systems; request "
                             "consistency 'crash'"),
                           error);
    if (minimum != CST_CONSISTENCY_FILESYSTEM || set->disk->agent == CST_DOMAIN_AGENT_CONNECTED)
        return TRUE;
    return domain_fail(set, CST_ERROR_STATE,
                       _("its guest agent is not connected, so its file systems cannot be frozen; "
                         "start qemu-guest-agent in the guest, or request consistency 'crash'"),
                       error);
}

/* --- drafts and plans ------------------------------------------------------------------------- */

static gboolean snapshot_set_begin_drafts(SnapshotSet *set, GError **error)
{
    for (guint i = 0; i < set->members->len; i++) {
        SnapshotMember *member = snapshot_set_member(set, i);
        CstPoolState *state = member->target.claim.state;

        /* The snapshot of a volume at rest is made before the pause. */
        if (member->disks->len == 0 || member->provider != &snapshot_pool_provider ||
            !cst_pool_state_can_draft_snapshot(state))
            continue;
        member->draft = cst_pool_state_snapshot_draft_begin(state, member->target.volume->name,
                                                            set->request->name, error);
        if (!member->draft)
            return FALSE;
        CST_CRASH_POINT("vol.snapshots.draft");
    }
    return TRUE;
}

/*
 * Plans the snapshots of the members from @first on that are in its pool. The snapshot of a volume
 * at rest is made before the pause.
 */
static gboolean snapshot_set_begin_plan(SnapshotSet *set, guint first, GError **error)
{
    CstPoolState *state = snapshot_set_member(set, first)->target.claim.state;
    const CstSnapshotCreate how = {.limit = set->request->limit,
                                   .consistency = CST_CONSISTENCY_CRASH,
                                   .consistency_reason = SNAPSHOT_PAUSE_RECORD};
    g_autoptr(GPtrArray) names = g_ptr_array_new(), members = g_ptr_array_new();
    CstSnapshotPlan *plan;

    for (guint i = first; i < set->members->len; i++) {
        SnapshotMember *member = snapshot_set_member(set, i);

        if (member->target.claim.state == state && member->disks->len > 0 &&
            member->provider == &snapshot_pool_provider) {
            g_ptr_array_add(names, member->target.claim.name);
            g_ptr_array_add(members, member);
        }
    }
    if (names->len == 0)
        return TRUE;
    g_ptr_array_add(names, NULL);
    plan = cst_pool_state_snapshot_plan_begin(state, (const char *const *)names->pdata,
                                              set->request->name, &how, error);
    for (guint i = 0; plan && i < members->len; i++) {
        SnapshotMember *member = g_ptr_array_index(members, i);

        member->plan = plan;
        member->planned = i;
    }
    return plan != NULL;
}

static gboolean snapshot_set_begin_plans(SnapshotSet *set, GError **error)
{
    for (guint i = 0; i < set->members->len; i++) {
        const SnapshotMember *member = snapshot_set_member(set, i);
        CstPoolState *state = member->target.claim.state;
        gboolean first = i == 0 || snapshot_set_member(set, i - 1)->target.claim.state != state;

        if (first && cst_pool_state_can_plan_snapshots(state) &&
            !snapshot_set_begin_plan(set, i, error))
            return FALSE;
    }
    return TRUE;
}

/* Rehearses all plans, and adds the time that plan_make will need to *took_us. */
static gboolean snapshot_set_rehearse(SnapshotSet *set, uint64_t *took_us, GError **error)
{
    for (guint i = 0; i < set->members->len; i++) {
        SnapshotMember *member = snapshot_set_member(set, i);
        uint64_t us = 0;

        if (member->plan && member->planned == 0 &&
            !cst_pool_state_snapshot_plan_rehearse(member->target.claim.state, member->plan,
                                                   set->task, &us, error))
            return FALSE;
        *took_us += us;
    }
    return TRUE;
}

/* Makes the planned snapshots. EXISTS means that no snapshot of the plan was made. */
static gboolean snapshot_set_make_planned(SnapshotSet *set, GError **error)
{
    gboolean made = TRUE;

    for (guint i = 0; made && i < set->members->len; i++) {
        SnapshotMember *owner = snapshot_set_member(set, i);
        g_autoptr(GError) why = NULL;

        if (!owner->plan || owner->planned != 0)
            continue;
        made = cst_pool_state_snapshot_plan_make(owner->target.claim.state, owner->plan, set->task,
                                                 &why);
        for (guint j = i; j < set->members->len; j++)
            if (snapshot_set_member(set, j)->plan == owner->plan)
                snapshot_set_member(set, j)->tried =
                    made || !g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS);
        if (!made)
            g_propagate_error(error, g_steal_pointer(&why));
    }
    return made;
}

/* Updates all drafts. *ret_us: how long it took, in microseconds. */
static gboolean snapshot_set_update_drafts(SnapshotSet *set, uint64_t *ret_us, GError **error)
{
    gint64 began = g_get_monotonic_time();

    for (guint i = 0; i < set->members->len; i++) {
        SnapshotMember *member = snapshot_set_member(set, i);

        if (member->draft &&
            !cst_pool_state_snapshot_draft_update(member->target.claim.state, member->draft, error))
            return FALSE;
    }
    *ret_us = (uint64_t)(g_get_monotonic_time() - began);
    return TRUE;
}

/*
 * Updates the drafts until a further update would not be much quicker, and rehearses the plans.
 * Fails with BUSY if the guest would stand for longer than permitted.
 */
static gboolean snapshot_set_catch_up(SnapshotSet *set, GError **error)
{
    uint32_t ms = set->request->max_pause_ms ? set->request->max_pause_ms : CST_SNAPSHOT_PAUSE_MS;
    uint64_t limit = (uint64_t)ms * MS, last = UINT64_MAX, took = 0;
    g_autofree char *reason = NULL;

    for (guint i = 0; i < UPDATES_MAX; i++) {
        if (!cst_task_check(set->task, error) || !snapshot_set_update_drafts(set, &took, error))
            return FALSE;
        if (took <= limit / 8 || took > last / 4 * 3)
            break;
        last = took;
    }
    if (!snapshot_set_rehearse(set, &took, error))
        return FALSE;
    if (took <= limit)
        return TRUE;
    reason = g_strdup_printf(_("its guest would stand for about %" PRIu64
                               " ms, and the limit is %" PRIu32
                               " ms; try again when it writes less, permit more (--max-pause), or "
                               "shut it down first"),
                             took / MS, ms);
    return domain_fail(set, CST_ERROR_BUSY, reason, error);
}

static gboolean snapshot_set_commit_drafts(SnapshotSet *set, GError **error)
{
    for (guint i = 0; i < set->members->len; i++) {
        SnapshotMember *member = snapshot_set_member(set, i);
        const CstSnapshotCreate how = {.consistency = member->consistency,
                                       .consistency_reason = member->reason};
        g_autoptr(GError) why = NULL;

        if (!member->draft)
            continue;
        if (!cst_pool_state_snapshot_draft_commit(member->target.claim.state, member->draft, &how,
                                                  &why)) {
            member->tried = !g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS);
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        member->tried = TRUE;
        CST_CRASH_POINT("vol.snapshots.draft.done");
    }
    return TRUE;
}

/* Verifies the planned snapshots, and records their consistency. */
static gboolean snapshot_set_commit_plans(SnapshotSet *set, GError **error)
{
    for (guint i = 0; i < set->members->len; i++) {
        SnapshotMember *member = snapshot_set_member(set, i);
        const CstSnapshotCreate how = {.consistency = member->consistency,
                                       .consistency_reason = member->reason};
        g_autoptr(GError) why = NULL;

        if (!member->plan ||
            cst_pool_state_snapshot_plan_commit(member->target.claim.state, member->plan,
                                                member->planned, &how, &why))
            continue;
        member->tried = !g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS);
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return TRUE;
}

void snapshot_set_end_preparation(SnapshotSet *set)
{
    for (guint i = 0; i < set->members->len; i++) {
        SnapshotMember *member = snapshot_set_member(set, i);

        cst_pool_state_snapshot_draft_end(member->target.claim.state, member->draft);
        if (member->planned == 0)
            cst_pool_state_snapshot_plan_end(member->target.claim.state, member->plan);
        member->draft = NULL;
        member->plan = NULL;
    }
}

/* --- the pause -------------------------------------------------------------------------------- */

/* The volumes that are disks of the domain. The caller frees the result. */
static CstHypervisorVolume *snapshot_set_disks(const SnapshotSet *set, guint *ret_count)
{
    CstHypervisorVolume *disks = g_new0(CstHypervisorVolume, set->members->len);

    *ret_count = 0;
    for (guint i = 0; i < set->members->len; i++) {
        const SnapshotMember *member = snapshot_set_member(set, i);

        if (member->disks->len > 0)
            disks[(*ret_count)++] = volume_domain_identity(&member->target.claim);
    }
    return disks;
}

/*
 * The worst consistency may be that of a volume that the pause does not cover. The content of such
 * a volume has another point in time, unless no process writes to it.
 */
static void snapshot_set_put_result(SnapshotSet *set, CstHypervisorPauseResult *pause)
{
    CstSnapshotSet *result = set->result;

    result->one_step = TRUE;
    result->domain = set->request->qmp ? NULL : g_strdup(set->disk->domain);
    result->paused_us = pause->paused_us;
    result->frozen_us = pause->frozen_us;
    result->consistency = pause->consistency;
    result->reason = g_strdup(pause->reason);
    for (guint i = 0; i < set->members->len; i++) {
        SnapshotMember *member = snapshot_set_member(set, i);

        if (member->disks->len > 0 && member->consistency > pause->consistency) {
            member->consistency = pause->consistency;
            g_free(member->reason);
            member->reason = g_strdup(pause->reason);
        }
        if (member->disks->len == 0 && member->consistency != CST_CONSISTENCY_OFFLINE)
            result->one_step = FALSE;
        if (member->consistency >= result->consistency)
            continue;
        result->consistency = member->consistency;
        g_free(result->reason);
        result->reason = g_strdup(member->reason);
    }
}

/* Fails if the verified consistency is worse than the request demands. */
static gboolean snapshot_set_check_result(const SnapshotSet *set, GError **error)
{
    const CstSnapshotSet *result = set->result;
    g_autofree char *reason = NULL;

    if (result->consistency >= set->request->minimum)
        return TRUE;
    reason = g_strdup_printf(_("the consistency was '%s', not '%s': %s; no snapshot was made"),
                             cst_consistency_word(result->consistency),
                             cst_consistency_word(set->request->minimum), result->reason);
    return domain_fail(set, CST_ERROR_STATE, reason, error);
}

/* Steps 3 to 5. */
static gboolean snapshot_set_create_suspended(SnapshotSet *set, CstHypervisorPause *pause,
                                              gboolean (*create)(SnapshotSet *set, GError **error),
                                              GError **error)
{
    CstHypervisorPauseResult result = {0};
    g_autoptr(GError) why = NULL;
    uint64_t took;
    gboolean done;

    CST_CRASH_POINT("vol.snapshots.suspend");
    if (!cst_hypervisor_pause_suspend(pause, error))
        return FALSE;
    CST_CRASH_POINT("vol.snapshots.suspended");
    done = snapshot_set_update_drafts(set, &took, &why) && snapshot_set_make_planned(set, &why) &&
           create(set, &why);
    if (!cst_hypervisor_pause_resume(pause, &result, done ? error : NULL) || !done) {
        g_free(result.reason);
        if (!done)
            g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    CST_CRASH_POINT("vol.snapshots.resumed");
    snapshot_set_put_result(set, &result);
    g_free(result.reason);
    return snapshot_set_check_result(set, error);
}

CstHypervisorPause *snapshot_set_begin_pause(SnapshotSet *set, GError **error)
{
    g_autofree CstHypervisorVolume *disks = NULL;
    guint count;

    if (!domain_can_reach(set, error))
        return NULL;
    disks = snapshot_set_disks(set, &count);
    return volume_domain_pause(&snapshot_set_member(set, 0)->target.claim, set->disk, disks, count,
                               error);
}

gboolean snapshot_set_prepare(SnapshotSet *set, GError **error)
{
    return snapshot_set_begin_drafts(set, error) && snapshot_set_begin_plans(set, error) &&
           snapshot_set_catch_up(set, error);
}

gboolean snapshot_set_create_paused(SnapshotSet *set, CstHypervisorPause *pause,
                                    gboolean (*create)(SnapshotSet *set, GError **error),
                                    GError **error)
{
    return snapshot_set_create_suspended(set, pause, create, error) &&
           snapshot_set_commit_drafts(set, error) && snapshot_set_commit_plans(set, error);
}
