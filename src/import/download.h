/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "http.h"

/** A complete local copy of a server's file. The copy is kept if the import is interrupted. */
typedef struct ImportDownload ImportDownload;

/**
 * Downloads all of @http, which must have ranges. Continues an interrupted download of the same
 * version of the file. Reports the directory to the user. If another import is downloading the
 * file, sets *ret_busy and returns NULL without an error. Fails with DENIED for a directory that
 * other users can access, with NO_SPACE, and like import_http_get().
 */
ImportDownload *import_download(const ImportContext *context, ImportHttp *http, gboolean *ret_busy,
                                GError **error);
/** Returns the downloaded content; borrowed. */
CstBlob *import_download_blob(const ImportDownload *download);
/** Removes the file, because the import is finished. Does not free @download. NULL is accepted. */
void import_download_forget(ImportDownload *download);
/** Frees @download and keeps the file for the next import. NULL is accepted. */
void import_download_free(ImportDownload *download);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImportDownload, import_download_free)
