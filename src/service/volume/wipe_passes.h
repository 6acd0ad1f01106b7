/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>
#include <model/flags.h>

/**
 * Overwrites all bytes of @blob by the passes of @algorithm, syncing after each; "trim" gives the
 * space back instead. Storage that copies on write or remaps blocks may keep old copies: no
 * overwriting reaches them.
 */
gboolean wipe_blob(CstBlob *blob, CstWipeAlgorithm algorithm, CstTask *task, GError **error);
