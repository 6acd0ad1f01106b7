/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/**
 * Files and paths. Every descriptor opened here is O_CLOEXEC. No function uses a shared file
 * offset.
 */

/** A descriptor that g_auto(CstFd) closes, unless g_steal_fd() has taken it; -1: no descriptor. */
typedef int CstFd;
/** Closes *@fd unless it is -1, and makes it -1. Keeps errno. */
void cst_fd_clear(CstFd *fd);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstFd, cst_fd_clear)

/**
 * Replaces @path with @len bytes of @data, so that a crash leaves either the old file or the new
 * one: temporary file in the same directory, fsync, rename, fsync of the directory. @mode is exact
 * (the umask is ignored). The file is durable when the function returns TRUE.
 */
gboolean cst_file_replace(const char *path, const void *data, size_t len, mode_t mode,
                          GError **error);

/**
 * As cst_file_replace(), with @mtime (seconds since 1970) as the new file's time of modification.
 */
gboolean cst_file_replace_dated(const char *path, const void *data, size_t len, mode_t mode,
                                gint64 mtime, GError **error);

/** Whether @name has the form of a temporary file of cst_file_replace(). */
gboolean cst_file_is_temporary(const char *name);

/**
 * Removes from @dir the temporary files that interrupted calls of cst_file_replace() left. The
 * caller holds the lock under which files in @dir are replaced, because another process may be
 * replacing one.
 */
void cst_file_drop_temporaries(const char *dir);

/**
 * Removes the temporary files that interrupted calls of cst_file_replace() for @path left. The
 * caller holds the lock under which that file is replaced.
 */
void cst_file_drop_temporaries_of(const char *path);

/**
 * Reads a regular file. *@ret_data is NUL-terminated; the caller frees it. @ret_len may be NULL.
 * Fails with LIMIT if the file has more than @limit bytes, and with INVALID if it is not a regular
 * file.
 */
gboolean cst_file_read(const char *path, size_t limit, char **ret_data, size_t *ret_len,
                       GError **error);

/**
 * As cst_file_read(). Fails with DENIED if a user other than root and this process's can write to
 * it.
 */
gboolean cst_file_read_trusted(const char *path, size_t limit, char **ret_data, size_t *ret_len,
                               GError **error);

/** The users that may have access to a file that is read. */
typedef enum {
    CST_FILE_ANY,     /**< all users */
    CST_FILE_TRUSTED, /**< only root and this process's user can write to it */
    CST_FILE_PRIVATE, /**< a key or a password: root or this process's user owns it, and group and
                         other users have no access */
} CstFileAccess;

/**
 * As cst_file_read(), for the open file @fd. @path is for messages. Fails with DENIED if more users
 * than @access have access to the file.
 */
gboolean cst_file_read_open(int fd, const char *path, CstFileAccess access, size_t limit,
                            char **ret_data, size_t *ret_len, GError **error);

/** Removes @path and syncs its directory. Succeeds if the file does not exist. */
gboolean cst_file_remove(const char *path, GError **error);

/**
 * Creates the directory @path and its missing parents, with @mode less the umask. Their names
 * survive a power loss.
 */
gboolean cst_dir_ensure(const char *path, mode_t mode, GError **error);

/**
 * Syncs a directory, so that names that were created or removed in it survive a power loss.
 * Succeeds if the file system cannot sync directories (EINVAL: some network file systems) or is
 * read-only (EROFS).
 */
gboolean cst_dir_sync(int dirfd, const char *name_for_errors, GError **error);

/** Syncs the directory that contains @path. */
gboolean cst_parent_sync(const char *path, GError **error);

/** Whether @uid is root or the user of this process. */
gboolean cst_owner_is_us(uid_t uid);
/**
 * Whether only root and this process's user can write to the file of @st, or, for a directory,
 * create and rename entries. The group bits of the mode are the mask of a POSIX ACL, so they cover
 * named users as well.
 */
gboolean cst_only_we_write(const struct stat *st);

/**
 * Whether to repeat an open(2) that returned @fd, because the kernel was breaking a lease on the
 * file. *tries counts the repetitions from 0. The function sleeps for a millisecond itself, and
 * returns FALSE after half a second of repetitions. Keeps errno.
 */
gboolean cst_open_again(int fd, unsigned *tries);

/**
 * openat2(2) with @resolve (RESOLVE_… of <linux/openat2.h>). O_CLOEXEC is added to @flags. Returns
 * -1 with errno set. A kernel without openat2() fails with ENOSYS, so that no file is opened
 * without the checks of @resolve.
 */
int cst_openat2(int dirfd, const char *name, int flags, mode_t mode, uint64_t resolve);

/**
 * Opens @name below @dirfd with openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS), so that neither
 * ".." nor a symbolic link leads outside. Fails with DENIED if one does. @flags as for open(2).
 * Returns -1 and sets @error.
 */
int cst_open_beneath(int dirfd, const char *name, int flags, mode_t mode, GError **error);

/**
 * Checks that @name may become one directory entry: not empty, not "." or "..", no '/', no control
 * character, at most 255 bytes. Fails with INVALID. @what names the kind of object in the message
 * ("volume").
 */
gboolean cst_name_check(const char *name, const char *what, GError **error);

/**
 * Reads @len bytes at @offset. Fails with IO ("unexpected end") if the file ends before them. @name
 * is for messages.
 */
gboolean cst_pread_full(int fd, void *buf, size_t len, uint64_t offset, const char *name,
                        GError **error);
/** Writes @len bytes at @offset. On failure a part of them may have been written. */
gboolean cst_pwrite_full(int fd, const void *buf, size_t len, uint64_t offset, const char *name,
                         GError **error);

/**
 * Acquires the exclusive flock(2) on @fd, which is @name. Waits up to @wait_us microseconds for its
 * holder, then fails with BUSY and the message @busy.
 */
gboolean cst_flock_wait(int fd, const char *name, gint64 wait_us, const char *busy, GError **error);

/* --- the host's own trees: device nodes, /proc, /sys ------------------------------------------ */

/**
 * Opens the device node at @path (below /dev, or a device or file that an administrator names).
 * Follows links, because udev's names are links. O_CLOEXEC and O_NONBLOCK are added to @flags.
 * Returns -1 with errno set.
 */
int cst_node_open(const char *path, int flags);

/**
 * As cst_node_open(), through a temporary node that exists only during the call. Locks on the inode
 * of a node and watches on it, such as udev's, do not see the descriptor. The device and its cache
 * are the same. Only one process at a time may call it for a device. If the temporary node cannot
 * be created or opened, the function opens the node at @path.
 */
int cst_node_open_aside(const char *path, int flags);

/**
 * stat(2) of a device node, of a process's descriptor, or of a path that the kernel reports.
 * Follows links. Returns FALSE with errno set.
 */
gboolean cst_node_stat(const char *path, struct stat *ret_st);

/**
 * Returns the text of a file of the kernel (/proc, /sys); NULL if it cannot be read. g_free() it.
 */
char *cst_kernel_read(const char *path);

/**
 * Returns the names in a directory of the kernel, without "." and ".."; empty if it cannot be read.
 */
GStrv cst_kernel_list(const char *path);

/**
 * Returns the target of a link of the kernel (/proc/PID/cwd) without following it; NULL if it
 * cannot be read. g_free() it.
 */
char *cst_kernel_link(const char *path);

/**
 * Writes @text, in one write(2), to a file of the kernel that accepts commands. Returns FALSE with
 * errno set. May block for as long as the hardware needs for the command.
 */
gboolean cst_kernel_write(const char *path, const char *text);

/**
 * Returns the path of a file or directory of the kernel without symbolic links; NULL on failure.
 */
char *cst_kernel_resolve(const char *path);
