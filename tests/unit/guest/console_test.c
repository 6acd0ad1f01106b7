/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The console output of a guest. */
#include "unit.h"

#include <string.h>

#include "console.h"

typedef struct {
    GRegex *regex;
    GuestConsole *console;
} Test;

static int setup(void **state)
{
    Test *test = g_new0(Test, 1);

    test->regex = g_regex_new("login: ?$", G_REGEX_RAW, 0, NULL);
    test->console = guest_console_new(test->regex);
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    Test *test = *state;

    guest_console_free(test->console);
    g_regex_unref(test->regex);
    g_free(test);
    return 0;
}

static GuestConsole *take(void **state, const char *text)
{
    GuestConsole *console = ((Test *)*state)->console;

    guest_console_take(console, text, strlen(text));
    return console;
}

static void assert_tail(const GuestConsole *console, const char *expected)
{
    g_autofree char *tail = guest_console_tail(console);

    assert_string_equal(tail, expected);
}

static void a_line_that_has_not_ended_counts(void **state)
{
    assert_null(guest_console_found(take(state, "login: was\r\nweb lo")));
    assert_string_equal(guest_console_found(take(state, "gin:")), "web login:");
    assert_string_equal(guest_console_found(take(state, "\nother login:")), "web login:");
}

static void a_line_in_the_middle_counts(void **state)
{
    assert_string_equal(guest_console_found(take(state, "one\nweb login: \nthree\n")),
                        "web login: ");
}

static void one_byte_at_a_time(void **state)
{
    const char *text = "\033[1;32mweb\033[0m \033]0;a login: \007log\033[Kin:";

    for (size_t i = 0; text[i]; i++)
        guest_console_take(((Test *)*state)->console, text + i, 1);
    assert_string_equal(guest_console_found(((Test *)*state)->console), "web login:");
}

static void sequences_are_no_text(void **state)
{
    assert_tail(take(state, "a\033[31mb\033(Bc\n\033]8;;x\033\\d\033Pq\033x\033\\e\nf\bg\a\n"),
                "abc\nde\nfg\n");
}

static void unterminated_sequence_removes_few_characters(void **state)
{
    assert_tail(take(state, "a\033[3\033[1mb\n\033]0;title\nc\n\033"), "ab\nc\n");
}

static void moving_the_cursor_ends_a_line(void **state)
{
    assert_tail(take(state, "\033[2J\033[1;1Hmenu\033[5;1Hentry\033[6;2fother\033[7dend"),
                "menu\nentry\nother\nend\n");
}

static void text_is_printable(void **state)
{
    assert_tail(take(state, "a\xff\xc3\xa4\x7f\x01\tb\n\n\n"), "a\\xff\xc3\xa4\\x7f b\n");
}

static void memory_is_bounded(void **state)
{
    g_autofree char *flood = g_strnfill(10 << 20, 'x');
    g_autofree char *tail = NULL;

    take(state, "first\n");
    tail = guest_console_tail(take(state, flood));
    assert_true(strlen(tail) < 25 * 4100);
    assert_null(strstr(tail, "first"));
}

static void the_last_twenty_lines_are_kept(void **state)
{
    g_autofree char *tail = NULL;

    for (guint i = 0; i < 30; i++) {
        g_autofree char *line = g_strdup_printf("line %u\n", i);

        take(state, line);
    }
    tail = guest_console_tail(((Test *)*state)->console);
    assert_true(g_str_has_prefix(tail, "line 10\n"));
    assert_true(g_str_has_suffix(tail, "line 29\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_that_has_not_ended_counts),
        TEST(a_line_in_the_middle_counts),
        TEST(one_byte_at_a_time),
        TEST(sequences_are_no_text),
        TEST(unterminated_sequence_removes_few_characters),
        TEST(moving_the_cursor_ends_a_line),
        TEST(text_is_printable),
        TEST(memory_is_bounded),
        TEST(the_last_twenty_lines_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
