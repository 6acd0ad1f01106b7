/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "import_private.h"

/** Returns whether @len bytes at @head begin a 7z archive. */
gboolean import_7z_probe(const uint8_t *head, size_t len);
/**
 * Computes the memory in bytes that the decoders of the 7z archive @blob need at once. Reads only
 * the archive's header and creates no decoder. Its own memory is bounded. Fails with CORRUPT for a
 * damaged header, UNSUPPORTED for a header packed with an unknown method, and LIMIT for a header
 * that is too large.
 */
gboolean import_7z_memory(CstBlob *blob, const char *name, uint64_t *ret_memory, GError **error);
