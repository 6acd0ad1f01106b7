/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Preallocation of new images and of added capacity, in every format that supports it. Each block
 * has its place, the image is sound and closed, and the task has counted the work.
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
#include <image/image.h>

#include "same.h"

enum { SIZE = 6 * CST_MIB };

typedef struct {
    const char *format;
    CstPreallocation first; /* kind that it has, and all after it */
    CstImageCreate options;
} Variant;

static const Variant variants[] = {
    {"raw", CST_PREALLOC_FALLOC, {0}},
    {"qcow2", CST_PREALLOC_METADATA, {0}},
    {"qcow2", CST_PREALLOC_METADATA, {.cluster_size = 512}},
    {"qcow2", CST_PREALLOC_METADATA, {.cluster_size = 16384, .extended_l2 = TRUE}},
    {"qcow2", CST_PREALLOC_METADATA, {.compat = "0.10"}},
    {"vdi", CST_PREALLOC_METADATA, {0}},
    {"vpc", CST_PREALLOC_METADATA, {0}},
    {"vpc", CST_PREALLOC_METADATA, {.subformat = "fixed"}},
    {"vhdx", CST_PREALLOC_METADATA, {.block_size = CST_MIB}},
    {"vhdx", CST_PREALLOC_METADATA, {.block_size = CST_MIB, .subformat = "fixed"}},
    {"qcow", CST_PREALLOC_METADATA, {0}},
    {"qed", CST_PREALLOC_METADATA, {.cluster_size = 65536}},
    {"parallels", CST_PREALLOC_METADATA, {0}},
};

static const CstImageFormat *format_of(const Variant *variant)
{
    return cst_image_format_find(variant->format, NULL);
}

static gboolean create(const Variant *variant, CstBlob *blob, uint64_t capacity,
                       CstPreallocation preallocation, CstTask *task, GError **error)
{
    CstImageCreate options = variant->options;

    options.capacity = capacity;
    options.preallocation = preallocation;
    return cst_image_create(blob, format_of(variant), &options, task, error);
}

static void fail_variant(const Variant *variant, CstPreallocation preallocation, const char *what)
{
    fail_msg("%s %s with preallocation %d: %s", variant->format,
             variant->options.subformat ? variant->options.subformat : "", (int)preallocation,
             what);
}

/* Whether the format counts blocks that it only enters into its tables. */
static gboolean counts_entries(const Variant *variant)
{
    return strcmp(variant->format, "qcow2") == 0;
}

/* Asserts that the task has counted @length preallocated bytes. */
static void assert_told(const Variant *variant, CstPreallocation preallocation, CstTask *task,
                        uint64_t length)
{
    gboolean told = preallocation > CST_PREALLOC_METADATA || counts_entries(variant);

    if (cst_task_progress(task).done != (told ? length : 0))
        fail_variant(variant, preallocation, "the task was told something else");
}

static void assert_preallocated(const Variant *variant, CstPreallocation preallocation,
                                CstBlob *blob)
{
    g_autoptr(CstBlob) guest = NULL;
    g_autofree uint8_t *bytes = g_malloc(SIZE);
    g_auto(CstImageInfo) info = {0};
    CstImageCheck found = {0};

    assert_true(cst_image_inspect(blob, format_of(variant), &info, NULL));
    if (info.dirty)
        fail_variant(variant, preallocation, "it was not closed");
    if (cst_image_check(blob, format_of(variant), 0, &found, NULL, NULL) &&
        (found.errors > 0 || found.leaks > 0 || found.allocated_clusters < found.total_clusters))
        fail_variant(variant, preallocation, "errors, leaks, or blocks without a place");
    if (preallocation == CST_PREALLOC_FULL && cst_blob_sparse_used(blob) < SIZE)
        fail_variant(variant, preallocation, "not all was written");
    guest = cst_image_guest_blob(cst_image_open(blob, format_of(variant), 0, NULL, NULL));
    assert_true(cst_blob_pread(guest, bytes, SIZE, 0, NULL));
    assert_true(is_all(bytes, SIZE, 0));
}

static void a_new_image_is_preallocated_and_closed(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        for (CstPreallocation how = variants[i].first; how <= CST_PREALLOC_FULL; how++) {
            g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
            g_autoptr(CstTask) task = cst_task_new();
            g_autoptr(GError) error = NULL;

            if (!create(&variants[i], blob, SIZE, how, task, &error))
                fail_variant(&variants[i], how, error->message);
            assert_told(&variants[i], how, task, SIZE);
            assert_preallocated(&variants[i], how, blob);
        }
    }
}

static void added_capacity_is_preallocated_and_the_image_is_closed(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        for (CstPreallocation how = variants[i].first; how <= CST_PREALLOC_FULL; how++) {
            g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
            g_autoptr(CstTask) task = cst_task_new();
            g_autoptr(GError) error = NULL;
            CstImage *image;

            assert_true(create(&variants[i], blob, SIZE / 3, how, NULL, NULL));
            image = cst_image_open(blob, format_of(&variants[i]), CST_IMAGE_WRITE, NULL, NULL);
            if (!cst_image_resize(image, SIZE, how, task, &error))
                fail_variant(&variants[i], how, error->message);
            cst_image_free(image);
            assert_told(&variants[i], how, task, SIZE - SIZE / 3);
            assert_preallocated(&variants[i], how, blob);
        }
    }
}

static void preallocation_can_be_cancelled(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
        g_autoptr(CstTask) task = cst_task_new();
        g_autoptr(GError) error = NULL;

        cst_task_cancel(task);
        assert_false(create(&variants[i], blob, SIZE, CST_PREALLOC_FULL, task, &error));
        if (!g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED))
            fail_variant(&variants[i], CST_PREALLOC_FULL, error->message);
    }
}

/* Returns FALSE when the operation makes fewer than @nth changes. */
static gboolean fail_change(const Variant *variant, CstPreallocation how, unsigned nth)
{
    g_autoptr(CstBlob) inner = cst_blob_sparse_new(0), blob = cst_blob_fault_new(inner);
    g_autoptr(GError) error = NULL;
    gboolean done;

    cst_blob_fault_arm(blob, CST_FAULT_WRITE, nth, CST_FAULT_ONCE);
    done = create(variant, blob, SIZE, how, NULL, &error);
    if (done == cst_blob_fault_struck(blob))
        fail_variant(variant, how, done ? "nobody was told of a failure" : error->message);
    if (!done && !g_error_matches(error, CST_ERROR, CST_ERROR_IO))
        fail_variant(variant, how, error->message);
    return !done;
}

static void preallocation_fails_with_the_storage(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        for (CstPreallocation how = variants[i].first; how <= CST_PREALLOC_FULL; how++)
            for (unsigned nth = 1; fail_change(&variants[i], how, nth);)
                nth += 1 + nth / 8;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_image_is_preallocated_and_closed),
        cmocka_unit_test(added_capacity_is_preallocated_and_the_image_is_closed),
        cmocka_unit_test(preallocation_can_be_cancelled),
        cmocka_unit_test(preallocation_fails_with_the_storage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
