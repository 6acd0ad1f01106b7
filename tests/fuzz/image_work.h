/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdlib.h>

#include <base/units.h>
#include <image/image.h>

/* Working with a hostile image: checking, reading, then changes of every kind, then repair. */

#define WORK_READ_LIMIT   (2 * CST_MIB)
#define WORK_EXTENT_LIMIT 500
/* Growing writes a table in proportion: kept small for speed alone. */
#define WORK_GROW_LIMIT (4 * CST_GIB)

static inline CstBlob *work_open(CstBlob *blob, const char *format, CstBlob *backing,
                                 unsigned flags)
{
    CstImage *image =
        cst_image_open(blob, cst_image_format_find(format, NULL), flags, backing, NULL);

    return image ? cst_image_guest_blob(image) : NULL;
}

static inline void work_read(CstBlob *guest)
{
    g_autofree uint8_t *buf = g_malloc(CST_MIB);
    uint64_t size = 0;
    unsigned count = 0;

    g_assert_true(cst_blob_get_size(guest, &size, NULL));
    for (uint64_t at = 0; at < MIN(size, WORK_READ_LIMIT); at += 100000)
        cst_blob_pread(guest, buf, (size_t)MIN(100000, size - at), at, NULL);
    for (uint64_t at = 0; at < size && count++ < WORK_EXTENT_LIMIT;) {
        CstExtent extent;

        if (!cst_blob_extent(guest, at, size - at, &extent, NULL))
            break;
        at += extent.length;
    }
    cst_blob_pread(guest, buf, (size_t)MIN(size, 4096), size - MIN(size, 4096), NULL);
}

static inline void work_change(CstBlob *guest)
{
    static const uint8_t ones[70000] = {1};
    uint64_t size = 0;

    g_assert_true(cst_blob_get_size(guest, &size, NULL));
    for (uint64_t at = 100; at < MIN(size, CST_MIB); at += 130000)
        cst_blob_pwrite(guest, ones, (size_t)MIN(sizeof(ones), size - at), at, NULL);
    cst_blob_zero(guest, 0, MIN(size, 200000), CST_ZERO_MAY_UNMAP, NULL);
    cst_blob_zero(guest, size / 2, MIN(size - size / 2, 5000), 0, NULL);
    cst_blob_discard(guest, 0, MIN(size, CST_MIB), NULL);
    cst_blob_flush(guest, NULL);
    if (size > 512)
        cst_blob_pwrite(guest, ones, 512, size - 512, NULL);
}

static inline void work_resize(CstBlob *blob, const char *format, CstBlob *backing)
{
    g_autoptr(CstImage) image =
        cst_image_open(blob, cst_image_format_find(format, NULL), CST_IMAGE_WRITE, backing, NULL);
    uint64_t capacity;

    if (!image)
        return;
    capacity = cst_image_capacity(image);
    if (capacity < WORK_GROW_LIMIT)
        cst_image_resize(image, capacity + 3 * CST_MIB, CST_PREALLOC_OFF, NULL, NULL);
    cst_image_resize(image, capacity / 2, CST_PREALLOC_OFF, NULL, NULL);
    cst_image_flush(image, NULL);
}

/* An image is valid after a successful repair. */
static inline void work_check(CstBlob *blob, const char *name)
{
    const CstImageFormat *format = cst_image_format_find(name, NULL);
    CstImageCheck check;

    if (!cst_image_check(blob, format, CST_CHECK_REPAIR_ALL, &check, NULL, NULL))
        return;
    if (!cst_image_check(blob, format, 0, &check, NULL, NULL) || check.errors > 0)
        abort();
}

static inline void work_on(CstBlob *blob, const char *format, CstBlob *backing)
{
    CstBlob *guest = work_open(blob, format, backing, 0);
    CstImageCheck check;

    cst_image_check(blob, cst_image_format_find(format, NULL), 0, &check, NULL, NULL);
    if (!guest)
        return;
    work_read(guest);
    cst_blob_unref(guest);
    guest = work_open(blob, format, backing, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS);
    if (guest) {
        work_change(guest);
        cst_blob_unref(guest);
    }
    work_check(blob, format);
    work_resize(blob, format, backing);
    work_check(blob, format);
}
