/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/**
 * Files and paths. Every descriptor made here is O_CLOEXEC. Nothing here uses a shared file
 * offset.
 */

typedef int CstFd;
void cst_fd_clear(CstFd *fd);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstFd, cst_fd_clear)

/**
 * Replaces @path by @len bytes of @data so that a crash leaves the old file or the new one, whole:
 * temporary name beside it, fsync, rename, fsync of the directory. @mode is exact (umask ignored).
 */
gboolean cst_file_replace(const char *path, const void *data, size_t len, mode_t mode,
                          GError **error);

/** TRUE for a name that cst_file_replace() gives to what it has not finished yet. */
gboolean cst_file_is_temporary(const char *name);

/**
 * Removes from @dir what calls of cst_file_replace() left that a crash cut short. For whoever holds
 * the lock under which files there are replaced: others may be in the middle of it.
 */
void cst_file_drop_temporaries(const char *dir);

/** Reads a regular file of at most @limit bytes; *ret_data is NUL-terminated, g_free() it. */
gboolean cst_file_read(const char *path, size_t limit, char **ret_data, size_t *ret_len,
                       GError **error);

/** unlink + fsync of the directory; a missing file is success. */
gboolean cst_file_remove(const char *path, GError **error);

/** mkdir -p; directories made get @mode, and their names survive a power cut. */
gboolean cst_dir_ensure(const char *path, mode_t mode, GError **error);

/**
 * fsync of a directory, so that names made or removed in it survive a power cut. File systems that
 * can't sync a directory (EINVAL: some network ones) have nothing that could be waited for.
 */
gboolean cst_dir_sync(int dirfd, const char *name_for_errors, GError **error);

/** The same for the directory that @path lies in. */
gboolean cst_parent_sync(const char *path, GError **error);

/** Of root, or of the user that this process works as. */
gboolean cst_owner_is_us(uid_t uid);
/**
 * Only root and this process's user can write to what @st describes; of a directory: make and
 * rename entries. A POSIX ACL's mask is the mode's group bits, so these tell of named users as
 * well.
 */
gboolean cst_only_we_write(const struct stat *st);

/**
 * openat2(2) with @resolve (RESOLVE_… of <linux/openat2.h>); O_CLOEXEC is added to @flags. Returns
 * -1 with errno set. A kernel that can't honour @resolve fails with ENOSYS: nothing is opened then.
 */
int cst_openat2(int dirfd, const char *name, int flags, mode_t mode, uint64_t resolve);

/**
 * Opens @name below @dirfd with openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS), so that neither
 * ".." nor a symbolic link leads outside. @flags as open(2). Returns -1 and sets @error.
 */
int cst_open_beneath(int dirfd, const char *name, int flags, mode_t mode, GError **error);

/**
 * A name that may become one directory entry: not empty, not "." or "..", no '/', no control
 * character, valid UTF-8 or at least free of NUL, at most 255 bytes. @what names the object in
 * the message ("volume").
 */
gboolean cst_name_check(const char *name, const char *what, GError **error);

/** pread/pwrite until done; a short read before @len is an error of kind IO ("unexpected end"). */
gboolean cst_pread_full(int fd, void *buf, size_t len, uint64_t offset, const char *name,
                        GError **error);
gboolean cst_pwrite_full(int fd, const void *buf, size_t len, uint64_t offset, const char *name,
                         GError **error);

/* --- the host's own trees: device nodes, /proc, /sys -------------------------------------------
 */

/**
 * Opens the device node at @path (below /dev, or a device that a definition names); links are
 * followed, because udev's names are links. O_CLOEXEC and O_NONBLOCK are added to @flags. Returns
 * -1 with errno set.
 */
int cst_node_open(const char *path, int flags);

/**
 * stat(2) of a node, of a process's descriptor, or of a path that the kernel tells; follows links.
 * FALSE with errno set.
 */
gboolean cst_node_stat(const char *path, struct stat *ret_st);

/** Text of a file of the kernel's (/proc, /sys); NULL when it can't be read. g_free() it. */
char *cst_kernel_read(const char *path);

/** Names in a directory of the kernel's, "." and ".." left out; empty when it can't be read. */
GStrv cst_kernel_list(const char *path);
