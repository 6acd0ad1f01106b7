/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Backup sessions that cannot go on: the keeper ends them and reports the reason. */
#include "backup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

#include "../await.h"

static void assert_changes(const char *expected)
{
    g_autofree char *made = backup_changes();

    assert_string_equal(made, expected);
}

static CstHypervisorBackup *session_begin(void)
{
    return backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL);
}

/* The files are removed before the caller ends the session. */
static void session_end(CstHypervisorBackup *backup)
{
    await_closed();
    cst_hypervisor_backup_end(backup);
    await_processes();
}

static void scratch_space_below_the_reserve_ends_the_session(void **unused)
{
    CstHypervisorBackup *backup;

    backup_request.reserve = 5 << 20;
    backup = session_begin();
    assert_true(cst_hypervisor_backup_check(backup, NULL));
    backup_set_free(5 << 20);
    AWAIT(fake_calls("virDomainBackupGetXMLDesc") > 1);
    assert_true(cst_hypervisor_backup_check(backup, NULL));
    backup_set_free(3 << 20);
    assert_backup_ends(backup, CST_ERROR_NO_SPACE,
                       "the backup of domain 'web1' has ended: the scratch space");
    assert_backup_ends(backup, CST_ERROR_NO_SPACE, "has only 3.00 MiB free, and 5.00 MiB must");
    session_end(backup);
    assert_changes(" FSFreeze BackupBegin FSThaw AbortJob");
    assert_true(live_is_now("running", 0));
}

/* The resumption of the guest would fail while its backup is on. */
static void full_scratch_space_that_stops_the_guest_ends_the_session(void **unused)
{
    CstHypervisorBackup *backup = session_begin();

    live_io_error(pause_live);
    assert_backup_ends(backup, CST_ERROR_NO_SPACE, "has only 0.00 B free");
    session_end(backup);
    assert_true(live_is_now("running", 0));
    assert_changes(" FSFreeze BackupBegin FSThaw AbortJob Resume");
}

/* libvirt has not reported the event, and the file system has no space. */
static void stopped_guest_is_noticed_without_an_event(void **unused)
{
    CstHypervisorBackup *backup;

    backup_request.reserve = 0;
    live_set(pause_live, "silent", "yes");
    backup = session_begin();
    backup_set_free(1000);
    live_io_error(pause_live);
    assert_backup_ends(backup, CST_ERROR_NO_SPACE, "has only 1000.00 B free");
    session_end(backup);
    assert_true(live_is_now("running", 0));
}

/* The disk of the guest has an error of its own. */
static void io_error_with_free_scratch_space_does_not_end_the_session(void **unused)
{
    CstHypervisorBackup *backup = session_begin();
    guint looks;

    live_set(pause_live, "silent", "yes");
    live_io_error(pause_live);
    looks = fake_calls("virDomainBackupGetXMLDesc");
    AWAIT(fake_calls("virDomainBackupGetXMLDesc") > looks + 1);
    assert_true(cst_hypervisor_backup_check(backup, NULL));
    cst_hypervisor_backup_end(backup);
    await_closed();
    assert_true(live_is_now("ioerror", 0));
    assert_changes(" FSFreeze BackupBegin FSThaw AbortJob");
    live_set(pause_live, "state", "running");
}

/* An administrator had paused the domain, so it is not resumed. */
static void domain_that_did_not_run_is_not_resumed(void **unused)
{
    CstHypervisorBackup *backup;

    live_suspend(pause_live);
    backup = backup_begin_ok(CST_CONSISTENCY_CRASH, "the domain was paused before");
    live_set(pause_live, "state", "ioerror");
    live_report(pause_live, "N");
    assert_backup_ends(backup, CST_ERROR_NO_SPACE, "free space there");
    session_end(backup);
    assert_true(live_is_now("ioerror", 0));
    assert_changes(" BackupBegin AbortJob");
}

static void domain_that_an_administrator_pauses_stays_paused(void **unused)
{
    CstHypervisorBackup *backup = session_begin();

    live_suspend(pause_live);
    backup_set_free(0);
    assert_backup_ends(backup, CST_ERROR_NO_SPACE, "has only 0.00 B free");
    session_end(backup);
    assert_true(live_is_now("paused", 0));
    assert_changes(" FSFreeze BackupBegin FSThaw AbortJob");
}

static void job_that_another_program_ends_is_reported(void **unused)
{
    CstHypervisorBackup *backup = session_begin();

    assert_true(live_end_backup(pause_live));
    assert_backup_ends(backup, CST_ERROR_FAILED, "another program has ended its backup job");
    session_end(backup);
    assert_changes(" FSFreeze BackupBegin FSThaw");
}

/* Another program has begun a backup in its place. */
static void job_of_another_program_is_kept(void **unused)
{
    CstHypervisorBackup *backup = session_begin();

    live_set(pause_live, "backup", "/elsewhere");
    live_report(pause_live, "J");
    assert_backup_ends(backup, CST_ERROR_FAILED, "another program has ended its backup job");
    cst_hypervisor_backup_end(backup);
    await_processes();
    assert_true(backup_job_exists());
    assert_changes(" FSFreeze BackupBegin FSThaw");
    live_set(pause_live, "backup", NULL);
    await_closed();
}

static void domain_that_ends_is_reported(void **unused)
{
    static const char *const ends[] = {"off", "again"};

    for (guint i = 0; i < G_N_ELEMENTS(ends); i++) {
        CstHypervisorBackup *backup = session_begin();

        live_set(pause_live, "backup", NULL);
        if (i == 0)
            live_set(pause_live, "state", "off");
        live_set_number(pause_live, "id", 8 + (int)i);
        live_report(pause_live, "E");
        assert_backup_ends(backup, CST_ERROR_NOT_FOUND, "it does not run any more");
        session_end(backup);
        live_set(pause_live, "state", "running");
    }
    assert_changes(" FSFreeze BackupBegin FSThaw FSFreeze BackupBegin FSThaw");
}

static void look_that_hangs_is_overtaken(void **unused)
{
    CstHypervisorBackup *backup;

    hypervisor_backup_limits[BACKUP_LIMIT_LOOK] = 500;
    fake_add("[calls]\nvirDomainBackupGetXMLDesc = once %s/hang hang\n", fake_dir);
    backup = session_begin();
    assert_backup_ends(backup, CST_ERROR_TIMEOUT, "libvirt did not answer");
    session_end(backup);
}

static void session_goes_on_after_a_lost_connection(void **unused)
{
    CstHypervisorBackup *backup;
    guint looks;

    fake_add("[calls]\nvirDomainBackupGetXMLDesc = once %s/lost lose client socket is closed\n",
             fake_dir);
    backup = session_begin();
    AWAIT(fake_calls("virConnectClose") > 0);
    looks = fake_calls("virDomainBackupGetXMLDesc");
    AWAIT(fake_calls("virDomainBackupGetXMLDesc") > looks);
    assert_true(cst_hypervisor_backup_check(backup, NULL));
    assert_true(backup_job_exists());
    /* The new connection reports events. */
    live_end_backup(pause_live);
    assert_backup_ends(backup, CST_ERROR_FAILED, "another program has ended its backup job");
    session_end(backup);
}

static void job_is_ended_after_a_lost_connection(void **unused)
{
    CstHypervisorBackup *backup;

    fake_add("[calls]\nvirDomainBackupGetXMLDesc = once %s/lost lose client socket is closed\n",
             fake_dir);
    backup = session_begin();
    AWAIT(fake_calls("virConnectClose") > 0);
    cst_hypervisor_backup_end(backup);
    await_closed();
    await_processes();
}

static void connection_that_stays_lost_ends_the_session(void **unused)
{
    CstHypervisorBackup *backup;

    hypervisor_backup_limits[BACKUP_LIMIT_RECONNECT] = 0;
    fake_add("[calls]\nvirDomainBackupGetXMLDesc = once %s/lost lose client socket is closed\n",
             fake_dir);
    backup = session_begin();
    assert_backup_ends(backup, CST_ERROR_FAILED, "the connection to libvirt was lost");
    session_end(backup);
}

/* The caller does not wait for the end of the job. */
static void abort_that_hangs_is_overtaken(void **unused)
{
    static const char *const calls[] = {"virDomainAbortJob", "after virDomainAbortJob"};
    g_autofree char *begin = g_strdup(fake_state->str);

    hypervisor_backup_limits[BACKUP_LIMIT_CLOSE] = 500;
    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_string_assign(fake_state, begin);
        fake_add("[calls]\n%s = once %s/hang%u hang\n", calls[i], fake_dir, i);
        cst_hypervisor_backup_end(session_begin());
        await_closed();
        await_processes();
    }
}

/* libvirt refuses the resumption once. The entry keeps that it is owed. */
static void resumption_that_fails_is_repeated(void **unused)
{
    CstHypervisorBackup *backup;

    fake_add("[calls]\nvirDomainResume = once %s/failed fail 1 0 busy\n", fake_dir);
    backup = session_begin();
    live_io_error(pause_live);
    assert_backup_ends(backup, CST_ERROR_NO_SPACE, "free space there");
    AWAIT(live_is_now("running", 0));
    session_end(backup);
    assert_changes(" FSFreeze BackupBegin FSThaw AbortJob Resume Resume");
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_setup, backup_teardown)
    const struct CMUnitTest tests[] = {
        CASE(scratch_space_below_the_reserve_ends_the_session),
        CASE(full_scratch_space_that_stops_the_guest_ends_the_session),
        CASE(stopped_guest_is_noticed_without_an_event),
        CASE(io_error_with_free_scratch_space_does_not_end_the_session),
        CASE(domain_that_did_not_run_is_not_resumed),
        CASE(domain_that_an_administrator_pauses_stays_paused),
        CASE(job_that_another_program_ends_is_reported),
        CASE(job_of_another_program_is_kept),
        CASE(domain_that_ends_is_reported),
        CASE(look_that_hangs_is_overtaken),
        CASE(session_goes_on_after_a_lost_connection),
        CASE(job_is_ended_after_a_lost_connection),
        CASE(connection_that_stays_lost_ends_the_session),
        CASE(abort_that_hangs_is_overtaken),
        CASE(resumption_that_fails_is_repeated),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
