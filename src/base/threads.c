/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/threads.h>

void cst_threads_run(GThreadFunc work, gpointer data, unsigned count)
{
    GThread *threads[CST_THREADS_MAX] = {NULL};

    for (unsigned i = 1; i < MIN(count, CST_THREADS_MAX); i++)
        threads[i] = g_thread_try_new("work", work, data, NULL);
    work(data);
    for (unsigned i = 1; i < CST_THREADS_MAX; i++)
        if (threads[i])
            g_thread_join(threads[i]);
}
