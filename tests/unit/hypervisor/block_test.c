/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The begin, the pivot and the end of block jobs of the fake libvirt.so.0. */
#include "block_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <glib/gstdio.h>

#include "../await.h"
#include "../descriptors.h"

static void assert_called(const char *line)
{
    if (fake_calls(line) != 1) {
        g_autofree char *path = fake_at("log"), *text = NULL;

        g_file_get_contents(path, &text, NULL, NULL);
        fail_msg("%s is missing in:\n%s", line, text);
    }
}

static void end_unpivoted(CstHypervisorJob *job)
{
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_NOT_PIVOTED);
    assert_false(block_job_exists());
    await_processes();
}

/* --- kinds ------------------------------------------------------------------------------------ */

static void copy_is_pivoted_to_its_destination(void **unused)
{
    guint descriptors = count_descriptors();
    g_autofree char *path = fake_at("copy.xml"), *document = NULL, *expected = NULL;
    CstHypervisorJob *job = block_begin_ready();

    assert_string_equal(cst_hypervisor_job_target(job), "vda");
    assert_true(g_file_get_contents(path, &document, NULL, NULL));
    expected = g_strdup_printf("<disk type='file'>\n  <driver type='qcow2'/>\n"
                               "  <source file='%s'/>\n</disk>\n",
                               block_request.destination);
    assert_string_equal(document, expected);
    assert_called("copy vda - 0 0x6");
    assert_chain("disk;middle;base");
    block_pivot_ok(job);
    assert_chain("copy");
    assert_config("copy");
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_PIVOTED);
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
    await_processes();
    assert_int_equal(count_descriptors(), descriptors);
}

static void copy_to_a_device_names_the_device(void **unused)
{
    g_autofree char *path = fake_at("copy.xml"), *document = NULL;
    CstHypervisorJob *job;

    block_request.is_device = TRUE;
    block_request.destination_format = "raw";
    block_request.rate = 12345678;
    job = block_begin_ready();
    assert_true(g_file_get_contents(path, &document, NULL, NULL));
    assert_non_null(
        strstr(document, "<disk type='block'>\n  <driver type='raw'/>\n  <source dev="));
    assert_called("copy vda bandwidth 12345678 0x6");
    block_pivot_ok(job);
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_PIVOTED);
}

static void pull_removes_the_backing_files(void **unused)
{
    CstHypervisorJob *job;

    block_request_kind(CST_HYPERVISOR_JOB_PULL);
    block_request.rate = 1 << 20;
    job = block_begin_ok();
    assert_called("rebase vda - 1048576 0x40");
    live_block_end(pause_live, "C");
    block_wait_ok(job);
    assert_chain("disk");
    assert_pivot_fails(job, CST_HYPERVISOR_NOT_PIVOTED, CST_ERROR_INVALID, "has no copy");
    end_unpivoted(job);
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
}

static void pull_with_a_base_keeps_it(void **unused)
{
    CstHypervisorJob *job;

    block_request_kind(CST_HYPERVISOR_JOB_PULL);
    block_request.base = &block_base;
    job = block_begin_ok();
    assert_called("rebase vda vda[3] 0 0x40");
    live_block_end(pause_live, "C");
    block_wait_ok(job);
    assert_chain("disk;base");
    end_unpivoted(job);
}

static void commit_of_the_top_layer_is_pivoted_to_its_base(void **unused)
{
    CstHypervisorJob *job;

    block_request_kind(CST_HYPERVISOR_JOB_COMMIT);
    job = block_begin_ready();
    assert_called("commit vda vda[2] - 0 0x14");
    block_pivot_ok(job);
    assert_chain("middle;base");
    assert_config("middle;base");
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_PIVOTED);
}

static void commit_to_a_given_base_is_pivoted_to_it(void **unused)
{
    CstHypervisorJob *job;

    block_request_kind(CST_HYPERVISOR_JOB_COMMIT);
    block_request.base = &block_base;
    job = block_begin_ready();
    assert_called("commit vda vda[3] - 0 0x14");
    block_pivot_ok(job);
    assert_chain("base");
    cst_hypervisor_job_end(job);
}

static void commit_of_another_layer_removes_it(void **unused)
{
    CstHypervisorJob *job;

    block_request_kind(CST_HYPERVISOR_JOB_COMMIT);
    block_request.top = &block_middle;
    block_request.rate = 5;
    job = block_begin_ok();
    assert_called("commit vda vda[3] vda[2] 5 0x10");
    live_block_end(pause_live, "C");
    block_wait_ok(job);
    assert_chain("disk;base");
    assert_pivot_fails(job, CST_HYPERVISOR_NOT_PIVOTED, CST_ERROR_INVALID, "has no copy");
    end_unpivoted(job);
}

static void copy_that_is_ended_leaves_the_guest_on_its_disk(void **unused)
{
    CstHypervisorJob *job = block_begin_ready();

    end_unpivoted(job);
    assert_chain("disk;middle;base");
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 1);
}

/* The events come before the call returns. */
static void job_that_is_complete_at_once_is_noticed(void **unused)
{
    CstHypervisorJob *job;

    live_set(pause_live, "block-fate", "ready");
    job = block_begin_ok();
    block_wait_ok(job);
    block_pivot_ok(job);
    cst_hypervisor_job_end(job);
    block_set_chain("disk;middle;base");
    live_set(pause_live, "block-fate", "done");
    block_request_kind(CST_HYPERVISOR_JOB_PULL);
    job = block_begin_ok();
    block_wait_ok(job);
    end_unpivoted(job);
}

static void pivot_before_the_copy_is_complete_is_refused(void **unused)
{
    CstHypervisorJob *job = block_begin_ok();

    assert_pivot_fails(job, CST_HYPERVISOR_NOT_PIVOTED, CST_ERROR_INVALID,
                       "cannot switch domain 'web1' to the copy: the copy is not complete");
    live_block_ready(pause_live);
    block_wait_ok(job);
    block_pivot_ok(job);
    cst_hypervisor_job_end(job);
}

static void transient_domain_is_pivoted_in_its_running_definition(void **unused)
{
    CstHypervisorPivotResult result;
    CstHypervisorJob *job;

    fake_add("transient = yes\n");
    assert_block_refused(CST_ERROR_INVALID, "cannot begin a block job of domain 'web1': it is "
                                            "transient");
    block_request.transient = TRUE;
    job = block_begin_ready();
    assert_true(cst_hypervisor_job_pivot(job, &result, NULL));
    assert_true(result.live);
    assert_false(result.persistent || result.persistent_unknown);
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_PIVOTED);
}

/* --- progress and rate ------------------------------------------------------------------------ */

static gboolean progress_is(CstHypervisorJob *job, uint64_t done, uint64_t total)
{
    CstProgress progress = cst_hypervisor_job_progress(job);

    return progress.done == done && progress.total == total;
}

static void progress_grows_with_the_writes_of_the_guest(void **unused)
{
    CstHypervisorJob *job = block_begin_ok();

    live_set_number(pause_live, "block-cur", 10);
    live_set_number(pause_live, "block-end", 100);
    AWAIT(progress_is(job, 10, 100));
    live_set_number(pause_live, "block-end", 150);
    AWAIT(progress_is(job, 10, 150));
    live_set_number(pause_live, "block-cur", 150);
    AWAIT(progress_is(job, 150, 150));
    end_unpivoted(job);
}

static gpointer job_finish(gpointer task)
{
    live_set_number(pause_live, "block-cur", 30);
    live_set_number(pause_live, "block-end", 50);
    AWAIT(cst_task_progress(task).done == 30 && cst_task_progress(task).total == 50);
    live_block_ready(pause_live);
    return NULL;
}

static void wait_reports_the_progress_to_its_task(void **unused)
{
    g_autoptr(CstTask) task = cst_task_new();
    CstHypervisorJob *job = block_begin_ok();
    GThread *other = g_thread_new("finish", job_finish, task);

    assert_true(cst_hypervisor_job_wait(job, task, NULL));
    g_thread_join(other);
    end_unpivoted(job);
}

typedef struct {
    CstHypervisorJob *job;
    CstTask *task;
    long switches; /* voluntary context switches of the wait */
} Wait;

static gpointer job_wait_counted(gpointer data)
{
    Wait *wait = data;
    struct rusage before, after;

    getrusage(RUSAGE_THREAD, &before);
    AWAIT(cst_hypervisor_job_wait(wait->job, wait->task, NULL));
    getrusage(RUSAGE_THREAD, &after);
    wait->switches = after.ru_nvcsw - before.ru_nvcsw;
    return NULL;
}

/* A wait without pauses between its questions has ten thousand switches in a second. */
static void wait_pauses_between_its_questions(void **unused)
{
    g_autoptr(CstTask) task = cst_task_new();
    Wait wait = {.job = block_begin_ok(), .task = task};
    GThread *thread = g_thread_new("wait", job_wait_counted, &wait);

    live_set_number(pause_live, "block-end", 10);
    for (guint done = 1; done <= 5; done++) {
        live_set_number(pause_live, "block-cur", (int)done);
        AWAIT(cst_task_progress(task).done == done);
    }
    live_block_ready(pause_live);
    g_thread_join(thread);
    assert_true(wait.switches < 2000);
    end_unpivoted(wait.job);
}

static void wait_that_is_cancelled_keeps_the_job(void **unused)
{
    g_autoptr(CstTask) task = cst_task_new();
    CstHypervisorJob *job = block_begin_ok();
    GError *error = NULL;

    cst_task_cancel(task);
    assert_false(cst_hypervisor_job_wait(job, task, &error));
    assert_int_equal(error->code, CST_ERROR_CANCELLED);
    g_error_free(error);
    assert_true(block_job_exists());
    live_block_ready(pause_live);
    block_wait_ok(job);
    end_unpivoted(job);
}

static gpointer job_wait_thread(gpointer job)
{
    block_wait_ok(job);
    return NULL;
}

/* Another thread waits for the job, and receives answers. */
static void rate_is_changed_while_the_job_runs(void **unused)
{
    CstHypervisorJob *job = block_begin_ok();
    GThread *other = g_thread_new("wait", job_wait_thread, job);
    g_autoptr(GError) error = NULL;

    assert_true(cst_hypervisor_job_set_rate(job, 777, NULL));
    assert_int_equal(live_get_number(pause_live, "block-rate"), 777);
    assert_called("speed vda 777 0x1");
    assert_true(cst_hypervisor_job_set_rate(job, 0, NULL));
    assert_int_equal(live_get_number(pause_live, "block-rate"), 0);
    live_block_ready(pause_live);
    g_thread_join(other);
    end_unpivoted(job);
}

static void rate_that_libvirt_refuses_keeps_the_job(void **unused)
{
    CstHypervisorJob *job;
    GError *error = NULL;

    fake_add("[calls]\nvirDomainBlockJobSetSpeed = once %s/refused fail 1 0 bandwidth\n", fake_dir);
    job = block_begin_ok();
    assert_false(cst_hypervisor_job_set_rate(job, 5, &error));
    assert_pause_error(error, CST_ERROR_FAILED,
                       "cannot change the rate of the block job of domain 'web1': libvirt failed: "
                       "bandwidth");
    assert_true(cst_hypervisor_job_set_rate(job, 5, NULL));
    end_unpivoted(job);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void domain_that_may_have_no_block_job_is_refused(void **unused)
{
    static const struct {
        const char *state, *line, *disks;
        CstErrorCode code;
        const char *text;
    } cases[] = {
        {"ioerror", "", NULL, CST_ERROR_BUSY,
         "an I/O error has paused it (virsh domblkerror); resume it"},
        {"off", "", NULL, CST_ERROR_NOT_FOUND, "it does not run any more"},
        {"running", "job = yes\n", NULL, CST_ERROR_BUSY, "it has a job"},
        {"running", "block-job = vda\n", NULL, CST_ERROR_BUSY, "a disk has a block job"},
        {"running", "state = saved\n", NULL, CST_ERROR_BUSY, "it has a managed save"},
        {"running", "", "<disk><source file='DIR/disk'/><target dev='vda'/><shareable/></disk>",
         CST_ERROR_INVALID, "shareable disk: vda"},
        {"running", "", "<disk><source file='DIR/disk'/><target dev='vda'/><readonly/></disk>",
         CST_ERROR_INVALID, "its disk is read-only"},
        {"running", "",
         "<disk><source file='DIR/disk'/><target dev='vda'/><mirror job='copy'/></disk>",
         CST_ERROR_BUSY, "a disk has a block job"},
        {"running", "", "<disk><source file='DIR/x'/><target dev='vda'/></disk>",
         CST_ERROR_NOT_FOUND, "a volume is not a disk of it"},
        {"running", "",
         "<disk><source file='DIR/x'/><target dev='vda'/>"
         "<backingStore><source file='DIR/disk'/></backingStore></disk>",
         CST_ERROR_INVALID, "a volume is a backing file of a disk"},
    };
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_string_assign(fake_state, begin);
        fake_add("%s", cases[i].line);
        live_set(pause_live, "state", cases[i].state);
        block_set_chain("disk;middle;base");
        if (cases[i].disks) {
            live_set(pause_live, "chain", NULL);
            fake_write_document("web1.xml", cases[i].disks);
        }
        assert_block_refused(cases[i].code, cases[i].text);
        await_block_closed();
    }
    live_set(pause_live, "state", "running");
    assert_int_equal(fake_calls("virDomainBlockCopy"), 0);
}

static void job_of_another_program_is_busy_and_kept(void **unused)
{
    live_block_begin(pause_live, 2, "/elsewhere", NULL, NULL);
    assert_block_refused(CST_ERROR_BUSY, "a disk has a block job");
    assert_true(block_job_exists());
    live_block_end(pause_live, "X");
}

static void second_session_of_a_domain_is_busy(void **unused)
{
    CstHypervisorJob *job = block_begin_ok();

    assert_block_refused(CST_ERROR_BUSY, "another process has a block job of its disk");
    assert_true(block_job_exists());
    end_unpivoted(job);
}

static void images_that_are_no_layers_are_refused(void **unused)
{
    block_request_kind(CST_HYPERVISOR_JOB_PULL);
    block_request.base = &block_middle;
    assert_block_refused(CST_ERROR_NOT_FOUND, "the disk has no such backing file");
    block_request_kind(CST_HYPERVISOR_JOB_COMMIT);
    block_request.base = pause_request.volumes;
    assert_block_refused(CST_ERROR_NOT_FOUND, "the disk has no such backing file");
    block_request.top = &block_base;
    block_request.base = NULL;
    assert_block_refused(CST_ERROR_NOT_FOUND, "the disk has no such backing file");
    block_request.top = &block_base;
    block_request.base = &block_middle;
    assert_block_refused(CST_ERROR_NOT_FOUND, "the disk has no such backing file");
    block_set_chain("disk");
    block_request.top = block_request.base = NULL;
    assert_block_refused(CST_ERROR_NOT_FOUND, "the disk has no such backing file");
    block_request_kind(CST_HYPERVISOR_JOB_PULL);
    assert_block_refused(CST_ERROR_NOT_FOUND, "the disk has no such backing file");
    await_block_closed();
    assert_int_equal(fake_calls("virDomainBlockCommit"), 0);
    assert_int_equal(fake_calls("virDomainBlockRebase"), 0);
}

/* The file is compared, not its path. */
static void destination_that_a_disk_has_is_refused(void **unused)
{
    static const struct {
        const char *file, *disks;
    } cases[] = {
        {"disk", ""},
        {"base", ""},
        {"second", "<disk><source file='DIR/second'/><target dev='vdb'/></disk>"},
        {"second", "<disk><source file='DIR/x'/><target dev='vdb'/>"
                   "<backingStore><source file='DIR/second'/></backingStore></disk>"},
        {"second", "<disk><source pool='p' volume='v'/><target dev='vdb'/></disk>"},
        {"second", "<disk><source file='DIR/x'/><target dev='vdb'/>"
                   "<mirror job='copy'><source file='DIR/second'/></mirror></disk>"},
    };

    live_set(pause_live, "chain", NULL);
    fake_write_file("second", "");
    fake_add("blocks = vda:%s/disk;vdb:%s/second\n", fake_dir, fake_dir);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *file = fake_at(cases[i].file), *link = fake_at("link");
        g_autofree char *disks =
            g_strconcat("<disk><source file='DIR/disk'/><target dev='vda'/>"
                        "<backingStore><source file='DIR/base'/></backingStore></disk>",
                        cases[i].disks, NULL);

        fake_write_document("web1.xml", disks);
        unlink(link);
        assert_int_equal(
            i % 2 == 0 ? symlink(file, link) : linkat(AT_FDCWD, file, AT_FDCWD, link, 0), 0);
        block_request.destination = link;
        assert_block_refused(CST_ERROR_INVALID, "a disk of it has the destination already");
        await_block_closed();
    }
    assert_int_equal(fake_calls("virDomainBlockCopy"), 0);
}

static void destination_that_does_not_exist_is_refused(void **unused)
{
    block_request.destination = "/nonexistent/copy";
    assert_block_refused(CST_ERROR_FAILED, "/nonexistent/copy: No such file");
    await_block_closed();
}

/* The destination need not exist. */
static void dry_run_makes_the_checks_and_begins_no_job(void **unused)
{
    block_request.destination = "/nonexistent/copy";
    cst_dry_run_set(TRUE);
    assert_block_refused(CST_ERROR_DRY_RUN, "");
    fake_add("transient = yes\n");
    assert_block_refused(CST_ERROR_INVALID, "it is transient");
    cst_dry_run_set(FALSE);
    assert_int_equal(fake_calls("virDomainBlockCopy"), 0);
    await_block_closed();
}

static void request_without_its_images_is_invalid(void **unused)
{
    block_request.base = &block_base;
    assert_block_refused(CST_ERROR_INVALID, "its kind does not have these images");
    block_request.base = NULL;
    block_request.destination = "relative";
    assert_block_refused(CST_ERROR_INVALID, "its kind does not have these images");
    block_request.destination = NULL;
    assert_block_refused(CST_ERROR_INVALID, "its kind does not have these images");
    block_request_kind(CST_HYPERVISOR_JOB_PULL);
    block_request.top = &block_middle;
    assert_block_refused(CST_ERROR_INVALID, "its kind does not have these images");
    block_request.uuid = "x";
    block_request.top = NULL;
    assert_block_refused(CST_ERROR_INVALID, "'x' is not the UUID of a domain");
}

static void directory_of_other_users_is_refused(void **unused)
{
    assert_int_equal(g_mkdir(block_directory, 0700), 0);
    assert_int_equal(g_chmod(block_directory, 0777), 0);
    assert_block_refused(CST_ERROR_DENIED, "other users can write to directory");
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, block_setup, block_teardown)
    const struct CMUnitTest tests[] = {
        CASE(copy_is_pivoted_to_its_destination),
        CASE(copy_to_a_device_names_the_device),
        CASE(pull_removes_the_backing_files),
        CASE(pull_with_a_base_keeps_it),
        CASE(commit_of_the_top_layer_is_pivoted_to_its_base),
        CASE(commit_to_a_given_base_is_pivoted_to_it),
        CASE(commit_of_another_layer_removes_it),
        CASE(copy_that_is_ended_leaves_the_guest_on_its_disk),
        CASE(job_that_is_complete_at_once_is_noticed),
        CASE(pivot_before_the_copy_is_complete_is_refused),
        CASE(transient_domain_is_pivoted_in_its_running_definition),
        CASE(progress_grows_with_the_writes_of_the_guest),
        CASE(wait_reports_the_progress_to_its_task),
        CASE(wait_pauses_between_its_questions),
        CASE(wait_that_is_cancelled_keeps_the_job),
        CASE(rate_is_changed_while_the_job_runs),
        CASE(rate_that_libvirt_refuses_keeps_the_job),
        CASE(domain_that_may_have_no_block_job_is_refused),
        CASE(job_of_another_program_is_busy_and_kept),
        CASE(second_session_of_a_domain_is_busy),
        CASE(images_that_are_no_layers_are_refused),
        CASE(destination_that_a_disk_has_is_refused),
        CASE(destination_that_does_not_exist_is_refused),
        CASE(dry_run_makes_the_checks_and_begins_no_job),
        CASE(request_without_its_images_is_invalid),
        CASE(directory_of_other_users_is_refused),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
