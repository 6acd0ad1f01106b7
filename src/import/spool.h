/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "http.h"
#include "reader.h"

/**
 * Reads all of @reader into an unnamed file. The directory is the user's option, else TMPDIR, else
 * /var/tmp; it is reported to the user. Zeroes become holes. Returns a new reference. Fails with
 * LIMIT or NO_SPACE.
 */
CstBlob *import_spool(const ImportContext *context, ImportReader *reader, GError **error);
/** Like import_spool(), for a whole file on a server. */
CstBlob *import_spool_http(const ImportContext *context, ImportHttp *http, GError **error);
/**
 * Fails with NO_SPACE if the file system of @fd, in directory @where, has no room for @more bytes
 * and the reserve for other programs.
 */
gboolean import_spool_check(int fd, const char *where, uint64_t more, GError **error);
/**
 * Like import_spool_check(), for appending at @done. Checks only once per 64 MiB: *@checked is the
 * end of the part already checked.
 */
gboolean import_spool_check_on(int fd, const char *where, uint64_t done, uint64_t *checked,
                               GError **error);
