/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots of one or several volumes: while their domain is suspended (set_pause.c), in one step
 * if a technology that supports this keeps all of them, else one after another. The result reports
 * the method.
 *
 * All volumes are claimed before the first snapshot is created. When snapshots are created one
 * after another, or during a pause, all names are checked first, and a durable intent lists the
 * volumes until the last snapshot exists. After a crash the next start removes all snapshots of the
 * set.
 */
#include "set.h"

#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <base/text.h>
#include <image/snapshot.h>

#include "core/events.h"
#include "core/intent.h"
#include "core/job.h"
#include "core/scan.h"
#include "provider.h"
#include "set_private.h"
#include "volume/running/qmp.h"
#include "volume/tags.h"

/* Maximal number of waits for operations of other threads or processes on the volumes. */
#define WAITS_MAX 20

/* Releases the claims in reverse order. */
static void release_all(SnapshotSet *set)
{
    set->disk = NULL;
    while (set->members->len > 0) {
        SnapshotMember *member = snapshot_set_member(set, set->members->len - 1);

        snapshot_target_clear(&member->target);
        g_clear_pointer(&member->disks, g_ptr_array_unref);
        g_free(member->reason);
        g_array_set_size(set->members, set->members->len - 1);
    }
}

static void snapshot_set_end_intents(SnapshotSet *set)
{
    while (set->intents->len > 0)
        cst_intent_end(g_ptr_array_steal_index(set->intents, set->intents->len - 1));
}

static void set_clear(SnapshotSet *set)
{
    if (set->intents)
        snapshot_set_end_intents(set);
    if (set->members)
        release_all(set);
    g_clear_pointer(&set->intents, g_ptr_array_unref);
    g_clear_pointer(&set->members, g_array_unref);
    g_clear_pointer(&set->volumes, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SnapshotSet, set_clear)

/* --- claims and checks ------------------------------------------------------------------------ */

static const CstSnapshotVolume *snapshot_set_volume(const SnapshotSet *set, guint i)
{
    return &g_array_index(set->volumes, CstSnapshotVolume, i);
}

/* Compares by pool and name. */
static int compare_volumes(gconstpointer a, gconstpointer b)
{
    const CstSnapshotVolume *left = a, *right = b;
    int order = strcmp(left->pool->name, right->pool->name);

    return order ? order : strcmp(left->volume, right->volume);
}

static gboolean set_begin(SnapshotSet *set, const CstSnapshotVolume *volumes, guint count,
                          GError **error)
{
    set->intents = g_ptr_array_new();
    set->volumes = g_array_sized_new(FALSE, FALSE, sizeof(CstSnapshotVolume), count);
    /* Claims reference each other by address, so the array must not be reallocated. */
    set->members = g_array_sized_new(FALSE, TRUE, sizeof(SnapshotMember), count);
    g_array_append_vals(set->volumes, volumes, count);
    g_array_sort(set->volumes, compare_volumes);
    for (guint i = 1; i < count; i++)
        if (compare_volumes(snapshot_set_volume(set, i - 1), snapshot_set_volume(set, i)) == 0)
            return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' is named twice"),
                            snapshot_set_volume(set, i)->volume);
    if (count > 1 && set->request->limit)
        return cst_fail(error, CST_ERROR_INVALID, _("a size applies to one snapshot only"));
    return cst_name_check(set->request->name, _("snapshot"), error) &&
           cst_text_name_check(set->request->name, _("snapshot"), error);
}

/* Claims all volumes without waiting. *ret_volume: the volume that failed. */
static gboolean claim_at_once(SnapshotSet *set, const CstSnapshotVolume **ret_volume,
                              GError **error)
{
    for (guint i = 0; i < set->volumes->len; i++) {
        SnapshotMember *member;

        g_array_set_size(set->members, i + 1);
        member = snapshot_set_member(set, i);
        *member = (SnapshotMember){.target.claim.task = set->task, .target.claim.at_once = TRUE};
        if (i > 0)
            member->target.claim.after = &snapshot_set_member(set, i - 1)->target.claim;
        *ret_volume = snapshot_set_volume(set, i);
        member->provider =
            snapshot_claim(&member->target, (*ret_volume)->pool, (*ret_volume)->volume, CLAIM_WRITE,
                           set->request->name, error);
        if (!member->provider || !pool_check_promise((*ret_volume)->pool, error))
            return FALSE;
    }
    return TRUE;
}

/*
 * Other operations claim a chain of images from the top down, not ordered by name. Therefore this
 * function never waits while it holds a claim.
 */
static gboolean claim_all(SnapshotSet *set, GError **error)
{
    for (guint waits = 0;; waits++) {
        g_auto(VolumeClaim) other = {.task = set->task};
        const CstSnapshotVolume *volume = NULL;
        g_autoptr(GError) why = NULL;

        if (claim_at_once(set, &volume, &why))
            return TRUE;
        release_all(set);
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_BUSY) || waits == WAITS_MAX) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        CST_TEST_POINT("vol.snapshots.wait");
        if (!volume_claim(&other, volume->pool, volume->volume, CLAIM_WRITE, error))
            return FALSE;
    }
}

static gboolean snapshot_set_check_names(SnapshotSet *set, GError **error)
{
    for (guint i = 0; i < set->members->len; i++)
        if (!snapshot_check_name_free(&snapshot_set_member(set, i)->target, set->request->name,
                                      error))
            return FALSE;
    return TRUE;
}

/* --- the snapshots ---------------------------------------------------------------------------- */

static gboolean can_be_one_step(const SnapshotSet *set)
{
    const CstPoolState *state = snapshot_set_member(set, 0)->target.claim.state;

    if (set->members->len == 1 || !cst_pool_state_can_snapshot_many((CstPoolState *)state))
        return FALSE;
    for (guint i = 0; i < set->members->len; i++)
        if (snapshot_set_member(set, i)->provider != &snapshot_pool_provider ||
            snapshot_set_member(set, i)->target.claim.state != state ||
            snapshot_set_member(set, i)->tried)
            return FALSE;
    return TRUE;
}

/*
 * Lowers the consistency to record to that of @member. While its domain is suspended, the
 * consistency that the pause will have is not known yet.
 */
static void member_record(const SnapshotSet *set, const SnapshotMember *member,
                          CstSnapshotCreate *how)
{
    gboolean unverified = set->disk && member->disks->len > 0;
    CstConsistency consistency = unverified ? CST_CONSISTENCY_CRASH : member->consistency;

    if (consistency >= how->consistency)
        return;
    how->consistency = consistency;
    how->consistency_reason = unverified ? SNAPSHOT_PAUSE_RECORD : member->reason;
}

static gboolean make_in_one_step(SnapshotSet *set, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    CstSnapshotCreate how = {.consistency = CST_CONSISTENCY_LAST};

    for (guint i = 0; i < set->members->len; i++) {
        const SnapshotMember *member = snapshot_set_member(set, i);

        g_ptr_array_add(names, member->target.claim.name);
        member_record(set, member, &how);
    }
    g_ptr_array_add(names, NULL);
    set->result->one_step = TRUE;
    if (!cst_pool_state_snapshot_create_many(snapshot_set_member(set, 0)->target.claim.state,
                                             (const char *const *)names->pdata, set->request->name,
                                             &how, set->task, error))
        return FALSE;
    for (guint i = 0; i < set->members->len; i++)
        snapshot_set_member(set, i)->tried = TRUE;
    return TRUE;
}

/* EXISTS means that another program has created a snapshot of that name since the check. */
static gboolean member_make(SnapshotSet *set, SnapshotMember *member, GError **error)
{
    CstSnapshotCreate how = {.limit = set->request->limit, .consistency = CST_CONSISTENCY_LAST};
    g_autoptr(GError) why = NULL;

    member_record(set, member, &how);
    if (!cst_task_check(set->task, error))
        return FALSE;
    if (member->provider->create(&member->target, set->request->name, &how, set->task, &why))
        return member->tried = TRUE;
    member->tried = !g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Whether the snapshot of @member can be made before the domain is suspended. */
static gboolean member_is_at_rest(const SnapshotSet *set, const SnapshotMember *member)
{
    return set->disk && member->disks->len == 0;
}

static gboolean make_in_turn(SnapshotSet *set, gboolean at_rest, GError **error)
{
    gint64 began = g_get_monotonic_time();

    set->result->one_step = set->members->len == 1;
    for (guint i = 0; i < set->members->len; i++) {
        SnapshotMember *member = snapshot_set_member(set, i);

        if (!member->draft && !member->tried && member_is_at_rest(set, member) == at_rest &&
            !member_make(set, member, error))
            return FALSE;
        CST_CRASH_POINT("vol.snapshots.one");
    }
    set->result->span_us = (uint64_t)(g_get_monotonic_time() - began);
    return TRUE;
}

/* Creates the snapshots of all members without a draft or a plan that are not made before. */
static gboolean snapshot_set_create(SnapshotSet *set, GError **error)
{
    return can_be_one_step(set) ? make_in_one_step(set, error) : make_in_turn(set, FALSE, error);
}

/* Fails if a process has opened a volume for writing since it was found to be at rest. */
static gboolean snapshot_set_check_rest(const SnapshotSet *set, GError **error)
{
    for (guint i = 0; i < set->members->len; i++) {
        const SnapshotMember *member = snapshot_set_member(set, i);
        g_autofree char *writers = NULL;

        if (member->disks->len > 0 || member->consistency != CST_CONSISTENCY_OFFLINE ||
            member->provider == &snapshot_image_provider)
            continue;
        writers = snapshot_member_writers(member, error);
        if (!writers)
            return FALSE;
        if (*writers)
            return cst_fail(error, CST_ERROR_BUSY,
                            _("volume '%s' was opened for writing during the snapshot: %s; try "
                              "again"),
                            member->target.volume->name, writers);
    }
    return TRUE;
}

/* --- the intents ------------------------------------------------------------------------------ */

static char *snapshot_set_field(const char *what, guint i)
{
    return g_strdup_printf("%s%u", what, i);
}

/* Records the members @from to @to, which are volumes of one pool. */
static gboolean snapshot_set_record_pool(SnapshotSet *set, guint from, guint to, GError **error)
{
    g_autoptr(GHashTable) fields = intent_fields_new();
    const VolumeClaim *claim = &snapshot_set_member(set, from)->target.claim;
    CstIntent *intent;

    intent_put(fields, "snapshot", set->request->name);
    for (guint i = from; i < to; i++) {
        const SnapshotMember *member = snapshot_set_member(set, i);
        g_autofree char *volume = snapshot_set_field("volume", i - from);
        g_autofree char *inside = snapshot_set_field("inside", i - from);

        intent_put(fields, volume, member->target.volume->name);
        intent_put(fields, inside, member->provider == &snapshot_image_provider ? "yes" : NULL);
    }
    intent = intent_begin_durable(claim->pool, claim->state, SNAPSHOT_SET, fields, error);
    if (intent)
        g_ptr_array_add(set->intents, intent);
    return intent != NULL;
}

/* Returns the number of the first member after @from that is in another pool. */
static guint snapshot_set_next_pool(const SnapshotSet *set, guint from)
{
    const CstPool *pool = snapshot_set_member(set, from)->target.claim.pool;
    guint to = from + 1;

    while (to < set->members->len && snapshot_set_member(set, to)->target.claim.pool == pool)
        to++;
    return to;
}

static gboolean snapshot_set_record(SnapshotSet *set, GError **error)
{
    for (guint from = 0, to; from < set->members->len; from = to) {
        to = snapshot_set_next_pool(set, from);
        if (!snapshot_set_record_pool(set, from, to, error))
            return FALSE;
    }
    return TRUE;
}

/* The next start must not remove snapshots that were reported as created. */
static gboolean end_intents(SnapshotSet *set, GError **error)
{
    while (set->intents->len > 0) {
        if (!cst_intent_end_synced(g_ptr_array_index(set->intents, set->intents->len - 1), error))
            return FALSE;
        g_ptr_array_set_size(set->intents, (int)set->intents->len - 1);
    }
    return TRUE;
}

/* A failed creation may have created the snapshot. */
static gboolean remove_tried(const SnapshotSet *set, SnapshotMember *member, GError **error)
{
    g_autoptr(GPtrArray) list = member->provider->list(&member->target, error);

    return list && (!cst_snapshot_find(list, set->request->name) ||
                    member->provider->remove(&member->target, set->request->name, NULL, error));
}

/*
 * Removes the snapshots of the members @from to @to, which are volumes of one pool with @intent.
 * Snapshots that cannot be removed now are removed by the next start, or when the storage answers.
 */
static void remove_tried_of_pool(SnapshotSet *set, guint from, guint to, CstIntent *intent)
{
    const VolumeClaim *claim = &snapshot_set_member(set, from)->target.claim;
    g_autoptr(GError) why = NULL;

    for (guint i = to; i-- > from;) {
        SnapshotMember *member = snapshot_set_member(set, i);

        if (member->tried)
            remove_tried(set, member, why ? NULL : &why);
    }
    if (!why) {
        cst_intent_end(intent);
        return;
    }
    cst_log(CST_LOG_WARNING, "pool '%s': snapshots '%s' are left: %s", claim->pool->name,
            set->request->name, why->message);
    cst_intent_keep(intent);
    pool_recover_later(claim->pool, claim->state);
}

/* There is one intent for each pool, in the order of the members. */
static void snapshot_set_undo(SnapshotSet *set)
{
    guint pool = 0;

    CST_TEST_POINT("vol.snapshots.take_back");
    for (guint from = 0, to; from < set->members->len; from = to, pool++) {
        CstIntent *intent = pool < set->intents->len ? g_ptr_array_index(set->intents, pool) : NULL;

        to = snapshot_set_next_pool(set, from);
        remove_tried_of_pool(set, from, to, intent);
    }
    g_ptr_array_set_size(set->intents, 0);
}

/* --- the call --------------------------------------------------------------------------------- */

/*
 * A single snapshot, and snapshots that the technology creates in one step, need the backend's own
 * recovery only.
 */
static gboolean snapshot_set_make_simple(SnapshotSet *set, GError **error)
{
    const SnapshotMember *first = snapshot_set_member(set, 0);
    CstIntent *intent = NULL;

    if (first->provider == &snapshot_pool_provider) {
        intent = volume_intent(&first->target.claim, "snapshot", error);
        if (!intent)
            return FALSE;
        g_ptr_array_add(set->intents, intent);
    }
    CST_CRASH_POINT("vol.snapshot.begun");
    if (!snapshot_set_create(set, error) || !snapshot_set_check_rest(set, error)) {
        snapshot_set_undo(set);
        return FALSE;
    }
    CST_CRASH_POINT("vol.snapshot.done");
    return TRUE;
}

/*
 * Makes the snapshots with the domain suspended, or running if it cannot be suspended and that is
 * permitted.
 */
static gboolean snapshot_set_make_of_domain(SnapshotSet *set, CstHypervisorPause *pause,
                                            GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!make_in_turn(set, TRUE, error))
        return FALSE;
    if (snapshot_set_prepare(set, &why))
        return snapshot_set_create_paused(set, pause, snapshot_set_create, error);
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_BUSY) ||
        !snapshot_set_leave_running(set, why->message)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    snapshot_set_end_preparation(set);
    return snapshot_set_create(set, error);
}

/*
 * Begins the pause. *ret_pause stays NULL if the domain cannot be suspended, and the snapshots may
 * be made while it runs.
 */
static gboolean snapshot_set_try_pause(SnapshotSet *set, CstHypervisorPause **ret_pause,
                                       GError **error)
{
    g_autoptr(GError) why = NULL;

    *ret_pause = snapshot_set_begin_pause(set, &why);
    if (*ret_pause || (!g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED) &&
                       snapshot_set_leave_running(set, why->message)))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* A durable intent for each pool lists the volumes until the last snapshot exists. */
static gboolean snapshot_set_make_recorded(SnapshotSet *set, GError **error)
{
    g_autoptr(CstHypervisorPause) pause = NULL;
    gboolean done;

    if (!snapshot_set_check_names(set, error) ||
        (set->disk && !snapshot_set_try_pause(set, &pause, error)) ||
        (pause && !cst_may_change(error)) || !snapshot_set_record(set, error))
        return FALSE;
    done = pause ? snapshot_set_make_of_domain(set, pause, error) : snapshot_set_create(set, error);
    snapshot_set_end_preparation(set);
    if (!done || !snapshot_set_check_rest(set, error)) {
        snapshot_set_undo(set);
        return FALSE;
    }
    CST_CRASH_POINT("vol.snapshots.done");
    if (end_intents(set, error))
        return TRUE;
    /* The record may already be removed, and writing it again may fail, too. */
    snapshot_set_end_intents(set);
    snapshot_set_record(set, NULL);
    snapshot_set_undo(set);
    return FALSE;
}

/* Sets the consistency of the result to that of the worst member. */
static void snapshot_set_put_consistency(SnapshotSet *set)
{
    CstSnapshotSet *result = set->result;

    for (guint i = 0; i < set->members->len; i++) {
        const SnapshotMember *member = snapshot_set_member(set, i);

        if (i > 0 && member->consistency >= result->consistency)
            continue;
        result->consistency = member->consistency;
        g_free(result->reason);
        result->reason = g_strdup(member->reason);
    }
}

static gboolean snapshot_set_make(const CstSnapshotVolume *volumes, guint count,
                                  const CstSnapshotRequest *request, CstTask *task,
                                  CstSnapshotSet *ret_set, GError **error)
{
    g_auto(SnapshotSet) set = {.request = request, .task = task, .result = ret_set};
    gboolean done;

    if ((request->qmp && !running_qmp_check_caller(task, error)) ||
        !set_begin(&set, volumes, count, error) || !claim_all(&set, error) ||
        !snapshot_set_find_writers(&set, error) || !snapshot_set_promise(&set, error))
        return FALSE;
    if (!set.disk && (count == 1 || can_be_one_step(&set)))
        done = snapshot_set_make_simple(&set, error);
    else
        done = snapshot_set_make_recorded(&set, error);
    if (done && !set.disk)
        snapshot_set_put_consistency(&set);
    for (guint i = 0; i < set.members->len; i++) {
        const VolumeClaim *claim = &snapshot_set_member(&set, i)->target.claim;

        volume_rescan(claim);
        if (!done)
            continue;
        volume_tags_forget(claim->pool, claim->name, request->name);
        event_record_volume(claim->pool, CST_EVENT_SNAPSHOT_CREATED, claim->name, request->name);
    }
    return done;
}

gboolean cst_vol_snapshot_create_set(const CstSnapshotVolume *volumes, guint count,
                                     const CstSnapshotRequest *request, CstTask *task,
                                     CstSnapshotSet *ret_set, GError **error)
{
    g_auto(Job) job = {0};

    *ret_set = (CstSnapshotSet){.one_step = TRUE};
    if (count == 0)
        return cst_fail(error, CST_ERROR_INVALID, _("no volume is named"));
    job_begin(&job, volumes[0].pool, "snapshot", count == 1 ? volumes[0].volume : NULL, &task);
    return job_end(&job, snapshot_set_make(volumes, count, request, task, ret_set, error), error);
}

gboolean cst_vol_snapshot_create(CstPool *pool, const char *volume, const char *name,
                                 uint64_t limit, CstTask *task, GError **error)
{
    const CstSnapshotVolume of = {.pool = pool, .volume = volume};
    const CstSnapshotRequest request = {.name = name, .limit = limit};
    g_auto(CstSnapshotSet) set = {0};

    return cst_vol_snapshot_create_set(&of, 1, &request, task, &set, error);
}

/* --- after a crash ---------------------------------------------------------------------------- */

static gboolean remove_inside(CstPoolState *state, const CstVolume *volume, const char *name,
                              GError **error)
{
    const CstImageFormat *format = cst_image_format_find(volume->format, error);
    const CstImageOpen how = {.flags = CST_IMAGE_WRITE | CST_IMAGE_NO_DATA};
    g_autoptr(CstBlob) blob =
        format ? cst_pool_state_vol_open(state, volume->name, TRUE, error) : NULL;
    g_autoptr(CstImage) image = blob ? cst_image_open_as(blob, format, &how, error) : NULL;
    g_autoptr(GPtrArray) list = image ? cst_image_snapshot_list(image, error) : NULL;

    for (guint i = 0; list && i < list->len; i++)
        if (strcmp(((const CstImageSnapshot *)g_ptr_array_index(list, i))->name, name) == 0)
            return cst_image_snapshot_delete(image, name, NULL, error) &&
                   cst_image_flush(image, error);
    return list != NULL;
}

static gboolean remove_outside(CstPoolState *state, const char *volume, const char *name,
                               GError **error)
{
    g_autoptr(GPtrArray) list = cst_pool_state_snapshots(state, volume, error);

    return list && (!cst_snapshot_find(list, name) ||
                    cst_pool_state_snapshot_remove(state, volume, name, NULL, error));
}

gboolean snapshot_set_replay(CstPoolState *state, const CstIntentRecord *record, GError **error)
{
    const char *name = g_hash_table_lookup(record->fields, "snapshot");

    /* First have the technology recover its own incomplete work. */
    if (!name || !cst_pool_state_settle(state, error))
        return !name;
    for (guint i = 0;; i++) {
        g_autofree char *field = snapshot_set_field("volume", i);
        g_autofree char *inside = snapshot_set_field("inside", i);
        const char *of = g_hash_table_lookup(record->fields, field);
        g_autoptr(CstVolume) volume = NULL;

        if (!of)
            return TRUE;
        if (!cst_pool_state_scan_one(state, of, NULL, &volume, error))
            return FALSE;
        if (volume && !(g_hash_table_contains(record->fields, inside)
                            ? remove_inside(state, volume, name, error)
                            : remove_outside(state, of, name, error)))
            return FALSE;
    }
}
