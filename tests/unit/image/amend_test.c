/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Amending the options of a qcow2 image. At each step the image and its snapshots keep their
 * content. The resulting options are compared with QEMU's tools. */
#include "qcow2_images.h"

#include <blob/power.h>
#include <blob/sparse.h>
#include <image/amend.h>
#include <image/snapshot.h>

enum { CLUSTER = 4096, SIZE = 3 * 1024 * 1024 + 512, BACKING = 0xee };

typedef struct {
    CstImageCreate create;
    CstImageAmend amend;
    uint64_t size; /* afterwards */
} Change;

static const Change changes[] = {
    {{.compat = "1.1"}, {.compat = "0.10"}, SIZE},
    {{.compat = "0.10"}, {.compat = "1.1", .refcount_bits = 32}, SIZE},
    {{.compat = "0.10"}, {.compat = "1.1", .lazy_refcounts = CST_AMEND_ON}, SIZE},
    {{.compat = "1.1", .refcount_bits = 64, .lazy_refcounts = TRUE},
     {.compat = "0.10", .refcount_bits = 16},
     SIZE},
    {{.compat = "1.1"}, {.refcount_bits = 8, .has_size = TRUE, .size = SIZE + 512}, SIZE + 512},
};

static CstBlob *backing_new(void)
{
    g_autofree uint8_t *bytes = g_malloc(SIZE);

    memset(bytes, BACKING, SIZE);
    return cst_blob_memory_new(bytes, SIZE);
}

static CstImage *open_upon(CstBlob *blob, CstBlob *backing, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open(blob, qcow2(), flags, backing, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return image;
}

static void write_and_zero(CstBlob *guest, unsigned turn)
{
    g_autofree uint8_t *bytes = g_malloc(5 * CLUSTER);

    memset(bytes, 1 + (int)turn, 5 * CLUSTER);
    assert_true(cst_blob_pwrite(guest, bytes, 5 * CLUSTER, turn * 3 * CLUSTER, NULL));
    assert_true(cst_blob_zero(guest, (4 + turn * 3) * CLUSTER, 2 * CLUSTER,
                              turn ? CST_ZERO_MAY_UNMAP : 0, NULL));
    assert_true(cst_blob_zero(guest, (20 + turn) * CLUSTER, CLUSTER, CST_ZERO_MAY_UNMAP, NULL));
    assert_true(cst_blob_zero(guest, SIZE - 512, 512, CST_ZERO_MAY_UNMAP, NULL));
    assert_true(cst_blob_flush(guest, NULL));
}

/*
 * Writes data, zeroes over unallocated clusters and over data, and leaves unallocated clusters; in
 * the image and in two snapshots.
 */
static void fill(CstBlob *blob, CstBlob *backing)
{
    static const char *const names[] = {"one", "two"};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        CstBlob *guest = cst_image_guest_blob(open_upon(blob, backing, CST_IMAGE_WRITE));
        CstImage *image;

        write_and_zero(guest, i);
        cst_blob_unref(guest);
        image = open_upon(blob, backing, CST_IMAGE_WRITE);
        assert_true(cst_image_snapshot_create(image, names[i], NULL, NULL));
        cst_image_free(image);
    }
}

/*
 * Reads the first SIZE bytes of the image or of @snapshot. Returns a buffer that the caller frees.
 */
static uint8_t *content(CstBlob *blob, CstBlob *backing, const char *snapshot)
{
    const CstImageOpen how = {.backing = backing, .snapshot = snapshot};
    g_autoptr(CstBlob) guest = cst_image_guest_blob(cst_image_open_as(blob, qcow2(), &how, NULL));
    uint8_t *bytes = g_malloc(SIZE);

    assert_true(cst_blob_pread(guest, bytes, SIZE, 0, NULL));
    return bytes;
}

/* The capacity changes in a step of its own, which may leak clusters when the power fails. */
static void assert_same(CstBlob *blob, CstBlob *backing, uint8_t *const *was, gboolean may_leak)
{
    static const char *const names[] = {NULL, "one", "two"};
    CstImageCheck check;

    assert_true(cst_image_check(blob, qcow2(), 0, &check, NULL, NULL));
    assert_int_equal(check.errors, 0);
    assert_true(may_leak || check.leaks == 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree uint8_t *is = content(blob, backing, names[i]);

        assert_memory_equal(is, was[i], SIZE);
    }
}

static gboolean same_options(const CstImageInfo *a, const CstImageInfo *b)
{
    return strcmp(a->compat, b->compat) == 0 && a->refcount_bits == b->refcount_bits &&
           a->lazy_refcounts == b->lazy_refcounts;
}

/* Either all options are the old ones or all are the new ones. */
static void assert_old_or_new(CstBlob *left, const CstImageInfo *before, const CstImageInfo *after)
{
    g_auto(CstImageInfo) now = {0};

    assert_true(cst_image_inspect(left, qcow2(), &now, NULL));
    assert_null(now.problem);
    assert_true(same_options(&now, before) || same_options(&now, after));
    assert_true(now.capacity == before->capacity || now.capacity == after->capacity);
    assert_int_equal(now.snapshots, before->snapshots);
}

static void amend(CstBlob *blob, CstBlob *backing, const CstImageAmend *how)
{
    CstImage *image = open_upon(blob, backing, CST_IMAGE_WRITE);
    g_autoptr(GError) error = NULL;

    if (!cst_image_amend(image, how, NULL, &error))
        fail_msg("amend: %s", error->message);
    cst_image_free(image);
}

static void cut_while_amending(const Change *change, CstBlob *backing)
{
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0), power = NULL;
    CstImageCreate create = change->create;
    g_auto(CstImageInfo) before = {0}, after = {0};
    uint8_t *was[3];

    create.capacity = SIZE;
    create.cluster_size = CLUSTER;
    create.backing = backing ? "base" : NULL;
    create.backing_format = backing ? "raw" : NULL;
    assert_true(cst_image_create(blob, qcow2(), &create, NULL, NULL));
    fill(blob, backing);
    was[0] = content(blob, backing, NULL);
    was[1] = content(blob, backing, "one");
    was[2] = content(blob, backing, "two");
    assert_true(cst_image_inspect(blob, qcow2(), &before, NULL));
    power = cst_blob_power_new(blob, NULL);
    amend(power, backing, &change->amend);
    assert_true(cst_image_inspect(power, qcow2(), &after, NULL));
    assert_false(same_options(&before, &after));
    assert_int_equal(after.capacity, change->size);
    assert_same(power, backing, was, FALSE);
    for (unsigned step = 0; step <= cst_blob_power_steps(power); step++)
        for (uint32_t fate = 0; fate < 3; fate++) {
            g_autoptr(CstBlob) left = cst_blob_power_crash(power, step, fate, NULL);

            assert_old_or_new(left, &before, &after);
            assert_same(left, backing, was, change->amend.has_size);
            if (step % 16 == 0) { /* it can be made again */
                amend(left, backing, &change->amend);
                assert_same(left, backing, was, change->amend.has_size);
            }
        }
    for (unsigned i = 0; i < G_N_ELEMENTS(was); i++)
        g_free(was[i]);
}

static void a_power_cut_leaves_the_old_or_the_new(void **state)
{
    g_autoptr(CstBlob) backing = backing_new();

    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        cut_while_amending(&changes[i], NULL);
        cut_while_amending(&changes[i], backing);
    }
}

/* Where a cluster has more users than a narrow count can say. */
static void refcounts_that_do_not_fit_are_kept(void **state)
{
    const CstImageCreate create = {.capacity = SIZE, .cluster_size = CLUSTER};
    const CstImageAmend how = {.refcount_bits = 1};
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    g_auto(CstImageInfo) info = {0};
    g_autoptr(GError) error = NULL;
    CstImageCheck check;
    CstImage *image;

    assert_true(cst_image_create(blob, qcow2(), &create, NULL, NULL));
    fill(blob, NULL);
    image = open_upon(blob, NULL, CST_IMAGE_WRITE);
    assert_false(cst_image_amend(image, &how, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_LIMIT));
    cst_image_free(image);
    assert_true(cst_image_inspect(blob, qcow2(), &info, NULL));
    assert_int_equal(info.refcount_bits, 16);
    assert_true(cst_image_check(blob, qcow2(), 0, &check, NULL, NULL));
    assert_int_equal(check.errors + check.leaks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_leaves_the_old_or_the_new),
        cmocka_unit_test(refcounts_that_do_not_fit_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
