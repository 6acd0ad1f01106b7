/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The headers of an untrusted server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "http_reply.h"

static gboolean add(ImportReply *reply, const char *line)
{
    return import_reply_header(reply, line, strlen(line));
}

static void test_the_last_reply_counts(void **state)
{
    ImportReply reply = {0};

    add(&reply, "HTTP/1.1 302 Found\r\n");
    add(&reply, "Content-Length: 5\r\n");
    add(&reply, "ETag: \"old\"\r\n");
    assert_int_equal(reply.status, 302);
    assert_int_equal(reply.length, 5);
    add(&reply, "HTTP/2 206\r\n");
    assert_int_equal(reply.status, 206);
    assert_true(reply.length == G_MAXUINT64);
    assert_string_equal(reply.etag, "");
    add(&reply, "content-range: bytes 10-19/100\r\n");
    assert_true(reply.has_range);
    assert_int_equal(reply.start, 10);
    assert_int_equal(reply.total, 100);
}

static void test_invalid_ranges_are_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "bytes",
        "bytes 1-2",
        "bytes 2-1/10",
        "bytes 1-10/10",
        "bytes */10",
        "bytes 1-2/",
        "items 1-2/3",
        "bytes -1-2/10",
        "bytes 1-2/99999999999999999999999999999999",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *line = g_strdup_printf("Content-Range: %s\r\n", rows[i]);
        ImportReply reply = {0};

        add(&reply, "HTTP/1.1 206 Partial\r\n");
        assert_true(add(&reply, line));
        assert_false(reply.has_range);
    }
}

static void test_version_comes_from_strong_etag_or_date(void **state)
{
    static const struct {
        const char *etag, *modified, *validator;
    } rows[] = {{"\"1\"", "Mon", "\"1\""},
                {"W/\"1\"", "Mon", "Mon"},
                {"W/\"1\"", "", NULL},
                {"", "", NULL}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *etag = g_strdup_printf("ETAG: %s\r\n", rows[i].etag);
        g_autofree char *modified = g_strdup_printf("Last-Modified:%s\r\n", rows[i].modified);
        g_autofree char *validator = NULL;
        ImportReply reply = {0};

        add(&reply, "HTTP/1.1 200 OK\r\n");
        add(&reply, etag);
        add(&reply, modified);
        validator = import_reply_validator(&reply);
        if (rows[i].validator)
            assert_string_equal(validator, rows[i].validator);
        else
            assert_null(validator);
    }
}

/* The limit applies to all replies together. A value that is too long is ignored. */
static void test_too_much(void **state)
{
    g_autofree char *value = g_strnfill(1000, 'x');
    g_autofree char *line = g_strdup_printf("ETag: \"%s\"\r\n", value);
    ImportReply reply = {0};
    unsigned lines = 0;

    add(&reply, "HTTP/1.1 200 OK\r\n");
    while (add(&reply, line) && lines < 1000) {
        lines++;
        if (lines % 10 == 0)
            add(&reply, "HTTP/1.1 200 OK\r\n");
    }
    assert_in_range(lines, 100, 131);
    assert_string_equal(reply.etag, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_reply_counts),
        cmocka_unit_test(test_invalid_ranges_are_refused),
        cmocka_unit_test(test_version_comes_from_strong_etag_or_date),
        cmocka_unit_test(test_too_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
