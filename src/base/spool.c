/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Spools (see the header), with O_TMPFILE. On a file system without it the name is removed at once.
 * The directory is opened once, so that another user cannot exchange it between the two steps.
 */
#include <base/spool.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <base/file.h>
#include <base/units.h>

#define TRIES   100
#define RESERVE (64 * CST_MIB)

const char *cst_spool_dir(const char *given)
{
    const char *dir = given ? given : g_getenv("TMPDIR");

    return dir && *dir ? dir : "/var/tmp";
}

/*
 * Creates a file in the open directory @dir and removes its name, for a file system without
 * O_TMPFILE, such as NFS.
 */
static int spool_open_unlinked(int dir)
{
    for (unsigned tries = 0; tries < TRIES; tries++) {
        g_autofree char *name =
            g_strdup_printf(".cistern-%08x%08x", g_random_int(), g_random_int());
        int fd = openat(dir, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

        if (fd >= 0)
            unlinkat(dir, name, 0);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

int cst_spool_open(const char *path)
{
    g_auto(CstFd) dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd;

    if (dir < 0)
        return -1;
    fd = openat(dir, ".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
        fd = spool_open_unlinked(dir);
    return fd;
}

gboolean cst_spool_room(int fd, uint64_t *ret_room)
{
    struct statvfs fs;
    uint64_t room;

    if (fstatvfs(fd, &fs) < 0)
        return FALSE;
    room = (uint64_t)fs.f_bavail * fs.f_frsize;
    *ret_room = room > RESERVE ? room - RESERVE : 0;
    return TRUE;
}
