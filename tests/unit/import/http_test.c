/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests that break, and servers that change their mind, without a network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fake_curl.h"
#include "http.h"

#define KIB       1024
#define SIZE      (1024 * KIB)
#define BEGINNING (64 * KIB) /* is asked for when a file is opened */
#define ATTEMPTS  5

static const CstImportHow how;
static ImportContext context;
static GByteArray *got;
static CstErrorCode sink_fails; /* 0: it doesn't */

static int set_up(void **state)
{
    fake_server_reset(SIZE);
    context = (ImportContext){.how = &how, .max_size = CST_IMPORT_MAX_SIZE, .timeout_s = 30};
    got = g_byte_array_new();
    sink_fails = 0;
    return 0;
}

static int tear_down(void **state)
{
    g_byte_array_unref(got);
    return 0;
}

static gboolean take(const void *buf, size_t len, gpointer data, GError **error)
{
    g_byte_array_append(got, buf, (guint)len);
    return !sink_fails || cst_fail(error, sink_fails, "the sink fails");
}

static ImportHttp *open_file(void)
{
    g_autoptr(GError) error = NULL;
    ImportHttp *http = import_http_open(&context, "http://server/file", &error);

    assert_null(error);
    fake_server_clear_script();
    return http;
}

static void assert_got(uint64_t offset, uint64_t len)
{
    assert_int_equal(got->len, len);
    for (uint64_t i = 0; i < len; i++)
        if (got->data[i] != fake_server_byte('a', offset + i))
            fail_msg("byte %u of the content is another one", (unsigned)i);
}

#define assert_code(error, wanted)                         \
    do {                                                   \
        assert_non_null(error);                            \
        if (!g_error_matches(error, CST_ERROR, wanted))    \
            fail_msg("other error: %s", (error)->message); \
    } while (0)

/* --- attempts --------------------------------------------------------------------------------- */

static void broken_request_continues_after_the_last_byte(void **state)
{
    g_autoptr(ImportHttp) http = open_file();

    assert_int_equal(import_http_size(http), SIZE);
    assert_true(import_http_has_ranges(http));
    fake_server.script[0].break_at = 100000 + 1;
    fake_server.script[1].break_at = 1; /* before the first byte */
    fake_server.script[2].break_at = 50000 + 1;
    assert_true(import_http_get(http, 0, IMPORT_UNKNOWN, take, NULL, NULL));
    assert_got(0, SIZE);
    assert_int_equal(fake_server.requests, 4);
    assert_string_equal(fake_server.asked[0], "0-1048575 if a");
    assert_string_equal(fake_server.asked[1], "100000-1048575 if a");
    assert_string_equal(fake_server.asked[2], "100000-1048575 if a");
    assert_string_equal(fake_server.asked[3], "150000-1048575 if a");
}

static void part_continues_to_its_end_and_not_further(void **state)
{
    g_autoptr(ImportHttp) http = open_file();

    fake_server.script[0].break_at = 10 + 1;
    assert_true(import_http_get(http, 5000, 3000, take, NULL, NULL));
    assert_got(5000, 3000);
    assert_string_equal(fake_server.asked[0], "5000-7999 if a");
    assert_string_equal(fake_server.asked[1], "5010-7999 if a");
}

/* The waits grow, and only attempts without progress count. */
static void attempts_are_counted_since_the_last_progress(void **state)
{
    g_autoptr(ImportHttp) http = open_file();
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 12; i++)
        fake_server.script[i].break_at = 70 * KIB + 1;
    assert_true(import_http_get(http, 0, IMPORT_UNKNOWN, take, NULL, NULL));
    assert_got(0, SIZE);
    assert_int_equal(fake_server.requests, 13);
    assert_in_range(fake_server.slept_us, 12 * 500000, 12 * 550000);
    fake_server_clear_script();
    g_byte_array_set_size(got, 0);
    fake_server.slept_us = 0;
    for (guint i = 0; i < FAKE_REQUESTS; i++)
        fake_server.script[i].break_at = 100 + 1;
    assert_false(import_http_get(http, 0, IMPORT_UNKNOWN, take, NULL, &error));
    assert_code(error, CST_ERROR_IO);
    assert_int_equal(fake_server.requests, ATTEMPTS);
    assert_got(0, ATTEMPTS * 100);
    /* 0.5 s, 1 s, 2 s, 4 s */
    assert_in_range(fake_server.slept_us, 7500000, 8000000);
}

static void silence_counts_twice(void **state)
{
    g_autoptr(ImportHttp) http = open_file();
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < FAKE_REQUESTS; i++)
        fake_server.script[i].silent = TRUE;
    assert_false(import_http_get(http, 0, IMPORT_UNKNOWN, take, NULL, &error));
    assert_code(error, CST_ERROR_TIMEOUT);
    assert_int_equal(fake_server.requests, 3);
}

static void temporary_refusals_are_retried_and_permanent_ones_are_not(void **state)
{
    static const struct {
        long status;
        guint requests;
        CstErrorCode code;
    } rows[] = {{503, ATTEMPTS, CST_ERROR_UNREACHABLE},
                {429, ATTEMPTS, CST_ERROR_UNREACHABLE},
                {401, 1, CST_ERROR_AUTH},
                {403, 1, CST_ERROR_DENIED},
                {404, 1, CST_ERROR_NOT_FOUND},
                {418, 1, CST_ERROR_UNREACHABLE}};
    g_autoptr(ImportHttp) http = open_file();

    for (size_t row = 0; row < G_N_ELEMENTS(rows); row++) {
        g_autoptr(GError) error = NULL;

        fake_server_clear_script();
        for (guint i = 0; i < FAKE_REQUESTS; i++)
            fake_server.script[i].status = rows[row].status;
        assert_false(import_http_get(http, 0, 100, take, NULL, &error));
        assert_code(error, rows[row].code);
        assert_int_equal(fake_server.requests, rows[row].requests);
        /* The page that comes with it is not content. */
        assert_int_equal(got->len, 0);
    }
    fake_server_clear_script();
    fake_server.script[0].status = fake_server.script[1].status = 503;
    assert_true(import_http_get(http, 0, 100, take, NULL, NULL));
    assert_got(0, 100);
}

/* The sink has had the beginning already. */
static void server_without_ranges_is_not_asked_again_in_the_middle(void **state)
{
    g_autoptr(ImportHttp) http = NULL;
    g_autoptr(GError) error = NULL;

    fake_server.no_ranges = TRUE;
    http = open_file();
    assert_false(import_http_has_ranges(http));
    fake_server.script[0].break_at = 1;
    assert_true(import_http_get(http, 0, IMPORT_UNKNOWN, take, NULL, NULL));
    assert_got(0, SIZE);
    fake_server_clear_script();
    fake_server.script[0].break_at = 1000 + 1;
    assert_false(import_http_get(http, 0, IMPORT_UNKNOWN, take, NULL, &error));
    assert_code(error, CST_ERROR_IO);
    assert_int_equal(fake_server.requests, 1);
}

static void failure_of_the_sink_is_the_result_and_ends_the_request(void **state)
{
    g_autoptr(ImportHttp) http = open_file();
    g_autoptr(GError) error = NULL;

    sink_fails = CST_ERROR_NO_SPACE;
    assert_false(import_http_get(http, 0, IMPORT_UNKNOWN, take, NULL, &error));
    assert_code(error, CST_ERROR_NO_SPACE);
    assert_int_equal(fake_server.requests, 1);
    g_clear_error(&error);
    /* The next request does not remember it. */
    sink_fails = 0;
    g_byte_array_set_size(got, 0);
    assert_true(import_http_get(http, 7, 100, take, NULL, NULL));
    assert_got(7, 100);
}

static void cancel_task(void)
{
    cst_task_cancel(context.task);
}

static void cancelled_task_ends_the_wait_for_the_next_attempt(void **state)
{
    g_autoptr(CstTask) task = context.task = cst_task_new();
    g_autoptr(ImportHttp) http = open_file();
    g_autoptr(GError) error = NULL;

    fake_server.script[0].break_at = 10 + 1;
    fake_server.on_sleep = cancel_task;
    assert_false(import_http_get(http, 0, IMPORT_UNKNOWN, take, NULL, &error));
    assert_code(error, CST_ERROR_CANCELLED);
    assert_int_equal(fake_server.requests, 1);
}

/* --- the same file ---------------------------------------------------------------------------- */

static void assert_changed(ImportHttp *http)
{
    g_autoptr(GError) error = NULL;

    assert_false(import_http_get(http, 0, IMPORT_UNKNOWN, take, NULL, &error));
    assert_code(error, CST_ERROR_MISMATCH);
    /* No byte of the other version was received. */
    assert_got(0, 100000);
}

static void file_that_changes_between_attempts_is_not_mixed(void **state)
{
    for (int no_condition = 0; no_condition < 2; no_condition++) {
        g_autoptr(ImportHttp) http = NULL;

        fake_server_reset(SIZE);
        fake_server.no_condition = no_condition;
        http = open_file();
        g_byte_array_set_size(got, 0);
        fake_server.script[0].break_at = 100000 + 1;
        fake_server.script[1].version = 'b';
        assert_changed(http);
        assert_int_equal(fake_server.requests, 2);
    }
}

static void file_with_a_changed_size_between_attempts_is_not_mixed(void **state)
{
    g_autoptr(ImportHttp) http = open_file();

    fake_server.script[0].break_at = 100000 + 1;
    fake_server.script[1].size = SIZE + 1;
    assert_changed(http);
}

/* The version is the same, so only the status shows the difference. */
static void whole_file_in_place_of_the_rest_is_refused(void **state)
{
    g_autoptr(ImportHttp) http = open_file();

    fake_server.script[0].break_at = 100000 + 1;
    fake_server.script[1].whole = TRUE;
    assert_changed(http);
}

static void another_part_than_was_asked_for_is_refused(void **state)
{
    g_autoptr(ImportHttp) http = open_file();
    g_autoptr(GError) error = NULL;

    fake_server.script[0].break_at = 1000 + 1;
    fake_server.script[1].shift = 1;
    assert_false(import_http_get(http, 0, IMPORT_UNKNOWN, take, NULL, &error));
    assert_code(error, CST_ERROR_IO);
    assert_got(0, 1000);
    assert_int_equal(fake_server.requests, 2);
}

static void server_that_ends_too_early_is_asked_for_the_rest(void **state)
{
    g_autoptr(ImportHttp) http = open_file();
    g_autoptr(GError) error = NULL;

    fake_server.script[0] = (FakeRequest){.break_at = 1000 + 1, .ends = TRUE};
    assert_true(import_http_get(http, 0, 5000, take, NULL, NULL));
    assert_got(0, 5000);
    assert_string_equal(fake_server.asked[1], "1000-4999 if a");
    g_byte_array_set_size(got, 0);
    fake_server_clear_script();
    for (guint i = 0; i < FAKE_REQUESTS; i++)
        fake_server.script[i] = (FakeRequest){.break_at = 1 + 1, .ends = TRUE};
    assert_false(import_http_get(http, 0, 5000, take, NULL, &error));
    assert_code(error, CST_ERROR_IO);
    assert_int_equal(fake_server.requests, ATTEMPTS);
}

static void unknown_length_is_bounded(void **state)
{
    g_autoptr(ImportHttp) http = NULL;
    g_autoptr(GError) error = NULL;

    fake_server.no_ranges = fake_server.no_length = TRUE;
    context.max_size = 3 * BEGINNING;
    http = open_file();
    assert_int_equal(import_http_size(http), IMPORT_UNKNOWN);
    assert_false(import_http_get(http, 0, IMPORT_UNKNOWN, take, NULL, &error));
    assert_code(error, CST_ERROR_LIMIT);
    assert_true(got->len <= 3 * BEGINNING);
    assert_int_equal(fake_server.requests, 1);
}

/* --- as a blob -------------------------------------------------------------------------------- */

static void assert_blob(CstBlob *blob, uint64_t offset, size_t len)
{
    g_autofree uint8_t *buf = g_malloc(len);
    g_autoptr(GError) error = NULL;

    cst_blob_pread(blob, buf, len, offset, &error);
    assert_null(error);
    g_byte_array_set_size(got, 0);
    g_byte_array_append(got, buf, (guint)len);
    assert_got(offset, len);
}

/* More blocks than the cache has, in an order in which reading ahead begins again and again. */
static void blob_reads_the_content_of_the_server(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    g_autoptr(ImportHttp) http = NULL;
    g_autoptr(CstBlob) blob = NULL;

    fake_server_reset(40 * SIZE + 77);
    http = open_file();
    blob = import_http_blob(http);
    for (guint i = 0; i < 150; i++) {
        size_t len = (size_t)g_rand_int_range(rand, 1, 300000);
        uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, (gint32)(40 * SIZE + 77 - len));

        fake_server_clear_script();
        assert_blob(blob, offset, len);
    }
    fake_server_clear_script();
    assert_blob(blob, 40 * SIZE, 77);
}

/* A partly received block does not count as cached. */
static void blob_forgets_a_block_that_broke(void **state)
{
    const size_t block = 128 * KIB;
    g_autoptr(ImportHttp) http = NULL;
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(GError) error = NULL;
    uint8_t byte;

    fake_server_reset(4 * SIZE);
    http = open_file();
    blob = import_http_blob(http);
    for (guint i = 0; i < FAKE_REQUESTS; i++)
        fake_server.script[i].break_at = 1000 + 1;
    assert_false(cst_blob_pread(blob, &byte, 1, 3 * block, &error));
    assert_code(error, CST_ERROR_IO);
    fake_server_clear_script();
    assert_blob(blob, 3 * block, block);
    assert_string_equal(fake_server.asked[0], "393216-524287 if a");
    /* The following blocks are requested in growing steps. */
    assert_blob(blob, 4 * block, block);
    assert_string_equal(fake_server.asked[1], "524288-786431 if a");
    assert_blob(blob, 5 * block, block);
    assert_int_equal(fake_server.requests, 2);
    assert_blob(blob, 6 * block, block);
    assert_string_equal(fake_server.asked[2], "786432-1310719 if a");
}

/* The block whose memory was given to the broken one is no longer cached. */
static void block_that_made_room_for_a_broken_one_is_read_again(void **state)
{
    const size_t block = 128 * KIB, cached = 96;
    g_autoptr(ImportHttp) http = NULL;
    g_autoptr(CstBlob) blob = NULL;
    uint8_t byte;

    fake_server_reset((cached + 100) * block);
    http = open_file();
    blob = import_http_blob(http);
    /* From the end to the beginning, to avoid reading ahead. */
    for (size_t i = cached; i-- > 0;) {
        fake_server_clear_script();
        assert_true(cst_blob_pread(blob, &byte, 1, i * block, NULL));
    }
    fake_server_clear_script();
    for (guint i = 0; i < FAKE_REQUESTS; i++)
        fake_server.script[i].break_at = 1000 + 1;
    assert_false(cst_blob_pread(blob, &byte, 1, (cached + 50) * block, NULL));
    fake_server_clear_script();
    for (size_t i = 0; i < cached; i++)
        assert_blob(blob, i * block, block);
    /* The oldest one, which was read first. */
    assert_int_equal(fake_server.requests, 1);
    assert_string_equal(fake_server.asked[0], "12451840-12582911 if a");
}

#define http_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        http_test(broken_request_continues_after_the_last_byte),
        http_test(part_continues_to_its_end_and_not_further),
        http_test(attempts_are_counted_since_the_last_progress),
        http_test(silence_counts_twice),
        http_test(temporary_refusals_are_retried_and_permanent_ones_are_not),
        http_test(server_without_ranges_is_not_asked_again_in_the_middle),
        http_test(failure_of_the_sink_is_the_result_and_ends_the_request),
        http_test(cancelled_task_ends_the_wait_for_the_next_attempt),
        http_test(file_that_changes_between_attempts_is_not_mixed),
        http_test(file_with_a_changed_size_between_attempts_is_not_mixed),
        http_test(whole_file_in_place_of_the_rest_is_refused),
        http_test(another_part_than_was_asked_for_is_refused),
        http_test(server_that_ends_too_early_is_asked_for_the_rest),
        http_test(unknown_length_is_bounded),
        http_test(blob_reads_the_content_of_the_server),
        http_test(blob_forgets_a_block_that_broke),
        http_test(block_that_made_room_for_a_broken_one_is_read_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
