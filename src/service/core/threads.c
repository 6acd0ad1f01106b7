/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "threads.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "service.h"

typedef struct {
    CstService *service;
    GThreadFunc run;
    gpointer data;
} ServiceThread;

/*
 * After the unlock, only the last thread accesses the service, and frees it if its owner has left
 * it. The owner may free it at once otherwise.
 */
static void service_thread_ended(CstService *service)
{
    gboolean is_last;

    g_mutex_lock(&service->threads_lock);
    is_last = --service->threads == 0 && service->threads_frees;
    g_cond_broadcast(&service->threads_idle);
    g_mutex_unlock(&service->threads_lock);
    if (!is_last)
        return;
    service->hooks->unused(service);
    CST_TEST_POINT("service.threads.freed");
}

static gpointer service_thread_main(gpointer data)
{
    ServiceThread *thread = data;

    thread->run(thread->data);
    service_thread_ended(thread->service);
    g_free(thread);
    return NULL;
}

gboolean service_thread_start(CstService *service, const char *name, GThreadFunc run, gpointer data,
                              GError **error)
{
    ServiceThread *thread = g_new(ServiceThread, 1);
    g_autoptr(GError) why = NULL;
    GThread *started;

    *thread = (ServiceThread){.service = service, .run = run, .data = data};
    g_mutex_lock(&service->threads_lock);
    service->threads++;
    g_mutex_unlock(&service->threads_lock);
    started = g_thread_try_new(name, service_thread_main, thread, &why);
    if (started) {
        g_thread_unref(started);
        return TRUE;
    }
    service_thread_ended(service);
    g_free(thread);
    return cst_fail(error, CST_ERROR_LIMIT, _("cannot create a thread: %s"), why->message);
}

gboolean service_threads_end(CstService *service)
{
    gboolean ended;

    g_mutex_lock(&service->threads_lock);
    while (service->threads > 0 && service->mode == CST_SERVICE_DAEMON) {
        CST_TEST_POINT("service.threads.wait");
        g_cond_wait(&service->threads_idle, &service->threads_lock);
    }
    ended = service->threads == 0;
    service->threads_frees = !ended;
    g_mutex_unlock(&service->threads_lock);
    return ended;
}
