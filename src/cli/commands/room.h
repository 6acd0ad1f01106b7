/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/room.h>
#include <conn/conn.h>

/**
 * Passes all content of a copy to @piece, from the beginning. May also be called before the copy.
 */
typedef gboolean (*CliGiveFunc)(CstPieceFunc piece, gpointer piece_data, gpointer data,
                                GError **error);

/** Deflate stores a byte for each 1032 bytes of content at least, because a match has 258 bytes. */
#define CLI_DEFLATE_SHRINK 1032u

/** A planned copy. */
typedef struct {
    const char *name; /**< name of the volume, or path of the file */
    uint64_t data;    /**< number of bytes that are not known to be zero */
    guint shrink;     /**< bytes of content that a byte of the copy can hold; 0: one */
    CliGiveFunc give; /**< reads the content to count zeroes; NULL: each byte needs space */
    gpointer user;    /**< argument of give */
    CstTask *task;    /**< for cancellation; may be NULL */
} CliRoomCopy;

/**
 * Fails with NO_SPACE if @copy certainly does not fit into @pool. Reads the content only if the
 * result depends on its zeroes. If the server does not know its free space, the copy is allowed.
 */
gboolean cli_room_check_pool(CstConn *conn, const CstPoolRef *pool, const CliRoomCopy *copy,
                             GError **error);
/** Fails likewise for the file copy->name. A device, or a missing directory, is not an error. */
gboolean cli_room_check_file(const CliRoomCopy *copy, GError **error);
/** Returns the space for a new file at @path. It is unknown for a device or a missing directory. */
CstRoom cli_room_of_path(const char *path);
