/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <image/image.h>

#include "bytes.h"

static inline const CstImageFormat *qcow2(void)
{
    return cst_image_format_find("qcow2", NULL);
}

static inline CstImage *open_image(CstBlob *blob, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open(blob, qcow2(), flags, NULL, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return image;
}

static inline void write_guest(CstBlob *blob, uint64_t offset, uint64_t length, int byte)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(open_image(blob, CST_IMAGE_WRITE));
    g_autofree uint8_t *buf = g_malloc(length);

    memset(buf, byte, length);
    assert_true(cst_blob_pwrite(guest, buf, length, offset, NULL));
    assert_true(cst_blob_flush(guest, NULL));
}

static inline uint64_t get64(CstBlob *blob, uint64_t offset)
{
    uint8_t raw[8];

    assert_true(cst_blob_pread(blob, raw, sizeof(raw), offset, NULL));
    return cst_be64(raw);
}

static inline void put64(CstBlob *blob, uint64_t offset, uint64_t value)
{
    uint8_t raw[8];

    cst_put_be64(raw, value);
    assert_true(cst_blob_pwrite(blob, raw, sizeof(raw), offset, NULL));
}

static inline void put32(CstBlob *blob, uint64_t offset, uint32_t value)
{
    uint8_t raw[4];

    cst_put_be32(raw, value);
    assert_true(cst_blob_pwrite(blob, raw, sizeof(raw), offset, NULL));
}

static inline void assert_sound(CstBlob *blob, gboolean leaks_allowed)
{
    CstImageCheck check;

    assert_true(cst_image_check(blob, qcow2(), 0, &check, NULL, NULL));
    assert_int_equal(check.errors, 0);
    if (!leaks_allowed)
        assert_int_equal(check.leaks, 0);
}
