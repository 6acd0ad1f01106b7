/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pivots that fail, hang, or lose their answer: the definition of the domain has the result. */
#include "block_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../await.h"

#define PIVOT "virDomainBlockJobAbort PIVOT"

static void add_action(const char *call, const char *action)
{
    fake_add("[calls]\n%s = once %s/happened %s\n", call, fake_dir, action);
}

static void end_with(CstHypervisorJob *job, CstHypervisorPivot pivot)
{
    assert_int_equal(cst_hypervisor_job_end(job), pivot);
    await_block_closed();
    await_processes();
}

/* Pivots the job, and ends it. */
static void pivot_and_end(CstHypervisorJob *job)
{
    block_pivot_ok(job);
    end_with(job, CST_HYPERVISOR_PIVOTED);
    assert_chain("copy");
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
}

/* Runs @func in another process while a pivot waits for the file "go". */
static CstHypervisorJob *job_begin_waiting(void (*func)(void))
{
    guint before = fake_calls(PIVOT);

    fake_add("[calls]\n" PIVOT " = wait %s/go\n", fake_dir);
    if (fork() == 0) {
        AWAIT(fake_calls(PIVOT) > before);
        func();
        fake_write_file("go", "");
        _exit(0);
    }
    return block_begin_ready();
}

static void pivot_that_libvirt_refuses_can_be_tried_again(void **unused)
{
    CstHypervisorJob *job;

    add_action(PIVOT, "fail 55 0 busy\\x1b");
    job = block_begin_ready();
    assert_pivot_fails(job, CST_HYPERVISOR_NOT_PIVOTED, CST_ERROR_FAILED,
                       "cannot switch domain 'web1' to the copy: libvirt failed: busy");
    assert_true(block_job_exists());
    pivot_and_end(job);
}

static void pivot_without_an_answer_is_found(void **unused)
{
    CstHypervisorJob *job;

    hypervisor_block_limits[BLOCK_LIMIT_LATE] = 100000;
    add_action("after " PIVOT, "lose client socket is closed");
    job = block_begin_ready();
    pivot_and_end(job);
}

/* libvirt was restarted before it received the call. */
static void pivot_that_was_not_received_can_be_tried_again(void **unused)
{
    CstHypervisorJob *job;

    add_action(PIVOT, "lose client socket is closed");
    job = block_begin_ready();
    assert_pivot_fails(job, CST_HYPERVISOR_NOT_PIVOTED, CST_ERROR_FAILED,
                       "cannot switch domain 'web1' to the copy: the connection to libvirt was");
    assert_true(block_job_exists());
    pivot_and_end(job);
}

static void pivot_later(void)
{
    guint looks = fake_calls("virDomainGetBlockJobInfo");

    AWAIT(fake_calls("virDomainGetBlockJobInfo") > looks + 3);
    live_block_end(pause_live, "C");
}

/* libvirt executes a call whose client it has lost. */
static void pivot_that_happens_late_is_found(void **unused)
{
    CstHypervisorJob *job;

    hypervisor_block_limits[BLOCK_LIMIT_LATE] = 100000;
    add_action(PIVOT, "lose client socket is closed");
    job = block_begin_ready();
    if (fork() == 0) {
        AWAIT(fake_calls(PIVOT) > 0);
        pivot_later();
        _exit(0);
    }
    pivot_and_end(job);
}

/* A repair answers the caller. */
static void pivot_that_hangs_after_its_effect_is_found(void **unused)
{
    CstHypervisorJob *job;

    hypervisor_block_limits[BLOCK_LIMIT_SWITCH] = 500;
    add_action("after " PIVOT, "hang");
    job = block_begin_ready();
    pivot_and_end(job);
}

/* After the time in which libvirt could pivot, the repair aborts the job. */
static void pivot_that_hangs_before_its_effect_is_aborted(void **unused)
{
    CstHypervisorJob *job;

    hypervisor_block_limits[BLOCK_LIMIT_SWITCH] = 500;
    hypervisor_block_limits[BLOCK_LIMIT_LATE] = 1000;
    add_action(PIVOT, "hang");
    job = block_begin_ready();
    assert_pivot_fails(job, CST_HYPERVISOR_NOT_PIVOTED, CST_ERROR_TIMEOUT,
                       "cannot switch domain 'web1' to the copy: libvirt did not answer");
    end_with(job, CST_HYPERVISOR_NOT_PIVOTED);
    assert_chain("disk;middle;base");
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 1);
}

static void mirror_ends(void)
{
    live_set(pause_live, "block-ready", "pivot");
}

/* libvirt pivots, and does not come to an end. The repair waits for it and aborts no job. */
static void pivot_without_an_end_is_unknown(void **unused)
{
    CstHypervisorJob *job;

    hypervisor_block_limits[BLOCK_LIMIT_TRUTH] = 200;
    job = job_begin_waiting(mirror_ends);
    assert_pivot_fails(job, CST_HYPERVISOR_PIVOT_UNKNOWN, CST_ERROR_FAILED,
                       "cannot find out which image domain 'web1' uses: libvirt failed: block job "
                       "on disk 'vda' is not ready to be pivoted; compare the source of disk "
                       "'vda' in virsh dumpxml");
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_PIVOT_UNKNOWN);
    assert_true(block_job_exists());
    live_block_end(pause_live, "C");
    await_block_closed();
    await_processes();
    assert_chain("copy");
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
}

static const char *chain_after, *config_after; /* as block_set_chain(); NULL: the same */

/* The job has ended, and other programs have changed the disk since. */
static void chain_replace(void)
{
    g_autofree char *config = config_after ? fake_at(config_after) : NULL;

    live_block_end(pause_live, "F");
    block_set_chain(chain_after);
    if (config)
        live_set(pause_live, "config", config);
}

/* Sends a pivot. The disk has other layers when it returns. Checks the result, and ends the job. */
static void assert_pivot_of_chain(const char *chain, CstHypervisorPivot pivot)
{
    g_autofree char *begin = g_strdup(fake_state->str), *go = fake_at("go");
    CstHypervisorPivotResult result;
    CstHypervisorJob *job;

    block_set_chain("disk;middle;base");
    unlink(go);
    chain_after = chain;
    job = job_begin_waiting(chain_replace);
    assert_int_equal(cst_hypervisor_job_pivot(job, &result, NULL), pivot == CST_HYPERVISOR_PIVOTED);
    if (result.pivot != pivot)
        fail_msg("the result of %s is %d", chain, result.pivot);
    assert_int_equal(result.live, pivot == CST_HYPERVISOR_PIVOTED);
    assert_int_equal(result.persistent, pivot == CST_HYPERVISOR_PIVOTED);
    assert_int_equal(result.persistent_unknown, pivot == CST_HYPERVISOR_PIVOT_UNKNOWN);
    end_with(job, pivot);
    assert_chain(chain);
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
    g_string_assign(fake_state, begin);
}

/* virsh snapshot-create-as --disk-only puts an overlay on the image of a disk. */
static void overlay_of_another_program_does_not_hide_the_result(void **unused)
{
    assert_pivot_of_chain("copy", CST_HYPERVISOR_PIVOTED);
    assert_pivot_of_chain("overlay;copy", CST_HYPERVISOR_PIVOTED);
    assert_pivot_of_chain("second;overlay;copy;base", CST_HYPERVISOR_PIVOTED);
    assert_pivot_of_chain("overlay;disk;middle;base", CST_HYPERVISOR_NOT_PIVOTED);
    block_request_kind(CST_HYPERVISOR_JOB_COMMIT);
    assert_pivot_of_chain("overlay;middle;base", CST_HYPERVISOR_PIVOTED);
    assert_pivot_of_chain("overlay;disk;middle;base", CST_HYPERVISOR_NOT_PIVOTED);
}

/* No process goes on, because the job has ended. */
static void disk_with_other_images_is_unknown(void **unused)
{
    assert_pivot_of_chain("elsewhere", CST_HYPERVISOR_PIVOT_UNKNOWN);
    assert_pivot_of_chain("overlay;disk;copy", CST_HYPERVISOR_PIVOT_UNKNOWN);
    block_request_kind(CST_HYPERVISOR_JOB_COMMIT);
    assert_pivot_of_chain("elsewhere;base", CST_HYPERVISOR_PIVOT_UNKNOWN);
}

/* The image of the disk is volume v of pool p, and another program has put an overlay on it. */
static void volume_gets_overlay(void)
{
    g_autofree char *chain = g_strdup_printf("%s/overlay;p/v;%s/middle", fake_dir, fake_dir);

    live_block_end(pause_live, "F");
    live_set(pause_live, "chain", chain);
}

/* The destination of the commit is below the volume. Its path is in libvirt's statistics only. */
static void layer_without_a_path_does_not_hide_the_result(void **unused)
{
    static const struct {
        const char *blocks;
        CstHypervisorPivot pivot;
    } cases[] = {
        {"vda:DIR/disk;vda[2]:DIR/disk", CST_HYPERVISOR_NOT_PIVOTED},
        {"vda:DIR/disk;vda[3]:DIR/disk", CST_HYPERVISOR_PIVOT_UNKNOWN},
    };
    g_autofree char *begin = g_strdup(fake_state->str), *go = fake_at("go");
    g_autofree char *chain = g_strdup_printf("p/v;%s/middle", fake_dir);

    block_request_kind(CST_HYPERVISOR_JOB_COMMIT);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) blocks = g_string_new(cases[i].blocks);
        CstHypervisorJob *job;

        g_string_replace(blocks, "DIR", fake_dir, 0);
        live_set(pause_live, "chain", chain);
        unlink(go);
        g_string_assign(fake_state, begin);
        fake_add("[domain 1]\nblocks = %s\n", blocks->str);
        job = job_begin_waiting(volume_gets_overlay);
        assert_pivot_fails(job, cases[i].pivot, CST_ERROR_FAILED, "libvirt failed");
        end_with(job, cases[i].pivot);
    }
}

static void mirror_fails(void)
{
    live_block_end(pause_live, "F");
}

static void job_that_fails_in_the_pivot_is_reported(void **unused)
{
    CstHypervisorJob *job = job_begin_waiting(mirror_fails);

    assert_pivot_fails(job, CST_HYPERVISOR_NOT_PIVOTED, CST_ERROR_FAILED,
                       "cannot switch domain 'web1' to the copy: libvirt failed");
    end_with(job, CST_HYPERVISOR_NOT_PIVOTED);
    assert_chain("disk;middle;base");
    assert_int_equal(fake_calls("virDomainBlockJobAbort"), 0);
}

static void domain_restarts(void)
{
    live_block_end(pause_live, "F");
    live_set_number(pause_live, "id", 8);
}

/* QEMU may have pivoted before it ended. */
static void domain_that_ends_in_the_pivot_is_unknown(void **unused)
{
    CstHypervisorJob *job = job_begin_waiting(domain_restarts);

    assert_pivot_fails(job, CST_HYPERVISOR_PIVOT_UNKNOWN, CST_ERROR_NOT_FOUND,
                       "it does not run any more");
    end_with(job, CST_HYPERVISOR_PIVOT_UNKNOWN);
}

static void domain_pivots_and_ends(void)
{
    live_block_end(pause_live, "C");
    live_set_number(pause_live, "id", 8);
}

/* Its persistent definition names the copy, with which it starts again. */
static void domain_that_ends_after_the_pivot_is_pivoted(void **unused)
{
    CstHypervisorJob *job = job_begin_waiting(domain_pivots_and_ends);
    CstHypervisorPivotResult result;

    assert_true(cst_hypervisor_job_pivot(job, &result, NULL));
    assert_true(result.persistent);
    assert_false(result.live);
    end_with(job, CST_HYPERVISOR_PIVOTED);
}

/* Without "config" the fake reads the document of the domain. */
static void persistent_definition_that_names_another_image_is_reported(void **unused)
{
    CstHypervisorPivotResult result;
    CstHypervisorJob *job;

    live_set(pause_live, "config", NULL);
    job = block_begin_ready();
    assert_true(cst_hypervisor_job_pivot(job, &result, NULL));
    assert_int_equal(result.pivot, CST_HYPERVISOR_PIVOTED);
    assert_true(result.live);
    assert_false(result.persistent);
    assert_false(result.persistent_unknown);
    end_with(job, CST_HYPERVISOR_PIVOTED);
}

/* libvirt shows the overlay of another program without its backing file there. */
static void persistent_definition_may_name_an_overlay(void **unused)
{
    static const struct {
        const char *config;
        gboolean persistent, unknown;
    } cases[] = {
        {"overlay", TRUE, FALSE},   {"copy", TRUE, FALSE},  {"disk", FALSE, FALSE},
        {"elsewhere", FALSE, TRUE}, {"below", FALSE, TRUE},
    };
    g_autofree char *begin = g_strdup(fake_state->str), *go = fake_at("go");

    chain_after = "overlay;copy;below";
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        CstHypervisorPivotResult result;
        CstHypervisorJob *job;

        block_set_chain("disk;middle;base");
        unlink(go);
        config_after = cases[i].config;
        job = job_begin_waiting(chain_replace);
        assert_true(cst_hypervisor_job_pivot(job, &result, NULL));
        assert_int_equal(result.persistent, cases[i].persistent);
        assert_int_equal(result.persistent_unknown, cases[i].unknown);
        end_with(job, CST_HYPERVISOR_PIVOTED);
        g_string_assign(fake_state, begin);
    }
    config_after = NULL;
}

/* Begins a copy. libvirt cannot read the persistent definition after that. */
static CstHypervisorJob *job_begin_unreadable(void)
{
    g_autofree char *readable = fake_at("readable");
    CstHypervisorJob *job;

    fake_write_file("readable", "");
    fake_add("[calls]\nvirDomainIsPersistent = unless %s fail 1 0 broken\n", readable);
    job = block_begin_ready();
    assert_int_equal(unlink(readable), 0);
    return job;
}

static void persistent_definition_that_cannot_be_read_is_unknown(void **unused)
{
    CstHypervisorJob *job = job_begin_unreadable();
    CstHypervisorPivotResult result;

    assert_true(cst_hypervisor_job_pivot(job, &result, NULL));
    assert_true(result.live && result.persistent_unknown);
    assert_false(result.persistent);
    end_with(job, CST_HYPERVISOR_PIVOTED);
}

/* Another program may have pivoted before the end. */
static void image_of_a_domain_that_has_ended_may_be_unknown(void **unused)
{
    CstHypervisorJob *job = job_begin_unreadable();

    live_set_number(pause_live, "id", 8);
    live_block_end(pause_live, "F");
    live_report(pause_live, "E");
    assert_block_fails(job, CST_ERROR_NOT_FOUND, "it does not run any more");
    end_with(job, CST_HYPERVISOR_PIVOT_UNKNOWN);
}

/* The volume "p/v" is committed to "p/base". @config: of the persistent definition. */
static void set_named_commit(const char *config)
{
    static CstHypervisorVolume volume;

    volume = pause_request.volumes[0];
    volume.pool = block_base.pool = "p";
    volume.volume = "v";
    block_base.volume = "base";
    block_request_kind(CST_HYPERVISOR_JOB_COMMIT);
    block_request.volume = &volume;
    block_request.base = &block_base;
    block_set_chain("disk;middle;base");
    live_set(pause_live, "config", config);
    live_set_number(pause_live, "id", 7);
}

static void assert_pivot_with_config(const char *config, CstHypervisorPivot persistent)
{
    CstHypervisorPivotResult result;
    CstHypervisorJob *job;

    set_named_commit(config);
    job = block_begin_ready();
    assert_true(cst_hypervisor_job_pivot(job, &result, NULL));
    assert_int_equal(result.persistent, persistent == CST_HYPERVISOR_PIVOTED);
    assert_int_equal(result.persistent_unknown, persistent == CST_HYPERVISOR_PIVOT_UNKNOWN);
    assert_null(result.reason);
    end_with(job, CST_HYPERVISOR_PIVOTED);
    assert_int_equal(fake_calls("virDomainUpdateDeviceFlags"), 0);
}

/* libvirt keeps a definition whose source is not that of the running disk. */
static void volume_in_the_definition_after_a_commit_is_compared(void **unused)
{
    assert_pivot_with_config("p/base", CST_HYPERVISOR_PIVOTED);
    assert_pivot_with_config("p/v", CST_HYPERVISOR_NOT_PIVOTED);
    assert_pivot_with_config("q/base", CST_HYPERVISOR_PIVOT_UNKNOWN);
    assert_pivot_with_config("p/other", CST_HYPERVISOR_PIVOT_UNKNOWN);
}

/* The job has failed, and the domain has ended. Only the persistent definition is left. */
static void assert_pivot_of_ended(const char *config, CstHypervisorPivot pivot)
{
    CstHypervisorJob *job;

    set_named_commit(config);
    job = block_begin_ok();
    live_set_number(pause_live, "id", 8);
    live_block_end(pause_live, "F");
    live_report(pause_live, "E");
    assert_block_fails(job, CST_ERROR_NOT_FOUND, "it does not run any more");
    end_with(job, pivot);
}

static void volume_in_the_definition_of_an_ended_domain_is_compared(void **unused)
{
    assert_pivot_of_ended("p/base", CST_HYPERVISOR_PIVOTED);
    assert_pivot_of_ended("p/v", CST_HYPERVISOR_NOT_PIVOTED);
    assert_pivot_of_ended("p/other", CST_HYPERVISOR_PIVOT_UNKNOWN);
}

static void domain_ends(void)
{
    live_set_number(pause_live, "id", 8);
    live_block_end(pause_live, "F");
}

/* The guest may have used the base since the pivot began. */
static void assert_pivot_in_ended(const char *config, CstHypervisorPivot pivot)
{
    g_autofree char *go = fake_at("go");
    CstHypervisorPivotResult result;
    CstHypervisorJob *job;

    unlink(go);
    set_named_commit(config);
    job = job_begin_waiting(domain_ends);
    cst_hypervisor_job_pivot(job, &result, NULL);
    assert_int_equal(result.pivot, pivot);
    end_with(job, pivot);
}

static void volume_in_the_definition_of_a_domain_that_ends_in_the_pivot_is_compared(void **unused)
{
    assert_pivot_in_ended("p/base", CST_HYPERVISOR_PIVOTED);
    assert_pivot_in_ended("p/v", CST_HYPERVISOR_PIVOT_UNKNOWN);
    assert_pivot_in_ended("p/other", CST_HYPERVISOR_PIVOT_UNKNOWN);
}

static void volume_in_the_definition_is_unknown_if_the_request_names_none(void **unused)
{
    CstHypervisorPivotResult result;
    CstHypervisorJob *job;

    set_named_commit("p/base");
    block_base.volume = NULL;
    job = block_begin_ready();
    assert_true(cst_hypervisor_job_pivot(job, &result, NULL));
    assert_true(!result.persistent && result.persistent_unknown && !result.named);
    end_with(job, CST_HYPERVISOR_PIVOTED);
}

/* The entry precedes the call. */
static gboolean entry_has(const char *line)
{
    g_autofree char *path = g_build_filename(block_directory, PAUSE_UUID, NULL), *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, line);
}

static void entry_check(void)
{
    if (entry_has("switching=true"))
        fake_write_file("recorded", "");
}

static void entry_records_the_pivot_before_the_call(void **unused)
{
    CstHypervisorJob *job = job_begin_waiting(entry_check);

    assert_true(entry_has("switching=false"));
    block_pivot_ok(job);
    assert_true(fake_file_exists("recorded"));
    end_with(job, CST_HYPERVISOR_PIVOTED);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, block_setup, block_teardown)
    const struct CMUnitTest tests[] = {
        CASE(pivot_that_libvirt_refuses_can_be_tried_again),
        CASE(pivot_without_an_answer_is_found),
        CASE(pivot_that_was_not_received_can_be_tried_again),
        CASE(pivot_that_happens_late_is_found),
        CASE(pivot_that_hangs_after_its_effect_is_found),
        CASE(pivot_that_hangs_before_its_effect_is_aborted),
        CASE(pivot_without_an_end_is_unknown),
        CASE(overlay_of_another_program_does_not_hide_the_result),
        CASE(disk_with_other_images_is_unknown),
        CASE(layer_without_a_path_does_not_hide_the_result),
        CASE(job_that_fails_in_the_pivot_is_reported),
        CASE(domain_that_ends_in_the_pivot_is_unknown),
        CASE(domain_that_ends_after_the_pivot_is_pivoted),
        CASE(persistent_definition_that_names_another_image_is_reported),
        CASE(persistent_definition_may_name_an_overlay),
        CASE(persistent_definition_that_cannot_be_read_is_unknown),
        CASE(image_of_a_domain_that_has_ended_may_be_unknown),
        CASE(volume_in_the_definition_after_a_commit_is_compared),
        CASE(volume_in_the_definition_of_an_ended_domain_is_compared),
        CASE(volume_in_the_definition_of_a_domain_that_ends_in_the_pivot_is_compared),
        CASE(volume_in_the_definition_is_unknown_if_the_request_names_none),
        CASE(entry_records_the_pivot_before_the_call),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
