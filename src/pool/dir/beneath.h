/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <dirent.h>
#include <glib.h>
#include <sys/stat.h>

#include <base/file.h>
#include <pool/files.h>

/**
 * The way into directories that somebody else may write to: the only code of the pools that turns a
 * path or a name into a descriptor or a change of a directory (scripts/lint, check "paths").
 *
 * A directory is opened once and held (CstDirHandle); an entry is one name in it. No function here
 * follows a symbolic link, unless it says so, waits for anybody (FIFOs), or relies on what it saw
 * of a name before it opened it. "Ours" is what belongs to this process's user. Functions that
 * return FALSE or -1 "and errno" set no GError.
 */

/** Opens the directory at @path, which the administrator chose: links in it are followed. */
gboolean cst_handle_open(const char *path, CstDirHandle *ret_handle, GError **error);

/**
 * Opens the directory at @path for somebody who is going to change its owner or to remove it. A
 * link, at whatever part of the path, is followed only when it is root's or ours and lies in a
 * private directory; DENIED names it otherwise. @make: makes what is missing, the last directory
 * with @mode, those above with 0755.
 */
gboolean cst_handle_open_trusted(const char *path, gboolean make, mode_t mode,
                                 CstDirHandle *ret_handle, GError **error);

/**
 * Opens @name in @in, a directory that only we use. @make: makes it with mode 0700 when it is
 * missing; else a missing one is success with ret_handle->fd -1. DENIED when it is no directory,
 * belongs to another user, or others may write to it: somebody else has put it there.
 */
gboolean cst_handle_open_own(const CstDirHandle *in, const char *name, gboolean make,
                             CstDirHandle *ret_handle, GError **error);

/** Stats the directory that @dir lies in; FALSE and errno. */
gboolean cst_handle_stat_above(const CstDirHandle *dir, struct stat *ret_st);

/** Opens a stream for readdir() with a position of its own; NULL and errno. closedir() it. */
DIR *cst_handle_list(const CstDirHandle *dir);

/**
 * Opens the content of entry @name, a regular file or a block device, with @flags (O_RDONLY or
 * O_RDWR). A symbolic link is followed where it may be trusted. Returns -1 and sets @error: DENIED
 * where cst_entry_distrust() has a reason, INVALID where it is something else.
 */
int cst_entry_open(const CstDirHandle *dir, const char *name, int flags, GError **error);
/** Does the same; *ret_st is a stat of what was opened. */
int cst_entry_open_stat(const CstDirHandle *dir, const char *name, int flags, struct statx *ret_st,
                        GError **error);

/** Does the same for a regular file that lies in the directory itself: UNSUPPORTED for links. */
int cst_entry_open_file(const CstDirHandle *dir, const char *name, int flags, GError **error);

/**
 * Opens a regular file only to lock it before it is removed, for reading and writing, however many
 * names it has; -1 and errno.
 */
int cst_entry_open_draft(const CstDirHandle *dir, const char *name);

/** Makes a regular file with mode 0600, open for reading and writing; -1 and errno. */
int cst_entry_create(const CstDirHandle *dir, const char *name);

/** Makes a regular file that has no name and goes with its last descriptor; -1 and errno. */
int cst_handle_create_nameless(const CstDirHandle *dir);

/** statx(2) of the entry itself, or with @follow of what a link leads to; FALSE and errno. */
gboolean cst_entry_stat(const CstDirHandle *dir, const char *name, gboolean follow,
                        struct statx *ret_st);
/** The same of what is open. */
gboolean cst_fd_stat(int fd, struct statx *ret_st);

/** Whether entry @name is still what @fd has open, not another file or a link to it. */
gboolean cst_entry_is(const CstDirHandle *dir, const char *name, int fd);

/** Removes the entry, of a directory an empty one; FALSE and errno. Never what a link leads to. */
gboolean cst_entry_remove(const CstDirHandle *dir, const char *name, gboolean is_dir);

/** Renames and does not replace; FALSE and errno (EEXIST). */
gboolean cst_entry_rename_new(const CstDirHandle *dir, const char *from, const char *to);
/** Makes @to a second name of @from, and does not replace; FALSE and errno (EEXIST). */
gboolean cst_entry_link(const CstDirHandle *dir, const char *from, const char *to);
/** Makes @to a name of the file that is open as @fd likewise; FALSE and errno (EEXIST, EXDEV). */
gboolean cst_entry_link_open(const CstDirHandle *dir, int fd, const char *to);
/** Whether both are names of one file; FALSE where one is missing, or a directory. */
gboolean cst_entry_same(const CstDirHandle *dir, const char *name, const char *other);
/** Renames and replaces; FALSE and errno. */
gboolean cst_entry_rename_over(const CstDirHandle *dir, const char *from, const char *to);

/**
 * In a dry run, FALSE and errno when the kernel would refuse a change of the directory's entries.
 * Otherwise TRUE: the change itself fails then.
 */
gboolean cst_handle_may_change(const CstDirHandle *dir);

/** Whether rmdir(2) would remove the directory @name; FALSE and errno otherwise. */
gboolean cst_entry_is_empty(const CstDirHandle *dir, const char *name);

/** Whether the file at @path could be read; nothing is opened. FALSE and errno. */
gboolean cst_path_readable(const char *path);
