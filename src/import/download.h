/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "http.h"

/** All of a server's file, in one of ours, which stays when the import is interrupted. */
typedef struct ImportDownload ImportDownload;

/**
 * Gets all of @http, which has ranges; goes on where an earlier import of the same version of the
 * file was interrupted or killed. Tells the user where it is. *ret_busy: another import is getting
 * it, and there is no error. DENIED for a directory that others can write to, NO_SPACE; as
 * import_http_get().
 */
ImportDownload *import_download(const ImportContext *context, ImportHttp *http, gboolean *ret_busy,
                                GError **error);
/** What has come; borrowed. */
CstBlob *import_download_blob(const ImportDownload *download);
/** Removes the file: the import is done. NULL is accepted. */
void import_download_forget(ImportDownload *download);
/** Leaves the file to the next import. NULL is accepted. */
void import_download_free(ImportDownload *download);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImportDownload, import_download_free)
