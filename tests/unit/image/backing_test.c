/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The reference to a backing image in the header of qcow2, in all layouts, at each step of a
 * change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <blob/power.h>
#include <blob/sparse.h>
#include <image/backing.h>
#include <image/bitmap.h>

enum { SIZE = 700 * 1024 };

static char long_name[1000];

static const CstImageFormat *format(const char *name)
{
    return cst_image_format_find(name, NULL);
}

/* A shorter or other table of feature names than ours, as versions of QEMU have written. */
static void replace_features(CstBlob *blob, unsigned entries)
{
    uint8_t table[8 + 48 * 10] = {
        0x68, 0x03, 0xf8, 0x57, 0, 0, (uint8_t)(entries * 48 >> 8), (uint8_t)(entries * 48)};

    for (unsigned i = 0; i < entries; i++)
        memset(table + 8 + (size_t)i * 48, 'a' + (int)i, 48);
    assert_true(cst_blob_pwrite(blob, table, sizeof(table), 112, NULL)); /* zeroes end it */
}

static void set(CstBlob *blob, const char *name, const char *fmt)
{
    CstImage *image = cst_image_open(blob, format("qcow2"), CST_IMAGE_WRITE, NULL, NULL);
    g_autoptr(GError) error = NULL;

    assert_non_null(image);
    if (!cst_image_set_backing(image, name, fmt, NULL, &error))
        fail_msg("set: %s", error->message);
    cst_image_free(image);
}

/* The image has the old or the new reference. */
static void expect_either(CstBlob *power, const CstImageInfo *before, const CstImageInfo *after)
{
    for (unsigned step = 0; step <= cst_blob_power_steps(power); step++)
        for (uint32_t chance = 0; chance < 3; chance++) {
            g_autoptr(CstBlob) left = cst_blob_power_crash(power, step, chance, NULL);
            g_auto(CstImageInfo) info = {0};
            gboolean was, is;

            assert_true(cst_image_inspect(left, NULL, &info, NULL));
            assert_null(info.problem);
            was = g_strcmp0(info.backing, before->backing) == 0 &&
                  g_strcmp0(info.backing_format, before->backing_format) == 0;
            is = g_strcmp0(info.backing, after->backing) == 0 &&
                 g_strcmp0(info.backing_format, after->backing_format) == 0;
            assert_true(was || is);
            assert_int_equal(info.capacity, before->capacity);
        }
}

static void change_once(CstBlob *blob, const char *name, const char *fmt)
{
    g_autoptr(CstBlob) power = cst_blob_power_new(blob, NULL);
    g_auto(CstImageInfo) before = {0}, after = {0};
    CstImageCheck check;

    assert_true(cst_image_inspect(blob, NULL, &before, NULL));
    set(power, name, fmt);
    assert_true(cst_image_inspect(power, NULL, &after, NULL));
    assert_int_equal(g_strcmp0(after.backing, name), 0);
    assert_int_equal(g_strcmp0(after.backing_format, fmt), 0);
    expect_either(power, &before, &after);
    assert_true(cst_image_check(power, format("qcow2"), 0, &check, NULL, NULL));
    assert_int_equal(check.errors + check.leaks, 0);
}

/* Changes the reference several times. After a power cut each change is complete or absent. */
static void test_the_reference_changes_at_once(void **state)
{
    static const char *const names[] = {
        "a", "new", NULL, long_name, "a/longer/name/of/a/file", long_name, NULL};
    static const char *const formats[] = {"raw", "parallels", "qcow2", "vpc"};

    memset(long_name, 'n', sizeof(long_name) - 1);
    for (guint32 seed = 0; seed < 200; seed++) {
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
        const CstImageCreate options = {.capacity = SIZE, .compat = seed % 7 ? "1.1" : "0.10"};
        GRand *rand = g_rand_new_with_seed(seed);

        assert_true(cst_image_create(blob, format("qcow2"), &options, NULL, NULL));
        if (seed % 7 && seed % 2)
            replace_features(blob, seed % 9);
        for (int i = 0; i < 5; i++) {
            const char *name = names[g_rand_int_range(rand, 0, G_N_ELEMENTS(names))];
            const char *fmt = formats[g_rand_int_range(rand, 0, G_N_ELEMENTS(formats))];

            change_once(blob, name, name ? fmt : NULL);
        }
        g_rand_free(rand);
    }
}

/* Where one write can't do it, it is not done. */
static void test_long_reference_without_room_is_reported(void **state)
{
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    const CstImageCreate options = {.capacity = SIZE, .cluster_size = 512};
    g_autoptr(GError) error = NULL;
    g_auto(CstImageInfo) info = {0};
    CstImage *image;

    memset(long_name, 'n', sizeof(long_name) - 1);
    assert_true(cst_image_create(blob, format("qcow2"), &options, NULL, NULL));
    image = cst_image_open(blob, format("qcow2"), CST_IMAGE_WRITE, NULL, NULL);
    assert_false(cst_image_set_backing(image, long_name, "raw", NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_LIMIT));
    assert_true(cst_image_set_backing(image, "b", "raw", NULL, NULL));
    cst_image_free(image);
    assert_true(cst_image_inspect(blob, NULL, &info, NULL));
    assert_string_equal(info.backing, "b");
}

static const uint8_t *extension(const uint8_t *head, uint32_t wanted, uint64_t *ret_at)
{
    for (uint64_t at = 112; at < 1000;) {
        uint32_t type = GUINT32_FROM_BE(*(const uint32_t *)(head + at));
        uint32_t len = GUINT32_FROM_BE(*(const uint32_t *)(head + at + 4));

        *ret_at = at;
        if (type == wanted)
            return head + at + 8;
        if (type == 0)
            return NULL;
        at += 8 + (len + 7) / 8 * 8;
    }
    return NULL;
}

static gboolean names_features(CstBlob *blob)
{
    _Alignas(8) uint8_t head[1024];
    const uint8_t *table;
    uint64_t at = 0;

    assert_true(cst_blob_pread(blob, head, sizeof(head), 0, NULL));
    table = extension(head, 0x6803f857, &at);
    if (!table)
        return FALSE;
    assert_int_equal(GUINT32_FROM_BE(*(const uint32_t *)(table - 4)), 8 * 48);
    assert_string_equal((const char *)table + 2, "dirty bit");
    assert_int_equal(table[7 * 48], 2);
    assert_string_equal((const char *)table + 7 * 48 + 2, "raw external data");
    return TRUE;
}

/* The pointer to the bitmaps has to lie in the first sector, so the names make room for it. */
static void test_names_of_features_stay(void **state)
{
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    const CstImageCreate options = {
        .capacity = SIZE, .backing = "base", .backing_format = "raw", .cluster_size = 4096};
    _Alignas(8) uint8_t head[1024];
    uint64_t at = 0;
    CstImage *image;

    assert_true(cst_image_create(blob, format("qcow2"), &options, NULL, NULL));
    assert_true(names_features(blob));
    image = cst_image_open(blob, format("qcow2"), CST_IMAGE_WRITE, NULL, NULL);
    assert_true(cst_image_bitmap_add(image, "b", 65536, TRUE, NULL));
    assert_true(names_features(blob));
    assert_true(cst_blob_pread(blob, head, sizeof(head), 0, NULL));
    assert_non_null(extension(head, 0x23852875, &at));
    assert_in_range(at, 112, 512 - 32);
    assert_true(cst_image_set_backing(image, "another", "qcow2", NULL, NULL));
    assert_true(names_features(blob));
    cst_image_free(image);
}

/* A cluster of 512 bytes has room for the feature names or for a long reference. */
static void test_names_of_features_give_way(void **state)
{
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    CstImageCreate options = {.capacity = SIZE, .cluster_size = 512};
    g_autoptr(GPtrArray) bitmaps = NULL;
    CstImage *image;

    assert_true(cst_image_create(blob, format("qcow2"), &options, NULL, NULL));
    assert_true(names_features(blob));
    image = cst_image_open(blob, format("qcow2"), CST_IMAGE_WRITE, NULL, NULL);
    assert_true(cst_image_bitmap_add(image, "b", 65536, TRUE, NULL));
    bitmaps = cst_image_bitmap_list(image, NULL);
    assert_int_equal(bitmaps->len, 1);
    cst_image_free(image);
    assert_false(names_features(blob));
    options.backing = "base";
    options.backing_format = "raw";
    assert_true(cst_image_create(blob, format("qcow2"), &options, NULL, NULL));
    assert_false(names_features(blob));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_reference_changes_at_once),
        cmocka_unit_test(test_long_reference_without_room_is_reported),
        cmocka_unit_test(test_names_of_features_stay),
        cmocka_unit_test(test_names_of_features_give_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
