/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/** Receives content in pieces. A separate thread writes it as an image. */
typedef struct CliImageWriter CliImageWriter;

/** Writes @content as an image. Reads each byte once and nearly in order. @data is the caller's. */
typedef gboolean (*CliImageWriteFunc)(CstBlob *content, gpointer data, GError **error);

/** Starts @func with @capacity bytes of content. @name is for messages, and is copied. */
CliImageWriter *cli_image_writer_new(const char *name, uint64_t capacity, CliImageWriteFunc func,
                                     gpointer data);
/** Passes the next piece to @writer, a CliImageWriter. A CstPieceFunc. */
gboolean cli_image_writer_put(const void *bytes, size_t len, uint64_t hole, gpointer writer,
                              GError **error);
/**
 * Waits for the end of the thread, and frees @writer (may be NULL). @sent is TRUE if all pieces
 * were passed; otherwise *error has the reason. Returns TRUE if the image is complete. On failure,
 * *error is the first error: a failed writer stops the transfer, and a failed transfer stops the
 * writer.
 */
gboolean cli_image_writer_end(CliImageWriter *writer, gboolean sent, GError **error);
