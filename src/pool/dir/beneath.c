/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens entries in a directory of an untrusted owner, such as a tenant's share on which root works.
 * The owner can rename, replace and link entries at any time. Therefore a name may refer to another
 * file at the next call. Decisions depend on the descriptor and on fstat() of it.
 *
 * The first stat by name only prevents the open of FIFOs and device nodes, which may have side
 * effects. Every check is repeated on the descriptor. The kernel refuses links (openat2() with
 * RESOLVE_NO_SYMLINKS), so no check by name is needed. A link is followed only if root or this user
 * owns it, in a directory in which only root and this user can create entries.
 *
 * A change (rename, unlink) works on names. A caller that must know the changed file compares entry
 * and descriptor (cst_entry_is()). Threads do not share handles.
 */
#include "beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/place.h>
#include <base/test_point.h>

/*
 * Flags of all opens. STRICT: the kernel follows no links and does not leave the directory. SAFELY:
 * the open does not wait for the other end of a FIFO, and a terminal does not become the
 * controlling terminal. LINKS_MAX equals the limit of the kernel.
 */
#define STRICT    (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
#define SAFELY    (O_NONBLOCK | O_NOCTTY)
#define LINKS_MAX 40

void cst_handle_clear(CstDirHandle *dir)
{
    cst_fd_clear(&dir->fd);
    g_clear_pointer(&dir->path, g_free);
}

/* Adopts @fd. Returns FALSE and errno on failure. */
static gboolean handle_init(CstDirHandle *dir, int fd, const char *path)
{
    *dir = (CstDirHandle){.fd = fd};
    if (fd < 0 || fstat(fd, &dir->st) < 0) {
        cst_fd_clear(&dir->fd);
        return FALSE;
    }
    dir->path = g_strdup(path);
    dir->is_private = cst_only_we_write(&dir->st);
    return TRUE;
}

gboolean cst_handle_open(const char *path, CstDirHandle *ret_handle, GError **error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);

    return handle_init(ret_handle, fd, path) ||
           cst_fail_errno(error, errno, _("cannot open directory '%s'"), path);
}

/* --- a path whose parts may belong to other users --------------------------------------------- */

/* Opens the directory @fd (O_PATH) again, because such descriptors cannot be listed or synced. */
static gboolean handle_reopen(CstDirHandle *dir, int fd, const char *path, GError **error)
{
    return handle_init(dir, openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), path) ||
           cst_fail_errno(error, errno, _("cannot open directory '%s'"), path);
}

gboolean cst_handle_open_trusted(const char *path, gboolean make, mode_t mode,
                                 CstDirHandle *ret_handle, GError **error)
{
    g_auto(CstFd) fd = cst_place_walk(path, make ? &mode : NULL, NULL, error);

    return fd >= 0 && handle_reopen(ret_handle, fd, path, error);
}

gboolean cst_handle_open_fixed(const char *path, CstDirHandle *ret_handle, GError **error)
{
    g_autofree char *exchanged = NULL;
    g_auto(CstFd) fd = cst_place_walk(path, NULL, &exchanged, error);

    if (fd < 0)
        return FALSE;
    if (exchanged)
        return cst_fail(error, CST_ERROR_DENIED,
                        _("cannot mount on '%s', because users other than root can replace the "
                          "directory '%s' in that path; use a path that only root can change"),
                        path, exchanged);
    return handle_reopen(ret_handle, fd, path, error);
}

/* Returns the path of the directory @fd without symbolic links, or NULL if it is unknown. */
static char *path_of_fd(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    char path[PATH_MAX];
    ssize_t len = readlink(link, path, sizeof(path) - 1);

    return len > 0 ? g_strndup(path, (gsize)len) : NULL;
}

/* Returns the text of the link that is open as @fd (O_PATH), or NULL if it is no link. */
static char *text_of_link(int fd)
{
    char text[PATH_MAX];
    ssize_t len = readlinkat(fd, "", text, sizeof(text) - 1);

    return len > 0 ? g_strndup(text, (gsize)len) : NULL;
}

/*
 * Opens the last part with RESOLVE_NO_XDEV. On a mount point the open fails before the kernel
 * queries the mounted file system. Only the directories above are entered.
 */
static char *real_path(const char *path, guint links)
{
    g_autofree char *above = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    g_auto(CstFd) parent = open(above, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_autofree char *real = parent < 0 ? NULL : path_of_fd(parent);
    g_autofree char *target = NULL, *next = NULL;
    g_auto(CstFd) last = -1;

    if (!real)
        return g_strdup(path);
    last = cst_openat2(parent, name, O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_XDEV);
    target = last < 0 ? NULL : text_of_link(last);
    if (!target || links >= LINKS_MAX)
        return g_build_filename(real, name, NULL);
    next = g_canonicalize_filename(target, real);
    return real_path(next, links + 1);
}

char *cst_path_real(const char *path)
{
    return real_path(path, 0);
}

gboolean cst_handle_stat_above(const CstDirHandle *dir, struct stat *ret_st)
{
    return fstatat(dir->fd, "..", ret_st, 0) == 0;
}

/* --- directories of ours ---------------------------------------------------------------------- */

static gboolean not_ours(const char *path, GError **error)
{
    return cst_fail(error, CST_ERROR_DENIED,
                    _("'%s' was not made by this program: it is not a directory, belongs to "
                      "another user, or other users may write to it; check it, and remove it"),
                    path);
}

gboolean cst_handle_open_own(const CstDirHandle *in, const char *name, gboolean make,
                             CstDirHandle *ret_handle, GError **error)
{
    g_autofree char *path = g_build_filename(in->path, name, NULL);
    gboolean made = make && mkdirat(in->fd, name, 0700) == 0;

    *ret_handle = CST_DIR_HANDLE_NONE;
    if (make && !made && errno != EEXIST)
        return cst_fail_errno(error, errno, _("cannot create directory '%s'"), path);
    if (!handle_init(ret_handle,
                     cst_openat2(in->fd, name, O_RDONLY | O_DIRECTORY | SAFELY, 0, STRICT), path)) {
        int err = errno;

        if (err == ENOENT && !make)
            return TRUE;
        if (made)
            unlinkat(in->fd, name, AT_REMOVEDIR);
        if (err == ELOOP || err == ENOTDIR)
            return not_ours(path, error);
        return cst_fail_errno(error, err, _("cannot open directory '%s'"), path);
    }
    if (ret_handle->st.st_uid == geteuid() && cst_only_we_write(&ret_handle->st))
        return TRUE;
    cst_handle_clear(ret_handle);
    if (made)
        unlinkat(in->fd, name, AT_REMOVEDIR);
    return not_ours(path, error);
}

/*
 * Opens a separate descriptor, because the position of a directory stream belongs to the open file.
 */
DIR *cst_handle_list(const CstDirHandle *dir)
{
    g_auto(CstFd) fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);

    if (stream)
        fd = -1; /* closedir() closes it */
    return stream;
}

/* --- entries ---------------------------------------------------------------------------------- */

/*
 * The trust in a link depends on its owner and its directory. In a directory that other users can
 * write to, a hard link may lead to another tenant's file. A device node may lead to the host's
 * disk.
 */
char *cst_entry_distrust(const CstDirHandle *dir, const char *name, const CstEntryOwner *owner)
{
    if (S_ISLNK(owner->mode)) {
        if (dir->is_private && cst_owner_is_us(owner->uid))
            return NULL;
        return g_strdup_printf(_("'%s' is a symbolic link that users other than root can have "
                                 "made, so it is not followed; put the file itself into '%s', or "
                                 "let only root own and write that directory and the link"),
                               name, dir->path);
    }
    if (dir->is_private)
        return NULL;
    if (S_ISREG(owner->mode) && owner->nlink > 1)
        return g_strdup_printf(_("'%s' has %u names (hard links) and other users may write to "
                                 "'%s', so it may be another user's file and is not opened; "
                                 "replace it by a copy, or let only root write to the directory"),
                               name, owner->nlink, dir->path);
    if (S_ISBLK(owner->mode))
        return g_strdup_printf(_("'%s' is a device node and other users may write to '%s', so it "
                                 "is not opened; let only root write to the directory"),
                               name, dir->path);
    return NULL;
}

static gboolean check_trust(const CstDirHandle *dir, const char *name, const CstEntryOwner *owner,
                            GError **error)
{
    g_autofree char *why = cst_entry_distrust(dir, name, owner);

    return !why || cst_fail(error, CST_ERROR_DENIED, "%s", why);
}

/* Returns whether an entry of this mode can be a volume with content. */
static gboolean has_content(mode_t mode)
{
    return S_ISREG(mode) || S_ISBLK(mode);
}

static gboolean cannot_open(const CstDirHandle *dir, const char *name, int err, GError **error)
{
    return cst_fail_errno(error, err, _("cannot open volume '%s/%s'"), dir->path, name);
}

static gboolean no_content(const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' is neither a file nor a block device"),
                    name);
}

/* Checks the entry by name before any open. *ret_link: the entry is a trusted link. */
static gboolean dir_check_entry(const CstDirHandle *dir, const char *name, gboolean *ret_link,
                                GError **error)
{
    CstEntryOwner owner;
    struct stat st;

    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return cannot_open(dir, name, errno, error);
    owner = (CstEntryOwner){st.st_mode, st.st_uid, (guint)st.st_nlink};
    if (!check_trust(dir, name, &owner, error))
        return FALSE;
    *ret_link = S_ISLNK(st.st_mode);
    if (*ret_link && fstatat(dir->fd, name, &st, 0) < 0)
        return cannot_open(dir, name, errno, error);
    return has_content(st.st_mode) || no_content(name, error);
}

/*
 * Fails as for an untrusted link. The entry was no link at the check, so another user has just
 * replaced it.
 */
static gboolean became_link(const CstDirHandle *dir, const char *name, GError **error)
{
    const CstEntryOwner link = {.mode = S_IFLNK, .uid = (uid_t)-1};

    return check_trust(dir, name, &link, error);
}

int cst_entry_open_stat(const CstDirHandle *dir, const char *name, int flags, struct statx *ret_st,
                        GError **error)
{
    g_auto(CstFd) fd = -1;
    gboolean link = FALSE;
    CstEntryOwner owner;

    if (!dir_check_entry(dir, name, &link, error))
        return -1;
    CST_TEST_POINT("dir.entry.checked");
    /* A trusted link may lead out of the directory. */
    fd = cst_openat2(dir->fd, name, flags | SAFELY, 0, link ? 0 : STRICT);
    if (fd < 0 || !cst_fd_stat(fd, ret_st)) {
        if (link || errno != ELOOP || became_link(dir, name, error))
            cannot_open(dir, name, errno, error);
        return -1;
    }
    if (!has_content(ret_st->stx_mode)) {
        no_content(name, error);
        return -1;
    }
    owner = (CstEntryOwner){ret_st->stx_mode, ret_st->stx_uid, ret_st->stx_nlink};
    /* The owner of a trusted link is responsible for its target. */
    if (!link && !check_trust(dir, name, &owner, error))
        return -1;
    return g_steal_fd(&fd);
}

int cst_entry_open(const CstDirHandle *dir, const char *name, int flags, GError **error)
{
    struct statx st;

    return cst_entry_open_stat(dir, name, flags, &st, error);
}

/*
 * A trusted link is refused, because cst_entry_is() compares the entry itself with the opened file.
 */
int cst_entry_open_file(const CstDirHandle *dir, const char *name, int flags, GError **error)
{
    g_auto(CstFd) fd = cst_entry_open(dir, name, flags, error);
    struct stat st;

    if (fd < 0)
        return -1;
    if (!cst_entry_is(dir, name, fd) || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("'%s' is no regular file that lies in '%s' itself"), name, dir->path);
        return -1;
    }
    return g_steal_fd(&fd);
}

/*
 * Hard links are accepted, because the file is neither read nor written and only its name is
 * removed.
 */
int cst_entry_open_draft(const CstDirHandle *dir, const char *name)
{
    struct stat st;
    int fd;

    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    errno = EINVAL;
    fd = S_ISREG(st.st_mode) ? cst_openat2(dir->fd, name, O_RDWR | SAFELY, 0, STRICT) : -1;
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
        cst_fd_clear(&fd);
    return fd;
}

int cst_entry_create(const CstDirHandle *dir, const char *name)
{
    return cst_openat2(dir->fd, name, O_RDWR | O_CREAT | O_EXCL | SAFELY, 0600, STRICT);
}

int cst_handle_create_nameless(const CstDirHandle *dir)
{
    return openat(dir->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

#define STATX_WANTED (STATX_BASIC_STATS | STATX_BTIME)

gboolean cst_entry_stat(const CstDirHandle *dir, const char *name, gboolean follow,
                        struct statx *ret_st)
{
    return statx(dir->fd, name, AT_STATX_SYNC_AS_STAT | (follow ? 0 : AT_SYMLINK_NOFOLLOW),
                 STATX_WANTED, ret_st) == 0;
}

gboolean cst_fd_stat(int fd, struct statx *ret_st)
{
    return statx(fd, "", AT_STATX_SYNC_AS_STAT | AT_EMPTY_PATH, STATX_WANTED, ret_st) == 0;
}

gboolean cst_entry_is(const CstDirHandle *dir, const char *name, int fd)
{
    struct stat entry, open_file;

    return fstatat(dir->fd, name, &entry, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &open_file) == 0 &&
           entry.st_dev == open_file.st_dev && entry.st_ino == open_file.st_ino;
}

gboolean cst_entry_remove(const CstDirHandle *dir, const char *name, gboolean is_dir)
{
    return unlinkat(dir->fd, name, is_dir ? AT_REMOVEDIR : 0) == 0;
}

gboolean cst_entry_link(const CstDirHandle *dir, const char *from, const char *to)
{
    return linkat(dir->fd, from, dir->fd, to, 0) == 0;
}

gboolean cst_entry_link_open(const CstDirHandle *dir, int fd, const char *to)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);

    return linkat(AT_FDCWD, link, dir->fd, to, AT_SYMLINK_FOLLOW) == 0;
}

gboolean cst_entry_same(const CstDirHandle *dir, const char *name, const char *other)
{
    struct stat one, two;

    return fstatat(dir->fd, name, &one, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(dir->fd, other, &two, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(one.st_mode) &&
           one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

/*
 * Renames a directory. The rename can only replace an empty directory that another process created
 * after the check. Such a directory has no content that could be lost.
 */
static gboolean rename_directory(const CstDirHandle *dir, const char *from, const char *to)
{
    struct stat st;

    if (fstatat(dir->fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return FALSE;
    }
    return errno == ENOENT && renameat(dir->fd, from, dir->fd, to) == 0;
}

/* Some network file systems cannot rename without replacing. On these, link and unlink the file. */
gboolean cst_entry_rename_new(const CstDirHandle *dir, const char *from, const char *to)
{
    struct stat st;

    if (renameat2(dir->fd, from, dir->fd, to, RENAME_NOREPLACE) == 0)
        return TRUE;
    if (errno != EINVAL && errno != ENOSYS)
        return FALSE;
    if (fstatat(dir->fd, from, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return rename_directory(dir, from, to);
    return linkat(dir->fd, from, dir->fd, to, 0) == 0 && unlinkat(dir->fd, from, 0) == 0;
}

gboolean cst_entry_rename_over(const CstDirHandle *dir, const char *from, const char *to)
{
    return renameat(dir->fd, from, dir->fd, to) == 0;
}

gboolean cst_handle_may_change(const CstDirHandle *dir)
{
    return !cst_dry_run() || faccessat(dir->fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

/* Sets errno to ENOTEMPTY like rmdir(2) if the directory has entries. */
gboolean cst_entry_is_empty(const CstDirHandle *dir, const char *name)
{
    int fd = cst_openat2(dir->fd, name, O_RDONLY | O_DIRECTORY | SAFELY, 0, STRICT);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    gboolean is_empty = TRUE;

    if (!stream) {
        cst_fd_clear(&fd);
        return FALSE;
    }
    for (const struct dirent *entry; is_empty && (entry = readdir(stream));)
        is_empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(stream);
    errno = ENOTEMPTY;
    return is_empty;
}

gboolean cst_path_readable(const char *path)
{
    return access(path, R_OK) == 0;
}
