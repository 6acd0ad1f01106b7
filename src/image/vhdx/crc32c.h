/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** CRC-32C (Castagnoli); start with @crc 0, or with the result for what came before. */
uint32_t cst_crc32c(uint32_t crc, const void *data, size_t len);
