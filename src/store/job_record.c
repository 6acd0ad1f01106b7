/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "job_record.h"

#include <string.h>
#include <unistd.h>

#include <base/file.h>

static void put_text(char *field, size_t size, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);
    const char *end;

    /* A character that does not fit is left out whole. */
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

void job_record_fill(JobTold *told, const CstJobInfo *job)
{
    *told = (JobTold){
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
    put_text(told->kind, sizeof(told->kind), job->kind);
    put_text(told->pool, sizeof(told->pool), job->pool);
    put_text(told->volume, sizeof(told->volume), job->volume);
    put_text(told->error, sizeof(told->error), job->error);
    put_text(told->error_word, sizeof(told->error_word), job->error_word);
    put_text(told->resume, sizeof(told->resume), job->resume);
}

static gboolean fits(const char *text, size_t size)
{
    return !text || (strlen(text) < size && g_utf8_validate(text, -1, NULL));
}

gboolean cst_job_file_can_resume(const CstJobInfo *job)
{
    const JobTold *told = NULL;

    return job->resume && job->attempt < CST_JOB_ATTEMPTS &&
           fits(job->resume, sizeof(told->resume)) && fits(job->pool, sizeof(told->pool)) &&
           fits(job->volume, sizeof(told->volume));
}

gboolean job_record_write(int fd, const JobTold *told, GError **error)
{
    return cst_pwrite_full(fd, told, sizeof(*told), offsetof(JobRecord, told), "job", error);
}

gboolean job_record_read(int fd, JobRecord *record)
{
    return pread(fd, record, sizeof(*record), 0) == (ssize_t)sizeof(*record) &&
           memcmp(record->magic, JOB_MAGIC, sizeof(JOB_MAGIC)) == 0 &&
           record->told.state < CST_JOB_STATE_LAST;
}

CstJobInfo *job_record_info(uint64_t id, const JobRecord *record)
{
    const JobTold *told = &record->told;
    CstJobInfo *job = g_new0(CstJobInfo, 1);

    *job = (CstJobInfo){
        .id = id,
        .state = told->state,
        .can_cancel = told->can_cancel != 0,
        .uid = told->uid,
        .pid = told->pid,
        .started = told->started,
        .ended = told->ended,
        .done = told->done,
        .total = told->total,
        .rate = told->rate,
        .limit = told->limit,
        .kind = get_text(told->kind, sizeof(told->kind)),
        .pool = get_text(told->pool, sizeof(told->pool)),
        .volume = get_text(told->volume, sizeof(told->volume)),
        .error = get_text(told->error, sizeof(told->error)),
        .error_word = get_text(told->error_word, sizeof(told->error_word)),
        .resume = get_text(told->resume, sizeof(told->resume)),
        .attempt = told->attempt,
    };
    if (!job->kind)
        job->kind = g_strdup("");
    if (!job->pool)
        job->pool = g_strdup("");
    return job;
}
