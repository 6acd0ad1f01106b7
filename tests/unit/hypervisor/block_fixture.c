/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A block job of a domain of the fake libvirt. */
#include "block_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/file.h>

#include "../await.h"

#define LONG_MS 120000 /* no limit passes by itself */
#define CHAIN   "disk;middle;base"

char *block_directory;
CstHypervisorJobRequest block_request;
CstHypervisorVolume block_middle, block_base;
static char *destination;
static unsigned limits[BLOCK_LIMIT_LAST]; /* of the product */

/* Creates a file, which the volume shows. */
static void volume_make(CstHypervisorVolume *volume, const char *name)
{
    g_autofree char *path = fake_at(name);
    g_auto(CstFd) fd = -1;

    fake_write_file(name, "content");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    *volume = (CstHypervisorVolume){0};
    cst_hypervisor_volume_set_file(volume, fd);
}

/* Returns the paths of the names. The caller frees them. */
static char *chain_paths(const char *names)
{
    g_auto(GStrv) layers = g_strsplit(names, ";", -1);

    for (char **layer = layers; *layer; layer++) {
        char *path = fake_at(*layer);

        g_free(*layer);
        *layer = path;
    }
    return g_strjoinv(";", layers);
}

void block_set_chain(const char *names)
{
    g_autofree char *paths = chain_paths(names);

    live_set(pause_live, "chain", paths);
    live_set(pause_live, "config", paths);
}

int block_setup(void **unused)
{
    g_autofree char *document = NULL;

    pause_setup(unused);
    document = fake_at("copy.xml");
    fake_add("copy-xml = %s\n", document);
    volume_make(&block_middle, "middle");
    volume_make(&block_base, "base");
    fake_write_file("copy", "");
    block_set_chain(CHAIN);
    block_directory = fake_at("jobs");
    destination = fake_at("copy");
    block_request = (CstHypervisorJobRequest){.kind = CST_HYPERVISOR_JOB_COPY,
                                              .uri = "qemu:///system",
                                              .uuid = PAUSE_UUID,
                                              .volume = pause_request.volumes,
                                              .destination = destination,
                                              .destination_format = "qcow2",
                                              .directory = block_directory};
    memcpy(limits, hypervisor_block_limits, sizeof(limits));
    for (guint i = 0; i < BLOCK_LIMIT_LAST; i++)
        hypervisor_block_limits[i] = LONG_MS;
    hypervisor_block_limits[BLOCK_LIMIT_TICK] = 10;
    hypervisor_block_limits[BLOCK_LIMIT_RETRY] = 10;
    hypervisor_block_limits[BLOCK_LIMIT_RETRY_MAX] = 50;
    hypervisor_block_limits[BLOCK_LIMIT_LATE] = 100;
    return 0;
}

int block_teardown(void **unused)
{
    await_processes();
    assert_false(block_job_exists());
    memcpy(hypervisor_block_limits, limits, sizeof(limits));
    if (g_rmdir(block_directory) < 0 && g_file_test(block_directory, G_FILE_TEST_EXISTS))
        fail_msg("an entry is left");
    g_free(block_directory);
    g_free(destination);
    return pause_teardown(unused);
}

void block_request_kind(CstHypervisorJobKind kind)
{
    block_request.kind = kind;
    block_request.destination = block_request.destination_format = NULL;
}

CstHypervisorJob *block_begin_full(CstTask *task, CstHypervisorPivot *ret_pivot, GError **error)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(pause_deadline_s);

    fake_write_file("fake", fake_state->str);
    return cst_hypervisor_job_begin(hypervisor, &block_request, task, ret_pivot, error);
}

CstHypervisorJob *block_begin(GError **error)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(pause_deadline_s);
    CstHypervisorPivot pivot;

    fake_write_file("fake", fake_state->str);
    return cst_hypervisor_job_begin(hypervisor, &block_request, NULL, &pivot, error);
}

CstHypervisorJob *block_begin_ok(void)
{
    g_autoptr(GError) error = NULL;
    CstHypervisorJob *job = block_begin(&error);

    if (!job)
        fail_msg("%s", error->message);
    return job;
}

CstHypervisorJob *block_begin_ready(void)
{
    CstHypervisorJob *job = block_begin_ok();

    live_block_ready(pause_live);
    block_wait_ok(job);
    return job;
}

void assert_block_begin_fails(CstErrorCode code, const char *text, CstHypervisorPivot pivot)
{
    CstHypervisorPivot found = CST_HYPERVISOR_PIVOT_LAST;
    GError *error = NULL;

    assert_null(block_begin_full(NULL, &found, &error));
    assert_pause_error(error, code, text);
    assert_int_equal(found, pivot);
}

void assert_block_refused(CstErrorCode code, const char *text)
{
    assert_block_begin_fails(code, text, CST_HYPERVISOR_NOT_PIVOTED);
}

void block_wait_ok(CstHypervisorJob *job)
{
    g_autoptr(GError) error = NULL;

    if (!cst_hypervisor_job_wait(job, NULL, &error))
        fail_msg("%s", error->message);
}

void assert_block_fails(CstHypervisorJob *job, CstErrorCode code, const char *text)
{
    GError *error = NULL;

    AWAIT(!cst_hypervisor_job_wait(job, NULL, NULL));
    assert_false(cst_hypervisor_job_wait(job, NULL, &error));
    assert_pause_error(error, code, text);
}

void block_pivot_ok(CstHypervisorJob *job)
{
    CstHypervisorPivotResult result;
    g_autoptr(GError) error = NULL;

    if (!cst_hypervisor_job_pivot(job, &result, &error))
        fail_msg("%s", error->message);
    assert_int_equal(result.pivot, CST_HYPERVISOR_PIVOTED);
    assert_true(result.live);
    assert_true(result.persistent);
    assert_false(result.persistent_unknown);
}

void assert_pivot_fails(CstHypervisorJob *job, CstHypervisorPivot pivot, CstErrorCode code,
                        const char *text)
{
    CstHypervisorPivotResult result;
    GError *error = NULL;

    assert_false(cst_hypervisor_job_pivot(job, &result, &error));
    assert_pause_error(error, code, text);
    assert_int_equal(result.pivot, pivot);
}

gboolean block_job_exists(void)
{
    return live_get_number(pause_live, "block-type") > 0;
}

static void assert_layers(const char *key, const char *names)
{
    g_autofree char *expected = chain_paths(names), *found = live_get(pause_live, key);

    assert_string_equal(found, expected);
}

void assert_chain(const char *names)
{
    assert_layers("chain", names);
}

void assert_config(const char *names)
{
    assert_layers("config", names);
}

void await_block_closed(void)
{
    AWAIT_STATE(!block_job_exists() && directory_count(block_directory) == 0, "job %d, entries %u",
                block_job_exists(), directory_count(block_directory));
}

pid_t find_block_keeper(void)
{
    return find_child(getpid(), HYPERVISOR_BLOCK);
}
