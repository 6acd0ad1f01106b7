/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where LVM's tools and udev have an LV: the tools' name for it, and its device's node. */
#include "logical.h"

#include <base/file.h>

char *logical_device(const LogicalState *state, const char *name)
{
    return g_strdup_printf("%s/%s/%s", lvm_host.dev, state->vg, name);
}

char *logical_target(const LogicalState *state, const char *name)
{
    return g_strdup_printf("%s/%s", state->vg, name);
}

/*
 * As libvirt shows it, by the definition's target; the device itself is always below lvm_host.dev.
 */
char *logical_vol_path(CstPoolState *state, const char *name)
{
    return g_strdup_printf("%s/%s", state->def->target_path, name);
}

gboolean logical_has_node(const LogicalState *state, const char *lv, struct stat *ret_st)
{
    g_autofree char *path = logical_device(state, lv);

    return cst_node_stat(path, ret_st);
}
