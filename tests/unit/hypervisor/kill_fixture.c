/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill -9 of the processes of a session (see the header). */
#include "kill_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../await.h"

#define VICTIMS_MAX 4

pid_t session_start(KillSessionFunc session, guint number)
{
    pid_t pid;

    fake_write_file("fake", fake_state->str);
    pid = fork();
    if (pid == 0) {
        session(number);
        _exit(0);
    }
    return pid;
}

pid_t session_stop_in(const char *call, KillSessionFunc session, guint number)
{
    pid_t caller;

    fake_add("[calls]\n%s = once %s/reached wait %s/go\n", call, fake_dir, fake_dir);
    caller = session_start(session, number);
    AWAIT(fake_file_exists("reached"));
    return caller;
}

void session_go_on(void)
{
    fake_write_file("go", "");
}

/* The processes are found before one of them is killed, because a repair could replace it. */
static void victims_kill(const KillRun *run, const char *victims, pid_t caller)
{
    pid_t pids[VICTIMS_MAX] = {0};
    size_t count = strlen(victims);

    assert_true(count <= VICTIMS_MAX);
    for (size_t i = 0; i < count; i++)
        pids[i] = victims[i] == 'c' ? caller : run->find(victims[i]);
    for (size_t i = 0; i < count; i++)
        if (pids[i] > 0)
            kill_process(pids[i]);
}

void kill_at_each_call(const KillRun *run, const char *victims)
{
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < run->n_calls; i++) {
        g_autofree char *go = fake_at("go"), *reached = fake_at("reached");

        unlink(go);
        unlink(reached);
        g_string_assign(fake_state, begin);
        victims_kill(run, victims, session_stop_in(run->calls[i], run->session, i));
        session_go_on();
        await_processes();
        run->check(i, victims);
        await_processes();
    }
}

void assert_independent(pid_t pid, guint descriptors)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", pid);

    assert_true(pid > 1);
    assert_int_equal(getsid(pid), pid);
    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++)
        assert_int_equal(kill(pid, numbers[i]), 0);
    /* The fake opens its files in each call. */
    AWAIT_STATE(directory_count(path) == descriptors, "%u descriptors", directory_count(path));
}
