/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "import_private.h"

/**
 * UNSUPPORTED where @blob, which no format was recognised in, is certainly no disk: a compression
 * or image format that is not read, or text. The message names the kind and the next step.
 */
gboolean import_check_is_disk(CstBlob *blob, const char *name, GError **error);
