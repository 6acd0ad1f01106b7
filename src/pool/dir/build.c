/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-build and pool-delete of directories. Root gives the target away (owner, mode), so the path
 * is walked part by part. A link in the path is followed only if no other user can have created it.
 *
 * A repeated build makes no further change. An interrupted build leaves a directory without its
 * owner or mode, which the next build sets.
 */
#include "dir.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>

#define DEFAULT_DIR_MODE 0711 /* as in libvirt */

/*
 * Turns copy-on-write off on btrfs unless the definition requests it (@feature_cow 1), because it
 * makes guests' disks slow. If the definition turns it off (0), a failure is an error, because the
 * setting must not be ignored.
 */
static gboolean set_cow(int fd, const char *path, int feature_cow, GError **error)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0 || (fs.f_type != BTRFS_SUPER_MAGIC && feature_cow != 0))
        return TRUE;
    if (feature_cow == 1 || cst_dir_turn_cow_off(fd) || feature_cow != 0)
        return TRUE;
    return cst_fail_errno(error, errno, _("cannot turn copy-on-write off for '%s'"), path);
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

/* Refuses the formatting flags, which are for devices, with libvirt's message. */
static gboolean dir_check_build_flags(const CstPoolState *state, unsigned flags, GError **error)
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

/*
 * In a dry run, checks that the existing parts of the path can be opened. A build would create the
 * missing ones.
 */
static gboolean dir_build_check_path(const char *path, GError **error)
{
    g_auto(CstDirHandle) there = CST_DIR_HANDLE_NONE;
    GError *why = NULL;

    if (!cst_dry_run() || cst_handle_open_trusted(path, FALSE, 0, &there, &why))
        return TRUE;
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND)) {
        g_propagate_error(error, why);
        return FALSE;
    }
    g_error_free(why);
    return TRUE;
}

gboolean cst_dir_build(CstPoolState *state, unsigned flags, GError **error)
{
    const char *path = state->def->target_path;
    mode_t mode = state->def->target_perms.mode;
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    return dir_check_build_flags(state, flags, error) && dir_build_check_path(path, error) &&
           cst_may_change(error) &&
           cst_handle_open_trusted(path, TRUE,
                                   mode == CST_PERMS_UNSET ? DEFAULT_DIR_MODE : mode & 07777,
                                   &target, error) &&
           apply_perms(target.fd, path, &state->def->target_perms, error) &&
           set_cow(target.fd, path, state->def->feature_cow, error) &&
           cst_dir_sync(target.fd, path, error);
}

/* rmdir(2) refuses a directory that has entries or is a mount point. */
gboolean cst_dir_destroy(CstPoolState *state, unsigned flags, GError **error)
{
    const char *path = state->def->target_path;
    g_autofree char *above = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    g_auto(CstDirHandle) parent = CST_DIR_HANDLE_NONE;

    if (!cst_flags_check(flags, 0, "virStorageBackendDeleteLocal", error))
        return FALSE;
    if (!cst_handle_open_trusted(above, FALSE, 0, &parent, error))
        return FALSE;
    if (cst_dry_run() && !cst_entry_is_empty(&parent, name))
        return cst_fail_errno(error, errno, _("failed to remove pool '%s'"), path);
    if (!cst_may_change(error))
        return FALSE;
    if (!cst_entry_remove(&parent, name, TRUE))
        return cst_fail_errno(error, errno, _("failed to remove pool '%s'"), path);
    return cst_dir_sync(parent.fd, above, error);
}
