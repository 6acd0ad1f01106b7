/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * CRC-32C, one byte per step, with a table that the first caller fills (g_once). The checksums
 * cover headers, region tables and log entries, never guest data, so the plain algorithm is fast
 * enough.
 */
#include "crc32c.h"

#include <glib.h>

static uint32_t table[256];

static void fill_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
        table[i] = crc;
    }
}

uint32_t cst_crc32c(uint32_t crc, const void *data, size_t len)
{
    static gsize ready;
    const uint8_t *bytes = data;

    if (g_once_init_enter(&ready)) {
        fill_table();
        g_once_init_leave(&ready, 1);
    }
    crc = ~crc;
    for (size_t i = 0; i < len; i++)
        crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
    return ~crc;
}
