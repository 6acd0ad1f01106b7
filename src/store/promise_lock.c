/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lock of the promise of a pool. It is an OFD lock, because such a lock belongs to the open
 * file. The holder removes the file before it releases the lock. So a file that was opened before
 * and locked after the release is no longer in the directory. Then the path is opened again. The
 * directory has no other files, because the definitions are read anew when their directories
 * change.
 */
#include <store/promise_lock.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/test_point.h>

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
    struct flock request = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (!cst_dir_ensure(dir, 0755, error))
        return -1;
    for (;;) {
        g_auto(CstFd) fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat st;

        if (fd < 0) {
            cst_fail_errno(error, errno, _("cannot open '%s'"), path);
            return -1;
        }
        CST_TEST_POINT("promise_lock.acquire.opened");
        if (fcntl(fd, F_OFD_SETLK, &request) < 0) {
            if (errno == EAGAIN || errno == EACCES)
                cst_fail(error, CST_ERROR_BUSY, _("'%s' is locked by another process"), path);
            else
                cst_fail_errno(error, errno, _("cannot lock '%s'"), path);
            return -1;
        }
        if (fstat(fd, &st) == 0 && st.st_nlink > 0)
            return g_steal_fd(&fd);
    }
}

void cst_promise_unlock(const CstPaths *paths, const CstUuid *uuid, int fd)
{
    g_autofree char *path = promise_lock_path(paths, uuid);

    if (fd < 0)
        return;
    unlink(path);
    close(fd);
}
