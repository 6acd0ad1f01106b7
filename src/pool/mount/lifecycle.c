/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The start mounts the source at the target, the stop unmounts it. If the source is already
 * mounted, the start uses this mount. It refuses another mount, and a device in use elsewhere, and
 * names it in the message. Root mounts on a path, so no other user may be able to replace a
 * directory in it.
 *
 * A process that is killed after the mount leaves it, and the next start uses it. A mount that
 * fstab defines is never unmounted, because other programs depend on it.
 */
#include "mount.h"

#include <errno.h>
#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <pool/device.h>

static const CstPoolDef *mount_pool_def(const MountState *state)
{
    return state->dir.head.def;
}

gboolean mount_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    *ret_active = mount_is_there((MountState *)state);
    return TRUE;
}

/* --- start ------------------------------------------------------------------------------------ */

/* A process that has the device open is no obstacle to a mount. A use by the kernel is. */
static gboolean refuse_used_device(const char *path, GError **error)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);

    if (!cst_device_holders(path, holders, error))
        return FALSE;
    for (guint i = 0; i < holders->len; i++) {
        const CstHolder *holder = g_ptr_array_index(holders, i);

        if (holder->pid == 0)
            return cst_fail(error, CST_ERROR_BUSY, _("device '%s' is in use: %s"), path,
                            holder->what);
    }
    return TRUE;
}

static gboolean mount_check_device(const MountState *state, GError **error)
{
    struct stat st;

    if (!cst_node_stat(state->source, &st))
        return cst_fail_errno(error, errno, _("cannot find device '%s' of pool '%s'"),
                              state->source, mount_pool_def(state)->name);
    if (!S_ISBLK(st.st_mode))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is no block device"), state->source);
    return refuse_used_device(state->source, error);
}

/*
 * Sets *ret_there if the pool's source is already mounted. Fails with BUSY if another source is
 * mounted, and names it. First triggers an automount at the target.
 */
static gboolean check_mounted(MountState *state, gboolean *ret_there, GError **error)
{
    g_autoptr(GPtrArray) mounts = cst_mounts_read();
    const CstMount *mount = mount_at_target(state, mounts);

    if (mount && strcmp(mount->type, "autofs") == 0) {
        cst_path_touch(mount_pool_def(state)->target_path, NULL);
        g_ptr_array_unref(mounts);
        mounts = cst_mounts_read();
        mount = mount_at_target(state, mounts);
    }
    *ret_there = mount && mount_is_ours(state, mount);
    return !mount || *ret_there ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("'%s' is mounted on '%s', where pool '%s' has '%s'; unmount it, or give the "
                      "pool another target"),
                    mount->source, mount->target, mount_pool_def(state)->name, state->source);
}

gboolean mount_start(CstPoolState *state, GError **error)
{
    MountState *mounted = (MountState *)state;
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    gboolean there;

    if (!check_mounted(mounted, &there, error))
        return FALSE;
    mounted->foreign = there;
    if (there)
        return TRUE;
    if (state->def->type == CST_POOL_FS && !mount_check_device(mounted, error))
        return FALSE;
    if (!cst_handle_open_fixed(state->def->target_path, &target, error) || !cst_may_change(error))
        return FALSE;
    /* An open directory would later prevent an unmount of the file system that contains it. */
    cst_handle_clear(&target);
    if (!mount_run(mounted, error))
        return FALSE;
    CST_CRASH_POINT("mount.start.mounted");
    return TRUE;
}

/* --- stop ------------------------------------------------------------------------------------- */

static gboolean is_the_hosts(const MountState *state)
{
    g_autofree char *real = cst_path_real(mount_pool_def(state)->target_path);

    return cst_fstab_mounts(mount_pool_def(state)->target_path) || cst_fstab_mounts(real);
}

/*
 * After a failed start, does not unmount a mount that the start found, because it may be another
 * file system.
 */
gboolean mount_stop(CstPoolState *state, GError **error)
{
    MountState *mounted = (MountState *)state;

    if (mounted->foreign || !mount_is_there(mounted))
        return TRUE;
    if (is_the_hosts(mounted)) {
        cst_log(CST_LOG_INFO, "pool '%s': '%s' stays mounted on '%s', as fstab has it there",
                state->def->name, mounted->source, state->def->target_path);
        return TRUE;
    }
    return mount_undo(mounted, error);
}

/* Removes the directory of the mount point. The storage is not changed. */
gboolean mount_destroy(CstPoolState *state, unsigned flags, GError **error)
{
    g_autoptr(GPtrArray) mounts = cst_mounts_read();
    const CstMount *mount = mount_at_target((MountState *)state, mounts);

    if (mount)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("failed to remove pool '%s': '%s' is mounted there; unmount it first"),
                        state->def->target_path, mount->source);
    return cst_dir_destroy(state, flags, error);
}
