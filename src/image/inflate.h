/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * Decompresses a deflate stream without a zlib header to exactly @len bytes. Ignores bytes after
 * the stream. FALSE: the stream is damaged, or shorter.
 */
gboolean cst_inflate(const uint8_t *packed, size_t packed_len, uint8_t *buf, size_t len);
