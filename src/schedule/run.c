/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <schedule/run.h>

static const char *const words[CST_SCHEDULE_STATE_LAST] = {
    [CST_SCHEDULE_RUNNING] = "running", [CST_SCHEDULE_DONE] = "done",
    [CST_SCHEDULE_PARTLY] = "partly",   [CST_SCHEDULE_SKIPPED] = "skipped",
    [CST_SCHEDULE_FAILED] = "failed",   [CST_SCHEDULE_INTERRUPTED] = "interrupted",
};

const char *cst_schedule_state_word(int state)
{
    return state >= 0 && state < CST_SCHEDULE_STATE_LAST ? words[state] : "unknown";
}

void cst_schedule_run_free(CstScheduleRun *run)
{
    if (!run)
        return;
    g_free(run->schedule);
    g_free(run->message);
    g_free(run);
}

void cst_schedule_copy_free(CstScheduleCopy *copy)
{
    if (!copy)
        return;
    g_free(copy->place);
    g_free(copy->pool);
    g_free(copy->volume);
    g_free(copy->name);
    g_free(copy);
}

int64_t cst_schedule_newest_copy(const GPtrArray *copies)
{
    int64_t newest = 0;

    for (guint i = 0; i < copies->len; i++)
        newest = MAX(newest, ((const CstScheduleCopy *)copies->pdata[i])->time);
    return newest;
}
