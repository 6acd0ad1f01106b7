/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is mounted at a pool's target, by the kernel's table alone: neither the target nor what is
 * mounted there is touched, so a server that is gone delays nobody here.
 */
#include "mount.h"

#include <string.h>

#include <base/file.h>

/* Of a device that is gone there is only the name to go by. */
static gboolean is_of_device(const MountState *state, const CstMount *mount)
{
    struct stat st;

    if (!cst_node_stat(state->source, &st))
        return g_strcmp0(mount->source, state->source) == 0;
    return S_ISBLK(st.st_mode) && cst_mount_lies_on(mount, st.st_rdev);
}

/*
 * A part of the file system, which a bind mount shows, is not the pool's. Subvolumes of a btrfs and
 * directories of an SMB share are parts, too, for the kernel.
 */
static gboolean is_whole(const CstMount *mount)
{
    return g_strcmp0(mount->root, "/") == 0 || g_strcmp0(mount->type, "btrfs") == 0 ||
           g_strcmp0(mount->type, "cifs") == 0 || g_strcmp0(mount->type, "smb3") == 0;
}

gboolean mount_is_ours(const MountState *state, const CstMount *mount)
{
    const CstPoolDef *def = state->dir.head.def;

    if (!is_whole(mount))
        return FALSE;
    return def->type == CST_POOL_NETFS ? mount_is_export(def, state->source, mount)
                                       : is_of_device(state, mount);
}

/* The path is resolved only where nothing is mounted by the name that it is given. */
const CstMount *mount_at_target(const MountState *state, const GPtrArray *mounts)
{
    const char *target = state->dir.head.def->target_path;
    const CstMount *mount = cst_mounts_at(mounts, target);
    g_autofree char *real = mount ? NULL : cst_path_real(target);

    return mount ? mount : cst_mounts_at(mounts, real);
}

gboolean mount_is_there(const MountState *state)
{
    g_autoptr(GPtrArray) mounts = cst_mounts_read();
    const CstMount *mount = mount_at_target(state, mounts);

    return mount && mount_is_ours(state, mount);
}
