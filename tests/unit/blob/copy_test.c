/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>

#include "scratch.h"

#define SIZE (24 * CST_MIB + 777)

/* Number of bytes whose writeback was started. Replaces the C library's function. */
static _Atomic uint64_t written_out;

int sync_file_range(int fd, off64_t offset, off64_t count, unsigned int flags)
{
    assert_int_equal(flags, SYNC_FILE_RANGE_WRITE);
    written_out += (uint64_t)count;
    return 0;
}

/* Data, zeroes written out and holes in turns, not aligned to anything. */
static CstBlob *speckled(GRand *rand)
{
    CstBlob *blob = scratch_file(SIZE);
    g_autofree uint8_t *buf = g_malloc(CST_MIB);

    for (uint64_t at = 0; at < SIZE;) {
        size_t n = (size_t)g_rand_int_range(rand, 1, CST_MIB);
        int kind = g_rand_int_range(rand, 0, 3);

        n = MIN(n, SIZE - at);
        memset(buf, kind == 0 ? g_rand_int_range(rand, 1, 255) : 0, n);
        if (kind != 2)
            g_assert_true(cst_blob_pwrite(blob, buf, n, at, NULL));
        at += n;
    }
    return blob;
}

static void assert_same(CstBlob *a, uint64_t a_offset, CstBlob *b, uint64_t b_offset, uint64_t len)
{
    g_autofree uint8_t *left = g_malloc(len), *right = g_malloc(len);

    assert_true(cst_blob_pread(a, left, len, a_offset, NULL));
    assert_true(cst_blob_pread(b, right, len, b_offset, NULL));
    assert_true(memcmp(left, right, len) == 0);
}

static void copies_equal_their_source(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    static const unsigned flags[] = {0, CST_COPY_NO_SHARE};

    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_autoptr(CstBlob) src = speckled(rand);
        g_autoptr(CstBlob) empty = scratch_file(0);
        g_autoptr(CstBlob) full = speckled(rand);
        g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, SIZE);
        g_autoptr(CstTask) task = cst_task_new();

        assert_true(cst_blob_copy(src, 0, empty, 0, SIZE, flags[i], task, NULL));
        assert_int_equal(cst_task_progress(task).done, SIZE);
        assert_same(src, 0, empty, 0, SIZE);
        assert_true(cst_blob_copy(src, 0, full, 0, SIZE, flags[i], NULL, NULL));
        assert_same(src, 0, full, 0, SIZE);
        assert_true(cst_blob_copy(src, 0, memory, 0, SIZE, flags[i], NULL, NULL));
        assert_same(src, 0, memory, 0, SIZE);
    }
}

static void a_part_lands_where_it_was_sent(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);
    g_autoptr(CstBlob) src = speckled(rand);
    g_autoptr(CstBlob) dst = speckled(rand);
    g_autoptr(CstBlob) before = scratch_file(0);

    assert_true(cst_blob_copy(dst, 0, before, 0, SIZE, CST_COPY_NO_SHARE, NULL, NULL));
    assert_true(cst_blob_copy(src, 12345, dst, 54321, 9 * CST_MIB + 1, 0, NULL, NULL));
    assert_same(before, 0, dst, 0, 54321);
    assert_same(src, 12345, dst, 54321, 9 * CST_MIB + 1);
    assert_same(before, 54322 + 9 * CST_MIB, dst, 54322 + 9 * CST_MIB, SIZE - 54322 - 9 * CST_MIB);
}

static void a_short_destination_grows(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    g_autoptr(CstBlob) src = speckled(rand);
    g_autoptr(CstBlob) dst = scratch_file(0);

    assert_true(cst_blob_pwrite(dst, "start", 5, 0, NULL));
    assert_true(cst_blob_copy(src, 0, dst, 2, SIZE, CST_COPY_NO_SHARE, NULL, NULL));
    assert_int_equal(size_of(dst), SIZE + 2);
    assert_same(src, 0, dst, 2, SIZE);
}

static void holes_and_zeroes_allocate_no_space(void **state)
{
    g_autoptr(CstBlob) src = scratch_file(0);
    g_autoptr(CstBlob) dst = scratch_file(0);
    g_autofree uint8_t *zeroes = g_malloc0(8 * CST_MIB);
    struct stat st;

    assert_true(cst_blob_pwrite(src, zeroes, 8 * CST_MIB, 0, NULL));
    assert_true(cst_blob_resize(src, 64 * CST_GIB, NULL));
    assert_true(cst_blob_copy(src, 0, dst, 0, 64 * CST_GIB, CST_COPY_NO_SHARE, NULL, NULL));
    assert_int_equal(size_of(dst), 64 * CST_GIB);
    assert_int_equal(fstat(cst_blob_file_fd(dst), &st), 0);
    assert_in_range(st.st_blocks, 0, 64);
}

static void cancelling_stops_a_copy(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(4);
    g_autoptr(CstBlob) src = speckled(rand);
    g_autoptr(CstBlob) dst = scratch_file(0);
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    cst_task_cancel(task);
    assert_false(cst_blob_copy(src, 0, dst, 0, SIZE, CST_COPY_NO_SHARE, task, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
}

/* Long data is several pieces of work, between which the copy can be cancelled. */
static void cancelling_stops_a_copy_of_one_run(void **state)
{
    enum { LENGTH = 96 * 1024 * 1024 };
    g_autoptr(CstBlob) src = cst_blob_sparse_new(0), inner = cst_blob_sparse_new(LENGTH);
    g_autoptr(CstBlob) dst = cst_blob_fault_new(inner);
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *ones = g_malloc(CST_MIB);

    memset(ones, 1, CST_MIB);
    for (uint64_t at = 0; at < LENGTH; at += CST_MIB)
        assert_true(cst_blob_pwrite(src, ones, CST_MIB, at, NULL));
    cst_blob_fault_cancel(dst, task, 1);
    assert_false(cst_blob_copy(src, 0, dst, 0, LENGTH, CST_COPY_NO_SHARE, task, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
    assert_true(cst_blob_sparse_used(inner) < LENGTH);
}

/* A hole is one piece, however long. */
static void a_long_hole_is_one_change(void **state)
{
    g_autoptr(CstBlob) src = cst_blob_sparse_new(CST_TIB), inner = cst_blob_sparse_new(CST_TIB);
    g_autoptr(CstBlob) dst = cst_blob_fault_new(inner);

    cst_blob_fault_arm(dst, CST_FAULT_WRITE, 0, CST_FAULT_ONCE);
    assert_true(cst_blob_copy(src, 0, dst, 0, CST_TIB, CST_COPY_NO_SHARE, NULL, NULL));
    assert_int_equal(cst_blob_fault_count(dst, CST_FAULT_WRITE), 1);
}

static void bad_ranges_are_refused(void **state)
{
    g_autoptr(CstBlob) src = scratch_file(1000);
    g_autoptr(CstBlob) dst = scratch_file(1000);
    g_autoptr(GError) error = NULL;

    assert_false(cst_blob_copy(src, 0, dst, 0, 1001, 0, NULL, NULL));
    assert_false(cst_blob_copy(src, UINT64_MAX, dst, 0, 2, 0, NULL, NULL));
    assert_false(cst_blob_copy(src, 0, dst, UINT64_MAX, 2, 0, NULL, NULL));
    assert_false(cst_blob_copy(src, 0, src, 10, 100, 0, NULL, NULL));
    assert_true(cst_blob_copy(src, 0, src, 500, 500, 0, NULL, NULL));
    /* This also applies when no write is needed, because the destination already has a hole. */
    dst->writable = FALSE;
    assert_false(
        cst_blob_copy(src, 0, dst, 0, 100, CST_COPY_NO_SHARE | CST_COPY_DST_ZERO, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_READ_ONLY));
    assert_int_equal(size_of(dst), 1000);
}

/* Each read and each write of a copy fails in turn. The copy must report each failure. */
static void every_failure_is_reported(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(5);
    g_autoptr(CstBlob) plain = speckled(rand);
    g_autoptr(CstBlob) src = cst_blob_fault_new(plain);

    for (unsigned kind = CST_FAULT_READ; kind <= CST_FAULT_TORN; kind++) {
        gboolean struck = TRUE;

        for (unsigned nth = 1; struck; nth += 3) {
            g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, SIZE);
            g_autoptr(CstBlob) dst = cst_blob_fault_new(memory);
            CstBlob *target = kind == CST_FAULT_READ ? src : dst;
            gboolean ok;

            cst_blob_fault_arm(target, kind, nth, CST_FAULT_ONCE);
            ok = cst_blob_copy(src, 0, dst, 0, SIZE, 0, NULL, NULL);
            struck = cst_blob_fault_struck(target);
            assert_int_equal(ok, !struck);
            assert_true(nth < 1000);
        }
        cst_blob_fault_arm(src, CST_FAULT_READ, 0, CST_FAULT_ONCE);
    }
}

static void share_only_copy_fails_if_sharing_is_unsupported(void **state)
{
    g_autoptr(CstBlob) src = scratch_file(0);
    g_autoptr(CstBlob) dst = cst_blob_memory_new(NULL, 0);
    g_autoptr(GError) error = NULL;

    assert_true(cst_blob_pwrite(src, "data", 4, 0, NULL));
    assert_false(cst_blob_copy(src, 0, dst, 0, 4, CST_COPY_SHARE_ONLY, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
    assert_int_equal(size_of(dst), 0);
}

/*
 * Writeback of long pieces starts during the copy, unless a flag says that no writeback is needed.
 */
static void writing_out_begins_with_the_copy(void **state)
{
    enum { LENGTH = 8 * CST_MIB, OFFSET = 512 /* no extent can be shared */ };
    static const unsigned flags[] = {0, CST_COPY_NO_SHARE};
    g_autofree uint8_t *data = g_malloc(OFFSET + LENGTH);
    g_autoptr(CstBlob) src = scratch_file(0);

    memset(data, 7, OFFSET + LENGTH);
    assert_true(cst_blob_pwrite(src, data, OFFSET + LENGTH, 0, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_autoptr(CstBlob) dst = scratch_file(0);
        g_autoptr(CstBlob) unsafe = scratch_file(0);

        written_out = 0;
        assert_true(cst_blob_copy(src, OFFSET, dst, 0, LENGTH, flags[i], NULL, NULL));
        assert_int_equal(written_out, LENGTH);
        assert_true(cst_blob_pwrite(dst, data, 4096, 0, NULL));
        cst_blob_file_skip_sync(unsafe);
        assert_true(cst_blob_copy(src, OFFSET, unsafe, 0, LENGTH, flags[i], NULL, NULL));
        assert_int_equal(written_out, LENGTH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_equal_their_source),
        cmocka_unit_test(a_part_lands_where_it_was_sent),
        cmocka_unit_test(a_short_destination_grows),
        cmocka_unit_test(holes_and_zeroes_allocate_no_space),
        cmocka_unit_test(cancelling_stops_a_copy),
        cmocka_unit_test(cancelling_stops_a_copy_of_one_run),
        cmocka_unit_test(a_long_hole_is_one_change),
        cmocka_unit_test(bad_ranges_are_refused),
        cmocka_unit_test(every_failure_is_reported),
        cmocka_unit_test(share_only_copy_fails_if_sharing_is_unsupported),
        cmocka_unit_test(writing_out_begins_with_the_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
