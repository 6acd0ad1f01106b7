/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_wait.h"

static _Thread_local gboolean wakes;
static _Thread_local void (*act_after)(gpointer data);
static _Thread_local gpointer act_data;

void __real_g_cond_wait(GCond *cond, GMutex *mutex);
void __wrap_g_cond_wait(GCond *cond, GMutex *mutex);
gboolean __real_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time);
gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time);

void wait_wake_next(void)
{
    wakes = TRUE;
}

void wait_run_before_lock(void (*act)(gpointer data), gpointer data)
{
    act_after = act;
    act_data = data;
}

/* TRUE: this wait has to return at once. */
static gboolean wake_now(void)
{
    gboolean now = wakes;

    wakes = FALSE;
    return now;
}

/* With the lock held, which is released meanwhile. */
static void wait_ended(GMutex *mutex)
{
    void (*act)(gpointer data) = g_steal_pointer(&act_after);

    if (!act)
        return;
    g_mutex_unlock(mutex);
    act(act_data);
    g_mutex_lock(mutex);
}

void __wrap_g_cond_wait(GCond *cond, GMutex *mutex)
{
    if (!wake_now())
        __real_g_cond_wait(cond, mutex);
    wait_ended(mutex);
}

gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
    gboolean woken = wake_now() || __real_g_cond_wait_until(cond, mutex, end_time);

    wait_ended(mutex);
    return woken;
}
