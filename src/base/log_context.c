/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread's log context: a stack of borrowed structs, linked through CstLogContext.outer. Each
 * thread has its own stack, so no lock is needed.
 */
#include <base/log_context.h>

static _Thread_local CstLogContext *current;

void cst_log_push(CstLogContext *context)
{
    context->outer = current;
    current = context;
}

void cst_log_pop(CstLogContext *context)
{
    g_assert(current == context);
    current = g_steal_pointer(&context->outer);
}

const CstLogContext *cst_log_context(void)
{
    return current;
}

void cst_log_context_copy(CstLogContext *ret_context)
{
    if (current)
        *ret_context = *current;
    else
        cst_log_context_init(ret_context);
    ret_context->outer = NULL;
    /* The copy may outlive the call that owns the task. */
    cst_task_ref(ret_context->task);
}

void cst_log_context_clear(CstLogContext *context)
{
    cst_task_unref(g_steal_pointer(&context->task));
}

void cst_log_set_pool(const char *pool)
{
    if (current)
        g_strlcpy(current->pool, pool ? pool : "", sizeof(current->pool));
}

void cst_log_set_volume(const char *volume)
{
    if (current)
        g_strlcpy(current->volume, volume ? volume : "", sizeof(current->volume));
}

void cst_log_set_in_job(void)
{
    if (current)
        current->in_job = TRUE;
}
