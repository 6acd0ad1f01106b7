/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Spools (see the header), with O_TMPFILE. On a file system without it the name is removed at once.
 */
#include <base/spool.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <base/units.h>

#define RESERVE (64 * CST_MIB)

const char *cst_spool_dir(const char *given)
{
    const char *dir = given ? given : g_getenv("TMPDIR");

    return dir && *dir ? dir : "/var/tmp";
}

int cst_spool_open(const char *dir)
{
    g_autofree char *path = NULL;
    int fd = open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

    /* A file system without O_TMPFILE, such as NFS. */
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        path = g_build_filename(dir, ".cistern-XXXXXX", NULL);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            unlink(path);
    }
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
