/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs one function on several threads (see the header). The caller is one of them, so the work is
 * done even if no thread can be created.
 */
#include <base/threads.h>

#include <base/dry_run.h>
#include <base/log_context.h>

typedef struct {
    GThreadFunc func;
    gpointer data;
    CstLogContext log; /* the caller's */
    gboolean dry_run;  /* the caller's */
} Work;

static gpointer thread_run(gpointer data)
{
    const Work *work = data;
    /* A shallow copy: the caller waits for this thread and keeps the task. */
    CstLogContext log = work->log;

    cst_dry_run_set(work->dry_run);
    cst_log_push(&log);
    work->func(work->data);
    cst_log_pop(&log);
    return NULL;
}

void cst_threads_run(GThreadFunc func, gpointer data, unsigned count)
{
    GThread *threads[CST_THREADS_MAX] = {NULL};
    Work work = {.func = func, .data = data, .dry_run = cst_dry_run()};

    cst_log_context_copy(&work.log);
    for (unsigned i = 1; i < MIN(count, CST_THREADS_MAX); i++)
        threads[i] = g_thread_try_new("work", thread_run, &work, NULL);
    func(data);
    for (unsigned i = 1; i < CST_THREADS_MAX; i++)
        if (threads[i])
            g_thread_join(threads[i]);
    cst_log_context_clear(&work.log);
}

/* The items of cst_threads_each(). */
typedef struct {
    void (*func)(guint i, gpointer data);
    gpointer data;
    guint items;
    gint next; /* atomic */
} Items;

static gpointer run_items(gpointer data)
{
    Items *items = data;
    guint i;

    while ((i = (guint)g_atomic_int_add(&items->next, 1)) < items->items)
        items->func(i, items->data);
    return NULL;
}

void cst_threads_each(void (*func)(guint i, gpointer data), gpointer data, guint items,
                      unsigned count)
{
    Items work = {.func = func, .data = data, .items = items};

    cst_threads_run(run_items, &work, MAX(MIN(count, items), 1));
}
