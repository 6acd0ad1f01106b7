/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one report (report.h) says of the pool's volumes: which LVs are volumes, how large they are
 * to whoever opens them, and which LVs are their snapshots or depend on them. Pure functions of a
 * report; what they return is borrowed from it.
 */
#include "logical.h"

#include <string.h>

/* No thin pools ("t"), and no parts of them ("d", "D"). */
static gboolean may_be_volume(const LvmVolume *lv)
{
    return !lv->hidden && !strchr("tdD", lvm_kind(lv));
}

/*
 * As in libvirt, only active LVs are shown. A lost snapshot is shown, too, so that it can be
 * deleted.
 */
gboolean logical_is_shown(const LvmVolume *lv)
{
    return may_be_volume(lv) && (lvm_is_active(lv) || lvm_is_lost(lv)) &&
           !cst_draft_is_hidden(lv->name);
}

/* Active or not: what is kept has to be found again. */
gboolean logical_is_trashed(const LvmVolume *lv)
{
    return may_be_volume(lv) && cst_name_is_trash(lv->name);
}

/* A classic snapshot's own size is its room for changes; who opens it sees its origin's. */
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

/* The tag is set when another LV takes the volume's place (swap.c). */
char *logical_volume_id(const LvmVolume *lv)
{
    char *id = logical_tag_value(lv, "id");

    return id ? id : g_strdup(lv->uuid);
}

/* The tag survives a revert, which makes the LV anew. Older ones are of whole seconds. */
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

/* Thin snapshots are independent of their origin; only classic ones would be removed with it. */
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
