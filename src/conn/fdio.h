/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>

/** Pieces that uploads and downloads move at a time, bytes. */
#define CST_STREAM_CHUNK (256 * 1024)

/** The caller's descriptor as a sequence of data and holes; both transports upload from it. */
typedef struct {
    int fd;
    gboolean positional; /**< a file or a block device, read from its start; else a pipe */
    gboolean sparse;     /**< holes are looked for */
    uint64_t pos;
    uint64_t size;     /**< positional: bytes in all; else 0 */
    uint64_t data_end; /**< sparse: the data around pos is known to go on until here */
} CstFdSource;

gboolean cst_fd_source_init(CstFdSource *source, int fd, gboolean sparse, GError **error);

/** Next piece: *ret_len bytes in @buf, or a hole of *ret_hole bytes; both 0: the end. */
gboolean cst_fd_source_next(CstFdSource *source, void *buf, size_t size, size_t *ret_len,
                            uint64_t *ret_hole, GError **error);

/** Takes a piece of a transfer: @len bytes, or a hole. */
typedef gboolean (*CstPieceFunc)(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                 GError **error);

/** Hands all pieces to @piece, in order, and advances @task by each. */
gboolean cst_fd_source_pump(CstFdSource *source, CstPieceFunc piece, gpointer data, CstTask *task,
                            GError **error);

/** The caller's descriptor as a place for data and holes; both transports download into it. */
typedef struct {
    int fd;
    gboolean positional; /**< a regular file: written from its current position on */
    gboolean skip_holes; /**< nothing behind the position yet, so a hole needs no zeroes */
    uint64_t pos;
} CstFdSink;

gboolean cst_fd_sink_init(CstFdSink *sink, int fd, GError **error);
gboolean cst_fd_sink_write(CstFdSink *sink, const void *data, size_t len, GError **error);
/** @task: where zeroes must be written, a hole may be long. */
gboolean cst_fd_sink_hole(CstFdSink *sink, uint64_t len, CstTask *task, GError **error);
/** Gives a file that ends in a hole its length. */
gboolean cst_fd_sink_finish(CstFdSink *sink, GError **error);
