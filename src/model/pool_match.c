/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Detection of pools with the same storage. The property that two pools must not share is a column
 * of their type's row (CstConflict), with libvirt's rules. Only definitions are compared, so two
 * names of one device are not recognised.
 */
#include <model/pool_def.h>

#include "adapter.h"

/* Uses a hash set, because a document of 1 MiB may contain tens of thousands of devices. */
static gboolean share_device(const CstPoolSource *a, const CstPoolSource *b)
{
    g_autoptr(GHashTable) paths = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < a->devices->len; i++)
        g_hash_table_add(paths, ((CstPoolDevice *)g_ptr_array_index(a->devices, i))->path);
    for (guint i = 0; i < b->devices->len; i++)
        if (g_hash_table_contains(paths, ((CstPoolDevice *)g_ptr_array_index(b->devices, i))->path))
            return TRUE;
    return FALSE;
}

/* With several hosts it is unknown whether two lists refer to the same server. */
static gboolean same_host(const CstPoolSource *a, const CstPoolSource *b)
{
    const CstHost *one, *other;

    if (a->hosts->len != 1 || b->hosts->len != 1)
        return FALSE;
    one = g_ptr_array_index(a->hosts, 0);
    other = g_ptr_array_index(b->hosts, 0);
    return one->port == other->port && g_strcmp0(one->name, other->name) == 0;
}

CstConflict cst_pool_def_conflict(const CstPoolDef *def)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(def->type);

    return info ? info->conflict : CST_CONFLICT_NONE;
}

gboolean cst_pool_def_same_source(const CstPoolDef *a, const CstPoolDef *b)
{
    CstConflict conflict = cst_pool_def_conflict(a);
    const CstPoolSource *x = &a->source;
    const CstPoolSource *y = &b->source;

    if (conflict != cst_pool_def_conflict(b))
        return FALSE;
    /*
     * A device conflicts between types, too: one disk cannot be partitioned by a pool and be part
     * of a volume group.
     */
    if (conflict != CST_CONFLICT_DEVICE && a->type != b->type)
        return FALSE;
    switch (conflict) {
    case CST_CONFLICT_NONE: return FALSE;
    case CST_CONFLICT_TARGET: return g_strcmp0(a->target_path, b->target_path) == 0;
    case CST_CONFLICT_HOST: return same_host(x, y);
    case CST_CONFLICT_HOST_DIR:
        return g_strcmp0(x->dir, y->dir) == 0 && g_strcmp0(x->name, y->name) == 0 &&
               same_host(x, y);
    case CST_CONFLICT_NAME: return g_strcmp0(x->name, y->name) == 0;
    case CST_CONFLICT_DEVICE: return share_device(x, y);
    case CST_CONFLICT_INITIATOR:
        return g_strcmp0(x->initiator_iqn, y->initiator_iqn) == 0 && share_device(x, y);
    case CST_CONFLICT_ADAPTER: return cst_adapter_same(&x->adapter, &y->adapter);
    case CST_CONFLICT_TYPE: return TRUE;
    }
    return FALSE;
}
