/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The description of a job: states, estimates, and its failure as an error. */
#include <model/job.h>

#include <inttypes.h>

#include <base/error_class.h>
#include <base/i18n.h>

const char *cst_job_state_word(int state)
{
    static const char *const words[CST_JOB_STATE_LAST] = {
        [CST_JOB_RUNNING] = "running",     [CST_JOB_WAITING] = "waiting",
        [CST_JOB_DONE] = "done",           [CST_JOB_FAILED] = "failed",
        [CST_JOB_CANCELLED] = "cancelled", [CST_JOB_INTERRUPTED] = "interrupted",
    };

    return state >= 0 && state < CST_JOB_STATE_LAST ? words[state] : "unknown";
}

void cst_job_info_free(CstJobInfo *job)
{
    if (!job)
        return;
    g_free(job->kind);
    g_free(job->pool);
    g_free(job->volume);
    g_free(job->error);
    g_free(job->error_word);
    g_free(job->resume);
    g_free(job);
}

int64_t cst_job_seconds_left(const CstJobInfo *job)
{
    /* A waiting job has not begun. Without a rate no estimate is possible. */
    if (job->state != CST_JOB_RUNNING || job->total == 0 || job->rate == 0)
        return -1;
    return job->total > job->done ? (int64_t)((job->total - job->done) / job->rate) : 0;
}

gboolean cst_job_check_done(const CstJobInfo *job, GError **error)
{
    CstErrorCode code = CST_ERROR_FAILED;

    if (job->state == CST_JOB_DONE)
        return TRUE;
    /* A process of another version may report an unknown word; the code is then FAILED. */
    if (job->error_word)
        cst_error_from_word(job->error_word, &code);
    if (job->error)
        return cst_fail(error, code, "%s", job->error);
    return cst_fail(error, code, _("job %" PRIu64 " is %s"), job->id,
                    cst_job_state_word(job->state));
}
