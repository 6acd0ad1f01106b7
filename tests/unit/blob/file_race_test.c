/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writers past the end of a file, one between the steps of the other. */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <blob/blob.h>

#include "scratch.h"

/* The size is known already, and not set yet. */
static void write_further(gpointer blob)
{
    assert_true(cst_blob_pwrite(blob, "further", 7, 9000, NULL));
}

static void write_less_far(gpointer blob)
{
    assert_true(cst_blob_pwrite(blob, "less", 4, 100, NULL));
}

static void the_largest_of_two_writers_sets_the_size(void **state)
{
    static void (*const others[])(gpointer) = {write_further, write_less_far};
    static const uint64_t sizes[] = {9007, 5004};

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autoptr(CstBlob) blob = scratch_file(10);
        char back[4];

        point_run("blob_file.size.read", others[i], blob);
        assert_true(cst_blob_pwrite(blob, "data", 4, 5000, NULL));
        points_clear();
        assert_int_equal(size_of(blob), sizes[i]);
        assert_true(cst_blob_pread(blob, back, 4, 5000, NULL));
        assert_memory_equal(back, "data", 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_of_two_writers_sets_the_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
