/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <blob/copy.h>

#include "extent.h"
#include "scratch.h"

#define HOLE (CST_EXTENT_HOLE | CST_EXTENT_ZERO)

/* Returns "cde", two zeroes, a hole, "45678": from the middle of two blobs, one of them a file. */
static CstBlob *sample(CstBlob **ret_letters, CstBlob **ret_digits)
{
    CstBlob *letters = cst_blob_memory_new("abcdefgh", 8);
    CstBlob *digits = scratch_file(0);
    const CstBlobPart parts[] = {{letters, 2, 3}, {NULL, 0, 2}, {digits, 9, 0}, {digits, 4, 5}};
    CstBlob *join;

    assert_true(cst_blob_pwrite(digits, "0123456789", 10, 0, NULL));
    join = cst_blob_join(parts, G_N_ELEMENTS(parts), "join");
    *ret_letters = letters;
    *ret_digits = digits;
    return join;
}

static void every_range_is_read_from_its_parts(void **state)
{
    static const char whole[] = "cde\0\00045678";
    g_autoptr(CstBlob) letters = NULL;
    g_autoptr(CstBlob) digits = NULL;
    g_autoptr(CstBlob) join = sample(&letters, &digits);
    char back[11];

    assert_int_equal(size_of(join), 10);
    for (size_t offset = 0; offset <= 10; offset++) {
        for (size_t len = 0; offset + len <= 10; len++) {
            memset(back, '?', sizeof(back));
            assert_true(cst_blob_pread(join, back, len, offset, NULL));
            assert_memory_equal(back, whole + offset, len);
            assert_int_equal(back[len], '?');
        }
    }
}

static void an_extent_ends_with_its_part(void **state)
{
    g_autoptr(CstBlob) letters = NULL;
    g_autoptr(CstBlob) digits = NULL;
    g_autoptr(CstBlob) join = sample(&letters, &digits);

    assert_extent(join, 0, 10, 3, CST_EXTENT_DATA);
    assert_extent(join, 1, 1, 1, CST_EXTENT_DATA);
    assert_extent(join, 3, 7, 2, HOLE);
    assert_extent(join, 4, 6, 1, HOLE);
    assert_extent(join, 5, 5, 5, CST_EXTENT_DATA);
    assert_extent(join, 6, 2, 2, CST_EXTENT_DATA);
}

static void assert_location(CstBlob *join, uint64_t offset, uint64_t length, CstBlobLocation wanted)
{
    CstBlobLocation location;

    assert_true(cst_blob_locate(join, offset, length, &location, NULL));
    assert_ptr_equal(location.blob, wanted.blob);
    assert_int_equal(location.length, wanted.length);
    if (wanted.blob)
        assert_int_equal(location.offset, wanted.offset);
}

static void bytes_are_located_in_their_part(void **state)
{
    g_autoptr(CstBlob) letters = NULL;
    g_autoptr(CstBlob) digits = NULL;
    g_autoptr(CstBlob) join = sample(&letters, &digits);

    assert_location(join, 1, 9, (CstBlobLocation){letters, 3, 2});
    assert_location(join, 3, 7, (CstBlobLocation){NULL, 0, 2});
    assert_location(join, 6, 3, (CstBlobLocation){digits, 5, 3});
}

/* The file below a blob is truncated by another process. */
static void error_of_a_part_is_an_error_of_the_join(void **state)
{
    g_autoptr(CstBlob) letters = NULL;
    g_autoptr(CstBlob) digits = NULL;
    g_autoptr(CstBlob) join = sample(&letters, &digits);
    g_autoptr(GError) error = NULL;
    CstExtent extent;
    CstBlobLocation location;
    char back[10];

    assert_int_equal(ftruncate(cst_blob_file_fd(digits), 0), 0);
    assert_false(cst_blob_pread(join, back, 10, 0, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    assert_true(cst_blob_pread(join, back, 5, 0, NULL));
    assert_true(cst_blob_resize(digits, 0, NULL));
    assert_false(cst_blob_extent(join, 5, 1, &extent, NULL));
    assert_false(cst_blob_locate(join, 5, 1, &location, NULL));
}

static void it_keeps_its_parts_and_lets_them_go(void **state)
{
    g_autoptr(CstBlob) letters = NULL;
    CstBlob *digits = NULL;
    CstBlob *join = sample(&letters, &digits);
    int fd = cst_blob_file_fd(digits);
    char byte;

    cst_blob_unref(digits);
    assert_true(cst_blob_pread(join, &byte, 1, 9, NULL));
    assert_int_equal(byte, '8');
    cst_blob_unref(join);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    join = cst_blob_join(NULL, 0, "nothing");
    assert_int_equal(size_of(join), 0);
    assert_false(cst_blob_pwrite(join, "x", 1, 0, NULL));
    cst_blob_unref(join);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_range_is_read_from_its_parts),
        cmocka_unit_test(an_extent_ends_with_its_part),
        cmocka_unit_test(bytes_are_located_in_their_part),
        cmocka_unit_test(error_of_a_part_is_an_error_of_the_join),
        cmocka_unit_test(it_keeps_its_parts_and_lets_them_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
