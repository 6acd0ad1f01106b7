/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <blob/sparse.h>
#include <image/image.h>

/** The guest's view of an image of format @name that is full of @byte; a VHD is based on VHDs. */
static inline CstBlob *make_backing(const char *name, uint64_t size, int byte)
{
    const CstImageFormat *format = cst_image_format_find(name, NULL);
    const CstImageCreate options = {.capacity = size};
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    g_autofree uint8_t *bytes = g_malloc(size);
    CstBlob *guest;

    memset(bytes, byte, size);
    assert_true(cst_image_create(blob, format, &options, NULL, NULL));
    guest = cst_image_guest_blob(cst_image_open(blob, format, CST_IMAGE_WRITE, NULL, NULL));
    assert_true(cst_blob_pwrite(guest, bytes, size, 0, NULL));
    return guest;
}
