/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verifications of the audit trail while a process writes to it. */
#include "audit_trail.h"

#include <string.h>

#include <base/log.h>

#include "points.h"

/* Each part of the line that a writer has written when the verification reads it. */
static void test_line_that_is_being_written_is_no_problem(void **state)
{
    const Scratch *s = *state;
    g_autofree char *head = NULL;
    g_autofree char *two = NULL;
    g_autofree char *three = NULL;

    append(s, 2);
    head = trail_read(s, "head");
    two = trail_read(s, "00000001.jsonl");
    append(s, 1);
    three = trail_read(s, "00000001.jsonl");
    trail_write(s, "head", head, -1);
    for (size_t len = strlen(two) + 1; len + 1 < strlen(three); len++) {
        trail_write(s, "00000001.jsonl", three, (gssize)len);
        assert_sound(s, 2);
    }
}

static void test_last_record_that_was_cut_is_found(void **state)
{
    const Scratch *s = *state;
    g_autofree char *three = NULL;
    g_auto(CstAuditState) result = {0};

    append(s, 3);
    three = trail_read(s, "00000001.jsonl");
    trail_write(s, "00000001.jsonl", three, (gssize)strlen(three) - 9);
    assert_true(verify(s, NULL, &result) > 0);
}

/* Appends records until the oldest file has been removed. */
static void rotate_away(gpointer data)
{
    const Scratch *s = data;
    CstAudit *audit = cst_audit_new(s->paths, NO_JOURNAL);
    g_autofree char *large = g_strnfill(20000, 'x');
    g_autofree char *members = g_strdup_printf("\"kind\":\"call\",\"x\":\"%s\"", large);
    g_autofree char *first = trail_path(s, "00000001.jsonl");

    cst_audit_set_limit(audit, 1);
    while (g_file_test(first, G_FILE_TEST_EXISTS))
        cst_audit_append(audit, members, NULL, 0);
    cst_audit_free(audit);
}

static void test_file_that_is_removed_during_a_verification_is_no_problem(void **state)
{
    g_auto(CstAuditState) result = {0};

    append(*state, 3);
    point_run("audit.verify.listed", rotate_away, *state);
    if (verify(*state, NULL, &result) > 0)
        fail_msg("%s", (const char *)result.problems->pdata[0]);
    assert_true(result.first > 1);
    points_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(test_line_that_is_being_written_is_no_problem),
        scratch_test(test_last_record_that_was_cut_is_found),
        scratch_test(test_file_that_is_removed_during_a_verification_is_no_problem),
    };

    cst_log_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
