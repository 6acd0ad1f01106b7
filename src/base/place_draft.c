/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Draft directories next to a place (see the header). A draft directory has a random hidden name.
 * Another user may own the parent directory and exchange the draft directory at any time.
 * cst_place_make_draft() therefore opens the new directory, and examines the open one: if another
 * user can enter it, a further directory is created. All later steps are relative to the
 * descriptor.
 */
#include <base/place.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#define DRAFT_TRIES  16
#define DRAFT_PREFIX ".cistern-"

/*
 * Whether @fd is a directory that only this process's user can enter. Some file systems keep
 * neither owner nor mode (vfat, CIFS), and an NFS server may map root to another user. There a new
 * file in the directory shows the owner and the mode that this process's files get. If another user
 * has exchanged the directory, its owner differs from the file's owner, or the file keeps its mode
 * 0600. Returns FALSE with errno 0 then, or with the errno of a failed call.
 */
static gboolean is_private_directory(int fd)
{
    const mode_t others = S_IRWXG | S_IRWXO;
    struct stat dir, file;
    g_auto(CstFd) probe = -1;

    if (fstat(fd, &dir) < 0)
        return FALSE;
    if (S_ISDIR(dir.st_mode) && dir.st_uid == geteuid() && !(dir.st_mode & others))
        return TRUE;
    probe =
        openat(fd, DRAFT_PREFIX "probe", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (probe < 0 || unlinkat(fd, DRAFT_PREFIX "probe", 0) < 0 || fstat(probe, &file) < 0)
        return FALSE;
    errno = 0;
    return file.st_uid == dir.st_uid && (!(dir.st_mode & others) || file.st_mode & others);
}

/* Whether @err may come from the exchange of the draft directory by another user. */
static gboolean is_exchange(int err)
{
    return err == 0 || err == ENOENT || err == ENOTDIR || err == ELOOP || err == EEXIST ||
           err == EACCES || err == EPERM;
}

/* Opens the new directory @name. Returns -1 with errno; is_exchange() then permits another try. */
static int draft_open(const CstPlace *place, const char *name)
{
    g_auto(CstFd) fd = openat(place->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd >= 0 && is_private_directory(fd) ? g_steal_fd(&fd) : -1;
}

int cst_place_make_draft(const CstPlace *place, char **ret_name, GError **error)
{
    for (guint i = 0; i < DRAFT_TRIES; i++) {
        g_autofree char *name = g_strdup_printf(DRAFT_PREFIX "%08x", g_random_int());
        int fd;

        if (mkdirat(place->dir, name, 0700) < 0) {
            if (errno == EEXIST)
                continue;
            cst_fail_errno(error, errno, _("cannot create '%s'"), place->path);
            return -1;
        }
        CST_TEST_POINT("place.draft.made");
        fd = draft_open(place, name);
        if (fd >= 0) {
            *ret_name = g_steal_pointer(&name);
            return fd;
        }
        if (!is_exchange(errno)) {
            cst_fail_errno(error, errno, _("cannot create '%s'"), place->path);
            CST_TEST_POINT("place.draft.undo");
            (void)unlinkat(place->dir, name, AT_REMOVEDIR);
            return -1;
        }
    }
    cst_fail(error, CST_ERROR_DENIED,
             _("cannot create '%s': another user exchanges names in its directory"), place->path);
    return -1;
}

/* Returns FALSE with errno if a file or the directory remains. */
static gboolean draft_remove(const CstPlace *place, int fd, const char *name,
                             const GPtrArray *files)
{
    struct stat named, ours;

    for (guint i = 0; files && i < files->len; i++)
        if (unlinkat(fd, g_ptr_array_index(files, i), 0) < 0 && errno != ENOENT)
            return FALSE;
    if (fstat(fd, &ours) < 0 || fstatat(place->dir, name, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
        !cst_stat_is_same(&named, &ours))
        return TRUE;
    return unlinkat(place->dir, name, AT_REMOVEDIR) == 0;
}

gboolean cst_place_drop_draft(const CstPlace *place, int fd, const char *name,
                              const GPtrArray *files, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(place->path);

    return draft_remove(place, fd, name, files) ||
           cst_fail_errno(error, errno, _("cannot remove directory '%s/%s' (remove it by hand)"),
                          dir, name);
}

gboolean cst_place_adopt(const CstPlace *place, int draft, const char *name, const char *final,
                         gboolean replace, GError **error)
{
    struct stat st;

    if (renameat2(draft, name, place->dir, final, replace ? 0 : RENAME_NOREPLACE) == 0)
        return TRUE;
    /* Some file systems do not support RENAME_NOREPLACE. */
    if (errno == EINVAL && fstatat(place->dir, final, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
        renameat(draft, name, place->dir, final) == 0)
        return TRUE;
    if (errno == EEXIST)
        return cst_fail(
            error, CST_ERROR_EXISTS,
            _("'%s' was created by another program in the meantime, and was not overwritten"),
            place->path);
    return cst_fail_errno(error, errno, _("cannot create '%s'"), place->path);
}

gboolean cst_place_replace(const CstPlace *place, const void *data, size_t len, mode_t mode,
                           gboolean replace, GError **error)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new();
    g_autofree char *name = NULL;
    g_auto(CstFd) draft = -1, fd = -1;
    gboolean ok;

    if (!cst_may_change(error))
        return FALSE;
    draft = cst_place_make_draft(place, &name, error);
    if (draft < 0)
        return FALSE;
    fd = openat(draft, place->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    ok = (fd >= 0 || cst_fail_errno(error, errno, _("cannot create '%s'"), place->path)) &&
         cst_pwrite_full(fd, data, len, 0, place->path, error) &&
         ((fchmod(fd, mode) == 0 && fsync(fd) == 0) ||
          cst_fail_errno(error, errno, _("cannot write '%s'"), place->path)) &&
         cst_place_adopt(place, draft, place->name, place->name, replace, error);
    if (!ok && fd >= 0)
        g_ptr_array_add(files, place->name);
    ok = cst_place_drop_draft(place, draft, name, files, ok ? error : NULL) && ok;
    return ok && cst_place_sync(place, error);
}
