/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/fs.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * A file system that shares extents, played by copying: file systems that do are not where tests of
 * a mutant run. That nothing is shared shows in nothing but the space.
 */

static int copy_bytes(int from, off_t from_offset, int to, off_t to_offset, off_t length)
{
    while (length > 0) {
        ssize_t done = copy_file_range(from, &from_offset, to, &to_offset, (size_t)length, 0);

        if (done <= 0)
            return -1;
        length -= done;
    }
    return 0;
}

static int clone_file(int to, int from)
{
    struct stat st;

    if (fstat(from, &st) < 0 || ftruncate(to, 0) < 0 || ftruncate(to, st.st_size) < 0)
        return -1;
    return copy_bytes(from, 0, to, 0, st.st_size);
}

static int clone_range(int to, const struct file_clone_range *range)
{
    return copy_bytes((int)range->src_fd, (off_t)range->src_offset, to, (off_t)range->dest_offset,
                      (off_t)range->src_length);
}

/* In the place of libc's. */
int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *argument;

    va_start(args, request);
    argument = va_arg(args, void *);
    va_end(args);
    if (request == FICLONE)
        return clone_file(fd, (int)(long)argument);
    if (request == FICLONERANGE)
        return clone_range(fd, argument);
    return (int)syscall(SYS_ioctl, fd, request, argument);
}
