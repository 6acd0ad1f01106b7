/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The name of an LV for LVM's tools, and the path of its device node. */
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
 * The path that libvirt shows, below the definition's target. The device itself is always below
 * lvm_host.dev.
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
