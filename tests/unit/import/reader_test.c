/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A reader of ordered bytes that can be peeked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "pieces.h"

static const char text[] = "0123456789";

static ImportReader *reader_of(size_t step, gboolean fails)
{
    g_autoptr(GBytes) bytes = g_bytes_new_static(text, strlen(text));

    return pieces_new(bytes, step, fails);
}

static void assert_peek(ImportReader *reader, size_t len, const char *expected)
{
    const uint8_t *bytes;
    size_t n;

    assert_true(import_reader_peek(reader, len, &bytes, &n, NULL));
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(bytes, expected, n);
}

static void assert_read(ImportReader *reader, size_t len, const char *expected)
{
    char buf[32];
    size_t n;

    assert_true(import_reader_read(reader, buf, len, &n, NULL));
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(buf, expected, n);
}

static void test_peeked_bytes_are_read_again(void **state)
{
    for (size_t step = 1; step < 12; step++) {
        g_autoptr(ImportReader) reader = reader_of(step, FALSE);

        assert_peek(reader, 3, "012");
        assert_peek(reader, 2, "01");
        assert_read(reader, 2, "01");
        assert_peek(reader, 4, "2345");
        assert_read(reader, 6, "234567");
        assert_int_equal(reader->taken, 8);
        assert_peek(reader, 9, "89");
        assert_read(reader, 9, "89");
        assert_peek(reader, 9, "");
        assert_read(reader, 9, "");
        assert_int_equal(reader->taken, 10);
    }
}

/* Each byte once and in order, independent of peeks. */
static void test_digest_covers_exactly_the_read_bytes(void **state)
{
    g_autoptr(CstDigest) digest = cst_digest_new(CST_SHA256, NULL);
    g_autoptr(CstDigest) expected = cst_digest_new(CST_SHA256, NULL);
    g_autoptr(ImportReader) reader = reader_of(4, FALSE);
    char found[CST_DIGEST_HEX], wanted[CST_DIGEST_HEX];

    reader->digest = digest;
    assert_peek(reader, 7, "0123456");
    assert_read(reader, 3, "012");
    assert_peek(reader, 1, "3");
    assert_true(import_reader_drain(reader, NULL));
    cst_digest_add(expected, text, strlen(text));
    cst_digest_end_hex(expected, wanted);
    cst_digest_end_hex(digest, found);
    assert_string_equal(found, wanted);
}

static void test_failures_are_reported(void **state)
{
    g_autoptr(ImportReader) reader = reader_of(4, TRUE);
    g_autoptr(GError) error = NULL;
    const uint8_t *bytes;
    char buf[32];
    size_t n;

    assert_peek(reader, 10, text);
    assert_false(import_reader_peek(reader, 11, &bytes, &n, &error));
    assert_int_equal(error->code, CST_ERROR_IO);
    g_clear_error(&error);
    assert_read(reader, 10, text);
    assert_false(import_reader_read(reader, buf, 1, &n, &error));
    assert_int_equal(error->code, CST_ERROR_IO);
}

static void test_a_cancelled_task_ends_a_silent_pipe(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(ImportReader) reader = NULL;
    g_autoptr(GError) error = NULL;
    int ends[2];
    char buf[4];
    size_t n;

    assert_int_equal(pipe(ends), 0);
    reader = import_reader_of_fd(ends[0], "pipe", task);
    assert_int_equal(write(ends[1], "ab", 2), 2);
    assert_peek(reader, 2, "ab");
    cst_task_cancel(task);
    assert_false(import_reader_read(reader, buf, 3, &n, &error));
    assert_int_equal(error->code, CST_ERROR_CANCELLED);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peeked_bytes_are_read_again),
        cmocka_unit_test(test_digest_covers_exactly_the_read_bytes),
        cmocka_unit_test(test_failures_are_reported),
        cmocka_unit_test(test_a_cancelled_task_ends_a_silent_pipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
