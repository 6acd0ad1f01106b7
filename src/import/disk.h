/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

#include "import_private.h"

/**
 * Opens the image @blob and returns the content as a guest sees it: a new reference. @name is for
 * messages. *ret_format receives the image format. Fails with DENIED if the image refers to other
 * files, CORRUPT, UNSUPPORTED or LIMIT.
 */
CstBlob *import_disk_open(const ImportContext *context, const char *name, CstBlob *blob,
                          const CstImageFormat **ret_format, GError **error);
