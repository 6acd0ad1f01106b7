/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

#include "import_private.h"

/**
 * Opens the image @blob, called @name in messages, and gives what a guest sees: a new reference.
 * *ret_format is what it is. DENIED when it refers to other files, CORRUPT, UNSUPPORTED, LIMIT.
 */
CstBlob *import_disk_open(const ImportContext *context, const char *name, CstBlob *blob,
                          const CstImageFormat **ret_format, GError **error);
