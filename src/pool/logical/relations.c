/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "logical.h"

#include <string.h>

#include <base/error.h>

/* What belongs to a volume, and hangs on it. */

char *logical_volume_id(const LvmVolume *lv)
{
    char *id = logical_tag_value(lv, "id");

    return id ? id : g_strdup(lv->uuid);
}

static int by_age(gconstpointer a, gconstpointer b)
{
    const LvmVolume *const *left = a, *const *right = b;
    g_autofree char *left_at = logical_tag_value(*left, "at");
    g_autofree char *right_at = logical_tag_value(*right, "at");
    gint64 x = left_at ? g_ascii_strtoll(left_at, NULL, 10) : (*left)->created;
    gint64 y = right_at ? g_ascii_strtoll(right_at, NULL, 10) : (*right)->created;

    return x < y ? -1 : x > y;
}

GPtrArray *logical_snapshots_of(const LvmGroup *group, const char *id)
{
    GPtrArray *snapshots = g_ptr_array_new();

    for (guint i = 0; i < group->volumes->len; i++) {
        LvmVolume *lv = g_ptr_array_index(group->volumes, i);
        g_autofree char *of = NULL;

        if (!logical_is_hidden(lv->name))
            continue;
        of = logical_tag_value(lv, "of");
        if (g_strcmp0(of, id) == 0)
            g_ptr_array_add(snapshots, lv);
    }
    g_ptr_array_sort(snapshots, by_age);
    return snapshots;
}

GPtrArray *logical_children_of(CstPoolState *state, const LvmGroup *group, const LvmVolume *lv)
{
    GPtrArray *children = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < group->volumes->len; i++) {
        const LvmVolume *other = g_ptr_array_index(group->volumes, i);

        if (lvm_is_cow(other) && !logical_is_hidden(other->name) &&
            lvm_group_origin(group, other) == lv)
            g_ptr_array_add(children, logical_vol_path(state, other->name));
    }
    return children;
}

gboolean logical_vol_children(CstPoolState *state, const char *name, GPtrArray *children,
                              GError **error)
{
    g_autoptr(LvmGroup) group = logical_look_lately(LOGICAL(state), error);
    const LvmVolume *lv = group ? logical_find(group, name, error) : NULL;

    if (lv)
        g_ptr_array_extend_and_steal(children, logical_children_of(state, group, lv));
    return lv != NULL;
}
