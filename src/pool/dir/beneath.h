/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <dirent.h>
#include <glib.h>
#include <sys/stat.h>

#include <base/file.h>
#include <pool/files.h>

/**
 * Access to directories that untrusted users may write to. In the pools, no other code turns a path
 * or a name into a descriptor, or changes a directory (scripts/lint, check "paths").
 *
 * A directory is opened once and kept open (CstDirHandle). An entry is one name in it. Unless its
 * contract says so, no function follows a symbolic link. No function blocks on a FIFO. No function
 * relies on a stat by name from before the open. "Ours" means owned by this process's user.
 * Functions that return FALSE or -1 "and errno" set no GError.
 */

/**
 * Opens the directory at @path. Follows symbolic links, because the administrator chose the path.
 */
gboolean cst_handle_open(const char *path, CstDirHandle *ret_handle, GError **error);

/**
 * Opens the directory at @path for a caller that will change its owner or remove it. Walks the path
 * by cst_place_walk(): a symbolic link that another user can change fails with DENIED, and the
 * message names the link.
 *
 * With @make, creates missing directories: the last one with @mode, its parents with 0755.
 */
gboolean cst_handle_open_trusted(const char *path, gboolean make, mode_t mode,
                                 CstDirHandle *ret_handle, GError **error);

/**
 * Opens @name in @in, a directory that only this program uses. With @make, creates a missing
 * directory with mode 0700. Otherwise a missing one is success with ret_handle->fd -1.
 *
 * Fails with DENIED if the entry is no directory, belongs to another user, or is writable by
 * another user. Another user has created it then.
 */
gboolean cst_handle_open_own(const CstDirHandle *in, const char *name, gboolean make,
                             CstDirHandle *ret_handle, GError **error);

/** Stats the parent directory of @dir. Returns FALSE and errno on failure. */
gboolean cst_handle_stat_above(const CstDirHandle *dir, struct stat *ret_st);

/**
 * Opens a stream for readdir() with its own position. Returns NULL and errno on failure. The caller
 * closes it with closedir().
 */
DIR *cst_handle_list(const CstDirHandle *dir);

/**
 * Opens the content of entry @name, a regular file or a block device, with @flags (O_RDONLY or
 * O_RDWR). Follows a symbolic link if it can be trusted.
 *
 * Returns -1 and sets @error: DENIED if cst_entry_distrust() refuses the entry, INVALID if it is
 * neither a file nor a block device.
 */
int cst_entry_open(const CstDirHandle *dir, const char *name, int flags, GError **error);
/** Like cst_entry_open(). Also stores a stat of the opened file in *ret_st. */
int cst_entry_open_stat(const CstDirHandle *dir, const char *name, int flags, struct statx *ret_st,
                        GError **error);

/**
 * Like cst_entry_open(), but only for a regular file in the directory itself: UNSUPPORTED for
 * links.
 */
int cst_entry_open_file(const CstDirHandle *dir, const char *name, int flags, GError **error);

/**
 * Opens a regular file for reading and writing, so that the caller can lock it before its removal.
 * The file may have any number of hard links. Returns -1 and errno on failure.
 */
int cst_entry_open_draft(const CstDirHandle *dir, const char *name);

/**
 * Creates a regular file with mode 0600, open for reading and writing. Returns -1 and errno on
 * failure.
 */
int cst_entry_create(const CstDirHandle *dir, const char *name);

/**
 * Creates an unnamed temporary file, which is freed with its last descriptor. Returns -1 and errno
 * on failure.
 */
int cst_handle_create_nameless(const CstDirHandle *dir);

/**
 * Stats the entry itself, or with @follow the target of a link. Returns FALSE and errno on failure.
 */
gboolean cst_entry_stat(const CstDirHandle *dir, const char *name, gboolean follow,
                        struct statx *ret_st);
/** Like cst_entry_stat(), for an open descriptor. */
gboolean cst_fd_stat(int fd, struct statx *ret_st);

/**
 * Returns whether entry @name is still the file that @fd has open, and no other file or link to it.
 */
gboolean cst_entry_is(const CstDirHandle *dir, const char *name, int fd);

/**
 * Removes the entry, a file or an empty directory; never the target of a link. Returns FALSE and
 * errno on failure.
 */
gboolean cst_entry_remove(const CstDirHandle *dir, const char *name, gboolean is_dir);

/**
 * Renames @from to @to and never replaces an entry. Returns FALSE and errno (EEXIST) on failure.
 */
gboolean cst_entry_rename_new(const CstDirHandle *dir, const char *from, const char *to);
/**
 * Creates the hard link @to to @from and never replaces an entry. Returns FALSE and errno (EEXIST)
 * on failure.
 */
gboolean cst_entry_link(const CstDirHandle *dir, const char *from, const char *to);
/**
 * Creates the hard link @to to the file that is open as @fd, and never replaces an entry. Returns
 * FALSE and errno (EEXIST, EXDEV) on failure.
 */
gboolean cst_entry_link_open(const CstDirHandle *dir, int fd, const char *to);
/**
 * Returns whether both entries are hard links to one file. FALSE if one is missing or a directory.
 */
gboolean cst_entry_same(const CstDirHandle *dir, const char *name, const char *other);
/** Renames @from to @to and replaces an existing entry. Returns FALSE and errno on failure. */
gboolean cst_entry_rename_over(const CstDirHandle *dir, const char *from, const char *to);

/**
 * In a dry run, returns FALSE and errno if the kernel would refuse a change of the directory's
 * entries. Outside of a dry run always returns TRUE, because the change itself fails.
 */
gboolean cst_handle_may_change(const CstDirHandle *dir);

/** Returns whether rmdir(2) would remove the directory @name; FALSE and errno if it would not. */
gboolean cst_entry_is_empty(const CstDirHandle *dir, const char *name);

/**
 * Returns whether the file at @path is readable, without opening it; FALSE and errno if it is not.
 */
gboolean cst_path_readable(const char *path);
