/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "import_private.h"

/**
 * Gets a small file from a server, of at most @limit bytes (LIMIT). Returns the bytes with a NUL
 * appended; free them with g_free(). Other errors as in import_http_open() and import_http_get().
 */
char *import_fetch(const ImportContext *context, const char *url, size_t limit, size_t *ret_len,
                   GError **error);
