/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Working with a hostile qcow2 image: reading, extents, then changes of every kind. */
#include <base/changed.h>
#include <image/bitmap.h>
#include <image/snapshot.h>

#include "fuzz.h"
#include "image_work.h"
#include "sparse.h"

/* The changes since each snapshot, until now and until the first snapshot. */
static void tell_changes(CstImage *image, const GPtrArray *snapshots)
{
    for (guint i = 0; i < MIN(snapshots->len, 3); i++) {
        const CstImageSnapshot *since = snapshots->pdata[i], *until = snapshots->pdata[0];
        g_auto(CstChanged) changed = {.max = 100};

        cst_image_changed(image, since->name, NULL, NULL, &changed, NULL);
        cst_image_changed(image, since->name, until->name, NULL, &changed, NULL);
    }
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

        g_autoptr(GArray) ranges = cst_image_bitmap_ranges(image, name, 1000, NULL, NULL);

        cst_image_bitmap_merge(image, "fuzz", image, name, NULL);
        cst_image_bitmap_clear(image, name, NULL);
        cst_image_bitmap_remove(image, name, NULL);
    }
    snapshots = cst_image_snapshot_list(image, NULL);
    if (snapshots)
        tell_changes(image, snapshots);
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
    CstBlob *guest = work_open(blob, "qcow2", NULL, 0);

    if (!guest) {
        check(blob);
        return 0;
    }
    work_read(guest);
    cst_blob_unref(guest);
    guest = work_open(blob, "qcow2", NULL, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS);
    if (guest) {
        work_change(guest);
        cst_blob_unref(guest);
    }
    manage(blob);
    work_resize(blob, "qcow2", NULL);
    check(blob);
    return 0;
}
