/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>
#include <import/import.h>

/** The guest-visible content of a volume on any kind of server. */
typedef struct CliVolContent CliVolContent;

/**
 * Determines how to read @vol on @conn; both are borrowed. @name is for messages, and is borrowed
 * too. The fields format, spool_dir and note of @how apply to servers that only send the bytes of
 * an image file. Fails with UNSUPPORTED for an image of an unsupported format.
 */
CliVolContent *cli_vol_content_open(CstConn *conn, const CstVolRef *vol, const char *name,
                                    const CstImportHow *how, GError **error);
/** NULL is accepted. */
void cli_vol_content_free(CliVolContent *content);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliVolContent, cli_vol_content_free)

/**
 * Returns the size of the guest-visible content in bytes. For a downloaded image it comes from the
 * image.
 */
uint64_t cli_vol_content_capacity(const CliVolContent *content);
/** Return: TRUE if the content must first be downloaded with cli_vol_content_fetch(). */
gboolean cli_vol_content_is_fetched(const CliVolContent *content);
/**
 * Downloads the image file to a spool, and opens it as vol-import does. Has no effect if this is
 * not needed. @task counts the bytes. Fails with DENIED if the image refers to other files, with
 * CORRUPT or NO_SPACE.
 */
gboolean cli_vol_content_fetch(CliVolContent *content, CstTask *task, GError **error);
/**
 * Passes the part @what of the content to @piece, which must not use the connection. @task counts
 * the bytes. Fails with BUSY if the size of the volume has changed. If the server does not send the
 * content itself, snapshots fail with NO_SUPPORT, and a downloaded image can only be passed
 * completely.
 */
gboolean cli_vol_content_send(CliVolContent *content, const CstVolSend *what, CstPieceFunc piece,
                              gpointer data, CstTask *task, GError **error);
