/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text of others, as it may stand in a message. */
#include <base/text.h>

#include <glib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void what_does_not_print_is_escaped(void **state)
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
        {"\xe2\x80\xae", "\\xe2\\x80\\xae"}, /* turns the direction of what follows */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *escaped = cst_text_escape(rows[i].text);

        assert_string_equal(escaped, rows[i].escaped);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_print_is_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
