/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Untrusted text in messages. */
#include <base/text.h>

#include <glib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void unprintable_text_is_escaped(void **state)
{
    static const struct {
        const char *text, *escaped;
    } rows[] = {
        {"", ""},
        {"plain 'text'", "plain 'text'"},
        {"a\x1b[31m\n\xc3\xa9", "a\\x1b[31m\\x0a\xc3\xa9"},
        {"\x7f\xff\xc3", "\\x7f\\xff\\xc3"},
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b31m"},                   /* CSI as one character */
        {"\xe2\x80\xae", "\\xe2\\x80\\xae"}, /* changes the direction of the following text */
        {"\xe2\x80\xa8", "\\xe2\\x80\\xa8"}, /* line separator */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *escaped = cst_text_escape(rows[i].text);

        assert_string_equal(escaped, rows[i].escaped);
    }
}

static void escape_lines_keeps_newlines_and_tabs_only(void **state)
{
    g_autofree char *escaped = cst_text_escape_lines("a\tb\n\x1b\r\xc2\x9b");

    assert_string_equal(escaped, "a\tb\n\\x1b\\x0d\\xc2\\x9b");
}

static void format_escapes_arguments_and_keeps_the_format(void **state)
{
    g_autofree char *plain =
        cst_text_format("100%% of %s\n'%5d' %.2f%c\x1b", "a\nb", 42, 1.5, '\r');
    g_autofree char *numbered = cst_text_format("%2$s\t%1$s|", "\x1b[1m", "\xc2\x9b");
    g_autofree char *cut = cst_text_format("%.*s%-4s|%zu", 1, "\xc3\xa9", "\x01", (size_t)7);
    /* The bytes that mark the end of an argument may occur in an argument. */
    g_autofree char *marks = cst_text_format("%s%s\1", "\1\2", "\2\1");

    assert_string_equal(plain, "100% of a\\x0ab\n'   42' 1.50\\x0d\x1b");
    assert_string_equal(numbered, "\\xc2\\x9b\t\\x1b[1m|");
    assert_string_equal(cut, "\\xc3\\x01   |7");
    assert_string_equal(marks, "\\x01\\x02\\x02\\x01\1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unprintable_text_is_escaped),
        cmocka_unit_test(escape_lines_keeps_newlines_and_tabs_only),
        cmocka_unit_test(format_escapes_arguments_and_keeps_the_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
