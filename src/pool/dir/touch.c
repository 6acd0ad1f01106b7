/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Probes whether the file system of a pool's directory responds (CstBackend.touch, may_hang). The
 * probe returns no descriptor and reads no name, so the path may belong to any user.
 *
 * A file system on a disk or in memory of this host is not probed. The kernel serves statfs(2) and
 * open(2) from memory there, even if the disk hangs.
 */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <pool/mounts.h>

gboolean cst_path_touch(const char *path, GError **error)
{
    struct statfs fs;
    int err;

    if (statfs(path, &fs) < 0) {
        err = errno;
        cst_fail_errno(error, err, _("cannot statfs '%s'"), path);
        errno = err;
        return FALSE;
    }
    /* A server may answer statfs(2) and still fail every open. */
    g_auto(CstFd) fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);

    return TRUE;
}

gboolean cst_dir_touch(const CstPoolDef *def, GError **error)
{
    static const int failures[] = {EIO, ESTALE, ENOTCONN, ETIMEDOUT, EHOSTDOWN, EHOSTUNREACH};
    g_autoptr(GError) why = NULL;
    gboolean failed = FALSE;
    int err;

    if (cst_path_touch(def->target_path, &why))
        return TRUE;
    err = errno;
    for (size_t i = 0; i < G_N_ELEMENTS(failures); i++)
        failed = failed || err == failures[i];
    if (failed)
        g_propagate_error(error, g_steal_pointer(&why));
    return !failed;
}

/* A device number with a nonzero major belongs to a disk. This usual case is decided first. */
gboolean cst_dir_may_hang(const CstPoolDef *def)
{
    const char *path = def->target_path;
    g_auto(CstFd) fd = cst_openat2(AT_FDCWD, path, O_PATH, 0, RESOLVE_CACHED);
    g_autofree char *real = NULL;
    g_autoptr(GPtrArray) mounts = NULL;
    struct statx st;

    if (fd >= 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) == 0 &&
        st.stx_dev_major != 0)
        return FALSE;
    real = cst_path_real(path);
    mounts = cst_mounts_read();
    return !cst_mounts_is_local(mounts, real);
}
