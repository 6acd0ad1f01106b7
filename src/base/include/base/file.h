/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/**
 * Files and paths. Every descriptor made here is O_CLOEXEC. Nothing here uses a shared file
 * offset.
 */

/** A descriptor that g_auto(CstFd) closes, unless g_steal_fd() has given it away; -1: none. */
typedef int CstFd;
/** Closes *@fd unless it is -1, and makes it -1. Keeps errno. */
void cst_fd_clear(CstFd *fd);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstFd, cst_fd_clear)

/**
 * Replaces @path by @len bytes of @data so that a crash leaves either the old file or the new one:
 * temporary file in the same directory, fsync, rename, fsync of the directory. @mode is exact (the
 * umask is ignored). Durable when it returns TRUE.
 */
gboolean cst_file_replace(const char *path, const void *data, size_t len, mode_t mode,
                          GError **error);

/**
 * As cst_file_replace(), with @mtime (seconds since 1970) as the new file's time of modification.
 */
gboolean cst_file_replace_dated(const char *path, const void *data, size_t len, mode_t mode,
                                gint64 mtime, GError **error);

/** Whether @name is that of an unfinished file of cst_file_replace(). */
gboolean cst_file_is_temporary(const char *name);

/**
 * Removes from @dir the temporary files that interrupted calls of cst_file_replace() have left. The
 * caller holds the lock under which files are replaced there: another process could be in the
 * middle of it.
 */
void cst_file_drop_temporaries(const char *dir);

/**
 * Removes the temporary files that interrupted calls of cst_file_replace() for @path have left. The
 * caller holds the lock under which that file is replaced.
 */
void cst_file_drop_temporaries_of(const char *path);

/**
 * Reads a regular file. *@ret_data is NUL-terminated and the caller's to free; @ret_len may be
 * NULL. LIMIT when the file has more than @limit bytes, INVALID when it is no regular file.
 */
gboolean cst_file_read(const char *path, size_t limit, char **ret_data, size_t *ret_len,
                       GError **error);

/** Reads it likewise; DENIED when others than root and this process's user may write to it. */
gboolean cst_file_read_trusted(const char *path, size_t limit, char **ret_data, size_t *ret_len,
                               GError **error);

/**
 * Reads a file with a key or a password likewise; DENIED when it belongs to another user than root
 * and this process's, or its mode gives group or others any access.
 */
gboolean cst_file_read_private(const char *path, size_t limit, char **ret_data, size_t *ret_len,
                               GError **error);

/** Removes @path and syncs its directory; succeeds when there is no such file. */
gboolean cst_file_remove(const char *path, GError **error);

/**
 * Makes the directory @path and its parents, as far as they are missing, with @mode less the umask.
 * Their names survive a power cut.
 */
gboolean cst_dir_ensure(const char *path, mode_t mode, GError **error);

/**
 * Syncs a directory, so that names that were made or removed in it survive a power cut. Succeeds
 * where the file system cannot sync directories (EINVAL: some network ones) or is read-only
 * (EROFS).
 */
gboolean cst_dir_sync(int dirfd, const char *name_for_errors, GError **error);

/** Syncs the directory that contains @path. */
gboolean cst_parent_sync(const char *path, GError **error);

/** Whether @uid is root or the user of this process. */
gboolean cst_owner_is_us(uid_t uid);
/**
 * Whether only root and this process's user can write to what @st describes, or, for a directory,
 * make and rename entries. A POSIX ACL's mask is the mode's group bits, so these cover named users
 * as well.
 */
gboolean cst_only_we_write(const struct stat *st);

/**
 * Whether an open(2) that returned @fd is to be repeated, because a lease on the file was just
 * being returned. *tries counts the repetitions from 0; the function sleeps for a moment itself,
 * and gives up after half a second. Keeps errno.
 */
gboolean cst_open_again(int fd, unsigned *tries);

/**
 * openat2(2) with @resolve (RESOLVE_… of <linux/openat2.h>); O_CLOEXEC is added to @flags. Returns
 * -1 with errno set. A kernel that can't honour @resolve fails with ENOSYS: nothing is opened then.
 */
int cst_openat2(int dirfd, const char *name, int flags, mode_t mode, uint64_t resolve);

/**
 * Opens @name below @dirfd with openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS), so that neither
 * ".." nor a symbolic link leads outside; DENIED if one does. @flags as open(2). Returns -1 and
 * sets @error.
 */
int cst_open_beneath(int dirfd, const char *name, int flags, mode_t mode, GError **error);

/**
 * Checks that @name may become one directory entry: not empty, not "." or "..", no '/', no control
 * character, at most 255 bytes. INVALID otherwise. @what names the object in the message
 * ("volume").
 */
gboolean cst_name_check(const char *name, const char *what, GError **error);

/**
 * Reads @len bytes at @offset. The end of the file before that is an IO error ("unexpected end").
 * @name is for messages.
 */
gboolean cst_pread_full(int fd, void *buf, size_t len, uint64_t offset, const char *name,
                        GError **error);
/** Writes @len bytes at @offset; a failure may leave a part written. */
gboolean cst_pwrite_full(int fd, const void *buf, size_t len, uint64_t offset, const char *name,
                         GError **error);

/**
 * Takes the exclusive flock(2) on @fd, which is @name, and waits @wait_us for who has it; BUSY with
 * @busy, a whole message, when that is longer.
 */
gboolean cst_flock_wait(int fd, const char *name, gint64 wait_us, const char *busy, GError **error);

/* --- the host's own trees: device nodes, /proc, /sys ------------------------------------------ */

/**
 * Opens the device node at @path (below /dev, or a device that a definition names); links are
 * followed, because udev's names are links. O_CLOEXEC and O_NONBLOCK are added to @flags. Returns
 * -1 with errno set.
 */
int cst_node_open(const char *path, int flags);

/**
 * The same, by a node of its own that is there for no longer than that. Locks of a node's inode and
 * watches on it, udev's for one, do not see the descriptor; the device and its cache are the same.
 * One process at a time may do so with a device. Where such a node can't be had, the one at @path
 * is opened.
 */
int cst_node_open_aside(const char *path, int flags);

/**
 * stat(2) of a node, of a process's descriptor, or of a path that the kernel tells; follows links.
 * FALSE with errno set.
 */
gboolean cst_node_stat(const char *path, struct stat *ret_st);

/** Text of a file of the kernel's (/proc, /sys); NULL when it can't be read. g_free() it. */
char *cst_kernel_read(const char *path);

/** Names in a directory of the kernel's, "." and ".." left out; empty when it can't be read. */
GStrv cst_kernel_list(const char *path);

/**
 * Where a link of the kernel's leads (/proc/PID/cwd), without going there; NULL when it can't be
 * read. g_free() it.
 */
char *cst_kernel_link(const char *path);

/**
 * Writes @text, in one piece, to a file of the kernel's that takes commands. FALSE with errno set.
 * A command may last as long as the hardware likes.
 */
gboolean cst_kernel_write(const char *path, const char *text);

/** The path that a file or directory of the kernel's has without symbolic links; NULL: none. */
char *cst_kernel_resolve(const char *path);
