/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>
#include <model/flags.h>

/**
 * Overwrites all bytes of @blob by the passes of @algorithm, and syncs after each pass. Exceptions:
 * "trim" deallocates the space instead, and "zero" truncates and extends a sparse file. Storage
 * that copies on write or remaps blocks may keep old copies, which overwriting does not reach.
 */
gboolean wipe_blob(CstBlob *blob, CstWipeAlgorithm algorithm, CstTask *task, GError **error);
