/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "import_private.h"

/** Whether @len bytes are the beginning of a 7z archive. */
gboolean import_7z_probe(const uint8_t *head, size_t len);
/**
 * Computes how many bytes of memory the decoders of the 7z archive @blob need at a time, from the
 * archive's header, without creating them. Bounds its own memory. CORRUPT for a damaged header;
 * UNSUPPORTED for a header that is packed in an unknown way; LIMIT for one that is too large.
 */
gboolean import_7z_memory(CstBlob *blob, const char *name, uint64_t *ret_memory, GError **error);
