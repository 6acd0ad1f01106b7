/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of the checked dispatch for the users of a volume, its dependents, its storage and its
 * name. If a backend has no callback, a query returns an empty list. Flattening, renaming and
 * second names are then unsupported.
 */
#include <pool/pool.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/threads.h>

#include "dispatch.h"

#define HOLDERS_THREADS 16 /* volumes that are queried at once */

GPtrArray *cst_pool_state_vol_holders(CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);

    if (state->backend->vol_holders && !POOL_CALL(state, vol_holders, name, error, name, holders))
        return NULL;
    return g_steal_pointer(&holders);
}

/* The volumes of a list, whose holders are queried one by one. */
typedef struct {
    CstPoolState *state;
    const char *const *names;
    CstTask *task;
    GPtrArray **holders;
} HoldersList;

/* Implements the function of cst_threads_each(). A failure leaves the element NULL. */
static void holders_list_query(guint i, gpointer data)
{
    const HoldersList *list = data;

    if (cst_task_check(list->task, NULL))
        list->holders[i] = cst_pool_state_vol_holders(list->state, list->names[i], NULL);
}

/* Drops each array that would exceed the limit for all volumes together. */
static void holders_list_limit(const HoldersList *list, guint count)
{
    guint left = CST_HOLDERS_MAX;

    for (guint i = 0; i < count; i++) {
        guint found = list->holders[i] ? list->holders[i]->len : 0;

        if (found > left)
            g_clear_pointer(&list->holders[i], g_ptr_array_unref);
        else
            left -= found;
    }
}

GPtrArray *cst_pool_state_vols_holders(CstPoolState *state, const char *const *names, guint count,
                                       CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) lists = cst_holder_lists_new(count);
    HoldersList list = {.state = state, .names = names, .task = task};

    list.holders = (GPtrArray **)lists->pdata;
    if (state->backend->vols_holders) {
        for (guint i = 0; i < count; i++)
            list.holders[i] = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);
        if (!POOL_CALL(state, vols_holders, NULL, error, names, count, task, list.holders))
            return NULL;
    } else {
        /* The storage of these types answers over a network, or by a tool. */
        cst_threads_each(holders_list_query, &list, count, HOLDERS_THREADS);
        if (!cst_task_check(task, error))
            return NULL;
    }
    holders_list_limit(&list, count);
    return g_steal_pointer(&lists);
}

GPtrArray *cst_pool_state_vol_children(CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(GPtrArray) children = g_ptr_array_new_with_free_func(g_free);

    if (state->backend->vol_children &&
        !POOL_CALL(state, vol_children, name, error, name, children))
        return NULL;
    return g_steal_pointer(&children);
}

gboolean cst_pool_state_delete_refuses(CstPoolState *state)
{
    return state->backend->delete_refuses;
}

gboolean cst_pool_state_groups_deletions(CstPoolState *state)
{
    return state->backend->vols_delete && !cst_dry_run();
}

gboolean cst_pool_state_delete_many(CstPoolState *state, CstVolDeletion *deletions, guint count,
                                    GError **error)
{
    if (cst_pool_state_groups_deletions(state))
        return POOL_CALL(state, vols_delete, NULL, error, deletions, count);
    for (guint i = 0; i < count; i++)
        cst_pool_state_delete(state, deletions[i].name, deletions[i].flags, &deletions[i].error);
    return TRUE;
}

gboolean cst_pool_state_flattens_at_rest(CstPoolState *state)
{
    return state->backend->flattens_at_rest;
}

gboolean cst_pool_state_vol_flatten(CstPoolState *state, const char *name, CstTask *task,
                                    GError **error)
{
    if (!state->backend->vol_flatten)
        return pool_unsupported(state, _("storage pool has no volumes that share content"), error);
    if (!cst_may_change(error))
        return FALSE;
    return POOL_CALL(state, vol_flatten, name, error, name, task);
}

gboolean cst_pool_state_has_health(CstPoolState *state)
{
    return state->backend->health != NULL;
}

gboolean cst_pool_state_health(CstPoolState *state, gboolean details, CstPoolHealth *ret_health,
                               GError **error)
{
    *ret_health = (CstPoolHealth){0};
    return !state->backend->health || POOL_CALL(state, health, NULL, error, details, ret_health);
}

GPtrArray *cst_pool_state_thin(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) stores =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_thin_store_free);

    if (state->backend->thin && !POOL_CALL(state, thin, NULL, error, stores))
        return NULL;
    return g_steal_pointer(&stores);
}

GPtrArray *cst_pool_state_space_usage(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) usage =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_space_usage_free);

    if (state->backend->space_usage && !POOL_CALL(state, space_usage, NULL, error, usage))
        return NULL;
    return g_steal_pointer(&usage);
}

gboolean cst_pool_state_check_growths(CstPoolState *state, GError **error)
{
    return state->backend->growths ||
           pool_unsupported(state, _("storage pool has no spaces that can be extended"), error);
}

GPtrArray *cst_pool_state_growths(CstPoolState *state, gboolean now, GError **error)
{
    g_autoptr(GPtrArray) growths = g_ptr_array_new_with_free_func((GDestroyNotify)cst_growth_free);

    if (!cst_pool_state_check_growths(state, error) ||
        !POOL_CALL(state, growths, NULL, error, now, growths))
        return NULL;
    return g_steal_pointer(&growths);
}

gboolean cst_pool_state_growth_use(CstPoolState *state, CstGrowth *growth, GError **error)
{
    return cst_pool_state_check_growths(state, error) &&
           POOL_CALL(state, growth_use, NULL, error, growth);
}

gboolean cst_pool_state_grow(CstPoolState *state, const CstGrowth *growth, uint64_t size,
                             GError **error)
{
    return cst_pool_state_check_growths(state, error) && cst_may_change(error) &&
           POOL_CALL(state, grow, NULL, error, growth, size);
}

gboolean cst_pool_state_check_rename(CstPoolState *state, GError **error)
{
    return state->backend->vol_rename ||
           pool_unsupported(state,
                            _("storage pool does not support renaming of volumes, because their "
                              "names are their positions"),
                            error);
}

gboolean cst_pool_state_check_trash(CstPoolState *state, GError **error)
{
    return state->backend->keeps_trash ||
           pool_unsupported(state, _("storage pool can't keep deleted volumes; it has no trash"),
                            error);
}

gboolean cst_pool_state_rename(CstPoolState *state, const char *name, const char *new_name,
                               GError **error)
{
    if (!cst_pool_state_check_rename(state, error))
        return FALSE;
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    return POOL_CALL(state, vol_rename, name, error, name, new_name);
}

gboolean cst_pool_state_can_link(CstPoolState *state)
{
    return state->backend->vol_link != NULL;
}

gboolean cst_pool_state_link(CstPoolState *state, const char *name, const char *new_name,
                             GError **error)
{
    if (!state->backend->vol_link)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("a volume of pool type '%s' can't have two names at once"),
                        cst_pool_type_name(state->backend->type));
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    return POOL_CALL(state, vol_link, name, error, name, new_name);
}

gboolean cst_pool_state_can_take(CstPoolState *state, CstPoolState *from)
{
    return state->backend->vol_take && from->backend->vol_take == state->backend->vol_take;
}

gboolean cst_pool_state_take(CstPoolState *state, CstPoolState *from, const char *name,
                             CstBlob *blob, const char *new_name, GError **error)
{
    if (!cst_pool_state_can_take(state, from))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("volume '%s' has to be copied to be in another pool"), name);
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    return POOL_CALL(state, vol_take, new_name, error, from, name, blob, new_name);
}

gboolean cst_pool_state_can_rename_from(CstPoolState *state, CstPoolState *from)
{
    return state->backend->vol_rename_from && from->backend == state->backend;
}

gboolean cst_pool_state_rename_from(CstPoolState *state, CstPoolState *from, const char *name,
                                    const char *new_name, GError **error)
{
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    return POOL_CALL(state, vol_rename_from, new_name, error, from, name, new_name);
}

/* Depends on the type alone; does not call the backend. */
gboolean cst_pool_state_holds_images(CstPoolState *state)
{
    return cst_pool_type_has_files(state->def->type);
}
