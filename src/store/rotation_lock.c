/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <store/rotation_lock.h>

#include <fcntl.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "lock_file.h"

static char *lock_path(const CstPaths *paths, const CstUuid *uuid)
{
    char text[CST_UUID_TEXT_LEN];

    return g_strconcat(paths->secret_run_dir, "/", cst_uuid_format(uuid, text), ".rotating", NULL);
}

int cst_rotation_lock(const CstPaths *paths, const CstUuid *uuid, GError **error)
{
    g_autofree char *path = lock_path(paths, uuid);
    g_autoptr(GError) why = NULL;
    char text[CST_UUID_TEXT_LEN];
    int fd;

    if (!cst_dir_ensure(paths->secret_run_dir, 0700, error))
        return -1;
    fd = lock_file_acquire(path, &why);
    if (g_error_matches(why, CST_ERROR, CST_ERROR_BUSY))
        cst_fail(error, CST_ERROR_BUSY, _("secret '%s' is being rotated"),
                 cst_uuid_format(uuid, text));
    else if (why)
        g_propagate_error(error, g_steal_pointer(&why));
    return fd;
}

void cst_rotation_unlock(const CstPaths *paths, const CstUuid *uuid, int fd)
{
    g_autofree char *path = lock_path(paths, uuid);

    lock_file_release(path, fd);
}

gboolean cst_rotation_is_locked(const CstPaths *paths, const CstUuid *uuid)
{
    g_autofree char *path = lock_path(paths, uuid);
    g_auto(CstFd) fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct flock query = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    /* A query, not a lock: cst_rotation_lock() would fail while this process held it. */
    if (fd < 0 || fcntl(fd, F_OFD_GETLK, &query) < 0)
        return FALSE;
    CST_TEST_POINT("rotation.query.answered");
    return query.l_type != F_UNLCK;
}
