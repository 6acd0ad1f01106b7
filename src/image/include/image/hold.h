/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/file_writers.h>
#include <blob/blob.h>

/**
 * Claims a file for writing with the locks that QEMU uses, for as long as the blob lives, so that a
 * machine that runs on the image and this process refuse each other. BUSY names the process that
 * holds it, where that can be found out.
 *
 * The locks are shared ones (open file description, F_RDLCK) on single bytes: byte 100 + n says
 * "I do n", byte 200 + n says "nobody else may do n", where n is 0 to read consistent data, 1 to
 * write, 2 to write what is there already, 3 to resize (QEMU, block/file-posix.c, RAW_LOCK_*). A
 * process that wants to do n checks that nobody else holds 200 + n, and one that forbids n that
 * nobody else holds 100 + n.
 *
 * Succeeds without a lock for blobs that are no files, and on file systems without locks.
 */
gboolean cst_image_hold(CstBlob *blob, GError **error);

/**
 * Returns TRUE when the locks show that somebody else has the file open, to read or to write.
 * *ret_pid is the process, a writer if there is one, and this one only if no other is found; 0 when
 * it is unknown. Not set when FALSE.
 */
gboolean cst_image_is_open(CstBlob *blob, int64_t *ret_pid);

/**
 * Returns TRUE when another process can write to the file, by QEMU's locks or by a descriptor that
 * is open for writing (base/file_writers.h): what is read may be stale, or torn between old and
 * new. *ret_who (may be NULL) is then a description of the process ("process 123 (qemu-nbd)");
 * g_free() it. @blob should be open for reading only, or /proc is searched each time.
 */
gboolean cst_image_is_written(CstBlob *blob, char **ret_who);

/* --- not in the library: everybody who has it open -------------------------------------------- */

typedef struct {
    int64_t pid;
    gboolean writes;
} CstImageUser;

/**
 * Returns the other processes whose locks show that they have the file open, as an array of
 * CstImageUser; the caller's. Whoever is unknown (cst_image_is_open()) is not among them.
 */
GArray *cst_image_users(CstBlob *blob);

/**
 * Fails with BUSY, naming it, when another process has the file open for writing and holds none of
 * QEMU's locks. Complements cst_image_hold() before a file is changed or replaced.
 */
gboolean cst_image_refuse_writer(CstBlob *blob, GError **error);

/**
 * Takes the stamp of a source before it is copied. A source that another program can write to
 * already has a stamp that differs from no other: the copy was asked for in spite of the writer.
 */
CstFileStamp cst_image_stamp(CstBlob *blob);
/**
 * Fails with BUSY if the source was written to since @before: the copy mixes what the source held
 * at different times. @name is the source's, for the message.
 */
gboolean cst_image_is_as_before(CstBlob *blob, const CstFileStamp *before, const char *name,
                                GError **error);
