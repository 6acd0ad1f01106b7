/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Marks of volumes that must not be deleted. */
#include <store/protected.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#include "volume_files.h"

static char *protected_dir(const CstPaths *paths, const CstUuid *pool)
{
    return volume_files_dir(paths, "protected", pool);
}

static gboolean protected_fail_errno(int err, const char *volume, GError **error)
{
    return cst_fail_errno(error, err, _("cannot tell whether volume '%s' is protected"), volume);
}

static gboolean protected_mark_create(const char *dir, const char *path, const char *volume,
                                      GError **error)
{
    g_auto(CstFd) fd = -1;

    if (!cst_dir_ensure(dir, 0700, error))
        return FALSE;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot protect volume '%s'"), volume);
    CST_CRASH_POINT("vol.protect.marked");
    if (cst_parent_sync(path, error))
        return TRUE;
    /* The next call does not sync an existing mark again, so it must create the mark anew. */
    CST_TEST_POINT("protected.mark.undo");
    unlink(path);
    return FALSE;
}

gboolean cst_protected_set(const CstPaths *paths, const CstUuid *pool, const char *volume,
                           gboolean on, GError **error)
{
    g_autofree char *dir = protected_dir(paths, pool);
    g_autofree char *path = volume_file_path(dir, volume);
    gboolean is_on;

    if (!cst_protected_find(paths, pool, volume, &is_on, error))
        return FALSE;
    if (on == is_on)
        return TRUE;
    return cst_may_change(error) &&
           (on ? protected_mark_create(dir, path, volume, error) : cst_file_remove(path, error));
}

gboolean cst_protected_find(const CstPaths *paths, const CstUuid *pool, const char *volume,
                            gboolean *ret_on, GError **error)
{
    g_autofree char *dir = protected_dir(paths, pool);
    g_autofree char *path = volume_file_path(dir, volume);

    *ret_on = access(path, F_OK) == 0;
    return *ret_on || errno == ENOENT || errno == ENOTDIR ||
           protected_fail_errno(errno, volume, error);
}

GPtrArray *cst_protected_list(const CstPaths *paths, const CstUuid *pool, GError **error)
{
    g_autofree char *dir = protected_dir(paths, pool);

    return volume_files_list(dir, error);
}
