/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Failures of block jobs, of libvirt and of its connection: the keeper reports their reason. */
#include "block_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include "../await.h"

/* Ends the session. The job does not exist any more, and the guest is on its disk. */
static void end_unpivoted(CstHypervisorJob *job)
{
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_NOT_PIVOTED);
    await_block_closed();
    await_processes();
}

/* Runs @func in another process while the test waits for libvirt. */
static void elsewhere(void (*func)(void))
{
    if (fork() > 0)
        return;
    func();
    _exit(0);
}

/* --- the begin -------------------------------------------------------------------------------- */

static void error_of_each_call_leaves_no_job(void **unused)
{
    static const char *const calls[] = {"virConnectOpen",
                                        "virConnectDomainEventRegisterAny",
                                        "virDomainLookupByUUIDString",
                                        "virDomainGetState",
                                        "virDomainIsPersistent",
                                        "virDomainHasManagedSaveImage",
                                        "virDomainGetXMLDesc",
                                        "virDomainGetBlockJobInfo",
                                        "virDomainGetJobInfo",
                                        "virDomainBlockCopy"};
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_string_assign(fake_state, begin);
        fake_add("[calls]\n%s = fail 1 0 the \\x1b[31mreason\n", calls[i]);
        assert_block_refused(CST_ERROR_FAILED, "[31mreason");
        await_block_closed();
        await_processes();
    }
}

/* libvirt begins the job late, or has begun it. */
static void begin_that_hangs_is_overtaken(void **unused)
{
    static const char *const calls[] = {"virDomainBlockCopy", "after virDomainBlockCopy"};
    g_autofree char *begin = g_strdup(fake_state->str);

    hypervisor_block_limits[BLOCK_LIMIT_BEGIN] = 500;
    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_string_assign(fake_state, begin);
        fake_add("[calls]\n%s = once %s/hang%u hang\n", calls[i], fake_dir, i);
        assert_block_begin_fails(CST_ERROR_TIMEOUT, "has ended: libvirt did not answer",
                                 CST_HYPERVISOR_PIVOT_UNKNOWN);
        await_block_closed();
        await_processes();
    }
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 1);
}

static void begin_without_an_answer_leaves_no_job(void **unused)
{
    fake_add("[calls]\nafter virDomainBlockCopy = once %s/lost lose socket\n", fake_dir);
    assert_block_begin_fails(CST_ERROR_FAILED, "killed", CST_HYPERVISOR_PIVOT_UNKNOWN);
    await_block_closed();
    await_processes();
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 1);
}

/* Its client was killed, and libvirt begins the job later. */
static void job_that_begins_late_is_aborted(void **unused)
{
    hypervisor_block_limits[BLOCK_LIMIT_BEGIN] = 500;
    hypervisor_block_limits[BLOCK_LIMIT_LATE] = 100000;
    fake_add("[calls]\nvirDomainBlockCopy = once %s/hang hang\n", fake_dir);
    assert_block_begin_fails(CST_ERROR_TIMEOUT, "libvirt did not answer",
                             CST_HYPERVISOR_PIVOT_UNKNOWN);
    AWAIT(fake_calls("virDomainGetBlockJobInfo") > 3);
    live_block_begin(pause_live, 2, block_request.destination, NULL, NULL);
    await_block_closed();
}

static void disk_replace(void)
{
    AWAIT(fake_calls("virDomainBlockCopy") > 0);
    block_set_chain("middle;base");
    fake_write_file("go", "");
}

/* An administrator replaces the disk between the check and the begin. */
static void job_of_a_disk_that_was_replaced_is_aborted(void **unused)
{
    fake_add("[calls]\nvirDomainBlockCopy = wait %s/go\n", fake_dir);
    elsewhere(disk_replace);
    assert_block_refused(CST_ERROR_NOT_FOUND, "a volume is not a disk of it");
    await_block_closed();
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 1);
}

/* The event is the last change of the fake's call. */
static gboolean job_is_ready(void)
{
    g_autofree char *events = live_get(pause_live, "events");

    return g_strcmp0(events, "Y") == 0;
}

static void job_is_pivoted(void)
{
    AWAIT(job_is_ready());
    live_block_end(pause_live, "C");
    fake_write_file("go", "");
}

/* The caller must not remove its destination. */
static void job_that_another_program_pivots_in_the_begin_is_reported(void **unused)
{
    live_set(pause_live, "block-fate", "ready");
    fake_add("[calls]\nafter virDomainBlockCopy = wait %s/go\n", fake_dir);
    elsewhere(job_is_pivoted);
    assert_block_begin_fails(CST_ERROR_NOT_FOUND, "a volume is not a disk of it",
                             CST_HYPERVISOR_PIVOTED);
    await_block_closed();
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
}

/* The begin was not sent, so no process can begin it later. */
static void check_that_hangs_has_begun_no_job(void **unused)
{
    hypervisor_block_limits[BLOCK_LIMIT_CHECK] = 500;
    pause_deadline_s = 0;
    fake_add("[calls]\nvirDomainGetJobInfo = once %s/hang hang\n", fake_dir);
    assert_block_refused(CST_ERROR_TIMEOUT, "libvirt did not answer");
    await_block_closed();
    await_processes();
    assert_int_equal(fake_calls("virDomainBlockCopy"), 0);
}

static gpointer begin_cancel(gpointer task)
{
    AWAIT(fake_calls("virDomainGetJobInfo") > 0);
    cst_task_cancel(task);
    return NULL;
}

/* The keeper is in a call of libvirt. It notices the end of its caller before it begins the job. */
static void begin_that_is_cancelled_leaves_no_job(void **unused)
{
    g_autoptr(CstTask) task = cst_task_new();
    GThread *thread = g_thread_new("cancel", begin_cancel, task);
    CstHypervisorPivot pivot = CST_HYPERVISOR_PIVOT_LAST;
    GError *error = NULL;

    hypervisor_block_limits[BLOCK_LIMIT_END] = 10;
    fake_add("[calls]\nvirDomainGetJobInfo = wait %s/go\n", fake_dir);
    assert_null(block_begin_full(task, &pivot, &error));
    assert_pause_error(error, CST_ERROR_CANCELLED, "");
    assert_int_equal(pivot, CST_HYPERVISOR_PIVOT_UNKNOWN);
    g_thread_join(thread);
    fake_write_file("go", "");
    await_processes();
    await_block_closed();
    assert_int_equal(fake_calls("virDomainBlockCopy"), 0);
}

/* --- the end of the job ----------------------------------------------------------------------- */

/* The call has returned 0. */
static void job_that_fails_at_once_is_reported(void **unused)
{
    CstHypervisorJob *job;

    live_set(pause_live, "block-fate", "failed");
    job = block_begin_ok();
    assert_block_fails(
        job, CST_ERROR_FAILED,
        "the session of the block job of domain 'web1' has ended: the block job failed; check the "
        "size and the free space of its destination");
    end_unpivoted(job);
    assert_chain("disk;middle;base");
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
}

static void job_that_ends_is_reported(void **unused)
{
    static const struct {
        CstHypervisorJobKind kind;
        const char *event, *text;
    } cases[] = {
        {CST_HYPERVISOR_JOB_COPY, "F", "the block job failed"},
        {CST_HYPERVISOR_JOB_COPY, "X", "another program has ended its block job"},
        {CST_HYPERVISOR_JOB_PULL, "F", "the block job failed"},
        {CST_HYPERVISOR_JOB_PULL, "X", "another program has ended its block job"},
        {CST_HYPERVISOR_JOB_COMMIT, "F", "the block job failed"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        CstHypervisorJob *job;

        if (cases[i].kind != CST_HYPERVISOR_JOB_COPY)
            block_request_kind(cases[i].kind);
        job = block_begin_ok();
        assert_true(live_block_end(pause_live, cases[i].event));
        assert_block_fails(job, CST_ERROR_FAILED, cases[i].text);
        end_unpivoted(job);
    }
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
}

static void job_that_fails_after_it_was_ready_is_reported(void **unused)
{
    CstHypervisorJob *job = block_begin_ready();

    live_block_end(pause_live, "F");
    assert_block_fails(job, CST_ERROR_FAILED, "the block job failed");
    assert_pivot_fails(job, CST_HYPERVISOR_NOT_PIVOTED, CST_ERROR_FAILED, "the block job failed");
    end_unpivoted(job);
}

/* Only the definition of the domain tells a success from a failure. */
static void end_without_an_event_is_read_from_the_definition(void **unused)
{
    CstHypervisorJob *job;

    live_set(pause_live, "silent", "yes");
    job = block_begin_ready();
    live_block_end(pause_live, "F");
    assert_block_fails(job, CST_ERROR_FAILED, "the block job failed");
    end_unpivoted(job);
    block_request_kind(CST_HYPERVISOR_JOB_PULL);
    job = block_begin_ok();
    live_block_end(pause_live, "C");
    block_wait_ok(job);
    end_unpivoted(job);
}

/* The caller must know that the guest uses its copy. */
static void pivot_of_another_program_is_reported(void **unused)
{
    CstHypervisorJob *job = block_begin_ok();

    live_block_end(pause_live, "C");
    block_wait_ok(job);
    block_pivot_ok(job);
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_PIVOTED);
    await_block_closed();
    assert_int_equal(fake_calls("virDomainBlockJobAbort PIVOT"), 0);
}

static void job_of_another_program_in_its_place_is_kept(void **unused)
{
    CstHypervisorJob *job = block_begin_ok();

    live_set(pause_live, "block-copy", "/elsewhere");
    assert_block_fails(job, CST_ERROR_FAILED, "the block job failed");
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_NOT_PIVOTED);
    await_processes();
    assert_true(block_job_exists());
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
    live_block_end(pause_live, "X");
}

/* A pull has no name, but another type than a commit. */
static void job_of_another_type_in_its_place_is_kept(void **unused)
{
    CstHypervisorJob *job;

    block_request_kind(CST_HYPERVISOR_JOB_PULL);
    job = block_begin_ok();
    live_set_number(pause_live, "block-type", 3);
    assert_block_fails(job, CST_ERROR_FAILED, "the block job failed");
    cst_hypervisor_job_end(job);
    await_processes();
    assert_true(block_job_exists());
    live_block_end(pause_live, "X");
}

static void domain_that_ends_is_reported(void **unused)
{
    for (int i = 0; i < 2; i++) {
        CstHypervisorJob *job = block_begin_ready();

        if (i == 0)
            live_set(pause_live, "state", "off");
        live_set_number(pause_live, "id", 8 + i);
        live_block_end(pause_live, "F");
        live_report(pause_live, "E");
        assert_block_fails(job, CST_ERROR_NOT_FOUND, "it does not run any more");
        end_unpivoted(job);
        live_set(pause_live, "state", "running");
    }
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
}

/* --- calls that hang -------------------------------------------------------------------------- */

/* Adds an action that applies to one call after arm(). */
static void add_armed(const char *call, const char *action)
{
    fake_add("[calls]\n%s = once %s/armed %s\n", call, fake_dir, action);
    fake_write_file("armed", "");
}

static void arm(void)
{
    g_autofree char *path = fake_at("armed");

    assert_int_equal(unlink(path), 0);
}

static void look_that_hangs_is_overtaken(void **unused)
{
    CstHypervisorJob *job;

    hypervisor_block_limits[BLOCK_LIMIT_LOOK] = 500;
    add_armed("virDomainGetBlockJobInfo", "hang");
    job = block_begin_ready();
    arm();
    assert_block_fails(job, CST_ERROR_TIMEOUT, "libvirt did not answer");
    await_block_closed();
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_PIVOT_UNKNOWN);
    assert_chain("disk;middle;base");
}

/* Another call works on the domain for long. */
static void look_that_finds_the_lock_of_the_domain_held_is_repeated(void **unused)
{
    CstHypervisorJob *job;

    fake_add("[calls]\nvirDomainGetBlockJobInfo = unless %s/free fail %d 0 lock\n", fake_dir,
             68 /* VIR_ERR_OPERATION_TIMEOUT */);
    fake_write_file("free", "");
    block_request_kind(CST_HYPERVISOR_JOB_PULL);
    job = block_begin_ok();
    {
        g_autofree char *path = fake_at("free");
        guint looks;

        assert_int_equal(unlink(path), 0);
        looks = fake_calls("virDomainGetBlockJobInfo");
        AWAIT(fake_calls("virDomainGetBlockJobInfo") > looks + 3);
    }
    fake_write_file("free", "");
    live_block_end(pause_live, "C");
    block_wait_ok(job);
    end_unpivoted(job);
}

static void rate_that_hangs_is_overtaken(void **unused)
{
    CstHypervisorJob *job;
    GError *error = NULL;

    hypervisor_block_limits[BLOCK_LIMIT_LOOK] = 500;
    fake_add("[calls]\nvirDomainBlockJobSetSpeed = once %s/hang hang\n", fake_dir);
    job = block_begin_ok();
    assert_false(cst_hypervisor_job_set_rate(job, 5, &error));
    assert_pause_error(error, CST_ERROR_TIMEOUT, "libvirt did not answer");
    await_block_closed();
    cst_hypervisor_job_end(job);
}

static void abort_that_hangs_is_overtaken(void **unused)
{
    static const char *const calls[] = {"virDomainBlockJobAbort", "after virDomainBlockJobAbort"};
    g_autofree char *begin = g_strdup(fake_state->str);

    hypervisor_block_limits[BLOCK_LIMIT_CLOSE] = 500;
    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_string_assign(fake_state, begin);
        fake_add("[calls]\n%s = once %s/hang%u hang\n", calls[i], fake_dir, i);
        assert_int_equal(cst_hypervisor_job_end(block_begin_ready()), CST_HYPERVISOR_PIVOT_UNKNOWN);
        await_block_closed();
        await_processes();
        assert_chain("disk;middle;base");
    }
}

/* --- a lost connection ------------------------------------------------------------------------ */

/* Begins a job. The connection is lost, and libvirt runs again when the file "up" exists. */
static CstHypervisorJob *job_lose_connection(void)
{
    g_autofree char *up = fake_at("up");
    CstHypervisorJob *job;

    fake_write_file("up", "");
    fake_add("[calls]\nvirConnectOpen = unless %s fail 38 111 refused\n", up);
    add_armed("virDomainGetBlockJobInfo", "lose client socket is closed");
    job = block_begin_ok();
    assert_int_equal(unlink(up), 0);
    arm();
    AWAIT(fake_file_exists("armed"));
    return job;
}

/* The event came while there was no connection. */
static void job_goes_on_after_a_lost_connection(void **unused)
{
    CstHypervisorJob *job = job_lose_connection();
    guint opened = fake_calls("virConnectOpen");

    AWAIT(fake_calls("virConnectOpen") > opened + 2);
    live_block_ready(pause_live);
    fake_write_file("up", "");
    block_wait_ok(job);
    assert_true(cst_hypervisor_job_set_rate(job, 9, NULL));
    block_pivot_ok(job);
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_PIVOTED);
}

/* Its events are registered with the new connection. */
static void event_after_a_lost_connection_is_received(void **unused)
{
    CstHypervisorJob *job;

    hypervisor_block_limits[BLOCK_LIMIT_TICK] = 300;
    job = job_lose_connection();
    fake_write_file("up", "");
    AWAIT(fake_calls("virConnectDomainEventRegisterAny") == 4);
    live_block_end(pause_live, "X");
    assert_block_fails(job, CST_ERROR_FAILED, "another program has ended its block job");
    end_unpivoted(job);
}

static void end_of_a_job_without_a_connection_is_found(void **unused)
{
    g_autofree char *begin = g_strdup(fake_state->str);
    CstHypervisorJob *job = job_lose_connection();

    live_block_end(pause_live, "F");
    fake_write_file("up", "");
    assert_block_fails(job, CST_ERROR_FAILED, "the block job failed");
    end_unpivoted(job);
    block_request_kind(CST_HYPERVISOR_JOB_PULL);
    g_string_assign(fake_state, begin);
    job = job_lose_connection();
    live_block_end(pause_live, "C");
    fake_write_file("up", "");
    block_wait_ok(job);
    end_unpivoted(job);
}

static void connection_that_does_not_come_back_ends_the_session(void **unused)
{
    CstHypervisorJob *job;

    hypervisor_block_limits[BLOCK_LIMIT_LOST] = 200;
    job = job_lose_connection();
    assert_block_fails(job, CST_ERROR_FAILED, "the connection to libvirt was lost");
    assert_true(block_job_exists());
    fake_write_file("up", "");
    await_block_closed();
    cst_hypervisor_job_end(job);
    assert_chain("disk;middle;base");
}

static void reconnection_that_hangs_is_overtaken(void **unused)
{
    CstHypervisorJob *job;

    hypervisor_block_limits[BLOCK_LIMIT_CHECK] = 500;
    pause_deadline_s = 1;
    fake_add("[calls]\nvirConnectOpen = unless %s/free hang\n", fake_dir);
    fake_write_file("free", "");
    add_armed("virDomainGetBlockJobInfo", "lose client socket is closed");
    job = block_begin_ok();
    {
        g_autofree char *path = fake_at("free");

        assert_int_equal(unlink(path), 0);
    }
    arm();
    assert_block_fails(job, CST_ERROR_TIMEOUT, "libvirt did not answer");
    fake_write_file("free", "");
    cst_hypervisor_job_end(job);
    hypervisor_block_limits[BLOCK_LIMIT_CLOSE] = 500;
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    live_block_end(pause_live, "X");
    await_block_closed();
}

static void rate_without_an_answer_keeps_the_job(void **unused)
{
    CstHypervisorJob *job;
    GError *error = NULL;

    fake_add("[calls]\nafter virDomainBlockJobSetSpeed = once %s/lost lose socket\n", fake_dir);
    job = block_begin_ok();
    assert_false(cst_hypervisor_job_set_rate(job, 5, &error));
    assert_pause_error(error, CST_ERROR_FAILED, "the connection to libvirt was lost");
    assert_true(cst_hypervisor_job_set_rate(job, 6, NULL));
    live_block_ready(pause_live);
    block_wait_ok(job);
    end_unpivoted(job);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, block_setup, block_teardown)
    const struct CMUnitTest tests[] = {
        CASE(error_of_each_call_leaves_no_job),
        CASE(begin_that_hangs_is_overtaken),
        CASE(begin_without_an_answer_leaves_no_job),
        CASE(job_that_begins_late_is_aborted),
        CASE(job_of_a_disk_that_was_replaced_is_aborted),
        CASE(job_that_another_program_pivots_in_the_begin_is_reported),
        CASE(check_that_hangs_has_begun_no_job),
        CASE(begin_that_is_cancelled_leaves_no_job),
        CASE(job_that_fails_at_once_is_reported),
        CASE(job_that_ends_is_reported),
        CASE(job_that_fails_after_it_was_ready_is_reported),
        CASE(end_without_an_event_is_read_from_the_definition),
        CASE(pivot_of_another_program_is_reported),
        CASE(job_of_another_program_in_its_place_is_kept),
        CASE(job_of_another_type_in_its_place_is_kept),
        CASE(domain_that_ends_is_reported),
        CASE(look_that_hangs_is_overtaken),
        CASE(look_that_finds_the_lock_of_the_domain_held_is_repeated),
        CASE(rate_that_hangs_is_overtaken),
        CASE(abort_that_hangs_is_overtaken),
        CASE(job_goes_on_after_a_lost_connection),
        CASE(event_after_a_lost_connection_is_received),
        CASE(end_of_a_job_without_a_connection_is_found),
        CASE(connection_that_does_not_come_back_ends_the_session),
        CASE(reconnection_that_hangs_is_overtaken),
        CASE(rate_without_an_answer_keeps_the_job),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
