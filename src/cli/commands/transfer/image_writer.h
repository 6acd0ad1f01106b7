/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/** Content that comes in piece by piece, written as an image by a thread of its own. */
typedef struct CliImageWriter CliImageWriter;

/** Writes @content, each byte of which it reads once and about in order, to where @data says. */
typedef gboolean (*CliImageWriteFunc)(CstBlob *content, gpointer data, GError **error);

/** Starts @func with @capacity bytes of content; copies @name, which messages have. */
CliImageWriter *cli_image_writer_new(const char *name, uint64_t capacity, CliImageWriteFunc func,
                                     gpointer data);
/** Gives the next piece to @writer, a CliImageWriter; a CstPieceFunc. */
gboolean cli_image_writer_put(const void *bytes, size_t len, uint64_t hole, gpointer writer,
                              GError **error);
/**
 * Waits for the end, and frees @writer (NULL: there is none). @sent: all was given; otherwise
 * *error says why not. Returns whether the image is written. What went wrong first is in *error: a
 * writer that fails ends the giving, and the other way round.
 */
gboolean cli_image_writer_end(CliImageWriter *writer, gboolean sent, GError **error);
