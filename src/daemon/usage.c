/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clock of the history of use. A thread sleeps until the next five minutes of the wall clock
 * begin. It wakes more often than that, because the clock may be set during the sleep. The database
 * says which pools are due, so a wake without a due pool costs a query for each pool.
 */
#include "usage.h"

#include <base/i18n.h>
#include <base/log.h>
#include <base/task.h>
#include <service/usage.h>

#define FIRST_S 10 /* after the start, so that the first scans of pools are over */
#define SLEEP_S 60 /* a clock that was set counts within this time */

struct DaemonUsage {
    CstService *service;
    GThread *thread; /* NULL: no thread could be created */
    CstTask *task;   /* cancelled by the stop */
    GMutex lock;     /* guards the fields below */
    GCond changed;
    gboolean stop;
};

/* Logs a failure once, until a sample succeeds or fails for another reason. */
static void usage_sample(DaemonUsage *usage, char **failure)
{
    g_autoptr(GError) error = NULL;

    if (cst_service_usage_sample(usage->service, usage->task, NULL, &error)) {
        g_clear_pointer(failure, g_free);
        return;
    }
    if (cst_task_cancelled(usage->task) || g_strcmp0(*failure, error->message) == 0)
        return;
    g_free(*failure);
    *failure = g_strdup(error->message);
    cst_log(CST_LOG_WARNING, _("the history of use has no sample: %s"), error->message);
}

/* Returns the monotonic time of the next wake: a second after the next step begins. */
static gint64 usage_next_wake(void)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    gint64 rest = CST_USAGE_FINE - now % CST_USAGE_FINE + 1;

    return g_get_monotonic_time() + MIN(rest, SLEEP_S) * G_USEC_PER_SEC;
}

static gpointer usage_main(gpointer data)
{
    DaemonUsage *usage = data;
    gint64 wake = g_get_monotonic_time() + FIRST_S * G_USEC_PER_SEC;
    g_autofree char *failure = NULL;

    g_mutex_lock(&usage->lock);
    while (!usage->stop) {
        if (g_cond_wait_until(&usage->changed, &usage->lock, wake))
            continue;
        g_mutex_unlock(&usage->lock);
        usage_sample(usage, &failure);
        wake = usage_next_wake();
        g_mutex_lock(&usage->lock);
    }
    g_mutex_unlock(&usage->lock);
    return NULL;
}

DaemonUsage *daemon_usage_start(CstService *service)
{
    DaemonUsage *usage = g_new0(DaemonUsage, 1);

    usage->service = service;
    usage->task = cst_task_new();
    g_mutex_init(&usage->lock);
    g_cond_init(&usage->changed);
    usage->thread = g_thread_try_new("usage", usage_main, usage, NULL);
    if (!usage->thread)
        cst_log(CST_LOG_ERROR, "%s",
                _("the history of use is not recorded: cannot create a thread"));
    return usage;
}

void daemon_usage_stop(DaemonUsage *usage)
{
    if (!usage)
        return;
    g_mutex_lock(&usage->lock);
    usage->stop = TRUE;
    g_cond_broadcast(&usage->changed);
    g_mutex_unlock(&usage->lock);
    cst_task_cancel(usage->task);
    if (usage->thread)
        g_thread_join(usage->thread);
    cst_task_unref(usage->task);
    g_mutex_clear(&usage->lock);
    g_cond_clear(&usage->changed);
    g_free(usage);
}
