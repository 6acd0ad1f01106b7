/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A list with an untrusted length and untrusted texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/findings.h>

static void the_first_ones_are_kept(void **state)
{
    g_autoptr(CstFindings) findings = cst_findings_new();

    for (unsigned i = 0; i < 10 * CST_FINDINGS_MAX; i++)
        cst_findings_add(findings, CST_FINDING_LEAK, 3, "number %u", i);
    assert_int_equal(cst_findings_length(findings), CST_FINDINGS_MAX);
    assert_string_equal(cst_findings_get(findings, 0)->text, "number 0");
    assert_string_equal(cst_findings_get(findings, CST_FINDINGS_MAX - 1)->text, "number 99");
    assert_int_equal(cst_findings_get(findings, 7)->count, 3);
    assert_int_equal(cst_findings_get(findings, 7)->kind, CST_FINDING_LEAK);
}

static void long_texts_are_cut_between_characters(void **state)
{
    g_autoptr(CstFindings) findings = cst_findings_new();
    g_autoptr(GString) text = g_string_new("x");
    const char *kept;

    while (text->len < 2 * CST_FINDING_MAX_LEN)
        g_string_append(text, "é");
    cst_findings_add(findings, CST_FINDING_ERROR, 1, "%s", text->str);
    kept = cst_findings_get(findings, 0)->text;
    assert_int_equal(strlen(kept), CST_FINDING_MAX_LEN - 1);
    assert_true(g_utf8_validate(kept, -1, NULL));
}

static void finding_with_count_zero_is_not_added(void **state)
{
    g_autoptr(CstFindings) findings = cst_findings_new();

    cst_findings_add(findings, CST_FINDING_ERROR, 0, "none");
    cst_findings_add(NULL, CST_FINDING_ERROR, 1, "nowhere");
    assert_int_equal(cst_findings_length(findings), 0);
    assert_int_equal(cst_findings_length(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_ones_are_kept),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(finding_with_count_zero_is_not_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
