/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <notify/notify.h>

/* Returns a rule "r" with the settings KEY, VALUE, …, NULL. */
static CstNotifyRules *rules_with(const char *key, ...)
{
    CstNotifyRules *rules = cst_notify_rules_new();
    va_list args;

    va_start(args, key);
    for (; key; key = va_arg(args, const char *)) {
        const char *value = va_arg(args, const char *);

        assert_true(cst_notify_rules_set(rules, "notify r", key, value, NULL));
    }
    va_end(args);
    return rules;
}

static const CstNotifyRule *rule_of(const CstNotifyRules *rules)
{
    assert_int_equal(rules->rules->len, 1);
    return rules->rules->pdata[0];
}

static void assert_value_is_refused(const char *key, const char *value)
{
    g_autoptr(CstNotifyRules) rules = cst_notify_rules_new();
    g_autoptr(GError) error = NULL;

    assert_false(cst_notify_rules_set(rules, "notify r", key, value, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CONFIG));
}

static void a_rule_needs_events_and_exactly_one_target(void **state)
{
    g_autoptr(CstNotifyRules) no_events = rules_with("mail", "root", NULL);
    g_autoptr(CstNotifyRules) no_target = rules_with("events", "all", NULL);
    g_autoptr(CstNotifyRules) two =
        rules_with("events", "all", "mail", "root", "program", "/bin/true", NULL);
    g_autoptr(CstNotifyRules) good = rules_with("events", "all", "mail", "root", NULL);
    g_autoptr(GError) error = NULL;

    assert_false(cst_notify_rules_check(no_events, NULL));
    assert_false(cst_notify_rules_check(no_target, NULL));
    assert_false(cst_notify_rules_check(two, &error));
    assert_non_null(strstr(error->message, "[notify r]"));
    assert_true(cst_notify_rules_check(good, NULL));
}

static void wrong_values_are_refused(void **state)
{
    assert_value_is_refused("events", "job-exploded");
    assert_value_is_refused("mail", "-oQ/tmp");
    assert_value_is_refused("mail", "a\nBcc:x");
    assert_value_is_refused("mail", "");
    assert_value_is_refused("webhook", "http://example.com/x");
    assert_value_is_refused("webhook", "http://localhost.example.com/x");
    assert_value_is_refused("webhook", "http://localhost@example.com/");
    assert_value_is_refused("webhook", "file:///etc/passwd");
    assert_value_is_refused("program", "relative");
    assert_value_is_refused("repeat", "soon");
    assert_value_is_refused("nonsense", "1");
}

static void a_name_with_other_characters_is_refused(void **state)
{
    g_autoptr(CstNotifyRules) rules = cst_notify_rules_new();

    assert_true(cst_notify_is_rule("notify a b"));
    assert_false(cst_notify_is_rule("limits"));
    assert_false(cst_notify_rules_set(rules, "notify a b", "events", "all", NULL));
    assert_false(cst_notify_rules_set(rules, "notify ", "events", "all", NULL));
}

static void http_is_accepted_for_this_host_only(void **state)
{
    g_autoptr(CstNotifyRules) rules =
        rules_with("webhook", "http://127.0.0.1:8080/x", "webhook", "http://[::1]/x", "webhook",
                   "http://localhost", "webhook", "https://example.com/x", NULL);

    assert_string_equal(rule_of(rules)->webhook, "https://example.com/x");
}

static CstEventRecord event_of(const char *kind, CstSeverity severity, gboolean over)
{
    return (CstEventRecord){.kind = (char *)kind,
                            .severity = severity,
                            .over = over,
                            .type = (char *)"pool",
                            .object = (char *)"p",
                            .message = (char *)""};
}

static void a_severity_selects_itself_and_higher_ones(void **state)
{
    g_autoptr(CstNotifyRules) rules = rules_with("events", "warning, pool-started", NULL);
    const CstEventRecord note = event_of("run-done", CST_SEVERITY_NOTE, FALSE);
    const CstEventRecord warning = event_of("pool-degraded", CST_SEVERITY_WARNING, FALSE);
    const CstEventRecord failure = event_of("job-failed", CST_SEVERITY_ERROR, FALSE);
    const CstEventRecord named = event_of("pool-started", CST_SEVERITY_NOTE, FALSE);

    assert_false(cst_notify_rule_selects(rule_of(rules), &note));
    assert_true(cst_notify_rule_selects(rule_of(rules), &warning));
    assert_true(cst_notify_rule_selects(rule_of(rules), &failure));
    assert_true(cst_notify_rule_selects(rule_of(rules), &named));
}

static void the_end_of_a_state_goes_to_the_rules_of_its_begin(void **state)
{
    g_autoptr(CstNotifyRules) rules = rules_with("events", "error", NULL);
    const CstEventRecord end = event_of("pool-inaccessible", CST_SEVERITY_NOTE, TRUE);
    const CstEventRecord lower = event_of("pool-degraded", CST_SEVERITY_NOTE, TRUE);

    assert_true(cst_notify_rule_selects(rule_of(rules), &end));
    assert_false(cst_notify_rule_selects(rule_of(rules), &lower));
}

static void a_rule_does_not_select_its_own_failure(void **state)
{
    g_autoptr(CstNotifyRules) rules = rules_with("events", "all", NULL);
    CstEventRecord event = event_of("notify-failed", CST_SEVERITY_WARNING, FALSE);

    event.type = (char *)"rule";
    event.object = (char *)"r";
    assert_false(cst_notify_rule_selects(rule_of(rules), &event));
    event.object = (char *)"other";
    assert_true(cst_notify_rule_selects(rule_of(rules), &event));
}

static void the_shown_target_has_no_secret(void **state)
{
    g_autoptr(CstNotifyRules) rules =
        rules_with("webhook", "https://user:pw@example.com:8443/T0/SECRET?token=x", NULL);
    g_autofree char *target = cst_notify_rule_target(rule_of(rules));

    assert_string_equal(target, "webhook https://example.com:8443");
}

static void each_setting_changes_the_text(void **state)
{
    static const char *const settings[][2] = {
        {"events", "all"},        {"mail", "root"},           {"webhook", "https://a/"},
        {"program", "/bin/true"}, {"sendmail", "/bin/msmtp"}, {"webhook_key", "/key"},
        {"webhook_ca", "/ca"},    {"repeat", "1h"},           {"interval", "1s"},
    };
    g_autoptr(CstNotifyRules) rules = cst_notify_rules_new();
    g_autofree char *before = cst_notify_rules_text(rules);

    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++) {
        char *now;

        /* The first setting creates the rule. */
        assert_true(cst_notify_rules_set(rules, "notify r", settings[i][0], settings[i][1], NULL));
        now = cst_notify_rules_text(rules);
        assert_string_not_equal(before, now);
        g_free(before);
        before = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_needs_events_and_exactly_one_target),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(a_name_with_other_characters_is_refused),
        cmocka_unit_test(http_is_accepted_for_this_host_only),
        cmocka_unit_test(a_severity_selects_itself_and_higher_ones),
        cmocka_unit_test(the_end_of_a_state_goes_to_the_rules_of_its_begin),
        cmocka_unit_test(a_rule_does_not_select_its_own_failure),
        cmocka_unit_test(the_shown_target_has_no_secret),
        cmocka_unit_test(each_setting_changes_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
