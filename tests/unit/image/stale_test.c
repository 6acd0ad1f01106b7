/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Bytes of the file that the guest has not written: an interrupted writer has left them after the
 * end of an image, or a block contained them before. The space is used again, and the old bytes
 * must not show. Memory of the process must not get into the file either, because other users may
 * read the file. A new format needs a new row.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>
#include <image/image.h>

#include "listed.h"
#include "stale_bytes.h"

/*
 * The last block ends within a sector. The stale bytes reach over several blocks or less than one.
 */
enum { SIZE = 5 * 1024 * 1024 + 512, GROWN = 7 * 1024 * 1024 + 1024, BELOW = 0xee };

/*
 * Fills of fresh and of freed memory. No writer of this test writes several of these bytes in a
 * row.
 */
enum { FRESH = 0xc3, FREED = 0x3c, MEMORY = 16 };

typedef struct {
    const char *format;
    CstImageCreate options;
} Variant;

static const Variant variants[] = {
    {"qcow2", {.capacity = SIZE}},
    {"qcow2", {.capacity = SIZE, .cluster_size = 512}},
    {"qcow2", {.capacity = SIZE, .extended_l2 = TRUE}},
    {"qcow2", {.capacity = SIZE, .cluster_size = 2 * CST_MIB}},
    {"vmdk", {.capacity = SIZE}},
    {"vmdk", {.capacity = SIZE, .cluster_size = 8192}},
    {"vdi", {.capacity = SIZE}},
    {"vdi", {.capacity = SIZE, .subformat = "static"}},
    {"vpc", {.capacity = SIZE}},
    {"vhdx", {.capacity = SIZE, .block_size = CST_MIB}},
    {"vhdx", {.capacity = SIZE, .block_size = 2 * CST_MIB}},
    {"qcow", {.capacity = SIZE}},
    {"qcow", {.capacity = SIZE, .backing = "base", .backing_format = "raw"}},
    {"qed", {.capacity = SIZE}},
    {"qed", {.capacity = SIZE, .cluster_size = 4096, .table_size = 1}},
    {"qed", {.capacity = SIZE, .backing = "base", .backing_format = "raw"}},
    {"parallels", {.capacity = SIZE}},
    {"parallels", {.capacity = SIZE, .cluster_size = 32256}},
};

/* Numbers of stale bytes: less than a sector, part of a block, about a block, more. */
static const uint64_t lengths[] = {1, 511, 512, 70000, CST_MIB - 512, CST_MIB + 1, 9 * CST_MIB};

/** An image and its expected content. */
typedef struct {
    const Variant *variant;
    const CstImageFormat *format;
    CstBlob *blob;
    CstBlob *backing; /* NULL: absent; else full of BELOW, and as long as the image at first */
    uint64_t size;
    uint8_t bytes[GROWN];
} Disk;

static CstImage *open_image(Disk *disk)
{
    g_autoptr(GError) error = NULL;
    CstImage *image =
        cst_image_open(disk->blob, disk->format, CST_IMAGE_WRITE, disk->backing, &error);

    if (!image)
        fail_msg("%s: %s", disk->variant->format, error->message);
    return image;
}

/* Adopts @blob. */
static void disk_init(Disk *disk, const Variant *variant, CstBlob *blob)
{
    g_autoptr(GError) error = NULL;

    *disk = (Disk){.variant = variant, .blob = blob, .size = SIZE};
    disk->format = cst_image_format_find(variant->format, NULL);
    if (variant->options.backing) {
        memset(disk->bytes, BELOW, SIZE);
        disk->backing = cst_blob_memory_new(disk->bytes, SIZE);
    }
    if (!cst_image_create(disk->blob, disk->format, &variant->options, NULL, &error))
        fail_msg("%s: %s", variant->format, error->message);
}

static void disk_clear(Disk *disk)
{
    cst_blob_unref(disk->blob);
    cst_blob_unref(disk->backing);
}

/* @byte 0: by zeroing. */
static void put(Disk *disk, CstBlob *guest, uint64_t offset, uint64_t length, int byte)
{
    g_autofree uint8_t *buf = g_malloc(length);

    memset(buf, byte, length);
    memset(disk->bytes + offset, byte, length);
    assert_true(byte ? cst_blob_pwrite(guest, buf, length, offset, NULL)
                     : cst_blob_zero(guest, offset, length, CST_ZERO_MAY_UNMAP, NULL));
}

static void assert_shows(Disk *disk, CstBlob *guest, const char *when)
{
    static uint8_t seen[GROWN];

    assert_true(cst_blob_pread(guest, seen, disk->size, 0, NULL));
    for (uint64_t i = 0; i < disk->size; i++)
        if (seen[i] != disk->bytes[i])
            fail_msg("%s, %s: byte %" G_GUINT64_FORMAT " is %u, not %u", disk->variant->format,
                     when, i, seen[i], disk->bytes[i]);
}

static gboolean holds_memory(const uint8_t *bytes, uint64_t length)
{
    unsigned run = 0;

    /* any MEMORY bytes in a row have one of these places */
    for (uint64_t at = MEMORY - 1; at < length; at += MEMORY) {
        if (bytes[at] != FRESH && bytes[at] != FREED)
            continue;
        run = 0;
        for (uint64_t i = at + 1 - MEMORY; i < MIN(at + MEMORY, length) && run < MEMORY; i++)
            run = bytes[i] == FRESH || bytes[i] == FREED ? run + 1 : 0;
        if (run == MEMORY)
            return TRUE;
    }
    return FALSE;
}

static void assert_holds_no_memory(const Disk *disk, const char *when)
{
    static uint8_t bytes[CST_MIB];
    uint64_t size = 0;
    CstExtent run;

    assert_true(cst_blob_get_size(disk->blob, &size, NULL));
    for (uint64_t at = 0; at < size; at += run.length) {
        assert_true(cst_blob_extent(disk->blob, at, MIN(size - at, sizeof(bytes)), &run, NULL));
        if (run.flags & CST_EXTENT_ZERO)
            continue;
        assert_true(cst_blob_pread(disk->blob, bytes, run.length, at, NULL));
        if (holds_memory(bytes, run.length))
            fail_msg("%s, %s: memory in the file from %" G_GUINT64_FORMAT " on",
                     disk->variant->format, when, at);
    }
}

static void assert_holds(Disk *disk, const char *when)
{
    g_autoptr(CstBlob) guest = NULL;
    CstImageCheck found = check_listed(disk->blob, disk->format, 0);

    assert_int_equal(found.errors, 0);
    assert_holds_no_memory(disk, when);
    guest = cst_image_guest_blob(open_image(disk));
    assert_shows(disk, guest, when);
}

/*
 * --- after the end of the image -----------------------------------------------------------------
 */

/* Parts of blocks: at their start, inside, at the end of one and the start of the next. */
static void write_parts(Disk *disk)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(open_image(disk));

    put(disk, guest, CST_MIB + 1000, 100, 1);
    put(disk, guest, 3 * CST_MIB - 700, 1400, 2);
    put(disk, guest, SIZE - 512, 512, 3);
    put(disk, guest, 200000, 65536, 0);
    put(disk, guest, 4 * CST_MIB, 512, 4);
    assert_shows(disk, guest, "before it is flushed");
    assert_true(cst_blob_flush(guest, NULL));
}

static void stale_bytes_after_the_end_never_show(void **state)
{
    static Disk disk;

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(lengths); j++) {
            disk_init(&disk, &variants[i], cst_blob_sparse_new(0));
            leave_stale_end(disk.blob, disk.format, lengths[j]);
            assert_holds(&disk, "empty");
            write_parts(&disk);
            assert_holds(&disk, "written");
            leave_stale_end(disk.blob, disk.format, lengths[j]);
            write_parts(&disk);
            assert_holds(&disk, "written twice");
            disk_clear(&disk);
        }
    }
}

static void grow(Disk *disk, uint64_t size)
{
    g_autoptr(CstImage) image = open_image(disk);
    g_autoptr(GError) error = NULL;

    if (!cst_image_resize(image, size, CST_PREALLOC_OFF, NULL, &error))
        fail_msg("%s: %s", disk->variant->format, error->message);
    assert_true(cst_image_flush(image, NULL));
    disk->size = size;
}

static void stale_bytes_after_the_end_do_not_show_in_grown_space(void **state)
{
    static Disk disk;

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(lengths); j++) {
            disk_init(&disk, &variants[i], cst_blob_sparse_new(0));
            write_parts(&disk);
            leave_stale_end(disk.blob, disk.format, lengths[j]);
            grow(&disk, GROWN);
            assert_holds(&disk, "grown");
            disk_clear(&disk);
        }
    }
}

/* --- a device --------------------------------------------------------------------------------- */

enum { DEVICE_SIZE = 40 * 1024 * 1024 + 512 };

/** Bytes that can be neither more nor less, as on a block device. */
typedef struct {
    CstBlob head;
    uint8_t *bytes;
} Device;

static gboolean device_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    assert_in_range(offset, 0, DEVICE_SIZE - len);
    memcpy(buf, ((Device *)blob)->bytes + offset, len);
    return TRUE;
}

static gboolean device_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = DEVICE_SIZE;
    return TRUE;
}

static void device_close(CstBlob *blob)
{
    g_free(((Device *)blob)->bytes);
    g_free(blob);
}

static gboolean device_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                              GError **error)
{
    if (offset > DEVICE_SIZE - len)
        return cst_fail(error, CST_ERROR_NO_SPACE, "the device ends here");
    memcpy(((Device *)blob)->bytes + offset, buf, len);
    return TRUE;
}

static gboolean device_flush(CstBlob *blob, GError **error)
{
    return TRUE;
}

static gboolean device_resize(CstBlob *blob, uint64_t size, GError **error)
{
    return size == DEVICE_SIZE || cst_fail(error, CST_ERROR_UNSUPPORTED, "the size is fixed");
}

static const CstBlobOps device_ops = {
    .kind = "device",
    .pread = device_pread,
    .get_size = device_get_size,
    .close = device_close,
    .pwrite = device_pwrite,
    .flush = device_flush,
    .resize = device_resize,
};

/* Returns a device without zeroes, as after another use. */
static CstBlob *device_new(void)
{
    Device *device = g_new0(Device, 1);

    cst_blob_init(&device->head, &device_ops, "device", TRUE);
    device->bytes = g_malloc(DEVICE_SIZE);
    memset(device->bytes, STALE, DEVICE_SIZE);
    return &device->head;
}

/* The other formats allocate space after the end of the file. */
static gboolean can_use_a_device(const Variant *variant)
{
    static const char *const formats[] = {"qcow2", "vdi", "vpc", "vhdx", "parallels", NULL};

    return g_strv_contains(formats, variant->format);
}

static void old_content_of_a_device_never_shows(void **state)
{
    static Disk disk;

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        if (!can_use_a_device(&variants[i]))
            continue;
        disk_init(&disk, &variants[i], device_new());
        assert_holds(&disk, "empty");
        write_parts(&disk);
        assert_holds(&disk, "written");
        write_parts(&disk);
        assert_holds(&disk, "written twice");
        grow(&disk, GROWN);
        assert_holds(&disk, "grown");
        disk_clear(&disk);
    }
}

/* A failed creation must not leave a recognizable image. */
static void a_device_that_fails_gets_no_image(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) device = NULL, fault = NULL;
        gboolean struck = can_use_a_device(&variants[i]);

        if (!struck)
            continue;
        device = device_new();
        fault = cst_blob_fault_new(device);
        for (unsigned nth = 1; struck; nth++) {
            g_autoptr(GError) error = NULL;
            gboolean made;

            cst_blob_fault_arm(fault, CST_FAULT_WRITE, nth, CST_FAULT_ONCE);
            made = cst_image_create(fault, cst_image_format_find(variants[i].format, NULL),
                                    &variants[i].options, NULL, &error);
            struck = cst_blob_fault_struck(fault);
            assert_int_equal(made, !struck);
            if (struck)
                assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
        }
    }
}

/* --- space that is used again ----------------------------------------------------------------- */

/* The guest's own bytes of before: shrinking and growing makes zeroes of them. */
static void truncated_content_never_comes_back(void **state)
{
    static const uint64_t cuts[] = {512, CST_MIB - 512, CST_MIB + 512, 4 * CST_MIB, SIZE - 512};
    static Disk disk;

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(cuts); j++) {
            g_autoptr(CstBlob) guest = NULL;

            disk_init(&disk, &variants[i], cst_blob_sparse_new(0));
            guest = cst_image_guest_blob(open_image(&disk));
            put(&disk, guest, 0, SIZE, STALE);
            assert_true(cst_blob_flush(guest, NULL));
            g_clear_pointer(&guest, cst_blob_unref);
            grow(&disk, cuts[j]);
            assert_holds(&disk, "cut");
            memset(disk.bytes + cuts[j], 0, GROWN - cuts[j]);
            grow(&disk, GROWN);
            assert_holds(&disk, "grown again");
            write_parts(&disk);
            assert_holds(&disk, "written again");
            disk_clear(&disk);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stale_bytes_after_the_end_never_show),
        cmocka_unit_test(stale_bytes_after_the_end_do_not_show_in_grown_space),
        cmocka_unit_test(old_content_of_a_device_never_shows),
        cmocka_unit_test(a_device_that_fails_gets_no_image),
        cmocka_unit_test(truncated_content_never_comes_back),
    };

    mallopt(M_PERTURB, FREED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
