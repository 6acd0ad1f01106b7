/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
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

/** Reads a regular file of at most @limit bytes; *ret_data is NUL-terminated, g_free() it. */
gboolean cst_file_read(const char *path, size_t limit, char **ret_data, size_t *ret_len,
                       GError **error);

/** unlink + fsync of the directory; a missing file is success. */
gboolean cst_file_remove(const char *path, GError **error);

/** mkdir -p; directories made get @mode. */
gboolean cst_dir_ensure(const char *path, mode_t mode, GError **error);

gboolean cst_dir_sync(int dirfd, const char *name_for_errors, GError **error);

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
