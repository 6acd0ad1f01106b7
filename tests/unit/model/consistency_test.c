/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and records of the consistency of a copy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <model/snapshot.h>

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

/* --- records ---------------------------------------------------------------------------------- */

static void assert_record(CstConsistency consistency, const char *reason, const char *expected)
{
    g_autofree char *record = cst_consistency_record(consistency, reason);

    assert_string_equal(record, expected);
}

static void a_record_has_the_word_and_the_reason(void **state)
{
    assert_null(cst_consistency_record(CST_CONSISTENCY_UNKNOWN, "a reason"));
    assert_null(cst_consistency_record(CST_CONSISTENCY_LAST, NULL));
    assert_record(CST_CONSISTENCY_OFFLINE, NULL, "offline");
    assert_record(CST_CONSISTENCY_OFFLINE, "", "offline");
    assert_record(CST_CONSISTENCY_CRASH, "no agent", "crash no agent");
    assert_record(CST_CONSISTENCY_CRASH, "\tno\nagent\x7f ", "crash no agent");
}

/* The byte before the limit begins a character of two bytes. */
static void a_long_reason_is_cut_between_characters(void **state)
{
    g_autofree char *fill = g_strnfill(CST_CONSISTENCY_REASON_MAX - 1, 'x');
    g_autofree char *reason = g_strconcat(fill, "\xc3\xa4", "end", NULL);
    g_autofree char *expected = g_strconcat("filesystem ", fill, NULL);

    assert_record(CST_CONSISTENCY_FILESYSTEM, reason, expected);
}

static void each_record_is_parsed_again(void **state)
{
    for (int i = CST_CONSISTENCY_CRASH; i < CST_CONSISTENCY_LAST; i++) {
        g_autofree char *record = cst_consistency_record(i, "the agent did not answer");
        g_autofree char *plain = cst_consistency_record(i, NULL);
        g_autoptr(CstSnapshot) snapshot = g_new0(CstSnapshot, 1);

        cst_snapshot_read_record(snapshot, record);
        assert_int_equal(snapshot->consistency, i);
        assert_string_equal(snapshot->consistency_reason, "the agent did not answer");
        cst_snapshot_read_record(snapshot, plain);
        assert_int_equal(snapshot->consistency, i);
        assert_null(snapshot->consistency_reason);
    }
}

static void a_text_that_is_no_record_means_unknown(void **state)
{
    g_autofree char *fill = g_strnfill(CST_CONSISTENCY_REASON_MAX + 1, 'x');
    g_autofree char *too_long = g_strconcat("crash ", fill, NULL);
    const char *const texts[] = {
        NULL,       "",          "unknown",       "unknown why", "Offline",          "offline ",
        " offline", "offline\n", "crash \x1b[2J", "crash \xff",  "crash two\nlines", too_long};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(CstSnapshot) snapshot = g_new0(CstSnapshot, 1);

        cst_snapshot_read_record(snapshot, "crash before");
        cst_snapshot_read_record(snapshot, texts[i]);
        assert_int_equal(snapshot->consistency, CST_CONSISTENCY_UNKNOWN);
        assert_null(snapshot->consistency_reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_recorded_consistency_is_parsed_from_its_word),
        cmocka_unit_test(an_unknown_number_has_the_word_unknown),
        cmocka_unit_test(unknown_and_other_words_are_not_parsed),
        cmocka_unit_test(a_better_consistency_has_a_larger_number),
        cmocka_unit_test(a_record_has_the_word_and_the_reason),
        cmocka_unit_test(a_long_reason_is_cut_between_characters),
        cmocka_unit_test(each_record_is_parsed_again),
        cmocka_unit_test(a_text_that_is_no_record_means_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
