/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill -9 of the processes of a block job, at each call that they make. In the end there is no job,
 * no entry and no process, and both definitions of the domain name the same images. The persistent
 * one has the copy as a volume, or by its path if the process of the change was killed.
 */
#include "block_fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include "../await.h"
#include "kill_fixture.h"

#define COPY   "virDomainBlockCopy"
#define PIVOT  "virDomainBlockJobAbort PIVOT"
#define LOOKUP "virStorageVolLookupByName"
#define UPDATE "virDomainUpdateDeviceFlags"

static const char *const calls[] = {
    "virConnectOpen",
    "virDomainGetXMLDesc",
    COPY,
    "after " COPY,
    PIVOT,
    "after " PIVOT,
    LOOKUP,
    UPDATE,
    "after " UPDATE,
    "virDomainBlockJobAbort",
    "after virDomainBlockJobAbort",
};

/* Whether the session of a call has a pivot. */
static gboolean call_has_pivot(guint number)
{
    return !g_str_has_suffix(calls[number], "virDomainBlockJobAbort");
}

/* The result of a session, as the caller has received it. */
typedef struct {
    CstHypervisorPivotResult result; /* of the pivot; pivot is LAST if there was none */
    CstHypervisorPivot end;          /* of the end, or of a begin that has failed */
} BlockReport;

/* Both definitions name volume v of pool p. */
static void block_session_set_names(void)
{
    static CstHypervisorVolume volume;

    volume = *block_request.volume;
    volume.pool = "p";
    volume.volume = "v";
    block_request.volume = &volume;
    fake_add("[pool n]\ndirectory = %s\n", fake_dir);
    block_request.pool = "n";
    block_request.pool_volume = "copy";
    live_set(pause_live, "chain", "p/v");
    live_set(pause_live, "config", "p/v");
}

/* Runs a complete session, and writes its report to a file. */
static void block_session_run(guint number)
{
    BlockReport report = {.result.pivot = CST_HYPERVISOR_PIVOT_LAST};
    g_autofree char *path = fake_at("report");
    CstHypervisorJob *job;

    block_session_set_names();
    job = block_begin_full(NULL, &report.end, NULL);
    if (job && cst_hypervisor_job_wait(job, NULL, NULL) && call_has_pivot(number))
        cst_hypervisor_job_pivot(job, &report.result, NULL);
    if (job)
        report.end = cst_hypervisor_job_end(job);
    g_file_set_contents(path, (const char *)&report, sizeof(report), NULL);
}

static gboolean chain_is(const char *key, const char *name)
{
    g_autofree char *chain = live_get(pause_live, key);
    g_auto(GStrv) layers = g_strsplit(chain, ";", -1);
    g_autofree char *top = g_path_get_basename(layers[0]);

    return strcmp(top, name) == 0;
}

static gboolean config_is(const char *expected)
{
    g_autofree char *found = live_get(pause_live, "config");

    return strcmp(found, expected) == 0;
}

/* A report that is not UNKNOWN is the truth, because the caller removes an image by it. */
static void assert_report(const char *victims, gboolean switched)
{
    CstHypervisorPivot truth = switched ? CST_HYPERVISOR_PIVOTED : CST_HYPERVISOR_NOT_PIVOTED;
    g_autofree char *path = fake_at("report"), *content = NULL;
    BlockReport report;
    gsize len = 0;

    assert_true(g_file_get_contents(path, &content, &len, NULL));
    assert_int_equal(len, sizeof(report));
    memcpy(&report, content, sizeof(report));
    unlink(path);
    if (victims[0] == '\0' || report.end != CST_HYPERVISOR_PIVOT_UNKNOWN)
        assert_int_equal(report.end, truth);
    if (report.result.pivot == CST_HYPERVISOR_PIVOT_LAST)
        return;
    if (victims[0] == '\0' || report.result.pivot != CST_HYPERVISOR_PIVOT_UNKNOWN) {
        assert_int_equal(report.result.pivot, truth);
        assert_int_equal(report.result.live, switched);
    }
    if (victims[0] == '\0')
        assert_true(report.result.named);
    if (report.result.named)
        assert_true(config_is("n/copy"));
    if (!report.result.persistent_unknown)
        assert_int_equal(report.result.persistent, chain_is("config", "copy"));
}

/* The job is aborted, or the guest uses the complete copy. */
static void block_session_check(guint number, const char *victims)
{
    const char *call = calls[number];
    gboolean names = strstr(call, LOOKUP) || strstr(call, UPDATE), switched;

    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    await_block_closed();
    switched = chain_is("chain", "copy");
    assert_true(switched ? chain_is("config", "copy") : config_is("p/v"));
    if (strstr(call, "after " UPDATE))
        assert_true(config_is("n/copy"));
    if (strcmp(call, "after " PIVOT) == 0 || names)
        assert_true(switched);
    if (strcmp(call, PIVOT) == 0)
        assert_int_equal(switched, !strchr(victims, 'k'));
    if (!strstr(call, PIVOT) && !names && strchr(victims, 'c'))
        assert_false(switched);
    if (!strchr(victims, 'c'))
        assert_report(victims, switched);
}

static pid_t block_process_find(char victim)
{
    return find_block_keeper();
}

/* @victims: c: the caller, k: the keeper. A caller that goes on has a report. */
static void kill_block_processes(const char *victims)
{
    const KillRun run = {calls, G_N_ELEMENTS(calls), block_session_run, block_process_find,
                         block_session_check};

    live_set(pause_live, "block-fate", "ready");
    kill_at_each_call(&run, victims);
}

static void session_that_goes_on_has_a_certain_report(void **unused)
{
    kill_block_processes("");
}

static void caller_that_is_killed_leaves_no_job(void **unused)
{
    kill_block_processes("c");
}

static void keeper_that_is_killed_leaves_no_job(void **unused)
{
    kill_block_processes("k");
}

static void caller_and_keeper_that_are_killed_leave_no_job(void **unused)
{
    kill_block_processes("ck");
}

static void block_session_hold(guint number)
{
    CstHypervisorJob *job = block_begin(NULL);

    if (job && cst_hypervisor_job_wait(job, NULL, NULL))
        fake_write_file("begun", "");
    while (TRUE)
        pause();
}

/* No recovery is called: the keeper itself notices the end of its caller. */
static void end_of_the_caller_aborts_the_job_at_once(void **unused)
{
    pid_t caller;

    live_set(pause_live, "block-fate", "ready");
    caller = session_start(block_session_hold, 0);
    AWAIT(fake_file_exists("begun"));
    assert_true(block_job_exists());
    kill_process(caller);
    await_block_closed();
    await_processes();
    assert_chain("disk;middle;base");
}

/* The keeper was killed while it checked the domain, or while libvirt began the job. */
static void begin_without_a_keeper_is_unknown(void **unused)
{
    static const char *const waits[] = {"virDomainGetJobInfo", "virDomainBlockCopy"};
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(waits); i++) {
        guint before = fake_calls(waits[i]);

        g_string_assign(fake_state, begin);
        fake_add("[calls]\n%s = wait %s/go%u\n", waits[i], fake_dir, i);
        if (fork() == 0) {
            AWAIT(fake_calls(waits[i]) > before);
            kill_process(find_child(getppid(), HYPERVISOR_BLOCK));
            _exit(0);
        }
        assert_block_begin_fails(CST_ERROR_FAILED, "was killed", CST_HYPERVISOR_PIVOT_UNKNOWN);
        await_block_closed();
        await_processes();
    }
}

/* The job would be aborted at once. */
static void keeper_without_its_caller_begins_no_job(void **unused)
{
    kill_process(session_stop_in("virDomainGetJobInfo", block_session_run, 0));
    session_go_on();
    await_processes();
    await_block_closed();
    assert_int_equal(fake_calls("virDomainBlockCopy"), 0);
}

/* The wait of the caller starts the recovery. */
static void killed_keeper_is_noticed_by_the_wait(void **unused)
{
    CstHypervisorJob *job = block_begin_ok();

    kill_process(find_block_keeper());
    assert_true(block_job_exists());
    assert_block_fails(job, CST_ERROR_FAILED,
                       "the process of the block job of domain 'web1' was killed");
    await_block_closed();
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_PIVOT_UNKNOWN);
}

static void killed_keeper_is_noticed_by_a_pivot(void **unused)
{
    CstHypervisorJob *job = block_begin_ready();

    kill_process(find_block_keeper());
    assert_pivot_fails(job, CST_HYPERVISOR_PIVOT_UNKNOWN, CST_ERROR_FAILED, "was killed");
    await_block_closed();
    cst_hypervisor_job_end(job);
    assert_chain("disk;middle;base");
}

static void killed_keeper_is_noticed_by_the_end(void **unused)
{
    CstHypervisorJob *job = block_begin_ready();

    kill_process(find_block_keeper());
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_PIVOT_UNKNOWN);
    await_block_closed();
}

/* Leaves a job and its entry without a process. */
static void session_abandon(CstHypervisorJob *job)
{
    g_autofree char *aside = fake_at("aside");

    kill_process(find_block_keeper());
    /* The recovery of the end finds no directory. */
    assert_int_equal(g_rename(block_directory, aside), 0);
    cst_hypervisor_job_end(job);
    assert_int_equal(g_rename(aside, block_directory), 0);
    await_processes();
    assert_true(block_job_exists());
}

static void abandoned_job_is_aborted(void **unused)
{
    session_abandon(block_begin_ready());
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    await_block_closed();
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    assert_chain("disk;middle;base");
}

static void abandoned_pull_and_commit_are_aborted(void **unused)
{
    block_request_kind(CST_HYPERVISOR_JOB_PULL);
    block_request.base = &block_base;
    session_abandon(block_begin_ok());
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    await_block_closed();
    await_processes();
    block_request_kind(CST_HYPERVISOR_JOB_COMMIT);
    block_request.base = NULL;
    block_request.top = &block_middle;
    session_abandon(block_begin_ok());
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    await_block_closed();
}

/* Changes the entry as the keeper does before a pivot. libvirt may pivot within @late_s seconds. */
static void entry_set_switching(int late_s)
{
    g_autofree char *late = g_strdup_printf("late-until=%" PRId64 "\n",
                                            g_get_monotonic_time() + late_s * G_TIME_SPAN_SECOND);
    g_autofree char *path = g_build_filename(block_directory, PAUSE_UUID, NULL), *text = NULL;
    g_autoptr(GString) changed = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    changed = g_string_new(text);
    assert_int_equal(g_string_replace(changed, "switching=false", "switching=true", 0), 1);
    assert_int_equal(g_string_replace(changed, "late-until=0\n", late, 0), 1);
    assert_true(g_file_set_contents(path, changed->str, -1, NULL));
    g_chmod(path, 0600);
}

/* libvirt pivots for a client that was killed. */
static void recovery_does_not_abort_a_pivot(void **unused)
{
    session_abandon(block_begin_ready());
    entry_set_switching(0);
    live_set(pause_live, "block-ready", "pivot");
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    AWAIT(fake_calls("virDomainGetBlockJobInfo") > 5);
    assert_true(block_job_exists());
    live_block_end(pause_live, "C");
    await_block_closed();
    assert_chain("copy");
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
}

/* libvirt has received the pivot and has not begun it. */
static void recovery_waits_for_a_late_pivot(void **unused)
{
    hypervisor_block_limits[BLOCK_LIMIT_LATE] = 100000;
    session_abandon(block_begin_ready());
    entry_set_switching(100);
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    AWAIT(fake_calls("virDomainGetBlockJobInfo") > 5);
    assert_true(block_job_exists());
    live_block_end(pause_live, "C");
    await_block_closed();
    assert_chain("copy");
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
}

/* The job has ended, so a repair that goes on would find no other result. */
static void recovery_of_a_pivot_without_a_result_ends(void **unused)
{
    session_abandon(block_begin_ready());
    entry_set_switching(0);
    live_block_end(pause_live, "F");
    block_set_chain("elsewhere");
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    await_block_closed();
}

static void recovery_keeps_the_job_of_another_program(void **unused)
{
    session_abandon(block_begin_ready());
    live_set(pause_live, "block-copy", "/elsewhere");
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    await_processes();
    assert_true(block_job_exists());
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
    live_block_end(pause_live, "X");
    await_block_closed();
}

static void recovery_of_a_domain_that_has_ended_removes_the_entry(void **unused)
{
    session_abandon(block_begin_ready());
    live_set_number(pause_live, "id", 8);
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    await_processes();
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
    live_block_end(pause_live, "X");
    await_block_closed();
}

/* A job that is done has no entry, so the job that another program begins later is kept. */
static void recovery_after_the_end_of_a_job_keeps_a_later_one(void **unused)
{
    CstHypervisorJob *job;

    block_request_kind(CST_HYPERVISOR_JOB_PULL);
    job = block_begin_ok();
    live_block_end(pause_live, "C");
    block_wait_ok(job);
    kill_process(find_block_keeper());
    live_block_begin(pause_live, 1, NULL, NULL, NULL);
    cst_hypervisor_job_end(job);
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    await_processes();
    assert_true(block_job_exists());
    live_block_end(pause_live, "X");
    await_block_closed();
}

/* A new session finds the entry of a dead one. It starts the repair, and is BUSY. */
static void new_session_repairs_an_abandoned_one(void **unused)
{
    session_abandon(block_begin_ready());
    assert_block_refused(CST_ERROR_BUSY, "another process has a block job of its disk, or ends an "
                                         "earlier one");
    await_block_closed();
    await_processes();
    cst_hypervisor_job_end(block_begin_ready());
}

/* libvirt does not run for a while, and hangs later. */
static void repair_is_repeated_until_libvirt_answers(void **unused)
{
    hypervisor_block_limits[BLOCK_LIMIT_CLOSE] = 500;
    session_abandon(block_begin_ready());
    fake_add("[calls]\nvirConnectOpen = once %s/refused fail 38 111 refused\n"
             "virDomainBlockJobAbort = once %s/hang hang\n",
             fake_dir, fake_dir);
    fake_write_file("fake", fake_state->str);
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    await_block_closed();
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 2);
}

/* Its descriptors: 0 to 2, the directory, the socket and the lock, the last two twice. */
static void keeper_of_a_job_is_independent_of_its_caller(void **unused)
{
    CstHypervisorJob *job = block_begin_ready();

    assert_independent(find_block_keeper(), 8);
    block_pivot_ok(job);
    cst_hypervisor_job_end(job);
    await_block_closed();
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, block_setup, block_teardown)
    const struct CMUnitTest tests[] = {
        CASE(session_that_goes_on_has_a_certain_report),
        CASE(caller_that_is_killed_leaves_no_job),
        CASE(keeper_that_is_killed_leaves_no_job),
        CASE(caller_and_keeper_that_are_killed_leave_no_job),
        CASE(end_of_the_caller_aborts_the_job_at_once),
        CASE(begin_without_a_keeper_is_unknown),
        CASE(keeper_without_its_caller_begins_no_job),
        CASE(killed_keeper_is_noticed_by_the_wait),
        CASE(killed_keeper_is_noticed_by_a_pivot),
        CASE(killed_keeper_is_noticed_by_the_end),
        CASE(abandoned_job_is_aborted),
        CASE(abandoned_pull_and_commit_are_aborted),
        CASE(recovery_does_not_abort_a_pivot),
        CASE(recovery_waits_for_a_late_pivot),
        CASE(recovery_of_a_pivot_without_a_result_ends),
        CASE(recovery_keeps_the_job_of_another_program),
        CASE(recovery_of_a_domain_that_has_ended_removes_the_entry),
        CASE(recovery_after_the_end_of_a_job_keeps_a_later_one),
        CASE(new_session_repairs_an_abandoned_one),
        CASE(repair_is_repeated_until_libvirt_answers),
        CASE(keeper_of_a_job_is_independent_of_its_caller),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
