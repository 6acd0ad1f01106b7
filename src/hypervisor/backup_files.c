/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directories of a backup session, which have the same random name:
 *
 *   DIRECTORY/SESSION/nbd            mode 0700, QEMU's user: QEMU creates the socket in it
 *   SCRATCH/SESSION/TARGET.qcow2     mode 0711, root: libvirt creates the files, and gives them to
 *                                    QEMU's user
 *
 * flock(2) on the directory of the scratch files shows that the session's keeper lives. A directory
 * without that lock and without an entry is left over, for example by a power cut.
 *
 * All names are opened beneath a descriptor of a directory to which only this program's user can
 * write. No symbolic link is followed. QEMU's user may create any file beside its socket.
 */
#include "backup_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/uuid.h>

#define SESSION_PREFIX   "cistern-backup-"
#define SESSION_DIGITS   16
#define SOCKET_NAME      "nbd"
#define SCRATCH_SUFFIX   ".qcow2"
#define TARGET_MAX_BYTES 64

/* --- names ------------------------------------------------------------------------------------ */

char *backup_session_make(void)
{
    GString *name = g_string_new(SESSION_PREFIX);
    CstUuid random;

    cst_uuid_generate(&random);
    /* The last bytes of a UUID are random. */
    for (guint i = CST_UUID_LEN - SESSION_DIGITS / 2; i < CST_UUID_LEN; i++)
        g_string_append_printf(name, "%02x", random.bytes[i]);
    return g_string_free(name, FALSE);
}

gboolean backup_session_is_valid(const char *name)
{
    if (!g_str_has_prefix(name, SESSION_PREFIX))
        return FALSE;
    name += strlen(SESSION_PREFIX);
    return strlen(name) == SESSION_DIGITS && strspn(name, "0123456789abcdef") == SESSION_DIGITS;
}

char *backup_socket_path(const char *directory, const char *session)
{
    return g_build_filename(directory, session, SOCKET_NAME, NULL);
}

char *backup_scratch_path(const char *scratch, const char *session, const char *target)
{
    g_autofree char *name = g_strconcat(target, SCRATCH_SUFFIX, NULL);

    return g_build_filename(scratch, session, name, NULL);
}

gboolean backup_target_is_valid(const char *target)
{
    size_t len = strlen(target);

    return len > 0 && len <= TARGET_MAX_BYTES &&
           strspn(target, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-_") == len;
}

/* --- creation --------------------------------------------------------------------------------- */

/* Creates a directory with the exact mode. Returns its descriptor, or -1. */
static int session_directory_make(int parent_fd, const char *session, mode_t mode, GError **error)
{
    g_auto(CstFd) fd = -1;

    if (mkdirat(parent_fd, session, 0700) == 0)
        fd = openat(parent_fd, session, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fchmod(fd, mode) == 0)
        return g_steal_fd(&fd);
    cst_fail_errno(error, errno, _("cannot create directory '%s'"), session);
    return -1;
}

gboolean backup_socket_make(int dirfd, const char *session, uid_t uid, gid_t gid, GError **error)
{
    g_auto(CstFd) fd = session_directory_make(dirfd, session, 0700, error);

    if (fd < 0)
        return FALSE;
    if (uid == geteuid() && gid == getegid())
        return TRUE;
    return fchown(fd, uid, gid) == 0 ||
           cst_fail_errno(error, errno, _("cannot give directory '%s' to QEMU's user %u"), session,
                          uid);
}

int backup_scratch_open(const char *path, GError **error)
{
    g_auto(CstFd) fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        cst_fail_errno(error, errno, _("cannot open the scratch directory '%s'"), path);
        return -1;
    }
    if (cst_only_we_write(&st))
        return g_steal_fd(&fd);
    cst_fail(error, CST_ERROR_DENIED,
             _("other users can write to the scratch directory '%s'; run chmod 0711"), path);
    return -1;
}

/* Whether @fd, which is locked, is still the session's directory. */
static gboolean session_directory_is_present(int scratch_fd, const char *session, int fd)
{
    struct stat opened, named;

    return fstat(fd, &opened) == 0 &&
           fstatat(scratch_fd, session, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

int backup_scratch_make(int scratch_fd, const char *session, GError **error)
{
    g_auto(CstFd) fd = session_directory_make(scratch_fd, session, 0711, error);

    if (fd < 0)
        return -1;
    /* A recovery may have seen the directory before it was locked. */
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && session_directory_is_present(scratch_fd, session, fd))
        return g_steal_fd(&fd);
    cst_fail(error, CST_ERROR_BUSY, _("another process has removed directory '%s'; try again"),
             session);
    return -1;
}

uint64_t backup_scratch_free(int scratch_fd)
{
    struct statvfs st;

    /* QEMU's user cannot use the blocks that are reserved for root. */
    return fstatvfs(scratch_fd, &st) == 0 ? (uint64_t)st.f_bavail * st.f_frsize : 0;
}

/* --- removal ---------------------------------------------------------------------------------- */

/* Removes the files and the empty directories in the directory, which is closed. */
static void session_directory_clear(int fd)
{
    DIR *dir = fdopendir(fd);
    struct dirent *file;

    if (!dir) {
        close(fd);
        return;
    }
    while ((file = readdir(dir)))
        if (strcmp(file->d_name, ".") != 0 && strcmp(file->d_name, "..") != 0 &&
            unlinkat(dirfd(dir), file->d_name, 0) < 0)
            unlinkat(dirfd(dir), file->d_name, AT_REMOVEDIR);
    closedir(dir);
}

gboolean backup_directory_remove(int parent_fd, const char *session)
{
    int fd = openat(parent_fd, session, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0)
        session_directory_clear(fd);
    return unlinkat(parent_fd, session, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

/* Removes the session's directory unless its keeper lives. */
static void session_directory_sweep(int scratch_fd, const char *session)
{
    g_auto(CstFd) fd = openat(scratch_fd, session, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        backup_directory_remove(scratch_fd, session);
}

void backup_scratch_sweep(int scratch_fd, GHashTable *kept)
{
    int fd = openat(scratch_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *file;

    while (dir && (file = readdir(dir)))
        if (backup_session_is_valid(file->d_name) && !g_hash_table_contains(kept, file->d_name))
            session_directory_sweep(scratch_fd, file->d_name);
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
}
