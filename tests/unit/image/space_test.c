/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Space of the file that a write has allocated and that is not used in the end. A write fails at
 * each of its calls in turn, and is made again on the same open image: the file is as long as
 * without the failure afterwards, and a check finds no leaks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/units.h>
#include <blob/fault.h>

#include "fault_disk.h"
#include "format.h"
#include "no_memory.h"

enum { AT = 150000, LENGTH = 3000, WRITTEN = 0x22 };

static const Variant variants[] = {
    {"qcow2", {.cluster_size = 4096}},
    {"qcow2", {.cluster_size = 65536}},
    {"qcow2", {.cluster_size = 16384, .extended_l2 = TRUE}},
    {"qcow2", {.cluster_size = 4096, .backing = "base", .backing_format = "raw"}},
    {"vdi", {0}},
    {"vmdk", {0}},
    {"vmdk", {.cluster_size = 8192}},
    {"vmdk", {.subformat = "twoGbMaxExtentSparse"}},
    {"vpc", {0}},
    {"vpc", {.backing = "base", .backing_format = "vpc"}},
    {"vhdx", {.block_size = CST_MIB}},
    {"qcow", {0}},
    {"qcow", {.backing = "base", .backing_format = "raw"}},
    {"qed", {.cluster_size = 8192, .table_size = 1}},
    {"qed", {.table_size = 1, .backing = "base", .backing_format = "raw"}},
    {"parallels", {0}},
    {"parallels", {.cluster_size = 65536}},
};

static CstBlob *open_guest(Disk *disk)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = open_image(disk, CST_IMAGE_WRITE, &error);

    if (!image)
        fail_msg("%s: %s", disk->variant->format, error->message);
    return cst_image_guest_blob(image);
}

static gboolean write_bytes(CstBlob *guest, GError **error)
{
    uint8_t bytes[LENGTH];

    memset(bytes, WRITTEN, sizeof(bytes));
    return cst_blob_pwrite(guest, bytes, sizeof(bytes), AT, error) && cst_blob_flush(guest, error);
}

/* Returns the sum of the sizes of all files of the image. */
static uint64_t size_of(const Disk *disk)
{
    uint64_t sum = 0;

    for (guint i = 0; i < disk->parts->len; i++) {
        uint64_t size = 0;

        assert_true(cst_blob_get_size(part_at(disk, i)->inner, &size, NULL));
        sum += size;
    }
    return sum;
}

static uint64_t count_leaks(Disk *disk)
{
    const CstImageFiles files = {open_part, create_part, disk};
    g_autoptr(GError) error = NULL;
    CstImageCheck found = {0};

    if (!cst_image_check_as(part_at(disk, 0)->inner, disk->format, 0, &files, &found, NULL, &error))
        fail_msg("%s: %s", disk->variant->format, error->message);
    assert_int_equal(found.errors, 0);
    return found.leaks;
}

static void assert_written(CstBlob *guest)
{
    uint8_t seen[LENGTH + 2], expected[LENGTH];

    memset(expected, WRITTEN, sizeof(expected));
    assert_true(cst_blob_pread(guest, seen, sizeof(seen), AT - 1, NULL));
    assert_memory_equal(seen + 1, expected, LENGTH);
    assert_int_not_equal(seen[0], WRITTEN);
    assert_int_not_equal(seen[LENGTH + 1], WRITTEN);
}

/* Fails one call in file @part. Returns FALSE if there are fewer calls. */
static gboolean play(const Disk *ground, guint part, CstFaultKind kind, guint nth, uint64_t size)
{
    g_autoptr(CstBlob) guest = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t block = ground->variant->options.cluster_size;
    gboolean struck;
    Part *failing;
    Disk disk;

    block = block ? block : 64 * CST_KIB;
    disk_copy(ground, &disk);
    failing = part_at(&disk, part);
    cst_blob_unref(failing->shown);
    failing->shown = cst_blob_fault_new(failing->inner);
    guest = open_guest(&disk);
    cst_blob_fault_arm(failing->shown, kind, nth, CST_FAULT_ONCE);
    write_bytes(guest, NULL);
    struck = cst_blob_fault_struck(failing->shown);
    cst_blob_fault_arm(failing->shown, kind, 0, CST_FAULT_ONCE);
    if (!write_bytes(guest, &error))
        fail_msg("%s, fault %u of kind %d: %s", ground->variant->format, nth, kind, error->message);
    assert_written(guest);
    g_clear_pointer(&guest, cst_blob_unref);
    /* The second write may extend the file to the end of the block. */
    if (size_of(&disk) > cst_round_up(size, block) || count_leaks(&disk) != 0)
        fail_msg("%s (cluster %u, %s), fault %u of kind %d: %u bytes instead of %u, %u leaks",
                 ground->variant->format, (unsigned)ground->variant->options.cluster_size,
                 ground->variant->options.backing ? "backed" : "alone", nth, kind,
                 (unsigned)size_of(&disk), (unsigned)size, (unsigned)count_leaks(&disk));
    disk_clear(&disk);
    return struck;
}

static void play_all(const Variant *variant)
{
    static const CstFaultKind kinds[] = {CST_FAULT_WRITE, CST_FAULT_TORN, CST_FAULT_READ,
                                         CST_FAULT_QUERY, CST_FAULT_FLUSH};
    uint64_t size;
    Disk ground, whole;

    disk_init(&ground, variant, NULL);
    disk_create(&ground);
    disk_copy(&ground, &whole);
    {
        g_autoptr(CstBlob) guest = open_guest(&whole);

        assert_true(write_bytes(guest, NULL));
        assert_written(guest);
    }
    size = size_of(&whole);
    assert_int_equal(count_leaks(&whole), 0);
    disk_clear(&whole);
    for (guint part = 0; part < ground.parts->len; part++)
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
            for (guint nth = 1; play(&ground, part, kinds[i], nth, size); nth++)
                continue;
    disk_clear(&ground);
}

static void space_of_a_failed_write_is_used_again(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        play_all(&variants[i]);
}

/* --- a full file ------------------------------------------------------------------------------ */

/* Each block fails once. Where one was lost each time, the last ones would have no place. */
static void image_can_be_filled_after_each_block_has_failed(void **state)
{
    enum { BLOCK = 65536 };

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autofree uint8_t *bytes = g_malloc(BLOCK);
        g_autoptr(CstBlob) guest = NULL;
        Part *failing;
        Disk disk;

        memset(bytes, WRITTEN, BLOCK);
        disk_init(&disk, &variants[i], NULL);
        disk_create(&disk);
        failing = part_at(&disk, disk.parts->len - 1);
        cst_blob_unref(failing->shown);
        failing->shown = cst_blob_fault_new(failing->inner);
        guest = open_guest(&disk);
        for (uint64_t at = 0; at < SIZE; at += BLOCK) {
            size_t length = MIN(BLOCK, SIZE - at);

            cst_blob_fault_arm(failing->shown, CST_FAULT_WRITE, 1, CST_FAULT_ONCE);
            cst_blob_pwrite(guest, bytes, length, at, NULL);
            cst_blob_fault_arm(failing->shown, CST_FAULT_WRITE, 0, CST_FAULT_ONCE);
            assert_true(cst_blob_pwrite(guest, bytes, length, at, NULL));
        }
        assert_true(cst_blob_flush(guest, NULL));
        g_clear_pointer(&guest, cst_blob_unref);
        if (count_leaks(&disk) != 0)
            fail_msg("%s: %u leaks", variants[i].format, (unsigned)count_leaks(&disk));
        disk_clear(&disk);
    }
}

/* --- no memory -------------------------------------------------------------------------------- */

/* Returns FALSE if there are fewer allocations. */
static gboolean play_no_memory(const Disk *ground, guint nth, uint64_t size)
{
    uint64_t block = ground->variant->options.cluster_size;
    g_autoptr(CstBlob) guest = NULL;
    gboolean struck;
    Disk disk;

    disk_copy(ground, &disk);
    guest = open_guest(&disk);
    no_memory_arm(nth);
    write_bytes(guest, NULL);
    struck = no_memory_struck();
    no_memory_arm(0);
    assert_true(write_bytes(guest, NULL));
    assert_written(guest);
    g_clear_pointer(&guest, cst_blob_unref);
    if (size_of(&disk) > cst_round_up(size, block ? block : 64 * CST_KIB) ||
        count_leaks(&disk) != 0)
        fail_msg("%s, allocation %u: %u bytes instead of %u, %u leaks", ground->variant->format,
                 nth, (unsigned)size_of(&disk), (unsigned)size, (unsigned)count_leaks(&disk));
    disk_clear(&disk);
    return struck;
}

static void space_is_reused_after_a_failed_memory_allocation(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) guest = NULL;
        Disk ground, whole;
        uint64_t size;

        disk_init(&ground, &variants[i], NULL);
        disk_create(&ground);
        disk_copy(&ground, &whole);
        guest = open_guest(&whole);
        assert_true(write_bytes(guest, NULL));
        g_clear_pointer(&guest, cst_blob_unref);
        size = size_of(&whole);
        disk_clear(&whole);
        for (guint nth = 1; play_no_memory(&ground, nth, size); nth++)
            continue;
        disk_clear(&ground);
    }
}

/* --- compressed blocks ------------------------------------------------------------------------ */

/* A failed compressed write releases the claim on its block: a second write does not wait. */
static void block_of_a_failed_compressed_write_can_be_written(void **state)
{
    static const Variant packing[] = {{"qcow2", {.cluster_size = 65536}}, {"qcow", {0}}};

    for (size_t i = 0; i < G_N_ELEMENTS(packing); i++) {
        g_autofree uint8_t *bytes = g_malloc(65536);
        gboolean struck = TRUE;
        Disk ground;

        memset(bytes, WRITTEN, 65536);
        disk_init(&ground, &packing[i], NULL);
        disk_create(&ground);
        for (guint nth = 1; struck; nth++) {
            Disk disk;
            Part *failing;
            CstImage *image;
            size_t unit;

            disk_copy(&ground, &disk);
            failing = part_at(&disk, 0);
            cst_blob_unref(failing->shown);
            failing->shown = cst_blob_fault_new(failing->inner);
            image = open_image(&disk, CST_IMAGE_WRITE, NULL);
            unit = (size_t)disk.format->packed_unit(image);
            cst_blob_fault_arm(failing->shown, CST_FAULT_WRITE, nth, CST_FAULT_ONCE);
            disk.format->write_packed(image, bytes, unit, 0, NULL);
            struck = cst_blob_fault_struck(failing->shown);
            cst_blob_fault_arm(failing->shown, CST_FAULT_WRITE, 0, CST_FAULT_ONCE);
            if (struck)
                assert_true(disk.format->write_packed(image, bytes, unit, 0, NULL));
            cst_image_free(image);
            disk_clear(&disk);
        }
        disk_clear(&ground);
    }
}

/* --- stale bytes ------------------------------------------------------------------------------ */

/* Asserts that the guest's bytes from @at on are @byte, except for @length bytes at @offset. */
static void assert_around(CstBlob *guest, const Disk *disk, uint64_t at, size_t count,
                          uint64_t offset, size_t length, uint8_t byte)
{
    g_autofree uint8_t *seen = g_malloc(count);

    assert_true(cst_blob_pread(guest, seen, count, at, NULL));
    for (size_t i = 0; i < count; i++)
        if ((at + i < offset || at + i >= offset + length) && seen[i] != byte)
            fail_msg("%s: byte 0x%02x at %u", disk->variant->format, seen[i], (unsigned)(at + i));
}

/* A write fails and leaves its bytes in the file. Then another block gets the place. */
static gboolean play_stale(const Disk *ground, CstFaultKind kind, guint nth)
{
    enum { FAR = 4 * CST_MIB, FILL = 60000 };
    g_autofree uint8_t *bytes = g_malloc(FILL);
    uint8_t around = ground->backing ? BELOW : 0;
    g_autoptr(CstBlob) guest = NULL;
    gboolean struck;
    Part *failing;
    Disk disk;

    disk_copy(ground, &disk);
    failing = part_at(&disk, disk.parts->len - 1);
    cst_blob_unref(failing->shown);
    failing->shown = cst_blob_fault_new(failing->inner);
    guest = open_guest(&disk);
    memset(bytes, WRITTEN, FILL);
    cst_blob_fault_arm(failing->shown, kind, nth, CST_FAULT_ONCE);
    cst_blob_pwrite(guest, bytes, FILL, FAR, NULL);
    struck = cst_blob_fault_struck(failing->shown);
    cst_blob_fault_arm(failing->shown, kind, 0, CST_FAULT_ONCE);
    if (struck) {
        assert_true(cst_blob_pwrite(guest, "small", 5, AT, NULL));
        assert_around(guest, &disk, 0, SIZE - 512, AT, 5, around);
    }
    disk_clear(&disk);
    return struck;
}

static void bytes_of_a_failed_write_are_not_shown_elsewhere(void **state)
{
    static const CstFaultKind kinds[] = {CST_FAULT_WRITE, CST_FAULT_TORN};

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        Variant variant = variants[i];
        Disk ground;

        variant.options.capacity = 8 * CST_MIB;
        disk_init(&ground, &variant, NULL);
        disk_create(&ground);
        for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
            for (guint nth = 1; play_stale(&ground, kinds[k], nth); nth++)
                continue;
        disk_clear(&ground);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(space_of_a_failed_write_is_used_again),
        cmocka_unit_test(space_is_reused_after_a_failed_memory_allocation),
        cmocka_unit_test(block_of_a_failed_compressed_write_can_be_written),
        cmocka_unit_test(bytes_of_a_failed_write_are_not_shown_elsewhere),
        cmocka_unit_test(image_can_be_filled_after_each_block_has_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
