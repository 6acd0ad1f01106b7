/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A domain of the fake libvirt, and the processes that pause it. The test adopts the watchdogs,
 * because init would reap them otherwise, and the test could not see their end.
 */
#include "pause_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/error.h>
#include <base/file.h>

#include "../await.h"

char *pause_live;
char *pause_directory;
CstHypervisorPauseRequest pause_request;
unsigned pause_deadline_s;
static CstHypervisorVolume volume;
static unsigned limits[PAUSE_LIMIT_LAST]; /* of the product */

#define LONG_MS 120000 /* no limit passes by itself */

int pause_setup(void **unused)
{
    g_autofree char *disk = NULL;
    g_auto(CstFd) fd = -1;

    fake_setup(unused);
    fake_add_domain("running");
    pause_live = fake_at("live");
    pause_directory = fake_at("pause");
    fake_add("live = %s\n", pause_live);
    live_set(pause_live, "state", "running");
    live_set_number(pause_live, "id", 7);
    live_set_number(pause_live, "filesystems", 2);
    disk = fake_at("disk");
    fd = open(disk, O_RDONLY | O_CLOEXEC);
    volume = (CstHypervisorVolume){0};
    cst_hypervisor_volume_set_file(&volume, fd);
    pause_request = (CstHypervisorPauseRequest){.uri = "qemu:///system",
                                                .uuid = PAUSE_UUID,
                                                .volumes = &volume,
                                                .n_volumes = 1,
                                                .freeze = TRUE,
                                                .directory = pause_directory};
    pause_deadline_s = 60;
    memcpy(limits, hypervisor_pause_limits, sizeof(limits));
    for (guint i = 0; i < PAUSE_LIMIT_LAST; i++)
        hypervisor_pause_limits[i] = LONG_MS;
    hypervisor_pause_limits[PAUSE_LIMIT_RETRY] = 10;
    hypervisor_pause_limits[PAUSE_LIMIT_RETRY_MAX] = 50;
    hypervisor_pause_limits[PAUSE_LIMIT_LATE] = 100;
    hypervisor_pause_limits[PAUSE_LIMIT_REPLY] = 5000;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return 0;
}

static void directory_clear(const char *path, gboolean expected)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        g_unlink(file);
        if (!expected)
            fail_msg("%s is left", name);
    }
    g_rmdir(path);
}

int pause_teardown(void **unused)
{
    await_processes();
    memcpy(hypervisor_pause_limits, limits, sizeof(limits));
    directory_clear(pause_directory, FALSE);
    g_free(pause_directory);
    g_free(pause_live);
    return fake_teardown(unused);
}

CstHypervisorPause *pause_begin(GError **error)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(pause_deadline_s);

    fake_write_file("fake", fake_state->str);
    return cst_hypervisor_pause_begin(hypervisor, &pause_request, NULL, error);
}

CstHypervisorPause *pause_begin_ok(void)
{
    g_autoptr(GError) error = NULL;
    CstHypervisorPause *pause = pause_begin(&error);

    if (!pause)
        fail_msg("%s", error->message);
    return pause;
}

CstHypervisorPause *pause_suspend_ok(void)
{
    CstHypervisorPause *pause = pause_begin_ok();
    g_autoptr(GError) error = NULL;

    if (!cst_hypervisor_pause_suspend(pause, &error))
        fail_msg("%s", error->message);
    return pause;
}

void pause_resume_ok(CstHypervisorPause *pause, CstConsistency level, const char *reason)
{
    CstHypervisorPauseResult result = {0};
    g_autoptr(GError) error = NULL;

    if (!cst_hypervisor_pause_resume(pause, &result, &error))
        fail_msg("%s", error->message);
    if (g_strcmp0(result.reason, reason) != 0)
        fail_msg("the reason is: %s", result.reason);
    assert_int_equal(result.consistency, level);
    g_free(result.reason);
}

void assert_pause_error(GError *error, CstErrorCode code, const char *text)
{
    if (!error || (CstErrorCode)error->code != code || !strstr(error->message, text))
        fail_msg("the error is %d: %s", error ? error->code : 0, error ? error->message : "none");
    g_error_free(error);
}

gboolean live_is_now(const char *state, int frozen)
{
    g_autofree char *now = live_get(pause_live, "state");

    return g_strcmp0(now, state) == 0 && live_get_number(pause_live, "frozen") == frozen;
}

gboolean entry_exists(const char *suffix)
{
    g_autofree char *path = g_strconcat(pause_directory, "/" PAUSE_UUID, suffix, NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

guint directory_count(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint count = 0;

    while (dir && g_dir_read_name(dir))
        count++;
    return count;
}

void await_undone(void)
{
    AWAIT_STATE(live_is_now("running", 0) && !entry_exists("") && !entry_exists(".lock"),
                "frozen %d, entry %d, lock %d", live_get_number(pause_live, "frozen"),
                entry_exists(""), entry_exists(".lock"));
}

void await_unlocked(void)
{
    AWAIT(!entry_exists("") && !entry_exists(".lock"));
}

/* --- processes -------------------------------------------------------------------------------- */

void await_processes(void)
{
    AWAIT(waitpid(-1, NULL, WNOHANG) < 0);
}

/* Whether @argument is in the command line of the process. */
static gboolean process_has(const char *pid, const char *argument)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/cmdline", pid);
    g_autofree char *text = NULL;
    gsize len = 0;

    if (!g_file_get_contents(path, &text, &len, NULL))
        return FALSE;
    return memmem(text, len, argument, strlen(argument)) != NULL;
}

pid_t find_child(pid_t parent, const char *argument)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", parent, parent);
    g_autofree char *text = NULL;
    g_auto(GStrv) pids = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    pids = g_strsplit(text, " ", -1);
    for (char **pid = pids; *pid; pid++)
        if (process_has(*pid, argument))
            return atoi(*pid);
    return 0;
}

pid_t find_watchdog(void)
{
    return find_child(getpid(), HYPERVISOR_PAUSE);
}

pid_t find_worker(void)
{
    pid_t watchdog = find_watchdog();

    return watchdog ? find_child(watchdog, HYPERVISOR_PAUSE) : 0;
}

void kill_process(pid_t pid)
{
    struct pollfd end = {.fd = pidfd_open(pid, 0), .events = POLLIN};

    assert_true(pid > 1 && end.fd >= 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    /* A process that has ended has closed its sockets. One without a command line may not have. */
    AWAIT(poll(&end, 1, 0) > 0);
    close(end.fd);
    waitpid(pid, NULL, WNOHANG);
}
