/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots of several volumes of a pool: in one step if a technology that supports this keeps all
 * of them, else one after another. The result reports the method.
 *
 * All volumes are claimed before the first snapshot is created. When snapshots are created one
 * after another, all names are checked first, and a durable intent lists the volumes until the last
 * snapshot exists. After a crash the next start removes all snapshots of the set.
 */
#include "set.h"

#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <base/text.h>
#include <image/snapshot.h>

#include "core/intent.h"
#include "core/job.h"
#include "core/scan.h"
#include "provider.h"

/* Maximal number of waits for operations of other threads or processes on the volumes. */
#define WAITS_MAX 20

typedef struct {
    SnapshotTarget target;
    const SnapshotProvider *provider;
    gboolean tried; /* the snapshot exists, or may exist */
} Member;

typedef struct {
    CstPool *pool;
    const char *name;   /* of the snapshots */
    GPtrArray *volumes; /* their names, sorted and NULL-terminated */
    GArray *members;    /* of Member: the claimed volumes, in the same order */
    CstTask *task;
    CstIntent *intent;
} Set;

static Member *member_at(const Set *set, guint i)
{
    return &g_array_index(set->members, Member, i);
}

/* Releases the claims in reverse order. */
static void release_all(Set *set)
{
    while (set->members->len > 0) {
        snapshot_target_clear(&member_at(set, set->members->len - 1)->target);
        g_array_set_size(set->members, set->members->len - 1);
    }
}

static void set_clear(Set *set)
{
    cst_intent_end(set->intent);
    if (set->members)
        release_all(set);
    g_clear_pointer(&set->members, g_array_unref);
    g_clear_pointer(&set->volumes, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Set, set_clear)

/* --- claims and checks ------------------------------------------------------------------------ */

static gboolean set_begin(Set *set, const GPtrArray *volumes, GError **error)
{
    set->volumes = g_ptr_array_new();
    /* Claims reference each other by address, so the array must not be reallocated. */
    set->members = g_array_sized_new(FALSE, TRUE, sizeof(Member), volumes->len);
    for (guint i = 0; i < volumes->len; i++)
        g_ptr_array_add(set->volumes, g_ptr_array_index(volumes, i));
    g_ptr_array_sort(set->volumes, cst_text_compare);
    for (guint i = 1; i < volumes->len; i++)
        if (strcmp(g_ptr_array_index(set->volumes, i - 1), g_ptr_array_index(set->volumes, i)) == 0)
            return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' is named twice"),
                            (const char *)g_ptr_array_index(set->volumes, i));
    g_ptr_array_add(set->volumes, NULL);
    return volumes->len > 0 ? cst_name_check(set->name, _("snapshot"), error) &&
                                  cst_text_name_check(set->name, _("snapshot"), error)
                            : cst_fail(error, CST_ERROR_INVALID, _("no volume is named"));
}

/* Claims all volumes without waiting. *ret_name: the volume that failed. */
static gboolean claim_at_once(Set *set, const char **ret_name, GError **error)
{
    for (guint i = 0; i + 1 < set->volumes->len; i++) {
        Member *member;

        g_array_set_size(set->members, i + 1);
        member = member_at(set, i);
        *member = (Member){.target.claim.task = set->task, .target.claim.at_once = TRUE};
        if (i > 0)
            member->target.claim.after = &member_at(set, i - 1)->target.claim;
        *ret_name = g_ptr_array_index(set->volumes, i);
        member->provider =
            snapshot_claim(&member->target, set->pool, *ret_name, CLAIM_WRITE, set->name, error);
        if (!member->provider)
            return FALSE;
    }
    return TRUE;
}

/*
 * Other operations claim a chain of images from the top down, not ordered by name. Therefore this
 * function never waits while it holds a claim.
 */
static gboolean claim_all(Set *set, GError **error)
{
    for (guint waits = 0;; waits++) {
        g_auto(VolumeClaim) other = {.task = set->task};
        g_autoptr(GError) why = NULL;
        const char *name = NULL;

        if (claim_at_once(set, &name, &why))
            return TRUE;
        release_all(set);
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_BUSY) || waits == WAITS_MAX) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        CST_TEST_POINT("vol.snapshots.wait");
        if (!volume_claim(&other, set->pool, name, CLAIM_WRITE, error))
            return FALSE;
    }
}

static gboolean snapshot_set_check_names(Set *set, GError **error)
{
    for (guint i = 0; i < set->members->len; i++) {
        Member *member = member_at(set, i);
        g_autoptr(GPtrArray) list = snapshot_list_all(member->provider, &member->target, error);

        if (!list)
            return FALSE;
        if (volume_snapshot_find(list, set->name))
            return cst_fail_snapshot_exists(member->target.volume->name, set->name, error);
    }
    return TRUE;
}

/* --- in one step ------------------------------------------------------------------------------ */

static gboolean can_be_one_step(const Set *set)
{
    if (!cst_pool_state_can_snapshot_many(member_at(set, 0)->target.claim.state))
        return FALSE;
    for (guint i = 0; i < set->members->len; i++)
        if (member_at(set, i)->provider != &snapshot_pool_provider)
            return FALSE;
    return TRUE;
}

static gboolean make_in_one_step(Set *set, GError **error)
{
    const VolumeClaim *claim = &member_at(set, 0)->target.claim;

    set->intent = volume_intent(claim, "snapshot", error);
    return set->intent && cst_pool_state_snapshot_create_many(
                              claim->state, (const char *const *)set->volumes->pdata, set->name,
                              &(CstSnapshotCreate){0}, set->task, error);
}

/* --- one after another ------------------------------------------------------------------------ */

static char *snapshot_set_field(const char *what, guint i)
{
    return g_strdup_printf("%s%u", what, i);
}

static gboolean snapshot_set_record(Set *set, GError **error)
{
    g_autoptr(GHashTable) fields = intent_fields_new();

    intent_put(fields, "snapshot", set->name);
    for (guint i = 0; i < set->members->len; i++) {
        const Member *member = member_at(set, i);
        g_autofree char *volume = snapshot_set_field("volume", i);
        g_autofree char *inside = snapshot_set_field("inside", i);

        intent_put(fields, volume, member->target.volume->name);
        intent_put(fields, inside, member->provider == &snapshot_image_provider ? "yes" : NULL);
    }
    set->intent = intent_begin_durable(set->pool, member_at(set, 0)->target.claim.state,
                                       SNAPSHOT_SET, fields, error);
    return set->intent != NULL;
}

/* A failed creation may have created the snapshot. */
static gboolean remove_tried(const Set *set, Member *member, GError **error)
{
    g_autoptr(GPtrArray) list = member->provider->list(&member->target, error);

    return list && (!volume_snapshot_find(list, set->name) ||
                    member->provider->remove(&member->target, set->name, NULL, error));
}

/*
 * Snapshots that cannot be removed now are removed by the next start, or when the storage answers.
 */
static void snapshot_set_undo(Set *set)
{
    g_autoptr(GError) why = NULL;

    CST_TEST_POINT("vol.snapshots.take_back");
    for (guint i = set->members->len; !why && i-- > 0;) {
        Member *member = member_at(set, i);

        if (member->tried)
            remove_tried(set, member, &why);
    }
    if (!why)
        return;
    cst_log(CST_LOG_WARNING, "pool '%s': snapshots '%s' are left: %s", set->pool->name, set->name,
            why->message);
    cst_intent_keep(g_steal_pointer(&set->intent));
    pool_recover_later(set->pool, member_at(set, 0)->target.claim.state);
}

/* EXISTS means that another program has created a snapshot of that name since the check. */
static gboolean make_one(Set *set, Member *member, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!cst_task_check(set->task, error))
        return FALSE;
    if (member->provider->create(&member->target, set->name, 0, set->task, &why))
        return member->tried = TRUE;
    member->tried = !g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* The next start must not remove snapshots that were reported as created. */
static gboolean end_intent(Set *set, GError **error)
{
    if (!cst_intent_end_synced(set->intent, error))
        return FALSE;
    set->intent = NULL;
    return TRUE;
}

static gboolean make_in_turn(Set *set, uint64_t *ret_span_us, GError **error)
{
    gint64 began;

    if (!snapshot_set_check_names(set, error) || !snapshot_set_record(set, error))
        return FALSE;
    began = g_get_monotonic_time();
    for (guint i = 0; i < set->members->len; i++) {
        if (!make_one(set, member_at(set, i), error)) {
            snapshot_set_undo(set);
            return FALSE;
        }
        CST_CRASH_POINT("vol.snapshots.one");
    }
    *ret_span_us = (uint64_t)(g_get_monotonic_time() - began);
    CST_CRASH_POINT("vol.snapshots.done");
    if (end_intent(set, error))
        return TRUE;
    /* The record may already be removed, and writing it again may fail, too. */
    cst_intent_end(g_steal_pointer(&set->intent));
    snapshot_set_record(set, NULL);
    snapshot_set_undo(set);
    return FALSE;
}

/* --- the call --------------------------------------------------------------------------------- */

static gboolean snapshot_set_make(CstPool *pool, const GPtrArray *volumes, const char *name,
                                  CstTask *task, CstSnapshotSet *ret_set, GError **error)
{
    g_auto(Set) set = {.pool = pool, .name = name, .task = task};
    gboolean done;

    *ret_set = (CstSnapshotSet){.one_step = TRUE};
    if (!set_begin(&set, volumes, error) || !claim_all(&set, error))
        return FALSE;
    if (set.members->len > 1 && can_be_one_step(&set)) {
        done = make_in_one_step(&set, error);
    } else {
        ret_set->one_step = set.members->len == 1;
        done = make_in_turn(&set, &ret_set->span_us, error);
    }
    for (guint i = 0; i < set.members->len; i++)
        volume_rescan(&member_at(&set, i)->target.claim);
    return done;
}

gboolean cst_vol_snapshot_create_set(CstPool *pool, const GPtrArray *volumes, const char *name,
                                     CstTask *task, CstSnapshotSet *ret_set, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "snapshot", NULL, &task);
    return job_end(&job, snapshot_set_make(pool, volumes, name, task, ret_set, error), error);
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

    return list && (!volume_snapshot_find(list, name) ||
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
