/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The operations of the fault tests. */
#include <base/error.h>
#include <image/amend.h>
#include <image/bitmap.h>
#include <image/snapshot.h>

#include "fault_case.h"

static gboolean do_read(CstBlob *guest, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);

    return cst_blob_pread(guest, buf, SIZE, 0, error);
}

static void model_same(View *view)
{
}

static gboolean do_write(CstBlob *guest, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(LENGTH);

    memset(buf, NEW, LENGTH);
    return cst_blob_pwrite(guest, buf, LENGTH, FROM, error);
}

static void model_write(View *view)
{
    memset(view->bytes + FROM, NEW, LENGTH);
}

static gboolean do_zero(CstBlob *guest, GError **error)
{
    return cst_blob_zero(guest, FROM, LENGTH, CST_ZERO_MAY_UNMAP, error);
}

static void model_zero(View *view)
{
    memset(view->bytes + FROM, 0, LENGTH);
}

static gboolean do_discard(CstBlob *guest, GError **error)
{
    return cst_blob_discard(guest, FROM, LENGTH, error);
}

static gboolean do_grow(CstImage *image, GError **error)
{
    return cst_image_resize(image, GROWN, CST_PREALLOC_OFF, NULL, error);
}

static void model_grow(View *view)
{
    view->size = GROWN;
}

static gboolean do_shrink(CstImage *image, GError **error)
{
    return cst_image_resize(image, SHRUNK, CST_PREALLOC_OFF, NULL, error);
}

static void model_shrink(View *view)
{
    view->size = SHRUNK;
}

static gboolean do_compressed(CstImage *image, GError **error)
{
    uint64_t unit = cst_image_compression_unit(image);
    g_autofree uint8_t *buf = g_malloc(MAX(unit, 1));

    if (unit == 0)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, "never compressed");
    memset(buf, NEW, unit);
    for (uint64_t at = (FROM / unit + 1) * unit; at + unit <= FROM + LENGTH; at += unit)
        if (!cst_image_write_compressed(image, buf, unit, at, error))
            return FALSE;
    return TRUE;
}

static gboolean do_snapshot(CstImage *image, GError **error)
{
    return cst_image_snapshot_create(image, "now", NULL, error);
}

static void model_snapshot(View *view)
{
    view->snapshots++;
}

/* Creates a snapshot of the present content and writes other content. */
static gboolean take_and_go_on(CstImage *image, GError **error)
{
    return cst_image_snapshot_create(image, "then", NULL, error);
}

static gboolean do_revert(CstImage *image, GError **error)
{
    return cst_image_snapshot_revert(image, "then", NULL, error);
}

static gboolean do_delete(CstImage *image, GError **error)
{
    return cst_image_snapshot_delete(image, "then", NULL, error);
}

static void model_delete(View *view)
{
    view->snapshots--;
}

static gboolean do_rename(CstImage *image, GError **error)
{
    return cst_image_snapshot_rename(image, "then", "before", error);
}

static gboolean check(Disk *disk, unsigned flags, GError **error)
{
    const CstImageFiles files = {open_part, create_part, disk};
    CstImageCheck found = {0};

    return cst_image_check_as(part_at(disk, 0)->shown, disk->format, flags, &files, &found, NULL,
                              error);
}

static gboolean do_check(Disk *disk, GError **error)
{
    return check(disk, 0, error);
}

static gboolean do_repair(Disk *disk, GError **error)
{
    return check(disk, CST_CHECK_REPAIR_ALL, error);
}

/* Changes the options of a qcow2 image in place. The refcounts move. */
static gboolean do_amend(CstImage *image, GError **error)
{
    const CstImageAmend amend = {.compat = "1.1", .refcount_bits = 32};

    return cst_image_amend(image, &amend, NULL, error);
}

/* --- bitmaps ---------------------------------------------------------------------------------- */

static gboolean add_bitmaps(CstImage *image, GError **error)
{
    return cst_image_bitmap_add(image, "one", 0, FALSE, error) &&
           cst_image_bitmap_add(image, "two", 0, FALSE, error);
}

static gboolean do_bitmap_add(CstImage *image, GError **error)
{
    return cst_image_bitmap_add(image, "new", 0, TRUE, error);
}

static gboolean do_bitmap_remove(CstImage *image, GError **error)
{
    return cst_image_bitmap_remove(image, "one", error);
}

static gboolean do_bitmap_enable(CstImage *image, GError **error)
{
    return cst_image_bitmap_enable(image, "one", TRUE, error);
}

static gboolean do_bitmap_clear(CstImage *image, GError **error)
{
    return cst_image_bitmap_clear(image, "one", error);
}

static gboolean do_bitmap_merge(CstImage *image, GError **error)
{
    return cst_image_bitmap_merge(image, "one", image, "two", error);
}

const Operation fault_operations[] = {
    {.name = "read", .on_guest = do_read, .model = model_same},
    {.name = "write", .on_guest = do_write, .model = model_write},
    {.name = "zero", .on_guest = do_zero, .model = model_zero, .frees = TRUE},
    {.name = "discard", .on_guest = do_discard, .may_lose = TRUE, .frees = TRUE},
    {.name = "grow", .on_image = do_grow, .model = model_grow, .moves_end = TRUE},
    {.name = "shrink",
     .on_image = do_shrink,
     .model = model_shrink,
     .moves_end = TRUE,
     .frees = TRUE},
    {.name = "compressed", .on_image = do_compressed, .frees = TRUE},
    {.name = "snapshot",
     .on_image = do_snapshot,
     .model = model_snapshot,
     .at_once = TRUE,
     .frees = TRUE},
    {.name = "write after a snapshot",
     .prepare = take_and_go_on,
     .on_guest = do_write,
     .model = model_write},
    {.name = "revert",
     .prepare = take_and_go_on,
     .on_image = do_revert,
     .at_once = TRUE,
     .frees = TRUE},
    {.name = "delete",
     .prepare = take_and_go_on,
     .on_image = do_delete,
     .model = model_delete,
     .at_once = TRUE,
     .frees = TRUE},
    {.name = "rename",
     .prepare = take_and_go_on,
     .on_image = do_rename,
     .at_once = TRUE,
     .frees = TRUE},
    {.name = "check", .on_disk = do_check, .model = model_same},
    {.name = "repair", .on_disk = do_repair, .model = model_same},
    {.name = "amend", .on_image = do_amend, .at_once = TRUE, .frees = TRUE},
    {.name = "bitmap add", .on_image = do_bitmap_add, .at_once = TRUE, .frees = TRUE},
    {.name = "bitmap remove",
     .prepare = add_bitmaps,
     .on_image = do_bitmap_remove,
     .at_once = TRUE,
     .late = TRUE,
     .frees = TRUE},
    {.name = "bitmap enable",
     .prepare = add_bitmaps,
     .on_image = do_bitmap_enable,
     .at_once = TRUE,
     .frees = TRUE},
    {.name = "bitmap clear",
     .prepare = add_bitmaps,
     .on_image = do_bitmap_clear,
     .at_once = TRUE,
     .frees = TRUE},
    {.name = "bitmap merge",
     .prepare = add_bitmaps,
     .on_image = do_bitmap_merge,
     .at_once = TRUE,
     .frees = TRUE},
    {0},
};
