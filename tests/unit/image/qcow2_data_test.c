/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* qcow2 images with an external data file, and images that were not closed cleanly. */
#include <base/units.h>
#include <blob/fault.h>
#include <image/snapshot.h>

#include "backing_guest.h"
#include "qcow2/header/header.h"
#include "qcow2_images.h"

enum { SIZE = 3 * 1024 * 1024 + 512, CLUSTER = 65536 };

/* --- data files ------------------------------------------------------------------------------- */

/* An image and its one data file. */
typedef struct {
    CstBlob *blob;
    CstBlob *data;
    CstBlob *backing; /* NULL: no backing image */
    char *name;
    unsigned opened_for_writing;
    CstImageFiles files;
} Pair;

static CstBlob *pair_open(const char *name, gboolean writable, gpointer data, GError **error)
{
    Pair *pair = data;

    assert_string_equal(name, pair->name);
    pair->opened_for_writing += writable != FALSE;
    return cst_blob_ref(pair->data);
}

static CstBlob *pair_create(const char *name, gpointer data, GError **error)
{
    Pair *pair = data;

    pair->name = g_strdup(name);
    pair->data = cst_blob_memory_new(NULL, 0);
    return cst_blob_ref(pair->data);
}

static void pair_create_image(Pair *pair, CstImageCreate options)
{
    g_autoptr(GError) error = NULL;

    *pair = (Pair){.blob = cst_blob_memory_new(NULL, 0),
                   .files = {.open = pair_open, .create = pair_create, .data = pair}};
    options.data_file = "disk.raw";
    options.files = &pair->files;
    if (!cst_image_create(pair->blob, qcow2(), &options, NULL, &error))
        fail_msg("create: %s", error->message);
}

static void pair_make(Pair *pair, gboolean is_raw, gboolean extended)
{
    pair_create_image(
        pair, (CstImageCreate){.capacity = SIZE, .data_file_raw = is_raw, .extended_l2 = extended});
}

static void pair_clear(Pair *pair)
{
    cst_blob_unref(pair->backing);
    cst_blob_unref(pair->blob);
    cst_blob_unref(pair->data);
    g_free(pair->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pair, pair_clear)

static CstImage *pair_image(Pair *pair, unsigned flags)
{
    const CstImageOpen how = {.flags = flags, .files = &pair->files, .backing = pair->backing};
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open_as(pair->blob, qcow2(), &how, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return image;
}

static void random_change(GRand *rand, CstBlob *guest, uint8_t *model, uint64_t size)
{
    uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, (gint32)size);
    uint64_t length = (uint64_t)g_rand_int_range(rand, 1, g_rand_boolean(rand) ? 600 : 300000);
    int kind = g_rand_int_range(rand, 0, 6);

    length = MIN(length, size - offset);
    memset(model + offset, kind < 3 ? g_rand_int_range(rand, 1, 256) : 0, length);
    if (kind < 3) {
        assert_true(cst_blob_pwrite(guest, model + offset, length, offset, NULL));
    } else if (kind < 5) {
        assert_true(cst_blob_zero(guest, offset, length, kind == 3 ? CST_ZERO_MAY_UNMAP : 0, NULL));
    } else {
        assert_true(cst_blob_discard(guest, offset, length, NULL));
        assert_true(cst_blob_pread(guest, model + offset, length, offset, NULL));
    }
}

static void assert_reads(CstBlob *blob, const uint8_t *model, uint64_t size)
{
    g_autofree uint8_t *seen = g_malloc(size);
    uint64_t there = 0;

    assert_true(cst_blob_get_size(blob, &there, NULL));
    assert_int_equal(there, size);
    assert_true(cst_blob_pread(blob, seen, size, 0, NULL));
    for (uint64_t at = 0; at < size; at++)
        if (seen[at] != model[at])
            fail_msg("byte %" G_GUINT64_FORMAT " is %u, not %u", at, seen[at], model[at]);
}

static void assert_clean(CstBlob *blob)
{
    CstImageCheck check = {0};

    assert_true(cst_image_check(blob, qcow2(), 0, &check, NULL, NULL));
    assert_int_equal(check.errors, 0);
    assert_int_equal(check.leaks, 0);
}

static void work(Pair *pair, GRand *rand, uint8_t *model, uint64_t size, gboolean is_raw)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(pair_image(pair, CST_IMAGE_WRITE));

    assert_reads(guest, model, size);
    for (int step = 0; step < 40; step++)
        random_change(rand, guest, model, size);
    assert_true(cst_blob_flush(guest, NULL));
    assert_reads(guest, model, size);
    if (is_raw)
        assert_reads(pair->data, model, size);
    assert_clean(pair->blob);
}

static void resize(Pair *pair, uint64_t size)
{
    g_autoptr(CstImage) image = pair_image(pair, CST_IMAGE_WRITE);

    assert_true(cst_image_resize(image, size, CST_PREALLOC_OFF, NULL, NULL));
    assert_true(cst_image_flush(image, NULL));
}

static void a_data_file_is_written_and_a_raw_one_is_the_disk(void **state)
{
    for (int variant = 0; variant < 4; variant++) {
        static const uint64_t sizes[] = {SIZE, SIZE / 1024 * 512, SIZE + CLUSTER + 512};
        g_autofree uint8_t *model = g_malloc0(2 * SIZE);
        g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)variant);
        gboolean is_raw = variant & 1;
        g_auto(Pair) pair;
        uint64_t size = SIZE;

        pair_make(&pair, is_raw, variant & 2);
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
            if (i > 0)
                resize(&pair, sizes[i]);
            if (sizes[i] < size)
                memset(model + sizes[i], 0, size - sizes[i]);
            size = sizes[i];
            if (is_raw)
                assert_reads(pair.data, model, size);
            work(&pair, rand, model, size, is_raw);
            work(&pair, rand, model, size, is_raw);
        }
        assert_true(pair.opened_for_writing > 0);
    }
}

/*
 * The last cluster before the growth is partial and continues to show the backing image. A longer
 * backing image does not show in the new bytes. All other new clusters get their place in the data
 * file.
 */
static void growing_with_preallocation_keeps_the_backing_image(void **state)
{
    enum { OLD = CLUSTER + 1024, NEW = 4 * CLUSTER };
    static const struct {
        uint64_t backing_size, placed;
    } cases[] = {{OLD, 2}, {NEW, 3}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree uint8_t *model = g_malloc0(NEW);
        g_autoptr(CstImage) image = NULL;
        g_autoptr(CstBlob) guest = NULL;
        CstImageCheck check = {0};
        g_auto(Pair) pair;

        pair_create_image(
            &pair, (CstImageCreate){.capacity = OLD, .backing = "base", .backing_format = "raw"});
        pair.backing = make_backing("raw", cases[i].backing_size, 0x55);
        memset(model, 0x55, OLD);
        image = pair_image(&pair, CST_IMAGE_WRITE);
        assert_true(cst_image_resize(image, NEW, CST_PREALLOC_METADATA, NULL, NULL));
        g_clear_pointer(&image, cst_image_free);
        guest = cst_image_guest_blob(pair_image(&pair, 0));
        assert_reads(guest, model, NEW);
        assert_true(cst_image_check(pair.blob, qcow2(), 0, &check, NULL, NULL));
        assert_int_equal(check.errors + check.leaks, 0);
        assert_int_equal(check.allocated_clusters, cases[i].placed);
    }
}

/* Older bytes of the data file must not appear in a disk that has grown over them. */
static void garbage_after_a_raw_disk_does_not_show_after_growth(void **state)
{
    g_autofree uint8_t *model = g_malloc0(2 * SIZE);
    CstImageCheck check = {0};
    g_auto(Pair) pair;

    pair_make(&pair, TRUE, FALSE);
    assert_true(cst_blob_pwrite(pair.data, "garbage", 7, SIZE + 3 * CLUSTER, NULL));
    resize(&pair, SIZE + 5 * CLUSTER);
    assert_reads(pair.data, model, SIZE + 5 * CLUSTER);
    assert_true(cst_image_check(pair.blob, qcow2(), 0, &check, NULL, NULL));
    assert_int_equal(check.allocated_clusters, check.total_clusters); /* as it is all the disk */
}

/* A raw data file has the length of the disk. Another data file is only made longer. */
static void a_data_file_has_the_length_that_it_needs(void **state)
{
    for (int is_raw = 0; is_raw < 2; is_raw++) {
        uint64_t size = 0;
        g_auto(Pair) pair;

        pair_make(&pair, is_raw, FALSE);
        assert_true(cst_blob_resize(pair.data, CLUSTER, NULL)); /* the data file was truncated */
        resize(&pair, SIZE + CLUSTER);
        assert_true(cst_blob_get_size(pair.data, &size, NULL));
        assert_int_equal(size, SIZE + CLUSTER);
        assert_true(cst_blob_resize(pair.data, 3 * SIZE, NULL));
        assert_true(cst_blob_pwrite(pair.data, "behind", 6, 3 * SIZE - 6, NULL));
        resize(&pair, 2 * SIZE);
        assert_true(cst_blob_get_size(pair.data, &size, NULL));
        assert_int_equal(size, 3 * SIZE);
        resize(&pair, SIZE);
        assert_true(cst_blob_get_size(pair.data, &size, NULL));
        assert_int_equal(size, is_raw ? SIZE : 3 * SIZE);
    }
}

/* As a program leaves it that makes a disk smaller by its header alone. */
static void referents_of_old_entries_do_not_show_after_growth(void **state)
{
    g_autofree uint8_t *model = g_malloc(SIZE);
    g_autoptr(CstBlob) guest = NULL;
    g_auto(Pair) pair;

    pair_make(&pair, TRUE, FALSE);
    memset(model, 0x77, SIZE);
    guest = cst_image_guest_blob(pair_image(&pair, CST_IMAGE_WRITE));
    assert_true(cst_blob_pwrite(guest, model, SIZE, 0, NULL));
    cst_blob_unref(g_steal_pointer(&guest));
    put64(pair.blob, QCOW2_AT_SIZE, 2 * CLUSTER);
    resize(&pair, SIZE);
    memset(model + 2 * CLUSTER, 0, SIZE - 2 * CLUSTER);
    assert_reads(pair.data, model, SIZE);
    guest = cst_image_guest_blob(pair_image(&pair, 0));
    assert_reads(guest, model, SIZE);
}

/* The image's own file stays sound, and growing succeeds once the data file works again. */
static void a_data_file_that_fails_fails_the_growth(void **state)
{
    static const CstFaultKind kinds[] = {CST_FAULT_QUERY, CST_FAULT_WRITE};
    static uint8_t zeroes[2 * SIZE];

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        gboolean struck = TRUE;

        for (unsigned nth = 1; struck; nth++) {
            g_autoptr(CstImage) image = NULL;
            g_autoptr(CstBlob) inner = NULL;
            g_autoptr(GError) error = NULL;
            g_auto(Pair) pair;
            gboolean done;

            pair_make(&pair, TRUE, FALSE);
            assert_true(cst_blob_pwrite(pair.data, "garbage", 7, SIZE + CLUSTER, NULL));
            inner = pair.data;
            pair.data = cst_blob_fault_new(inner);
            image = pair_image(&pair, CST_IMAGE_WRITE);
            cst_blob_fault_arm(pair.data, kinds[i], nth, CST_FAULT_ONCE);
            done = cst_image_resize(image, 2 * SIZE, CST_PREALLOC_OFF, NULL, &error);
            struck = cst_blob_fault_struck(pair.data);
            assert_int_equal(done, !struck);
            if (struck) {
                assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
                assert_int_equal(cst_image_capacity(image), SIZE);
                assert_true(cst_image_resize(image, 2 * SIZE, CST_PREALLOC_OFF, NULL, NULL));
            }
            g_clear_pointer(&image, cst_image_free);
            assert_reads(inner, zeroes, 2 * SIZE);
            assert_clean(pair.blob);
        }
    }
}

static void raw_mark_is_kept_and_other_autoclear_bits_are_cleared(void **state)
{
    g_autofree uint8_t *model = g_malloc0(SIZE);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    g_auto(CstImageInfo) info = {0};
    g_auto(Pair) pair;
    uint8_t raw[8];

    pair_make(&pair, TRUE, FALSE);
    cst_put_be64(raw, 2 | 0x100);
    assert_true(cst_blob_pwrite(pair.blob, raw, sizeof(raw), QCOW2_AT_AUTOCLEAR, NULL));
    work(&pair, rand, model, SIZE, TRUE);
    assert_true(cst_blob_pread(pair.blob, raw, sizeof(raw), QCOW2_AT_AUTOCLEAR, NULL));
    assert_int_equal(cst_be64(raw), 2);
    assert_true(cst_image_inspect(pair.blob, NULL, &info, NULL));
    assert_true(info.data_file_raw);
    assert_string_equal(info.data_file, "disk.raw");
}

static void operation_that_a_data_file_does_not_support_is_refused(void **state)
{
    g_auto(Pair) pair;
    g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 0);
    g_autoptr(CstImage) image = NULL;
    g_autoptr(CstImage) metadata = NULL;
    g_autoptr(CstBlob) guest = NULL;
    char byte;

    pair_make(&pair, FALSE, FALSE);
    const CstImageCreate bad[] = {
        {.capacity = SIZE, .data_file = "x"},
        {.capacity = SIZE, .data_file_raw = TRUE, .files = &pair.files},
        {.capacity = SIZE, .data_file = "x", .compat = "0.10", .files = &pair.files},
        {.capacity = SIZE,
         .data_file = "x",
         .data_file_raw = TRUE,
         .backing = "b",
         .backing_format = "raw",
         .files = &pair.files},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_false(cst_image_create(blob, qcow2(), &bad[i], NULL, NULL));
    image = pair_image(&pair, CST_IMAGE_WRITE);
    assert_int_equal(cst_image_compression_unit(image), 0);
    assert_false(cst_image_snapshot_create(image, "s", NULL, NULL));
    assert_null(
        cst_image_open(pair.blob, qcow2(), CST_IMAGE_WRITE | CST_IMAGE_NO_DATA, NULL, NULL));
    metadata = cst_image_open(pair.blob, qcow2(), CST_IMAGE_NO_DATA, NULL, NULL);
    assert_non_null(metadata);
    guest = cst_image_guest_blob(g_steal_pointer(&metadata));
    assert_false(cst_blob_pread(guest, &byte, 1, 0, NULL));
}

/* --- not closed cleanly ----------------------------------------------------------------------- */

/*
 * Creates two clusters of data without refcounts, as after the crash of a writer with lazy
 * refcounts.
 */
static CstBlob *make_dirty(void)
{
    const CstImageCreate options = {.capacity = SIZE, .lazy_refcounts = TRUE};
    CstBlob *blob = cst_blob_memory_new(NULL, 0);
    g_autofree uint8_t *ones = g_malloc(2 * CLUSTER);
    g_autoptr(CstBlob) guest = NULL;
    uint64_t block;
    uint8_t none[16] = {0};

    memset(ones, 1, 2 * CLUSTER);
    assert_true(cst_image_create(blob, qcow2(), &options, NULL, NULL));
    guest = cst_image_guest_blob(cst_image_open(blob, qcow2(), CST_IMAGE_WRITE, NULL, NULL));
    assert_true(cst_blob_pwrite(guest, ones, 2 * CLUSTER, 0, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    block = get64(blob, get64(blob, QCOW2_AT_REFTABLE_OFFSET));
    /* clusters 4 and up: L2 table and data; 16 bits each */
    assert_true(cst_blob_pwrite(blob, none, sizeof(none), block + 4 * 2, NULL));
    put64(blob, QCOW2_AT_INCOMPATIBLE, QCOW2_INCOMPAT_DIRTY);
    return blob;
}

static void a_dirty_image_is_repaired_before_it_is_written(void **state)
{
    g_autoptr(CstBlob) blob = make_dirty();
    g_autoptr(CstBlob) guest = NULL;
    g_autofree uint8_t *buf = g_malloc(2 * CLUSTER);
    CstImage *image = cst_image_open(blob, qcow2(), 0, NULL, NULL);

    assert_non_null(image); /* to be read it needs no repair */
    cst_image_free(image);
    assert_int_equal(get64(blob, QCOW2_AT_INCOMPATIBLE), QCOW2_INCOMPAT_DIRTY);
    image = cst_image_open(blob, qcow2(), CST_IMAGE_WRITE, NULL, NULL);
    assert_non_null(image);
    assert_int_equal(get64(blob, QCOW2_AT_INCOMPATIBLE), 0);
    guest = cst_image_guest_blob(image);
    assert_true(cst_blob_pwrite(guest, "x", 1, SIZE - 1, NULL)); /* over no cluster in use */
    assert_true(cst_blob_flush(guest, NULL));
    assert_true(cst_blob_pread(guest, buf, 2 * CLUSTER, 0, NULL));
    for (size_t i = 0; i < 2 * CLUSTER; i++)
        assert_int_equal(buf[i], 1);
    assert_clean(blob);
}

static void a_dirty_image_beyond_repair_stays_as_it_is(void **state)
{
    g_autoptr(CstBlob) blob = make_dirty();
    uint64_t l1 = get64(blob, QCOW2_AT_L1_OFFSET);
    g_autoptr(GError) error = NULL;
    CstImage *image;

    put64(blob, l1, QCOW2_AT_L1_OFFSET | UINT64_C(1) << 40); /* a table outside the file */
    assert_null(cst_image_open(blob, qcow2(), CST_IMAGE_WRITE, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_STATE));
    image = cst_image_open(blob, qcow2(), 0, NULL, NULL);
    assert_non_null(image);
    cst_image_free(image);
}

static void unknown_incompatible_features_are_refused(void **state)
{
    for (unsigned flags = 0; flags <= CST_IMAGE_WRITE; flags++) {
        for (unsigned bit = 5; bit < 64; bit++) {
            g_autoptr(CstBlob) blob = make_dirty();
            g_autoptr(GError) error = NULL;

            put64(blob, QCOW2_AT_INCOMPATIBLE, UINT64_C(1) << bit);
            assert_null(cst_image_open(blob, qcow2(), flags, NULL, &error));
            assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_data_file_is_written_and_a_raw_one_is_the_disk),
        cmocka_unit_test(growing_with_preallocation_keeps_the_backing_image),
        cmocka_unit_test(garbage_after_a_raw_disk_does_not_show_after_growth),
        cmocka_unit_test(a_data_file_has_the_length_that_it_needs),
        cmocka_unit_test(referents_of_old_entries_do_not_show_after_growth),
        cmocka_unit_test(a_data_file_that_fails_fails_the_growth),
        cmocka_unit_test(raw_mark_is_kept_and_other_autoclear_bits_are_cleared),
        cmocka_unit_test(operation_that_a_data_file_does_not_support_is_refused),
        cmocka_unit_test(a_dirty_image_is_repaired_before_it_is_written),
        cmocka_unit_test(a_dirty_image_beyond_repair_stays_as_it_is),
        cmocka_unit_test(unknown_incompatible_features_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
