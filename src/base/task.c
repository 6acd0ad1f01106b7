/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/task.h>

#include <stdatomic.h>

#include <base/error.h>
#include <base/i18n.h>

struct CstTask {
    atomic_int refs;
    atomic_bool cancelled;
    _Atomic uint64_t done;
    _Atomic uint64_t total;
};

CstTask *cst_task_new(void)
{
    CstTask *task = g_new0(CstTask, 1);

    task->refs = 1;
    return task;
}

CstTask *cst_task_ref(CstTask *task)
{
    if (task)
        task->refs++;
    return task;
}

void cst_task_unref(CstTask *task)
{
    if (task && --task->refs == 0)
        g_free(task);
}

void cst_task_set_total(CstTask *task, uint64_t total)
{
    if (task)
        task->total = total;
}

void cst_task_add_total(CstTask *task, uint64_t more)
{
    if (task)
        task->total += more;
}

void cst_task_advance(CstTask *task, uint64_t bytes)
{
    if (task)
        task->done += bytes;
}

CstProgress cst_task_progress(CstTask *task)
{
    CstProgress progress = {0};

    if (task) {
        progress.done = task->done;
        progress.total = task->total;
    }
    return progress;
}

void cst_task_cancel(CstTask *task)
{
    if (task)
        task->cancelled = TRUE;
}

gboolean cst_task_check(CstTask *task, GError **error)
{
    if (task && task->cancelled)
        return cst_fail(error, CST_ERROR_CANCELLED, _("cancelled by request"));
    return TRUE;
}
