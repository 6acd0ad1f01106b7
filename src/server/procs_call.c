/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for the calls in flight on the same connection: progress, cancellation, job number,
 * detaching, rate limit, and the mode of later calls. libvirt's protocol has no such procedures;
 * its servers answer "Cannot find program".
 *
 * They run in the loop's thread, which owns the table of tasks, so they are answered even while all
 * workers are busy. An unknown serial is no error, because the call may just have ended.
 */
#include <string.h>

#include "procedures.h"

static CstTask *find_task(CstApiCall *call, const void *args)
{
    uint32_t serial = ((const wire_serial_args *)args)->serial;
    GHashTable *tasks = client_of(call)->tasks;

    return tasks ? g_hash_table_lookup(tasks, GUINT_TO_POINTER(serial)) : NULL;
}

static gboolean call_progress(CstApiCall *call, const void *args, void *data, GError **error)
{
    wire_progress_ret *ret = data;
    CstTask *task = find_task(call, args);
    CstProgress progress = cst_task_progress(task);

    ret->found = task != NULL;
    ret->done = progress.done;
    ret->total = progress.total;
    return TRUE;
}

static gboolean call_cancel(CstApiCall *call, const void *args, void *ret, GError **error)
{
    CstTask *task = find_task(call, args);

    cst_task_cancel(task);
    ((wire_int *)ret)->value = task != NULL;
    return TRUE;
}

static gboolean call_job(CstApiCall *call, const void *args, void *data, GError **error)
{
    wire_call_job_ret *ret = data;
    CstTask *task = find_task(call, args);

    ret->found = task != NULL;
    ret->id = cst_task_job(task);
    return TRUE;
}

/*
 * Detaches only a call that has a job number, because a job without a number could not be found
 * again. The client repeats the request until there is a number.
 */
static gboolean call_detach(CstApiCall *call, const void *args, void *data, GError **error)
{
    wire_call_job_ret *ret = data;
    CstTask *task = find_task(call, args);

    ret->found = task != NULL;
    ret->id = cst_task_job(task);
    if (ret->id)
        cst_task_detach(task);
    return TRUE;
}

static gboolean call_rate(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_serial_rate_args *args = data;
    const wire_serial_args serial = {args->serial};
    CstTask *task = find_task(call, &serial);

    /*
     * Serial 0 means the next call with a task. A limit set during the call would come too late for
     * its first bytes.
     */
    if (args->serial == 0)
        client_of(call)->next_rate = args->limit;
    cst_task_set_rate(task, args->limit);
    ((wire_int *)ret)->value = task || args->serial == 0;
    return TRUE;
}

static gboolean call_mode(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_call_mode_args *args = data;

    if (!cst_flags_check(args->flags, WIRE_CALLS_DRY, "cisternCallMode", error))
        return FALSE;
    client_of(call)->dry_run = (args->flags & WIRE_CALLS_DRY) != 0;
    return TRUE;
}

const CstProcedure procedures_call[] = {
    CST_OWN_PROCEDURE(CALL_PROGRESS, INLINE, READ, "cisternCallProgress", serial_args, progress_ret,
                      call_progress),
    CST_OWN_PROCEDURE(CALL_CANCEL, INLINE, WRITE, "cisternCallCancel", serial_args, int,
                      call_cancel, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(CALL_JOB, INLINE, READ, "cisternCallJob", serial_args, call_job_ret,
                      call_job),
    CST_OWN_PROCEDURE(CALL_DETACH, INLINE, WRITE, "cisternCallDetach", serial_args, call_job_ret,
                      call_detach, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(CALL_RATE, INLINE, WRITE, "cisternCallRate", serial_rate_args, int, call_rate,
                      .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(CALL_MODE, INLINE, READ, "cisternCallMode", call_mode_args, void, call_mode),
    {0},
};
