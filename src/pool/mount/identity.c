/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verifies that the storage is the one that the pool was started with. Its identity is one line.
 * The first form is for a file system on a device, the second for an export of a server:
 *
 *     uuid=2f1c… type=ext4
 *     source=host:/export fsid=a1b2…
 *
 * Two equal lines mean the same storage. The fsid is 0 if the server does not report an id.
 *
 * The identity is read only after a new mount. Then the directory is recognised by its device and
 * inode (dir/target.c). The mount of a directory is found by the mount id of its descriptor.
 * Therefore a concurrent mount cannot cause a mismatch between the table and the directory.
 */
#include "mount.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <pool/device.h>

/* --- the line --------------------------------------------------------------------------------- */

/*
 * NFS shows the server's id of a file system only in this table:
 *
 *     NV SERVER   PORT DEV          FSID                              FSC
 *     v4 0a000002  801 0:45         29a53b4cdd4a42f1:8b9e3ec9e7a1d0b2 no
 *
 * Returns NULL if the device has no row.
 */
static char *nfs_fsid(dev_t device)
{
    g_autofree char *table = cst_kernel_read("/proc/fs/nfsfs/volumes");
    g_auto(GStrv) lines = g_strsplit(table ? table : "", "\n", -1);

    for (char **line = lines; *line; line++) {
        unsigned device_major, device_minor;
        char fsid[64];

        if (sscanf(*line, "%*s %*s %*s %u:%u %63s", &device_major, &device_minor, fsid) == 3 &&
            makedev(device_major, device_minor) == device)
            return g_strdup(fsid);
    }
    return NULL;
}

/*
 * For an SMB share, the first word of f_fsid of statfs(2) is the volume's serial number. The second
 * word is a time that Samba does not keep. FUSE reports no id.
 */
static char *fsid_of(const CstDirHandle *target, const CstMount *mount)
{
    char *fsid = nfs_fsid(mount->device);
    struct statfs fs;
    uint32_t id = 0;

    if (fsid)
        return fsid;
    if (fstatfs(target->fd, &fs) == 0)
        memcpy(&id, &fs.f_fsid, sizeof(id));
    return g_strdup_printf("%" PRIx32, id);
}

static char *mount_identity_line(const MountState *state, const CstDirHandle *target,
                                 const CstMount *mount)
{
    if (state->dir.head.def->type == CST_POOL_NETFS) {
        g_autofree char *fsid = fsid_of(target, mount);

        return g_strdup_printf("source=%s fsid=%s\n", state->source, fsid);
    } else {
        g_autofree char *uuid = cst_device_uuid(state->source);

        return g_strdup_printf("uuid=%s type=%s\n", uuid ? uuid : "", mount->type);
    }
}

/* --- admission -------------------------------------------------------------------------------- */

/*
 * Returns the mount of the open directory, borrowed from @mounts, or NULL if it is already
 * unmounted.
 */
static const CstMount *mount_of(const CstDirHandle *target, const GPtrArray *mounts)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", target->fd);
    g_autofree char *text = cst_kernel_read(path);
    const char *line = text ? strstr(text, "mnt_id:") : NULL;

    for (guint i = 0; line && i < mounts->len; i++) {
        const CstMount *mount = g_ptr_array_index(mounts, i);

        if (mount->id == atoi(line + strlen("mnt_id:")))
            return mount;
    }
    return NULL;
}

/* Returns whether the target is the root of the mount, and no directory below it. */
static gboolean is_root(const CstDirHandle *target, const CstMount *mount)
{
    g_autofree char *real = cst_path_real(target->path);

    return strcmp(target->path, mount->target) == 0 || strcmp(real, mount->target) == 0;
}

/*
 * Returns the identity of the mount at the target, or NULL with STATE if it is not the pool's
 * source.
 */
static char *mount_identity_read(const MountState *state, const CstDirHandle *target,
                                 GError **error)
{
    g_autoptr(GPtrArray) mounts = cst_mounts_read();
    const CstMount *mount = mount_of(target, mounts);

    if (mount && mount_is_ours(state, mount) && is_root(target, mount))
        return mount_identity_line(state, target, mount);
    cst_fail(error, CST_ERROR_STATE,
             _("'%s' is not mounted on '%s'; mount it there, or stop and start the pool"),
             state->source, target->path);
    return NULL;
}

gboolean mount_admit(CstPoolState *state, const CstDirHandle *target, GError **error)
{
    MountState *mounted = (MountState *)state;
    g_autofree char *line = mount_identity_read(mounted, target, error);
    gboolean same;

    if (!line)
        return FALSE;
    g_mutex_lock(&mounted->dir.lock);
    same = !mounted->recorded || strcmp(mounted->recorded, line) == 0;
    if (same && !mounted->recorded)
        mounted->recorded = g_steal_pointer(&line);
    g_mutex_unlock(&mounted->dir.lock);
    return same || cst_fail(error, CST_ERROR_STATE,
                            _("another file system is mounted on '%s' than when the pool was last "
                              "started; mount the right one, or run pool-build to accept this one"),
                            target->path);
}

char *mount_identity(CstPoolState *state, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    if (!cst_dir_target_open(state, &target, error))
        return NULL;
    return mount_identity_read((MountState *)state, &target, error);
}

gboolean mount_expect(CstPoolState *state, const char *recorded, gboolean starting, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    MountState *mounted = (MountState *)state;

    g_mutex_lock(&mounted->dir.lock);
    g_free(mounted->recorded);
    mounted->recorded = recorded && *recorded ? g_strdup(recorded) : NULL;
    g_mutex_unlock(&mounted->dir.lock);
    if (!starting)
        return TRUE;
    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    mounted->foreign = FALSE;
    return TRUE;
}
