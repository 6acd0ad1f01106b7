/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who works on what: changes of a pool, and claims on its volumes.
 *
 * A volume is read by many or written by one. A change of the pool waits for all claims and lets in
 * no new one, except those of work that some change waits for: otherwise two pieces of work and two
 * changes could each wait for the next. Only pool_wait() waits, with the pool's lock held. That
 * lock guards all of this and is not held while the work is done.
 *
 * A claim that is held has a record (VolumeHolder) in pool->claims, with a reference to the task
 * that works. Whoever is refused is given the task's kind, process, user and job number from there.
 * Streams are never waited for, as their client decides when they end.
 *
 * A change of a file that is reported while a writer has the volume is rescanned when the writer
 * releases it. Claims exist in memory only: a crash leaves none, and what the work did to the
 * storage is for the journal and the job files.
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
 * Names the work that a caller is refused for, as job-list shows it. The number is missing in the
 * first moments, before the job is published. The caller frees the text.
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

static gboolean refuse_held(const VolumeHolder *holder, GError **error)
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
 * With the lock held: a claim that keeps a change waiting, preferably a stream's, for which the
 * change must fail instead of waiting. An orphan always belongs to a stream (past_readers).
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
 * With the lock held: waits until no other change is under way. BUSY when the longest wait is over.
 */
static gboolean wait_for_others(CstPool *pool, CstTask *task, gint64 *since, GError **error)
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

/* With the lock held: FALSE with UNREACHABLE while the pool's storage does not answer. */
static gboolean storage_answers(const CstPool *pool, GError **error)
{
    return !pool->state || cst_pool_state_answers(pool->state, error);
}

/*
 * With the lock held: waits until the work on volumes has ended. Fails with BUSY at once when one
 * of the holders is a stream. Work in storage that does not answer is not waited for: it may never
 * end, and a stop cuts it off.
 */
static gboolean wait_for_claims(CstPool *pool, CstTask *task, gint64 *since, GError **error)
{
    GError *why = NULL;

    /*
     * The holder is looked up again in each round: pool_wait() lets go of the lock, so it may be
     * freed.
     */
    while (pool->claimed > 0 && storage_answers(pool, NULL)) {
        const VolumeHolder *holder = any_holder(pool);

        if (!holder->stream && pool_wait(pool, task, since, &why))
            continue;
        if (!why)
            return refuse_held(holder->stream ? holder : any_holder(pool), error);
        g_propagate_error(error, why);
        return FALSE;
    }
    return TRUE;
}

/* With the lock held. Also wakes the claims that wait for the change to end. */
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

    if (!wait_for_others(pool, task, &since, error))
        return FALSE;
    /*
     * From here on no new claim is let in, so that a steady stream of short claims can't starve the
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
 * Whether @claim may be granted while @holder has the volume. Deleting a file needs exclusive
 * access but for downloads, which go on with the descriptor that they have (past_readers).
 */
static gboolean is_compatible(const VolumeHolder *holder, const VolumeClaim *claim, ClaimKind kind)
{
    if (holder->kind == CLAIM_WRITE)
        return FALSE;
    return kind == CLAIM_READ || (claim->past_readers && holder->stream);
}

/*
 * With the pool's lock held: the holder that keeps @claim waiting, preferably a stream; NULL: the
 * volume is free for it.
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
 * Whether a change of some pool waits for a volume that this work holds already. That pool's lock
 * is not held here, therefore draining is atomic.
 */
static gboolean is_waited_for(const VolumeClaim *claim)
{
    for (const VolumeClaim *held = claim->after; held; held = held->after)
        if (held->pool && g_atomic_int_get(&held->pool->draining))
            return TRUE;
    return FALSE;
}

/*
 * A change of the pool waits for the claims there are: no new work before it is through. But work
 * that such a change waits for, of this pool or of another one, must not wait for one itself: two
 * pieces of work and two changes could each wait for the next.
 */
static gboolean pool_is_closed(const CstPool *pool, const VolumeClaim *claim)
{
    return pool->changing && !(pool->draining && is_waited_for(claim));
}

static gboolean refuse_claim(const CstPool *pool, const VolumeHolder *conflict, GError **error)
{
    return conflict ? refuse_held(conflict, error) : refuse_changing(pool, error);
}

/*
 * A stream may last for hours and a creation nearly as long. libvirt refuses access to a volume
 * that is being created; only a second creation of that name waits.
 */
static gboolean refuses_at_once(const VolumeHolder *holder, const VolumeClaim *claim)
{
    return holder->stream || (holder->creating && !claim->creating);
}

/* With the pool's lock held: until the volume is free, or there is no more waiting for it. */
static gboolean wait_until_free(const VolumeClaim *claim, CstPool *pool, const char *name,
                                ClaimKind kind, GError **error)
{
    const VolumeHolder *conflict;
    GError *why = NULL;
    gint64 since = 0;

    /*
     * A pool that is stopped while we wait ends the wait with STATE. The conflict is searched anew
     * for the message, as the one from before the wait may have been freed.
     */
    while ((conflict = find_conflict(pool, claim, name, kind)) ||
           (pool->active && pool_is_closed(pool, claim))) {
        if (!pool->active)
            break;
        if (claim->at_once || (conflict && refuses_at_once(conflict, claim)))
            return refuse_claim(pool, conflict, error);
        /* Whoever has it may never come back. */
        if (!storage_answers(pool, error))
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
 * With the pool's lock held: records that @claim has @name. The pool owns the record until
 * remove_holder(), and the claim borrows it.
 */
static VolumeHolder *add_holder(CstPool *pool, const VolumeClaim *claim, const char *name,
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
 * With the pool's lock held: takes the record out, and wakes whoever waits for the volume or the
 * pool.
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
        claim->holder = add_holder(pool, claim, name, kind);
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
 * Moved out of pool->claims, the remaining readers no longer conflict with claims on a new volume
 * of that name; in pool->orphans they still keep the pool from being stopped.
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
 * With the pool's lock held, which is released during each scan. More reports may arrive in that
 * time, so it repeats until the name is no longer listed; the scan takes it off the list even if it
 * fails.
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
    /* Before the volume is let go, so that the next claim finds a table that is up to date. */
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
