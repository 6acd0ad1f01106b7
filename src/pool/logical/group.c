/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Evaluates one report (report.h): which LVs are volumes, their capacity for a user, and which LVs
 * are their snapshots or depend on them. Pure functions of a report; results are borrowed from it.
 */
#include "logical.h"

#include <string.h>

/* Excludes thin pools ("t") and their parts ("d", "D"). */
static gboolean may_be_volume(const LvmVolume *lv)
{
    return !lv->hidden && !strchr("tdD", lvm_kind(lv));
}

/*
 * As in libvirt, only active LVs are shown. A lost snapshot is also shown, so that it can be
 * deleted.
 */
gboolean logical_is_shown(const LvmVolume *lv)
{
    return may_be_volume(lv) && (lvm_is_active(lv) || lvm_is_lost(lv)) &&
           !cst_draft_is_hidden(lv->name);
}

/* Also finds inactive LVs, because deleted volumes must be found again. */
gboolean logical_is_trashed(const LvmVolume *lv)
{
    return may_be_volume(lv) && cst_name_is_trash(lv->name);
}

/*
 * The size of a classic snapshot is its space for changes; its device has the size of the origin.
 */
uint64_t logical_capacity(const LvmGroup *group, const LvmVolume *lv)
{
    const LvmVolume *origin = lvm_is_cow(lv) ? lvm_group_origin(group, lv) : NULL;

    return origin ? origin->size : lv->size;
}

const LvmVolume *logical_find(const LvmGroup *group, const char *name, GError **error)
{
    const LvmVolume *lv = lvm_group_find(group, name);

    if (lv && !lv->hidden && cst_device_name_is_volume(name))
        return lv;
    cst_fail_no_volume(name, error);
    return NULL;
}

/* The tag is set when another LV replaces the volume (swap.c). */
char *logical_volume_id(const LvmVolume *lv)
{
    char *id = logical_tag_value(lv, "id");

    return id ? id : g_strdup(lv->uuid);
}

/* The tag is kept by a revert, which creates the LV anew. Older tags have whole seconds. */
int64_t logical_snapshot_taken_us(const LvmVolume *lv)
{
    g_autofree char *at = logical_tag_value(lv, "at");
    char *fraction = NULL;
    int64_t seconds = at ? g_ascii_strtoll(at, &fraction, 10) : lv->created;

    return seconds * G_USEC_PER_SEC +
           (fraction && *fraction == '.' ? g_ascii_strtoll(fraction + 1, NULL, 10) : 0);
}

static int by_age(gconstpointer a, gconstpointer b)
{
    int64_t left = logical_snapshot_taken_us(*(const LvmVolume *const *)a);
    int64_t right = logical_snapshot_taken_us(*(const LvmVolume *const *)b);

    return left < right ? -1 : left > right;
}

GPtrArray *logical_snapshots_of(const LvmGroup *group, const char *id)
{
    GPtrArray *snapshots = g_ptr_array_new();

    for (guint i = 0; i < group->volumes->len; i++) {
        LvmVolume *lv = g_ptr_array_index(group->volumes, i);
        g_autofree char *of = NULL;

        if (!cst_draft_is_hidden(lv->name))
            continue;
        of = logical_tag_value(lv, "of");
        if (g_strcmp0(of, id) == 0)
            g_ptr_array_add(snapshots, lv);
    }
    g_ptr_array_sort(snapshots, by_age);
    return snapshots;
}

/* Thin snapshots are independent of their origin; only classic snapshots are removed with it. */
GPtrArray *logical_children_of(CstPoolState *state, const LvmGroup *group, const LvmVolume *lv)
{
    GPtrArray *children = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < group->volumes->len; i++) {
        const LvmVolume *other = g_ptr_array_index(group->volumes, i);

        if (lvm_is_cow(other) && cst_device_name_is_volume(other->name) &&
            lvm_group_origin(group, other) == lv)
            g_ptr_array_add(children, logical_vol_path(state, other->name));
    }
    return children;
}
