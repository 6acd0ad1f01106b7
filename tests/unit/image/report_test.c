/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Storage that fails once during each operation on a whole image. An operation must report a
 * failure exactly when it has set an error. The content of the image is tested by fault_test.c.
 */
#include "fault_disk.h"

#include <base/units.h>
#include <blob/fault.h>
#include <image/backing.h>

#include "format.h"

enum { BIG = 70 * 1024 * 1024 };

static const Variant variants[] = {
    {"vdi", {0}},
    {"vmdk", {0}},
    {"vmdk", {.subformat = "monolithicFlat"}},
    {"vmdk", {.subformat = "streamOptimized"}},
    {"vmdk", {.subformat = "twoGbMaxExtentSparse"}},
    {"vmdk", {.backing = "base", .backing_format = "vmdk"}},
    {"vpc", {0}},
    {"vpc", {.subformat = "fixed"}},
    {"vpc", {.backing = "base", .backing_format = "vpc"}},
    {"vhdx", {.block_size = CST_MIB}},
    {"vhdx", {.block_size = CST_MIB, .subformat = "fixed"}},
    {"vhdx", {.block_size = CST_MIB, .backing = "base", .backing_format = "vhdx"}},
    {"parallels", {.cluster_size = 65536}},
    {"qcow", {0}},
    {"qed", {.cluster_size = 8192, .table_size = 1}},
    {"qed", {.cluster_size = 8192, .table_size = 1, .backing = "base", .backing_format = "vmdk"}},
};

/** Work on an image that is open for writing, and on its guest's view. */
typedef gboolean (*Work)(CstImage *image, CstBlob *guest, GError **error);

static gboolean grow(CstImage *image, CstBlob *guest, GError **error)
{
    return cst_image_resize(image, BIG, CST_PREALLOC_OFF, NULL, error);
}

static gboolean grow_allocated(CstImage *image, CstBlob *guest, GError **error)
{
    return cst_image_resize(image, 3 * CST_MIB, CST_PREALLOC_FULL, NULL, error);
}

static gboolean shrink(CstImage *image, CstBlob *guest, GError **error)
{
    return cst_image_resize(image, SIZE / 3 / 512 * 512, CST_PREALLOC_OFF, NULL, error);
}

static gboolean write_and_trim(CstImage *image, CstBlob *guest, GError **error)
{
    return cst_blob_pwrite(guest, "x", 1, SIZE / 2, error) &&
           cst_blob_zero(guest, 1000, SIZE / 3, CST_ZERO_MAY_UNMAP, error) &&
           cst_blob_discard(guest, 0, SIZE / 4, error) && cst_blob_flush(guest, error) &&
           cst_image_trim(image, NULL, error);
}

static gboolean stand_alone(CstImage *image, CstBlob *guest, GError **error)
{
    return cst_image_set_backing(image, NULL, NULL, NULL, error);
}

/* The same bytes under another name. */
static gboolean change_name(CstImage *image, CstBlob *guest, GError **error)
{
    return cst_image_set_backing(image, "other", image->format->name, image->backing, error);
}

static gboolean empty(CstImage *image, CstBlob *guest, GError **error)
{
    return cst_image_empty(image, NULL, error);
}

static const Work works[] = {grow,        grow_allocated, shrink, write_and_trim,
                             stand_alone, change_name,    empty};

static gboolean do_work(Disk *disk, Work work, GError **error)
{
    CstImage *image = open_image(disk, CST_IMAGE_WRITE, error);
    g_autoptr(CstBlob) guest = image ? cst_image_guest_blob(image) : NULL;

    return guest && work(image, guest, error) && cst_blob_flush(guest, error);
}

/* Checks, repairs and checks again. Damage is no failure, but an error of storage is. */
static gboolean do_check(Disk *disk, GError **error)
{
    const CstImageFiles files = {open_part, create_part, disk};
    const unsigned all = CST_CHECK_REPAIR_LEAKS | CST_CHECK_REPAIR_ALL;
    CstBlob *blob = part_at(disk, 0)->shown;
    CstImageCheck found;

    return cst_image_check_as(blob, disk->format, 0, &files, &found, NULL, error) &&
           cst_image_check_as(blob, disk->format, all, &files, &found, NULL, error);
}

/* @work NULL: a check. Returns whether fault @nth had a call to strike. */
static gboolean play(const Disk *ground, guint part, Work work, CstFaultKind kind, unsigned nth)
{
    g_autoptr(GError) error = NULL;
    gboolean done, struck;
    CstBlob *fault;
    Part *aimed;
    Disk disk;

    disk_copy(ground, &disk);
    aimed = part_at(&disk, part);
    cst_blob_unref(aimed->shown);
    aimed->shown = fault = cst_blob_fault_new(aimed->inner);
    cst_blob_fault_arm(fault, kind, nth, CST_FAULT_ONCE);
    done = work ? do_work(&disk, work, &error) : do_check(&disk, &error);
    struck = cst_blob_fault_struck(fault);
    if (done != (error == NULL))
        fail_msg("%s %s: fault %u of kind %d: it says %d, and '%s'", ground->variant->format,
                 ground->variant->options.subformat, nth, kind, done,
                 error ? error->message : "nothing");
    disk_clear(&disk);
    return struck;
}

static void play_all(const Disk *ground, Work work)
{
    for (guint part = 0; part < ground->parts->len; part++)
        for (CstFaultKind kind = 0; kind < CST_FAULT_KINDS; kind++)
            for (unsigned nth = 1; play(ground, part, work, kind, nth); nth++)
                ;
}

/* Appends unused bytes to the image: leaks, or a moved end for formats with a footer. */
static void add_junk(Disk *disk)
{
    CstBlob *blob = part_at(disk, 0)->inner;
    g_autofree uint8_t *junk = g_malloc(2 * CST_MIB);
    uint64_t size = 0;

    memset(junk, 'j', 2 * CST_MIB);
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_true(cst_blob_resize(blob, size + 2 * CST_MIB, NULL));
    assert_true(cst_blob_pwrite(blob, junk, 2 * CST_MIB, size, NULL));
}

/* Some data, and holes in between. */
static void prepare(Disk *disk)
{
    g_autoptr(CstBlob) guest = NULL;

    disk_create(disk);
    guest = cst_image_guest_blob(open_image(disk, CST_IMAGE_WRITE, NULL));
    for (uint64_t at = 0; at < SIZE; at += 3 * 65536)
        assert_true(cst_blob_pwrite(guest, "data", 4, at, NULL));
    assert_true(cst_blob_flush(guest, NULL));
}

static void an_operation_fails_exactly_when_it_sets_an_error(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        Disk disk;

        disk_init(&disk, &variants[i], NULL);
        prepare(&disk);
        for (size_t j = 0; j < G_N_ELEMENTS(works); j++)
            play_all(&disk, works[j]);
        play_all(&disk, NULL);
        add_junk(&disk);
        play_all(&disk, NULL);
        disk_clear(&disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_fails_exactly_when_it_sets_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
