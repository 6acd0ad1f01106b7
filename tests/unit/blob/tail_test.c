/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include <blob/tail.h>

#include "extent.h"
#include "scratch.h"

static unsigned syncs;

/* In the C library's place. */
int fdatasync(int fd)
{
    syncs++;
    return 0;
}

static void write_to_a_tail_is_shifted_by_its_offset(void **state)
{
    g_autoptr(CstBlob) whole = cst_blob_memory_new("header", 6);
    g_autoptr(CstBlob) tail = cst_blob_tail(whole, 4, "tail");
    char back[10] = "";

    assert_int_equal(size_of(tail), 2);
    assert_true(cst_blob_pwrite(tail, "123456", 6, 0, NULL));
    assert_int_equal(size_of(tail), 6);
    assert_int_equal(size_of(whole), 10);
    assert_true(cst_blob_pread(whole, back, 10, 0, NULL));
    assert_memory_equal(back, "head123456", 10);
    assert_true(cst_blob_zero(tail, 1, 2, 0, NULL));
    assert_true(cst_blob_resize(tail, 4, NULL));
    assert_int_equal(size_of(whole), 8);
    assert_true(cst_blob_pread(tail, back, 4, 0, NULL));
    assert_memory_equal(back, "1\0\0004", 4);
}

static void a_shorter_blob_has_an_empty_tail_that_grows(void **state)
{
    g_autoptr(CstBlob) whole = scratch_file(3);
    g_autoptr(CstBlob) tail = cst_blob_tail(whole, 1 << 20, "tail");
    g_autoptr(GError) error = NULL;
    char byte;

    assert_int_equal(size_of(tail), 0);
    assert_false(cst_blob_pread(tail, &byte, 1, 0, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_INVALID));
    assert_true(cst_blob_resize(tail, 1 << 20, NULL));
    assert_int_equal(size_of(whole), 2 << 20);
    assert_true(cst_blob_pwrite(tail, "x", 1, (1 << 20) - 1, NULL));
    assert_int_equal(size_of(whole), 2 << 20);
    /* Offsets of runs are the tail's own. */
    assert_extent(tail, 4096, 4096, 4096, CST_EXTENT_HOLE | CST_EXTENT_ZERO);
    assert_int_equal(syncs, 0);
    assert_true(cst_blob_flush(tail, NULL));
    assert_int_equal(syncs, 1);
}

static void a_slice_ends_where_it_should_and_is_read_only(void **state)
{
    g_autoptr(CstBlob) whole = cst_blob_memory_new("header and more", 15);
    g_autoptr(CstBlob) slice = cst_blob_slice(whole, 7, 3, "slice");
    char back[4] = "";

    assert_int_equal(size_of(slice), 3);
    assert_true(cst_blob_pread(slice, back, 3, 0, NULL));
    assert_string_equal(back, "and");
    assert_false(cst_blob_pread(slice, back, 2, 2, NULL));
    assert_false(cst_blob_pwrite(slice, "x", 1, 0, NULL));
    assert_false(cst_blob_resize(slice, 5, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_to_a_tail_is_shifted_by_its_offset),
        cmocka_unit_test(a_shorter_blob_has_an_empty_tail_that_grows),
        cmocka_unit_test(a_slice_ends_where_it_should_and_is_read_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
