/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/file_users.h>
#include <base/file_writers.h>
#include <blob/blob.h>

/**
 * Claims a file for writing with QEMU's locks for the lifetime of the blob. A machine that uses the
 * image and this process therefore exclude each other. BUSY; the error names the process that holds
 * the file, if it can be found.
 *
 * The locks are shared locks of the open file description (F_RDLCK) on single bytes. Byte 100 + n
 * means "this process uses permission n", byte 200 + n "other processes must not use permission n".
 * n is 0 to read consistent data, 1 to write, 2 to write unchanged data, 3 to resize (QEMU,
 * block/file-posix.c, RAW_LOCK_*). A process that uses permission n checks that no other process
 * locks 200 + n. A process that forbids n checks that no other process locks 100 + n.
 *
 * Succeeds without a lock for blobs that are not files, and on file systems without locks.
 */
gboolean cst_image_hold(CstBlob *blob, GError **error);

/**
 * Returns TRUE when the locks show that the file is open elsewhere, to read or to write. *ret_pid
 * is the process, preferably a writer. It is this process only if no other is found, and 0 when the
 * process is unknown. *ret_pid is not set with FALSE.
 */
gboolean cst_image_is_open(CstBlob *blob, int64_t *ret_pid);

/**
 * Returns TRUE when another process can write to the file, by QEMU's locks or by a descriptor that
 * is open for writing (base/file_writers.h). Data that is read may then be stale, or a mix of old
 * and new. *ret_who (may be NULL) is then a description of the process ("process 123 (qemu-nbd)");
 * g_free() it. @blob should be open for reading only, because otherwise /proc is searched each
 * time.
 */
gboolean cst_image_is_written(CstBlob *blob, char **ret_who);

/* --- not in the library: all users of a file -------------------------------------------------- */

typedef struct {
    int64_t pid;
    gboolean writes;
} CstImageUser;

/**
 * Returns whether another open file description holds one of QEMU's locks, without a search for its
 * process. *ret_changing: a lock shows that the file is open for writing.
 */
gboolean cst_image_is_locked(CstBlob *blob, gboolean *ret_changing);

/** Returns an index of users (base/file_users.h) that includes QEMU's locks. */
CstFileUsers *cst_image_file_users_new(void);

/**
 * Returns the other processes whose locks show that they have the blob's file open, as an array of
 * CstImageUser. The caller frees the array. @users: an index of cst_image_file_users_new() that was
 * searched with the file wanted. *ret_self: this process holds such a lock.
 */
GArray *cst_image_users(CstBlob *blob, const CstFileUsers *users, gboolean *ret_self);

/**
 * Fails with BUSY when another process has the file open for writing and holds no lock of QEMU; the
 * error names the process. Complements cst_image_hold() before a file is changed or replaced.
 */
gboolean cst_image_refuse_writer(CstBlob *blob, GError **error);
/**
 * As cst_image_hold() and cst_image_refuse_writer(), for a file that is opened for writing next. A
 * writer without a name in /proc, such as a loop device, is found only before that, because the
 * kernel's count of writers then includes this process. @blob is open for reading only.
 */
gboolean cst_image_check_unused(CstBlob *blob, GError **error);
/** As cst_image_check_unused(), for the file at @path. */
gboolean cst_image_check_path_unused(const char *path, GError **error);
/** Opens the unused file at @path for writing, and claims it as cst_image_hold(). */
CstBlob *cst_image_open_unused(const char *path, GError **error);

/**
 * Takes the stamp of a source before it is copied. If another program can write to the source
 * already, the stamp equals every other stamp, because the copy was requested in spite of the
 * writer.
 */
CstFileStamp cst_image_stamp(CstBlob *blob);
/**
 * Fails with BUSY if the source was written to since @before, because the copy mixes the source's
 * content of different times. The error names the source @name.
 */
gboolean cst_image_is_as_before(CstBlob *blob, const CstFileStamp *before, const char *name,
                                GError **error);
