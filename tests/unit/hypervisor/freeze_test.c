/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pauses that only freeze: the domain is neither suspended nor resumed (keep_running). */
#include "pause_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>

#include "../await.h"

static int freeze_setup(void **unused)
{
    int status = pause_setup(unused);

    pause_request.keep_running = TRUE;
    return status;
}

static void assert_never_suspended(void)
{
    assert_int_equal(fake_calls("virDomainSuspend"), 0);
    assert_int_equal(fake_calls("virDomainResume"), 0);
}

static void freeze_keeps_the_domain_running(void **unused)
{
    CstHypervisorPause *pause = pause_suspend_ok();

    assert_true(live_is_now("running", 2));
    assert_true(entry_exists(""));
    pause_resume_ok(pause, CST_CONSISTENCY_FILESYSTEM, NULL);
    assert_true(live_is_now("running", 0));
    cst_hypervisor_pause_end(pause);
    await_undone();
    assert_never_suspended();
    assert_int_equal(live_get_number(pause_live, "timeout"), -2);
}

static void domain_without_an_agent_is_unchanged(void **unused)
{
    CstHypervisorPause *pause;

    fake_write_document("web1.xml", "<disk><source file='DIR/disk'/><target dev='vda'/></disk>");
    pause = pause_suspend_ok();
    assert_int_equal(fake_calls("virDomainFSFreeze"), 0);
    pause_resume_ok(pause, CST_CONSISTENCY_CRASH, "the domain has no channel for a guest agent");
    cst_hypervisor_pause_end(pause);
    await_undone();
    assert_never_suspended();
}

static void domain_of_an_administrator_stays_paused_without_a_freeze(void **unused)
{
    CstHypervisorPause *pause;

    live_suspend(pause_live);
    pause = pause_suspend_ok();
    pause_resume_ok(pause, CST_CONSISTENCY_CRASH, "the domain was paused before");
    cst_hypervisor_pause_end(pause);
    await_unlocked();
    assert_true(live_is_now("paused", 0));
    assert_never_suspended();
    assert_int_equal(fake_calls("virDomainFSFreeze"), 0);
}

static void domain_with_an_io_error_is_refused(void **unused)
{
    GError *error = NULL;

    live_set(pause_live, "state", "ioerror");
    assert_null(pause_begin(&error));
    assert_pause_error(error, CST_ERROR_BUSY, "cannot back up domain 'web1': an I/O error");
}

static void limit_of_the_freeze_is_level_crash(void **unused)
{
    CstHypervisorPause *pause;

    hypervisor_pause_limits[PAUSE_LIMIT_FROZEN] = 1000;
    pause = pause_suspend_ok();
    await_undone();
    pause_resume_ok(pause, CST_CONSISTENCY_CRASH,
                    "the limit of a freeze passed before the copy was complete");
    cst_hypervisor_pause_end(pause);
    assert_never_suspended();
}

static void worker_that_is_killed_is_level_crash_and_thawed(void **unused)
{
    CstHypervisorPause *pause = pause_suspend_ok();

    kill_process(find_worker());
    await_undone();
    pause_resume_ok(pause, CST_CONSISTENCY_CRASH,
                    "the connection to libvirt was lost during the freeze");
    cst_hypervisor_pause_end(pause);
    assert_never_suspended();
}

static void caller_that_ends_thaws_the_domain(void **unused)
{
    cst_hypervisor_pause_end(pause_suspend_ok());
    await_undone();
    assert_never_suspended();
}

static void processes_that_are_killed_are_recovered(void **unused)
{
    CstHypervisorPause *pause = pause_suspend_ok();
    pid_t watchdog = find_watchdog(), worker = find_worker();

    /* The worker would become the watchdog, or the watchdog would start a new worker. */
    assert_true(watchdog > 1);
    kill(watchdog, SIGSTOP);
    kill_process(worker);
    kill_process(watchdog);
    cst_hypervisor_pause_end(pause);
    await_processes();
    assert_true(cst_hypervisor_pause_recover(pause_directory, NULL));
    await_undone();
    assert_never_suspended();
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, freeze_setup, pause_teardown)
    const struct CMUnitTest tests[] = {
        CASE(freeze_keeps_the_domain_running),
        CASE(domain_without_an_agent_is_unchanged),
        CASE(domain_of_an_administrator_stays_paused_without_a_freeze),
        CASE(domain_with_an_io_error_is_refused),
        CASE(limit_of_the_freeze_is_level_crash),
        CASE(worker_that_is_killed_is_level_crash_and_thawed),
        CASE(caller_that_ends_thaws_the_domain),
        CASE(processes_that_are_killed_are_recovered),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
