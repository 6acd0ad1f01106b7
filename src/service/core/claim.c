/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of a pool, and claims on its volumes.
 *
 * A volume has many readers or one writer. A change of the pool waits for all claims and admits no
 * new claim. The exception is a claim of an operation for which some change waits; otherwise two
 * operations and two changes could deadlock. Only pool_wait() waits while the pool's lock is held.
 * This lock guards all data here, and is not held during the operation itself.
 *
 * Each held claim has a record (VolumeHolder) in pool->claims, with a reference to the task of the
 * operation. A BUSY error contains the kind, process, user and job number of that task. No
 * operation waits for a stream, because the client decides when it ends.
 *
 * If a file is reported as changed while a writer has the volume, the writer's release rescans it.
 * Claims exist only in memory, so a crash leaves no claims. The journal and the job files record
 * the changes of the storage.
 */
#include "claim.h"

#include <inttypes.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "events.h"
#include "pool.h"
#include "scan.h"

/*
 * Describes the operation that holds a claim, as job-list does. The job number is missing until the
 * job is published. The caller frees the text.
 */
static char *work_name(CstTask *task)
{
    const char *kind = cst_task_kind(task);
    uint64_t id = cst_task_job(task);
    uid_t uid;
    pid_t pid;

    cst_task_owner(task, &uid, &pid);
    if (!kind)
        return g_strdup(_("other work"));
    if (!id)
        return g_strdup_printf(_("'%s' of process %d, user %u"), kind, (int)pid, (unsigned)uid);
    return g_strdup_printf(_("'%s' of process %d, user %u (job %" PRIu64 ")"), kind, (int)pid,
                           (unsigned)uid, (guint64)id);
}

static gboolean claim_fail_held(const VolumeHolder *holder, GError **error)
{
    g_autofree char *work = work_name(holder->task);

    return cst_fail(error, CST_ERROR_BUSY,
                    _("volume '%s' is held by %s; try again afterwards, or cancel that "
                      "(job-list, job-cancel)"),
                    holder->name, work);
}

/* --- changes of the pool ---------------------------------------------------------------------- */

static gboolean refuse_changing(const CstPool *pool, GError **error)
{
    g_autofree char *work = work_name(pool->changer);

    return cst_fail(error, CST_ERROR_BUSY,
                    _("storage pool '%s' is being changed by %s; try again afterwards"), pool->name,
                    work);
}

/*
 * Returns a claim for which a change has to wait. Prefers a claim of a stream, because the change
 * then must fail instead of waiting. Every orphan belongs to a stream (past_readers). Requires the
 * lock.
 */
static const VolumeHolder *any_holder(const CstPool *pool)
{
    const VolumeHolder *found = NULL;
    GHashTableIter iter;
    gpointer value;

    if (pool->orphans->len > 0)
        return g_ptr_array_index(pool->orphans, 0);
    g_hash_table_iter_init(&iter, pool->claims);
    while (!(found && found->stream) && g_hash_table_iter_next(&iter, NULL, &value)) {
        const GPtrArray *holders = value;

        for (guint i = 0; i < holders->len && !(found && found->stream); i++)
            found = g_ptr_array_index(holders, i);
    }
    return found;
}

/*
 * Waits until no other change of the pool is running. BUSY when the task's maximal wait is over.
 * Requires the lock.
 */
static gboolean claim_wait_for_change(CstPool *pool, CstTask *task, gint64 *since, GError **error)
{
    GError *why = NULL;

    while (pool->changing) {
        if (pool_wait(pool, task, since, &why))
            continue;
        if (!why)
            return refuse_changing(pool, error);
        g_propagate_error(error, why);
        return FALSE;
    }
    return TRUE;
}

/* Returns FALSE with UNREACHABLE while the pool's storage does not answer. Requires the lock. */
static gboolean claim_check_storage(const CstPool *pool, GError **error)
{
    return !pool->state || cst_pool_state_answers(pool->state, error);
}

/*
 * Waits until the operations on volumes have ended. Fails with BUSY at once if a holder is a
 * stream. Does not wait for operations on storage that does not answer: they may never end, and
 * stopping the pool aborts them. Requires the lock.
 */
static gboolean wait_for_claims(CstPool *pool, CstTask *task, gint64 *since, GError **error)
{
    GError *why = NULL;

    /*
     * pool_wait() releases the lock, so the holder may have been freed. Search again in each round.
     */
    while (pool->claimed > 0 && claim_check_storage(pool, NULL)) {
        const VolumeHolder *holder = any_holder(pool);

        if (!holder->stream && pool_wait(pool, task, since, &why))
            continue;
        if (!why)
            return claim_fail_held(holder->stream ? holder : any_holder(pool), error);
        g_propagate_error(error, why);
        return FALSE;
    }
    return TRUE;
}

/* Ends the change and wakes the claims that wait for its end. Requires the lock. */
static void leave_change(CstPool *pool)
{
    pool->changing = FALSE;
    g_atomic_int_set(&pool->draining, FALSE);
    g_clear_pointer(&pool->changer, cst_task_unref);
    g_cond_broadcast(&pool->cond);
}

static gboolean enter_change(CstPool *pool, CstTask *task, GError **error)
{
    gint64 since = 0;
    gboolean done;

    if (!claim_wait_for_change(pool, task, &since, error))
        return FALSE;
    /*
     * Admit no new claim from here on, so that a steady stream of short claims cannot starve the
     * change.
     */
    pool->changing = TRUE;
    g_atomic_int_set(&pool->draining, TRUE);
    pool->changer = cst_task_ref(task);
    done = wait_for_claims(pool, task, &since, error);
    g_atomic_int_set(&pool->draining, FALSE);
    if (done && pool->removed)
        done = cst_fail(error, CST_ERROR_NO_POOL, _("no storage pool with matching name '%s'"),
                        pool->name);
    if (!done)
        leave_change(pool);
    return done;
}

gboolean pool_change_begin(CstPool *pool, CstTask *task, GError **error)
{
    gboolean entered;

    g_mutex_lock(&pool->lock);
    entered = enter_change(pool, task, error);
    g_mutex_unlock(&pool->lock);
    cst_task_set_waiting(task, FALSE);
    return entered;
}

void pool_change_end(CstPool *pool)
{
    g_mutex_lock(&pool->lock);
    leave_change(pool);
    g_mutex_unlock(&pool->lock);
}

/* --- claims on volumes ------------------------------------------------------------------------ */

/*
 * Returns whether @claim can be granted while @holder has the volume. Deleting a file requires
 * exclusive access, except for downloads, which continue with their open descriptors
 * (past_readers).
 */
static gboolean is_compatible(const VolumeHolder *holder, const VolumeClaim *claim, ClaimKind kind)
{
    if (holder->kind == CLAIM_WRITE)
        return FALSE;
    return kind == CLAIM_READ || (claim->past_readers && holder->stream);
}

/*
 * Returns a holder that conflicts with @claim, preferably a stream. Returns NULL if there is no
 * conflict. Requires the pool's lock.
 */
static const VolumeHolder *find_conflict(const CstPool *pool, const VolumeClaim *claim,
                                         const char *name, ClaimKind kind)
{
    const GPtrArray *holders = g_hash_table_lookup(pool->claims, name);
    const VolumeHolder *found = NULL;

    for (guint i = 0; holders && i < holders->len && !(found && found->stream); i++) {
        const VolumeHolder *holder = g_ptr_array_index(holders, i);

        if (!is_compatible(holder, claim, kind))
            found = holder;
    }
    return found;
}

/*
 * Returns whether a change of some pool waits for a volume that this operation has claimed.
 * draining is atomic, because that pool's lock is not held here.
 */
static gboolean is_waited_for(const VolumeClaim *claim)
{
    for (const VolumeClaim *held = claim->after; held; held = held->after)
        if (held->pool && g_atomic_int_get(&held->pool->draining))
            return TRUE;
    return FALSE;
}

/*
 * Returns whether a change of the pool blocks new claims. If a change of any pool waits for this
 * operation, the operation must not wait for a change itself. Otherwise two operations and two
 * changes could deadlock.
 */
static gboolean pool_is_closed(const CstPool *pool, const VolumeClaim *claim)
{
    return pool->changing && !(pool->draining && is_waited_for(claim));
}

static gboolean refuse_claim(const CstPool *pool, const VolumeHolder *conflict, GError **error)
{
    return conflict ? claim_fail_held(conflict, error) : refuse_changing(pool, error);
}

/*
 * Returns whether the claim fails with BUSY instead of waiting. A stream may last for hours, and a
 * creation nearly as long. libvirt refuses access to a volume that is being created; only a second
 * creation of that name waits.
 */
static gboolean refuses_at_once(const VolumeHolder *holder, const VolumeClaim *claim)
{
    return holder->stream || (holder->creating && !claim->creating);
}

/*
 * Waits until the volume is free. Fails if waiting is not allowed or takes too long. Requires the
 * pool's lock.
 */
static gboolean wait_until_free(const VolumeClaim *claim, CstPool *pool, const char *name,
                                ClaimKind kind, GError **error)
{
    const VolumeHolder *conflict;
    GError *why = NULL;
    gint64 since = 0;

    /*
     * If the pool is stopped during the wait, the wait ends with STATE. Search the conflict again
     * for the message, because the earlier holder may have been freed.
     */
    while ((conflict = find_conflict(pool, claim, name, kind)) ||
           (pool->active && pool_is_closed(pool, claim))) {
        if (!pool->active)
            break;
        if (claim->at_once || (conflict && refuses_at_once(conflict, claim)))
            return refuse_claim(pool, conflict, error);
        /* The current holder may never end. */
        if (!claim_check_storage(pool, error))
            return FALSE;
        if (pool_wait(pool, claim->task, &since, &why))
            continue;
        if (!why)
            return refuse_claim(pool, find_conflict(pool, claim, name, kind), error);
        g_propagate_error(error, why);
        return FALSE;
    }
    return pool->active || pool_not_active(pool, error);
}

/*
 * Records that @claim holds @name. The pool owns the record until remove_holder(); the claim
 * borrows it. Requires the pool's lock.
 */
static VolumeHolder *claim_add_holder(CstPool *pool, const VolumeClaim *claim, const char *name,
                                      ClaimKind kind)
{
    VolumeHolder *holder = g_new0(VolumeHolder, 1);
    GPtrArray *holders = g_hash_table_lookup(pool->claims, name);

    holder->name = g_strdup(name);
    holder->kind = kind;
    holder->stream = claim->stream;
    holder->creating = claim->creating;
    holder->task = cst_task_ref(claim->task);
    if (!holders) {
        holders = g_ptr_array_new();
        g_hash_table_insert(pool->claims, g_strdup(name), holders);
    }
    g_ptr_array_add(holders, holder);
    pool->claimed++;
    return holder;
}

/*
 * Removes the record, and wakes all waiters for the volume or the pool. Requires the pool's lock.
 */
static void remove_holder(CstPool *pool, VolumeHolder *holder)
{
    GPtrArray *holders =
        holder->orphan ? pool->orphans : g_hash_table_lookup(pool->claims, holder->name);

    g_ptr_array_remove_fast(holders, holder);
    if (holders->len == 0 && !holder->orphan)
        g_hash_table_remove(pool->claims, holder->name);
    pool->claimed--;
    g_cond_broadcast(&pool->cond);
}

gboolean volume_claim(VolumeClaim *claim, CstPool *pool, const char *name, ClaimKind kind,
                      GError **error)
{
    gboolean free;

    g_mutex_lock(&pool->lock);
    free = wait_until_free(claim, pool, name, kind, error);
    if (free) {
        claim->holder = claim_add_holder(pool, claim, name, kind);
        claim->state = cst_pool_state_ref(pool->state);
    }
    g_mutex_unlock(&pool->lock);
    cst_task_set_waiting(claim->task, FALSE);
    if (!free)
        return FALSE;
    claim->pool = cst_pool_ref(pool);
    claim->name = g_strdup(name);
    claim->kind = kind;
    return TRUE;
}

gboolean volume_claim_now(VolumeClaim *claim, CstPool *pool, const char *name, ClaimKind kind,
                          CstVolume **ret_volume, GError **error)
{
    if (!volume_claim(claim, pool, name, kind, error))
        return FALSE;
    *ret_volume = pool_volume_now(pool, claim->state, name, error);
    return *ret_volume != NULL;
}

/*
 * Readers in pool->orphans do not conflict with claims on a new volume of that name. They still
 * prevent the pool from being stopped.
 */
void volume_orphan_readers(const VolumeClaim *claim)
{
    CstPool *pool = claim->pool;
    GPtrArray *holders;

    g_mutex_lock(&pool->lock);
    holders = g_hash_table_lookup(pool->claims, claim->name);
    for (guint i = holders->len; i-- > 0;) {
        VolumeHolder *holder = g_ptr_array_index(holders, i);

        if (holder == claim->holder)
            continue;
        holder->orphan = TRUE;
        g_ptr_array_add(pool->orphans, g_ptr_array_remove_index_fast(holders, i));
    }
    g_mutex_unlock(&pool->lock);
}

void volume_stream_ends(const VolumeClaim *claim)
{
    g_mutex_lock(&claim->pool->lock);
    claim->holder->stream = FALSE;
    g_mutex_unlock(&claim->pool->lock);
}

gboolean volume_defer_rescan(CstPool *pool, const char *name)
{
    const GPtrArray *holders;
    gboolean claimed = FALSE;

    g_mutex_lock(&pool->lock);
    holders = g_hash_table_lookup(pool->claims, name);
    for (guint i = 0; holders && i < holders->len && !claimed; i++)
        claimed = ((const VolumeHolder *)g_ptr_array_index(holders, i))->kind == CLAIM_WRITE;
    if (claimed)
        g_hash_table_add(pool->deferred, g_strdup(name));
    g_mutex_unlock(&pool->lock);
    return claimed;
}

void volume_rescan(const VolumeClaim *claim)
{
    if (claim->state)
        pool_rescan_volume(claim->pool, claim->state, claim->name);
}

/*
 * Rescans until the name is no longer in the list of deferred names, because more reports may
 * arrive during a scan. The scan removes the name from the list even if it fails. Requires the
 * pool's lock, which is released during each scan.
 */
static void rescan_deferred(const VolumeClaim *claim)
{
    CstPool *pool = claim->pool;

    while (g_hash_table_contains(pool->deferred, claim->name)) {
        g_autoptr(CstVolume) volume = NULL;
        gboolean changed = FALSE;

        g_mutex_unlock(&pool->lock);
        pool_scan_volume_changed(pool, claim->state, claim->name, &volume, &changed, NULL);
        if (changed) {
            pool_usage_update(pool, claim->state, NULL);
            event_emit_pool(pool, CST_EVENT_POOL_REFRESH, 0);
        }
        CST_TEST_POINT("claim.deferred.unlocked");
        g_mutex_lock(&pool->lock);
    }
}

void volume_release(VolumeClaim *claim)
{
    CstPool *pool = claim->pool;
    VolumeHolder *holder = claim->holder;

    if (!pool)
        return;
    g_clear_pointer(&claim->parts, g_ptr_array_unref);
    g_clear_pointer(&claim->image, cst_volume_unref);
    g_mutex_lock(&pool->lock);
    /* Rescan before the release, so that the next claim finds an up-to-date table. */
    if (claim->kind == CLAIM_WRITE)
        rescan_deferred(claim);
    remove_holder(pool, holder);
    g_mutex_unlock(&pool->lock);
    cst_task_unref(holder->task);
    g_free(holder->name);
    g_free(holder);
    claim->holder = NULL;
    g_clear_pointer(&claim->state, cst_pool_state_unref);
    g_clear_pointer(&claim->name, g_free);
    g_clear_pointer(&claim->pool, cst_pool_unref);
}
