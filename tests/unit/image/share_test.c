/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Copies between a plain file and a qcow2 image, and between two qcow2 images, with reflinks. No
 * data is read, the copy is equal, and failures or lost writes do no more harm than with a plain
 * write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/fault.h>
#include <blob/power.h>
#include <blob/sparse.h>
#include <image/image.h>
#include <image/pack.h>

#define UNIT 4096u
#define SIZE (6 * CST_MIB)

static CstBlob *shareable(uint64_t size, unsigned refusals)
{
    CstBlob *blob = cst_blob_sparse_new(size);

    cst_blob_sparse_enable_sharing(blob, UNIT, refusals);
    return blob;
}

/* A few runs of data of whole pages (the sparse blob's) in a file that is a hole else. */
static CstBlob *speckled(guint32 seed, uint64_t size)
{
    GRand *rand = g_rand_new_with_seed(seed);
    CstBlob *blob = shareable(size, 0);

    for (int i = 0; i < 12; i++) {
        uint64_t at = (uint64_t)g_rand_int_range(rand, 0, (gint32)(size / UNIT)) * UNIT;
        size_t n = (size_t)MIN(g_rand_int_range(rand, 1, 80) * UNIT, size - at);
        g_autofree uint8_t *buf = g_malloc(n);

        for (size_t j = 0; j < n; j++)
            buf[j] = (uint8_t)((j >> 9) + i + 1);
        assert_true(cst_blob_pwrite(blob, buf, n, at, NULL));
    }
    g_rand_free(rand);
    return blob;
}

static CstBlob *guest_of(CstBlob *blob, unsigned flags, CstBlob *backing)
{
    g_autoptr(GError) error = NULL;
    const CstImageFormat *qcow2 = cst_image_format_find("qcow2", NULL);
    CstImage *image = cst_image_open(blob, qcow2, flags, backing, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return cst_image_guest_blob(image);
}

static void make_qcow2(CstBlob *blob, const CstImageCreate *options)
{
    assert_true(cst_image_create(blob, cst_image_format_find("qcow2", NULL), options, NULL, NULL));
}

static void assert_same(CstBlob *a, CstBlob *b)
{
    g_autofree uint8_t *left = g_malloc(SIZE), *right = g_malloc(SIZE);

    assert_true(cst_blob_pread(a, left, SIZE, 0, NULL));
    assert_true(cst_blob_pread(b, right, SIZE, 0, NULL));
    assert_memory_equal(left, right, SIZE);
}

static void assert_clean(CstBlob *blob, gboolean leaks_too)
{
    CstImageCheck found = {0};

    assert_true(cst_image_check(blob, cst_image_format_find("qcow2", NULL), 0, &found, NULL, NULL));
    assert_int_equal(found.errors, 0);
    if (leaks_too)
        assert_int_equal(found.leaks, 0);
}

static const CstImageCreate variants[] = {
    {.capacity = SIZE},
    {.capacity = SIZE, .cluster_size = UNIT},
    {.capacity = SIZE, .cluster_size = 512}, /* too small to be shared */
    {.capacity = SIZE, .cluster_size = 2 * CST_MIB},
    {.capacity = SIZE, .extended_l2 = TRUE},
    {.capacity = SIZE, .preallocation = CST_PREALLOC_METADATA},
    {.capacity = SIZE, .compat = "0.10", .refcount_bits = 16},
};

static gboolean is_shared(const CstImageCreate *options)
{
    return options->cluster_size != 512;
}

static void copy(CstBlob *from, CstBlob *to)
{
    g_autoptr(GError) error = NULL;

    if (!cst_blob_copy(from, 0, to, 0, SIZE, CST_COPY_DST_ZERO, NULL, &error))
        fail_msg("copy: %s", error->message);
    assert_true(cst_blob_flush(to, NULL));
}

static void copy_to_qcow2_and_back_shares_all_extents(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) src = speckled((guint32)i, SIZE);
        g_autoptr(CstBlob) file = shareable(0, 0);
        g_autoptr(CstBlob) back = shareable(SIZE, 0);
        g_autoptr(CstBlob) guest = NULL;
        gboolean whole = variants[i].cluster_size != 2 * CST_MIB; /* runs are smaller */

        make_qcow2(file, &variants[i]);
        guest = guest_of(file, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL);
        copy(src, guest);
        if (is_shared(&variants[i]) && whole)
            assert_int_equal(cst_blob_sparse_read(src), 0);
        assert_int_equal(cst_blob_sparse_shared(src) > 0, is_shared(&variants[i]) && whole);
        assert_same(src, guest);
        g_clear_pointer(&guest, cst_blob_unref);
        assert_clean(file, TRUE);
        guest = guest_of(file, 0, NULL);
        copy(guest, back);
        if (is_shared(&variants[i])) /* small clusters may happen to lie well */
            assert_true(cst_blob_sparse_shared(file) > 0);
        assert_same(src, back);
    }
}

static void content_of_a_chain_is_shared_from_its_source_image(void **state)
{
    static const CstImageCreate top = {
        .capacity = SIZE, .backing = "base", .backing_format = "raw"};
    g_autoptr(CstBlob) base = speckled(70, SIZE);
    g_autoptr(CstBlob) file = shareable(0, 0);
    g_autoptr(CstBlob) target = shareable(0, 0);
    g_autoptr(CstBlob) upper = NULL;
    g_autoptr(CstBlob) guest = NULL;
    uint8_t buf[3 * UNIT];

    make_qcow2(file, &top);
    make_qcow2(target, &variants[0]);
    upper = guest_of(file, CST_IMAGE_WRITE, base);
    memset(buf, 0xab, sizeof(buf));
    for (uint64_t at = 0; at < SIZE; at += CST_MIB)
        assert_true(cst_blob_pwrite(upper, buf, sizeof(buf), at, NULL));
    guest = guest_of(target, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL);
    copy(upper, guest);
    assert_true(cst_blob_sparse_shared(base) > 0);
    assert_true(cst_blob_sparse_shared(file) > 0);
    assert_same(upper, guest);
    g_clear_pointer(&guest, cst_blob_unref);
    assert_clean(target, TRUE);
}

/* Data that begins and ends in the middle of units, from a place that is not aligned. */
static void unaligned_range_is_copied(void **state)
{
    g_autoptr(CstBlob) src = speckled(71, SIZE);
    g_autoptr(CstBlob) file = shareable(0, 0);
    g_autoptr(CstBlob) guest = NULL;
    g_autofree uint8_t *left = g_malloc(SIZE), *right = g_malloc(SIZE);

    make_qcow2(file, &variants[0]);
    guest = guest_of(file, CST_IMAGE_WRITE, NULL);
    assert_true(cst_blob_copy(src, 5120, guest, 512, SIZE / 2 + 1536, 0, NULL, NULL));
    assert_int_equal(cst_blob_sparse_shared(src), 0);
    assert_true(cst_blob_copy(src, 4096 + 64 * CST_KIB, guest, 4096, SIZE / 2, 0, NULL, NULL));
    assert_true(cst_blob_pread(src, left, SIZE / 2, 4096 + 64 * CST_KIB, NULL));
    assert_true(cst_blob_pread(guest, right, SIZE / 2, 4096, NULL));
    assert_memory_equal(left, right, SIZE / 2);
    g_clear_pointer(&guest, cst_blob_unref);
    assert_clean(file, TRUE);
}

/* Not in pieces of the target's units: each would unpack its cluster once more. */
static void compressed_clusters_are_unpacked_once(void **state)
{
    g_autoptr(CstBlob) src = speckled(75, SIZE);
    g_autoptr(CstBlob) file = shareable(0, 0);
    g_autoptr(CstBlob) back = shareable(SIZE, 0);
    g_autoptr(CstBlob) guest = NULL;
    CstImage *image;
    uint64_t before, once;

    make_qcow2(file, &variants[0]);
    image = cst_image_open(file, cst_image_format_find("qcow2", NULL), CST_IMAGE_WRITE, NULL, NULL);
    assert_true(cst_image_pack(src, image, 0, NULL, NULL) && cst_image_flush(image, NULL));
    cst_image_free(image);
    guest = guest_of(file, 0, NULL);
    assert_same(src, guest); /* now tables are cached */
    before = cst_blob_sparse_read(file);
    assert_same(src, guest);
    once = cst_blob_sparse_read(file) - before;
    copy(guest, back);
    assert_true(cst_blob_sparse_read(file) - before - once <= once);
    assert_same(src, back);
}

/* After a refusal the rest of the copy does not try to share. */
static void where_sharing_is_refused_bytes_are_copied(void **state)
{
    g_autoptr(CstBlob) model = speckled(72, SIZE);

    for (unsigned refusals = 1; refusals < 4; refusals++) {
        g_autoptr(CstBlob) src = cst_blob_sparse_copy(model);
        g_autoptr(CstBlob) file = shareable(0, 0);
        g_autoptr(CstBlob) guest = NULL;

        cst_blob_sparse_enable_sharing(src, UNIT, refusals);
        make_qcow2(file, &variants[0]);
        guest = guest_of(file, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL);
        copy(src, guest);
        assert_true(cst_blob_sparse_read(src) > 0);
        assert_same(src, guest);
        g_clear_pointer(&guest, cst_blob_unref);
        assert_clean(file, TRUE);
    }
}

/* A failure is reported, and the image is sound except for leaks. */
static void a_failing_file_leaves_a_sound_image(void **state)
{
    g_autoptr(CstBlob) src = speckled(73, SIZE);
    gboolean struck = TRUE;

    for (unsigned nth = 1; struck; nth++) {
        g_autoptr(CstBlob) file = shareable(0, 0);
        g_autoptr(CstBlob) fault = cst_blob_fault_new(file);
        g_autoptr(CstBlob) guest = NULL;
        gboolean ok;

        make_qcow2(file, &variants[0]);
        guest = guest_of(fault, CST_IMAGE_WRITE, NULL);
        cst_blob_fault_arm(fault, CST_FAULT_WRITE, nth, CST_FAULT_CUT);
        ok = cst_blob_copy(src, 0, guest, 0, SIZE, CST_COPY_DST_ZERO, NULL, NULL) &&
             cst_blob_flush(guest, NULL);
        struck = cst_blob_fault_struck(fault);
        assert_int_equal(ok, !struck);
        g_clear_pointer(&guest, cst_blob_unref);
        assert_clean(file, FALSE);
        assert_true(nth < 1000);
    }
}

/* Asserts that each byte is the old one or the copied one, and after the flush the copied one. */
static void assert_old_or_new(CstBlob *left, CstBlob *src, uint8_t old, gboolean done)
{
    g_autoptr(CstBlob) guest = guest_of(left, 0, NULL);
    g_autofree uint8_t *seen = g_malloc(SIZE), *new = g_malloc(SIZE);

    assert_true(cst_blob_pread(guest, seen, SIZE, 0, NULL));
    assert_true(cst_blob_pread(src, new, SIZE, 0, NULL));
    for (size_t i = 0; i < SIZE; i++)
        if (seen[i] != new[i] && (done || seen[i] != (i < CST_MIB ? old : 0)))
            fail_msg("byte %zu is %u", i, seen[i]);
}

/*
 * The image already has data, partly shared with a snapshot. The copy overwrites old places and
 * allocates new ones.
 */
static void a_power_cut_while_sharing_leaks_at_worst(void **state)
{
    enum { OLD = 0xc5 };
    g_autoptr(CstBlob) src = speckled(74, SIZE);
    g_autoptr(CstBlob) file = shareable(0, 0);
    g_autoptr(CstBlob) power = NULL, guest = NULL;
    g_autofree uint8_t *old = g_malloc(CST_MIB);
    unsigned steps;

    memset(old, OLD, CST_MIB);
    make_qcow2(file, &variants[0]);
    guest = guest_of(file, CST_IMAGE_WRITE, NULL);
    assert_true(cst_blob_pwrite(guest, old, CST_MIB, 0, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    g_clear_pointer(&guest, cst_blob_unref);
    power = cst_blob_power_new(file, NULL);
    guest = guest_of(power, CST_IMAGE_WRITE, NULL);
    assert_true(cst_blob_copy(src, 0, guest, 0, SIZE, 0, NULL, NULL));
    assert_true(cst_blob_sparse_shared(src) > 0);
    assert_true(cst_blob_flush(guest, NULL));
    steps = cst_blob_power_steps(power);
    for (unsigned at = 0; at <= steps; at++) {
        for (guint32 n = 0; n < 4; n++) {
            g_autoptr(CstBlob) left = cst_blob_power_crash(power, at, n < 2 ? n : at * 8 + n, NULL);

            assert_clean(left, FALSE);
            assert_old_or_new(left, src, OLD, at == steps);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_to_qcow2_and_back_shares_all_extents),
        cmocka_unit_test(content_of_a_chain_is_shared_from_its_source_image),
        cmocka_unit_test(unaligned_range_is_copied),
        cmocka_unit_test(compressed_clusters_are_unpacked_once),
        cmocka_unit_test(where_sharing_is_refused_bytes_are_copied),
        cmocka_unit_test(a_failing_file_leaves_a_sound_image),
        cmocka_unit_test(a_power_cut_while_sharing_leaks_at_worst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
