/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lock of the promise of a pool. Its directory has no other files, because the definitions are
 * read anew when their directories change.
 */
#include <store/promise_lock.h>

#include <base/file.h>

#include "lock_file.h"

static char *promise_lock_path(const CstPaths *paths, const CstUuid *uuid)
{
    g_autofree char *dir = cst_paths_promise_dir(paths);
    char text[CST_UUID_TEXT_LEN];

    return g_build_filename(dir, cst_uuid_format(uuid, text), NULL);
}

int cst_promise_lock(const CstPaths *paths, const CstUuid *uuid, GError **error)
{
    g_autofree char *dir = cst_paths_promise_dir(paths);
    g_autofree char *path = promise_lock_path(paths, uuid);

    return cst_dir_ensure(dir, 0755, error) ? lock_file_acquire(path, error) : -1;
}

void cst_promise_unlock(const CstPaths *paths, const CstUuid *uuid, int fd)
{
    g_autofree char *path = promise_lock_path(paths, uuid);

    lock_file_release(path, fd);
}
