/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "import_private.h"

/**
 * Reads the list of checksums at @where, a path or URL, of at most 1 MiB. @name is for messages.
 * With a keyring, one of its keys must have signed the list, else fails with MISMATCH; the result
 * is then the signed text. Free it with g_free().
 */
char *import_signed_list(const ImportContext *context, const char *where, const char *name,
                         GError **error);
