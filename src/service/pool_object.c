/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool_object.h"

#include <base/error.h>
#include <base/i18n.h>

#include "service_private.h"

CstPool *pool_new(CstService *service, CstPoolDef *def)
{
    CstPool *pool = g_new0(CstPool, 1);

    pool->refs = 1;
    pool->service = service;
    pool->name = g_strdup(def->name);
    pool->uuid = def->uuid;
    pool->def = def;
    pool->usage = CST_POOL_USAGE_UNKNOWN;
    pool->unsettled = TRUE;
    g_mutex_init(&pool->lock);
    g_cond_init(&pool->cond);
    pool->volumes =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)cst_volume_unref);
    pool->claims = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    pool->put_off = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return pool;
}

CstPool *cst_pool_ref(CstPool *pool)
{
    g_atomic_int_inc(&pool->refs);
    return pool;
}

void cst_pool_unref(CstPool *pool)
{
    if (!pool || !g_atomic_int_dec_and_test(&pool->refs))
        return;
    pool_table_clear(pool);
    g_hash_table_unref(pool->volumes);
    g_hash_table_unref(pool->claims);
    g_hash_table_unref(pool->put_off);
    cst_pool_state_unref(pool->state);
    cst_pool_def_free(pool->def);
    cst_pool_def_free(pool->new_def);
    cst_fullness_free(pool->fullness);
    g_mutex_clear(&pool->lock);
    g_cond_clear(&pool->cond);
    g_free(pool->problem);
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

/* --- turns ------------------------------------------------------------------------------------ */

gboolean pool_change_begin(CstPool *pool, GError **error)
{
    gboolean removed;

    g_mutex_lock(&pool->lock);
    while (pool->changing)
        g_cond_wait(&pool->cond, &pool->lock);
    pool->changing = pool->draining = TRUE;
    while (pool->claimed > 0)
        g_cond_wait(&pool->cond, &pool->lock);
    pool->draining = FALSE;
    removed = pool->removed;
    g_mutex_unlock(&pool->lock);
    if (!removed)
        return TRUE;
    pool_change_end(pool);
    return cst_fail(error, CST_ERROR_NO_POOL, _("no storage pool with matching name '%s'"),
                    pool->name);
}

void pool_change_end(CstPool *pool)
{
    g_mutex_lock(&pool->lock);
    pool->changing = FALSE;
    g_cond_broadcast(&pool->cond);
    g_mutex_unlock(&pool->lock);
}

static gboolean not_active(const CstPool *pool, GError **error)
{
    return cst_fail(error, CST_ERROR_STATE, _("storage pool '%s' is not active"), pool->name);
}

CstPoolState *pool_state_get(CstPool *pool, GError **error)
{
    CstPoolState *state;

    g_mutex_lock(&pool->lock);
    state = pool->active ? cst_pool_state_ref(pool->state) : NULL;
    g_mutex_unlock(&pool->lock);
    if (!state)
        not_active(pool, error);
    return state;
}

void pool_set_problem(CstPool *pool, const char *problem, gboolean inaccessible)
{
    char *text = g_strdup(problem);

    g_mutex_lock(&pool->lock);
    g_free(pool->problem);
    pool->problem = text;
    pool->inaccessible = inaccessible;
    g_mutex_unlock(&pool->lock);
}

/* --- claims ----------------------------------------------------------------------------------- */

static gboolean claim_is_free(const CstPool *pool, const char *name, ClaimKind kind)
{
    int holders = GPOINTER_TO_INT(g_hash_table_lookup(pool->claims, name));

    return kind == CLAIM_READ ? holders >= 0 : holders == 0;
}

#define CANCEL_LOOK_US (50 * G_TIME_SPAN_MILLISECOND)

/* A change of the pool waits for the claims there are: no new work before it is through. */
static gboolean pool_is_closed(const CstPool *pool, const VolumeClaim *claim)
{
    return pool->changing && !(pool->draining && claim->after);
}

/* With the pool's lock held: until the volume is free, or the task cancelled. */
static gboolean wait_for_turn(const VolumeClaim *claim, CstPool *pool, const char *name,
                              ClaimKind kind, GError **error)
{
    CstTask *task = claim->task;
    gboolean go_on = TRUE;

    while (go_on && pool->active &&
           (pool_is_closed(pool, claim) || !claim_is_free(pool, name, kind))) {
        if (claim->at_once)
            return cst_fail(error, CST_ERROR_BUSY,
                            _("volume '%s' is being worked on (job-list); try again afterwards"),
                            name);
        cst_task_set_waiting(task, TRUE);
        if (task)
            g_cond_wait_until(&pool->cond, &pool->lock, g_get_monotonic_time() + CANCEL_LOOK_US);
        else
            g_cond_wait(&pool->cond, &pool->lock);
        go_on = !cst_task_cancelled(task) || cst_task_check(task, error);
    }
    cst_task_set_waiting(task, FALSE);
    return go_on;
}

gboolean volume_claim(VolumeClaim *claim, CstPool *pool, const char *name, ClaimKind kind,
                      GError **error)
{
    int holders;

    g_mutex_lock(&pool->lock);
    if (!wait_for_turn(claim, pool, name, kind, error)) {
        g_mutex_unlock(&pool->lock);
        return FALSE;
    }
    if (!pool->active) {
        g_mutex_unlock(&pool->lock);
        return not_active(pool, error);
    }
    holders = GPOINTER_TO_INT(g_hash_table_lookup(pool->claims, name));
    g_hash_table_insert(pool->claims, g_strdup(name),
                        GINT_TO_POINTER(kind == CLAIM_WRITE ? -1 : holders + 1));
    pool->claimed++;
    claim->state = cst_pool_state_ref(pool->state);
    g_mutex_unlock(&pool->lock);
    claim->pool = cst_pool_ref(pool);
    claim->name = g_strdup(name);
    claim->kind = kind;
    return TRUE;
}

gboolean volume_put_off_look(CstPool *pool, const char *name)
{
    gboolean claimed;

    g_mutex_lock(&pool->lock);
    claimed = GPOINTER_TO_INT(g_hash_table_lookup(pool->claims, name)) < 0;
    if (claimed)
        g_hash_table_add(pool->put_off, g_strdup(name));
    g_mutex_unlock(&pool->lock);
    return claimed;
}

/* With the pool's lock held, which is let go of meanwhile. A look takes the name off the list. */
static void look_at_put_off(const VolumeClaim *claim)
{
    CstPool *pool = claim->pool;

    while (g_hash_table_contains(pool->put_off, claim->name)) {
        g_autoptr(CstVolume) volume = NULL;
        gboolean changed = FALSE;

        g_mutex_unlock(&pool->lock);
        pool_table_compare(pool, claim->state, claim->name, &volume, &changed, NULL);
        if (changed) {
            pool_usage_update(pool, claim->state, NULL);
            event_emit_pool(pool, CST_EVENT_POOL_REFRESH, 0);
        }
        g_mutex_lock(&pool->lock);
    }
}

void volume_release(VolumeClaim *claim)
{
    CstPool *pool = claim->pool;
    int holders;

    if (!pool)
        return;
    g_mutex_lock(&pool->lock);
    if (claim->kind == CLAIM_WRITE)
        look_at_put_off(claim);
    holders = GPOINTER_TO_INT(g_hash_table_lookup(pool->claims, claim->name));
    if (claim->kind == CLAIM_WRITE || holders == 1)
        g_hash_table_remove(pool->claims, claim->name);
    else
        g_hash_table_insert(pool->claims, g_strdup(claim->name), GINT_TO_POINTER(holders - 1));
    pool->claimed--;
    g_cond_broadcast(&pool->cond);
    g_mutex_unlock(&pool->lock);
    g_clear_pointer(&claim->state, cst_pool_state_unref);
    g_clear_pointer(&claim->name, g_free);
    g_clear_pointer(&claim->pool, cst_pool_unref);
}
