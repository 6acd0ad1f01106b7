/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <image/image.h>

enum { STALE = 0x5a };

/** Writes @length bytes after all used space of the image, as an interrupted writer leaves them. */
static inline void leave_stale_end(CstBlob *blob, const CstImageFormat *format, uint64_t length)
{
    g_autofree uint8_t *buf = g_malloc(length);
    CstImageCheck found = {0};
    uint64_t size = 0;

    memset(buf, STALE, length);
    /* the file may end before its last block does */
    assert_true(cst_image_check(blob, format, 0, &found, NULL, NULL));
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_true(cst_blob_pwrite(blob, buf, length, MAX(size, found.image_end), NULL));
}
