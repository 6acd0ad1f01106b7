/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The bounded reader of untrusted headers. Ranges inside the file are read. Ranges outside are
 * recorded as damage. After a storage error all further reads fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <blob/fault.h>
#include <blob/sparse.h>

#include "inspection.h"

enum { HEAD = CST_IMAGE_PROBE_LEN, LONG = HEAD + 1000 };

/** A blob of bytes that encode their offset, and the inspection of it. */
typedef struct {
    CstBlob *inner, *blob;
    uint8_t head[HEAD];
    CstImageInfo info;
    CstInspection inspection;
} World;

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(1 + offset % 251);
}

static void world_init(World *world, uint64_t size)
{
    memset(world, 0, sizeof(*world));
    world->inner = cst_blob_sparse_new(size);
    for (uint64_t at = 0; at < size; at++) {
        uint8_t byte = byte_at(at);

        assert_true(cst_blob_pwrite(world->inner, &byte, 1, at, NULL));
    }
    world->blob = cst_blob_fault_new(world->inner);
    assert_true(
        cst_inspection_init(&world->inspection, world->blob, world->head, &world->info, NULL));
    cst_blob_fault_arm(world->blob, CST_FAULT_READ, 0, CST_FAULT_ONCE);
}

static void world_clear(World *world)
{
    g_clear_error(&world->inspection.error);
    cst_image_info_clear(&world->info);
    cst_blob_unref(world->blob);
    cst_blob_unref(world->inner);
}

static void assert_reads(World *world, uint64_t offset, size_t len, unsigned reads)
{
    g_autofree uint8_t *buf = g_malloc0(len + 1);

    cst_blob_fault_arm(world->blob, CST_FAULT_READ, 0, CST_FAULT_ONCE);
    assert_true(cst_inspection_read(&world->inspection, offset, buf, len));
    for (size_t i = 0; i < len; i++)
        assert_int_equal(buf[i], byte_at(offset + i));
    assert_int_equal(buf[len], 0);
    assert_int_equal(cst_blob_fault_count(world->blob, CST_FAULT_READ), reads);
    assert_null(world->info.problem);
}

static void assert_is_cut_off(World *world, uint64_t offset, size_t len)
{
    uint8_t buf[16] = {0};
    g_autoptr(GError) error = NULL;

    assert_false(cst_inspection_read(&world->inspection, offset, buf, len));
    assert_int_equal(buf[0], 0);
    assert_non_null(strstr(world->info.problem, "cut off"));
    assert_true(world->info.corrupt);
    assert_false(cst_inspection_is_sound(&world->inspection, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    assert_true(
        cst_inspection_ok(&world->inspection, NULL)); /* that is no failure of the storage */
    cst_image_info_clear(&world->info);
}

static void range_inside_the_file_is_read(void **state)
{
    static const uint64_t sizes[] = {1, 8, HEAD - 1, HEAD, HEAD + 1, LONG};
    World world;

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        uint64_t size = sizes[i];

        world_init(&world, size);
        assert_reads(&world, 0, 1, 0);
        assert_reads(&world, size - 1, 1, size > HEAD);
        assert_reads(&world, 0, size, size > HEAD);
        assert_reads(&world, size, 0, 0);
        assert_is_cut_off(&world, size, 1);
        assert_is_cut_off(&world, size - 1, 2);
        assert_is_cut_off(&world, size + 1, 0);
        assert_is_cut_off(&world, UINT64_MAX, 8);
        world_clear(&world);
    }
}

static void range_inside_the_head_is_not_read_again(void **state)
{
    World world;

    world_init(&world, LONG);
    assert_reads(&world, HEAD - 4, 4, 0);
    assert_reads(&world, HEAD - 4, 5, 1);
    assert_reads(&world, HEAD, 1, 1);
    world_clear(&world);
}

static void reads_after_a_failed_read_fail(void **state)
{
    g_autoptr(GError) error = NULL;
    uint8_t buf[4] = {0};
    World world;

    world_init(&world, LONG);
    cst_blob_fault_arm(world.blob, CST_FAULT_READ, 1, CST_FAULT_ONCE);
    assert_false(cst_inspection_read(&world.inspection, HEAD, buf, 4));
    assert_false(cst_inspection_read(&world.inspection, 0, buf, 4));
    assert_false(cst_inspection_read(&world.inspection, HEAD, buf, 4));
    assert_null(cst_inspection_string(&world.inspection, 0, 4));
    assert_int_equal(buf[0], 0);
    assert_int_equal(cst_blob_fault_count(world.blob, CST_FAULT_READ), 1);
    assert_null(world.info.problem); /* the image is not to blame */
    assert_false(cst_inspection_is_sound(&world.inspection, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    world_clear(&world);
}

static void the_first_problem_stays(void **state)
{
    g_autoptr(GError) error = NULL;
    World world;

    world_init(&world, 1);
    assert_true(cst_inspection_is_sound(&world.inspection, NULL));
    cst_inspection_unsupported(&world.inspection, "%s", "new");
    assert_false(world.info.corrupt);
    assert_false(cst_inspection_is_sound(&world.inspection, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
    assert_non_null(strstr(error->message, "new"));
    cst_inspection_problem(&world.inspection, "%s", "bad");
    assert_string_equal(world.info.problem, "new");
    assert_true(world.info.corrupt);
    world_clear(&world);
}

static void a_string_ends_at_its_zero_or_its_length(void **state)
{
    g_autofree char *whole = NULL, *cut = NULL, *none = NULL;
    World world;

    world_init(&world, 9);
    assert_true(cst_blob_pwrite(world.inner, "abc\0defg", 9, 0, NULL));
    memcpy(world.head, "abc\0defg", 9);
    whole = cst_inspection_string(&world.inspection, 4, 4);
    assert_string_equal(whole, "defg");
    cut = cst_inspection_string(&world.inspection, 0, 9);
    assert_string_equal(cut, "abc");
    none = cst_inspection_string(&world.inspection, 9, 0);
    assert_string_equal(none, "");
    assert_null(cst_inspection_string(&world.inspection, 4, 6));
    world_clear(&world);
}

static void an_iso_is_as_long_as_its_mark_needs(void **state)
{
    enum { AT = 32769 };

    for (uint64_t size = AT + 4; size <= AT + 6; size++) {
        World world;

        world_init(&world, size);
        assert_true(cst_blob_pwrite(world.inner, "CD001", size - AT < 5 ? 4 : 5, AT, NULL));
        assert_int_equal(cst_inspection_is_iso(&world.inspection), size >= AT + 5);
        assert_null(world.info.problem);
        world_clear(&world);
    }
}

static void assert_utf16(const char *bytes, size_t len, const char *text)
{
    g_autofree uint8_t *swapped = g_malloc0(len + 1);
    g_autofree char *big = NULL, *little = NULL;

    for (size_t i = 0; i < len; i++)
        swapped[i + 1 < len || i % 2 ? i ^ 1 : i] = (uint8_t)bytes[i];
    big = cst_inspection_utf16((const uint8_t *)bytes, len, TRUE);
    little = cst_inspection_utf16(swapped, len, FALSE);
    assert_string_equal(big, text);
    assert_string_equal(little, text);
}

static void utf16_becomes_utf8(void **state)
{
    assert_utf16("", 0, "");
    assert_utf16("\0a", 2, "a");
    assert_utf16("\0a\0b\0\0\0c", 8, "ab");
    assert_utf16("\0a\0b", 3, "a"); /* half a unit */
    assert_utf16("\x20\xac\0a", 4,
                 "\xe2\x82\xac"
                 "a");
    assert_utf16("\xd8\x3d\xde\x00", 4, "\xf0\x9f\x98\x80");
    assert_utf16("\xd8\0\xdc\0\xdb\xff\xdf\xff", 8,
                 "\xf0\x90\x80\x80"
                 "\xf4\x8f\xbf\xbf");
    /* halves of pairs */
    assert_utf16("\xd8\x3d", 2, "\xef\xbf\xbd");
    assert_utf16("\xd8\x3d\xde\x00", 3, "\xef\xbf\xbd");
    assert_utf16("\xdc\0\xdc\0", 4, "\xef\xbf\xbd\xef\xbf\xbd");
    assert_utf16("\xd8\x3d\0a", 4,
                 "\xef\xbf\xbd"
                 "a");
    assert_utf16("\xde\x00\xd8\x3d", 4, "\xef\xbf\xbd\xef\xbf\xbd");
    assert_utf16("\xd8\x3d\xe0\x00", 4, "\xef\xbf\xbd\xee\x80\x80");
    assert_utf16("\xd8\x3d\xdb\xff", 4, "\xef\xbf\xbd\xef\xbf\xbd");
    assert_utf16("\xd7\xff\xdc\0", 4, "\xed\x9f\xbf\xef\xbf\xbd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(range_inside_the_file_is_read),
        cmocka_unit_test(range_inside_the_head_is_not_read_again),
        cmocka_unit_test(reads_after_a_failed_read_fail),
        cmocka_unit_test(the_first_problem_stays),
        cmocka_unit_test(a_string_ends_at_its_zero_or_its_length),
        cmocka_unit_test(an_iso_is_as_long_as_its_mark_needs),
        cmocka_unit_test(utf16_becomes_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
