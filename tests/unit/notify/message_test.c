/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "notify_private.h"

static CstNotifyRule rule_new(void)
{
    static char *mail[] = {(char *)"a@example.com", (char *)"root", NULL};

    return (CstNotifyRule){.name = (char *)"r", .mail = mail};
}

static CstEventRecord event_new(const char *object, const char *message)
{
    return (CstEventRecord){.id = 7,
                            .time = INT64_C(1796083200) * G_USEC_PER_SEC,
                            .kind = (char *)"pool-inaccessible",
                            .severity = CST_SEVERITY_ERROR,
                            .type = (char *)"pool",
                            .object = (char *)object,
                            .uid = CST_EVENT_NO_USER,
                            .message = (char *)message};
}

static char *mail_of(CstEventRecord *event)
{
    const CstNotifyRule rule = rule_new();
    g_autoptr(GPtrArray) events = g_ptr_array_new();

    g_ptr_array_add(events, event);
    return message_mail(&rule, events);
}

static void a_mail_names_host_severity_kind_and_object(void **state)
{
    CstEventRecord event = event_new("images", "it does not answer");
    g_autofree char *mail = mail_of(&event);
    g_autofree char *subject =
        g_strdup_printf("\nSubject: [%s] error: pool-inaccessible images\n", g_get_host_name());

    assert_true(g_str_has_prefix(mail, "To: a@example.com, root\n"));
    assert_non_null(strstr(mail, subject));
    assert_non_null(strstr(mail, "\n\n2026-12-01T00:00:00Z  error  pool-inaccessible  pool images\n"
                                 "    it does not answer\n"));
}

static void a_name_adds_no_header(void **state)
{
    CstEventRecord event = event_new("x\nBcc: victim@example.com\n\nbody", "m\n.\nFrom x");
    g_autofree char *mail = mail_of(&event);

    assert_null(strstr(mail, "\nBcc"));
    assert_null(strstr(mail, "\n.\n"));
    assert_non_null(strstr(mail, "x\\x0aBcc"));
}

static void a_subject_with_other_characters_is_encoded(void **state)
{
    CstEventRecord event = event_new("Größe", "m");
    g_autofree char *mail = mail_of(&event);
    const char *subject = strstr(mail, "Subject: ");

    assert_non_null(strstr(mail, "=?UTF-8?B?"));
    for (const char *p = subject; *p != '\n'; p++)
        assert_true(*p > 0);
}

static void json_has_each_event_with_any_name(void **state)
{
    const CstNotifyRule rule = rule_new();
    CstEventRecord first = event_new("a\"b\\\n\x01", "first");
    CstEventRecord second = event_new("bytes \xff", "second");
    g_autoptr(GPtrArray) events = g_ptr_array_new();
    g_autofree char *text = NULL;

    second.uid = 1000;
    second.over = TRUE;
    g_ptr_array_add(events, &first);
    g_ptr_array_add(events, &second);
    text = message_json(&rule, events, NULL);
    assert_non_null(text);
    assert_null(strchr(text, '\n'));
    assert_non_null(strstr(text, "\"rule\":\"r\""));
    assert_non_null(strstr(text, "\"object\":\"a\\\"b\\\\\\n\\u0001\""));
    assert_non_null(strstr(text, "\"severity\":\"error\",\"over\":false"));
    assert_non_null(strstr(text, "\"time\":\"2026-12-01T00:00:00Z\""));
    assert_non_null(strstr(text, "\"object\":\"bytes \xef\xbf\xbd\",\"uid\":1000"));
    assert_non_null(strstr(text, "\"over\":true"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mail_names_host_severity_kind_and_object),
        cmocka_unit_test(a_name_adds_no_header),
        cmocka_unit_test(a_subject_with_other_characters_is_encoded),
        cmocka_unit_test(json_has_each_event_with_any_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
