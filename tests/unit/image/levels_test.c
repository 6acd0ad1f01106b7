/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Images of two levels of tables (qcow of version 1, QED): damage and its repair, and QED's mark
 * that an image needs a check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <image/backing.h>
#include <image/image.h>

#include "bytes.h"
#include "listed.h"

enum { SIZE = 4 * 1024 * 1024, AT_FEATURES = 16, NEED_CHECK = 2 };

typedef struct {
    const char *format;
    CstImageCreate options;
    uint64_t cluster, l1;
} Variant;

static const Variant variants[] = {
    {"qcow", {.capacity = SIZE}, 4096, 48},
    {"qed", {.capacity = SIZE, .cluster_size = 4096, .table_size = 1}, 4096, 4096},
};

static const CstImageFormat *format_of(const Variant *variant)
{
    return cst_image_format_find(variant->format, NULL);
}

static uint64_t get(const Variant *variant, CstBlob *blob, uint64_t at)
{
    uint8_t raw[8];

    assert_true(cst_blob_pread(blob, raw, sizeof(raw), at, NULL));
    return variant->format[1] == 'c' ? cst_be64(raw) : cst_le64(raw);
}

static void put(const Variant *variant, CstBlob *blob, uint64_t at, uint64_t value)
{
    uint8_t raw[8];

    if (variant->format[1] == 'c')
        cst_put_be64(raw, value);
    else
        cst_put_le64(raw, value);
    assert_true(cst_blob_pwrite(blob, raw, sizeof(raw), at, NULL));
}

static CstBlob *open_guest(const Variant *variant, CstBlob *blob, unsigned flags)
{
    CstImage *image = cst_image_open(blob, format_of(variant), flags, NULL, NULL);

    return image ? cst_image_guest_blob(image) : NULL;
}

/* Clusters 0 to 3 hold 1 to 4, and the first one of the second table 5. */
static CstBlob *make(const Variant *variant)
{
    CstBlob *blob = cst_blob_memory_new(NULL, 0);
    g_autoptr(CstBlob) guest = NULL;
    uint8_t cluster[4096];

    assert_true(cst_image_create(blob, format_of(variant), &variant->options, NULL, NULL));
    guest = open_guest(variant, blob, CST_IMAGE_WRITE);
    for (uint64_t i = 0; i < 5; i++) {
        memset(cluster, (int)i + 1, sizeof(cluster));
        assert_true(
            cst_blob_pwrite(guest, cluster, sizeof(cluster), i < 4 ? i * 4096 : SIZE / 2, NULL));
    }
    assert_true(cst_blob_flush(guest, NULL));
    return blob;
}

static uint8_t byte_at(CstBlob *guest, uint64_t at)
{
    uint8_t byte = 0xff;

    assert_true(cst_blob_pread(guest, &byte, 1, at, NULL));
    return byte;
}

static CstImageCheck check(const Variant *variant, CstBlob *blob, unsigned flags)
{
    return check_listed(blob, format_of(variant), flags);
}

static void a_sound_image_has_nothing_to_repair(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) blob = make(&variants[i]);
        CstImageCheck found = check(&variants[i], blob, 0);

        assert_int_equal(found.errors, 0);
        assert_int_equal(found.leaks, 0);
        assert_int_equal(found.allocated_clusters, 5);
        assert_int_equal(found.total_clusters, SIZE / 4096);
    }
}

/* Both keep what they read as; what leads nowhere is cleared; what is left over is found. */
static void damage_is_found_and_repaired(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant);
        g_autoptr(CstBlob) guest = NULL;
        uint64_t table = get(variant, blob, variant->l1);
        CstImageCheck found;

        put(variant, blob, table + 8, get(variant, blob, table)); /* 1 is where 0 is */
        put(variant, blob, table + 16, UINT64_C(1) << 40);        /* 2 is nowhere */
        put(variant, blob, table + 24, table);                    /* 3 is the table itself */
        found = check(variant, blob, 0);
        assert_int_equal(found.errors, 3);
        assert_int_equal(found.leaks, 3);
        assert_int_equal(check(variant, blob, CST_CHECK_REPAIR_LEAKS).leaks_fixed, 0);
        found = check(variant, blob, CST_CHECK_REPAIR_ALL);
        assert_int_equal(found.errors_fixed, 3);
        assert_int_equal(found.leaks_fixed, found.leaks);
        found = check(variant, blob, 0);
        assert_int_equal(found.errors + found.leaks, 0);
        guest = open_guest(variant, blob, 0);
        assert_int_equal(byte_at(guest, 0), 1);
        assert_int_equal(byte_at(guest, 4096), 1);
        assert_int_equal(byte_at(guest, 2 * 4096), 0);
        assert_int_equal(byte_at(guest, SIZE / 2), 5);
    }
}

static void a_table_that_is_shared_is_copied(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant);
        g_autoptr(CstBlob) guest = NULL;
        CstImageCheck found;

        put(variant, blob, variant->l1 + 8, get(variant, blob, variant->l1));
        assert_int_equal(check(variant, blob, 0).errors, 1);
        found = check(variant, blob, CST_CHECK_REPAIR_ALL);
        assert_int_equal(found.errors_fixed, 1);
        assert_int_equal(check(variant, blob, 0).errors, 0);
        guest = open_guest(variant, blob, CST_IMAGE_WRITE);
        assert_int_equal(byte_at(guest, SIZE / 2), 1);
        assert_true(cst_blob_pwrite(guest, "x", 1, SIZE / 2, NULL));
        assert_int_equal(byte_at(guest, 0), 1);
    }
}

static void leaks_are_closed_by_moving_what_is_behind(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant);
        g_autoptr(CstBlob) guest = NULL;
        uint64_t table = get(variant, blob, variant->l1), before = 0, after = 0;

        put(variant, blob, table, 0);
        put(variant, blob, table + 8, 0);
        assert_true(cst_blob_get_size(blob, &before, NULL));
        assert_int_equal(check(variant, blob, CST_CHECK_REPAIR_LEAKS).leaks_fixed, 2);
        assert_true(cst_blob_get_size(blob, &after, NULL));
        assert_int_equal(before - after, 2 * 4096);
        guest = open_guest(variant, blob, 0);
        assert_int_equal(byte_at(guest, 2 * 4096), 3);
        assert_int_equal(byte_at(guest, 3 * 4096), 4);
        assert_int_equal(byte_at(guest, SIZE / 2), 5);
    }
}

/* --- QED's mark --------------------------------------------------------------------------------
 */

static gboolean needs_check(CstBlob *blob)
{
    return (get(&variants[1], blob, AT_FEATURES) & NEED_CHECK) != 0;
}

static void qed_needs_a_check_while_it_is_written(void **state)
{
    g_autoptr(CstBlob) blob = make(&variants[1]);
    g_autoptr(CstBlob) guest = open_guest(&variants[1], blob, CST_IMAGE_WRITE);

    assert_false(needs_check(blob));
    assert_true(cst_blob_pwrite(guest, "x", 1, 0, NULL)); /* in its place: no table changes */
    assert_false(needs_check(blob));
    assert_true(cst_blob_pwrite(guest, "x", 1, SIZE - 1, NULL));
    assert_true(needs_check(blob));
    g_clear_pointer(&guest, cst_blob_unref);
    assert_false(needs_check(blob));
}

static void qed_is_repaired_when_it_is_opened_for_writing(void **state)
{
    const Variant *qed = &variants[1];
    g_autoptr(CstBlob) blob = make(qed);
    g_autoptr(CstBlob) guest = NULL;
    uint64_t table = get(qed, blob, qed->l1);

    put(qed, blob, table + 8, get(qed, blob, table));
    put(qed, blob, AT_FEATURES, NEED_CHECK);
    guest = open_guest(qed, blob, 0);
    assert_int_equal(byte_at(guest, 4096), 1);
    g_clear_pointer(&guest, cst_blob_unref);
    assert_true(needs_check(blob));
    guest = open_guest(qed, blob, CST_IMAGE_WRITE);
    assert_false(needs_check(blob));
    assert_true(cst_blob_pwrite(guest, "x", 1, 4096, NULL));
    assert_int_equal(byte_at(guest, 0), 1);
    g_clear_pointer(&guest, cst_blob_unref);

    put(qed, blob, AT_FEATURES, NEED_CHECK);
    check(qed, blob, 0);
    assert_true(needs_check(blob));
    check(qed, blob, CST_CHECK_REPAIR_LEAKS);
    assert_false(needs_check(blob));
}

/* --- what is below -----------------------------------------------------------------------------
 */

static void the_backing_file_changes_in_one_step(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant);
        static const char *const names[] = {"first", "second one", NULL};

        for (size_t j = 0; j < G_N_ELEMENTS(names); j++) {
            g_autoptr(CstImage) image =
                cst_image_open(blob, format_of(variant), CST_IMAGE_WRITE, NULL, NULL);
            g_auto(CstImageInfo) info = {0};

            assert_true(
                cst_image_set_backing(image, names[j], names[j] ? "qcow2" : NULL, NULL, NULL));
            assert_true(cst_image_inspect(blob, NULL, &info, NULL));
            assert_int_equal(g_strcmp0(info.backing, names[j]), 0);
            assert_int_equal(check(variant, blob, 0).errors, 0);
        }
    }
}

static void what_goes_with_a_backing_file_is_bounded(void **state)
{
    g_autofree char *longest = g_strnfill(1023, 'n'), *too_long = g_strnfill(1024, 'n');

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant), other = cst_blob_memory_new(NULL, 0);
        CstImageCreate options = variant->options;

        for (int valid = 0; valid < 2; valid++) {
            g_autoptr(CstImage) image =
                cst_image_open(blob, format_of(variant), CST_IMAGE_WRITE, NULL, NULL);
            g_autoptr(GError) changed = NULL, created = NULL;

            options.backing = valid ? longest : too_long;
            options.backing_format = "raw";
            assert_int_equal(cst_image_set_backing(image, options.backing, "raw", NULL, &changed),
                             valid);
            assert_int_equal(cst_image_create(other, format_of(variant), &options, NULL, &created),
                             valid);
            if (valid)
                continue;
            assert_int_equal(changed->code, CST_ERROR_LIMIT);
            assert_int_equal(created->code, CST_ERROR_LIMIT);
        }
        options.preallocation = CST_PREALLOC_METADATA;
        assert_false(cst_image_create(other, format_of(variant), &options, NULL, NULL));
    }
}

static void a_table_behind_the_end_of_the_file_is_not_written_to(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant);
        g_autoptr(GError) error = NULL;

        assert_true(cst_blob_resize(blob, variant->l1 + 8, NULL));
        assert_null(cst_image_open(blob, format_of(variant), CST_IMAGE_WRITE, NULL, &error));
        assert_int_equal(error->code, CST_ERROR_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_image_has_nothing_to_repair),
        cmocka_unit_test(damage_is_found_and_repaired),
        cmocka_unit_test(a_table_that_is_shared_is_copied),
        cmocka_unit_test(leaks_are_closed_by_moving_what_is_behind),
        cmocka_unit_test(qed_needs_a_check_while_it_is_written),
        cmocka_unit_test(qed_is_repaired_when_it_is_opened_for_writing),
        cmocka_unit_test(the_backing_file_changes_in_one_step),
        cmocka_unit_test(what_goes_with_a_backing_file_is_bounded),
        cmocka_unit_test(a_table_behind_the_end_of_the_file_is_not_written_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
