/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams of volume content. A stream holds its claims for as long as its client likes, so no
 * operation waits for it (core/claim.h). Its job ends with its first failure, with its finish, or
 * when the client disconnects.
 *
 * The caller serialises the calls on a stream. Only cst_upload_ends() and cst_download_ends() may
 * run during another call.
 */
#include "stream.h"

#include <base/error.h>
#include <base/i18n.h>

#include "core/events.h"
#include "core/pool.h"

void stream_job_end(Job *job, const char *why)
{
    g_autoptr(GError) error = NULL;

    if (!job->entry)
        return;
    cst_fail(&error, CST_ERROR_CANCELLED, "%s", why);
    job_end(job, FALSE, &error);
}

gboolean stream_step(Job *job, gboolean ok, GError **error)
{
    if (!ok && job->entry)
        job_end(job, FALSE, error);
    return ok;
}

void upload_begin(CstUpload *upload, const UploadClass *class, CstPool *pool, const char *operation,
                  const char *name, CstTask *task)
{
    upload->class = class;
    upload->pool = cst_pool_ref(pool);
    upload->task = task;
    job_begin(&upload->job, pool, operation, name, &upload->task);
    cst_task_ref(upload->task);
}

CstUpload *upload_opened(CstUpload *upload, gboolean ok, GError **error)
{
    if (stream_step(&upload->job, ok, error))
        return upload;
    cst_upload_free(upload);
    return NULL;
}

void cst_upload_on_end(CstUpload *upload, CstUploadEnd func, gpointer data)
{
    upload->on_end = func;
    upload->on_end_data = data;
}

/* Reports the end of the upload once. @error: NULL if it was finished. */
static void upload_report_end(CstUpload *upload, const GError *error)
{
    CstUploadEnd func = g_steal_pointer(&upload->on_end);

    if (func)
        func(error, upload->on_end_data);
}

/* Ends the job after a failed step. Returns @ok, and passes @why on to @error. */
static gboolean upload_step(CstUpload *upload, gboolean ok, GError *why, GError **error)
{
    if (ok)
        return TRUE;
    stream_step(&upload->job, FALSE, &why);
    upload_report_end(upload, why);
    g_propagate_error(error, why);
    return FALSE;
}

gboolean cst_upload_write(CstUpload *upload, const void *data, size_t len, GError **error)
{
    GError *why = NULL;
    gboolean ok = upload->class->write(upload, data, len, &why);

    return upload_step(upload, ok, why, error);
}

gboolean cst_upload_hole(CstUpload *upload, uint64_t length, GError **error)
{
    GError *why = NULL;
    gboolean ok = upload->class->hole(upload, length, &why);

    return upload_step(upload, ok, why, error);
}

gboolean cst_upload_finish(CstUpload *upload, GError **error)
{
    GError *why = NULL;
    gboolean done = upload->class->finish(upload, &why);

    if (upload->job.entry)
        job_end(&upload->job, done, &why);
    upload_report_end(upload, why);
    if (why)
        g_propagate_error(error, why);
    return done;
}

void cst_upload_ends(CstUpload *upload)
{
    upload->class->ends(upload);
}

gboolean cst_upload_cancelled(const CstUpload *upload)
{
    return cst_task_cancelled(upload->task);
}

/* The event is emitted after the release, so that the volume is free when a client reacts to it. */
void cst_upload_free(CstUpload *upload)
{
    if (!upload)
        return;
    upload->class->close(upload);
    if (upload->on_end) {
        g_autoptr(GError) why = NULL;

        cst_fail(&why, CST_ERROR_CANCELLED, "%s", _("the sender went away before the end"));
        upload_report_end(upload, why);
    }
    stream_job_end(&upload->job, _("the sender went away before the end"));
    event_emit_pool(upload->pool, CST_EVENT_POOL_REFRESH, 0);
    cst_pool_unref(upload->pool);
    cst_task_unref(upload->task);
    g_free(upload);
}
