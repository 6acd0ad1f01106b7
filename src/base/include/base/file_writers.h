/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/file_users.h>

/** Programs of this host that can write to a regular file, with or without locks. */

/** A process that has the file open, or mapped, for writing. */
typedef struct {
    int64_t pid;     /**< 0: the kernel counts a writer that no visible process has */
    gboolean ending; /**< a child of this process that inherited the descriptor until its exec, or
                        the unnamed writer: expected to close the file soon */
} CstFileWriter;

/**
 * Returns the other processes that have the regular file of @fd open for writing, as an array of
 * CstFileWriter that the caller owns. Empty if @fd is not a regular file. Processes that open the
 * file after the call are not included.
 *
 * Costs three system calls if no descriptor of the file is open for writing, @fd is open read-only
 * and the file system supports leases. Otherwise the function searches /proc. Only root sees the
 * processes of other users there. The search reads no other file system, so it does not block on a
 * file system that does not answer.
 *
 * Acquires no lock. Another program that opens the file during the call waits for a microsecond. If
 * it opens the file with O_NONBLOCK, it may fail with EWOULDBLOCK; see cst_open_again().
 */
GArray *cst_file_writers(int fd);

/**
 * Like cst_file_writers(), but finds the processes in @users (base/file_users.h), which was
 * searched with the file wanted. NULL: searches /proc.
 */
GArray *cst_file_writers_among(int fd, const CstFileUsers *users);

/**
 * Returns whether cst_file_writers() is empty without a search of /proc. FALSE means that only a
 * search can answer.
 */
gboolean cst_file_has_no_writer(int fd);

/**
 * Describes for a message a program of this host that can write to the file of @fd. For a file this
 * is a process. For a block device it is the kernel, which has mounted the device, swaps to it, or
 * has another device on it. Returns NULL if there is no writer, or if the device is read-only.
 * g_free() the result. Costs as cst_file_writers().
 */
char *cst_file_writer_describe(int fd);

/** The state of a file's content, as far as the kernel reports changes. Opaque. */
typedef struct {
    uint64_t size;
    int64_t mtime_s, mtime_ns, ctime_s, ctime_ns;
    gboolean counted;      /**< FALSE: the state is unknown, and no comparison reports a change */
    gboolean only_content; /**< the ctime is not compared */
} CstFileStamp;

/**
 * Returns the stamp of the regular file of @fd. For another kind of descriptor, and for -1, the
 * stamp differs from no other stamp.
 */
CstFileStamp cst_file_stamp(int fd);

/** Whether the content may have changed from @before to @now. */
gboolean cst_file_stamp_differs(const CstFileStamp *before, const CstFileStamp *now);

/**
 * Makes comparisons with the later state ignore a rename, a deletion, and a change of the owner and
 * the mode, which change the ctime. A program that restores the mtime is not noticed then.
 */
void cst_file_stamp_only_content(CstFileStamp *stamp);

/** Formats @stamp for a record. The caller frees it. Returns NULL if the state is unknown. */
char *cst_file_stamp_format(const CstFileStamp *stamp);
/**
 * Parses the text of cst_file_stamp_format(). For NULL and for an invalid text the result differs
 * from no other stamp.
 */
CstFileStamp cst_file_stamp_parse(const char *text);
