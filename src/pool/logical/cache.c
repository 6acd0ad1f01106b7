/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last report, and how long it may be used. A report takes LVM about as long as a change does,
 * so one serves all who ask what is so now: for a moment (lvm_host.fresh_us), until something is
 * known to have changed since it was begun. cache->lock guards it and is not held while LVM works.
 *
 * What changed is known from our own changes, and from device nodes that come and go (watch.c). A
 * node's event may come late, and be about a change that the last report has already: then nothing
 * is forgotten. While a report is being made, events are collected in cache->nodes, and the report
 * is only kept as fresh if it agrees with all of them.
 *
 * last_at 0 means that the last report is outdated; it stays for logical_name_of_uuid(), which may
 * guess, and for what of it does not change (plain.c).
 */
#include "logical.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

void logical_cache_init(LogicalCache *cache)
{
    g_mutex_init(&cache->lock);
    g_cond_init(&cache->cond);
    cache->nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    cache->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    cache->ours = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void logical_cache_clear(LogicalCache *cache)
{
    lvm_group_unref(cache->last);
    g_hash_table_unref(cache->nodes);
    g_hash_table_unref(cache->seen);
    g_hash_table_unref(cache->ours);
    g_cond_clear(&cache->cond);
    g_mutex_clear(&cache->lock);
}

/* --- what changed (with the lock held) -------------------------------------------------------- */

/* Also counts the change, so that a report begun before it is not taken for fresh. */
static void forget(LogicalCache *cache)
{
    cache->last_at = 0;
    cache->changes++;
}

/* Whether the report agrees with a node being there or not. */
static gboolean says(const LvmGroup *group, const char *lv, gboolean is_there)
{
    const LvmVolume *known = lvm_group_find(group, lv);

    return (known && lvm_is_active(known)) == is_there;
}

/* Whether a report agrees with all nodes that came and went while it was made. */
static gboolean says_all(const LogicalCache *cache, const LvmGroup *group)
{
    GHashTableIter iter;
    gpointer lv, is_there;

    g_hash_table_iter_init(&iter, cache->nodes);
    while (g_hash_table_iter_next(&iter, &lv, &is_there))
        if (!says(group, lv, GPOINTER_TO_INT(is_there)))
            return FALSE;
    return TRUE;
}

void logical_cache_invalidate(LogicalState *state)
{
    g_mutex_lock(&state->cache.lock);
    forget(&state->cache);
    g_mutex_unlock(&state->cache.lock);
}

void logical_cache_node_changed(LogicalState *state, const char *lv, gboolean is_there)
{
    LogicalCache *cache = &state->cache;

    g_mutex_lock(&cache->lock);
    if (cache->reports > 0) {
        /* Inserting a name for the second time: what went and came back may be another LV. */
        if (!g_hash_table_insert(cache->nodes, g_strdup(lv), GINT_TO_POINTER(is_there)))
            forget(cache);
    } else if (cache->last && !g_hash_table_contains(cache->ours, lv) &&
               !says(cache->last, lv, is_there)) {
        forget(cache);
    }
    g_mutex_unlock(&cache->lock);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Returns the count of changes, for report_end(). */
static guint report_begin(LogicalCache *cache)
{
    guint changes;

    g_mutex_lock(&cache->lock);
    cache->reports++;
    changes = cache->changes;
    g_mutex_unlock(&cache->lock);
    return changes;
}

/*
 * Ends a report; @group NULL: there was no answer. It is fresh only if nothing was changed since
 * report_begin() returned @changes: what was changed in between, it may have missed.
 */
static void report_end(LogicalCache *cache, LvmGroup *group, guint changes)
{
    g_mutex_lock(&cache->lock);
    if (group) {
        lvm_group_unref(cache->last);
        cache->last = lvm_group_ref(group);
        cache->last_at =
            changes == cache->changes && says_all(cache, group) ? g_get_monotonic_time() : 0;
        g_hash_table_remove_all(cache->seen);
        g_hash_table_remove_all(cache->ours);
        cache->accounted = changes;
        cache->taken = 0;
        cache->taken_at = 0;
    } else if (g_hash_table_size(cache->nodes) > 0) {
        forget(cache);
    }
    if (--cache->reports == 0)
        g_hash_table_remove_all(cache->nodes);
    g_mutex_unlock(&cache->lock);
}

/*
 * Takes @group (NULL: none) over and returns it; NULL with STATE when it is not the one that the
 * pool was started with.
 */
static LvmGroup *expected_group(const LogicalState *state, LvmGroup *group, GError **error)
{
    if (!group || !state->uuid || strcmp(group->uuid, state->uuid) == 0)
        return group;
    cst_fail(error, CST_ERROR_STATE,
             _("the volume group '%s' is not the one that the pool was started with; restart "
               "the pool to accept this one"),
             group->name);
    lvm_group_unref(group);
    return NULL;
}

LvmGroup *logical_group_read(LogicalState *state, CstTask *task, GError **error)
{
    guint changes = report_begin(&state->cache);
    LvmGroup *group = lvm_group_read(state->vg, task, error);

    group = expected_group(state, group, error);
    report_end(&state->cache, group, changes);
    return group;
}

/* With the lock held: a new reference to the last report while it is fresh, else NULL. */
static LvmGroup *cached_group(const LogicalCache *cache)
{
    return cache->last_at && g_get_monotonic_time() - cache->last_at < lvm_host.fresh_us
               ? lvm_group_ref(cache->last)
               : NULL;
}

/*
 * With the lock held: waits for the report that another thread is reading for all. NULL when there
 * is none, or LVM takes too long.
 */
static LvmGroup *wait_for_report(LogicalCache *cache)
{
    gint64 until = g_get_monotonic_time() + lvm_host.report_s * G_TIME_SPAN_SECOND;
    LvmGroup *group;

    while (!(group = cached_group(cache)) && cache->reporting)
        if (!g_cond_wait_until(&cache->cond, &cache->lock, until))
            break;
    return group;
}

LvmGroup *logical_group_cached(LogicalState *state, GError **error)
{
    LogicalCache *cache = &state->cache;
    LvmGroup *group;

    g_mutex_lock(&cache->lock);
    group = wait_for_report(cache);
    /* Only the first of those without a report reads one; after a timeout several may. */
    cache->reporting = cache->reporting || !group;
    g_mutex_unlock(&cache->lock);
    if (group)
        return group;
    group = logical_group_read(state, NULL, error);
    g_mutex_lock(&cache->lock);
    cache->reporting = FALSE;
    g_cond_broadcast(&cache->cond);
    g_mutex_unlock(&cache->lock);
    return group;
}

LvmGroup *logical_group_last(LogicalState *state)
{
    LogicalCache *cache = &state->cache;
    LvmGroup *group;

    g_mutex_lock(&cache->lock);
    group = cache->last ? lvm_group_ref(cache->last) : NULL;
    g_mutex_unlock(&cache->lock);
    return group;
}

/* --- what our own changes make of the last report --------------------------------------------- */

void logical_cache_own(LogicalState *state, const char *lv)
{
    g_mutex_lock(&state->cache.lock);
    g_hash_table_add(state->cache.ours, g_strdup(lv));
    g_mutex_unlock(&state->cache.lock);
}

void logical_cache_account(LogicalState *state, int64_t bytes)
{
    LogicalCache *cache = &state->cache;

    g_mutex_lock(&cache->lock);
    cache->accounted++;
    cache->taken += bytes;
    if (cache->taken_at == 0)
        cache->taken_at = g_get_monotonic_time();
    g_mutex_unlock(&cache->lock);
}

/* With the lock held: whether all that was changed since the last report is accounted for. */
static gboolean is_accounted(const LogicalCache *cache)
{
    return cache->taken_at && cache->accounted == cache->changes &&
           g_get_monotonic_time() - cache->taken_at < lvm_host.estimate_us;
}

LvmGroup *logical_group_estimate(LogicalState *state, int64_t *ret_taken, gint64 *ret_until)
{
    LogicalCache *cache = &state->cache;
    LvmGroup *group;

    *ret_taken = *ret_until = 0;
    g_mutex_lock(&cache->lock);
    group = cached_group(cache);
    if (!group && is_accounted(cache)) {
        group = lvm_group_ref(cache->last);
        *ret_taken = cache->taken;
        *ret_until = cache->taken_at + lvm_host.estimate_us;
    }
    g_mutex_unlock(&cache->lock);
    return group;
}

LvmVolume *logical_plain_now(LogicalState *state, const char *name)
{
    g_autoptr(LvmGroup) last = logical_group_last(state);
    LvmVolume *lv = logical_plain_lv(state, last, name);

    if (!lv)
        return NULL;
    g_mutex_lock(&state->cache.lock);
    g_hash_table_replace(state->cache.seen, g_strdup(lv->uuid), g_strdup(name));
    g_mutex_unlock(&state->cache.lock);
    return lv;
}

char *logical_name_of_uuid(LogicalState *state, const char *uuid)
{
    LogicalCache *cache = &state->cache;
    const LvmVolume *lv;
    char *name;

    g_mutex_lock(&cache->lock);
    name = g_strdup(g_hash_table_lookup(cache->seen, uuid));
    if (name && cst_draft_is_hidden(name))
        g_clear_pointer(&name, g_free);
    lv = cache->last && !name ? g_hash_table_lookup(cache->last->by_uuid, uuid) : NULL;
    if (lv && logical_is_shown(lv))
        name = g_strdup(lv->name);
    g_mutex_unlock(&cache->lock);
    return name;
}
