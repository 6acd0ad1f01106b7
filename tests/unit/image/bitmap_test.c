/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bitmaps when something goes wrong: none may pass for complete that is not. */
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
#include <image/bitmap.h>

#include "bytes.h"

enum { SIZE = 8 * 1024 * 1024 };

static const CstImageFormat *qcow2(void)
{
    return cst_image_format_find("qcow2", NULL);
}

static CstImage *open_image(CstBlob *blob, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open(blob, qcow2(), flags, NULL, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return image;
}

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

static void assert_sound(CstBlob *blob, gboolean leaks_allowed)
{
    CstImageCheck check;

    assert_true(cst_image_check(blob, qcow2(), 0, &check, NULL, NULL));
    assert_int_equal(check.errors, 0);
    if (!leaks_allowed)
        assert_int_equal(check.leaks, 0);
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

static void a_power_cut_leaves_the_old_the_new_or_none(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) blob = make(&variants[i]);

        for (size_t j = 0; j < G_N_ELEMENTS(steps); j++) {
            g_autoptr(CstBlob) power = cst_blob_power_new(blob, NULL);
            g_autofree char *before = look(blob), *after = NULL;
            unsigned count;

            assert_true(take(power, &steps[j]));
            count = cst_blob_power_steps(power);
            after = look(blob);
            assert_string_equal(after, steps[j].after);
            for (unsigned at = 0; at <= count; at++) {
                for (guint32 seed = 0; seed < 4; seed++) {
                    g_autoptr(CstBlob) left = cst_blob_power_crash(power, at, seed, NULL);
                    g_autofree char *now = look(left);

                    assert_sound(left, TRUE);
                    assert_true(strcmp(now, before) == 0 || strcmp(now, after) == 0 ||
                                *now == '\0');
                    if (at == count)
                        assert_string_equal(now, after);
                }
            }
            assert_sound(blob, FALSE);
        }
    }
}

static void every_failing_call_leaves_the_old_the_new_or_none(void **state)
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
                cst_image_free(image); /* the disk works again: nothing harmful may be written */
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

static void the_first_write_outdates_what_is_enabled(void **state)
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

static void set32(CstBlob *blob, uint64_t offset, uint32_t value)
{
    uint8_t raw[4];

    cst_put_be32(raw, value);
    assert_true(cst_blob_pwrite(blob, raw, sizeof(raw), offset, NULL));
}

static uint64_t get64(CstBlob *blob, uint64_t offset)
{
    uint8_t raw[8];

    assert_true(cst_blob_pread(blob, raw, sizeof(raw), offset, NULL));
    return cst_be64(raw);
}

/* A header of ours has the extension right behind its 112 bytes. */
enum { EXT = 112, COUNT = EXT + 8, DIR_SIZE_AT = EXT + 16, DIR_AT = EXT + 24 };

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
        set32(blob, at < 1 << 20 ? at : get64(blob, DIR_AT) + at - (1 << 20), damages[i].value);
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
    set32(blob, table + 4, 512); /* inside of a cluster */
    image = open_image(blob, CST_IMAGE_WRITE);
    assert_false(clear_a(image, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    g_clear_error(&error);
    assert_false(remove_a(image, &error));
    set32(blob, table + 4, 0);
    set32(blob, table, 0x400000); /* outside of the file */
    g_clear_error(&error);
    assert_false(remove_a(image, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    cst_image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_leaves_the_old_the_new_or_none),
        cmocka_unit_test(every_failing_call_leaves_the_old_the_new_or_none),
        cmocka_unit_test(the_first_write_outdates_what_is_enabled),
        cmocka_unit_test(damaged_directories_are_refused_and_dropped_by_writers),
        cmocka_unit_test(damaged_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
