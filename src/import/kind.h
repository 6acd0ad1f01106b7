/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "import_private.h"

/**
 * Fails with UNSUPPORTED if @blob is certainly not a disk: an unsupported compression or image
 * format, or text. Call it if no image format was recognised. The message names the kind and the
 * next step.
 */
gboolean import_check_is_disk(CstBlob *blob, const char *name, GError **error);
