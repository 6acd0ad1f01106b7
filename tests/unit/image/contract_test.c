/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The contract of every writable format: random writes to the guest's disk, compared with a plain
 * array. A new format needs a new row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/fault.h>
#include <image/image.h>
#include <image/measure.h>

#include "same.h"

typedef struct {
    const char *format;
    CstImageCreate options;
} Variant;

#define QCOW2(...)      \
    {                   \
        "qcow2",        \
        {               \
            __VA_ARGS__ \
        }               \
    }

static const Variant variants[] = {
    {"raw", {0}},
    QCOW2(0),
    QCOW2(.compat = "0.10"),
    QCOW2(.cluster_size = 512),
    QCOW2(.cluster_size = 512, .refcount_bits = 64),
    QCOW2(.cluster_size = 4096, .refcount_bits = 1),
    QCOW2(.cluster_size = 2 * CST_MIB),
    QCOW2(.extended_l2 = TRUE),
    QCOW2(.extended_l2 = TRUE, .cluster_size = 16384),
    QCOW2(.lazy_refcounts = TRUE),
    QCOW2(.preallocation = CST_PREALLOC_METADATA),
    QCOW2(.extended_l2 = TRUE, .preallocation = CST_PREALLOC_METADATA),
    QCOW2(.data_file = "named later"),
    QCOW2(.data_file = "named later", .data_file_raw = TRUE),
    {"vmdk", {0}},
    {"vmdk", {.cluster_size = 8192}},
    {"vmdk", {.cluster_size = CST_MIB, .adapter_type = "lsilogic"}},
    {"vmdk", {.preallocation = CST_PREALLOC_METADATA}},
    {"vmdk", {.subformat = "streamOptimized"}},
    {"vmdk", {.subformat = "streamOptimized", .cluster_size = 8192}},
    {"vmdk", {.subformat = "monolithicFlat"}},
    {"vmdk", {.subformat = "twoGbMaxExtentSparse"}},
    {"vmdk", {.subformat = "twoGbMaxExtentFlat"}},
    {"vdi", {0}},
    {"vdi", {.subformat = "static"}},
    {"vdi", {.preallocation = CST_PREALLOC_METADATA}},
    {"vpc", {0}},
    {"vpc", {.subformat = "fixed"}},
    {"vpc", {.preallocation = CST_PREALLOC_METADATA}},
    {"vhdx", {0}},
    {"vhdx", {.block_size = CST_MIB}},
    {"vhdx", {.block_size = CST_MIB, .subformat = "fixed"}},
    {"qcow", {0}},
    {"qcow", {.preallocation = CST_PREALLOC_METADATA}},
    {"qed", {0}},
    {"qed", {.cluster_size = 4096, .table_size = 1}},
    {"qed", {.preallocation = CST_PREALLOC_METADATA}},
    {"parallels", {0}},
    {"parallels", {.cluster_size = 32256}},
    {"parallels", {.cluster_size = 512}},
    {"parallels", {.preallocation = CST_PREALLOC_METADATA}},
};

/* Files of images of several files, by name; all images share one directory. */
static GHashTable *directory;

static CstBlob *directory_open(const char *name, gboolean writable, gpointer data, GError **error)
{
    CstBlob *blob = g_hash_table_lookup(directory, name);

    if (!blob)
        cst_fail(error, CST_ERROR_NOT_FOUND, "%s", name);
    return blob ? cst_blob_ref(blob) : NULL;
}

static CstBlob *directory_create(const char *name, gpointer data, GError **error)
{
    CstBlob *blob = cst_blob_memory_new(NULL, 0);

    g_hash_table_insert(directory, g_strdup(name), blob);
    return cst_blob_ref(blob);
}

static const CstImageFiles files = {directory_open, directory_create, NULL};

static CstImage *open_with(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                           CstBlob *backing, GError **error)
{
    const CstImageOpen how = {.flags = flags, .backing = backing, .files = &files};

    return cst_image_open_as(blob, format, &how, error);
}

static const CstImageFormat *format_of(const Variant *variant)
{
    return cst_image_format_find(variant->format, NULL);
}

static CstBlob *create_named(const Variant *variant, uint64_t capacity, const char *name)
{
    CstBlob *blob = cst_blob_memory_new(NULL, 0);
    CstImageCreate options = variant->options;
    g_autofree char *data_name = g_strconcat(name, ".data", NULL);
    g_autoptr(GError) error = NULL;

    options.capacity = capacity;
    options.files = &files;
    options.file_name = name;
    if (options.data_file)
        options.data_file = data_name;
    if (!cst_image_create(blob, format_of(variant), &options, NULL, &error))
        fail_msg("create: %s", error->message);
    return blob;
}

static CstBlob *create(const Variant *variant, uint64_t capacity)
{
    static unsigned number;
    g_autofree char *name = g_strdup_printf("image%u.vmdk", number++);

    return create_named(variant, capacity, name);
}

static CstImage *open_image(const Variant *variant, CstBlob *blob)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = open_with(blob, format_of(variant), CST_IMAGE_WRITE, NULL, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return image;
}

/* Opens the image as a copy does that is in progress. Intermediate growth of the file counts. */
static CstBlob *open_draft(const Variant *variant, CstBlob *blob)
{
    return cst_image_guest_blob(
        open_with(blob, format_of(variant), CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL, NULL));
}

static CstBlob *open_guest(const Variant *variant, CstBlob *blob)
{
    return cst_image_guest_blob(open_image(variant, blob));
}

static void assert_equals(CstBlob *guest, const uint8_t *model, uint64_t size)
{
    g_autofree uint8_t *seen = g_malloc(MAX(size, 1));
    uint64_t capacity = 0, at;

    assert_true(cst_blob_get_size(guest, &capacity, NULL));
    assert_int_equal(capacity, size);
    assert_true(cst_blob_pread(guest, seen, size, 0, NULL));
    at = next_difference(seen, model, 0, size);
    if (at < size)
        fail_msg("byte %" G_GUINT64_FORMAT " is %u, not %u", at, seen[at], model[at]);
}

static void random_change(GRand *rand, CstBlob *guest, uint8_t *model, uint64_t size)
{
    uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, (gint32)size);
    uint64_t length = (uint64_t)g_rand_int_range(rand, 1, g_rand_boolean(rand) ? 600 : 300000);
    int kind = g_rand_int_range(rand, 0, 6);

    if (g_rand_boolean(rand))
        offset = offset / 4096 * 4096;
    length = MIN(length, size - offset);
    memset(model + offset, kind < 3 ? g_rand_int_range(rand, 1, 256) : 0, length);
    if (kind < 3) {
        assert_true(cst_blob_pwrite(guest, model + offset, length, offset, NULL));
    } else if (kind < 5) {
        unsigned flags = kind == 3 ? CST_ZERO_MAY_UNMAP : 0;

        assert_true(cst_blob_zero(guest, offset, length, flags, NULL));
    } else {
        /* afterwards undefined, so pinned down at once */
        assert_true(cst_blob_discard(guest, offset, length, NULL));
        assert_true(cst_blob_pread(guest, model + offset, length, offset, NULL));
    }
}

static void random_work_equals_a_plain_array(void **state)
{
    enum { SIZE = 2 * 1024 * 1024 + 512 };
    g_autofree uint8_t *model = g_malloc(SIZE);

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)i);
        g_autoptr(CstBlob) blob = create(&variants[i], SIZE);

        memset(model, 0, SIZE);
        for (int round = 0; round < 3; round++) {
            g_autoptr(CstBlob) guest = open_guest(&variants[i], blob);

            assert_equals(guest, model, SIZE);
            for (int step = 0; step < 30; step++)
                random_change(rand, guest, model, SIZE);
            assert_equals(guest, model, SIZE);
            assert_extents_hold(guest, model, SIZE);
            assert_true(cst_blob_flush(guest, NULL));
        }
    }
}

/* QEMU neither makes nor opens a qcow image of capacity 0. Cistern does the same. */
static gboolean can_be(const Variant *variant, uint64_t size)
{
    return size > 0 || strcmp(variant->format, "qcow") != 0;
}

static void sizes_at_every_border_work(void **state)
{
    static const uint64_t sizes[] = {0,           512,     1024,   32768 - 512, 32768,
                                     65536 - 512, 65536,   66048,  131072,      524288,
                                     524800,      2097152, 2097664};

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(sizes); j++) {
            g_autofree uint8_t *model = g_malloc(sizes[j] + 1);
            g_autoptr(CstBlob) blob = NULL;
            g_autoptr(CstBlob) guest = NULL;

            if (!can_be(&variants[i], sizes[j]))
                continue;
            blob = create(&variants[i], sizes[j]);
            guest = open_guest(&variants[i], blob);
            memset(model, 7, sizes[j]);
            assert_true(cst_blob_pwrite(guest, model, sizes[j], 0, NULL));
            assert_equals(guest, model, sizes[j]);
            if (strcmp(variants[i].format, "raw") != 0)
                assert_false(cst_blob_pwrite(guest, "x", 1, sizes[j], NULL));
        }
    }
}

static void resize_keeps_the_content_and_adds_zeroes(void **state)
{
    enum { MOST = 3 * 1024 * 1024 };
    g_autofree uint8_t *model = g_malloc0(MOST);

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)i + 100);
        g_autoptr(CstBlob) blob = create(&variants[i], MOST / 2);
        uint64_t size = MOST / 2;

        memset(model, 0, MOST);
        for (int round = 0; round < 6; round++) {
            CstImage *image = open_image(&variants[i], blob);
            uint64_t next = (uint64_t)g_rand_int_range(rand, 1, MOST / 512) * 512;
            g_autoptr(CstBlob) guest = NULL;

            assert_true(cst_image_resize(image, next, CST_PREALLOC_OFF, NULL, NULL));
            assert_int_equal(cst_image_capacity(image), next);
            if (next < size)
                memset(model + next, 0, size - next);
            size = next;
            guest = cst_image_guest_blob(image);
            assert_equals(guest, model, size);
            for (int step = 0; step < 6; step++)
                random_change(rand, guest, model, size);
            assert_true(cst_blob_flush(guest, NULL));
        }
    }
}

/* --- several threads ----------------------------------------------------------------------- */

enum { LANES = 4, LANE = 300 * 1024 + 77, THREAD_STEPS = 40 };

typedef struct {
    CstBlob *guest;
    unsigned lane;
    uint8_t model[LANE];
} Lane;

/* Each thread has its own bytes, but neighbours share clusters at the borders. */
static void *work_in_lane(void *data)
{
    Lane *lane = data;
    g_autoptr(GRand) rand = g_rand_new_with_seed(lane->lane);
    uint64_t base = (uint64_t)lane->lane * LANE;

    for (int step = 0; step < THREAD_STEPS; step++) {
        uint32_t offset = (uint32_t)g_rand_int_range(rand, 0, LANE);
        uint32_t length = (uint32_t)g_rand_int_range(rand, 1, 90000);
        gboolean zero = g_rand_int_range(rand, 0, 4) == 0;

        length = MIN(length, LANE - offset);
        memset(lane->model + offset, zero ? 0 : g_rand_int_range(rand, 1, 256), length);
        g_assert_true(
            zero ? cst_blob_zero(lane->guest, base + offset, length, CST_ZERO_MAY_UNMAP, NULL)
                 : cst_blob_pwrite(lane->guest, lane->model + offset, length, base + offset, NULL));
        if (step % 10 == 9)
            g_assert_true(cst_blob_flush(lane->guest, NULL));
    }
    return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) blob = create(&variants[i], (LANES * LANE + 511) / 512 * 512);
        g_autoptr(CstBlob) guest = open_guest(&variants[i], blob);
        g_autofree Lane *lanes = g_new0(Lane, LANES);
        g_autofree uint8_t *seen = g_malloc(LANE);
        GThread *threads[LANES];

        for (unsigned n = 0; n < LANES; n++) {
            lanes[n].guest = guest;
            lanes[n].lane = n;
            threads[n] = g_thread_new("lane", work_in_lane, &lanes[n]);
        }
        for (unsigned n = 0; n < LANES; n++)
            g_thread_join(threads[n]);
        for (unsigned n = 0; n < LANES; n++) {
            assert_true(cst_blob_pread(guest, seen, LANE, (uint64_t)n * LANE, NULL));
            assert_memory_equal(seen, lanes[n].model, LANE);
        }
    }
}

/* --- failures ------------------------------------------------------------------------------ */

/* After a failed write the older content is intact, and the image accepts further writes. */
static void every_failing_write_is_reported_and_harmless(void **state)
{
    enum { SIZE = 512 * 1024 };
    g_autofree uint8_t *ones = g_malloc(SIZE), *seen = g_malloc(SIZE);

    memset(ones, 1, SIZE);
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        gboolean struck = TRUE;

        for (unsigned nth = 1; struck; nth++) {
            g_autoptr(CstBlob) inner = create(&variants[i], SIZE);
            g_autoptr(CstBlob) blob = cst_blob_fault_new(inner);
            g_autoptr(CstBlob) guest = open_guest(&variants[i], blob);
            gboolean ok;

            assert_true(cst_blob_pwrite(guest, ones, SIZE / 2, 0, NULL));
            assert_true(cst_blob_flush(guest, NULL));
            cst_blob_fault_arm(blob, CST_FAULT_WRITE, nth, CST_FAULT_ONCE);
            ok = cst_blob_pwrite(guest, ones, SIZE / 2, SIZE / 2, NULL) &&
                 cst_blob_flush(guest, NULL);
            struck = cst_blob_fault_struck(blob);
            assert_int_equal(ok, !struck);
            cst_blob_fault_arm(blob, CST_FAULT_WRITE, 0, CST_FAULT_ONCE);
            assert_true(cst_blob_pread(guest, seen, SIZE / 2, 0, NULL));
            assert_memory_equal(seen, ones, SIZE / 2);
            assert_true(cst_blob_pwrite(guest, ones, SIZE / 2, SIZE / 2, NULL));
            assert_true(cst_blob_flush(guest, NULL));
            assert_equals(guest, ones, SIZE);
        }
    }
}

/* --- converting ---------------------------------------------------------------------------- */

static void every_pair_of_variants_converts(void **state)
{
    enum { SIZE = 1024 * 1024 + 512 };
    g_autoptr(GRand) rand = g_rand_new_with_seed(9);
    g_autofree uint8_t *model = g_malloc0(SIZE);

    for (size_t from = 0; from < G_N_ELEMENTS(variants); from++) {
        g_autoptr(CstBlob) src_blob = create(&variants[from], SIZE);
        g_autoptr(CstBlob) src = open_guest(&variants[from], src_blob);

        memset(model, 0, SIZE);
        for (int step = 0; step < 20; step++)
            random_change(rand, src, model, SIZE);
        for (size_t to = 0; to < G_N_ELEMENTS(variants); to++) {
            g_autoptr(CstBlob) dst_blob = create(&variants[to], SIZE);
            g_autoptr(CstBlob) dst = open_guest(&variants[to], dst_blob);
            g_autoptr(CstTask) task = cst_task_new();

            assert_true(cst_blob_copy(src, 0, dst, 0, SIZE, CST_COPY_DST_ZERO, task, NULL));
            assert_int_equal(cst_task_progress(task).done, SIZE);
            assert_equals(dst, model, SIZE);
        }
    }
}

/* --- measuring ----------------------------------------------------------------------------- */

/* Of all its files. */
static uint64_t size_on_disk(CstBlob *blob)
{
    uint64_t size = 0, sum = 0;
    GHashTableIter iter;
    gpointer part;

    assert_true(cst_blob_get_size(blob, &sum, NULL));
    g_hash_table_iter_init(&iter, directory);
    while (g_hash_table_iter_next(&iter, NULL, &part)) {
        assert_true(cst_blob_get_size(part, &size, NULL));
        sum += size;
    }
    return sum;
}

/*
 * A refcount table that had to move leaves its old clusters allocated. qemu-img does not count
 * them.
 */
static uint64_t slack(const Variant *variant)
{
    uint64_t cluster = variant->options.cluster_size ? variant->options.cluster_size : 65536;

    if (variant->options.data_file) /* has the capacity of the disk, independent of its content */
        return 5 * CST_MIB + 512;
    return strcmp(variant->format, "qcow2") == 0 ? 4 * cluster : 0;
}

static void measured_sizes_hold(void **state)
{
    static const uint64_t sizes[] = {0, 512, 65536, CST_MIB + 512, 5 * CST_MIB + 512};

    for (size_t i = 0; i < G_N_ELEMENTS(variants) * G_N_ELEMENTS(sizes); i++) {
        const Variant *variant = &variants[i / G_N_ELEMENTS(sizes)];
        uint64_t size = sizes[i % G_N_ELEMENTS(sizes)], made;
        CstImageCreate options = variant->options;
        g_autofree uint8_t *noise = g_malloc(size + 1);
        g_autoptr(CstBlob) source = cst_blob_memory_new(NULL, size);
        g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)i);
        g_autoptr(CstTask) task = cst_task_new();
        CstImageMeasure empty, half, full;
        g_autoptr(CstBlob) blob = NULL;
        g_autoptr(CstBlob) guest = NULL;

        if (!can_be(variant, size) || (size == 0 && strcmp(variant->format, "qcow2") == 0))
            continue; /* qemu-img forgets the L1 table of an image of no bytes, and so do we */
        g_hash_table_remove_all(directory);
        options.capacity = size;
        options.file_name = "image.vmdk";
        assert_true(cst_image_measure(format_of(variant), &options, NULL, &empty, NULL, NULL));
        blob = create_named(variant, size, options.file_name);
        made = size_on_disk(blob);
        if (strcmp(variant->format, "qcow2") != 0)
            assert_int_equal(empty.required, made);
        assert_true(empty.required <= empty.fully_allocated);
        assert_in_range(made, 0, empty.fully_allocated + slack(variant));

        for (uint64_t at = 0; at < size; at++)
            noise[at] = (uint8_t)g_rand_int(rand);
        assert_true(cst_blob_pwrite(source, noise, size / 2, size / 4, NULL));
        assert_true(cst_image_measure(format_of(variant), &options, source, &half, task, NULL));
        assert_int_equal(cst_task_progress(task).done, size);
        assert_int_equal(half.fully_allocated, empty.fully_allocated);
        guest = open_draft(variant, blob);
        assert_true(cst_blob_copy(source, 0, guest, 0, size, CST_COPY_DST_ZERO, NULL, NULL));
        assert_true(cst_blob_flush(guest, NULL));
        assert_in_range(size_on_disk(blob), 0, half.required + slack(variant));

        assert_true(cst_blob_pwrite(source, noise, size, 0, NULL));
        assert_true(cst_image_measure(format_of(variant), &options, source, &full, NULL, NULL));
        assert_int_equal(full.required, full.fully_allocated);
        g_clear_pointer(&guest, cst_blob_unref);
        g_clear_pointer(&blob, cst_blob_unref);
        g_hash_table_remove_all(directory);
        blob = create_named(variant, size, options.file_name);
        guest = open_draft(variant, blob);
        assert_true(cst_blob_pwrite(guest, noise, size, 0, NULL));
        assert_true(cst_blob_flush(guest, NULL));
        assert_in_range(size_on_disk(blob), 0, full.required + slack(variant));
    }
}

/* --- backing ------------------------------------------------------------------------------- */

static void a_missing_backing_image_is_an_error_where_it_is_needed(void **state)
{
    const Variant overlay = QCOW2(.backing = "base", .backing_format = "raw");
    g_autoptr(CstBlob) blob = create(&overlay, CST_MIB);
    g_autoptr(CstBlob) guest = open_guest(&overlay, blob);
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *buf = g_malloc0(CST_MIB);

    assert_false(cst_blob_pread(guest, buf, 512, 0, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_INVALID));
    assert_false(cst_blob_pwrite(guest, buf, 512, 0, NULL));
    assert_true(cst_blob_pwrite(guest, buf, 65536, 65536, NULL));
    assert_true(cst_blob_pread(guest, buf, 65536, 65536, NULL));
}

static void unrequested_backing_image_is_refused(void **state)
{
    g_autoptr(CstBlob) backing = cst_blob_memory_new(NULL, 512);

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) blob = create(&variants[i], 512);

        assert_null(open_with(blob, format_of(&variants[i]), 0, backing, NULL));
    }
}

static void read_only_images_refuse_changes(void **state)
{
    for (size_t i = 1; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) blob = create(&variants[i], 65536);
        CstImage *image = open_with(blob, format_of(&variants[i]), 0, NULL, NULL);
        g_autoptr(CstBlob) guest = NULL;

        assert_non_null(image);
        assert_false(cst_image_resize(image, 512, CST_PREALLOC_OFF, NULL, NULL));
        guest = cst_image_guest_blob(image);
        assert_false(cst_blob_pwrite(guest, "x", 1, 0, NULL));
        assert_false(cst_blob_zero(guest, 0, 512, 0, NULL));
        assert_false(cst_blob_discard(guest, 0, 65536, NULL));
    }
}

static void options_that_a_format_lacks_are_refused(void **state)
{
    g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 0);
    const CstImageFormat *raw = cst_image_format_find("raw", NULL);
    const CstImageCreate bad[] = {
        {.backing = "x", .backing_format = "raw"},
        {.compat = "1.1"},
        {.cluster_size = 65536},
        {.lazy_refcounts = TRUE},
        {.extended_l2 = TRUE},
        {.preallocation = CST_PREALLOC_METADATA},
        {.capacity = UINT64_MAX},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_false(cst_image_create(blob, raw, &bad[i], NULL, NULL));
    assert_false(cst_image_create(blob, cst_image_format_find("iso", NULL), &bad[0], NULL, NULL));
}

int main(void)
{
    int failed;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_work_equals_a_plain_array),
        cmocka_unit_test(sizes_at_every_border_work),
        cmocka_unit_test(resize_keeps_the_content_and_adds_zeroes),
        cmocka_unit_test(threads_do_not_disturb_each_other),
        cmocka_unit_test(every_failing_write_is_reported_and_harmless),
        cmocka_unit_test(every_pair_of_variants_converts),
        cmocka_unit_test(measured_sizes_hold),
        cmocka_unit_test(a_missing_backing_image_is_an_error_where_it_is_needed),
        cmocka_unit_test(unrequested_backing_image_is_refused),
        cmocka_unit_test(read_only_images_refuse_changes),
        cmocka_unit_test(options_that_a_format_lacks_are_refused),
    };
    directory =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)cst_blob_unref);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    g_hash_table_unref(directory);
    return failed;
}
