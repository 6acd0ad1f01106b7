/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bitmaps under failures: an incomplete bitmap must not be reported as consistent. */
#include <base/units.h>
#include <blob/fault.h>
#include <blob/power.h>
#include <blob/sparse.h>
#include <image/bitmap.h>

#include "qcow2_images.h"

enum { SIZE = 8 * 1024 * 1024 };

/* The bitmaps in one line; "!" marks the inconsistent ones, "-" the disabled. */
static char *look(CstBlob *blob)
{
    g_autoptr(CstImage) image = open_image(blob, 0);
    g_autoptr(GPtrArray) list = cst_image_bitmap_list(image, NULL);
    GString *text = g_string_new(NULL);

    assert_non_null(list);
    for (guint i = 0; i < list->len; i++) {
        const CstImageBitmap *bitmap = list->pdata[i];

        g_string_append_printf(text, "%s%s%s ", bitmap->name, bitmap->enabled ? "" : "-",
                               bitmap->inconsistent ? "!" : "");
    }
    return g_string_free(text, FALSE);
}

/* --- steps --------------------------------------------------------------------------------- */

static gboolean add_a(CstImage *image, GError **error)
{
    return cst_image_bitmap_add(image, "a", 0, TRUE, error);
}

static gboolean add_b(CstImage *image, GError **error)
{
    return cst_image_bitmap_add(image, "b", 512, FALSE, error);
}

static gboolean disable_a(CstImage *image, GError **error)
{
    return cst_image_bitmap_enable(image, "a", FALSE, error);
}

static gboolean merge_b(CstImage *image, GError **error)
{
    return cst_image_bitmap_merge(image, "b", image, "a", error);
}

static gboolean clear_a(CstImage *image, GError **error)
{
    return cst_image_bitmap_clear(image, "a", error);
}

static gboolean enable_a(CstImage *image, GError **error)
{
    return cst_image_bitmap_enable(image, "a", TRUE, error);
}

static gboolean remove_b(CstImage *image, GError **error)
{
    return cst_image_bitmap_remove(image, "b", error);
}

static gboolean remove_a(CstImage *image, GError **error)
{
    return cst_image_bitmap_remove(image, "a", error);
}

typedef struct {
    gboolean (*take)(CstImage *image, GError **error);
    const char *after;
} Step;

static const Step steps[] = {
    {add_a, "a "},       {add_b, "a b- "},    {disable_a, "a- b- "}, {merge_b, "a- b- "},
    {clear_a, "a- b- "}, {enable_a, "a b- "}, {remove_b, "a "},      {add_b, "a b- "},
    {remove_a, "b- "},   {remove_b, ""},      {add_a, "a "},
};

static gboolean take(CstBlob *blob, const Step *step)
{
    g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE);

    return step->take(image, NULL);
}

static CstBlob *make(const CstImageCreate *options)
{
    CstBlob *blob = cst_blob_sparse_new(0);

    assert_true(cst_image_create(blob, qcow2(), options, NULL, NULL));
    return blob;
}

static const CstImageCreate variants[] = {
    {.capacity = SIZE},
    {.capacity = SIZE, .cluster_size = 4096},
};

static void assert_whole(CstBlob *blob, const Step *step)
{
    g_autoptr(CstBlob) power = cst_blob_power_new(blob, NULL);
    g_autofree char *before = look(blob), *after = NULL;
    unsigned count;

    assert_true(take(power, step));
    count = cst_blob_power_steps(power);
    after = look(blob);
    assert_string_equal(after, step->after);
    for (unsigned at = 0; at <= count; at++) {
        for (guint32 seed = 0; seed < 4; seed++) {
            g_autoptr(CstBlob) left = cst_blob_power_crash(power, at, seed, NULL);
            g_autofree char *now = look(left);

            assert_sound(left, TRUE);
            assert_true(strcmp(now, before) == 0 || strcmp(now, after) == 0);
            if (at == count)
                assert_string_equal(now, after);
        }
    }
    assert_sound(blob, FALSE);
}

static void a_power_cut_leaves_the_old_or_the_new(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) blob = make(&variants[i]);

        for (size_t j = 0; j < G_N_ELEMENTS(steps); j++)
            assert_whole(blob, &steps[j]);
    }
}

/* Our header has the extension directly after its 112 bytes, followed by the feature names. */
enum { EXT = 112, EXT_BYTES = 32, COUNT = EXT + 8, DIR_SIZE_AT = EXT + 16, DIR_AT = EXT + 24 };
enum { NAMES_BYTES = 8 + 8 * 48 };

/* As QEMU writes the header: the extension's head is the end of the first sector, the rest is in
 * the second one. */
static void put_names_first(CstBlob *blob)
{
    uint8_t both[EXT_BYTES + NAMES_BYTES];

    assert_true(cst_blob_pread(blob, both, sizeof(both), EXT, NULL));
    assert_true(cst_blob_pwrite(blob, both + EXT_BYTES, NAMES_BYTES, EXT, NULL));
    assert_true(cst_blob_pwrite(blob, both, EXT_BYTES, EXT + NAMES_BYTES, NULL));
    assert_int_equal(EXT + NAMES_BYTES + 8, 512);
}

static void a_power_cut_leaves_the_old_or_the_new_in_a_header_of_qemu(void **state)
{
    g_autoptr(CstBlob) blob = make(&variants[0]);

    assert_true(take(blob, &steps[0]));
    put_names_first(blob);
    for (size_t j = 1; steps[j].take != remove_a; j++)
        assert_whole(blob, &steps[j]);
}

static void failing_call_leaves_the_old_bitmaps_the_new_ones_or_an_empty_list(void **state)
{
    const CstFaultKind kinds[] = {CST_FAULT_READ, CST_FAULT_WRITE, CST_FAULT_TORN, CST_FAULT_FLUSH};
    g_autoptr(CstBlob) blob = make(&variants[0]);

    for (size_t j = 0; j < G_N_ELEMENTS(steps); j++) {
        g_autofree char *before = look(blob);

        for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
            gboolean struck = TRUE;

            for (unsigned nth = 1; struck; nth++) {
                g_autoptr(CstBlob) copy = cst_blob_sparse_copy(blob);
                g_autoptr(CstBlob) fault = cst_blob_fault_new(copy);
                CstImage *image = open_image(fault, CST_IMAGE_WRITE);
                g_autofree char *now = NULL;

                cst_blob_fault_arm(fault, kinds[k], nth, CST_FAULT_ONCE);
                steps[j].take(image, NULL);
                struck = cst_blob_fault_struck(fault);
                cst_image_free(image); /* the disk works again: no harmful write may follow */
                now = look(copy);
                assert_sound(copy, TRUE);
                assert_true(strcmp(now, before) == 0 || strcmp(now, steps[j].after) == 0 ||
                            *now == '\0');
            }
        }
        assert_true(take(blob, &steps[j]));
    }
}

/* --- consistency --------------------------------------------------------------------------- */

static void first_write_marks_enabled_bitmaps_in_use(void **state)
{
    g_autoptr(CstBlob) blob = make(&variants[0]);
    CstImage *image = open_image(blob, CST_IMAGE_WRITE);
    g_autoptr(CstBlob) guest = NULL;
    g_autofree char *during = NULL, *after = NULL;

    assert_true(add_a(image, NULL));
    assert_true(add_b(image, NULL));
    guest = cst_image_guest_blob(image);
    assert_true(cst_blob_pwrite(guest, "x", 1, 0, NULL));
    during = look(blob); /* before anything is flushed */
    assert_string_equal(during, "a! b- ");
    g_clear_pointer(&guest, cst_blob_unref);
    image = open_image(blob, CST_IMAGE_WRITE);
    assert_true(remove_a(image, NULL));
    assert_true(add_a(image, NULL));
    guest = cst_image_guest_blob(image);
    assert_true(cst_blob_zero(guest, 0, 65536, 0, NULL));
    after = look(blob); /* the new one as well */
    assert_string_equal(after, "b- a! ");
}

static void damaged_directories_are_refused_and_dropped_by_writers(void **state)
{
    static const struct {
        uint64_t at; /* in the header, or in the directory from 1 << 20 on */
        uint32_t value;
    } damages[] = {
        {COUNT, 0},
        {COUNT, 65536},
        {COUNT, 2},
        {DIR_SIZE_AT, 1},
        {DIR_SIZE_AT + 4, 24},
        {DIR_AT, 1},
        {DIR_AT + 4, 512},
        {(1 << 20) + 16, 0x01100000}, /* no name */
        {(1 << 20) + 20, 0x7fffffff}, /* extra data beyond the end */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autoptr(CstBlob) blob = make(&variants[0]);
        CstImage *image = open_image(blob, CST_IMAGE_WRITE);
        g_autoptr(CstBlob) guest = NULL;
        g_autofree char *left = NULL;
        g_autoptr(GError) error = NULL;
        uint64_t at = damages[i].at;
        CstImageCheck check;

        assert_true(add_a(image, NULL));
        cst_image_free(image);
        put32(blob, at < 1 << 20 ? at : get64(blob, DIR_AT) + at - (1 << 20), damages[i].value);
        image = open_image(blob, CST_IMAGE_WRITE);
        assert_null(cst_image_bitmap_list(image, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
        assert_false(add_b(image, NULL));
        assert_true(cst_image_check(blob, qcow2(), 0, &check, NULL, NULL));
        assert_true(check.errors > 0);
        guest = cst_image_guest_blob(image);
        assert_true(cst_blob_pwrite(guest, "x", 1, 0, NULL));
        left = look(blob);
        assert_string_equal(left, "");
    }
}

static void damaged_tables_are_refused(void **state)
{
    g_autoptr(CstBlob) blob = make(&variants[0]);
    CstImage *image = open_image(blob, CST_IMAGE_WRITE);
    g_autoptr(GError) error = NULL;
    uint64_t table;

    assert_true(add_a(image, NULL));
    cst_image_free(image);
    table = get64(blob, get64(blob, DIR_AT));
    put32(blob, table + 4, 512); /* inside of a cluster */
    image = open_image(blob, CST_IMAGE_WRITE);
    assert_false(clear_a(image, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    g_clear_error(&error);
    assert_false(remove_a(image, &error));
    put32(blob, table + 4, 0);
    put32(blob, table, 0x400000); /* outside of the file */
    g_clear_error(&error);
    assert_false(remove_a(image, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    cst_image_free(image);
}

/* --- another size -------------------------------------------------------------------------- */

static char *look_with_size(CstBlob *blob)
{
    g_autoptr(CstImage) image = open_image(blob, 0);
    g_autofree char *bitmaps = look(blob);

    return g_strdup_printf("%" G_GUINT64_FORMAT ": %s", cst_image_capacity(image), bitmaps);
}

static gboolean resize(CstBlob *blob, uint64_t size, GError **error)
{
    g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE);

    return cst_image_resize(image, size, CST_PREALLOC_OFF, NULL, error);
}

/*
 * Creates an image with the bitmap "a", enabled and dirty everywhere by a single entry, and "b",
 * disabled.
 */
static CstBlob *make_dirty(void)
{
    CstBlob *blob = make(&(const CstImageCreate){.capacity = SIZE, .cluster_size = 4096});
    CstImage *image = open_image(blob, CST_IMAGE_WRITE);

    assert_true(cst_image_bitmap_add(image, "a", 512, TRUE, NULL));
    assert_true(add_b(image, NULL));
    cst_image_free(image);
    put32(blob, get64(blob, get64(blob, DIR_AT)) + 4, 1);
    return blob;
}

/* How many bits are set in "a", all of them at its start. */
static uint64_t dirty_bits(CstBlob *blob)
{
    uint64_t table = get64(blob, get64(blob, DIR_AT)), first = get64(blob, table), count = 0;
    uint8_t bits[4096];

    assert_true(first >= 4096);
    assert_true(cst_blob_pread(blob, bits, sizeof(bits), first, NULL));
    while (count < sizeof(bits) * 8 && bits[count / 8] & 1u << count % 8)
        count++;
    for (uint64_t bit = count; bit < sizeof(bits) * 8; bit++)
        assert_false(bits[bit / 8] & 1u << bit % 8);
    return count;
}

static const struct {
    uint64_t size, bits;
} sizes[] = {
    {SIZE + 512, SIZE / 512},
    {40 * CST_GIB, SIZE / 512}, /* more than one cluster of table */
    {2 * SIZE, SIZE / 512},
    {3 * CST_MIB + 512, 3 * CST_MIB / 512 + 1},
    {5 * CST_GIB, 3 * CST_MIB / 512 + 1},
    {512, 1},
};

static void bitmaps_follow_a_new_size(void **state)
{
    g_autoptr(CstBlob) blob = make_dirty();

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *now = NULL;

        assert_true(resize(blob, sizes[i].size, NULL));
        now = look(blob);
        assert_string_equal(now, "a b- ");
        assert_int_equal(dirty_bits(blob), sizes[i].bits);
        assert_sound(blob, FALSE);
    }
}

/* Shrinking may leave the bitmaps marked in use. Every other state is the old or the new one. */
static void assert_old_or_new(CstBlob *left, const char *before, const char *after)
{
    g_autofree char *now = look_with_size(left), *marked = NULL;

    marked = g_strdup_printf("%.*s: a! b- ", (int)strcspn(before, ":"), before);
    assert_sound(left, TRUE);
    assert_true(strcmp(now, before) == 0 || strcmp(now, after) == 0 || strcmp(now, marked) == 0);
    if (strtoull(after, NULL, 10) > strtoull(before, NULL, 10))
        assert_string_not_equal(now, marked);
}

static void a_power_cut_leaves_size_and_bitmaps_that_fit(void **state)
{
    g_autoptr(CstBlob) blob = make_dirty();

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(CstBlob) power = cst_blob_power_new(blob, NULL);
        g_autofree char *before = look_with_size(blob), *after = NULL;
        unsigned count;

        assert_true(resize(power, sizes[i].size, NULL));
        count = cst_blob_power_steps(power);
        after = look_with_size(blob);
        for (unsigned at = 0; at <= count; at++) {
            for (guint32 seed = 0; seed < 4; seed++) {
                g_autoptr(CstBlob) left = cst_blob_power_crash(power, at, seed, NULL);

                assert_old_or_new(left, before, after);
            }
        }
    }
}

static void a_failing_call_leaves_size_and_bitmaps_that_fit(void **state)
{
    const CstFaultKind kinds[] = {CST_FAULT_READ, CST_FAULT_WRITE, CST_FAULT_TORN, CST_FAULT_FLUSH};
    g_autoptr(CstBlob) blob = make_dirty();

    for (size_t i = 0; i < G_N_ELEMENTS(sizes) * G_N_ELEMENTS(kinds); i++) {
        g_autofree char *before = look_with_size(blob);
        uint64_t size = sizes[i / G_N_ELEMENTS(kinds)].size;
        gboolean struck = TRUE;

        for (unsigned nth = 1; struck; nth++) {
            g_autoptr(CstBlob) copy = cst_blob_sparse_copy(blob);
            g_autoptr(CstBlob) fault = cst_blob_fault_new(copy);
            CstImage *image = open_image(fault, CST_IMAGE_WRITE);
            g_autofree char *after = NULL;

            after = g_strdup_printf("%" G_GUINT64_FORMAT ": a b- ", size);
            cst_blob_fault_arm(fault, kinds[i % G_N_ELEMENTS(kinds)], nth, CST_FAULT_ONCE);
            cst_image_resize(image, size, CST_PREALLOC_OFF, NULL, NULL);
            struck = cst_blob_fault_struck(fault);
            cst_image_free(image);
            assert_old_or_new(copy, before, after);
        }
        if (i % G_N_ELEMENTS(kinds) == G_N_ELEMENTS(kinds) - 1)
            assert_true(resize(blob, size, NULL));
    }
}

/* A write after a resize in the same session must mark the bitmaps in use. */
static void writes_after_a_resize_outdate(void **state)
{
    g_autoptr(CstBlob) blob = make_dirty();
    CstImage *image = open_image(blob, CST_IMAGE_WRITE);
    g_autoptr(CstBlob) guest = NULL;
    g_autofree char *grown = NULL, *written = NULL, *again = NULL;

    assert_true(cst_image_resize(image, 2 * SIZE, CST_PREALLOC_METADATA, NULL, NULL));
    grown = look(blob);
    assert_string_equal(grown, "a b- ");
    assert_true(cst_image_resize(image, SIZE, CST_PREALLOC_OFF, NULL, NULL));
    guest = cst_image_guest_blob(image);
    assert_true(cst_blob_pwrite(guest, "x", 1, 0, NULL));
    written = look(blob);
    assert_string_equal(written, "a! b- ");
    assert_true(cst_image_resize(image, CST_GIB, CST_PREALLOC_OFF, NULL, NULL));
    again = look(blob);
    assert_string_equal(again, "a! b- ");
}

static void a_bitmap_that_can_not_follow_refuses_the_size(void **state)
{
    g_autoptr(CstBlob) blob = make_dirty();
    g_autoptr(GError) large = NULL, unknown = NULL;
    g_autofree char *before = look_with_size(blob), *after = NULL;

    assert_false(resize(blob, 32 * CST_TIB, &large)); /* 512 bytes per bit: too long a table */
    assert_true(g_error_matches(large, CST_ERROR, CST_ERROR_LIMIT));
    after = look_with_size(blob);
    assert_string_equal(after, before);
    assert_sound(blob, FALSE);
    put32(blob, get64(blob, DIR_AT) + 12, 8); /* an unknown flag */
    assert_false(resize(blob, 2 * SIZE, &unknown));
    assert_true(g_error_matches(unknown, CST_ERROR, CST_ERROR_UNSUPPORTED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_leaves_the_old_or_the_new),
        cmocka_unit_test(a_power_cut_leaves_the_old_or_the_new_in_a_header_of_qemu),
        cmocka_unit_test(failing_call_leaves_the_old_bitmaps_the_new_ones_or_an_empty_list),
        cmocka_unit_test(first_write_marks_enabled_bitmaps_in_use),
        cmocka_unit_test(damaged_directories_are_refused_and_dropped_by_writers),
        cmocka_unit_test(damaged_tables_are_refused),
        cmocka_unit_test(bitmaps_follow_a_new_size),
        cmocka_unit_test(a_power_cut_leaves_size_and_bitmaps_that_fit),
        cmocka_unit_test(a_failing_call_leaves_size_and_bitmaps_that_fit),
        cmocka_unit_test(writes_after_a_resize_outdate),
        cmocka_unit_test(a_bitmap_that_can_not_follow_refuses_the_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
