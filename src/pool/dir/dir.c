/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>

#define DEFAULT_DIR_MODE 0711

static CstPoolState *dir_open(const CstPoolDef *def, GError **error)
{
    CstPoolState *state;

    if (!def->target_path || !g_path_is_absolute(def->target_path)) {
        cst_fail(error, CST_ERROR_INVALID, _("path '%s' is not absolute"),
                 def->target_path ? def->target_path : "");
        return NULL;
    }
    state = g_new0(CstPoolState, 1);
    state->def = cst_pool_def_copy(def);
    return state;
}

static void dir_close(CstPoolState *state)
{
    cst_pool_def_free(state->def);
    g_free(state);
}

int cst_dir_open_target(const CstPoolState *state, GError **error)
{
    const char *path = state->def->target_path;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        cst_fail_errno(error, errno, _("cannot open directory '%s'"), path);
    return fd;
}

static gboolean dir_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    struct stat st;

    *ret_active = stat(state->def->target_path, &st) == 0 && S_ISDIR(st.st_mode);
    return TRUE;
}

/* --- build and delete ------------------------------------------------------------------------- */

/* Copy on write makes guests' disks slow on btrfs: off unless the definition asks for it. */
static gboolean set_cow(int fd, const char *path, int feature_cow, GError **error)
{
    struct statfs fs;
    int attributes;

    if (fstatfs(fd, &fs) < 0 || (fs.f_type != BTRFS_SUPER_MAGIC && feature_cow != 0))
        return TRUE;
    if (feature_cow == 1)
        return TRUE;
    if (ioctl(fd, FS_IOC_GETFLAGS, &attributes) == 0) {
        attributes |= FS_NOCOW_FL;
        if (ioctl(fd, FS_IOC_SETFLAGS, &attributes) == 0)
            return TRUE;
    }
    if (feature_cow != 0)
        return TRUE;
    return cst_fail_errno(error, errno, _("cannot turn copy-on-write off for '%s'"), path);
}

gboolean cst_dir_set_owner(int fd, const char *name, const CstPerms *perms, GError **error)
{
    uid_t uid = perms->uid == CST_PERMS_UNSET ? (uid_t)-1 : perms->uid;
    gid_t gid = perms->gid == CST_PERMS_UNSET ? (gid_t)-1 : perms->gid;

    if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(fd, uid, gid) < 0)
        return cst_fail_errno(error, errno, _("cannot chown '%s' to (%u, %u)"), name, uid, gid);
    return TRUE;
}

static gboolean apply_perms(int fd, const char *path, const CstPerms *perms, GError **error)
{
    if (!cst_dir_set_owner(fd, path, perms, error))
        return FALSE;
    if (perms->mode != CST_PERMS_UNSET && fchmod(fd, perms->mode) < 0)
        return cst_fail_errno(error, errno, _("cannot set mode of '%s' to %04o"), path,
                              perms->mode);
    return TRUE;
}

/* Overwriting is for devices: libvirt words the refusal like this, and scripts know it. */
static gboolean check_build_flags(const CstPoolState *state, unsigned flags, GError **error)
{
    const unsigned formatting = CST_POOL_BUILD_OVERWRITE | CST_POOL_BUILD_NO_OVERWRITE;

    if (!cst_flags_check(flags, formatting, "virStorageBackendFileSystemBuild", error) ||
        !cst_flags_exclusive(flags, CST_POOL_BUILD_OVERWRITE, "VIR_STORAGE_POOL_BUILD_OVERWRITE",
                             CST_POOL_BUILD_NO_OVERWRITE, "VIR_STORAGE_POOL_BUILD_NO_OVERWRITE",
                             error))
        return FALSE;
    if (flags & formatting)
        return cst_fail(error, CST_ERROR_STATE,
                        _("No source device specified when formatting pool '%s'"),
                        state->def->name);
    return TRUE;
}

static gboolean dir_build(CstPoolState *state, unsigned flags, GError **error)
{
    const char *path = state->def->target_path;
    g_autofree char *parent = g_path_get_dirname(path);
    g_auto(CstFd) fd = -1;
    mode_t mode = state->def->target_perms.mode;

    if (!check_build_flags(state, flags, error) || !cst_dir_ensure(parent, 0755, error))
        return FALSE;
    if (mkdir(path, mode == CST_PERMS_UNSET ? DEFAULT_DIR_MODE : mode & 07777) < 0 &&
        errno != EEXIST)
        return cst_fail_errno(error, errno, _("cannot create directory '%s'"), path);
    fd = cst_dir_open_target(state, error);
    return fd >= 0 && apply_perms(fd, path, &state->def->target_perms, error) &&
           set_cow(fd, path, state->def->feature_cow, error);
}

static gboolean dir_destroy(CstPoolState *state, unsigned flags, GError **error)
{
    const char *path = state->def->target_path;

    if (!cst_flags_check(flags, 0, "virStorageBackendDeleteLocal", error))
        return FALSE;
    if (rmdir(path) < 0)
        return cst_fail_errno(error, errno, _("failed to remove pool '%s'"), path);
    return TRUE;
}

static gboolean dir_start(CstPoolState *state, GError **error)
{
    g_auto(CstFd) fd = cst_dir_open_target(state, error);

    return fd >= 0;
}

/* --- usage, names ----------------------------------------------------------------------------- */

static gboolean dir_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    const char *path = state->def->target_path;
    struct statvfs fs;
    struct stat st;

    if (statvfs(path, &fs) < 0 || stat(path, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot statvfs path '%s'"), path);
    ret_usage->mode = st.st_mode & 07777;
    ret_usage->uid = st.st_uid;
    ret_usage->gid = st.st_gid;
    ret_usage->capacity = (uint64_t)fs.f_frsize * fs.f_blocks;
    ret_usage->available = (uint64_t)fs.f_frsize * fs.f_bfree;
    ret_usage->allocation = ret_usage->capacity - ret_usage->available;
    return TRUE;
}

static char *dir_vol_path(CstPoolState *state, const char *name)
{
    const char *target = state->def->target_path;

    return g_strconcat(target, g_str_has_suffix(target, "/") ? "" : "/", name, NULL);
}

static char *dir_vol_resolve(CstPoolState *state, const char *path)
{
    const char *target = state->def->target_path;
    size_t len = strlen(target);

    if (strncmp(path, target, len) != 0)
        return NULL;
    if (len > 1) {
        if (path[len] != '/')
            return NULL;
        len++;
    }
    if (path[len] == '\0' || strchr(path + len, '/'))
        return NULL;
    return g_strdup(path + len);
}

/* --- identity --------------------------------------------------------------------------------- */

/*
 * "mounted=1 type=58465342 inode=128 device=2049": whether the directory is the root of a mounted
 * file system, which kind, and which inode it is there. The device number holds until the next
 * boot only, so it counts within one boot (see identity_check).
 */
typedef struct {
    int mounted;
    unsigned long type;
    unsigned long long inode;
    unsigned long long device;
    char boot[CST_UUID_TEXT_LEN];
} Identity;

static void read_boot_id(char boot[CST_UUID_TEXT_LEN])
{
    g_autofree char *text = NULL;

    boot[0] = '\0';
    if (g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
        g_strlcpy(boot, g_strchomp(text), CST_UUID_TEXT_LEN);
}

static gboolean identify(const CstPoolState *state, Identity *ret, GError **error)
{
    g_auto(CstFd) fd = cst_dir_open_target(state, error);
    struct stat here, above;
    struct statfs fs;

    if (fd < 0)
        return FALSE;
    if (fstat(fd, &here) < 0 || fstatat(fd, "..", &above, 0) < 0 || fstatfs(fd, &fs) < 0)
        return cst_fail_errno(error, errno, _("cannot stat path '%s'"), state->def->target_path);
    ret->mounted = here.st_dev != above.st_dev;
    ret->type = (unsigned long)fs.f_type;
    ret->inode = here.st_ino;
    ret->device = here.st_dev;
    read_boot_id(ret->boot);
    return TRUE;
}

static char *dir_identity(CstPoolState *state, GError **error)
{
    Identity id = {0};

    if (!identify(state, &id, error))
        return NULL;
    return g_strdup_printf("mounted=%d type=%lx inode=%llu device=%llu boot=%s\n", id.mounted,
                           id.type, id.inode, id.device, id.boot);
}

static gboolean dir_identity_check(CstPoolState *state, const char *recorded, gboolean starting,
                                   GError **error)
{
    const char *path = state->def->target_path;
    Identity was = {0}, is = {0};

    if (sscanf(recorded, "mounted=%d type=%lx inode=%llu device=%llu boot=%36s", &was.mounted,
               &was.type, &was.inode, &was.device, was.boot) < 4)
        return TRUE;
    if (!identify(state, &is, error))
        return FALSE;
    if (was.mounted && !is.mounted)
        return cst_fail(error, CST_ERROR_STATE,
                        _("'%s' was the root of a mounted file system and nothing is mounted "
                          "there now; mount it, or run pool-build to accept the directory"),
                        path);
    if (was.mounted && was.type != is.type)
        return cst_fail(error, CST_ERROR_STATE,
                        _("another file system is mounted on '%s' than when the pool was last "
                          "started; mount the right one, or run pool-build to accept this one"),
                        path);
    if (!starting && strcmp(was.boot, is.boot) == 0 &&
        (was.device != is.device || was.inode != is.inode))
        return cst_fail(error, CST_ERROR_STATE,
                        _("'%s' is not the directory that the pool was started with; restore it, "
                          "or restart the pool to accept this one"),
                        path);
    return TRUE;
}

const CstBackend cst_dir_backend = {
    .type = CST_POOL_DIR,
    .open = dir_open,
    .close = dir_close,
    .check = dir_check,
    .scan = cst_dir_scan,
    .scan_one = cst_dir_scan_one,
    .usage = dir_usage,
    .vol_path = dir_vol_path,
    .vol_resolve = dir_vol_resolve,
    .build = dir_build,
    .start = dir_start,
    .destroy = dir_destroy,
    .drop_drafts = cst_dir_drop_drafts,
    .identity = dir_identity,
    .identity_check = dir_identity_check,
    .vol_reserve = cst_dir_vol_reserve,
    .vol_commit = cst_dir_vol_commit,
    .vol_abandon = cst_dir_vol_abandon,
    .vol_delete = cst_dir_vol_delete,
    .vol_replaced = cst_dir_vol_replaced,
    .vol_open = cst_dir_vol_open,
    .vol_holders = cst_dir_vol_holders,
    .snapshots = &cst_dir_snapshots,
    .watch_open = cst_dir_watch_open,
    .watch_read = cst_dir_watch_read,
};
