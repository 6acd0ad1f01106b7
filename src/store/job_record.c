/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversion between a job and the fixed-size record in its file. For any content of the file, the
 * texts that are read are bounded by their fields and valid UTF-8. A record of another version has
 * another magic and is not read.
 */
#include "job_record.h"

#include <string.h>
#include <unistd.h>

#include <base/file.h>

static void job_record_put_text(char *field, size_t size, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);
    const char *end;

    /* Truncate before the first character that does not fit. */
    if (strlen(valid) >= size) {
        g_utf8_validate(valid, (gssize)size - 1, &end);
        valid[end - valid] = '\0';
    }
    memset(field, 0, size);
    memcpy(field, valid, strlen(valid) + 1);
}

static char *get_text(const char *field, size_t size)
{
    g_autofree char *text = g_strndup(field, size);

    return *text ? g_utf8_make_valid(text, -1) : NULL;
}

void job_record_fill(JobStatus *status, const CstJobInfo *job)
{
    *status = (JobStatus){
        .state = job->state,
        .can_cancel = job->can_cancel,
        .uid = job->uid,
        .pid = job->pid,
        .started = job->started,
        .ended = job->ended,
        .done = job->done,
        .total = job->total,
        .rate = job->rate,
        .limit = job->limit,
        .attempt = job->attempt,
    };
    job_record_put_text(status->kind, sizeof(status->kind), job->kind);
    job_record_put_text(status->pool, sizeof(status->pool), job->pool);
    job_record_put_text(status->volume, sizeof(status->volume), job->volume);
    job_record_put_text(status->error, sizeof(status->error), job->error);
    job_record_put_text(status->error_word, sizeof(status->error_word), job->error_word);
    job_record_put_text(status->resume, sizeof(status->resume), job->resume);
}

static gboolean job_text_fits(const char *text, size_t size)
{
    return !text || (strlen(text) < size && g_utf8_validate(text, -1, NULL));
}

gboolean cst_job_file_resume_fits(const char *text)
{
    return job_text_fits(text, sizeof(((JobStatus *)NULL)->resume));
}

gboolean cst_job_file_can_resume(const CstJobInfo *job)
{
    const JobStatus *status = NULL;

    return job->resume && job->attempt < CST_JOB_ATTEMPTS &&
           cst_job_file_resume_fits(job->resume) &&
           job_text_fits(job->pool, sizeof(status->pool)) &&
           job_text_fits(job->volume, sizeof(status->volume));
}

gboolean job_record_write(int fd, const JobStatus *status, GError **error)
{
    return cst_pwrite_full(fd, status, sizeof(*status), offsetof(JobRecord, status), "job", error);
}

gboolean job_record_read(int fd, JobRecord *record)
{
    return pread(fd, record, sizeof(*record), 0) == (ssize_t)sizeof(*record) &&
           memcmp(record->magic, JOB_MAGIC, sizeof(JOB_MAGIC)) == 0 &&
           record->status.state < CST_JOB_STATE_LAST;
}

CstJobInfo *job_record_info(uint64_t id, const JobRecord *record)
{
    const JobStatus *status = &record->status;
    CstJobInfo *job = g_new0(CstJobInfo, 1);

    *job = (CstJobInfo){
        .id = id,
        .state = status->state,
        .can_cancel = status->can_cancel != 0,
        .uid = status->uid,
        .pid = status->pid,
        .started = status->started,
        .ended = status->ended,
        .done = status->done,
        .total = status->total,
        .rate = status->rate,
        .limit = status->limit,
        .kind = get_text(status->kind, sizeof(status->kind)),
        .pool = get_text(status->pool, sizeof(status->pool)),
        .volume = get_text(status->volume, sizeof(status->volume)),
        .error = get_text(status->error, sizeof(status->error)),
        .error_word = get_text(status->error_word, sizeof(status->error_word)),
        .resume = get_text(status->resume, sizeof(status->resume)),
        .attempt = status->attempt,
    };
    /* Never NULL, for any content of the file. */
    if (!job->kind)
        job->kind = g_strdup("");
    if (!job->pool)
        job->pool = g_strdup("");
    return job;
}
