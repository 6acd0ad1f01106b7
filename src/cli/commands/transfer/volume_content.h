/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>
#include <import/import.h>

/** What the guest of a volume sees, from whichever server has the volume. */
typedef struct CliVolContent CliVolContent;

/**
 * Looks at what @conn has of @vol; both are borrowed, and @name, which messages have. Of @how count
 * format, spool_dir and note; they are for servers that give no content but the bytes of an image's
 * file. UNSUPPORTED for an image of a format that is not read.
 */
CliVolContent *cli_vol_content_open(CstConn *conn, const CstVolRef *vol, const char *name,
                                    const CstImportHow *how, GError **error);
/** NULL is accepted. */
void cli_vol_content_free(CliVolContent *content);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliVolContent, cli_vol_content_free)

/** Bytes that a guest sees; of an image that was fetched, what the image says. */
uint64_t cli_vol_content_capacity(const CliVolContent *content);
/** Whether all of it has to be had here first, by cli_vol_content_fetch(). */
gboolean cli_vol_content_is_fetched(const CliVolContent *content);
/**
 * Has the image's file here, in a spool, and opens it as vol-import does: DENIED when it refers to
 * other files, CORRUPT, NO_SPACE. Does nothing where that is not needed. @task counts the bytes.
 */
gboolean cli_vol_content_fetch(CliVolContent *content, CstTask *task, GError **error);
/**
 * Gives the part of the content that @what says to @piece, which must not use the connection.
 * Whatever is not the server's own work gives all of an image, and no snapshots: NO_SUPPORT. BUSY
 * when the volume's size has changed since it was looked at. @task counts the bytes.
 */
gboolean cli_vol_content_send(CliVolContent *content, const CstVolSend *what, CstPieceFunc piece,
                              gpointer data, CstTask *task, GError **error);
