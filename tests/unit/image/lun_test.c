/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/iscsi.h>
#include <fake_iscsi.h>
#include <image/compare.h>
#include <image/convert.h>
#include <image/image.h>
#include <image/snapshot.h>

/* The image engine on a LUN (a target in memory) of either size of blocks. */

#define SIZE (16 * CST_MIB)

static CstIscsi *session;

static CstIscsi *new_session(void)
{
    static const char *const portals[] = {"10.0.0.1:3260", NULL};
    const CstIscsiTarget target = {
        .target = "iqn.t", .initiator = "iqn.i", .portals = portals, .timeout_ms = 10000};

    return cst_iscsi_new(&target);
}

static CstBlob *open_lun(uint32_t block_size)
{
    g_auto(CstIscsiLun) lun = {.lun = 1};

    fake_unit(1, 2 * SIZE / block_size, block_size, TRUE);
    assert_true(cst_iscsi_look(session, &lun, 1, NULL));
    return cst_blob_iscsi_new(session, &lun, "lun", TRUE, NULL, NULL);
}

static CstBlob *new_guest(void)
{
    CstBlob *guest = cst_blob_memory_new(NULL, SIZE);
    g_autofree char *piece = g_malloc(CST_MIB);

    memset(piece, 'g', CST_MIB);
    assert_true(cst_blob_pwrite(guest, piece, CST_MIB, 0, NULL));
    assert_true(cst_blob_pwrite(guest, piece, CST_MIB, 9 * CST_MIB + 12345, NULL));
    return guest;
}

static void assert_equal(CstBlob *guest, CstBlob *view)
{
    CstDifference difference = {0};

    assert_true(cst_image_compare(guest, view, &difference, NULL, NULL));
    assert_true(difference.same);
}

static void check_on(uint32_t block_size)
{
    const CstImageFormat *format = cst_image_format_find("qcow2", NULL);
    g_autoptr(CstBlob) lun = open_lun(block_size), guest = new_guest();
    g_autoptr(CstBlob) view = NULL;
    const CstImageCreate options = {.capacity = SIZE};
    CstImageCheck check = {0};
    CstImage *image;
    CstExtent extent;
    const char byte = 'h';

    assert_true(
        cst_image_convert(guest, lun, format, &options, CST_CONVERT_TARGET_ZERO, NULL, NULL));
    image = cst_image_open(lun, format, CST_IMAGE_WRITE, NULL, NULL);
    assert_non_null(image);
    view = cst_image_guest_blob(image);
    assert_equal(guest, view);
    assert_true(cst_blob_extent(view, 2 * CST_MIB, CST_MIB, &extent, NULL));
    assert_int_equal(extent.flags, CST_EXTENT_HOLE | CST_EXTENT_ZERO);
    /* Changes through the image, in the middle of a block; snapshots inside. */
    assert_true(cst_image_snapshot_create(image, "s", NULL, NULL));
    assert_true(cst_blob_pwrite(view, &byte, 1, 9 * CST_MIB + 77, NULL));
    assert_true(cst_blob_pwrite(guest, &byte, 1, 9 * CST_MIB + 77, NULL));
    assert_equal(guest, view);
    assert_true(cst_blob_flush(view, NULL));
    g_clear_pointer(&view, cst_blob_unref);
    assert_true(cst_image_check(lun, format, 0, &check, NULL, NULL));
    assert_int_equal(check.errors, 0);
    assert_int_equal(check.leaks, 0);
    assert_true(check.allocated_clusters > 0);
}

static void test_an_image_on_a_lun(void **state)
{
    session = new_session();
    check_on(512);
    check_on(4096);
    cst_iscsi_free(session);
    fake_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_an_image_on_a_lun)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
