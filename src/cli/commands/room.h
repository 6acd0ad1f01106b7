/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/room.h>
#include <conn/conn.h>

/** Gives all content of a copy to @piece, from the beginning. It may be called before the copy. */
typedef gboolean (*CliGiveFunc)(CstPieceFunc piece, gpointer piece_data, gpointer data,
                                GError **error);

/** A copy that is about to be made. */
typedef struct {
    const char *name; /**< of the volume, or path of the file */
    uint64_t data;    /**< bytes of it that are not known to be zeroes */
    CliGiveFunc give; /**< reads it to count its zeroes; NULL: every byte takes space */
    gpointer user;    /**< for give */
    CstTask *task;    /**< to be cancelled by; may be NULL */
} CliRoomCopy;

/**
 * Fails with NO_SPACE if @copy is certain not to fit into @pool. Reads the content only where the
 * bytes that may be zeroes decide. A server that does not know its room lets any copy begin.
 */
gboolean cli_room_check_pool(CstConn *conn, const CstPoolRef *pool, const CliRoomCopy *copy,
                             GError **error);
/** Fails likewise for the file copy->name. A device, and a directory that is missing, pass. */
gboolean cli_room_check_file(const CliRoomCopy *copy, GError **error);
/** The room for a new file at @path; not known for a device, and where the directory is missing. */
CstRoom cli_room_of_path(const char *path);
