/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <blob/dry.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/units.h>

#define SIZE 100000u

static CstBlob *below_new(void)
{
    g_autofree uint8_t *bytes = g_malloc(SIZE);

    memset(bytes, 7, SIZE);
    return cst_blob_memory_new(bytes, SIZE);
}

static void assert_bytes(CstBlob *blob, const uint8_t *wanted, uint64_t size)
{
    g_autofree uint8_t *bytes = g_malloc(size + 1);
    uint64_t now;

    assert_true(cst_blob_get_size(blob, &now, NULL));
    assert_int_equal(now, size);
    assert_true(cst_blob_pread(blob, bytes, size, 0, NULL));
    assert_memory_equal(bytes, wanted, size);
}

static void changes_show_above_and_not_below(void **state)
{
    CstBlob *below = below_new();
    g_autoptr(CstBlob) keep = cst_blob_ref(below);
    g_autoptr(CstBlob) dry = cst_blob_dry_new(below, "x");
    g_autofree uint8_t *wanted = g_malloc(2 * SIZE);
    uint8_t piece[9000];

    memset(wanted, 7, SIZE);
    memset(wanted + SIZE, 0, SIZE);
    memset(piece, 9, sizeof(piece));
    assert_true(cst_blob_pwrite(dry, piece, sizeof(piece), 3000, NULL));
    memset(wanted + 3000, 9, sizeof(piece));
    assert_true(cst_blob_zero(dry, 50001, 4096, 0, NULL));
    memset(wanted + 50001, 0, 4096);
    assert_bytes(dry, wanted, SIZE);
    /* Past the end, with a gap that reads as zeroes. */
    assert_true(cst_blob_resize(dry, 2 * SIZE, NULL));
    assert_true(cst_blob_pwrite(dry, piece, 10, 2 * SIZE - 10, NULL));
    memset(wanted + 2 * SIZE - 10, 9, 10);
    assert_bytes(dry, wanted, 2 * SIZE);
    memset(wanted, 7, SIZE);
    assert_bytes(keep, wanted, SIZE);
}

static void truncated_range_reads_as_zeroes(void **state)
{
    g_autoptr(CstBlob) dry = cst_blob_dry_new(below_new(), "x");
    g_autofree uint8_t *wanted = g_malloc0(SIZE);

    assert_true(cst_blob_pwrite(dry, "ab", 2, 5000, NULL));
    assert_true(cst_blob_resize(dry, 5001, NULL));
    assert_true(cst_blob_resize(dry, SIZE, NULL));
    memset(wanted, 7, 5000);
    wanted[5000] = 'a';
    assert_bytes(dry, wanted, SIZE);
    /* Whole pages, too. */
    assert_true(cst_blob_pwrite(dry, "ab", 2, 50000, NULL));
    assert_true(cst_blob_resize(dry, 5001, NULL));
    assert_true(cst_blob_resize(dry, SIZE, NULL));
    assert_bytes(dry, wanted, SIZE);
}

static void dry_blob_closes_the_blob_below(void **state)
{
    char name[] = "/tmp/cst-dry-XXXXXX";
    int fd = g_mkstemp(name);
    CstBlob *dry = cst_blob_dry_new(cst_blob_file_new(fd, "below", TRUE, NULL), "x");

    assert_int_equal(unlink(name), 0);
    assert_int_equal(cst_blob_file_fd(dry), fd);
    cst_blob_unref(dry);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void a_large_change_ends_it(void **state)
{
    g_autoptr(CstBlob) dry = cst_blob_dry_new(NULL, "x");
    g_autoptr(GError) error = NULL;

    assert_true(cst_blob_resize(dry, CST_TIB, NULL));
    assert_true(cst_blob_allocate(dry, 0, CST_TIB, NULL));
    assert_true(cst_blob_zero(dry, 0, 16 * CST_MIB, 0, NULL));
    assert_false(cst_blob_zero(dry, 0, 1, 0, NULL));
    assert_false(cst_blob_zero(dry, 0, CST_TIB, 0, &error));
    assert_int_equal(error->code, CST_ERROR_DRY_RUN);
}

/* Where the thread is in a dry run a file that is opened for writing stays as it is. */
static void files_are_opened_like_this(void **state)
{
    g_autofree char *path = NULL, *text = NULL;
    int fd = g_file_open_tmp("cistern-dry-XXXXXX", &path, NULL);
    g_autoptr(CstBlob) dry = NULL, plain = NULL;
    GError *error = NULL;

    assert_int_equal(write(fd, "file", 4), 4);
    close(fd);
    cst_dry_run_set(TRUE);
    dry = cst_blob_file_open(path, TRUE, NULL);
    assert_true(cst_blob_pwrite(dry, "changed", 7, 0, NULL));
    assert_true(cst_blob_flush(dry, NULL));
    assert_true(cst_blob_file_fd(dry) >= 0);
    assert_false(cst_may_change(&error));
    assert_int_equal(error->code, CST_ERROR_DRY_RUN);
    g_clear_error(&error);
    cst_dry_run_set(FALSE);
    assert_true(cst_may_change(NULL));
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    assert_string_equal(text, "file");
    plain = cst_blob_file_open(path, TRUE, NULL);
    assert_null(cst_blob_dry_below(plain));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_show_above_and_not_below),
        cmocka_unit_test(truncated_range_reads_as_zeroes),
        cmocka_unit_test(dry_blob_closes_the_blob_below),
        cmocka_unit_test(a_large_change_ends_it),
        cmocka_unit_test(files_are_opened_like_this),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
