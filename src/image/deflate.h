/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * Compresses @len bytes like QEMU for qcow and qcow2: a deflate stream without a zlib header, with
 * a window of 4 KiB. Returns its length in bytes; 0: it does not fit into @room. Any number of
 * threads.
 */
size_t cst_deflate(const uint8_t *buf, size_t len, uint8_t *packed, size_t room);
