/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The QEMU at the socket of a monitor, in the place of the URI and the UUID of a domain. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <hypervisor/qmp.h>

#include "../../../src/hypervisor/domain_entry.h"
#include "../../../src/hypervisor/pause_steps.h"
#include "../../../src/hypervisor/qmp_uri.h"

static void text_is_parsed_to_the_same_values(void **unused)
{
    const QmpUri uri = {.socket = (char *)"/run/a:b c", .pid = 12, .start = 345};
    g_autofree char *text = qmp_uri_format(&uri);
    g_auto(QmpUri) parsed = {0};

    assert_string_equal(text, "qmp:12:345:/run/a:b c");
    assert_true(qmp_uri_parse(text, &parsed));
    assert_string_equal(parsed.socket, uri.socket);
    assert_int_equal(parsed.pid, uri.pid);
    assert_int_equal(parsed.start, uri.start);
    assert_ptr_equal(pause_steps_of(text), &pause_steps_qmp);
    assert_ptr_equal(pause_steps_of("qemu:///system"), &pause_steps_libvirt);
}

static void other_texts_are_refused(void **unused)
{
    static const char *const texts[] = {
        "",
        "qemu:///system",
        "qmp:",
        "qmp:1",
        "qmp:1:2",
        "qmp:1:2:",
        "qmp:1:2:run/monitor",
        "qmp:0:2:/run/monitor",
        "qmp:1:0:/run/monitor",
        "qmp:-1:2:/run/monitor",
        "qmp:1: 2:/run/monitor",
        "qmp:4294967297:2:/run/monitor",
    };
    g_autofree char *name = g_strnfill(CST_QMP_SOCKET_MAX, 'x');
    g_autofree char *longer = g_strconcat("qmp:1:2:/", name, NULL);
    g_auto(QmpUri) parsed = {0};

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        if (qmp_uri_parse(texts[i], &parsed))
            fail_msg("'%s' is accepted", texts[i]);
    assert_false(qmp_uri_parse(longer, &parsed));
}

/* Two pauses of one process exclude each other by the name of the entry. */
static void uuid_belongs_to_the_process(void **unused)
{
    const QmpUri uri = {.socket = (char *)"/a", .pid = 12, .start = 345};
    const QmpUri other_socket = {.socket = (char *)"/b", .pid = 12, .start = 345};
    const QmpUri later = {.socket = (char *)"/a", .pid = 12, .start = 346};
    g_autofree char *first = qmp_uri_uuid(&uri);
    g_autofree char *second = qmp_uri_uuid(&other_socket);
    g_autofree char *third = qmp_uri_uuid(&later);

    assert_true(domain_uuid_is_canonical(first));
    assert_string_equal(first, second);
    assert_string_not_equal(first, third);
}

static void process_that_has_ended_is_not_alive(void **unused)
{
    QmpUri uri = {.pid = fork()};
    siginfo_t ended;

    if (uri.pid == 0) {
        pause();
        _exit(0);
    }
    uri.start = qmp_process_start(uri.pid);
    assert_true(uri.start > 0 && qmp_uri_is_alive(&uri));
    uri.start++;
    assert_false(qmp_uri_is_alive(&uri));
    uri.start--;
    kill((pid_t)uri.pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)uri.pid, &ended, WEXITED | WNOWAIT), 0);
    assert_false(qmp_uri_is_alive(&uri)); /* a zombie */
    assert_int_equal(waitpid((pid_t)uri.pid, NULL, 0), uri.pid);
    assert_false(qmp_uri_is_alive(&uri));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_parsed_to_the_same_values),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(uuid_belongs_to_the_process),
        cmocka_unit_test(process_that_has_ended_is_not_alive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
