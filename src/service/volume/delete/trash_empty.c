/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Permanent removal of volumes in the trash, on request and after the end of their retention.
 *
 * Volumes are removed in groups, because each sync of a directory costs more than a removal. The
 * steps of a group:
 *
 *     1. Each volume is claimed and checked. A volume that must stay is released again.
 *     2. The backend removes the volumes, and makes that durable with one sync.
 *     3. The records of the removed volumes are removed, with one sync.
 *     4. The claims are released.
 *
 * A kill during step 2 or 3, or a power loss, leaves records without volumes, and no volume without
 * its record. The next removal drops these records. It syncs the pool's directory before, because
 * the sync of step 2 may be missing. A backend without CstBackend.vols_delete, and a dry run, have
 * groups of one volume.
 *
 * All groups claim their volumes in the order of the list of records, and a restore claims one
 * volume of the trash. So no two operations wait for each other. A task that is cancelled stops
 * between two groups.
 */
#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/log.h>
#include <base/test_point.h>
#include <service/trash.h>

#include "core/job.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/trash_totals.h"
#include "dependency/guard.h"
#include "remove.h"
#include "trash.h"
#include "volume/declare.h"
#include "volume/tags.h"

/* Volumes of a group. The claims are held until the end of the group. */
#define GROUP_MAX 256

typedef struct {
    CstPool *pool;
    int64_t deleted_before; /* only volumes deleted at this time or earlier */
    int64_t kept_until;     /* only volumes with an end of retention at this time or earlier */
    gboolean at_once;       /* fail with BUSY instead of waiting for other operations */
    CstTask *task;
    guint count;
    uint64_t bytes;
} Emptying;

/* --- a group ---------------------------------------------------------------------------------- */

typedef struct {
    const CstTrashed *trashed;
    VolumeClaim claim;
    CstVolume *volume; /* NULL: the record has no volume */
    unsigned flags;    /* of the deletion */
    GError *error;     /* NULL: the record has been removed, and the volume */
} Removal;

static gboolean removal_check(const Emptying *emptying, Removal *removal, GError **error)
{
    VolumeClaim *claim = &removal->claim;

    CST_TEST_POINT("trash.remove.found");
    if (!volume_claim(claim, emptying->pool, removal->trashed->hidden, CLAIM_WRITE, error) ||
        !cst_pool_state_scan_any(claim->state, removal->trashed->hidden, NULL, &removal->volume,
                                 error))
        return FALSE;
    removal->flags = CST_VOL_DELETE_WITH_SNAPSHOTS;
    return !removal->volume ||
           (volume_not_open(claim, error) && volume_not_needed(claim, error) &&
            volume_drop_snapshots(claim, removal->volume, &removal->flags, emptying->task, error));
}

/* Claims and checks the volumes. */
static void group_prepare(const Emptying *emptying, Removal *group, guint count)
{
    const VolumeClaim *last = NULL;

    for (guint i = 0; i < count; i++) {
        Removal *removal = &group[i];

        removal->claim =
            (VolumeClaim){.task = emptying->task, .at_once = emptying->at_once, .after = last};
        if (removal_check(emptying, removal, &removal->error))
            last = &removal->claim;
        else
            volume_release(&removal->claim);
    }
}

/* Removes the checked volumes. A record without a volume waits for the sync, too. */
static void group_remove_volumes(Emptying *emptying, Removal *group, guint count)
{
    g_autofree CstVolDeletion *deletions = g_new0(CstVolDeletion, count);
    g_autoptr(GError) why = NULL;
    CstPoolState *state = NULL;
    guint used = 0;

    for (guint i = 0; i < count; i++) {
        if (group[i].error)
            continue;
        state = group[i].claim.state;
        if (group[i].volume)
            deletions[used++] =
                (CstVolDeletion){.name = group[i].claim.name, .flags = group[i].flags};
    }
    if (!state)
        return;
    cst_pool_state_delete_many(state, deletions, used, &why);
    CST_CRASH_POINT("trash.remove.deleted");
    used = 0;
    for (guint i = 0; i < count; i++) {
        if (group[i].error)
            continue;
        if (group[i].volume)
            group[i].error = deletions[used++].error;
        if (why && !group[i].error)
            group[i].error = g_error_copy(why);
        if (group[i].error || !group[i].volume)
            continue;
        trust_forget(&group[i].claim, group[i].volume);
        volume_tags_forget(emptying->pool, group[i].claim.name, NULL);
        emptying->count++;
        emptying->bytes += group[i].volume->allocation;
    }
}

static void group_remove_records(CstPool *pool, Removal *group, guint count)
{
    g_autofree const char **hidden = g_new0(const char *, count + 1);
    g_autoptr(GError) why = NULL;
    guint used = 0;

    for (guint i = 0; i < count; i++)
        if (!group[i].error && (group[i].volume || !cst_dry_run()))
            hidden[used++] = group[i].trashed->hidden;
    if (cst_trash_remove_many(pool->service->paths, &pool->uuid, hidden, used, &why))
        return;
    /* Records remain without volumes. */
    trash_totals_forget(pool);
    for (guint i = 0; i < count; i++)
        if (!group[i].error)
            group[i].error = g_error_copy(why);
}

/* The newest claim is released first, because it refers to the claim before it. */
static void group_release(Removal *group, guint count)
{
    for (guint i = count; i-- > 0;) {
        volume_release(&group[i].claim);
        g_clear_pointer(&group[i].volume, cst_volume_unref);
    }
}

/* Every further volume would wait for the same unreachable storage. */
static gboolean is_out_of_reach(const GError *why)
{
    return g_error_matches(why, CST_ERROR, CST_ERROR_UNREACHABLE);
}

/* --- all groups ------------------------------------------------------------------------------- */

/* A volume that stays in the trash. @trashed is borrowed. */
typedef struct {
    const CstTrashed *trashed;
    GError *error; /* NULL: it was not tried */
} Left;

static void left_clear(gpointer data)
{
    g_clear_error(&((Left *)data)->error);
}

/*
 * Removes up to @count volumes, and appends the remaining ones to @left. Returns FALSE if further
 * groups would fail, too.
 */
static gboolean group_run(Emptying *emptying, const CstTrashed *const *records, guint count,
                          GArray *left)
{
    g_autofree Removal *group = g_new0(Removal, count);
    gboolean reached = TRUE;

    for (guint i = 0; i < count; i++)
        group[i].trashed = records[i];
    group_prepare(emptying, group, count);
    group_remove_volumes(emptying, group, count);
    group_remove_records(emptying->pool, group, count);
    group_release(group, count);
    for (guint i = 0; i < count; i++) {
        const Left one = {group[i].trashed, group[i].error};

        reached &= !is_out_of_reach(one.error);
        if (one.error)
            g_array_append_val(left, one);
        else
            cst_task_advance(emptying->task, 1);
    }
    return reached;
}

/* Tries to remove each of @records once. Returns the remaining ones (Left). */
static GArray *empty_each(Emptying *emptying, guint group_max, const CstTrashed *const *records,
                          guint count)
{
    GArray *left = g_array_new(FALSE, FALSE, sizeof(Left));
    gboolean stop = FALSE;

    g_array_set_clear_func(left, left_clear);
    for (guint first = 0; first < count; first += group_max) {
        guint size = MIN(group_max, count - first);
        Left untried = {0};

        stop = stop || !cst_task_check(emptying->task, &untried.error);
        if (!stop) {
            stop = !group_run(emptying, records + first, size, left);
            continue;
        }
        for (guint i = 0; i < size; i++) {
            untried.trashed = records[first + i];
            g_array_append_val(left, untried);
            untried.error = NULL;
        }
    }
    return left;
}

/*
 * Base images can be removed only after their overlays in the trash. Therefore it repeats while any
 * volume was removed. @chosen: of CstTrashed *. Returns the remaining ones (Left).
 */
static GArray *empty_all(Emptying *emptying, CstPoolState *state, const GPtrArray *chosen)
{
    guint group_max = cst_pool_state_groups_deletions(state) ? GROUP_MAX : 1, before = 0;
    GArray *left =
        empty_each(emptying, group_max, (const CstTrashed *const *)chosen->pdata, chosen->len);

    while (left->len > 0 && emptying->count > before) {
        g_autofree const CstTrashed **again = g_new0(const CstTrashed *, left->len);
        guint count = left->len;

        before = emptying->count;
        for (guint i = 0; i < count; i++)
            again[i] = g_array_index(left, Left, i).trashed;
        g_array_unref(left);
        left = empty_each(emptying, group_max, again, count);
    }
    if (emptying->count > 0)
        pool_usage_update(emptying->pool, state, NULL);
    return left;
}

/* The records that the limits of @emptying permit, borrowed from @records. @only (may be NULL). */
static GPtrArray *choose_records(const Emptying *emptying, const GPtrArray *records,
                                 const CstTrashed *only)
{
    GPtrArray *chosen = g_ptr_array_new();

    for (guint i = 0; i < records->len; i++) {
        CstTrashed *trashed = g_ptr_array_index(records, i);

        if (trashed->deleted <= emptying->deleted_before &&
            trashed->until <= emptying->kept_until && (!only || trashed == only))
            g_ptr_array_add(chosen, trashed);
    }
    return chosen;
}

void trash_expire(CstPool *pool, CstPoolState *state)
{
    Emptying emptying = {
        .pool = pool, .deleted_before = G_MAXINT64, .kept_until = trash_now_s(), .at_once = TRUE};
    g_autoptr(GPtrArray) records = cst_dry_run() ? NULL : trash_records(pool, NULL);
    g_autoptr(GPtrArray) chosen = records ? choose_records(&emptying, records, NULL) : NULL;
    g_autoptr(GArray) left = chosen ? empty_all(&emptying, state, chosen) : NULL;

    for (guint i = 0; left && i < left->len; i++) {
        const Left *one = &g_array_index(left, Left, i);

        if (one->error)
            cst_log(CST_LOG_WARNING, "pool '%s': volume '%s' stays in the trash: %s", pool->name,
                    one->trashed->name, one->error->message);
    }
    if (emptying.count > 0)
        cst_log(CST_LOG_INFO, "pool '%s': %u volumes were kept for their days and are removed",
                pool->name, emptying.count);
}

/* Returns FALSE with the first error if a volume stays. */
static gboolean left_report(GArray *left, GError **error)
{
    for (guint i = 0; i < left->len; i++) {
        Left *one = &g_array_index(left, Left, i);

        if (!one->error)
            continue;
        g_propagate_error(error, g_steal_pointer(&one->error));
        return FALSE;
    }
    return TRUE;
}

static gboolean trash_empty_records(Emptying *emptying, const char *which, GError **error)
{
    CstPool *pool = emptying->pool;
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(GPtrArray) records = state ? trash_records(pool, error) : NULL;
    const CstTrashed *one =
        records && which ? trash_find_record(state, records, which, error) : NULL;
    g_autoptr(GPtrArray) chosen = NULL;
    g_autoptr(GArray) left = NULL;

    if (!records || (which && !one))
        return FALSE;
    chosen = choose_records(emptying, records, one);
    cst_task_set_total(emptying->task, chosen->len);
    left = empty_all(emptying, state, chosen);
    return left_report(left, error);
}

gboolean cst_pool_trash_empty(CstPool *pool, const char *which, int64_t older_than, CstTask *task,
                              guint *ret_count, uint64_t *ret_bytes, GError **error)
{
    g_auto(Job) job = {0};
    /* "All" includes volumes that were deleted before the clock was set back. */
    Emptying emptying = {.pool = pool,
                         .deleted_before = older_than ? trash_now_s() - older_than : G_MAXINT64,
                         .kept_until = G_MAXINT64};
    gboolean done;

    job_begin(&job, pool, "trash-empty", which, &task);
    emptying.task = task;
    done = job_end(&job, trash_empty_records(&emptying, which, error), error);
    *ret_count = emptying.count;
    *ret_bytes = emptying.bytes;
    return done;
}
