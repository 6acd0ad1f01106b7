/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>
#include <conn/conn.h>

/** Number of bytes that an upload or download transfers at a time. */
#define CST_STREAM_CHUNK (256 * 1024)

/** The source of an upload: the caller's descriptor as a sequence of data and holes. */
typedef struct {
    int fd;              /**< borrowed */
    gboolean positional; /**< a file or a block device, read from its start; otherwise a pipe */
    gboolean sparse;     /**< report holes */
    uint64_t pos;
    uint64_t size;     /**< positional: total bytes; otherwise 0 */
    uint64_t data_end; /**< sparse: end of the data that contains pos, if known */
    CstTask *task;     /**< borrowed; its cancellation ends a read that a signal interrupts */
} CstFdSource;

/** Prepares to read from @fd. @sparse: report the holes of a regular file. @task may be NULL. */
gboolean cst_fd_source_init(CstFdSource *source, int fd, gboolean sparse, CstTask *task,
                            GError **error);

/**
 * Reads the next piece: *ret_len bytes into @buf, or a hole of *ret_hole bytes. Both are 0 at the
 * end.
 */
gboolean cst_fd_source_next(CstFdSource *source, void *buf, size_t size, size_t *ret_len,
                            uint64_t *ret_hole, GError **error);

/** Passes all pieces to @piece, in order. */
gboolean cst_fd_source_pump(CstFdSource *source, CstPieceFunc piece, gpointer data, GError **error);

/** The destination of a download: the caller's descriptor, to which data and holes are written. */
typedef struct {
    int fd;              /**< borrowed */
    gboolean positional; /**< a file that is not open for appending, or a block device */
    gboolean skip_holes; /**< the file ends at the position, so holes need no zeroes */
    uint64_t pos;
    CstTask *task; /**< borrowed; its cancellation ends a write that a signal interrupts */
} CstFdSink;

/** Prepares to write to @fd from its current position on. @task may be NULL. */
gboolean cst_fd_sink_init(CstFdSink *sink, int fd, CstTask *task, GError **error);
/** Writes all @len bytes. */
gboolean cst_fd_sink_write(CstFdSink *sink, const void *data, size_t len, GError **error);
/** Skips a hole, or writes its zeroes until the task is cancelled. */
gboolean cst_fd_sink_hole(CstFdSink *sink, uint64_t len, GError **error);
/**
 * Sets the size of a file that ends in a hole, and moves the descriptor's offset to the end of the
 * content. Call it after the last piece.
 */
gboolean cst_fd_sink_finish(CstFdSink *sink, GError **error);
