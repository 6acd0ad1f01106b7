/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pauses of a domain of the fake libvirt.so.0, without a process that ends. */
#include "pause_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/error.h>

#include "../await.h"
#include "../descriptors.h"

/* Returns the changes of the domain in their order. The caller frees them. */
static char *changes_made(void)
{
    static const char *const names[] = {"virDomainSuspend", "virDomainResume", "virDomainFSFreeze",
                                        "virDomainFSThaw"};
    g_autofree char *path = fake_at("log");
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    GString *made = g_string_new(NULL);

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        for (guint i = 0; i < G_N_ELEMENTS(names); i++)
            if (strcmp(*line, names[i]) == 0)
                g_string_append_printf(made, " %s", *line + strlen("virDomain"));
    return g_string_free(made, FALSE);
}

static void assert_changes(const char *expected)
{
    g_autofree char *made = changes_made();

    assert_string_equal(made, expected);
}

/* An answer to an earlier command would be that to a later one. */
static void calls_in_a_wrong_order_are_refused(void **unused)
{
    CstHypervisorPause *pause = pause_begin_ok();
    CstHypervisorPauseResult result = {0};
    GError *error = NULL;

    assert_false(cst_hypervisor_pause_resume(pause, &result, &error));
    assert_pause_error(g_steal_pointer(&error), CST_ERROR_INTERNAL, "wrong order");
    assert_true(cst_hypervisor_pause_suspend(pause, NULL));
    assert_false(cst_hypervisor_pause_suspend(pause, &error));
    assert_pause_error(error, CST_ERROR_INTERNAL, "wrong order");
    pause_resume_ok(pause, CST_CONSISTENCY_FILESYSTEM, NULL);
    cst_hypervisor_pause_end(pause);
    await_undone();
}

/* --- levels ----------------------------------------------------------------------------------- */

static void pause_freezes_suspends_resumes_and_thaws(void **unused)
{
    guint descriptors = count_descriptors();
    CstHypervisorPause *pause = pause_begin_ok();
    CstHypervisorPauseResult result = {0};
    g_autoptr(GError) error = NULL;

    assert_true(live_is_now("running", 0));
    assert_true(cst_hypervisor_pause_suspend(pause, &error));
    assert_true(live_is_now("paused", 2));
    assert_int_equal(live_get_number(pause_live, "timeout"), 5);
    assert_true(entry_exists(""));
    assert_true(cst_hypervisor_pause_resume(pause, &result, &error));
    assert_true(live_is_now("running", 0));
    assert_int_equal(result.consistency, CST_CONSISTENCY_FILESYSTEM);
    assert_null(result.reason);
    assert_true(result.paused_us > 0);
    assert_true(result.frozen_us > result.paused_us);
    cst_hypervisor_pause_end(pause);
    await_unlocked();
    assert_changes(" FSFreeze Suspend Resume FSThaw");
    assert_int_equal(live_get_number(pause_live, "timeout"), -2);
    await_processes();
    assert_int_equal(count_descriptors(), descriptors);
}

/* Runs a pause that succeeds at level CRASH. */
static void pause_run_crash(const char *reason, const char *changes)
{
    CstHypervisorPause *pause = pause_suspend_ok();

    assert_true(live_is_now("paused", 0));
    pause_resume_ok(pause, CST_CONSISTENCY_CRASH, reason);
    cst_hypervisor_pause_end(pause);
    await_undone();
    assert_changes(changes);
}

static void freeze_that_is_not_requested_is_not_sent(void **unused)
{
    pause_request.freeze = FALSE;
    pause_run_crash("a freeze of the file systems was not requested", " Suspend Resume");
    assert_int_equal(fake_calls("virDomainGetTime"), 0);
}

static void domain_without_an_agent_is_suspended(void **unused)
{
    fake_write_document("web1.xml", "<disk><source file='DIR/disk'/><target dev='vda'/></disk>");
    pause_run_crash("the domain has no channel for a guest agent", " Suspend Resume");
}

static void agent_that_is_not_connected_is_not_asked(void **unused)
{
    fake_write_document(
        "web1.xml",
        "<channel><target type='virtio' name='org.qemu.guest_agent.0' state='disconnected'/>"
        "</channel><disk><source file='DIR/disk'/><target dev='vda'/></disk>");
    pause_run_crash("the guest agent is not connected", " Suspend Resume");
}

static void agent_that_does_not_answer_gets_no_freeze(void **unused)
{
    live_set(pause_live, "agent", "hung");
    pause_run_crash("the guest agent does not answer: Guest agent is not responding",
                    " Suspend Resume");
    assert_int_equal(live_get_number(pause_live, "timeout"), -2);
}

static void freeze_of_no_file_system_is_level_crash(void **unused)
{
    live_set_number(pause_live, "filesystems", 0);
    pause_run_crash("the guest agent froze no file system", " FSFreeze Suspend Resume FSThaw");
}

/* Windows thaws its file systems after ten seconds. */
static void file_systems_that_thaw_early_are_level_crash(void **unused)
{
    CstHypervisorPause *pause = pause_suspend_ok();

    live_set_number(pause_live, "frozen", 1);
    pause_resume_ok(pause, CST_CONSISTENCY_CRASH,
                    "file systems were thawed before the copy was complete");
    cst_hypervisor_pause_end(pause);
    await_undone();
}

/* The agent refuses the thaw as well, because an administrator has forbidden both. */
static void freeze_that_the_agent_refuses_is_level_crash(void **unused)
{
    fake_add("[calls]\nvirDomainFSFreeze = fail 1 0 the command has been disabled\n"
             "virDomainFSThaw = fail 1 0 the command has been disabled\n");
    pause_run_crash("the file systems could not be frozen: the command has been disabled",
                    " FSFreeze Suspend Resume FSThaw");
}

/* The agent executes the freeze when it wakes up. Until then the thaw is repeated. */
static void freeze_without_an_answer_is_thawed_when_the_agent_wakes(void **unused)
{
    CstHypervisorPause *pause;
    guint thaws;

    live_set(pause_live, "agent", "hung-later");
    pause = pause_begin_ok();
    assert_true(cst_hypervisor_pause_suspend(pause, NULL));
    assert_true(live_is_now("paused", 0));
    pause_resume_ok(pause, CST_CONSISTENCY_CRASH,
                    "the file systems could not be frozen: Guest agent is not responding");
    cst_hypervisor_pause_end(pause);
    assert_true(live_is_now("running", 0));
    thaws = fake_calls("virDomainFSThaw");
    AWAIT(fake_calls("virDomainFSThaw") > thaws + 2);
    assert_true(entry_exists(""));
    live_wake_agent(pause_live);
    await_undone();
}

/* --- refusals --------------------------------------------------------------------------------- */

static void frozen_domain_of_another_program_is_busy(void **unused)
{
    CstHypervisorPause *pause = pause_begin_ok();
    GError *error = NULL;

    live_set_number(pause_live, "frozen", 2);
    assert_false(cst_hypervisor_pause_suspend(pause, &error));
    assert_pause_error(error, CST_ERROR_BUSY, "another program has frozen its file systems");
    cst_hypervisor_pause_end(pause);
    assert_changes("");
    assert_true(live_is_now("running", 2));
}

static void domain_that_may_not_be_paused_is_refused(void **unused)
{
    static const struct {
        const char *state, *line, *disks;
        CstErrorCode code;
        const char *text;
    } cases[] = {
        {"ioerror", "", NULL, CST_ERROR_BUSY, "an I/O error has paused it"},
        {"migrating", "", NULL, CST_ERROR_BUSY, "another program has stopped it"},
        {"crashed", "", NULL, CST_ERROR_BUSY, "another program has stopped it"},
        {"off", "", NULL, CST_ERROR_NOT_FOUND, "it does not run any more"},
        {"running", "job = yes\n", NULL, CST_ERROR_BUSY, "it has a job"},
        {"running", "block-job = vda\n", NULL, CST_ERROR_BUSY, "a disk has a block job"},
        {"running", "", "<disk><source file='DIR/disk'/><target dev='vda'/><shareable/></disk>",
         CST_ERROR_INVALID, "shareable disk: vda"},
        {"running", "",
         "<disk><source file='DIR/disk'/><target dev='vda'/><mirror><source file='DIR/x'/>"
         "</mirror></disk>",
         CST_ERROR_BUSY, "a disk has a block job"},
        {"running", "",
         "<disk><source file='DIR/x'/><target dev='vda'/>"
         "<backingStore><source file='DIR/disk'/></backingStore></disk>",
         CST_ERROR_INVALID, "a volume is a backing file of a disk"},
        {"running", "", "<disk><source file='DIR/x'/><target dev='vda'/></disk>",
         CST_ERROR_NOT_FOUND, "a volume is not a disk of it"},
    };
    g_autofree char *begin = g_strdup(fake_state->str);
    GError *error = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_string_assign(fake_state, begin);
        fake_add("%s", cases[i].line);
        live_set(pause_live, "state", cases[i].state);
        if (cases[i].disks)
            fake_write_document("web1.xml", cases[i].disks);
        assert_null(pause_begin(&error));
        assert_pause_error(g_steal_pointer(&error), cases[i].code, cases[i].text);
        /* The next pause may begin at once. */
        assert_false(entry_exists(".lock"));
    }
    assert_changes("");
}

static void disk_of_a_pool_is_found_by_its_path(void **unused)
{
    fake_write_document("web1.xml", "<disk type='volume'><source pool='p' volume='v'/>"
                                    "<target dev='vda'/><readonly/></disk>");
    pause_run_crash("the domain has no channel for a guest agent", " Suspend Resume");
}

static void each_volume_must_be_a_disk(void **unused)
{
    CstHypervisorVolume volumes[2] = {pause_request.volumes[0], pause_request.volumes[0]};
    GError *error = NULL;

    volumes[1].inode++;
    pause_request.volumes = volumes;
    pause_request.n_volumes = 2;
    assert_null(pause_begin(&error));
    assert_pause_error(error, CST_ERROR_NOT_FOUND, "a volume is not a disk of it");
}

static void second_pause_of_a_domain_is_busy(void **unused)
{
    CstHypervisorPause *pause = pause_suspend_ok();
    GError *error = NULL;

    assert_null(pause_begin(&error));
    assert_pause_error(error, CST_ERROR_BUSY, "another process pauses it");
    assert_true(live_is_now("paused", 2));
    pause_resume_ok(pause, CST_CONSISTENCY_FILESYSTEM, NULL);
    cst_hypervisor_pause_end(pause);
    await_undone();
    cst_hypervisor_pause_end(pause_suspend_ok());
    await_undone();
}

static void error_of_each_call_is_reported_and_undone(void **unused)
{
    static const struct {
        const char *call;
        gboolean begins;
    } cases[] = {
        {"virConnectOpen", FALSE},
        {"virDomainLookupByUUIDString", FALSE},
        {"virDomainGetState", FALSE},
        {"virDomainGetXMLDesc", FALSE},
        {"virDomainGetJobInfo", FALSE},
        {"virDomainGetBlockJobInfo", FALSE},
        {"virEventRegisterDefaultImpl", FALSE},
        {"virConnectDomainEventRegisterAny", FALSE},
        {"virDomainSuspend", TRUE},
    };
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        GError *error = NULL;
        CstHypervisorPause *pause;

        g_string_assign(fake_state, begin);
        fake_add("[calls]\n%s = fail 1 0 the \\x1b[31mreason\n", cases[i].call);
        pause = pause_begin(&error);
        assert_int_equal(pause != NULL, cases[i].begins);
        if (pause)
            assert_false(cst_hypervisor_pause_suspend(pause, &error));
        assert_null(strchr(error->message, '\033'));
        assert_pause_error(error, CST_ERROR_FAILED, "reason");
        cst_hypervisor_pause_end(pause);
        await_undone();
    }
    assert_changes(" FSFreeze Suspend FSThaw");
}

/* --- other programs --------------------------------------------------------------------------- */

static void resumption_by_another_program_is_reported(void **unused)
{
    CstHypervisorPauseResult result = {0};

    for (guint i = 0; i < 2; i++) {
        CstHypervisorPause *pause = pause_suspend_ok();
        GError *error = NULL;

        live_resume(pause_live);
        if (i == 1)
            live_suspend(pause_live);
        assert_false(cst_hypervisor_pause_resume(pause, &result, &error));
        assert_pause_error(error, CST_ERROR_BUSY, "another program resumed it");
        cst_hypervisor_pause_end(pause);
        /* The second pause is the administrator's, and the agent does not answer during it. */
        assert_true(live_is_now(i == 0 ? "running" : "paused", i == 0 ? 0 : 2));
        live_resume(pause_live);
        await_undone();
    }
}

/* The other program resumes the domain after the check, and before virDomainResume(). */
static void resumption_just_before_ours_is_reported(void **unused)
{
    CstHypervisorPauseResult result = {0};
    CstHypervisorPause *pause;
    GError *error = NULL;
    pid_t other;

    fake_add("[calls]\nvirDomainResume = once %s/reached wait %s/go\n", fake_dir, fake_dir);
    pause = pause_suspend_ok();
    other = fork();
    if (other == 0) {
        g_autofree char *reached = fake_at("reached");

        AWAIT(g_file_test(reached, G_FILE_TEST_EXISTS));
        live_resume(pause_live);
        fake_write_file("go", "");
        _exit(0);
    }
    assert_false(cst_hypervisor_pause_resume(pause, &result, &error));
    assert_pause_error(error, CST_ERROR_BUSY, "another program resumed it");
    cst_hypervisor_pause_end(pause);
    await_undone();
}

/* An event is missing: libvirt has not confirmed that the domain stood. */
static void resumption_without_an_event_is_not_verified(void **unused)
{
    CstHypervisorPauseResult result = {0};
    CstHypervisorPause *pause;
    GError *error = NULL;

    hypervisor_pause_limits[PAUSE_LIMIT_EVENT] = 50;
    live_set(pause_live, "silent", "yes");
    pause = pause_suspend_ok();
    assert_false(cst_hypervisor_pause_resume(pause, &result, &error));
    assert_pause_error(error, CST_ERROR_FAILED, "libvirt has not reported");
    cst_hypervisor_pause_end(pause);
    await_undone();
}

static void domain_of_an_administrator_stays_paused(void **unused)
{
    CstHypervisorPauseResult result = {0};
    CstHypervisorPause *pause;
    GError *error = NULL;

    live_suspend(pause_live);
    pause = pause_suspend_ok();
    pause_resume_ok(pause, CST_CONSISTENCY_CRASH, "the domain was paused before");
    cst_hypervisor_pause_end(pause);
    await_unlocked();
    assert_changes("");
    assert_true(live_is_now("paused", 0));
    pause = pause_suspend_ok();
    live_resume(pause_live);
    assert_false(cst_hypervisor_pause_resume(pause, &result, &error));
    assert_pause_error(error, CST_ERROR_BUSY, "another program resumed it");
    cst_hypervisor_pause_end(pause);
    assert_changes("");
}

/* The administrator pauses it after the checks. */
static void pause_of_an_administrator_in_between_is_kept(void **unused)
{
    CstHypervisorPause *pause = pause_begin_ok();
    GError *error = NULL;

    pause_request.freeze = FALSE;
    live_suspend(pause_live);
    assert_false(cst_hypervisor_pause_suspend(pause, &error));
    assert_non_null(error);
    g_error_free(error);
    cst_hypervisor_pause_end(pause);
    assert_true(live_is_now("paused", 0));
    assert_changes("");
}

static void domain_that_was_started_again_is_not_resumed(void **unused)
{
    CstHypervisorPauseResult result = {0};
    CstHypervisorPause *pause = pause_suspend_ok();
    GError *error = NULL;

    live_set_number(pause_live, "id", 8);
    assert_false(cst_hypervisor_pause_resume(pause, &result, &error));
    assert_pause_error(error, CST_ERROR_NOT_FOUND, "it does not run any more");
    cst_hypervisor_pause_end(pause);
    assert_changes(" FSFreeze Suspend");
    assert_true(live_is_now("paused", 2));
    await_unlocked();
}

/* --- limits ----------------------------------------------------------------------------------- */

static void silent_caller_is_overtaken_by_each_limit(void **unused)
{
    static const PauseLimit cases[] = {PAUSE_LIMIT_PAUSED, PAUSE_LIMIT_FROZEN};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        unsigned before = hypervisor_pause_limits[cases[i]];
        CstHypervisorPauseResult result = {0};
        CstHypervisorPause *pause;
        GError *error = NULL;

        hypervisor_pause_limits[cases[i]] = 1000;
        pause = pause_suspend_ok();
        await_undone();
        assert_false(cst_hypervisor_pause_resume(pause, &result, &error));
        assert_pause_error(error, CST_ERROR_TIMEOUT, "the time limit has passed");
        cst_hypervisor_pause_end(pause);
        hypervisor_pause_limits[cases[i]] = before;
    }
}

/* Each call hangs once. Its worker is killed, and the next one undoes the pause. */
static void each_call_that_hangs_is_overtaken(void **unused)
{
    static const struct {
        const char *call;
        PauseLimit limit;
        CstErrorCode code; /* of the pause; CST_ERROR_LAST: it succeeds at level CRASH */
    } cases[] = {
        {"virConnectOpen", PAUSE_LIMIT_CHECK, CST_ERROR_TIMEOUT},
        {"virDomainGetXMLDesc", PAUSE_LIMIT_CHECK, CST_ERROR_TIMEOUT},
        {"virDomainGetTime", PAUSE_LIMIT_AGENT, CST_ERROR_TIMEOUT},
        {"virDomainFSFreeze", PAUSE_LIMIT_AGENT, CST_ERROR_TIMEOUT},
        {"after virDomainFSFreeze", PAUSE_LIMIT_AGENT, CST_ERROR_TIMEOUT},
        {"virDomainSuspend", PAUSE_LIMIT_CALL, CST_ERROR_TIMEOUT},
        {"after virDomainSuspend", PAUSE_LIMIT_CALL, CST_ERROR_TIMEOUT},
        {"virDomainResume", PAUSE_LIMIT_RESUME, CST_ERROR_TIMEOUT},
        {"after virDomainResume", PAUSE_LIMIT_RESUME, CST_ERROR_TIMEOUT},
        {"virDomainFSThaw", PAUSE_LIMIT_THAW, CST_ERROR_LAST},
        {"after virDomainFSThaw", PAUSE_LIMIT_THAW, CST_ERROR_LAST},
    };
    g_autofree char *begin = g_strdup(fake_state->str);

    pause_deadline_s = 1;
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        unsigned before = hypervisor_pause_limits[cases[i].limit];
        CstHypervisorPauseResult result = {0};
        CstHypervisorPause *pause;
        GError *error = NULL;
        gboolean ok;

        g_string_assign(fake_state, begin);
        fake_add("[calls]\n%s = once %s/hang%u hang\n", cases[i].call, fake_dir, i);
        hypervisor_pause_limits[cases[i].limit] = 500;
        pause = pause_begin(&error);
        ok = pause && cst_hypervisor_pause_suspend(pause, &error) &&
             cst_hypervisor_pause_resume(pause, &result, &error);
        assert_int_equal(ok, cases[i].code == CST_ERROR_LAST);
        if (ok)
            assert_int_equal(result.consistency, CST_CONSISTENCY_CRASH);
        else
            assert_pause_error(error, cases[i].code, "libvirt did not answer");
        g_free(result.reason);
        cst_hypervisor_pause_end(pause);
        await_undone();
        await_processes();
        hypervisor_pause_limits[cases[i].limit] = before;
    }
}

/* libvirt executes the call after its worker was killed. */
static void late_suspension_is_resumed(void **unused)
{
    CstHypervisorPause *pause;
    guint resumptions;

    fake_add("[calls]\nvirDomainSuspend = once %s/hang hang\n", fake_dir);
    hypervisor_pause_limits[PAUSE_LIMIT_LATE] = 120000;
    hypervisor_pause_limits[PAUSE_LIMIT_CALL] = 500;
    pause = pause_begin_ok();
    assert_false(cst_hypervisor_pause_suspend(pause, NULL));
    cst_hypervisor_pause_end(pause);
    resumptions = fake_calls("virDomainGetState");
    AWAIT(fake_calls("virDomainGetState") > resumptions + 2);
    assert_true(entry_exists(""));
    assert_true(live_is_now("running", 0));
    live_suspend(pause_live);
    await_undone();
}

static void lost_connection_is_renewed_to_resume(void **unused)
{
    static const char *const calls[] = {"virDomainSuspend", "virDomainResume", "virDomainFSThaw"};
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        CstHypervisorPauseResult result = {0};
        CstHypervisorPause *pause;
        gboolean ok;

        g_string_assign(fake_state, begin);
        fake_add("[calls]\n%s = once %s/lost%u lose client socket is closed\n", calls[i], fake_dir,
                 i);
        pause = pause_begin_ok();
        ok = cst_hypervisor_pause_suspend(pause, NULL) &&
             cst_hypervisor_pause_resume(pause, &result, NULL);
        assert_int_equal(ok, i == 2);
        g_free(result.reason);
        cst_hypervisor_pause_end(pause);
        await_undone();
    }
}

static void end_without_a_resumption_undoes_the_pause(void **unused)
{
    cst_hypervisor_pause_end(pause_begin_ok());
    await_unlocked();
    cst_hypervisor_pause_end(pause_suspend_ok());
    await_undone();
    cst_hypervisor_pause_end(NULL);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, pause_setup, pause_teardown)
    const struct CMUnitTest tests[] = {
        CASE(pause_freezes_suspends_resumes_and_thaws),
        CASE(calls_in_a_wrong_order_are_refused),
        CASE(freeze_that_is_not_requested_is_not_sent),
        CASE(domain_without_an_agent_is_suspended),
        CASE(agent_that_is_not_connected_is_not_asked),
        CASE(agent_that_does_not_answer_gets_no_freeze),
        CASE(freeze_of_no_file_system_is_level_crash),
        CASE(file_systems_that_thaw_early_are_level_crash),
        CASE(freeze_that_the_agent_refuses_is_level_crash),
        CASE(freeze_without_an_answer_is_thawed_when_the_agent_wakes),
        CASE(frozen_domain_of_another_program_is_busy),
        CASE(domain_that_may_not_be_paused_is_refused),
        CASE(disk_of_a_pool_is_found_by_its_path),
        CASE(each_volume_must_be_a_disk),
        CASE(second_pause_of_a_domain_is_busy),
        CASE(error_of_each_call_is_reported_and_undone),
        CASE(resumption_by_another_program_is_reported),
        CASE(resumption_just_before_ours_is_reported),
        CASE(resumption_without_an_event_is_not_verified),
        CASE(domain_of_an_administrator_stays_paused),
        CASE(pause_of_an_administrator_in_between_is_kept),
        CASE(domain_that_was_started_again_is_not_resumed),
        CASE(silent_caller_is_overtaken_by_each_limit),
        CASE(each_call_that_hangs_is_overtaken),
        CASE(late_suspension_is_resumed),
        CASE(lost_connection_is_renewed_to_resume),
        CASE(end_without_a_resumption_undoes_the_pause),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
