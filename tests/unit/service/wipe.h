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

#include "await.h"
#include "fixture.h"

/* A wipe in its own thread. */
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
    AWAIT(cst_task_job(task));
    return cst_task_job(task);
}

/*
 * Replaces *@ret_job by the present state of a job. Returns TRUE if it is @state, or if the job
 * does not exist.
 */
static inline gboolean is_in(Fixture *f, uint64_t id, CstJobState state, CstJobInfo **ret_job)
{
    g_clear_pointer(ret_job, cst_job_info_free);
    *ret_job = cst_service_job(f->service, id, NULL);
    return !*ret_job || (*ret_job)->state == state;
}

/* Returns the job once it is in @state. */
static inline CstJobInfo *wait_for(Fixture *f, uint64_t id, CstJobState state)
{
    CstJobInfo *job = NULL;

    AWAIT_STATE(is_in(f, id, state, &job), "state %d instead of %d: %s", job->state, state,
                job->error);
    if (!job)
        fail_msg("there is no job %" G_GUINT64_FORMAT, id);
    return job;
}
