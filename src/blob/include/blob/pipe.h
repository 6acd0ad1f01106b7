/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * Streamed content as a blob, each byte of which is read once and approximately in order. So code
 * that copies a blob also works on a stream. Reads block until the requested bytes are available.
 * The writer blocks while more than CST_BLOB_PIPE_WINDOW bytes are unread.
 */

#define CST_BLOB_PIPE_WINDOW (UINT64_C(64) << 20)

/** Create a read-only blob of @size bytes, without available data. Copies @name. */
CstBlob *cst_blob_pipe_new(const char *name, uint64_t size);
/**
 * Append the next @len bytes, or, if @hole is not 0, @hole zeroes. INVALID past the size; CANCELLED
 * if the reader has left.
 */
gboolean cst_blob_pipe_put(CstBlob *pipe, const void *bytes, size_t len, uint64_t hole,
                           GError **error);
/**
 * End the stream. Reads of missing data fail with a copy of @why (NULL: with IO, because the stream
 * should be complete).
 */
void cst_blob_pipe_end(CstBlob *pipe, const GError *why);
/** Declare that no further data will be read. */
void cst_blob_pipe_leave(CstBlob *pipe);
