/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Return the CRC-32C (Castagnoli) of @data. @crc: 0, or the result for the preceding bytes. */
uint32_t cst_crc32c(uint32_t crc, const void *data, size_t len);
