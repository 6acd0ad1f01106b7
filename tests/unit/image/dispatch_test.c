/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dispatcher in front of a format that breaks its contract, and its log of calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/log.h>
#include <image/backing.h>
#include <image/measure.h>

#include "../captured.h"
#include "../odd.h"
#include "format.h"

#define SIZE 4096

/*
 * --- a format with settable results --------------------------------------------------------------
 */

static gboolean odd_create(const CstImageFormat *format, CstBlob *blob,
                           const CstImageCreate *options, CstTask *task, GError **error)
{
    return odd_act(error);
}

static gboolean odd_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure,
                            GError **error)
{
    return odd_act(error);
}

static CstImage *odd_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *to_open,
                          GError **error)
{
    CstImage *image;

    if (!odd_act(error))
        return NULL;
    image = g_new0(CstImage, 1);
    image->capacity = SIZE;
    return image;
}

static unsigned closed;

static void odd_close(CstImage *image)
{
    closed++;
    g_free(image);
}

static gboolean odd_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    return TRUE;
}

static gboolean odd_flush(CstImage *image, GError **error)
{
    return odd_act(error);
}

static uint64_t odd_packed_unit(CstImage *image)
{
    return 512;
}

static gboolean odd_write_packed(CstImage *image, const void *buf, size_t len, uint64_t offset,
                                 GError **error)
{
    return odd_act(error);
}

static gboolean odd_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                           CstTask *task, GError **error)
{
    return odd_act(error);
}

static gboolean odd_amend(CstImage *image, const CstImageAmend *amend, CstTask *task,
                          GError **error)
{
    return odd_act(error);
}

static gboolean odd_set_backing(CstImage *image, const char *name, const char *format,
                                CstImage *parent, GError **error)
{
    return odd_act(error);
}

static gboolean odd_parent(CstImage *image, CstImage *parent, GError **error)
{
    return odd_act(error);
}

static gboolean odd_work(CstImage *image, CstTask *task, GError **error)
{
    return odd_act(error);
}

static gboolean odd_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                          unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error)
{
    return odd_act(error);
}

static GPtrArray *odd_list(CstImage *image, GError **error)
{
    return odd_act(error) ? g_ptr_array_new() : NULL;
}

static gboolean odd_named(CstImage *image, const char *name, GError **error)
{
    return odd_act(error);
}

static gboolean odd_snapshot(CstImage *image, const char *name, CstTask *task, GError **error)
{
    return odd_act(error);
}

static gboolean odd_rename(CstImage *image, const char *name, const char *new_name, GError **error)
{
    return odd_act(error);
}

static gboolean odd_bitmap_add(CstImage *image, const char *name, uint64_t granularity,
                               gboolean enabled, GError **error)
{
    return odd_act(error);
}

static gboolean odd_bitmap_enable(CstImage *image, const char *name, gboolean enabled,
                                  GError **error)
{
    return odd_act(error);
}

static gboolean odd_bitmap_merge(CstImage *image, const char *name, CstImage *source,
                                 const char *source_name, GError **error)
{
    return odd_act(error);
}

static GArray *odd_bitmap_ranges(CstImage *image, const char *name, guint max, CstTask *task,
                                 GError **error)
{
    return odd_act(error) ? g_array_new(FALSE, FALSE, sizeof(CstRange)) : NULL;
}

static const CstSnapshotOps odd_snapshots = {
    .list = odd_list,
    .create = odd_snapshot,
    .revert = odd_snapshot,
    .remove = odd_snapshot,
    .rename = odd_rename,
};

static const CstBitmapOps odd_bitmaps = {
    .list = odd_list,
    .add = odd_bitmap_add,
    .remove = odd_named,
    .clear = odd_named,
    .enable = odd_bitmap_enable,
    .merge = odd_bitmap_merge,
    .ranges = odd_bitmap_ranges,
};

static const CstImageFormat odd = {
    .name = "odd",
    .create = odd_create,
    .measure = odd_measure,
    .open = odd_open,
    .close = odd_close,
    .pwrite = odd_pwrite,
    .flush = odd_flush,
    .packed_unit = odd_packed_unit,
    .write_packed = odd_write_packed,
    .resize = odd_resize,
    .amend = odd_amend,
    .set_backing = odd_set_backing,
    .expect = odd_parent,
    .follow = odd_parent,
    .empty = odd_work,
    .trim = odd_work,
    .check = odd_check,
    .snapshots = &odd_snapshots,
    .bitmaps = &odd_bitmaps,
};

/* --- calls ------------------------------------------------------------------------------------ */

static CstBlob *file;
static CstImage *image;

static gboolean call_create(GError **error)
{
    const CstImageCreate options = {.capacity = SIZE};

    return cst_image_create(file, &odd, &options, NULL, error);
}

static gboolean call_open(GError **error)
{
    CstImage *opened = cst_image_open(file, &odd, 0, NULL, error);
    gboolean ok = opened != NULL;

    cst_image_free(opened);
    return ok;
}

static gboolean call_flush(GError **error)
{
    return cst_image_flush(image, error);
}

static gboolean call_write_packed(GError **error)
{
    static const uint8_t bytes[512];

    return cst_image_write_compressed(image, bytes, sizeof(bytes), 0, error);
}

static gboolean call_resize(GError **error)
{
    return cst_image_resize(image, SIZE, CST_PREALLOC_OFF, NULL, error);
}

static gboolean call_amend(GError **error)
{
    const CstImageAmend amend = {0};

    return cst_image_amend(image, &amend, NULL, error);
}

static gboolean call_set_backing(GError **error)
{
    return cst_image_set_backing(image, NULL, NULL, NULL, error);
}

static gboolean call_expect(GError **error)
{
    return cst_image_expect(image, image, error);
}

static gboolean call_follow(GError **error)
{
    return cst_image_follow(image, image, error);
}

static gboolean call_empty(GError **error)
{
    return cst_image_empty(image, NULL, error);
}

static gboolean call_trim(GError **error)
{
    return cst_image_trim(image, NULL, error);
}

static gboolean call_check(GError **error)
{
    CstImageCheck check;

    return cst_image_check(file, &odd, 0, &check, NULL, error);
}

static gboolean call_snapshot_create(GError **error)
{
    return cst_image_snapshot_create(image, "s", NULL, error);
}

static gboolean call_snapshot_revert(GError **error)
{
    return cst_image_snapshot_revert(image, "s", NULL, error);
}

static gboolean call_snapshot_remove(GError **error)
{
    return cst_image_snapshot_delete(image, "s", NULL, error);
}

static gboolean call_snapshot_rename(GError **error)
{
    return cst_image_snapshot_rename(image, "s", "t", error);
}

static gboolean call_snapshot_list(GError **error)
{
    g_autoptr(GPtrArray) list = cst_image_snapshot_list(image, error);

    return list != NULL;
}

static gboolean call_bitmap_list(GError **error)
{
    g_autoptr(GPtrArray) list = cst_image_bitmap_list(image, error);

    return list != NULL;
}

static gboolean call_bitmap_add(GError **error)
{
    return cst_image_bitmap_add(image, "b", 0, TRUE, error);
}

static gboolean call_bitmap_remove(GError **error)
{
    return cst_image_bitmap_remove(image, "b", error);
}

static gboolean call_bitmap_clear(GError **error)
{
    return cst_image_bitmap_clear(image, "b", error);
}

static gboolean call_bitmap_enable(GError **error)
{
    return cst_image_bitmap_enable(image, "b", TRUE, error);
}

static gboolean call_bitmap_merge(GError **error)
{
    return cst_image_bitmap_merge(image, "b", image, "c", error);
}

static gboolean call_bitmap_ranges(GError **error)
{
    g_autoptr(GArray) ranges = cst_image_bitmap_ranges(image, "b", 1, NULL, error);

    return ranges != NULL;
}

static const OddCall calls[] = {
    {"create", call_create, NULL},
    {"open", call_open, NULL},
    {"flush", call_flush, NULL},
    {"write_packed", call_write_packed, NULL},
    {"resize", call_resize, NULL},
    {"amend", call_amend, NULL},
    {"set_backing", call_set_backing, NULL},
    {"expect", call_expect, NULL},
    {"follow", call_follow, NULL},
    {"empty", call_empty, NULL},
    {"trim", call_trim, NULL},
    {"check", call_check, NULL},
    {"snapshots->list", call_snapshot_list, NULL},
    {"snapshots->create", call_snapshot_create, NULL},
    {"snapshots->revert", call_snapshot_revert, NULL},
    {"snapshots->remove", call_snapshot_remove, NULL},
    {"snapshots->rename", call_snapshot_rename, NULL},
    {"bitmaps->list", call_bitmap_list, NULL},
    {"bitmaps->add", call_bitmap_add, NULL},
    {"bitmaps->remove", call_bitmap_remove, NULL},
    {"bitmaps->clear", call_bitmap_clear, NULL},
    {"bitmaps->enable", call_bitmap_enable, NULL},
    {"bitmaps->merge", call_bitmap_merge, NULL},
    {"bitmaps->ranges", call_bitmap_ranges, NULL},
};

static char *blame(const char *slot)
{
    return g_strdup_printf("'%s': the odd format's", file->name);
}

static char *trace(const OddCall *call)
{
    return g_strdup_printf("odd.%s '%s': ", call->slot, file->name);
}

static const OddDispatcher dispatcher = {calls, G_N_ELEMENTS(calls), blame, trace};

/* --- tests ------------------------------------------------------------------------------------ */

static void a_result_and_an_error_are_handed_on(void **unused)
{
    odd_assert_handed_on(&dispatcher);
}

static void a_format_that_breaks_its_contract_is_named(void **unused)
{
    odd_assert_broken_are_named(&dispatcher);
}

static void image_of_a_broken_open_is_closed(void **unused)
{
    odd_how = ODD_BOTH;
    closed = 0;
    assert_null(cst_image_open(file, &odd, 0, NULL, NULL));
    assert_int_equal(closed, 1);
}

static void a_measure_belongs_to_no_file(void **unused)
{
    const CstImageCreate options = {.capacity = SIZE};
    g_autoptr(GError) error = NULL;
    CstImageMeasure measure;

    odd_how = ODD_SILENT;
    assert_false(cst_image_measure(&odd, &options, NULL, &measure, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_INTERNAL);
    assert_string_equal(error->message, "the odd format's measure failed without an error");
}

/* --- the log ---------------------------------------------------------------------------------- */

static void run_close(gconstpointer unused)
{
    g_clear_pointer(&image, cst_image_free);
}

static void calls_are_logged_when_debug_is_on(void **unused)
{
    odd_assert_traced(&dispatcher);
}

static void the_close_is_logged(void **unused)
{
    g_autofree char *begin = trace(&(OddCall){.slot = "close"});
    g_autofree char *text = NULL;

    cst_log_set_level(CST_LOG_DEBUG);
    text = captured(run_close, NULL);
    odd_assert_line(text, begin, " us, done\n");
}

static int set_up(void **unused)
{
    odd_how = ODD_RIGHT;
    file = cst_blob_memory_new(NULL, SIZE);
    image = cst_image_open(file, &odd, CST_IMAGE_WRITE, NULL, NULL);
    return image ? 0 : -1;
}

static int tear_down(void **unused)
{
    cst_log_set_level(CST_LOG_WARNING);
    odd_how = ODD_RIGHT;
    cst_image_free(image);
    cst_blob_unref(file);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_result_and_an_error_are_handed_on), TEST(a_format_that_breaks_its_contract_is_named),
        TEST(image_of_a_broken_open_is_closed),    TEST(a_measure_belongs_to_no_file),
        TEST(calls_are_logged_when_debug_is_on),   TEST(the_close_is_logged),
    };

    cst_log_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
