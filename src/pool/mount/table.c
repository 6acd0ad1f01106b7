/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the mount of a pool's target in the kernel's table. Neither the target nor the mounted
 * storage is accessed, so a server that is down causes no delay.
 */
#include "mount.h"

#include <string.h>

#include <base/file.h>

/* A device that is gone can only be compared by name. */
static gboolean is_of_device(const MountState *state, const CstMount *mount)
{
    struct stat st;

    if (!cst_node_stat(state->source, &st))
        return g_strcmp0(mount->source, state->source) == 0;
    return S_ISBLK(st.st_mode) && cst_mount_lies_on(mount, st.st_rdev);
}

/*
 * A bind mount of a part of the file system is not the pool's mount. The kernel also shows
 * subvolumes of a btrfs and directories of an SMB share as parts.
 */
static gboolean mount_is_whole(const CstMount *mount)
{
    return g_strcmp0(mount->root, "/") == 0 || g_strcmp0(mount->type, "btrfs") == 0 ||
           g_strcmp0(mount->type, "cifs") == 0 || g_strcmp0(mount->type, "smb3") == 0;
}

gboolean mount_is_ours(const MountState *state, const CstMount *mount)
{
    const CstPoolDef *def = state->dir.head.def;

    if (!mount_is_whole(mount))
        return FALSE;
    return def->type == CST_POOL_NETFS ? mount_is_export(def, state->source, mount)
                                       : is_of_device(state, mount);
}

/* Resolves the path only if no mount has the name in the definition. */
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
