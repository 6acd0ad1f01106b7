/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "logical.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/*
 * A report takes LVM about as long as a change does. So one serves all who ask for what is so now,
 * for a moment, or until something is known to have changed since it was begun.
 */

void logical_seen_init(LogicalSeen *seen)
{
    g_mutex_init(&seen->lock);
    g_cond_init(&seen->cond);
    seen->nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void logical_seen_clear(LogicalSeen *seen)
{
    lvm_group_unref(seen->last);
    g_hash_table_unref(seen->nodes);
    g_cond_clear(&seen->cond);
    g_mutex_clear(&seen->lock);
}

/* --- what changed (with the lock held) -------------------------------------------------------- */

static void forget(LogicalSeen *seen)
{
    seen->last_at = 0;
    seen->changes++;
}

static gboolean says(const LvmGroup *group, const char *lv, gboolean is_there)
{
    const LvmVolume *known = lvm_group_find(group, lv);

    return (known && lvm_is_active(known)) == is_there;
}

/* A report that was being made while nodes came and went knows of them, or it is no use. */
static gboolean says_all(const LogicalSeen *seen, const LvmGroup *group)
{
    GHashTableIter iter;
    gpointer lv, is_there;

    g_hash_table_iter_init(&iter, seen->nodes);
    while (g_hash_table_iter_next(&iter, &lv, &is_there))
        if (!says(group, lv, GPOINTER_TO_INT(is_there)))
            return FALSE;
    return TRUE;
}

void logical_changed(LogicalState *state)
{
    g_mutex_lock(&state->seen.lock);
    forget(&state->seen);
    g_mutex_unlock(&state->seen.lock);
}

void logical_node_changed(LogicalState *state, const char *lv, gboolean is_there)
{
    LogicalSeen *seen = &state->seen;

    g_mutex_lock(&seen->lock);
    if (seen->looks > 0) {
        /* One that went and came back in the meantime may be another LV. */
        if (!g_hash_table_insert(seen->nodes, g_strdup(lv), GINT_TO_POINTER(is_there)))
            forget(seen);
    } else if (seen->last_at && !says(seen->last, lv, is_there)) {
        forget(seen);
    }
    g_mutex_unlock(&seen->lock);
}

/* --- looking ---------------------------------------------------------------------------------- */

static guint look_begin(LogicalSeen *seen)
{
    guint changes;

    g_mutex_lock(&seen->lock);
    seen->looks++;
    changes = seen->changes;
    g_mutex_unlock(&seen->lock);
    return changes;
}

/* @group NULL: there was no answer. What was changed since it was asked, it may have missed. */
static void look_end(LogicalSeen *seen, LvmGroup *group, guint changes)
{
    g_mutex_lock(&seen->lock);
    if (group) {
        lvm_group_unref(seen->last);
        seen->last = lvm_group_ref(group);
        seen->last_at =
            changes == seen->changes && says_all(seen, group) ? g_get_monotonic_time() : 0;
    } else if (g_hash_table_size(seen->nodes) > 0) {
        forget(seen);
    }
    if (--seen->looks == 0)
        g_hash_table_remove_all(seen->nodes);
    g_mutex_unlock(&seen->lock);
}

/* Takes @group over; NULL when it is another one than that the pool was started with. */
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

LvmGroup *logical_look(LogicalState *state, CstTask *task, GError **error)
{
    guint changes = look_begin(&state->seen);
    LvmGroup *group = lvm_group_read(state->vg, task, error);

    group = expected_group(state, group, error);
    look_end(&state->seen, group, changes);
    return group;
}

/* With the lock held; NULL: nothing that will do. */
static LvmGroup *seen_lately(const LogicalSeen *seen)
{
    return seen->last_at && g_get_monotonic_time() - seen->last_at < lvm_host.fresh_us
               ? lvm_group_ref(seen->last)
               : NULL;
}

/* With the lock held; also NULL when LVM takes longer than it may. */
static LvmGroup *wait_for_looker(LogicalSeen *seen)
{
    gint64 until = g_get_monotonic_time() + lvm_host.look_s * G_TIME_SPAN_SECOND;
    LvmGroup *group;

    while (!(group = seen_lately(seen)) && seen->looking)
        if (!g_cond_wait_until(&seen->cond, &seen->lock, until))
            break;
    return group;
}

LvmGroup *logical_look_lately(LogicalState *state, GError **error)
{
    LogicalSeen *seen = &state->seen;
    LvmGroup *group;

    g_mutex_lock(&seen->lock);
    group = wait_for_looker(seen);
    seen->looking = seen->looking || !group;
    g_mutex_unlock(&seen->lock);
    if (group)
        return group;
    group = logical_look(state, NULL, error);
    g_mutex_lock(&seen->lock);
    seen->looking = FALSE;
    g_cond_broadcast(&seen->cond);
    g_mutex_unlock(&seen->lock);
    return group;
}

char *logical_name_of_uuid(LogicalState *state, const char *uuid)
{
    LogicalSeen *seen = &state->seen;
    const LvmVolume *lv;
    char *name = NULL;

    g_mutex_lock(&seen->lock);
    lv = seen->last ? g_hash_table_lookup(seen->last->by_uuid, uuid) : NULL;
    if (lv && logical_is_shown(lv))
        name = g_strdup(lv->name);
    g_mutex_unlock(&seen->lock);
    return name;
}
