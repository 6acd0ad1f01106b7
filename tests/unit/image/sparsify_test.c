/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Freeing the zeroes of an image in place. The guest's content stays the same, also over a backing
 * image, and no allocated unit is all zeroes afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>
#include <image/sparsify.h>

#include "listed.h"

/* The image ends inside of a unit, and pieces of work end inside of the image. */
enum { SIZE = 6 * 1024 * 1024 + 512 };

typedef struct {
    const char *format;
    CstImageCreate options;
    uint64_t unit; /* bytes of a unit that a check counts; 0: not compared */
} Variant;

static const Variant variants[] = {
    {"raw", {.capacity = SIZE}, 0},
    {"qcow2", {.capacity = SIZE}, 65536},
    {"qcow2", {.capacity = SIZE, .cluster_size = 512}, 512},
    {"qcow2", {.capacity = SIZE, .cluster_size = 2 * CST_MIB}, 2 * CST_MIB},
    {"qcow2", {.capacity = SIZE, .cluster_size = 16384, .extended_l2 = TRUE}, 16384},
    {"qcow2", {.capacity = SIZE, .compat = "0.10"}, 65536},
    {"qcow2", {.capacity = SIZE, .backing = "base", .backing_format = "raw"}, 65536},
    {"vdi", {.capacity = SIZE}, 0},
    {"vhdx", {.capacity = SIZE, .block_size = CST_MIB}, 0},
    {"vmdk", {.capacity = SIZE}, 0},
    {"vpc", {.capacity = SIZE}, 0},
};

static uint8_t content[SIZE];

static CstImage *open_image(const Variant *variant, CstBlob *blob, CstBlob *below)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open(blob, cst_image_format_find(variant->format, NULL),
                                     CST_IMAGE_WRITE, below, &error);

    if (!image)
        fail_msg("%s: %s", variant->format, error->message);
    return image;
}

/* Creates zeroes of every length from every kind of offset on. @all: only zeroes. */
static void make_content(gboolean all)
{
    static const struct {
        uint64_t from, to;
    } zeroes[] = {{0, 1},
                  {512, 4096},
                  {65536, 131072},
                  {131073, 3 * 65536},
                  {4 * 65536, 5 * 65536 - 1},
                  {6 * 65536, 9 * 65536 + 512},
                  {CST_MIB, 5 * CST_MIB + 100},
                  {SIZE - 70000, SIZE}};

    memset(content, all ? 0 : 7, SIZE);
    for (size_t i = 0; i < G_N_ELEMENTS(zeroes); i++)
        memset(content + zeroes[i].from, 0, zeroes[i].to - zeroes[i].from);
}

static unsigned units_with_data(uint64_t unit)
{
    unsigned count = 0;

    for (uint64_t at = 0; at < SIZE; at += unit)
        for (uint64_t i = at; i < MIN(at + unit, SIZE); i++)
            if (content[i] != 0) {
                count++;
                break;
            }
    return count;
}

static void assert_shows(const Variant *variant, CstBlob *blob, CstBlob *below)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(open_image(variant, blob, below));
    static uint8_t seen[SIZE];

    assert_true(cst_blob_pread(guest, seen, SIZE, 0, NULL));
    for (uint64_t at = 0; at < SIZE; at++)
        if (seen[at] != content[at])
            fail_msg("%s: byte %" G_GUINT64_FORMAT " is %u, not %u", variant->format, at, seen[at],
                     content[at]);
}

/* Writes the whole content, including the zeroes. */
static CstBlob *make(const Variant *variant, CstBlob *below)
{
    CstBlob *blob = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) guest = NULL;

    assert_true(cst_image_create(blob, cst_image_format_find(variant->format, NULL),
                                 &variant->options, NULL, NULL));
    guest = cst_image_guest_blob(open_image(variant, blob, below));
    assert_true(cst_blob_pwrite(guest, content, SIZE, 0, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    return blob;
}

static void sparsify(const Variant *variant, gboolean all)
{
    const CstImageFormat *format = cst_image_format_find(variant->format, NULL);
    g_autoptr(CstBlob) below = NULL, blob = NULL;
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    uint64_t given_back = 0;

    make_content(FALSE);
    if (variant->options.backing)
        below = cst_blob_memory_new(content, SIZE);
    make_content(all);
    blob = make(variant, below);
    if (!cst_image_sparsify(blob, format, NULL, &given_back, task, &error))
        fail_msg("%s: %s", variant->format, error->message);
    assert_true(given_back > 0 || strcmp(variant->format, "vmdk") == 0);
    assert_int_equal(cst_task_progress(task).done, cst_task_progress(task).total);
    assert_shows(variant, blob, below);
    if (variant->unit > 0) {
        CstImageCheck found = check_listed(blob, format, 0);

        assert_int_equal(found.errors + found.leaks, 0);
        assert_int_equal(found.allocated_clusters, units_with_data(variant->unit));
    }
}

static void zeroes_are_freed_and_other_content_is_kept(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        sparsify(&variants[i], FALSE);
        sparsify(&variants[i], TRUE);
    }
}

/* Version 2 has no entry for an unallocated cluster that hides the backing image. */
static void zeroes_that_cannot_be_freed_are_not_written(void **state)
{
    static const Variant variant = {
        "qcow2",
        {.capacity = SIZE, .compat = "0.10", .backing = "base", .backing_format = "raw"},
        0};
    const CstImageFormat *format = cst_image_format_find("qcow2", NULL);
    g_autoptr(CstBlob) below = NULL, blob = NULL, fault = NULL;
    uint64_t given_back = 1;

    make_content(FALSE);
    below = cst_blob_memory_new(content, SIZE);
    make_content(TRUE);
    blob = make(&variant, below);
    fault = cst_blob_fault_new(blob);
    cst_blob_fault_arm(fault, CST_FAULT_WRITE, 0, CST_FAULT_ONCE);
    assert_true(cst_image_sparsify(fault, format, NULL, &given_back, NULL, NULL));
    assert_int_equal(cst_blob_fault_count(fault, CST_FAULT_WRITE), 0);
    assert_int_equal(given_back, 0);
    assert_shows(&variant, blob, below);
}

/* A decision that belongs to a repair is not made here. */
static void a_damaged_image_is_refused(void **state)
{
    const Variant *variant = &variants[1];
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t given_back = 0, l1 = 0, l2 = 0, entry = 0;

    make_content(FALSE);
    blob = make(variant, NULL);
    assert_true(cst_blob_pread(blob, &l1, 8, 40, NULL));
    assert_true(cst_blob_pread(blob, &l2, 8, GUINT64_FROM_BE(l1), NULL));
    l2 = GUINT64_FROM_BE(l2) & UINT64_C(0x00fffffffffffe00);
    assert_true(cst_blob_pread(blob, &entry, 8, l2, NULL));
    entry &= ~GUINT64_TO_BE(UINT64_C(1) << 63); /* without the flag, the cluster counts as shared */
    assert_true(cst_blob_pwrite(blob, &entry, 8, l2, NULL));
    assert_false(cst_image_sparsify(blob, cst_image_format_find("qcow2", NULL), NULL, &given_back,
                                    NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_STATE));
}

static void failing_read_ends_the_work_and_keeps_the_content(void **state)
{
    const Variant *variant = &variants[1];
    gboolean struck = TRUE;

    make_content(FALSE);
    for (unsigned nth = 1; struck; nth++) {
        g_autoptr(CstBlob) blob = make(variant, NULL), fault = cst_blob_fault_new(blob);
        g_autoptr(GError) error = NULL;
        uint64_t given_back = 0;
        gboolean ok;

        cst_blob_fault_arm(fault, CST_FAULT_READ, nth, CST_FAULT_ONCE);
        ok = cst_image_sparsify(fault, cst_image_format_find("qcow2", NULL), NULL, &given_back,
                                NULL, &error);
        struck = cst_blob_fault_struck(fault);
        assert_int_equal(ok, !struck);
        assert_true(ok || g_error_matches(error, CST_ERROR, CST_ERROR_IO));
        assert_shows(variant, blob, NULL);
        assert_int_equal(check_listed(blob, cst_image_format_find("qcow2", NULL), 0).errors, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroes_are_freed_and_other_content_is_kept),
        cmocka_unit_test(zeroes_that_cannot_be_freed_are_not_written),
        cmocka_unit_test(a_damaged_image_is_refused),
        cmocka_unit_test(failing_read_ends_the_work_and_keeps_the_content),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
