/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill -9 of each process of a pause, at each call that it makes. In the end the domain runs, its
 * file systems are thawed, and no file and no process is left.
 */
#include "pause_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

#include "../../../src/hypervisor/pause_entry.h"
#include "../await.h"
#include "kill_fixture.h"

static const char *const calls[] = {
    "virConnectOpen",          "virDomainGetXMLDesc", "virDomainGetTime",       "virDomainFSFreeze",
    "after virDomainFSFreeze", "virDomainSuspend",    "after virDomainSuspend", "virDomainResume",
    "after virDomainResume",   "virDomainFSThaw",     "after virDomainFSThaw",
};

/* Runs a complete pause. */
static void pause_session_run(guint number)
{
    CstHypervisorPauseResult result;
    CstHypervisorPause *pause = pause_begin(NULL);

    if (pause && cst_hypervisor_pause_suspend(pause, NULL))
        cst_hypervisor_pause_resume(pause, &result, NULL);
    cst_hypervisor_pause_end(pause);
}

static void pause_session_check(guint number, const char *victims)
{
    if (strcmp(victims, "cwl") == 0)
        assert_true(cst_hypervisor_pause_recover(pause_directory, NULL));
    else
        assert_true(live_is_now("running", 0) && !entry_exists(""));
    /* A watchdog that was about to remove the lock may have left its file. */
    if (strcmp(victims, "cw") == 0)
        assert_true(cst_hypervisor_pause_recover(pause_directory, NULL));
    await_undone();
}

static pid_t pause_process_find(char victim)
{
    return victim == 'w' ? find_watchdog() : find_worker();
}

/* @victims: c: the caller, w: the watchdog, l: the worker, which calls libvirt. */
static void kill_pause_processes(const char *victims)
{
    static const KillRun run = {calls, G_N_ELEMENTS(calls), pause_session_run, pause_process_find,
                                pause_session_check};

    kill_at_each_call(&run, victims);
}

static void caller_that_is_killed_leaves_a_running_domain(void **unused)
{
    kill_pause_processes("c");
}

static void worker_that_is_killed_is_replaced(void **unused)
{
    kill_pause_processes("l");
}

static void watchdog_that_is_killed_is_replaced_by_its_worker(void **unused)
{
    kill_pause_processes("w");
}

static void caller_and_watchdog_that_are_killed_leave_a_running_domain(void **unused)
{
    kill_pause_processes("cw");
}

static void processes_that_are_all_killed_are_recovered(void **unused)
{
    kill_pause_processes("cwl");
}

/* The caller keeps the domain paused for its copies. */
static void each_process_that_is_killed_during_the_copies_is_noticed(void **unused)
{
    CstHypervisorPauseResult result;
    CstHypervisorPause *pause;
    GError *error = NULL;

    pause = pause_suspend_ok();
    kill_process(find_worker());
    await_undone();
    assert_false(cst_hypervisor_pause_resume(pause, &result, &error));
    assert_pause_error(g_steal_pointer(&error), CST_ERROR_FAILED,
                       "the connection to libvirt was lost");
    cst_hypervisor_pause_end(pause);
    pause = pause_suspend_ok();
    kill_process(find_watchdog());
    await_undone();
    assert_false(cst_hypervisor_pause_resume(pause, &result, &error));
    assert_pause_error(g_steal_pointer(&error), CST_ERROR_FAILED, "the watchdog of domain");
    assert_false(cst_hypervisor_pause_resume(pause, &result, NULL));
    cst_hypervisor_pause_end(pause);
}

/* The alarm of the worker ends its call. */
static void watchdog_that_is_killed_while_a_call_hangs_is_replaced(void **unused)
{
    hypervisor_pause_limits[PAUSE_LIMIT_CALL] = 1000;
    session_stop_in("after virDomainSuspend", pause_session_run, 0);
    kill_process(find_watchdog());
    await_undone();
}

/* A second watchdog would resume the domain while the worker still calls libvirt. */
static void worker_without_a_watchdog_keeps_the_lock(void **unused)
{
    g_auto(CstFd) dirfd = -1;
    GError *error = NULL;

    session_stop_in("after virDomainSuspend", pause_session_run, 0);
    dirfd = domain_directory_open(pause_directory, 0, NULL);
    kill_process(find_watchdog());
    assert_int_equal(domain_entry_lock(dirfd, PAUSE_UUID, &error), -1);
    assert_pause_error(error, CST_ERROR_BUSY, PAUSE_UUID);
    session_go_on();
    await_undone();
}

/*
 * Returns the open descriptors of a process and their targets. The caller frees them. The worker
 * opens the state of the fake domain at any time.
 */
static char *descriptors_of(pid_t pid)
{
    GString *found = g_string_new(NULL);

    for (guint fd = 0; fd < 32; fd++) {
        g_autofree char *link = g_strdup_printf("/proc/%d/fd/%u", pid, fd);
        g_autofree char *target = g_file_read_link(link, NULL);
        g_autofree char *name = target ? g_path_get_basename(target) : NULL;

        if (name && !g_str_has_prefix(name, "live"))
            g_string_append_printf(found, " %u:%s", fd,
                                   g_str_has_prefix(name, "socket:") ? "socket" : name);
    }
    return g_string_free(found, FALSE);
}

/* A copy of the caller's socket in the worker would hide the end of the watchdog. */
static void processes_inherit_no_other_descriptor(void **unused)
{
    int public = dup(STDOUT_FILENO);
    CstHypervisorPause *pause = pause_suspend_ok();
    g_autofree char *watchdog = descriptors_of(find_watchdog());
    g_autofree char *worker = descriptors_of(find_worker());

    close(public);
    cst_hypervisor_pause_end(pause);
    assert_string_equal(watchdog,
                        " 0:null 1:null 2:null 3:pause 4:socket 5:" PAUSE_UUID ".lock 6:socket");
    assert_string_equal(worker, " 0:null 1:null 2:null 3:pause 4:" PAUSE_UUID ".lock 7:socket");
}

static void watchdog_ignores_the_signals_of_a_terminal(void **unused)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
    CstHypervisorPause *pause = pause_suspend_ok();
    pid_t watchdog = find_watchdog(), worker = find_worker();

    assert_int_equal(getsid(watchdog), watchdog);
    assert_true(watchdog > 1 && worker > 1);
    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++) {
        assert_int_equal(kill(watchdog, numbers[i]), 0);
        assert_int_equal(kill(worker, numbers[i]), 0);
    }
    pause_resume_ok(pause, CST_CONSISTENCY_FILESYSTEM, NULL);
    cst_hypervisor_pause_end(pause);
}

/* Leaves the entry of a domain that all processes have left paused. */
static void pause_abandon(void)
{
    CstHypervisorPause *pause = pause_suspend_ok();
    pid_t watchdog = find_watchdog(), worker = find_worker();

    assert_true(watchdog > 1);
    kill(watchdog, SIGSTOP);
    kill_process(worker);
    kill_process(watchdog);
    cst_hypervisor_pause_end(pause);
    await_processes();
    assert_true(live_is_now("paused", 2));
    assert_true(entry_exists(""));
}

static void abandoned_pause_is_recovered(void **unused)
{
    g_autoptr(GError) error = NULL;

    pause_abandon();
    if (!cst_hypervisor_pause_recover(pause_directory, &error))
        fail_msg("%s", error->message);
    await_undone();
}

/* A new pause finds the entry before a recovery does. */
static void abandoned_pause_is_undone_by_the_next_one(void **unused)
{
    GError *error = NULL;

    pause_abandon();
    assert_null(pause_begin(&error));
    assert_pause_error(error, CST_ERROR_BUSY, "undoes an earlier pause");
    await_undone();
    await_processes();
    cst_hypervisor_pause_end(pause_suspend_ok());
}

/* The processes of a pause may be those of another program. */
static void pause_that_is_held_is_not_recovered(void **unused)
{
    CstHypervisorPause *pause = pause_suspend_ok();

    assert_true(cst_hypervisor_pause_recover(pause_directory, NULL));
    assert_true(live_is_now("paused", 2));
    pause_resume_ok(pause, CST_CONSISTENCY_FILESYSTEM, NULL);
    cst_hypervisor_pause_end(pause);
}

static void domain_that_was_started_again_is_not_recovered(void **unused)
{
    pause_abandon();
    live_set_number(pause_live, "id", 8);
    assert_true(cst_hypervisor_pause_recover(pause_directory, NULL));
    await_unlocked();
    assert_true(live_is_now("paused", 2));
}

static void recovery_is_repeated_until_libvirt_answers(void **unused)
{
    guint tries;
    g_autofree char *begin = NULL;

    pause_abandon();
    begin = g_strdup(fake_state->str);
    fake_add("[calls]\nvirConnectOpen = fail 38 111 Connection refused\n");
    fake_write_file("fake", fake_state->str);
    tries = fake_calls("virConnectOpen");
    assert_true(cst_hypervisor_pause_recover(pause_directory, NULL));
    AWAIT(fake_calls("virConnectOpen") > tries + 2);
    assert_true(entry_exists(""));
    fake_write_file("fake", begin);
    await_undone();
}

static void missing_directory_has_no_entries(void **unused)
{
    assert_true(cst_hypervisor_pause_recover(pause_directory, NULL));
    assert_false(g_file_test(pause_directory, G_FILE_TEST_EXISTS));
}

/* One entry is damaged, and the next one is repaired nevertheless. */
static void damaged_entry_is_reported_and_kept(void **unused)
{
    static const char *const texts[] = {"", "[pause]\nversion=2\n", "version", NULL};
    static const char *const other = "00000000-0000-4000-8000-000000000000";
    g_autofree char *path = g_build_filename(pause_directory, other, NULL);

    for (guint i = 0; texts[i]; i++) {
        GError *error = NULL;

        pause_abandon();
        assert_true(g_file_set_contents_full(path, texts[i], -1, 0, 0600, NULL));
        assert_false(cst_hypervisor_pause_recover(pause_directory, &error));
        assert_pause_error(error, CST_ERROR_CORRUPT, other);
        await_undone();
        await_processes();
        assert_int_equal(unlink(path), 0);
    }
}

/* The link leads to a valid entry. */
static void entry_that_is_a_link_or_public_is_not_used(void **unused)
{
    g_autofree char *entry = g_build_filename(pause_directory, PAUSE_UUID, NULL);
    g_autofree char *target = fake_at("entry");
    GError *error = NULL;

    pause_abandon();
    assert_int_equal(rename(entry, target), 0);
    assert_int_equal(symlink(target, entry), 0);
    assert_false(cst_hypervisor_pause_recover(pause_directory, &error));
    assert_pause_error(g_steal_pointer(&error), CST_ERROR_IO, PAUSE_UUID);
    assert_int_equal(unlink(entry), 0);
    assert_int_equal(rename(target, entry), 0);
    assert_int_equal(chmod(entry, 0666), 0);
    assert_false(cst_hypervisor_pause_recover(pause_directory, &error));
    assert_pause_error(error, CST_ERROR_DENIED, PAUSE_UUID);
    assert_true(live_is_now("paused", 2));
    assert_int_equal(chmod(entry, 0600), 0);
    assert_true(cst_hypervisor_pause_recover(pause_directory, NULL));
    await_undone();
}

static void directory_of_other_users_is_refused(void **unused)
{
    GError *error = NULL;

    assert_int_equal(mkdir(pause_directory, 0700), 0);
    assert_int_equal(chmod(pause_directory, 0777), 0);
    assert_null(pause_begin(&error));
    assert_pause_error(error, CST_ERROR_DENIED, "other users can write");
    assert_int_equal(fake_calls("virConnectOpen"), 0);
}

/* A crash between the steps leaves files without an entry. */
static void files_without_an_entry_are_removed(void **unused)
{
    g_autofree char *lock = g_strconcat(pause_directory, "/" PAUSE_UUID ".lock", NULL);
    g_autofree char *new = g_strconcat(pause_directory, "/" PAUSE_UUID ".new", NULL);

    assert_int_equal(mkdir(pause_directory, 0700), 0);
    assert_true(g_file_set_contents(lock, "", 0, NULL));
    assert_true(g_file_set_contents(new, "", 0, NULL));
    assert_true(cst_hypervisor_pause_recover(pause_directory, NULL));
    assert_false(entry_exists(".lock"));
    assert_false(entry_exists(".new"));
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, pause_setup, pause_teardown)
    const struct CMUnitTest tests[] = {
        CASE(caller_that_is_killed_leaves_a_running_domain),
        CASE(worker_that_is_killed_is_replaced),
        CASE(watchdog_that_is_killed_is_replaced_by_its_worker),
        CASE(caller_and_watchdog_that_are_killed_leave_a_running_domain),
        CASE(processes_that_are_all_killed_are_recovered),
        CASE(each_process_that_is_killed_during_the_copies_is_noticed),
        CASE(watchdog_that_is_killed_while_a_call_hangs_is_replaced),
        CASE(worker_without_a_watchdog_keeps_the_lock),
        CASE(processes_inherit_no_other_descriptor),
        CASE(watchdog_ignores_the_signals_of_a_terminal),
        CASE(abandoned_pause_is_recovered),
        CASE(abandoned_pause_is_undone_by_the_next_one),
        CASE(pause_that_is_held_is_not_recovered),
        CASE(domain_that_was_started_again_is_not_recovered),
        CASE(recovery_is_repeated_until_libvirt_answers),
        CASE(missing_directory_has_no_entries),
        CASE(damaged_entry_is_reported_and_kept),
        CASE(entry_that_is_a_link_or_public_is_not_used),
        CASE(directory_of_other_users_is_refused),
        CASE(files_without_an_entry_are_removed),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
