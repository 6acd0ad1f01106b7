/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/rbd.h>
#include <fake_ceph.h>
#include <works.h>

#include "no_memory.h"

/* The blob over an RBD image, on a Ceph in memory. */

#define OBJECT (4 * CST_MIB)
#define HOLE   (CST_EXTENT_HOLE | CST_EXTENT_ZERO)
/* Long enough for an answered call, short enough for a hanging one. */
#define PATIENT_MS   20000
#define IMPATIENT_MS 50

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

static const CstCeph *ceph;
static rados_t client;
static rados_ioctx_t io;

static int set_up(void **state)
{
    fake_ceph_reset();
    ceph = cst_ceph(NULL);
    assert_non_null(ceph);
    assert_int_equal(ceph->rados_create(&client, NULL), 0);
    assert_int_equal(ceph->rados_ioctx_create(client, "libvirt", &io), 0);
    return 0;
}

/* Verifies that a test leaves no open image and no unreleased object. */
static int tear_down(void **state)
{
    fake_ceph_resume();
    ceph_await_quiet();
    ceph->rados_ioctx_destroy(io);
    ceph->rados_shutdown(client);
    return 0;
}

static void make_image(const char *name, uint64_t size)
{
    rbd_image_options_t options = NULL;

    ceph->rbd_image_options_create(&options);
    assert_int_equal(ceph->rbd_create4(io, name, size, options), 0);
    ceph->rbd_image_options_destroy(options);
}

static gint given_back;

static void release_owner(gpointer owner)
{
    assert_ptr_equal(owner, &given_back);
    g_atomic_int_inc(&given_back);
}

static CstBlob *open_with_deadline(const char *name, guint deadline_ms)
{
    CstBlobRbd rbd = {
        .deadline_ms = deadline_ms, .owner = &given_back, .release_owner = release_owner};

    g_atomic_int_set(&given_back, 0);
    assert_int_equal(ceph->rbd_open(io, name, &rbd.image, NULL), 0);
    return cst_blob_rbd_new(&rbd, name, TRUE, NULL);
}

static CstBlob *open_new(uint64_t size)
{
    make_image("v", size);
    return open_with_deadline("v", PATIENT_MS);
}

static void write_at(CstBlob *blob, uint64_t offset, const char *text)
{
    g_autoptr(GError) error = NULL;

    assert_true(cst_blob_pwrite(blob, text, strlen(text), offset, &error));
    assert_null(error);
}

static void assert_at(CstBlob *blob, uint64_t offset, const char *text, size_t len)
{
    g_autofree char *buf = g_malloc(len);
    g_autoptr(GError) error = NULL;

    assert_true(cst_blob_pread(blob, buf, len, offset, &error));
    assert_null(error);
    assert_memory_equal(buf, text, len);
}

static void assert_extent(CstBlob *blob, uint64_t offset, uint64_t length, uint64_t expected,
                          unsigned flags)
{
    CstExtent extent = {0};

    assert_true(cst_blob_extent(blob, offset, length, &extent, NULL));
    assert_int_equal(extent.offset, offset);
    assert_int_equal(extent.length, expected);
    assert_int_equal(extent.flags, flags);
}

/* --- reading and writing ---------------------------------------------------------------------- */

static void written_bytes_are_read_back_to_the_last_byte(void **state)
{
    CstBlob *blob = open_new(OBJECT + 100);
    uint64_t size = 0;

    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, OBJECT + 100);
    write_at(blob, 0, "first");
    write_at(blob, OBJECT - 2, "over");
    write_at(blob, OBJECT + 96, "last");
    assert_at(blob, 0, "first\0", 6);
    assert_at(blob, OBJECT - 3, "\0over\0", 6);
    assert_at(blob, OBJECT + 95, "\0last", 5);
    cst_blob_unref(blob);
    assert_int_equal(g_atomic_int_get(&given_back), 1);
    assert_int_equal(fake_ceph_open_images(), 0);
}

static void write_after_the_end_reports_no_space(void **state)
{
    CstBlob *blob = open_new(1000);
    g_autoptr(GError) error = NULL;

    assert_true(cst_blob_pwrite(blob, "abc", 3, 997, NULL));
    assert_false(cst_blob_pwrite(blob, "abc", 3, 998, &error));
    assert_code(error, CST_ERROR_NO_SPACE);
    assert_non_null(strstr(error->message, "'v' ends at 1000 bytes"));
    assert_int_equal(fake_ceph_calls("rbd_aio_write"), 1);
    cst_blob_unref(blob);
}

/* Ceph gets a separate buffer of the requested length, which may outlive the call. */
static void without_memory_ceph_is_not_asked(void **state)
{
    CstBlob *blob = open_new(1000);
    g_autoptr(GError) error = NULL;
    char seen[3];

    no_memory_arm(1);
    assert_false(cst_blob_pwrite(blob, "abc", 3, 0, &error));
    assert_code(error, CST_ERROR_NO_MEMORY);
    assert_int_equal(fake_ceph_calls("rbd_aio_write"), 0);
    g_clear_error(&error);
    no_memory_arm(1);
    assert_false(cst_blob_pread(blob, seen, 3, 0, &error));
    assert_code(error, CST_ERROR_NO_MEMORY);
    assert_int_equal(fake_ceph_calls("rbd_aio_read"), 0);
    no_memory_arm(0);
    write_at(blob, 0, "abc");
    assert_at(blob, 0, "abc", 3);
    cst_blob_unref(blob);
}

static void flush_without_a_change_is_not_sent(void **state)
{
    CstBlob *blob = open_new(OBJECT);

    assert_true(cst_blob_flush(blob, NULL));
    assert_int_equal(fake_ceph_calls("rbd_aio_flush"), 0);
    write_at(blob, 0, "x");
    assert_true(cst_blob_flush(blob, NULL));
    assert_int_equal(fake_ceph_calls("flush"), 1);
    cst_blob_unref(blob);

    blob = open_with_deadline("v", PATIENT_MS);
    assert_true(cst_blob_discard(blob, 0, 1, NULL));
    assert_true(cst_blob_flush(blob, NULL));
    assert_int_equal(fake_ceph_calls("flush"), 2);
    cst_blob_unref(blob);
}

static void blob_without_a_lender_closes_its_image(void **state)
{
    CstBlobRbd rbd = {.deadline_ms = PATIENT_MS};

    make_image("v", 1);
    assert_int_equal(ceph->rbd_open(io, "v", &rbd.image, NULL), 0);
    cst_blob_unref(cst_blob_rbd_new(&rbd, "v", FALSE, NULL));
    assert_int_equal(fake_ceph_open_images(), 0);
}

static void an_image_without_a_size_is_no_blob(void **state)
{
    CstBlobRbd rbd = {
        .deadline_ms = PATIENT_MS, .owner = &given_back, .release_owner = release_owner};
    g_autoptr(GError) error = NULL;

    make_image("v", 1);
    assert_int_equal(ceph->rbd_open(io, "v", &rbd.image, NULL), 0);
    fake_ceph_fail("rbd_get_size", 0, 1, -EIO);
    g_atomic_int_set(&given_back, 0);
    assert_null(cst_blob_rbd_new(&rbd, "v", FALSE, &error));
    assert_code(error, CST_ERROR_IO);
    assert_string_equal(error->message, "the size of volume 'v': Input/output error");
    assert_int_equal(g_atomic_int_get(&given_back), 1);
    assert_int_equal(fake_ceph_open_images(), 0);
}

/* --- zeroing, discarding ---------------------------------------------------------------------- */

static void long_ranges_are_released_in_steps(void **state)
{
    static const struct {
        uint64_t offset, length;
        guint steps;
    } cases[] = {
        {0, CST_GIB, 1},     {0, CST_GIB - 1, 1},   {0, CST_GIB + 1, 2}, {1, CST_GIB, 2},
        {CST_GIB - 1, 2, 2}, {CST_GIB, CST_GIB, 1}, {CST_GIB - 1, 1, 1}, {5, 3 * CST_GIB, 4},
    };
    CstBlob *blob = open_new(4 * CST_GIB);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t offset = cases[i].offset, end = offset + cases[i].length;
        guint before = fake_ceph_calls("rbd_aio_discard");

        write_at(blob, offset, "x");
        write_at(blob, end - 1, "x");
        write_at(blob, end, "after");
        if (offset > 0)
            write_at(blob, offset - 1, "b");
        assert_true(cst_blob_discard(blob, offset, cases[i].length, NULL));
        assert_int_equal(fake_ceph_calls("rbd_aio_discard") - before, cases[i].steps);
        assert_at(blob, offset, "", 1);
        assert_at(blob, end - 1, "\0after", 6);
        if (offset > 0)
            assert_at(blob, offset - 1, "b", 1);
    }
    cst_blob_unref(blob);
}

static void zeroes_give_space_back_where_they_may(void **state)
{
    CstBlob *blob = open_new(3 * OBJECT);
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < 3; i++)
        write_at(blob, i * OBJECT, "data");
    assert_true(cst_blob_zero(blob, 0, OBJECT, CST_ZERO_MAY_UNMAP, NULL));
    assert_true(cst_blob_zero(blob, OBJECT, OBJECT, CST_ZERO_MAY_UNMAP | CST_ZERO_FAST, NULL));
    assert_true(cst_blob_zero(blob, 2 * OBJECT, 4, 0, NULL));
    assert_at(blob, 0, "\0\0\0\0", 4);
    assert_at(blob, 2 * OBJECT, "\0\0\0\0", 4);
    assert_extent(blob, 0, 3 * OBJECT, 2 * OBJECT, HOLE);
    assert_extent(blob, 2 * OBJECT, OBJECT, OBJECT, CST_EXTENT_DATA);
    assert_int_equal(fake_ceph_calls("rbd_aio_write"), 3);
    /* To keep the space, zeroes have to be written. */
    assert_false(cst_blob_zero(blob, 0, OBJECT, CST_ZERO_FAST, &error));
    assert_code(error, CST_ERROR_UNSUPPORTED);
    assert_int_equal(fake_ceph_calls("rbd_aio_write_zeroes"), 3);
    cst_blob_unref(blob);
}

static void allocate_does_not_reserve_space(void **state)
{
    CstBlob *blob = open_new(OBJECT);

    assert_true(cst_blob_allocate(blob, 0, OBJECT, NULL));
    assert_extent(blob, 0, OBJECT, OBJECT, HOLE);
    cst_blob_unref(blob);
}

/* --- extents ---------------------------------------------------------------------------------- */

static void extents_are_runs_of_objects(void **state)
{
    CstBlob *blob = open_new(8 * OBJECT + 10);

    write_at(blob, 1 * OBJECT, "x");
    write_at(blob, 2 * OBJECT, "x");
    write_at(blob, 4 * OBJECT, "x");
    write_at(blob, 8 * OBJECT, "x");
    assert_extent(blob, 0, 8 * OBJECT, OBJECT, HOLE);
    assert_extent(blob, 0, OBJECT - 1, OBJECT - 1, HOLE);
    assert_extent(blob, OBJECT - 1, 7 * OBJECT, 1, HOLE);
    assert_extent(blob, OBJECT, 7 * OBJECT, 2 * OBJECT, CST_EXTENT_DATA);
    assert_extent(blob, OBJECT + 1, 7, 7, CST_EXTENT_DATA);
    assert_extent(blob, 3 * OBJECT - 1, OBJECT, 1, CST_EXTENT_DATA);
    assert_extent(blob, 3 * OBJECT, 3 * OBJECT, OBJECT, HOLE);
    assert_extent(blob, 5 * OBJECT, 3 * OBJECT + 10, 3 * OBJECT, HOLE);
    assert_extent(blob, 8 * OBJECT, 10, 10, CST_EXTENT_DATA);
    cst_blob_unref(blob);
}

static void extents_are_asked_for_by_the_window(void **state)
{
    const uint64_t window = 16 * CST_GIB;
    CstBlob *blob = open_new(2 * window + OBJECT);

    write_at(blob, window - OBJECT, "x");
    write_at(blob, window, "x");
    assert_extent(blob, 0, 2 * window, window - OBJECT, HOLE);
    assert_extent(blob, window - 1, 5, 1, CST_EXTENT_DATA);
    assert_extent(blob, 0, 1, 1, HOLE);
    assert_int_equal(fake_ceph_calls("rbd_diff_iterate2"), 1);
    assert_extent(blob, window, 2 * OBJECT, OBJECT, CST_EXTENT_DATA);
    assert_int_equal(fake_ceph_calls("rbd_diff_iterate2"), 2);
    /* Further back than the window that is remembered. */
    assert_extent(blob, window - 1, 5, 5, CST_EXTENT_DATA);
    assert_int_equal(fake_ceph_calls("rbd_diff_iterate2"), 3);
    assert_extent(blob, 2 * window, OBJECT, OBJECT, HOLE);
    assert_int_equal(fake_ceph_calls("rbd_diff_iterate2"), 4);
    cst_blob_unref(blob);
}

static void a_change_makes_extents_be_asked_for_anew(void **state)
{
    CstBlob *blob = open_new(4 * OBJECT);

    assert_extent(blob, 0, 4 * OBJECT, 4 * OBJECT, HOLE);
    write_at(blob, OBJECT, "x");
    assert_extent(blob, 0, 4 * OBJECT, OBJECT, HOLE);
    assert_true(cst_blob_zero(blob, OBJECT, OBJECT, CST_ZERO_MAY_UNMAP, NULL));
    assert_extent(blob, 0, 4 * OBJECT, 4 * OBJECT, HOLE);
    write_at(blob, 3 * OBJECT, "x");
    assert_extent(blob, 0, 4 * OBJECT, 3 * OBJECT, HOLE);
    assert_true(cst_blob_discard(blob, 3 * OBJECT, OBJECT, NULL));
    assert_extent(blob, 0, 4 * OBJECT, 4 * OBJECT, HOLE);
    assert_true(cst_blob_resize(blob, 5 * OBJECT, NULL));
    assert_extent(blob, 0, 5 * OBJECT, 5 * OBJECT, HOLE);
    cst_blob_unref(blob);
}

static gpointer ask_extent(gpointer blob)
{
    CstExtent extent = {0};

    assert_true(cst_blob_extent(blob, 0, 2 * OBJECT, &extent, NULL));
    return GUINT_TO_POINTER(extent.flags);
}

/* A hole that was found before the write may contain data now. */
static void extents_found_during_a_write_are_data(void **state)
{
    CstBlob *blob = open_new(2 * OBJECT);
    GThread *thread;

    fake_ceph_hang("rbd_diff_iterate2");
    thread = g_thread_new("ask", ask_extent, blob);
    fake_ceph_wait_hanging("rbd_diff_iterate2", 1);
    write_at(blob, OBJECT, "x");
    fake_ceph_resume();
    assert_int_equal(GPOINTER_TO_UINT(g_thread_join(thread)), CST_EXTENT_DATA);
    assert_extent(blob, 0, 2 * OBJECT, OBJECT, HOLE);
    assert_int_equal(fake_ceph_calls("rbd_diff_iterate2"), 2);
    cst_blob_unref(blob);
}

static void the_content_of_a_clone_is_its_parents_too(void **state)
{
    CstBlob *blob = open_new(2 * OBJECT);
    rbd_image_options_t options = NULL;
    rbd_image_t image = NULL;

    write_at(blob, OBJECT, "theirs");
    cst_blob_unref(blob);
    assert_int_equal(ceph->rbd_open(io, "v", &image, NULL), 0);
    assert_int_equal(ceph->rbd_snap_create2(image, "s", 0, NULL, NULL), 0);
    ceph->rbd_snap_protect(image, "s");
    ceph->rbd_close(image);
    ceph->rbd_image_options_create(&options);
    assert_int_equal(ceph->rbd_clone3(io, "v", "s", io, "c", options), 0);
    ceph->rbd_image_options_destroy(options);
    blob = open_with_deadline("c", PATIENT_MS);
    assert_extent(blob, 0, 2 * OBJECT, OBJECT, HOLE);
    assert_extent(blob, OBJECT, OBJECT, OBJECT, CST_EXTENT_DATA);
    assert_at(blob, OBJECT, "theirs", 6);
    cst_blob_unref(blob);
}

/* --- size ------------------------------------------------------------------------------------- */

static void the_size_is_changed_both_ways(void **state)
{
    CstBlob *blob = open_new(OBJECT);
    uint64_t size = 0;

    assert_true(cst_blob_resize(blob, 2 * OBJECT, NULL));
    write_at(blob, 2 * OBJECT - 3, "end");
    assert_true(cst_blob_resize(blob, 2 * OBJECT - 1, NULL));
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, 2 * OBJECT - 1);
    assert_false(cst_blob_pwrite(blob, "x", 1, size, NULL));
    fake_ceph_fail("rbd_resize2", 0, 1, -EIO);
    assert_false(cst_blob_resize(blob, 1, NULL));
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, 2 * OBJECT - 1);
    assert_at(blob, size - 2, "en", 2);
    cst_blob_unref(blob);
}

/* --- clusters that fail ----------------------------------------------------------------------- */

static gboolean do_read(CstBlob *blob, GError **error)
{
    char buf[4];

    return cst_blob_pread(blob, buf, sizeof(buf), 0, error);
}

static gboolean do_write(CstBlob *blob, GError **error)
{
    return cst_blob_pwrite(blob, "data", 4, 0, error);
}

static gboolean do_flush(CstBlob *blob, GError **error)
{
    return cst_blob_flush(blob, error);
}

static gboolean do_zero(CstBlob *blob, GError **error)
{
    return cst_blob_zero(blob, 0, 2 * CST_GIB, CST_ZERO_MAY_UNMAP, error);
}

static gboolean do_discard(CstBlob *blob, GError **error)
{
    return cst_blob_discard(blob, 0, 2 * CST_GIB, error);
}

static gboolean do_extent(CstBlob *blob, GError **error)
{
    CstExtent extent;

    return cst_blob_extent(blob, 0, OBJECT, &extent, error);
}

static gboolean do_resize(CstBlob *blob, GError **error)
{
    return cst_blob_resize(blob, 3 * CST_GIB, error);
}

static const struct {
    gboolean (*run)(CstBlob *blob, GError **error);
    const char *begins, *performs; /* the calls that may fail; NULL: only one call */
    const char *message;
} calls[] = {
    {do_read, "rbd_aio_read", "read", "I/O on volume 'v': "},
    {do_write, "rbd_aio_write", "write", "I/O on volume 'v': "},
    {do_flush, "rbd_aio_flush", "flush", "I/O on volume 'v': "},
    {do_zero, "rbd_aio_write_zeroes", "write_zeroes", "I/O on volume 'v': "},
    {do_discard, "rbd_aio_discard", "discard", "I/O on volume 'v': "},
    {do_extent, NULL, "rbd_diff_iterate2", "the extents of volume 'v': "},
    {do_resize, NULL, "rbd_resize2", "failed to resize volume 'v': "},
};

static void assert_fails(CstBlob *blob, size_t i, const char *function, int result, int code)
{
    g_autoptr(GError) error = NULL;

    fake_ceph_fail(function, 0, 1, result);
    assert_false(calls[i].run(blob, &error));
    assert_code(error, code);
    assert_true(g_str_has_prefix(error->message, calls[i].message));
    assert_true(calls[i].run(blob, NULL));
}

static void each_failure_is_reported_and_does_not_persist(void **state)
{
    CstBlob *blob = open_new(3 * CST_GIB);

    write_at(blob, 0, "x");
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        guint before = fake_ceph_calls(calls[i].performs);

        write_at(blob, 0, "x");
        assert_fails(blob, i, calls[i].performs, -EIO, CST_ERROR_IO);
        /* A range in two steps ends with the first that fails. */
        assert_int_equal(fake_ceph_calls(calls[i].performs) - before - (calls[i].run == do_write),
                         calls[i].run == do_zero || calls[i].run == do_discard ? 3 : 2);
        write_at(blob, 0, "x");
        assert_fails(blob, i, calls[i].performs, -ETIMEDOUT, CST_ERROR_UNREACHABLE);
        if (calls[i].begins)
            assert_fails(blob, i, calls[i].begins, -ESHUTDOWN, CST_ERROR_UNREACHABLE);
    }
    cst_blob_unref(blob);
}

static void hanging_call_is_abandoned_at_the_deadline(void **state)
{
    make_image("v", 3 * CST_GIB);
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        CstBlob *blob = open_with_deadline("v", IMPATIENT_MS);
        g_autoptr(GError) error = NULL;

        while (!cst_blob_pwrite(blob, "left", 4, 0, NULL))
            ;
        fake_ceph_hang(calls[i].performs);
        assert_false(calls[i].run(blob, &error));
        assert_code(error, CST_ERROR_UNREACHABLE);
        assert_string_equal(error->message, "v: the storage's servers did not answer in time");
        fake_ceph_resume();
        cst_blob_unref(blob);
    }
    ceph_await_quiet();
}

/* After a timeout of a read its buffer is freed before the answer comes. */
static void late_answer_is_discarded(void **state)
{
    CstBlob *blob;
    char *buf = g_malloc(4);

    make_image("v", OBJECT);
    blob = open_with_deadline("v", IMPATIENT_MS);
    fake_ceph_hang("read");
    assert_false(cst_blob_pread(blob, buf, 4, 0, NULL));
    g_free(buf);
    fake_ceph_resume();
    cst_blob_unref(blob);
}

static void closing_waits_for_the_cluster_but_not_for_ever(void **state)
{
    CstBlob *blob;

    make_image("v", OBJECT);
    blob = open_with_deadline("v", IMPATIENT_MS);
    fake_ceph_hang("rbd_close");
    cst_blob_unref(blob);
    assert_int_equal(g_atomic_int_get(&given_back), 0);
    fake_ceph_resume();
    ceph_await_quiet();
    assert_int_equal(g_atomic_int_get(&given_back), 1);
}

static void close_does_not_wait_for_threads_of_ended_calls(void **state)
{
    CstBlob *blob = open_new(OBJECT);

    ceph_works_keep(TRUE);
    assert_true(cst_blob_resize(blob, 2 * OBJECT, NULL));
    assert_extent(blob, 0, 2 * OBJECT, 2 * OBJECT, HOLE);
    cst_blob_unref(blob);
    assert_int_equal(fake_ceph_open_images(), 0);
    ceph_works_keep(FALSE);
}

#define blob_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        blob_test(written_bytes_are_read_back_to_the_last_byte),
        blob_test(write_after_the_end_reports_no_space),
        blob_test(without_memory_ceph_is_not_asked),
        blob_test(flush_without_a_change_is_not_sent),
        blob_test(blob_without_a_lender_closes_its_image),
        blob_test(an_image_without_a_size_is_no_blob),
        blob_test(long_ranges_are_released_in_steps),
        blob_test(zeroes_give_space_back_where_they_may),
        blob_test(allocate_does_not_reserve_space),
        blob_test(extents_are_runs_of_objects),
        blob_test(extents_are_asked_for_by_the_window),
        blob_test(a_change_makes_extents_be_asked_for_anew),
        blob_test(extents_found_during_a_write_are_data),
        blob_test(the_content_of_a_clone_is_its_parents_too),
        blob_test(the_size_is_changed_both_ways),
        blob_test(each_failure_is_reported_and_does_not_persist),
        blob_test(hanging_call_is_abandoned_at_the_deadline),
        blob_test(late_answer_is_discarded),
        blob_test(closing_waits_for_the_cluster_but_not_for_ever),
        blob_test(close_does_not_wait_for_threads_of_ended_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
