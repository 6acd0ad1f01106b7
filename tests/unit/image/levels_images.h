/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Words of the header and tables of images of two levels: qcow is big endian, QED is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <blob/blob.h>

#include "bytes.h"

static inline gboolean is_big_endian(const char *format)
{
    return g_str_equal(format, "qcow");
}

static inline uint64_t get_word(const char *format, CstBlob *blob, uint64_t at)
{
    uint8_t raw[8];

    assert_true(cst_blob_pread(blob, raw, sizeof(raw), at, NULL));
    return is_big_endian(format) ? cst_be64(raw) : cst_le64(raw);
}

static inline void put_word(const char *format, CstBlob *blob, uint64_t at, uint64_t value)
{
    uint8_t raw[8];

    if (is_big_endian(format))
        cst_put_be64(raw, value);
    else
        cst_put_le64(raw, value);
    assert_true(cst_blob_pwrite(blob, raw, sizeof(raw), at, NULL));
}
