/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <image/image.h>

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
