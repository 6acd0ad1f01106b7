/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/fault.h>
#include <blob/power.h>
#include <blob/sparse.h>
#include <image/image.h>
#include <vhdx/header.h>

#include "listed.h"
#include "same.h"

/*
 * Common parts of the VHDX tests: images in sparse memory, and comparison of their content with
 * plain arrays.
 */

static inline const CstImageFormat *vhdx(void)
{
    return cst_image_format_find("vhdx", NULL);
}

static inline CstBlob *make(const CstImageCreate *options)
{
    CstBlob *blob = cst_blob_sparse_new(0);
    g_autoptr(GError) error = NULL;

    if (!cst_image_create(blob, vhdx(), options, NULL, &error))
        fail_msg("create: %s", error->message);
    return blob;
}

static inline CstImage *open_image(CstBlob *blob, unsigned flags, CstBlob *backing)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open(blob, vhdx(), flags, backing, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return image;
}

static inline CstBlob *open_guest(CstBlob *blob, unsigned flags, CstBlob *backing)
{
    return cst_image_guest_blob(open_image(blob, flags, backing));
}

static inline void put(CstBlob *blob, uint64_t offset, size_t len, int byte)
{
    g_autofree uint8_t *buf = g_malloc(len);
    g_autoptr(GError) error = NULL;

    memset(buf, byte, len);
    if (!cst_blob_pwrite(blob, buf, len, offset, &error))
        fail_msg("write: %s", error->message);
}

/* All of the range is @byte. */
static inline void assert_byte(CstBlob *blob, uint64_t offset, size_t len, int byte)
{
    g_autofree uint8_t *buf = g_malloc(len);
    g_autoptr(GError) error = NULL;

    if (!cst_blob_pread(blob, buf, len, offset, &error))
        fail_msg("read: %s", error->message);
    if (is_all(buf, len, (uint8_t)byte))
        return;
    for (size_t i = 0; i < len; i++)
        if (buf[i] != byte)
            fail_msg("byte %" G_GUINT64_FORMAT " is %u, not %d", offset + i, buf[i], byte);
}

static inline CstImageCheck check_image(CstBlob *blob, unsigned flags)
{
    return check_listed(blob, vhdx(), flags);
}

static inline void assert_clean(CstBlob *blob)
{
    CstImageCheck found = check_image(blob, 0);

    assert_int_equal(found.errors, 0);
    assert_int_equal(found.leaks, 0);
}

static inline VhdxHeader header_of(CstBlob *blob)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    VhdxHeader header = {0};
    CstInspection inspection;

    assert_true(cst_inspection_init(&inspection, blob, head, &info, NULL));
    vhdx_header_read(&inspection, &header);
    assert_null(info.problem);
    return header;
}

static inline gboolean is_dirty(CstBlob *blob)
{
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(blob, vhdx(), &info, NULL));
    return info.dirty;
}

static inline void assert_same_bytes(CstBlob *a, CstBlob *b)
{
    g_autofree uint8_t *left = g_malloc(CST_MIB), *right = g_malloc(CST_MIB);
    uint64_t size = 0, other = 0;

    assert_true(cst_blob_get_size(a, &size, NULL));
    assert_true(cst_blob_get_size(b, &other, NULL));
    assert_int_equal(size, other);
    for (uint64_t at = 0; at < size; at += CST_MIB) {
        size_t n = MIN(CST_MIB, size - at);

        assert_true(cst_blob_pread(a, left, n, at, NULL));
        assert_true(cst_blob_pread(b, right, n, at, NULL));
        assert_memory_equal(left, right, n);
    }
}
