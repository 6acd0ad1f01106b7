/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "http.h"
#include "reader.h"

/**
 * Reads all of @reader into a file without a name, in the directory that the user says, else
 * TMPDIR, else /var/tmp; tells the user where. Zeroes become holes. LIMIT, NO_SPACE. A new
 * reference.
 */
CstBlob *import_spool(const ImportContext *context, ImportReader *reader, GError **error);
/** Does the same with all that a server has. */
CstBlob *import_spool_http(const ImportContext *context, ImportHttp *http, GError **error);
/**
 * NO_SPACE when the file system of @fd, in @where, has no room for @more bytes and others' needs.
 */
gboolean import_spool_check(int fd, const char *where, uint64_t more, GError **error);
/**
 * The same for what is appended at @done, now and then: bytes up to *@checked were asked for.
 */
gboolean import_spool_check_on(int fd, const char *where, uint64_t done, uint64_t *checked,
                               GError **error);
