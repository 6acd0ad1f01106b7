/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Working with a hostile qcow2 image: reading, extents, then changes of every kind. */
#include <stdlib.h>

#include <base/units.h>
#include <image/bitmap.h>
#include <image/image.h>
#include <image/snapshot.h>

#include "fuzz.h"
#include "sparse.h"

#define READ_LIMIT   (2 * CST_MIB)
#define EXTENT_LIMIT 500

static CstBlob *open_guest(CstBlob *blob, unsigned flags)
{
    CstImage *image = cst_image_open(blob, cst_image_format_find("qcow2", NULL), flags, NULL, NULL);

    return image ? cst_image_guest_blob(image) : NULL;
}

static void read_all(CstBlob *guest)
{
    g_autofree uint8_t *buf = g_malloc(CST_MIB);
    uint64_t size = 0;
    unsigned count = 0;

    g_assert_true(cst_blob_get_size(guest, &size, NULL));
    for (uint64_t at = 0; at < MIN(size, READ_LIMIT); at += 100000)
        cst_blob_pread(guest, buf, (size_t)MIN(100000, size - at), at, NULL);
    for (uint64_t at = 0; at < size && count++ < EXTENT_LIMIT;) {
        CstExtent extent;

        if (!cst_blob_extent(guest, at, size - at, &extent, NULL))
            break;
        at += extent.length;
    }
    if (size > 0)
        cst_blob_pread(guest, buf, (size_t)MIN(size, 4096), size - MIN(size, 4096), NULL);
}

static void change(CstBlob *guest)
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

static void change_size(CstBlob *blob)
{
    g_autoptr(CstImage) image =
        cst_image_open(blob, cst_image_format_find("qcow2", NULL), CST_IMAGE_WRITE, NULL, NULL);
    uint64_t capacity;

    if (!image)
        return;
    capacity = cst_image_capacity(image);
    cst_image_resize(image, MIN(capacity, CST_GIB) + 3 * CST_MIB, CST_PREALLOC_OFF, NULL, NULL);
    cst_image_resize(image, capacity / 2, CST_PREALLOC_OFF, NULL, NULL);
    cst_image_flush(image, NULL);
}

/* Snapshots, bitmaps, compressed data: what is there, and new ones. */
static void manage(CstBlob *blob)
{
    CstImage *image = cst_image_open(blob, cst_image_format_find("qcow2", NULL),
                                     CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL, NULL);
    g_autoptr(GPtrArray) snapshots = NULL, bitmaps = NULL;
    uint64_t unit;

    if (!image)
        return;
    unit = cst_image_compression_unit(image);
    if (unit > 0 && cst_image_capacity(image) >= unit) {
        g_autofree uint8_t *buf = g_malloc0(unit);

        cst_image_write_compressed(image, buf, unit, 0, NULL);
    }
    bitmaps = cst_image_bitmap_list(image, NULL);
    cst_image_bitmap_add(image, "fuzz", 0, TRUE, NULL);
    for (guint i = 0; bitmaps && i < MIN(bitmaps->len, 3); i++) {
        const char *name = ((CstImageBitmap *)bitmaps->pdata[i])->name;

        cst_image_bitmap_merge(image, "fuzz", image, name, NULL);
        cst_image_bitmap_clear(image, name, NULL);
        cst_image_bitmap_remove(image, name, NULL);
    }
    snapshots = cst_image_snapshot_list(image, NULL);
    cst_image_snapshot_create(image, "fuzz", NULL, NULL);
    for (guint i = 0; snapshots && i < MIN(snapshots->len, 3); i++) {
        const char *name = ((CstImageSnapshot *)snapshots->pdata[i])->name;

        cst_image_snapshot_revert(image, name, NULL, NULL);
        cst_image_snapshot_delete(image, name, NULL, NULL);
    }
    cst_image_snapshot_delete(image, "fuzz", NULL, NULL);
    cst_image_free(image);
}

/* A repair that claims to have put everything right has. */
static void check(CstBlob *blob)
{
    const CstImageFormat *format = cst_image_format_find("qcow2", NULL);
    CstImageCheck first, second;

    cst_image_check(blob, format, 0, &first, NULL, NULL);
    if (!cst_image_check(blob, format, CST_CHECK_REPAIR_ALL, &first, NULL, NULL) ||
        first.errors != first.errors_fixed)
        return;
    if (!cst_image_check(blob, format, 0, &second, NULL, NULL) || second.errors > 0 ||
        second.leaks > 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(CstBlob) blob = sparse_blob(data, size);
    CstBlob *guest = open_guest(blob, 0);

    if (!guest) {
        check(blob);
        return 0;
    }
    read_all(guest);
    cst_blob_unref(guest);
    guest = open_guest(blob, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS);
    if (guest) {
        change(guest);
        cst_blob_unref(guest);
    }
    manage(blob);
    change_size(blob);
    check(blob);
    return 0;
}
