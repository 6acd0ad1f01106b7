/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users and dependents of a volume. The users are the holders of the device (pool/device.h). The
 * dependents are classic snapshots, which are separate volumes.
 */
#include "logical.h"

gboolean logical_vol_children(CstPoolState *state, const char *name, GPtrArray *children,
                              GError **error)
{
    g_autoptr(LvmVolume) plain = logical_plain_now(LOGICAL(state), name);
    g_autoptr(LvmGroup) group = NULL;
    const LvmVolume *lv;

    if (plain)
        return TRUE;
    group = logical_group_cached(LOGICAL(state), error);
    lv = group ? logical_find(group, name, error) : NULL;
    if (lv)
        g_ptr_array_extend_and_steal(children, logical_children_of(state, group, lv));
    return lv != NULL;
}

gboolean logical_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error)
{
    g_autofree char *path = logical_device(LOGICAL(state), name);

    return cst_device_holders(path, holders, error);
}
