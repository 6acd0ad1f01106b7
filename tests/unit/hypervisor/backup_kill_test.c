/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill -9 of the processes of a backup session, at each call that they make. In the end the domain
 * runs, it is thawed, and no job, no file and no process is left.
 */
#include "backup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/error.h>

#include "../await.h"
#include "kill_fixture.h"

static const char *const calls[] = {
    "virConnectOpen",          "virDomainGetXMLDesc",     "virDomainFSFreeze",
    "after virDomainFSFreeze", "virDomainBackupBegin",    "after virDomainBackupBegin",
    "virDomainFSThaw",         "after virDomainFSThaw",   "virDomainBackupGetXMLDesc",
    "virDomainAbortJob",       "after virDomainAbortJob",
};

static void backup_session_run(guint number)
{
    cst_hypervisor_backup_end(backup_begin(NULL));
}

static void backup_session_check(guint number, const char *victims)
{
    assert_true(cst_hypervisor_backup_recover(backup_directory, backup_scratch, NULL));
    await_closed();
    assert_true(live_is_now("running", 0));
}

static pid_t backup_process_find(char victim)
{
    return find_keeper();
}

/* @victims: c: the caller, k: the keeper. */
static void kill_backup_processes(const char *victims)
{
    static const KillRun run = {calls, G_N_ELEMENTS(calls), backup_session_run, backup_process_find,
                                backup_session_check};

    kill_at_each_call(&run, victims);
}

static void caller_that_is_killed_leaves_no_job(void **unused)
{
    kill_backup_processes("c");
}

static void keeper_that_is_killed_leaves_no_job(void **unused)
{
    kill_backup_processes("k");
}

static void caller_and_keeper_that_are_killed_leave_no_job(void **unused)
{
    kill_backup_processes("ck");
}

static void backup_session_hold(guint number)
{
    CstHypervisorBackup *backup = backup_begin(NULL);

    if (backup && cst_hypervisor_backup_check(backup, NULL))
        fake_write_file("begun", "");
    while (TRUE)
        pause();
}

/* No recovery is called: the keeper itself notices the end of its caller. */
static void end_of_the_caller_ends_the_session_at_once(void **unused)
{
    pid_t caller = session_start(backup_session_hold, 0);

    AWAIT(fake_file_exists("begun"));
    assert_true(backup_job_exists());
    kill_process(caller);
    await_closed();
    await_processes();
}

/* The next check() of the caller starts the recovery. */
static void killed_keeper_is_noticed_by_check(void **unused)
{
    CstHypervisorBackup *backup = backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL);

    kill_process(find_keeper());
    assert_true(backup_job_exists());
    assert_backup_ends(backup, CST_ERROR_FAILED, "the backup process of domain 'web1' was killed");
    await_closed();
    cst_hypervisor_backup_end(backup);
}

static void killed_keeper_is_noticed_by_the_end(void **unused)
{
    CstHypervisorBackup *backup = backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL);

    kill_process(find_keeper());
    cst_hypervisor_backup_end(backup);
    await_closed();
}

/* Leaves a job and its entry without a process. */
static void session_abandon(void)
{
    CstHypervisorBackup *backup = backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL);
    g_autofree char *aside = fake_at("aside");

    kill_process(find_keeper());
    /* The recovery of the end finds no directory. */
    assert_int_equal(g_rename(backup_directory, aside), 0);
    cst_hypervisor_backup_end(backup);
    assert_int_equal(g_rename(aside, backup_directory), 0);
    await_processes();
    assert_true(backup_job_exists());
}

static void abandoned_session_is_recovered(void **unused)
{
    session_abandon();
    assert_true(cst_hypervisor_backup_recover(backup_directory, backup_scratch, NULL));
    await_closed();
    assert_true(cst_hypervisor_backup_recover(backup_directory, backup_scratch, NULL));
}

/* A full scratch space has stopped the guest, and the keeper was killed. */
static void recovery_resumes_a_guest_that_a_full_scratch_space_has_stopped(void **unused)
{
    session_abandon();
    backup_set_free(0);
    live_io_error(pause_live);
    assert_true(cst_hypervisor_backup_recover(backup_directory, backup_scratch, NULL));
    await_closed();
    assert_true(live_is_now("running", 0));
}

static void recovery_keeps_the_job_of_another_program(void **unused)
{
    session_abandon();
    live_set(pause_live, "backup", "/elsewhere");
    assert_true(cst_hypervisor_backup_recover(backup_directory, backup_scratch, NULL));
    await_processes();
    assert_true(backup_job_exists());
    assert_int_equal(fake_calls("virDomainAbortJob"), 0);
    assert_int_equal(directory_count(backup_directory), 0);
    assert_int_equal(directory_count(backup_scratch), 0);
    live_set(pause_live, "backup", NULL);
}

static void recovery_of_a_domain_that_has_ended_removes_the_files(void **unused)
{
    session_abandon();
    live_set_number(pause_live, "id", 8);
    live_set(pause_live, "backup", NULL);
    assert_true(cst_hypervisor_backup_recover(backup_directory, backup_scratch, NULL));
    await_closed();
    assert_int_equal(fake_calls("virDomainAbortJob"), 0);
}

/* A new session finds the entry of a dead one. It starts the repair, and is BUSY. */
static void new_session_repairs_an_abandoned_one(void **unused)
{
    session_abandon();
    live_set(pause_live, "backup", NULL);
    assert_backup_refused(CST_ERROR_BUSY, "another process backs it up, or ends an earlier backup");
    await_closed();
    await_processes();
    cst_hypervisor_backup_end(backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL));
}

/* libvirt does not run for a while, and hangs later. */
static void repair_is_repeated_until_libvirt_answers(void **unused)
{
    hypervisor_backup_limits[BACKUP_LIMIT_CLOSE] = 500;
    session_abandon();
    fake_add("[calls]\nvirConnectOpen = once %s/refused fail 38 111 refused\n"
             "virDomainAbortJob = once %s/hang hang\n",
             fake_dir, fake_dir);
    fake_write_file("fake", fake_state->str);
    assert_true(cst_hypervisor_backup_recover(backup_directory, backup_scratch, NULL));
    await_closed();
    assert_int_equal(fake_calls("virDomainAbortJob"), 2);
}

/* Its descriptors: 0 to 2, the directory, the socket, the lock, the scratch space, the session. */
static void keeper_is_independent_of_its_caller(void **unused)
{
    CstHypervisorBackup *backup = backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL);

    assert_independent(find_keeper(), 8);
    assert_true(cst_hypervisor_backup_check(backup, NULL));
    cst_hypervisor_backup_end(backup);
    await_closed();
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_setup, backup_teardown)
    const struct CMUnitTest tests[] = {
        CASE(caller_that_is_killed_leaves_no_job),
        CASE(keeper_that_is_killed_leaves_no_job),
        CASE(caller_and_keeper_that_are_killed_leave_no_job),
        CASE(end_of_the_caller_ends_the_session_at_once),
        CASE(killed_keeper_is_noticed_by_check),
        CASE(killed_keeper_is_noticed_by_the_end),
        CASE(abandoned_session_is_recovered),
        CASE(recovery_resumes_a_guest_that_a_full_scratch_space_has_stopped),
        CASE(recovery_keeps_the_job_of_another_program),
        CASE(recovery_of_a_domain_that_has_ended_removes_the_files),
        CASE(new_session_repairs_an_abandoned_one),
        CASE(repair_is_repeated_until_libvirt_answers),
        CASE(keeper_is_independent_of_its_caller),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
