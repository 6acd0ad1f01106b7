/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "import_private.h"

/**
 * Reads the list of checksums at @where, a path or an URL that messages
 * call @name, of at most 1 MiB. With a keyring, one of
 * its keys must have signed the list, and what comes back is what was signed: MISMATCH. g_free()
 * it.
 */
char *import_signed_list(const ImportContext *context, const char *where, const char *name,
                         GError **error);
