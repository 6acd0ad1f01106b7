/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * Content that comes in piece by piece, as a blob of which each byte is read once and about in
 * order: what copies a blob can so work on a stream. Reads wait for what they ask for, and whoever
 * gives waits while more than CST_BLOB_PIPE_WINDOW bytes lie there unread.
 */

#define CST_BLOB_PIPE_WINDOW (UINT64_C(64) << 20)

/** Makes a read-only blob of @size bytes, none of which has been given. Copies @name. */
CstBlob *cst_blob_pipe_new(const char *name, uint64_t size);
/**
 * Gives the next @len bytes, or with @hole, which is not 0, as many zeroes. INVALID past the size;
 * CANCELLED when the reader has left.
 */
gboolean cst_blob_pipe_put(CstBlob *pipe, const void *bytes, size_t len, uint64_t hole,
                           GError **error);
/**
 * Nothing more is given. Reads of what was not given fail as @why says (NULL: it should all have
 * been given).
 */
void cst_blob_pipe_end(CstBlob *pipe, const GError *why);
/** Nothing more is read. */
void cst_blob_pipe_leave(CstBlob *pipe);
