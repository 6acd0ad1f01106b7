/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Renames a volume of a directory. A file and its snapshots (snapshot.c) are two entries, so a
 * rename has two steps. Each step is synced before the next one. After a crash in between, the
 * volume is complete under one of its names, and the same call completes the rename.
 *
 * Without a second name, the first step renames the file without replacing an entry. The second
 * step moves the snapshots. With a second name (vol_link), the first step moves the snapshots and
 * the second removes the old name. In this order, a user of the old name can undo every failed
 * step.
 *
 * vol_take links a volume's file into another directory of the same file system.
 */
#include "dir.h"

#include <errno.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>

static gboolean dir_fail_rename(const CstDirHandle *target, const char *name, const char *new_name,
                                int err, GError **error)
{
    if (err == EEXIST || err == ENOTEMPTY)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", new_name);
    if (err == ENOENT)
        return cst_fail_no_volume(name, error);
    return cst_fail_errno(error, err, _("cannot rename '%s/%s' to '%s'"), target->path, name,
                          new_name);
}

/* Snapshots of a volume that another program removed would become snapshots of this volume. */
static gboolean refuse_former_snapshots(const CstDirHandle *target, const char *name,
                                        GError **error)
{
    return !cst_dir_has_snapshots(target, name) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("there are snapshots of a former volume '%s' in '%s/%s'; remove them first"),
                    name, target->path, CST_SNAPSHOT_DIR);
}

static gboolean dir_rename_file(CstPoolState *state, const CstDirHandle *target, const char *name,
                                const char *new_name, GError **error)
{
    if (!cst_entry_rename_new(target, name, new_name))
        return dir_fail_rename(target, name, new_name, errno, error);
    CST_CRASH_POINT("vol.rename.moved");
    if (cst_dir_names_sync(state, target, error) &&
        cst_dir_move_snapshots(target, name, new_name, error))
        return TRUE;
    cst_entry_rename_new(target, new_name, name);
    return FALSE;
}

static gboolean dir_unlink_name(CstPoolState *state, const CstDirHandle *target, const char *name,
                                const char *new_name, GError **error)
{
    if (!cst_dir_move_snapshots(target, name, new_name, error))
        return FALSE;
    CST_CRASH_POINT("vol.rename.snapshots");
    if (!cst_entry_remove(target, name, FALSE) && errno != ENOENT)
        return cst_fail_errno(error, errno, _("cannot unlink file '%s/%s'"), target->path, name);
    CST_CRASH_POINT("vol.rename.unlinked");
    return cst_dir_names_sync(state, target, error);
}

gboolean cst_dir_vol_rename(CstPoolState *state, const char *name, const char *new_name,
                            GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    gboolean is_there, is_taken, is_linked;
    struct statx st;

    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    is_there = cst_entry_stat(&target, name, FALSE, &st);
    is_taken = cst_entry_stat(&target, new_name, FALSE, &st);
    is_linked = cst_entry_same(&target, name, new_name);
    if (!is_there && !is_taken)
        return cst_fail_no_volume(name, error);
    if (is_there && is_taken && !is_linked)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", new_name);
    if (!is_taken && !refuse_former_snapshots(&target, new_name, error))
        return FALSE;
    if (!cst_handle_may_change(&target))
        return dir_fail_rename(&target, name, new_name, errno, error);
    if (!cst_may_change(error))
        return FALSE;
    if (is_linked)
        return dir_unlink_name(state, &target, name, new_name, error);
    /*
     * If the old name is missing, a crash interrupted an earlier rename after the file was renamed.
     */
    return is_there ? dir_rename_file(state, &target, name, new_name, error)
                    : cst_dir_names_sync(state, &target, error) &&
                          cst_dir_move_snapshots(&target, name, new_name, error);
}

/*
 * Syncs the second name @name. On failure removes the name, so that a second try creates it again.
 */
static gboolean dir_link_sync(CstPoolState *state, const CstDirHandle *target, const char *name,
                              GError **error)
{
    if (cst_dir_names_sync(state, target, error))
        return TRUE;
    cst_entry_remove(target, name, FALSE);
    return FALSE;
}

gboolean cst_dir_vol_link(CstPoolState *state, const char *name, const char *new_name,
                          GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    struct statx st;

    if (!cst_dir_target_open(state, &target, error) ||
        !refuse_former_snapshots(&target, new_name, error))
        return FALSE;
    if (cst_entry_stat(&target, new_name, FALSE, &st))
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", new_name);
    if (!cst_handle_may_change(&target))
        return dir_fail_rename(&target, name, new_name, errno, error);
    if (!cst_may_change(error))
        return FALSE;
    if (cst_entry_link(&target, name, new_name))
        return dir_link_sync(state, &target, new_name, error);
    if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' can't have a second name on its file system"), name);
    return dir_fail_rename(&target, name, new_name, errno, error);
}

/* Refuses a symbolic link, because it would name another file than the entry. */
static gboolean is_the_file(CstPoolState *from, const char *name, int fd, GError **error)
{
    g_auto(CstDirHandle) source = CST_DIR_HANDLE_NONE;

    return cst_dir_target_open(from, &source, error) &&
           (cst_entry_is(&source, name, fd) ||
            cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' is no file of its directory's own"),
                     name));
}

gboolean cst_dir_vol_take(CstPoolState *state, CstPoolState *from, const char *name, CstBlob *blob,
                          const char *new_name, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    int fd = cst_blob_file_fd(blob);

    if (!is_the_file(from, name, fd, error) || !cst_dir_target_open(state, &target, error) ||
        !refuse_former_snapshots(&target, new_name, error) || !cst_may_change(error))
        return FALSE;
    if (cst_entry_link_open(&target, fd, new_name))
        return dir_link_sync(state, &target, new_name, error);
    if (errno == EEXIST)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", new_name);
    return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' can't have a name in '%s' as well: %s"),
                    name, target.path, g_strerror(errno));
}
