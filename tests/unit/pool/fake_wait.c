/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_wait.h"

static _Thread_local gboolean wakes;
static _Thread_local void (*act_after)(gpointer data);
static _Thread_local gpointer act_data;

void __real_g_cond_wait(GCond *cond, GMutex *mutex);
void __wrap_g_cond_wait(GCond *cond, GMutex *mutex);
gboolean __real_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time);
gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time);

static GMutex lock;
static GCond changed;
static guint begun; /* number of calls of g_cond_wait() */

void wait_await_begun(guint waits)
{
    gint64 end = g_get_monotonic_time() + 300 * G_TIME_SPAN_SECOND;

    g_mutex_lock(&lock);
    while (begun < waits)
        if (!__real_g_cond_wait_until(&changed, &lock, end))
            g_error("%u waits have begun instead of %u", begun, waits);
    g_mutex_unlock(&lock);
}

void wait_wake_next(void)
{
    wakes = TRUE;
}

void wait_run_before_lock(void (*act)(gpointer data), gpointer data)
{
    act_after = act;
    act_data = data;
}

/* Returns TRUE if this wait must return at once. */
static gboolean wake_now(void)
{
    gboolean now = wakes;

    wakes = FALSE;
    return now;
}

/* Call it with the lock held. Releases the lock temporarily. */
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
    g_mutex_lock(&lock);
    begun++;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
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
