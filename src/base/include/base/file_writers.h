/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** Programs of this host that can write to a regular file, with or without locks. */

/** A process that has the file open, or mapped, for writing. */
typedef struct {
    int64_t pid;     /**< 0: the kernel counts a writer that no visible process has */
    gboolean ending; /**< a child of this process that inherited the descriptor until its exec, or
                          the unnamed writer: expected to go within moments */
} CstFileWriter;

/**
 * Returns the other processes that have the regular file of @fd open for writing, as an array of
 * CstFileWriter; the caller's. Empty for what is no regular file.
 *
 * Costs three system calls while no descriptor of the file is open for writing, if @fd is open for
 * reading only and the file system supports leases. Else /proc is searched. Other users' processes
 * are named for root only. The search reads no other file system, so it does not hang on one that
 * does not answer. Processes that open the file afterwards are not in the answer.
 *
 * Locks: none. Another program that opens the file during the call waits for a microsecond; one
 * that opens it with O_NONBLOCK may fail with EWOULDBLOCK, for which cst_open_again() is there.
 */
GArray *cst_file_writers(int fd);

/**
 * Describes for a message a program of this host that can write to the file of @fd: a process, or
 * of a block device the kernel itself, which has mounted it, swaps to it, or has another device on
 * it. NULL: there is none, or the device is read-only. g_free() it. Costs as cst_file_writers().
 */
char *cst_file_writer_describe(int fd);

/** The state of a file's content, as far as the kernel counts changes. Opaque. */
typedef struct {
    uint64_t size;
    int64_t mtime_s, mtime_ns, ctime_s, ctime_ns;
    gboolean counted; /**< FALSE: nothing is known, and every comparison finds no change */
} CstFileStamp;

/**
 * Takes the stamp of the regular file of @fd. A descriptor of another kind, and -1, have a stamp
 * that differs from no other.
 */
CstFileStamp cst_file_stamp(int fd);

/** Whether the content may have changed from @before to @now. */
gboolean cst_file_stamp_differs(const CstFileStamp *before, const CstFileStamp *now);

/** Formats @stamp for a record. Free it; NULL: the stamp is not counted. */
char *cst_file_stamp_format(const CstFileStamp *stamp);
/** Parses such a text; NULL, and what is none, give a stamp that differs from no other. */
CstFileStamp cst_file_stamp_parse(const char *text);
