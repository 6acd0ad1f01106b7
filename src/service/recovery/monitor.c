/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Detects changes of storage by other programs. One thread polls the watches of all active pools
 * and the kernel's table of mounts. It does no storage I/O, because that may hang, and passes due
 * watches to workers.
 *
 * inotify reports names in a directory. It does not report lazy unmounts, or mounts on top of the
 * directory. Therefore each change of the mounts makes every pool on a mounted directory
 * (CstBackend.on_mounts) due for a check of its presence. The check costs an open and a stat. The
 * pool is scanned only if its storage has disappeared or returned.
 *
 * Storage that may hang is queried for its liveness (base/liveness.h), which is cheap. If it does
 * not answer or reports an error, its pool gets a problem at once, even if its worker is blocked.
 * When the storage works again, the pool is scanned.
 *
 * A watch (watch.c) belongs to the thread while it is idle, and to its worker while it is busy. The
 * lock guards that flag, the list and the liveness of the storage; the other fields of a watch need
 * no lock. Reports that arrive while a worker has the watch stay in the inotify queue until the
 * worker has returned it. A stopped pool has another state (or no state), by which the thread
 * identifies the watches to free.
 */
#include "monitor.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <base/file.h>
#include <base/log.h>
#include <base/test_point.h>

#include "core/events.h"
#include "core/pool.h"
#include "watch.h"

/* Delay after the first change of a burst, so that the whole burst causes one scan. */
#define BURST_MS 100
/* Interval of the liveness queries of storage that may hang. */
#define ANSWER_MS 2000
/*
 * Minimal interval between two walks over all watches. Each start of a pool and each worker that
 * ends wakes the thread, so without it the start of many pools costs the square of their number.
 */
#define WALK_MS 20
/* A walk over many watches takes longer. The interval is WALK_SHARE times its processor time. */
#define WALK_SHARE  20
#define WALK_MAX_MS 200
/*
 * A scan may block on storage that hangs, and occupies its worker for that time. Workers are
 * started on demand, up to this number: as many pools may hang without delaying another one. Beyond
 * that number, a due pool waits for the first free worker, in the order of due times.
 */
#define WORKERS_MAX 64

struct Monitor {
    GMutex lock; /* guards the list of watches, parts of them, and stop; never held in a scan */
    GPtrArray *watches;
    GThread *thread;
    GThreadPool *workers;
    CstFd wake;
    CstFd mountinfo;   /* -1: not available */
    gint64 mounts_at;  /* used by the thread: time to count a change of mounts; 0: no change */
    gint mounts;       /* atomic: number of changes of mounts */
    gint64 answers_at; /* used by the thread: next liveness query; 0: no storage may hang */
    gint64 walked_at;  /* used by the thread: start of the last walk over all watches */
    gint64 walk_cpu;   /* used by the thread: its processor time at that moment, in us */
    gboolean stop;
};

static guint mounts_of(Monitor *monitor)
{
    return (guint)g_atomic_int_get(&monitor->mounts);
}

/* Makes the thread's poll() return. */
static void monitor_wake_thread(Monitor *monitor)
{
    uint64_t one = 1;

    if (write(monitor->wake, &one, sizeof(one)) < 0)
        cst_log(CST_LOG_DEBUG, "monitor: cannot wake the thread");
}

/* --- storage that hangs or fails -------------------------------------------------------------- */

/* Queries the liveness of all storage that may hang, and reports storage that stopped working. */
static void ask_all(Monitor *monitor)
{
    g_autoptr(GPtrArray) broken = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_unref);
    gboolean any = FALSE;

    if (monitor->answers_at > g_get_monotonic_time())
        return;
    g_mutex_lock(&monitor->lock);
    for (guint i = 0; i < monitor->watches->len; i++) {
        Watch *watch = g_ptr_array_index(monitor->watches, i);

        if (!cst_pool_state_may_hang(watch->state) || !watch_is_alive(watch))
            continue;
        any = TRUE;
        if (watch_ask(watch))
            g_ptr_array_add(broken, cst_pool_ref(watch->pool));
    }
    g_mutex_unlock(&monitor->lock);
    monitor->answers_at = any ? g_get_monotonic_time() + ANSWER_MS * 1000 : 0;
    for (guint i = 0; i < broken->len; i++)
        event_emit_pool(g_ptr_array_index(broken, i), CST_EVENT_POOL_REFRESH, 0);
}

static gboolean is_stopped(Monitor *monitor)
{
    gboolean stop;

    g_mutex_lock(&monitor->lock);
    stop = monitor->stop;
    g_mutex_unlock(&monitor->lock);
    return stop;
}

/* Returns the watch to the thread, which computes its next due time. */
static void return_watch(Monitor *monitor, Watch *watch)
{
    g_mutex_lock(&monitor->lock);
    watch->busy = FALSE;
    g_mutex_unlock(&monitor->lock);
    monitor_wake_thread(monitor);
}

/* Runs on a worker. */
static void check_watch(gpointer data, gpointer monitor)
{
    /*
     * Read the count before the check, so that a mount during the check makes the watch due again.
     */
    guint mounts = mounts_of(monitor);

    if (!is_stopped(monitor))
        watch_check(data, mounts);
    return_watch(monitor, data);
}

/* --- the thread ------------------------------------------------------------------------------- */

/*
 * Returns the watches without a worker, borrowed. Frees the watches of stopped pools. Only this
 * thread dispatches and frees watches, so the polled watches stay valid and unchanged.
 */
static GPtrArray *idle_watches(Monitor *monitor)
{
    GPtrArray *idle = g_ptr_array_new();

    g_mutex_lock(&monitor->lock);
    for (guint i = monitor->watches->len; i-- > 0;) {
        Watch *watch = g_ptr_array_index(monitor->watches, i);

        if (watch->busy)
            continue;
        if (!watch_is_alive(watch)) {
            g_ptr_array_remove_index_fast(monitor->watches, i);
            continue;
        }
        if (watch->back) {
            watch->back = FALSE;
            watch->all = TRUE;
            watch->due = g_get_monotonic_time();
        }
        g_ptr_array_add(idle, watch);
    }
    g_mutex_unlock(&monitor->lock);
    return idle;
}

/*
 * Returns the timeout for poll() until the first watch is due, in ms. Returns -1 if no watch will
 * be due.
 */
static int next_timeout(Monitor *monitor, GPtrArray *watches)
{
    gint64 now = g_get_monotonic_time();
    gint64 due = monitor->mounts_at ? monitor->mounts_at : G_MAXINT64;

    if (monitor->answers_at)
        due = MIN(due, monitor->answers_at);
    for (guint i = 0; i < watches->len; i++)
        due = MIN(due, watch_due(g_ptr_array_index(watches, i), mounts_of(monitor)));
    if (due == G_MAXINT64)
        return -1;
    return due <= now ? 0 : (int)((due - now) / 1000 + 1);
}

/*
 * Returns the descriptor to poll. After a report it is not polled until the burst is over and was
 * read.
 */
static int fd_to_poll(const Watch *watch)
{
    return watch->due ? -1 : watch->fd;
}

/* Number of polled descriptors other than the watches. */
#define OTHER_FDS 2

/* Polls all descriptors, and sets due times for reports. The mount table reports by POLLPRI. */
static void wait_for_changes(Monitor *monitor, GPtrArray *watches)
{
    g_autofree struct pollfd *fds = g_new0(struct pollfd, watches->len + OTHER_FDS);
    uint64_t count;

    fds[0] = (struct pollfd){.fd = monitor->wake, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = monitor->mounts_at ? -1 : monitor->mountinfo, .events = POLLPRI};
    for (guint i = 0; i < watches->len; i++)
        fds[i + OTHER_FDS] =
            (struct pollfd){.fd = fd_to_poll(g_ptr_array_index(watches, i)), .events = POLLIN};
    CST_TEST_POINT("monitor.thread.poll");
    if (poll(fds, watches->len + OTHER_FDS, next_timeout(monitor, watches)) < 0)
        return;
    if (fds[0].revents && read(monitor->wake, &count, sizeof(count)) < 0)
        cst_log(CST_LOG_DEBUG, "monitor: woken without a reason");
    if (fds[1].revents)
        monitor->mounts_at = g_get_monotonic_time() + BURST_MS * 1000;
    for (guint i = 0; i < watches->len; i++) {
        Watch *watch = g_ptr_array_index(watches, i);

        if (fds[i + OTHER_FDS].revents)
            watch->due = g_get_monotonic_time() + BURST_MS * 1000;
    }
}

/* Counts a burst of mounts as one change. Containers cause many of them. */
static void count_mounts(Monitor *monitor)
{
    if (!monitor->mounts_at || monitor->mounts_at > g_get_monotonic_time())
        return;
    monitor->mounts_at = 0;
    g_atomic_int_inc(&monitor->mounts);
}

static void push_watch(Monitor *monitor, Watch *watch)
{
    g_mutex_lock(&monitor->lock);
    watch->busy = TRUE;
    g_mutex_unlock(&monitor->lock);
    g_thread_pool_push(monitor->workers, watch, NULL);
}

static gint64 thread_cpu_us(void)
{
    struct timespec used = {0};

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return used.tv_sec * G_USEC_PER_SEC + used.tv_nsec / 1000;
}

/* Waits until the interval since the last walk is over. Wakes in this time cause one walk. */
static void pace_walk(Monitor *monitor)
{
    gint64 interval = CLAMP(WALK_SHARE * (thread_cpu_us() - monitor->walk_cpu), WALK_MS * 1000,
                            WALK_MAX_MS * 1000);
    gint64 next = monitor->walked_at + interval, now = g_get_monotonic_time();

    if (monitor->walked_at && now < next)
        g_usleep((gulong)(next - now));
    monitor->walked_at = g_get_monotonic_time();
    monitor->walk_cpu = thread_cpu_us();
}

/* The thread: waits, then passes due watches to workers. */
static gpointer monitor_thread(gpointer data)
{
    Monitor *monitor = data;

    for (;;) {
        g_autoptr(GPtrArray) watches = NULL;
        gint64 now;

        pace_walk(monitor);
        ask_all(monitor);
        watches = idle_watches(monitor);
        wait_for_changes(monitor, watches);
        if (is_stopped(monitor))
            return NULL;
        count_mounts(monitor);
        now = g_get_monotonic_time();
        for (guint i = 0; i < watches->len; i++)
            if (watch_due(g_ptr_array_index(watches, i), mounts_of(monitor)) <= now)
                push_watch(monitor, g_ptr_array_index(watches, i));
    }
}

Monitor *monitor_new(void)
{
    Monitor *monitor = g_new0(Monitor, 1);

    g_mutex_init(&monitor->lock);
    monitor->watches = g_ptr_array_new_with_free_func((GDestroyNotify)watch_free);
    monitor->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    monitor->mountinfo = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    monitor->workers = g_thread_pool_new(check_watch, monitor, WORKERS_MAX, FALSE, NULL);
    monitor->thread = g_thread_new("monitor", monitor_thread, monitor);
    return monitor;
}

void monitor_free(Monitor *monitor)
{
    if (!monitor)
        return;
    g_mutex_lock(&monitor->lock);
    monitor->stop = TRUE;
    g_mutex_unlock(&monitor->lock);
    monitor_wake_thread(monitor);
    g_thread_join(monitor->thread);
    CST_TEST_POINT("monitor.free.joined");
    /* Drop watches that no worker has begun. */
    g_thread_pool_free(monitor->workers, TRUE, TRUE);
    g_ptr_array_unref(monitor->watches);
    cst_fd_clear(&monitor->wake);
    cst_fd_clear(&monitor->mountinfo);
    g_mutex_clear(&monitor->lock);
    g_free(monitor);
}

void monitor_watch(Monitor *monitor, CstPool *pool)
{
    g_autoptr(CstPoolState) state = monitor ? pool_state_get(pool, NULL) : NULL;
    Watch *watch = state ? watch_new(pool, state, mounts_of(monitor)) : NULL;

    if (!watch)
        return;
    g_mutex_lock(&monitor->lock);
    g_ptr_array_add(monitor->watches, watch);
    g_mutex_unlock(&monitor->lock);
    monitor_wake_thread(monitor);
}

void monitor_unwatch(Monitor *monitor)
{
    if (monitor)
        monitor_wake_thread(monitor);
}
