/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extents of an RBD image while another caller changes it, or asks for extents elsewhere. */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/units.h>
#include <blob/rbd.h>
#include <fake_ceph.h>
#include <works.h>

#define OBJECT  (4 * CST_MIB)
#define WINDOW  (16 * CST_GIB) /* range of one query of extents */
#define HOLE    (CST_EXTENT_HOLE | CST_EXTENT_ZERO)
#define WAIT_MS 300000

void __real_cst_work_heartbeat(CstWork *work);
void __wrap_cst_work_heartbeat(CstWork *work);

static gint heartbeats; /* which push a deadline back */

void __wrap_cst_work_heartbeat(CstWork *work)
{
    g_atomic_int_inc(&heartbeats);
    __real_cst_work_heartbeat(work);
}

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

static int tear_down(void **state)
{
    ceph_await_quiet();
    ceph->rados_ioctx_destroy(io);
    ceph->rados_shutdown(client);
    return 0;
}

static CstBlob *open_new(uint64_t size)
{
    CstBlobRbd rbd = {.deadline_ms = WAIT_MS};
    rbd_image_options_t options = NULL;

    ceph->rbd_image_options_create(&options);
    assert_int_equal(ceph->rbd_create4(io, "v", size, options), 0);
    ceph->rbd_image_options_destroy(options);
    assert_int_equal(ceph->rbd_open(io, "v", &rbd.image, NULL), 0);
    return cst_blob_rbd_new(&rbd, "v", TRUE, NULL);
}

static void close_and_remove(CstBlob *blob)
{
    cst_blob_unref(blob);
    assert_int_equal(ceph->rbd_remove_with_progress(io, "v", NULL, NULL), 0);
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

static void write_to_second_object(gpointer blob)
{
    assert_true(cst_blob_pwrite(blob, "x", 1, OBJECT, NULL));
}

static void discard_second_object(gpointer blob)
{
    assert_true(cst_blob_discard(blob, OBJECT, OBJECT, NULL));
}

static void zero_second_object(gpointer blob)
{
    assert_true(cst_blob_zero(blob, OBJECT, OBJECT, CST_ZERO_MAY_UNMAP, NULL));
}

static void shrink(gpointer blob)
{
    assert_true(cst_blob_resize(blob, WINDOW, NULL));
}

static void ask_elsewhere(gpointer blob)
{
    CstExtent extent;

    assert_true(cst_blob_extent(blob, WINDOW, OBJECT, &extent, NULL));
}

/* The answer of the cluster is older than the change: it is neither reported nor kept. */
static void window_that_a_change_has_overtaken_is_not_used(void **state)
{
    static void (*const changes[])(gpointer) = {write_to_second_object, discard_second_object,
                                                zero_second_object, shrink};

    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        CstBlob *blob = open_new(WINDOW + OBJECT);
        guint before = fake_ceph_calls("rbd_diff_iterate2");

        point_run("rbd_blob.window.queried", changes[i], blob);
        assert_extent(blob, 0, 3 * OBJECT, 3 * OBJECT, CST_EXTENT_DATA);
        points_clear();
        assert_int_equal(fake_ceph_calls("rbd_diff_iterate2"), before + 1);
        assert_extent(blob, 0, 3 * OBJECT, i == 0 ? OBJECT : 3 * OBJECT, HOLE);
        assert_int_equal(fake_ceph_calls("rbd_diff_iterate2"), before + 2);
        close_and_remove(blob);
    }
}

/* The window was emptied, or replaced, when the caller locks again. */
static void window_is_verified_again_after_its_load(void **state)
{
    static void (*const acts[])(gpointer) = {write_to_second_object, ask_elsewhere};

    for (guint i = 0; i < G_N_ELEMENTS(acts); i++) {
        CstBlob *blob = open_new(WINDOW + OBJECT);

        point_run("rbd_blob.extent.loaded", acts[i], blob);
        assert_extent(blob, 0, 3 * OBJECT, 3 * OBJECT, CST_EXTENT_DATA);
        points_clear();
        assert_extent(blob, 0, 3 * OBJECT, i == 0 ? OBJECT : 3 * OBJECT, HOLE);
        close_and_remove(blob);
    }
}

/* A change between the check of a cached window and its use. */
static void cached_window_is_verified_again(void **state)
{
    CstBlob *blob = open_new(WINDOW + OBJECT);

    assert_extent(blob, 0, 3 * OBJECT, 3 * OBJECT, HOLE);
    point_run("rbd_blob.extent.loaded", write_to_second_object, blob);
    assert_extent(blob, 0, 3 * OBJECT, 3 * OBJECT, CST_EXTENT_DATA);
    points_clear();
    assert_extent(blob, 0, 3 * OBJECT, OBJECT, HOLE);
    cst_blob_unref(blob);
}

static void each_kind_of_change_is_flushed(void **state)
{
    static void (*const changes[])(gpointer) = {write_to_second_object, discard_second_object,
                                                zero_second_object, shrink};
    CstBlob *blob = open_new(WINDOW + OBJECT);

    cst_blob_unref(blob);
    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        CstBlobRbd rbd = {.deadline_ms = WAIT_MS};

        assert_int_equal(ceph->rbd_open(io, "v", &rbd.image, NULL), 0);
        blob = cst_blob_rbd_new(&rbd, "v", TRUE, NULL);
        assert_true(cst_blob_flush(blob, NULL));
        assert_int_equal(fake_ceph_calls("flush"), i);
        changes[i](blob);
        assert_true(cst_blob_flush(blob, NULL));
        assert_int_equal(fake_ceph_calls("flush"), i + 1);
        cst_blob_unref(blob);
    }
}

/* A call that makes progress is waited for, independent of its total time. */
static void each_report_of_progress_is_a_heartbeat(void **state)
{
    CstBlob *blob = open_new(12 * OBJECT);

    for (int i = 0; i < 12; i++)
        assert_true(cst_blob_pwrite(blob, "x", 1, i * OBJECT, NULL));
    g_atomic_int_set(&heartbeats, 0);
    assert_extent(blob, 0, 12 * OBJECT, 12 * OBJECT, CST_EXTENT_DATA);
    assert_int_equal(g_atomic_int_get(&heartbeats), 12);
    g_atomic_int_set(&heartbeats, 0);
    assert_true(cst_blob_resize(blob, OBJECT, NULL));
    assert_int_equal(g_atomic_int_get(&heartbeats), 12);
    cst_blob_unref(blob);
}

#define blob_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        blob_test(window_that_a_change_has_overtaken_is_not_used),
        blob_test(window_is_verified_again_after_its_load),
        blob_test(cached_window_is_verified_again),
        blob_test(each_kind_of_change_is_flushed),
        blob_test(each_report_of_progress_is_a_heartbeat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
