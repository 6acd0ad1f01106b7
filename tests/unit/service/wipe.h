/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <service/jobs.h>
#include <service/volumes.h>

#include "fixture.h"

#define PATIENCE_US (60 * G_TIME_SPAN_SECOND)

/* A wipe in a thread of its own. */
typedef struct {
    CstPool *pool;
    CstTask *task;
    GThread *thread;
    GError *error;
    gboolean ok;
} Wipe;

static inline gpointer run_wipe(gpointer data)
{
    Wipe *wipe = data;

    wipe->ok = cst_vol_wipe(wipe->pool, "disk", CST_WIPE_RANDOM, 0, wipe->task, &wipe->error);
    return NULL;
}

static inline void wipe_begin(Wipe *wipe, CstPool *pool, uint64_t rate)
{
    *wipe = (Wipe){.pool = pool, .task = cst_task_new()};
    cst_task_set_rate(wipe->task, rate);
    cst_task_set_owner(wipe->task, 4711, 4712);
    wipe->thread = g_thread_new("wipe", run_wipe, wipe);
}

static inline void wipe_end(Wipe *wipe)
{
    g_thread_join(wipe->thread);
    cst_task_unref(wipe->task);
}

static inline CstPool *make_disk(Fixture *f)
{
    CstPool *pool = fixture_pool(f, "p");
    g_autofree char *name = NULL;
    GError *error = NULL;

    cst_vol_create(pool,
                   "<volume><name>disk</name><capacity unit='MiB'>64</capacity>"
                   "<allocation>0</allocation></volume>",
                   0, NULL, &name, &error);
    assert_no_error(error);
    return pool;
}

static inline uint64_t number_of(CstTask *task)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;

    while (!cst_task_job(task) && g_get_monotonic_time() < end)
        g_usleep(10000);
    assert_int_not_equal(cst_task_job(task), 0);
    return cst_task_job(task);
}

/* The job once it is in @state. */
static inline CstJobInfo *wait_for(Fixture *f, uint64_t id, CstJobState state)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    CstJobInfo *job = cst_service_job(f->service, id, NULL);

    while (job && job->state != state && g_get_monotonic_time() < end) {
        cst_job_info_free(job);
        g_usleep(10000);
        job = cst_service_job(f->service, id, NULL);
    }
    if (!job || job->state != state)
        fail_msg("job is in state %d instead of %d: %s", job ? (int)job->state : -1, state,
                 job ? job->error : "no job");
    return job;
}
