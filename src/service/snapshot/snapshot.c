/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots of a volume, by its provider (provider.h).
 *
 * Every call claims the volume: for reading to list, for writing to change. A change by the image
 * engine is atomic. A change by the pool's technology takes more than one step, so an intent is in
 * the journal for its duration. After a crash the backend drops or completes it. The volume is
 * rescanned after each change, including failed ones.
 */
#include "provider.h"

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/text.h>

#include "core/events.h"
#include "core/intent.h"
#include "core/job.h"
#include "core/live.h"
#include "core/service.h"
#include "dependency/guard.h"
#include "volume/tags.h"

/* --- the calls -------------------------------------------------------------------------------- */

GPtrArray *cst_vol_snapshots(CstPool *pool, const char *volume, CstTask *task, GError **error)
{
    g_auto(SnapshotTarget) target = {.claim.task = task};
    const SnapshotProvider *provider =
        snapshot_claim(&target, pool, volume, CLAIM_READ, NULL, error);

    return provider ? snapshot_list_all(provider, &target, error) : NULL;
}

/** A change of a volume's snapshots. */
typedef struct SnapshotChange SnapshotChange;

struct SnapshotChange {
    const char *kind; /* of the job */
    gboolean (*run)(const SnapshotProvider *provider, SnapshotTarget *target,
                    const SnapshotChange *change, CstTask *task, GError **error);
    const char *name;          /* of the snapshot */
    const char *new_name;      /* rename */
    const char *const *agreed; /* revert: snapshots that may be destroyed; NULL: no snapshots */
};

/* If the intent cannot be recorded, the change does not begin. */
static gboolean change_claimed(CstPool *pool, const char *volume, const SnapshotChange *change,
                               CstTask *task, GError **error)
{
    g_auto(SnapshotTarget) target = {.claim.task = task};
    const SnapshotProvider *provider =
        snapshot_claim(&target, pool, volume, CLAIM_WRITE, change->name, error);
    CstIntent *intent = NULL;
    gboolean done;

    if (provider == &snapshot_pool_provider)
        intent = volume_intent(&target.claim, "snapshot", error);
    CST_CRASH_POINT("vol.snapshot.begun");
    done = provider && (provider != &snapshot_pool_provider || intent) &&
           change->run(provider, &target, change, task, error);
    CST_CRASH_POINT("vol.snapshot.done");
    cst_intent_end(intent);
    volume_rescan(&target.claim);
    return done;
}

static gboolean snapshot_change_run(CstPool *pool, const char *volume, const SnapshotChange *change,
                                    CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, change->kind, volume, &task);
    return job_end(&job, change_claimed(pool, volume, change, task, error), error);
}

/* A live snapshot needs no claim, because it is no content of the volume. */
static gboolean live_changed(LiveSet *live, guint index, const char *since, CstChanged *changed,
                             GError **error)
{
    g_autoptr(GError) why = NULL;

    if (live_set_changed(live, index, since, changed, &why))
        return live_set_check(live, error);
    /* Lost changes are no reason for the end of the job. */
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND) &&
        !g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        live_set_explain(live, &why);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean cst_vol_changed(CstPool *pool, const char *volume, const char *since, const char *until,
                         CstTask *task, CstChanged *changed, GError **error)
{
    g_auto(SnapshotTarget) target = {.claim.task = task};
    const SnapshotProvider *provider;
    g_autoptr(LiveSet) live = NULL;
    guint index = 0;

    if (until && g_str_has_prefix(until, CST_LIVE_PREFIX))
        live = live_set_find(pool->service, pool->name, volume, until, &index);
    if (live)
        return live_changed(live, index, since, changed, error);
    provider = snapshot_claim(&target, pool, volume, CLAIM_READ, since, error);
    return provider && provider->changed(&target, since, until, task, changed, error);
}

/*
 * Returns the snapshots that a revert would destroy. A revert by the image keeps all snapshots
 * inside of it. The pool replaces the whole file, so the snapshots that were made inside of the
 * image since then are lost.
 */
static GPtrArray *lost_by_revert(const SnapshotProvider *provider, SnapshotTarget *target,
                                 const char *name, GError **error)
{
    g_autoptr(GPtrArray) lost = NULL;

    if (provider != &snapshot_pool_provider)
        return g_ptr_array_new();
    lost = cst_pool_state_snapshot_revert_loses(target->claim.state, target->volume->name, name,
                                                error);
    return lost && snapshot_inside_lost(target, name, lost, error) ? g_steal_pointer(&lost) : NULL;
}

GPtrArray *cst_vol_snapshot_revert_loses(CstPool *pool, const char *volume, const char *name,
                                         CstTask *task, GError **error)
{
    g_auto(SnapshotTarget) target = {.claim.task = task};
    const SnapshotProvider *provider =
        snapshot_claim(&target, pool, volume, CLAIM_READ, name, error);

    return provider ? lost_by_revert(provider, &target, name, error) : NULL;
}

/*
 * Returns the snapshots that a revert destroys. Fails with BUSY, naming them, if the user has not
 * agreed to all.
 */
static GPtrArray *agreed_loss(const SnapshotProvider *provider, SnapshotTarget *target,
                              const SnapshotChange *change, GError **error)
{
    g_autoptr(GPtrArray) lost = lost_by_revert(provider, target, change->name, error);
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; lost && i < lost->len; i++) {
        const char *name = g_ptr_array_index(lost, i);

        if (!change->agreed || !g_strv_contains(change->agreed, name))
            g_string_append_printf(names, "%s'%s'", names->len > 0 ? ", " : "", name);
    }
    if (!lost || names->len == 0)
        return g_steal_pointer(&lost);
    cst_fail(error, CST_ERROR_BUSY,
             _("reverting volume '%s' to snapshot '%s' would remove its newer snapshots: "
               "%s; agree to that, or delete them"),
             target->volume->name, change->name, names->str);
    return NULL;
}

/* The pool replaces the file, and so the reference to the backing file. */
static gboolean revert_keeps_backing(const SnapshotProvider *provider, SnapshotTarget *target,
                                     const char *name, GError **error)
{
    g_autofree char *after = NULL;

    if (provider != &snapshot_pool_provider)
        return TRUE;
    if (!volume_kept_backing(target->claim.state, target->volume, name, &after, error))
        return FALSE;
    return volume_backing_not_kept(target->claim.state, target->volume, after, error);
}

/* Reserves the bytes by which the promise of the volume grows: it gets the size of the snapshot. */
static gboolean revert_promise(const SnapshotProvider *provider, SnapshotTarget *target,
                               const char *name, GError **error)
{
    g_autoptr(GPtrArray) snapshots = provider->list(target, error);
    const CstSnapshot *snapshot = snapshots ? cst_snapshot_find(snapshots, name) : NULL;
    PromiseRequest request = {.name = target->claim.name};

    if (!snapshots)
        return FALSE;
    /* A missing snapshot is reported by the revert itself. */
    if (!snapshot || snapshot->capacity <= target->volume->capacity)
        return TRUE;
    request.more = cst_volume_promise_at(target->volume, snapshot->capacity) -
                   cst_volume_promise(target->volume);
    return pool_promise_reserve(&target->promise, target->claim.pool, target->claim.state, &request,
                                error);
}

/* A revert changes the content for guests, and for images based on this one. */
static gboolean snapshot_change_revert(const SnapshotProvider *provider, SnapshotTarget *target,
                                       const SnapshotChange *change, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) lost = volume_not_shown(&target->claim, error) &&
                                        revert_keeps_backing(provider, target, change->name, error)
                                    ? agreed_loss(provider, target, change, error)
                                    : NULL;

    if (!lost || !revert_promise(provider, target, change->name, error) ||
        !provider->revert(target, change->name, lost, task, error))
        return FALSE;
    for (guint i = 0; i < lost->len; i++)
        volume_tags_forget(target->claim.pool, target->claim.name, g_ptr_array_index(lost, i));
    event_record_volume(target->claim.pool, CST_EVENT_VOLUME_REVERTED, target->claim.name,
                        change->name);
    return TRUE;
}

gboolean cst_vol_snapshot_revert(CstPool *pool, const char *volume, const char *name,
                                 const char *const *agreed, CstTask *task, GError **error)
{
    const SnapshotChange change = {"revert", snapshot_change_revert, .name = name,
                                   .agreed = agreed};

    return snapshot_change_run(pool, volume, &change, task, error);
}

/*
 * A snapshot that the pool keeps does not share tables with the volume, so a guest may have the
 * volume open.
 */
static gboolean snapshot_change_delete(const SnapshotProvider *provider, SnapshotTarget *target,
                                       const SnapshotChange *change, CstTask *task, GError **error)
{
    if ((provider != &snapshot_pool_provider && !volume_not_held(&target->claim, error)) ||
        !provider->remove(target, change->name, task, error))
        return FALSE;
    volume_tags_forget(target->claim.pool, target->claim.name, change->name);
    event_record_volume(target->claim.pool, CST_EVENT_SNAPSHOT_DELETED, target->claim.name,
                        change->name);
    return TRUE;
}

gboolean cst_vol_snapshot_delete(CstPool *pool, const char *volume, const char *name, CstTask *task,
                                 GError **error)
{
    const SnapshotChange change = {"delete", snapshot_change_delete, .name = name};

    return snapshot_change_run(pool, volume, &change, task, error);
}

/*
 * The snapshot has its tags under both names during the rename, so that a kill does not lose them.
 * A record without a snapshot has no meaning.
 */
static gboolean snapshot_rename_with_tags(const SnapshotProvider *provider, SnapshotTarget *target,
                                          const SnapshotChange *change, GError **error)
{
    const VolumeClaim *claim = &target->claim;
    const CstTagKey from = {claim->pool->uuid, claim->name, change->name};
    const CstTagKey to = {claim->pool->uuid, claim->name, change->new_name};

    if (!cst_dry_run() && !cst_tag_store_copy(claim->pool->service->tags, &from, &to, error))
        return FALSE;
    CST_CRASH_POINT("vol.snapshot.tagged");
    if (!provider->rename(target, change->name, change->new_name, error))
        return FALSE;
    volume_tags_forget(claim->pool, claim->name, change->name);
    event_record_snapshot_rename(claim->pool, claim->name, change->name, change->new_name);
    return TRUE;
}

static gboolean snapshot_change_rename(const SnapshotProvider *provider, SnapshotTarget *target,
                                       const SnapshotChange *change, CstTask *task, GError **error)
{
    const char *name = change->new_name;

    if (provider == &snapshot_pool_provider
            ? !cst_pool_state_name_check(target->claim.state, name, _("snapshot"), error)
            : !(cst_name_check(name, _("snapshot"), error) &&
                cst_text_name_check(name, _("snapshot"), error)))
        return FALSE;
    return snapshot_check_name_free(target, name, error) &&
           snapshot_rename_with_tags(provider, target, change, error);
}

gboolean cst_vol_snapshot_rename(CstPool *pool, const char *volume, const char *name,
                                 const char *new_name, CstTask *task, GError **error)
{
    const SnapshotChange change = {"rename", snapshot_change_rename, .name = name,
                                   .new_name = new_name};

    return snapshot_change_run(pool, volume, &change, task, error);
}
