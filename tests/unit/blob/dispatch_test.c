/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dispatcher in front of a blob that breaks its contract, and its log of calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/log.h>
#include <blob/blob.h>

#include "../captured.h"
#include "../odd.h"

#define SIZE 4096

/*
 * --- a blob with settable results ----------------------------------------------------------------
 */

static gboolean has_size;             /* get_size works, independent of the other functions */
static CstExtent told_extent;         /* by extent */
static CstBlobLocation told_location; /* by locate */

static gboolean odd_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    return odd_act(error);
}

static gboolean odd_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = SIZE;
    return has_size || odd_act(error);
}

static void odd_close(CstBlob *blob)
{
    g_free(blob);
}

static gboolean odd_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    return odd_act(error);
}

static gboolean odd_flush(CstBlob *blob, GError **error)
{
    return odd_act(error);
}

static gboolean odd_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                           GError **error)
{
    *ret_extent = told_extent;
    return odd_act(error);
}

static gboolean odd_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                         GError **error)
{
    return odd_act(error);
}

static gboolean odd_range(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return odd_act(error);
}

static gboolean odd_resize(CstBlob *blob, uint64_t size, GError **error)
{
    return odd_act(error);
}

static gboolean odd_copy_range(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                               uint64_t length, gboolean share_only, GError **error)
{
    return odd_act(error);
}

static gboolean odd_locate(CstBlob *blob, uint64_t offset, uint64_t length,
                           CstBlobLocation *ret_location, GError **error)
{
    *ret_location = told_location;
    return odd_act(error);
}

static gboolean odd_take_shared(CstBlob *blob, uint64_t offset, CstBlob *src, uint64_t src_offset,
                                uint64_t length, GError **error)
{
    return odd_act(error);
}

static const CstBlobOps odd_ops = {
    .kind = "odd",
    .pread = odd_pread,
    .get_size = odd_get_size,
    .close = odd_close,
    .pwrite = odd_pwrite,
    .flush = odd_flush,
    .extent = odd_extent,
    .zero = odd_zero,
    .discard = odd_range,
    .allocate = odd_range,
    .resize = odd_resize,
    .copy_range = odd_copy_range,
    .locate = odd_locate,
    .take_shared = odd_take_shared,
};

static CstBlob *odd;

static CstBlob *odd_new(void)
{
    CstBlob *blob = g_new0(CstBlob, 1);

    cst_blob_init(blob, &odd_ops, "o", TRUE);
    return blob;
}

static int set_up(void **unused)
{
    odd_how = ODD_RIGHT;
    has_size = TRUE;
    told_extent = (CstExtent){.offset = 16, .length = 8};
    told_location = (CstBlobLocation){.offset = 1, .length = 8};
    odd = odd_new();
    return 0;
}

static int tear_down(void **unused)
{
    cst_log_set_level(CST_LOG_WARNING);
    cst_blob_unref(odd);
    return 0;
}

/* --- each call, of the range 16+8 ------------------------------------------------------------- */

static char bytes[8];

#define CALL(name, expression)                  \
    static gboolean call_##name(GError **error) \
    {                                           \
        return expression;                      \
    }

CALL(pread, cst_blob_pread(odd, bytes, 8, 16, error))
CALL(pwrite, cst_blob_pwrite(odd, bytes, 8, 16, error))
CALL(flush, cst_blob_flush(odd, error))
CALL(zero, cst_blob_zero(odd, 16, 8, 0, error))
CALL(discard, cst_blob_discard(odd, 16, 8, error))
CALL(allocate, cst_blob_allocate(odd, 16, 8, error))
CALL(resize, cst_blob_resize(odd, 8, error))
CALL(copy_range, cst_blob_copy_range(odd, 16, odd, 0, 8, FALSE, error))
CALL(take_shared, cst_blob_share(odd, 0, odd, 16, 8, error))

static gboolean call_extent(GError **error)
{
    CstExtent extent;

    return cst_blob_extent(odd, 16, 8, &extent, error);
}

static gboolean call_locate(GError **error)
{
    CstBlobLocation location;

    return cst_blob_locate(odd, 16, 8, &location, error);
}

static const OddCall calls[] = {
    {"pread", call_pread, "16+8"},
    {"pwrite", call_pwrite, "16+8"},
    {"flush", call_flush, "0+0"},
    {"extent", call_extent, "16+8"},
    {"zero", call_zero, "16+8"},
    {"discard", call_discard, "16+8"},
    {"allocate", call_allocate, "16+8"},
    {"resize", call_resize, "0+8"},
    {"copy_range", call_copy_range, "16+8"},
    {"locate", call_locate, "16+8"},
    {"take_shared", call_take_shared, "16+8"},
};

static char *blame(const char *slot)
{
    return g_strdup("'o': the odd blob's");
}

static char *trace(const OddCall *call)
{
    return g_strdup_printf("odd.%s 'o' %s: ", call->slot, call->about);
}

static const OddDispatcher dispatcher = {calls, G_N_ELEMENTS(calls), blame, trace};

/* --- tests ------------------------------------------------------------------------------------ */

static void a_result_and_an_error_are_handed_on(void **unused)
{
    odd_assert_handed_on(&dispatcher);
}

static void a_blob_that_breaks_its_contract_is_named(void **unused)
{
    odd_assert_broken_are_named(&dispatcher);
}

static void failed_size_query_without_an_error_is_an_error(void **unused)
{
    g_autoptr(GError) error = NULL;
    uint64_t size;

    has_size = FALSE;
    odd_how = ODD_SILENT;
    assert_false(cst_blob_get_size(odd, &size, &error));
    odd_assert_broken(&dispatcher, error, "get_size", "failed without an error");
    g_clear_error(&error);
    assert_false(call_pread(&error));
    odd_assert_broken(&dispatcher, error, "get_size", "failed without an error");
}

static void runs_and_locations_outside_the_range_are_errors(void **unused)
{
    static const struct {
        uint64_t offset, length;
        gboolean good_extent, good_location;
    } rows[] = {
        {16, 8, TRUE, TRUE},   {16, 1, TRUE, TRUE},  {16, 0, FALSE, FALSE},
        {16, 9, FALSE, FALSE}, {15, 8, FALSE, TRUE}, {17, 7, FALSE, TRUE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        told_extent = (CstExtent){.offset = rows[i].offset, .length = rows[i].length};
        told_location = (CstBlobLocation){.offset = rows[i].offset, .length = rows[i].length};
        assert_int_equal(call_extent(&error), rows[i].good_extent);
        if (!rows[i].good_extent)
            odd_assert_broken(&dispatcher, error, "extent", "returned a run");
        g_clear_error(&error);
        assert_int_equal(call_locate(&error), rows[i].good_location);
        if (!rows[i].good_location)
            odd_assert_broken(&dispatcher, error, "locate", "returned a location");
    }
}

static void blob_without_copy_range_reports_unsupported(void **unused)
{
    g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, SIZE);
    g_autoptr(GError) error = NULL;

    assert_false(cst_blob_copy_range(memory, 0, odd, 0, 8, FALSE, &error));
    assert_int_equal(error->code, CST_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    assert_false(cst_blob_copy_range(odd, SIZE, odd, 0, 8, FALSE, &error));
    assert_int_equal(error->code, CST_ERROR_INVALID);
    assert_true(cst_blob_copy_range(memory, SIZE, odd, 0, 0, FALSE, NULL));
    assert_true(cst_blob_can_resize(memory) && cst_blob_can_resize(odd));
}

/* --- the log ---------------------------------------------------------------------------------- */

static void run_close(gconstpointer blob)
{
    cst_blob_unref((CstBlob *)blob);
}

static void calls_are_logged_when_debug_is_on(void **unused)
{
    odd_assert_traced(&dispatcher);
}

static void the_close_is_logged(void **unused)
{
    g_autofree char *text = NULL;

    cst_log_set_level(CST_LOG_DEBUG);
    text = captured(run_close, odd_new());
    odd_assert_line(text, "odd.close 'o' 0+0: ", " us, done\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_result_and_an_error_are_handed_on),
        TEST(a_blob_that_breaks_its_contract_is_named),
        TEST(failed_size_query_without_an_error_is_an_error),
        TEST(runs_and_locations_outside_the_range_are_errors),
        TEST(blob_without_copy_range_reports_unsupported),
        TEST(calls_are_logged_when_debug_is_on),
        TEST(the_close_is_logged),
    };

    cst_log_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
