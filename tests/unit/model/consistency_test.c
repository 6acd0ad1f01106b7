/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of the consistency of a copy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <model/consistency.h>

static void each_recorded_consistency_is_parsed_from_its_word(void **state)
{
    for (int i = CST_CONSISTENCY_CRASH; i < CST_CONSISTENCY_LAST; i++) {
        CstConsistency parsed = CST_CONSISTENCY_UNKNOWN;

        assert_true(cst_consistency_parse(cst_consistency_word(i), &parsed));
        assert_int_equal(parsed, i);
    }
}

static void an_unknown_number_has_the_word_unknown(void **state)
{
    assert_string_equal(cst_consistency_word(-1), "unknown");
    assert_string_equal(cst_consistency_word(CST_CONSISTENCY_LAST), "unknown");
}

static void unknown_and_other_words_are_not_parsed(void **state)
{
    CstConsistency parsed = CST_CONSISTENCY_CRASH;

    assert_false(cst_consistency_parse("unknown", &parsed));
    assert_false(cst_consistency_parse("", &parsed));
    assert_false(cst_consistency_parse("Crash", &parsed));
    assert_int_equal(parsed, CST_CONSISTENCY_CRASH);
}

static void a_better_consistency_has_a_larger_number(void **state)
{
    assert_true(CST_CONSISTENCY_CRASH < CST_CONSISTENCY_FILESYSTEM);
    assert_true(CST_CONSISTENCY_FILESYSTEM < CST_CONSISTENCY_APPLICATION);
    assert_true(CST_CONSISTENCY_APPLICATION < CST_CONSISTENCY_OFFLINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_recorded_consistency_is_parsed_from_its_word),
        cmocka_unit_test(an_unknown_number_has_the_word_unknown),
        cmocka_unit_test(unknown_and_other_words_are_not_parsed),
        cmocka_unit_test(a_better_consistency_has_a_larger_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
