/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/units.h>

#include "extents.h"
#include "scratch.h"

/* tests/diff/share_vs_qemu.py has what shares; here is what does not. */

#define SIZE (2 * CST_MIB + 4096)

static gboolean are_same(CstBlob *a, uint64_t a_offset, CstBlob *b, uint64_t b_offset,
                         uint64_t length)
{
    const CstFileRange left = {cst_blob_file_fd(a), "a", a_offset};
    const CstFileRange right = {cst_blob_file_fd(b), "b", b_offset};
    gboolean same = FALSE;

    assert_true(cst_extents_are_same(&left, &right, length, &same, NULL));
    return same;
}

static void bytes_count_where_places_differ(void **state)
{
    g_autoptr(CstBlob) a = scratch_file(SIZE);
    g_autoptr(CstBlob) b = scratch_file(SIZE);
    static const uint8_t zeroes[8192], ones[8192] = {1, 1, 1};

    assert_true(are_same(a, 0, b, 0, SIZE)); /* two holes */
    assert_true(cst_blob_pwrite(a, zeroes, sizeof(zeroes), 4096, NULL));
    assert_true(are_same(a, 0, b, 0, SIZE)); /* zeroes and a hole */
    assert_true(cst_blob_pwrite(a, ones, sizeof(ones), CST_MIB, NULL));
    assert_false(are_same(a, 0, b, 0, SIZE));
    assert_false(are_same(a, CST_MIB, b, CST_MIB, 4096));
    assert_true(are_same(a, CST_MIB + 4096, b, 0, CST_MIB));
    assert_true(cst_blob_pwrite(b, ones, sizeof(ones), 0, NULL));
    assert_true(are_same(a, CST_MIB, b, 0, CST_MIB));
    assert_true(cst_blob_pwrite(b, "x", 1, CST_MIB - 1, NULL));
    assert_false(are_same(a, CST_MIB, b, 0, CST_MIB));
}

static void what_cannot_be_read_is_an_error(void **state)
{
    g_autoptr(CstBlob) a = scratch_file(SIZE);
    const CstFileRange left = {cst_blob_file_fd(a), "a", 0};
    const CstFileRange right = {-1, "b", 0};
    g_autoptr(GError) error = NULL;
    gboolean same = TRUE;

    assert_false(cst_extents_are_same(&left, &right, SIZE, &same, &error));
    assert_non_null(error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_count_where_places_differ),
        cmocka_unit_test(what_cannot_be_read_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
