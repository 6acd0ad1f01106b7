/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lock of a rotation. It is an OFD lock, because such a lock belongs to the open file and so to
 * one rotation, and another process can query it without acquiring it. The holder removes the file
 * before it releases the lock. So a file that was opened before and locked after that is no longer
 * in the directory, and the path is opened again.
 */
#include <store/rotation_lock.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/test_point.h>

static char *lock_path(const CstPaths *paths, const CstUuid *uuid)
{
    char text[CST_UUID_TEXT_LEN];

    return g_strconcat(paths->secret_run_dir, "/", cst_uuid_format(uuid, text), ".rotating", NULL);
}

int cst_rotation_lock(const CstPaths *paths, const CstUuid *uuid, GError **error)
{
    g_autofree char *path = lock_path(paths, uuid);
    struct flock request = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char text[CST_UUID_TEXT_LEN];

    if (!cst_dir_ensure(paths->secret_run_dir, 0700, error))
        return -1;
    for (;;) {
        g_auto(CstFd) fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat st;

        if (fd < 0) {
            cst_fail_errno(error, errno, _("cannot open '%s'"), path);
            return -1;
        }
        CST_TEST_POINT("rotation.lock.opened");
        if (fcntl(fd, F_OFD_SETLK, &request) < 0) {
            cst_fail(error, CST_ERROR_BUSY, _("secret '%s' is being rotated"),
                     cst_uuid_format(uuid, text));
            return -1;
        }
        if (fstat(fd, &st) == 0 && st.st_nlink > 0)
            return g_steal_fd(&fd);
    }
}

void cst_rotation_unlock(const CstPaths *paths, const CstUuid *uuid, int fd)
{
    g_autofree char *path = lock_path(paths, uuid);

    if (fd < 0)
        return;
    unlink(path);
    CST_TEST_POINT("rotation.unlock.removed");
    close(fd);
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
