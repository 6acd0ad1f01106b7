/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lock files. The lock is an OFD lock, because such a lock belongs to the open file, and another
 * process can query it without acquiring it. The holder removes the file before it releases the
 * lock. So a file that was opened before and locked after the release is no longer in the
 * directory. Then the path is opened again.
 */
#include "lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/test_point.h>

int lock_file_acquire(const char *path, GError **error)
{
    struct flock request = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    for (;;) {
        g_auto(CstFd) fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat st;

        if (fd < 0) {
            cst_fail_errno(error, errno, _("cannot open '%s'"), path);
            return -1;
        }
        CST_TEST_POINT("lock_file.opened");
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

void lock_file_release(const char *path, int fd)
{
    if (fd < 0)
        return;
    unlink(path);
    CST_TEST_POINT("lock_file.removed");
    close(fd);
}
