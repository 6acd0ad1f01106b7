/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files and paths (see the header): atomic replacement of files, directories with names that
 * survive a power loss, opening below a directory, complete reads and writes.
 *
 * The functions keep no state. If two processes could replace one file at the same time, the caller
 * holds the lock for it. Functions that change names check for a dry run (cst_may_change()).
 */
#include <base/alloc.h>
#include <base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>

#define OPEN_TRIES 500 /* with 1 ms between them */
/* A lock that is held for microseconds is acquired soon, one that is held for long costs little. */
#define LOCK_FIRST_LOOK_US 100
#define LOCK_LOOK_US       ((gulong)(20 * G_TIME_SPAN_MILLISECOND))

void cst_fd_clear(CstFd *fd)
{
    /* Runs when a scope ends, where the caller may still need errno. */
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

gboolean cst_dir_sync(int dirfd, const char *name_for_errors, GError **error)
{
    /*
     * EROFS: a read-only file system has no changes to sync. EINVAL: the file system cannot sync
     * directories.
     */
    if (fsync(dirfd) < 0 && errno != EINVAL && errno != EROFS)
        return cst_fail_errno(error, errno, _("cannot sync directory '%s'"), name_for_errors);
    return TRUE;
}

gboolean cst_parent_sync(const char *path, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path);
    g_auto(CstFd) fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot open directory '%s'"), parent);
    return cst_dir_sync(fd, parent, error);
}

/* Syncs the directory of @path, whose file was replaced or removed. */
static gboolean sync_change(const char *path, GError **error)
{
    if (cst_parent_sync(path, error))
        return TRUE;
    g_prefix_error(error,
                   _("the change of '%s' is done, but a power cut may undo it (check the disk, "
                     "then run sync): "),
                   path);
    return FALSE;
}

/* Do not set the modification time. */
#define NOW ((gint64)-1)

static gboolean write_synced(const char *path, const void *data, size_t len, mode_t mode,
                             gint64 mtime, GError **error)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = mtime}};

    /* fchmod() sets the mode afterwards, because the umask does not reduce it. */
    g_auto(CstFd) fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot create '%s'"), path);
    if (fchmod(fd, mode) < 0)
        return cst_fail_errno(error, errno, _("cannot set the mode of '%s'"), path);
    if (!cst_pwrite_full(fd, data, len, 0, path, error))
        return FALSE;
    if (mtime != NOW && futimens(fd, times) < 0)
        return cst_fail_errno(error, errno, _("cannot set the time of '%s'"), path);
    if (fsync(fd) < 0)
        return cst_fail_errno(error, errno, _("cannot sync '%s'"), path);
    return TRUE;
}

#define TEMPORARY_DIGITS 8
#define TEMPORARY_SUFFIX ".new"
#define TEMPORARY_TAIL   (1 + TEMPORARY_DIGITS + strlen(TEMPORARY_SUFFIX))

gboolean cst_file_is_temporary(const char *name)
{
    size_t len = strlen(name);
    const char *digits = len > TEMPORARY_TAIL ? name + len - TEMPORARY_TAIL + 1 : NULL;

    return digits && digits[-1] == '.' && strspn(digits, "0123456789abcdef") == TEMPORARY_DIGITS &&
           g_str_has_suffix(name, TEMPORARY_SUFFIX);
}

/* @name NULL: removes the temporary files of all files. */
static void drop_temporaries(const char *dir, const char *name)
{
    g_autoptr(GDir) listing = g_dir_open(dir, 0, NULL);
    const size_t len = name ? strlen(name) + TEMPORARY_TAIL : 0;
    const char *entry;

    while (listing && (entry = g_dir_read_name(listing))) {
        g_autofree char *path = g_build_filename(dir, entry, NULL);

        if (cst_file_is_temporary(entry) &&
            (!name || (strlen(entry) == len && g_str_has_prefix(entry, name))))
            cst_file_remove(path, NULL);
    }
}

void cst_file_drop_temporaries(const char *dir)
{
    drop_temporaries(dir, NULL);
}

void cst_file_drop_temporaries_of(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);

    drop_temporaries(dir, name);
}

gboolean cst_file_replace(const char *path, const void *data, size_t len, mode_t mode,
                          GError **error)
{
    return cst_file_replace_dated(path, data, len, mode, NOW, error);
}

gboolean cst_file_replace_dated(const char *path, const void *data, size_t len, mode_t mode,
                                gint64 mtime, GError **error)
{
    /*
     * The name is random, because O_EXCL would fail on a file that a crash left. The file is in the
     * same directory, as rename() requires.
     */
    g_autofree char *temporary =
        g_strdup_printf("%s.%0*x" TEMPORARY_SUFFIX, path, TEMPORARY_DIGITS, g_random_int());

    if (!cst_may_change(error))
        return FALSE;
    if (!write_synced(temporary, data, len, mode, mtime, error)) {
        unlink(temporary);
        return FALSE;
    }
    if (rename(temporary, path) < 0) {
        cst_fail_errno(error, errno, _("cannot rename '%s' to '%s'"), temporary, path);
        unlink(temporary);
        return FALSE;
    }
    return sync_change(path, error);
}

static gboolean check_access(const struct stat *st, const char *path, CstFileAccess access,
                             GError **error)
{
    if (access == CST_FILE_TRUSTED && !cst_only_we_write(st))
        return cst_fail(error, CST_ERROR_DENIED,
                        _("other users may write to '%s': the file must be yours or root's, "
                          "without write permission for group and world"),
                        path);
    if (access == CST_FILE_PRIVATE &&
        (!cst_owner_is_us(st->st_uid) || (st->st_mode & (S_IRWXG | S_IRWXO))))
        return cst_fail(error, CST_ERROR_DENIED,
                        _("cannot use '%s': user %u owns it and its mode is %04o, so other users "
                          "may know the key; it must be yours or root's, and chmod 600 takes the "
                          "access of other users away"),
                        path, (unsigned)st->st_uid, st->st_mode & 07777);
    return TRUE;
}

gboolean cst_file_read_open(int fd, const char *path, CstFileAccess access, size_t limit,
                            char **ret_data, size_t *ret_len, GError **error)
{
    g_autofree char *data = NULL;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot open '%s'"), path);
    if (!S_ISREG(st.st_mode))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is not a regular file"), path);
    if (!check_access(&st, path, access, error))
        return FALSE;
    if ((uint64_t)st.st_size > limit)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' is larger than %zu bytes"), path, limit);
    data = cst_alloc((uint64_t)st.st_size + 1, 1, path, error);
    if (!data || !cst_pread_full(fd, data, (size_t)st.st_size, 0, path, error))
        return FALSE;
    data[st.st_size] = '\0';
    *ret_data = g_steal_pointer(&data);
    if (ret_len)
        *ret_len = (size_t)st.st_size;
    return TRUE;
}

static gboolean read_file(const char *path, CstFileAccess access, size_t limit, char **ret_data,
                          size_t *ret_len, GError **error)
{
    /*
     * O_NONBLOCK and O_NOCTTY: a FIFO at this path must not block, and a terminal must not become
     * the controlling one, before S_ISREG rejects it.
     */
    g_auto(CstFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot open '%s'"), path);
    return cst_file_read_open(fd, path, access, limit, ret_data, ret_len, error);
}

gboolean cst_file_read(const char *path, size_t limit, char **ret_data, size_t *ret_len,
                       GError **error)
{
    return read_file(path, CST_FILE_ANY, limit, ret_data, ret_len, error);
}

gboolean cst_file_read_trusted(const char *path, size_t limit, char **ret_data, size_t *ret_len,
                               GError **error)
{
    return read_file(path, CST_FILE_TRUSTED, limit, ret_data, ret_len, error);
}

gboolean cst_file_remove(const char *path, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    if (unlink(path) < 0) {
        /* The file is already removed. Recovery after a crash relies on this. */
        if (errno == ENOENT)
            return TRUE;
        return cst_fail_errno(error, errno, _("cannot remove '%s'"), path);
    }
    return sync_change(path, error);
}

/*
 * Syncs the name of each new directory as well. Otherwise a file in it could survive a power loss
 * under a directory that has no name.
 */
static gboolean make_dir(const char *path, mode_t mode, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path);
    gboolean made;

    if (access(parent, F_OK) < 0 && !make_dir(parent, mode, error))
        return FALSE;
    made = mkdir(path, mode) == 0;
    if (!made && errno != EEXIST)
        return cst_fail_errno(error, errno, _("cannot create directory '%s'"), path);
    if (cst_parent_sync(path, error))
        return TRUE;
    /*
     * Removes the directory again, because cst_dir_ensure() syncs no directory that exists already.
     */
    CST_TEST_POINT("dir.ensure.undo");
    if (made)
        rmdir(path);
    return FALSE;
}

gboolean cst_dir_ensure(const char *path, mode_t mode, GError **error)
{
    struct stat st;

    if (access(path, F_OK) < 0 && (!cst_may_change(error) || !make_dir(path, mode, error)))
        return FALSE;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return cst_fail(error, CST_ERROR_IO, _("'%s' is not a directory"), path);
    return TRUE;
}

gboolean cst_owner_is_us(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

gboolean cst_only_we_write(const struct stat *st)
{
    return cst_owner_is_us(st->st_uid) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

gboolean cst_open_again(int fd, unsigned *tries)
{
    if (fd >= 0 || errno != EWOULDBLOCK || (*tries)++ >= OPEN_TRIES)
        return FALSE;
    g_usleep(G_TIME_SPAN_MILLISECOND);
    errno = EWOULDBLOCK;
    return TRUE;
}

int cst_openat2(int dirfd, const char *name, int flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        /*
         * O_TMPFILE contains O_DIRECTORY, so only its own bit shows that a file is created.
         * openat2() rejects a mode for any other open.
         */
        .mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? mode : 0,
        .resolve = resolve,
    };
    unsigned tries = 0;
    int fd;

    do {
        fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
        /* With RESOLVE_CACHED the same errno means that the cache has no answer. */
    } while (!(resolve & RESOLVE_CACHED) && cst_open_again(fd, &tries));
    return fd;
}

int cst_open_beneath(int dirfd, const char *name, int flags, mode_t mode, GError **error)
{
    int fd = cst_openat2(dirfd, name, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);

    if (fd < 0 && errno == EXDEV) /* openat2(2)'s errno for a name that leads outside */
        cst_fail(error, CST_ERROR_DENIED, _("'%s' leads out of its directory"), name);
    else if (fd < 0)
        cst_fail_errno(error, errno, _("cannot open '%s'"), name);
    return fd;
}

gboolean cst_name_check(const char *name, const char *what, GError **error)
{
    size_t len = strlen(name);

    if (len == 0)
        return cst_fail(error, CST_ERROR_INVALID, _("%s name is empty"), what);
    if (len > NAME_MAX)
        return cst_fail(error, CST_ERROR_INVALID, _("%s name is longer than %d bytes"), what,
                        NAME_MAX);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return cst_fail(error, CST_ERROR_INVALID, _("%s name cannot be '%s'"), what, name);
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '/')
            return cst_fail(error, CST_ERROR_INVALID, _("%s name '%s' cannot contain '/'"), what,
                            name);
        if (g_ascii_iscntrl(name[i]))
            return cst_fail(error, CST_ERROR_INVALID, _("%s name contains a control character"),
                            what);
    }
    return TRUE;
}

gboolean cst_pread_full(int fd, void *buf, size_t len, uint64_t offset, const char *name,
                        GError **error)
{
    char *at = buf;

    while (len > 0) {
        ssize_t n = pread(fd, at, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cst_fail_errno(error, errno, _("cannot read '%s'"), name);
        if (n == 0)
            return cst_fail(error, CST_ERROR_IO, _("cannot read '%s': unexpected end of file"),
                            name);
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return TRUE;
}

gboolean cst_pwrite_full(int fd, const void *buf, size_t len, uint64_t offset, const char *name,
                         GError **error)
{
    const char *at = buf;

    while (len > 0) {
        ssize_t n = pwrite(fd, at, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cst_fail_errno(error, errno, _("cannot write '%s'"), name);
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return TRUE;
}

gboolean cst_flock_wait(int fd, const char *name, gint64 wait_us, const char *busy, GError **error)
{
    gint64 end = g_get_monotonic_time() + wait_us;
    gulong look_us = LOCK_FIRST_LOOK_US;

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return cst_fail_errno(error, errno, _("cannot lock '%s'"), name);
        if (g_get_monotonic_time() > end)
            return cst_fail(error, CST_ERROR_BUSY, "%s", busy);
        CST_TEST_POINT("file.flock.wait");
        g_usleep(look_us);
        look_us = MIN(2 * look_us, LOCK_LOOK_US);
    }
    return TRUE;
}

/* --- the host's own trees --------------------------------------------------------------------- */

int cst_node_open(const char *path, int flags)
{
    unsigned tries = 0;
    int fd;

    do {
        fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
    } while (cst_open_again(fd, &tries));
    return fd;
}

/* A node that exists already was left by a killed process. */
static gboolean make_node(const char *node, dev_t device)
{
    if (mknod(node, S_IFBLK | 0600, device) == 0)
        return TRUE;
    return errno == EEXIST && unlink(node) == 0 && mknod(node, S_IFBLK | 0600, device) == 0;
}

int cst_node_open_aside(const char *path, int flags)
{
    g_autofree char *node = NULL;
    struct stat st;
    int fd;

    if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode))
        return cst_node_open(path, flags);
    /* In /dev itself, because other file systems are mounted with nodev. */
    node = g_strdup_printf("/dev/.cistern-%u:%u", major(st.st_rdev), minor(st.st_rdev));
    if (!make_node(node, st.st_rdev))
        return cst_node_open(path, flags);
    CST_CRASH_POINT("disk.node.made");
    fd = cst_node_open(node, flags | O_NOFOLLOW);
    unlink(node);
    return fd >= 0 ? fd : cst_node_open(path, flags);
}

gboolean cst_node_stat(const char *path, struct stat *ret_st)
{
    return stat(path, ret_st) == 0;
}

char *cst_kernel_read(const char *path)
{
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

GStrv cst_kernel_list(const char *path)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)))
        g_ptr_array_add(names, g_strdup(name));
    if (dir)
        g_dir_close(dir);
    g_ptr_array_add(names, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

char *cst_kernel_link(const char *path)
{
    return g_file_read_link(path, NULL);
}

gboolean cst_kernel_write(const char *path, const char *text)
{
    g_auto(CstFd) fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

char *cst_kernel_resolve(const char *path)
{
    g_autofree char *resolved = realpath(path, NULL);

    return g_strdup(resolved);
}
