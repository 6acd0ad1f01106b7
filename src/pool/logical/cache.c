/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last report (pool/report_cache.h), which may be used for a short time (lvm_host.fresh_us),
 * because a report takes LVM about as long as a change.
 *
 * Changes are detected from our own changes, and from the creation and removal of device nodes
 * (watch.c). An event of a node may be late, and the last report may already contain its change;
 * such an event is ignored. While a report is made, events are collected in cache->nodes. The
 * report is fresh only if it agrees with all of them. The lock of the shared part guards all
 * members.
 *
 * An outdated report is kept for logical_name_of_uuid(), which may use outdated data, and for its
 * constant parts (plain.c).
 */
#include "logical.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#define SHARED(cache) (&(cache)->shared)

static gpointer group_ref(gpointer group)
{
    return lvm_group_ref(group);
}

static void group_unref(gpointer group)
{
    lvm_group_unref(group);
}

void logical_cache_init(LogicalCache *cache)
{
    cst_report_cache_init(SHARED(cache), group_ref, group_unref);
    cache->nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    cache->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    cache->ours = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void logical_cache_clear(LogicalCache *cache)
{
    g_hash_table_unref(cache->nodes);
    g_hash_table_unref(cache->seen);
    g_hash_table_unref(cache->ours);
    cst_report_cache_clear(SHARED(cache));
}

/* --- changes (the caller holds the lock) ------------------------------------------------------ */

/* Whether the report agrees with the existence of a node. */
static gboolean report_agrees_with_node(const LvmGroup *group, const char *lv, gboolean is_there)
{
    const LvmVolume *known = lvm_group_find(group, lv);

    return (known && lvm_is_active(known)) == is_there;
}

/* Whether a report agrees with all nodes that were created or removed while it was made. */
static gboolean report_agrees_with_nodes(const LogicalCache *cache, const LvmGroup *group)
{
    GHashTableIter iter;
    gpointer lv, is_there;

    g_hash_table_iter_init(&iter, cache->nodes);
    while (g_hash_table_iter_next(&iter, &lv, &is_there))
        if (!report_agrees_with_node(group, lv, GPOINTER_TO_INT(is_there)))
            return FALSE;
    return TRUE;
}

void logical_cache_invalidate(LogicalState *state)
{
    cst_report_cache_invalidate(SHARED(&state->cache));
}

void logical_cache_node_changed(LogicalState *state, const char *lv, gboolean is_there)
{
    LogicalCache *cache = &state->cache;
    CstReportCache *shared = SHARED(cache);

    g_mutex_lock(&shared->lock);
    if (shared->reports > 0) {
        /*
         * The name is already in the table: a node that was removed and created may be another LV.
         */
        if (!g_hash_table_insert(cache->nodes, g_strdup(lv), GINT_TO_POINTER(is_there)))
            cst_report_cache_forget(shared);
    } else if (shared->last && !g_hash_table_contains(cache->ours, lv) &&
               !report_agrees_with_node(shared->last, lv, is_there)) {
        cst_report_cache_forget(shared);
    }
    g_mutex_unlock(&shared->lock);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Ends a report. @group is NULL if the tool failed. @changes is from cst_report_cache_begin(). */
static void logical_report_end(LogicalCache *cache, LvmGroup *group, guint changes)
{
    CstReportCache *shared = SHARED(cache);

    g_mutex_lock(&shared->lock);
    if (group) {
        g_hash_table_remove_all(cache->seen);
        g_hash_table_remove_all(cache->ours);
    } else if (g_hash_table_size(cache->nodes) > 0) {
        cst_report_cache_forget(shared);
    }
    cst_report_cache_end(shared, group, changes, !group || report_agrees_with_nodes(cache, group));
    if (shared->reports == 0)
        g_hash_table_remove_all(cache->nodes);
    g_mutex_unlock(&shared->lock);
}

/*
 * Consumes @group (may be NULL) and returns it. NULL with STATE if it is not the group that the
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
    guint changes = cst_report_cache_begin(SHARED(&state->cache));
    LvmGroup *group = lvm_group_read(state->vg, task, error);

    group = expected_group(state, group, error);
    CST_TEST_POINT("logical.report.read");
    logical_report_end(&state->cache, group, changes);
    return group;
}

static gpointer read_group(gpointer state, GError **error)
{
    return logical_group_read(state, NULL, error);
}

LvmGroup *logical_group_cached(LogicalState *state, GError **error)
{
    const CstReportQuery query = {.fresh_us = lvm_host.fresh_us,
                                  .wait_us = lvm_host.report_s * G_TIME_SPAN_SECOND,
                                  .read = read_group,
                                  .data = state};

    return cst_report_cache_get(SHARED(&state->cache), &query, error);
}

LvmGroup *logical_group_last(LogicalState *state)
{
    return cst_report_cache_last(SHARED(&state->cache));
}

/* --- estimates: the last report and our own changes ------------------------------------------- */

void logical_cache_own(LogicalState *state, const char *lv)
{
    g_mutex_lock(&state->cache.shared.lock);
    g_hash_table_add(state->cache.ours, g_strdup(lv));
    g_mutex_unlock(&state->cache.shared.lock);
}

void logical_cache_account(LogicalState *state, int64_t bytes)
{
    cst_report_cache_account(SHARED(&state->cache), bytes);
}

LvmGroup *logical_group_estimate(LogicalState *state, int64_t *ret_taken, gint64 *ret_until)
{
    return cst_report_cache_estimate(SHARED(&state->cache), lvm_host.fresh_us, lvm_host.estimate_us,
                                     ret_taken, ret_until);
}

LvmVolume *logical_plain_now(LogicalState *state, const char *name)
{
    g_autoptr(LvmGroup) last = logical_group_last(state);
    LvmVolume *lv = logical_plain_lv(state, last, name);

    if (!lv)
        return NULL;
    g_mutex_lock(&state->cache.shared.lock);
    g_hash_table_replace(state->cache.seen, g_strdup(lv->uuid), g_strdup(name));
    g_mutex_unlock(&state->cache.shared.lock);
    return lv;
}

char *logical_name_of_uuid(LogicalState *state, const char *uuid)
{
    LogicalCache *cache = &state->cache;
    const LvmGroup *last;
    const LvmVolume *lv;
    char *name;

    g_mutex_lock(&cache->shared.lock);
    name = g_strdup(g_hash_table_lookup(cache->seen, uuid));
    if (name && cst_draft_is_hidden(name))
        g_clear_pointer(&name, g_free);
    last = cache->shared.last;
    lv = last && !name ? g_hash_table_lookup(last->by_uuid, uuid) : NULL;
    if (lv && logical_is_shown(lv))
        name = g_strdup(lv->name);
    g_mutex_unlock(&cache->shared.lock);
    return name;
}
