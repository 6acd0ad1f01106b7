/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/units.h>

#include "no_memory.h"
#include "scratch.h"

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

static void every_kind_reads_back_written_bytes(void **state)
{
    CstBlob *blobs[] = {scratch_file(0), cst_blob_memory_new(NULL, 0)};

    for (size_t i = 0; i < G_N_ELEMENTS(blobs); i++) {
        char back[8] = "";

        assert_true(cst_blob_pwrite(blobs[i], "cistern", 7, 100, NULL));
        assert_int_equal(size_of(blobs[i]), 107);
        assert_true(cst_blob_pread(blobs[i], back, 7, 100, NULL));
        assert_string_equal(back, "cistern");
        assert_true(cst_blob_pread(blobs[i], back, 7, 0, NULL));
        assert_true(cst_bytes_are_zero(back, 7));
        assert_true(cst_blob_flush(blobs[i], NULL));
        cst_blob_unref(blobs[i]);
    }
}

static void ranges_outside_the_size_are_refused(void **state)
{
    CstBlob *blobs[] = {scratch_file(4096), cst_blob_memory_new(NULL, 4096)};
    static const uint64_t bad[][2] = {{4096, 1},       {0, 4097},     {4095, 2},
                                      {UINT64_MAX, 1}, {1, SIZE_MAX}, {5000, 0}};

    for (size_t i = 0; i < G_N_ELEMENTS(blobs); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(bad); j++) {
            g_autoptr(GError) error = NULL;
            CstExtent extent;
            char byte;

            assert_false(cst_blob_pread(blobs[i], &byte, bad[j][1], bad[j][0], &error));
            assert_code(error, CST_ERROR_INVALID);
            assert_false(cst_blob_zero(blobs[i], bad[j][0], bad[j][1], 0, NULL));
            assert_false(cst_blob_discard(blobs[i], bad[j][0], bad[j][1], NULL));
            assert_false(cst_blob_allocate(blobs[i], bad[j][0], bad[j][1], NULL));
            assert_false(cst_blob_extent(blobs[i], bad[j][0], bad[j][1], &extent, NULL));
        }
        assert_false(cst_blob_pwrite(blobs[i], "x", 1, UINT64_MAX, NULL));
        assert_int_equal(size_of(blobs[i]), 4096);
        cst_blob_unref(blobs[i]);
    }
}

static void a_read_only_blob_refuses_every_change(void **state)
{
    g_autoptr(CstBlob) file = scratch_file(4096);
    g_autoptr(CstBlob) blob =
        cst_blob_file_new(dup(cst_blob_file_fd(file)), "read-only", FALSE, NULL);
    g_autoptr(GError) error = NULL;

    assert_false(cst_blob_pwrite(blob, "x", 1, 0, &error));
    assert_code(error, CST_ERROR_READ_ONLY);
    assert_false(cst_blob_zero(blob, 0, 1, 0, NULL));
    assert_false(cst_blob_discard(blob, 0, 1, NULL));
    assert_false(cst_blob_allocate(blob, 0, 1, NULL));
    assert_false(cst_blob_resize(blob, 1, NULL));
    assert_false(cst_blob_copy(file, 0, blob, 0, 1, 0, NULL, NULL));
    assert_true(cst_blob_flush(blob, NULL));
}

static void zeroing_keeps_the_bytes_around(void **state)
{
    CstBlob *blobs[] = {scratch_file(0), cst_blob_memory_new(NULL, 0)};
    static const unsigned flags[] = {0, CST_ZERO_MAY_UNMAP};
    uint8_t ones[64 * 1024], back[64 * 1024];

    memset(ones, 1, sizeof(ones));
    for (size_t i = 0; i < G_N_ELEMENTS(blobs); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(flags); j++) {
            assert_true(cst_blob_pwrite(blobs[i], ones, sizeof(ones), 0, NULL));
            assert_true(cst_blob_zero(blobs[i], 1000, 50000, flags[j], NULL));
            assert_true(cst_blob_pread(blobs[i], back, sizeof(back), 0, NULL));
            assert_memory_equal(back, ones, 1000);
            assert_true(cst_bytes_are_zero(back + 1000, 50000));
            assert_memory_equal(back + 51000, ones, sizeof(ones) - 51000);
            assert_int_equal(size_of(blobs[i]), sizeof(ones));
        }
        cst_blob_unref(blobs[i]);
    }
}

static void holes_of_a_file_are_extents(void **state)
{
    g_autoptr(CstBlob) file = scratch_file(16 * CST_MIB);
    uint8_t ones[65536];
    CstExtent extent;

    memset(ones, 1, sizeof(ones));
    assert_true(cst_blob_pwrite(file, ones, sizeof(ones), 4 * CST_MIB, NULL));
    assert_true(cst_blob_extent(file, 0, 16 * CST_MIB, &extent, NULL));
    assert_int_equal(extent.flags, CST_EXTENT_HOLE | CST_EXTENT_ZERO);
    assert_int_equal(extent.length, 4 * CST_MIB);
    assert_true(cst_blob_extent(file, 4 * CST_MIB, 12 * CST_MIB, &extent, NULL));
    assert_int_equal(extent.flags, CST_EXTENT_DATA);
    assert_int_equal(extent.length, sizeof(ones));
    assert_true(cst_blob_extent(file, 8 * CST_MIB, 8 * CST_MIB, &extent, NULL));
    assert_int_equal(extent.flags, CST_EXTENT_HOLE | CST_EXTENT_ZERO);
    assert_int_equal(extent.length, 8 * CST_MIB);
}

static void character_device_is_refused(void **state)
{
    g_autoptr(GError) error = NULL;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    assert_null(cst_blob_file_new(fd, "null", TRUE, &error));
    assert_code(error, CST_ERROR_INVALID);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* adopted and closed */
}

static void resizing_adds_zeroes_and_cuts(void **state)
{
    CstBlob *blobs[] = {scratch_file(0), cst_blob_memory_new(NULL, 0)};

    for (size_t i = 0; i < G_N_ELEMENTS(blobs); i++) {
        char back[4];

        assert_true(cst_blob_pwrite(blobs[i], "abcd", 4, 0, NULL));
        assert_true(cst_blob_resize(blobs[i], 2, NULL));
        assert_true(cst_blob_resize(blobs[i], 4, NULL));
        assert_true(cst_blob_pread(blobs[i], back, 4, 0, NULL));
        assert_memory_equal(back, "ab\0\0", 4);
        assert_false(cst_blob_resize(blobs[i], UINT64_MAX, NULL));
        cst_blob_unref(blobs[i]);
    }
}

static void memory_has_a_limit(void **state)
{
    g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, 0);
    g_autoptr(GError) error = NULL;

    assert_false(cst_blob_pwrite(memory, "x", 1, CST_BLOB_MEMORY_MAX, &error));
    assert_code(error, CST_ERROR_NO_SPACE);
}

static void failed_growth_of_memory_keeps_its_content(void **state)
{
    g_autoptr(CstBlob) memory = cst_blob_memory_new("abc", 3);
    g_autoptr(GError) error = NULL;
    uint64_t size = 0;
    char seen[3];

    no_memory_arm(1);
    assert_false(cst_blob_pwrite(memory, "x", 1, 100, &error));
    no_memory_arm(0);
    assert_code(error, CST_ERROR_NO_MEMORY);
    assert_true(cst_blob_get_size(memory, &size, NULL));
    assert_int_equal(size, 3);
    assert_true(cst_blob_pread(memory, seen, 3, 0, NULL));
    assert_memory_equal(seen, "abc", 3);
    assert_true(cst_blob_pwrite(memory, "x", 1, 100, NULL));
}

static void zero_test_finds_a_single_bit_anywhere(void **state)
{
    uint8_t bytes[70] = {0};

    for (size_t len = 0; len <= sizeof(bytes); len++) {
        assert_true(cst_bytes_are_zero(bytes, len));
        for (size_t i = 0; i < len; i++) {
            bytes[i] = 1;
            assert_false(cst_bytes_are_zero(bytes, len));
            bytes[i] = 0;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_reads_back_written_bytes),
        cmocka_unit_test(ranges_outside_the_size_are_refused),
        cmocka_unit_test(a_read_only_blob_refuses_every_change),
        cmocka_unit_test(zeroing_keeps_the_bytes_around),
        cmocka_unit_test(holes_of_a_file_are_extents),
        cmocka_unit_test(character_device_is_refused),
        cmocka_unit_test(resizing_adds_zeroes_and_cuts),
        cmocka_unit_test(memory_has_a_limit),
        cmocka_unit_test(failed_growth_of_memory_keeps_its_content),
        cmocka_unit_test(zero_test_finds_a_single_bit_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
