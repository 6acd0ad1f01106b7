/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <base/error.h>

#include "core/words.h"

/** The words of all commands, joined by '|', commands by "||"; or the error's text in braces. */
static char *split(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) lines = cli_words_split(text, &error);
    g_autoptr(GString) joined = g_string_new(NULL);

    if (!lines)
        return g_strdup_printf("{%s}", error->message);
    for (guint i = 0; i < lines->len; i++) {
        g_autofree char *line = g_strjoinv("|", g_ptr_array_index(lines, i));

        g_string_append_printf(joined, "%s%s", i ? "||" : "", line);
    }
    return g_string_free(g_steal_pointer(&joined), FALSE);
}

static void check(const char *text, const char *expected)
{
    g_autofree char *got = split(text);

    assert_string_equal(got, expected);
}

static void blanks_separate_words(void **state)
{
    check("", "");
    check("  a\tb  c ", "a|b|c");
}

static void semicolons_and_newlines_separate_commands(void **state)
{
    check("a;b c", "a||b|c");
    check(";;a;\n;b;", "a||b");
    check("a\\\nb", "ab");
    check("a \\\n b", "a|b");
}

static void hash_begins_a_comment_only_where_a_word_could(void **state)
{
    check("a # b; c\nd", "a||d");
    check("a#b", "a#b");
}

static void quotes_and_backslashes_protect(void **state)
{
    check("'a b' \"c;d\" e\\ f", "a b|c;d|e f");
    check("'a\\b' \"a\\\"b\"", "a\\b|a\"b");
    check("a'b'\"c\"", "abc");
    check("'' \"\"", "|");
}

static void an_open_single_quote_lasts_to_the_end_as_in_virsh(void **state)
{
    check("a 'b c", "a|b c");
}

static void an_open_double_quote_or_backslash_is_an_error(void **state)
{
    check("a \"b", "{missing \"}");
    check("a\\", "{dangling \\}");
}

static void quoted_words_come_back_as_one(void **state)
{
    static const char *const words[] = {"a", "", "a b", "it's", "a\"b", "$x;y", "\\", "a\nb"};

    for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autofree char *quoted = cli_words_quote(words[i]);

        check(quoted, words[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_separate_words),
        cmocka_unit_test(semicolons_and_newlines_separate_commands),
        cmocka_unit_test(hash_begins_a_comment_only_where_a_word_could),
        cmocka_unit_test(quotes_and_backslashes_protect),
        cmocka_unit_test(an_open_single_quote_lasts_to_the_end_as_in_virsh),
        cmocka_unit_test(an_open_double_quote_or_backslash_is_an_error),
        cmocka_unit_test(quoted_words_come_back_as_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
