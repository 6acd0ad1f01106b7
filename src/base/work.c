/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls with a deadline into libraries that may hang.
 *
 * A work has two owners, the caller and the thread or completion callback that does it. Each holds
 * a reference. When the deadline expires, the caller drops its reference and returns. The struct
 * lives until the call returns, which may be never. So work that hangs costs a thread and its
 * memory, but blocks no other thread. CstWork.lock guards its result.
 */
#include <base/work.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

gpointer cst_work_new(gsize size, gboolean (*run)(CstWork *work, GError **error),
                      void (*clear)(CstWork *work))
{
    CstWork *work = g_malloc0(size);

    work->run = run;
    work->clear = clear;
    work->refs = 1;
    work->last_heartbeat = g_get_monotonic_time();
    cst_log_context_copy(&work->log);
    g_mutex_init(&work->lock);
    g_cond_init(&work->cond);
    return work;
}

CstWork *cst_work_ref(CstWork *work)
{
    g_atomic_int_inc(&work->refs);
    return work;
}

void cst_work_unref(CstWork *work)
{
    if (!work || !g_atomic_int_dec_and_test(&work->refs))
        return;
    if (work->clear)
        work->clear(work);
    cst_log_context_clear(&work->log);
    g_clear_error(&work->error);
    g_mutex_clear(&work->lock);
    g_cond_clear(&work->cond);
    g_free(work);
}

static void unref_later(gpointer work, gpointer unused)
{
    cst_work_unref(work);
}

void cst_work_unref_in_callback(CstWork *work)
{
    static GThreadPool *thread;
    gint refs;

    do {
        refs = g_atomic_int_get(&work->refs);
        /* This is the last reference, so no other thread can add one. */
        if (refs == 1) {
            if (g_once_init_enter(&thread))
                g_once_init_leave(&thread, g_thread_pool_new(unref_later, NULL, 1, FALSE, NULL));
            g_thread_pool_push(thread, work, NULL);
            return;
        }
    } while (!g_atomic_int_compare_and_exchange(&work->refs, refs, refs - 1));
}

void cst_work_heartbeat(CstWork *work)
{
    g_mutex_lock(&work->lock);
    work->last_heartbeat = g_get_monotonic_time();
    g_mutex_unlock(&work->lock);
}

void cst_work_finish(CstWork *work, gboolean result, GError *error)
{
    g_mutex_lock(&work->lock);
    work->result = result;
    work->error = error;
    work->done = TRUE;
    g_cond_signal(&work->cond);
    g_mutex_unlock(&work->lock);
}

gboolean cst_work_is_done(CstWork *work)
{
    gboolean done;

    g_mutex_lock(&work->lock);
    done = work->done;
    g_mutex_unlock(&work->lock);
    return done;
}

static void run_work(gpointer data, gpointer unused)
{
    CstWork *work = data;
    GError *error = NULL;
    gboolean result;

    cst_log_push(&work->log);
    result = work->run(work, &error);
    cst_log_pop(&work->log);
    cst_work_finish(work, result, error);
    cst_work_unref(work);
}

/* The pool is unlimited, so that work that hangs does not keep other work from starting. */
static void start_work(CstWork *work)
{
    static GThreadPool *threads;

    if (g_once_init_enter(&threads))
        g_once_init_leave(&threads, g_thread_pool_new(run_work, NULL, -1, FALSE, NULL));
    g_thread_pool_push(threads, cst_work_ref(work), NULL);
}

static gboolean wait_done(CstWork *work, guint deadline_ms)
{
    gboolean done;

    g_mutex_lock(&work->lock);
    while (!work->done) {
        gint64 until = work->last_heartbeat + deadline_ms * G_TIME_SPAN_MILLISECOND;

        /* Computed anew each time, because a heartbeat may have moved the deadline. */
        if (g_get_monotonic_time() >= until)
            break;
        CST_TEST_POINT("work.wait");
        g_cond_wait_until(&work->cond, &work->lock, until);
    }
    done = work->done;
    g_mutex_unlock(&work->lock);
    return done;
}

gboolean cst_work_wait(CstWork *work, guint deadline_ms, GError **error)
{
    if (work->run)
        start_work(work);
    if (!wait_done(work, deadline_ms))
        return cst_fail(error, CST_ERROR_UNREACHABLE,
                        _("%s: the storage's servers did not answer in time"), work->what);
    /* Done: the worker does not access the result any more. */
    if (work->error)
        g_propagate_error(error, g_steal_pointer(&work->error));
    return work->result;
}
