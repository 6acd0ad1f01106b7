/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life and state of a pool object, and waiting for a change of it. Other files have its
 * contents: the table of volumes (table.c), the scans (scan.c), volumes being created (draft.c),
 * and claims (claim.c).
 */
#include "pool.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "kept_table.h"
#include "service.h"
#include "storage_index.h"
#include "trash_table.h"

void pool_draft_free(VolumeDraft *draft)
{
    cst_volume_unref(draft->volume);
    g_clear_pointer(&draft->blob, cst_blob_unref);
    g_free(draft);
}

/* A process that used the pool may have died, so recovery is needed until it has been tried. */
CstPool *pool_new(CstService *service, CstPoolDef *def)
{
    CstPool *pool = g_new0(CstPool, 1);

    pool->refs = 1;
    pool->service = service;
    pool->name = g_strdup(def->name);
    pool->uuid = def->uuid;
    pool->def = def;
    pool->usage = CST_POOL_USAGE_UNKNOWN;
    pool->needs_recovery = TRUE;
    g_mutex_init(&pool->lock);
    g_cond_init(&pool->cond);
    pool->volumes = volume_table_new();
    pool->moving = volume_table_new();
    pool->claims =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    pool->drafts =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)pool_draft_free);
    pool->kept = kept_snapshots_new();
    pool->promises = g_ptr_array_new();
    pool->copies = g_ptr_array_new();
    g_queue_init(&pool->copy_queue);
    pool->copy_users = g_hash_table_new(NULL, NULL);
    pool->orphans = g_ptr_array_new();
    pool->name_scans = g_ptr_array_new();
    pool->deferred = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    pool->stale = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    pool->storage_index = storage_index_ref(service->storage_index);
    storage_index_update(pool);
    return pool;
}

CstPool *cst_pool_ref(CstPool *pool)
{
    g_atomic_int_inc(&pool->refs);
    return pool;
}

/* The last reference is gone. No thread waits, claims or scans any more, so no lock is needed. */
void cst_pool_unref(CstPool *pool)
{
    if (!pool || !g_atomic_int_dec_and_test(&pool->refs))
        return;
    storage_index_remove(pool);
    storage_index_unref(pool->storage_index);
    volume_table_free(pool->volumes);
    volume_table_free(pool->moving);
    trash_totals_unref(pool->trash_totals);
    g_clear_pointer(&pool->trash_names, g_ptr_array_unref);
    g_free(pool->trash_names_stamp);
    g_clear_pointer(&pool->sorted, g_ptr_array_unref);
    g_hash_table_unref(pool->drafts);
    g_hash_table_unref(pool->claims);
    kept_snapshots_free(pool->kept);
    g_ptr_array_unref(pool->promises);
    g_ptr_array_unref(pool->copies);
    g_hash_table_unref(pool->copy_users);
    g_ptr_array_unref(pool->orphans);
    g_ptr_array_unref(pool->name_scans);
    g_hash_table_unref(pool->deferred);
    g_hash_table_unref(pool->stale);
    cst_pool_state_unref(pool->state);
    cst_pool_def_free(pool->def);
    cst_pool_def_free(pool->new_def);
    g_free(pool->growth_problem);
    cst_fullness_free(pool->fullness);
    g_mutex_clear(&pool->lock);
    g_cond_clear(&pool->cond);
    g_free(pool->problem);
    g_free(pool->storage_paths);
    g_clear_pointer(&pool->storage, g_array_unref);
    cst_task_unref(pool->reader);
    g_free(pool->name);
    g_free(pool);
}

const char *cst_pool_name(const CstPool *pool)
{
    return pool->name;
}

const CstUuid *cst_pool_uuid(const CstPool *pool)
{
    return &pool->uuid;
}

gboolean cst_pool_is_active(CstPool *pool)
{
    gboolean active;

    g_mutex_lock(&pool->lock);
    active = pool->active;
    g_mutex_unlock(&pool->lock);
    return active;
}

gboolean(pool_not_active)(const CstPool *pool, GError **error)
{
    return cst_fail(error, CST_ERROR_STATE, _("storage pool '%s' is not active"), pool->name);
}

gboolean pool_check_promise(CstPool *pool, GError **error)
{
    g_autofree char *problem = NULL;

    g_mutex_lock(&pool->lock);
    problem = pool->growth_refuses ? g_strdup(pool->growth_problem) : NULL;
    g_mutex_unlock(&pool->lock);
    return !problem || cst_fail(error, CST_ERROR_NO_SPACE,
                                _("pool '%s' accepts no new volumes and snapshots, because its "
                                  "volumes may run out of space: %s"),
                                pool->name, problem);
}

/*
 * The reference keeps the state valid, and does not keep the pool active. A caller that needs the
 * storage to stay available holds a claim or the pool's change.
 */
CstPoolState *pool_state_get(CstPool *pool, GError **error)
{
    CstPoolState *state;

    g_mutex_lock(&pool->lock);
    state = pool->active ? cst_pool_state_ref(pool->state) : NULL;
    g_mutex_unlock(&pool->lock);
    if (!state)
        pool_not_active(pool, error);
    return state;
}

CstPoolState *pool_state_open(CstPool *pool, GError **error)
{
    g_autoptr(CstPoolDef) def = NULL;

    g_mutex_lock(&pool->lock);
    def = cst_pool_def_copy(pool->def);
    g_mutex_unlock(&pool->lock);
    return cst_pool_state_open(def, &pool->service->pool_host, error);
}

gboolean pool_state_is_current(const CstPool *pool, const CstPoolState *state)
{
    return state == pool->state || state == pool->next_state;
}

/*
 * Records that an active pool has become inaccessible, or accessible again. Requires the lock, so
 * that the events have the order of the states.
 */
static void pool_record_access(CstPool *pool, const char *problem, gboolean inaccessible)
{
    g_autofree char *message =
        inaccessible ? g_strdup_printf(_("pool '%s' is inaccessible: %s"), pool->name, problem)
                     : g_strdup_printf(_("pool '%s' is accessible"), pool->name);

    if (inaccessible)
        event_log_add(pool->service->events, CST_EVENT_POOL_INACCESSIBLE, "pool", pool->name,
                      message);
    else
        event_log_add_end(pool->service->events, CST_EVENT_POOL_INACCESSIBLE, "pool", pool->name,
                          message);
}

/* @state NULL: for any state of the pool. */
static void pool_replace_problem(CstPool *pool, const CstPoolState *state, const char *problem,
                                 gboolean inaccessible)
{
    g_mutex_lock(&pool->lock);
    if (!state || pool_state_is_current(pool, state)) {
        char *text = g_strdup(problem);
        gboolean changed;

        g_free(pool->problem);
        pool->problem = text;
        changed = pool->inaccessible != inaccessible ||
                  (!pool->access_recorded && pool->service->mode == CST_SERVICE_DAEMON);
        pool->inaccessible = inaccessible;
        pool->access_recorded = TRUE;
        if (changed)
            pool_record_access(pool, problem, inaccessible);
    }
    g_mutex_unlock(&pool->lock);
}

void pool_set_problem(CstPool *pool, const char *problem, gboolean inaccessible)
{
    pool_replace_problem(pool, NULL, problem, inaccessible);
}

void pool_set_problem_of(CstPool *pool, const CstPoolState *state, const char *problem,
                         gboolean inaccessible)
{
    pool_replace_problem(pool, state, problem, inaccessible);
}

/* --- waiting ---------------------------------------------------------------------------------- */

/*
 * Cancelling a task does not signal the condition. Waits with a task therefore end at least this
 * often.
 */
#define CANCEL_POLL_US (50 * G_TIME_SPAN_MILLISECOND)

gboolean pool_wait(CstPool *pool, CstTask *task, gint64 *since, GError **error)
{
    gint64 now = g_get_monotonic_time(), most = cst_task_max_wait(task);

    if (*since == 0)
        *since = now;
    if (most && now - *since >= most)
        return FALSE;
    cst_task_set_waiting(task, TRUE);
    CST_TEST_POINT("pool.wait");
    if (task)
        g_cond_wait_until(&pool->cond, &pool->lock, now + CANCEL_POLL_US);
    else
        g_cond_wait(&pool->cond, &pool->lock);
    return !cst_task_cancelled(task) || cst_task_check(task, error);
}

/* --- recovery --------------------------------------------------------------------------------- */

gboolean pool_recovers_late(CstPool *pool, CstPoolState *state)
{
    gboolean late;

    g_mutex_lock(&pool->lock);
    late = pool->recovers_late || cst_pool_state_is_remote(state);
    g_mutex_unlock(&pool->lock);
    return late;
}

void pool_recover(CstPool *pool, CstPoolState *state)
{
    gboolean needed;

    if (!pool_recovers_late(pool, state))
        return;
    g_mutex_lock(&pool->lock);
    needed = pool->needs_recovery;
    pool->needs_recovery = FALSE;
    g_mutex_unlock(&pool->lock);
    /*
     * The hook may find that recovery is incomplete, and sets the flag again
     * (pool_recover_later()).
     */
    if (needed)
        pool->service->hooks->recover(pool, state);
}

void pool_recover_local_later(CstPool *pool, CstPoolState *state)
{
    g_mutex_lock(&pool->lock);
    pool->recovers_late = TRUE;
    g_mutex_unlock(&pool->lock);
    pool_recover_later(pool, state);
}

void pool_recover_later(CstPool *pool, CstPoolState *state)
{
    if (!pool_recovers_late(pool, state))
        return;
    g_mutex_lock(&pool->lock);
    pool->needs_recovery = TRUE;
    g_mutex_unlock(&pool->lock);
    pool->service->hooks->retry(pool);
}
