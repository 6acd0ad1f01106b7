/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sees changes made behind our back. One thread polls the watches of all active pools and the
 * kernel's table of mounts; it touches no storage, as that may hang, and hands what is due to
 * workers.
 *
 * inotify reports names in a directory, but not that a file system was unmounted lazily or mounted
 * on top. Therefore each change of the mounts makes every pool whose storage is a mounted directory
 * (CstBackend.on_mounts) due for a check whether it is still there, which costs an open and a stat.
 * The pool is scanned only when it went away or came back.
 *
 * Storage that may hang is asked whether it works (base/liveness.h), which costs nothing: when it
 * does not answer, or with an error, its pool has a problem at once, whatever its worker waits for,
 * and when it works again the pool is scanned.
 *
 * A watch belongs to the thread while it is idle, and to its worker while it is busy: the lock
 * guards that flag, the list and what the storage answers, the rest of a watch needs none. What is
 * reported while a worker has the watch stays in the inotify queue until the worker has returned
 * it. A pool that is stopped gets another state (or none), by which the thread finds the watches to
 * free.
 */
#include "monitor.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <base/file.h>
#include <base/log.h>
#include <base/log_context.h>

#include "core/claim.h"
#include "core/events.h"
#include "core/health.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/space.h"
#include "volume/trash.h"

/* A burst of changes is scanned for once, this long after its first one. */
#define BURST_MS 100
/*
 * A report without a name takes a scan of all, often for the sake of changes of our own, which are
 * known. It waits, so that it does not hinder the next change, and for so many times as long as the
 * scan before took, so that a pool of many volumes is not scanned all the time.
 */
#define UNNAMED_MIN_MS 1000
#define UNNAMED_MAX_MS 8000
#define UNNAMED_SCANS  4
/* A pool whose storage was missing is scanned this often. */
#define RETRY_MS 5000
/* Storage that may hang is asked this often whether it works. */
#define ANSWER_MS 2000
/* Space that may run full while guests write is checked this often: no watch reports it. */
#define SPACE_MS 10000
/* Storage whose technology tells how it is, which costs nothing, is asked this often. */
#define HEALTH_MS 3000
/* Deleted volumes are looked at this often whether they were kept for their days. */
#define TRASH_MS (10 * 60 * 1000)
/*
 * A scan may wait for storage that hangs, and holds its worker as long. Workers are started when
 * they are needed, up to this many: that many pools may hang and delay no other one. With more of
 * them, a pool that is due waits for the first worker that returns, in the order of becoming due.
 */
#define WORKERS_MAX 64

/* Used by the worker while it is busy, else by the monitor's thread. */
typedef struct {
    CstPool *pool;       /* referenced */
    CstPoolState *state; /* referenced */
    CstFd fd;
    GHashTable *changed; /* names */
    gboolean all;        /* anything may have changed */
    gint64 unnamed_due;  /* monotonic: when to scan for what was reported without a name; 0: none */
    gint64 scan_us;      /* how long the last scan of all took */
    gboolean lost;       /* the storage was not there: a new watch is needed when it is back */
    guint mounts;        /* changes of mounts up to which the storage was checked */
    gint64 due;          /* monotonic; 0: nothing to do */
    gint64 space_due;    /* monotonic: when to check limited space, if there is any */
    gint64 trash_due;    /* monotonic: when to look at deleted volumes */
    gint64 health_due;   /* monotonic: when to ask how the storage is; G_MAXINT64: it can't tell */

    /* Guarded by the monitor's lock. */
    gboolean busy;   /* a worker has it */
    gboolean broken; /* the storage does not answer, or with an error */
    gboolean back;   /* it works again, and the pool is to be scanned */
} Watch;

struct Monitor {
    GMutex lock; /* guards watches as a list, parts of each, and stop; never held in a scan */
    GPtrArray *watches;
    GThread *thread;
    GThreadPool *workers;
    CstFd wake;
    CstFd mountinfo;   /* -1: can't be had */
    gint64 mounts_at;  /* the thread's: when to count a change of mounts; 0: there was none */
    gint mounts;       /* atomic: so many changes */
    gint64 answers_at; /* the thread's: when to ask what may hang; 0: nothing may */
    gboolean stop;
};

static void watch_free(Watch *watch)
{
    cst_fd_clear(&watch->fd);
    g_hash_table_unref(watch->changed);
    cst_pool_state_unref(watch->state);
    cst_pool_unref(watch->pool);
    g_free(watch);
}

/* Makes the thread's poll() return. */
static void wake(Monitor *monitor)
{
    uint64_t one = 1;

    if (write(monitor->wake, &one, sizeof(one)) < 0)
        cst_log(CST_LOG_DEBUG, "monitor: cannot wake the thread");
}

/* Receives a changed name from cst_pool_state_watch_read(); NULL: anything may have changed. */
static void note_changed(const char *name, gpointer data)
{
    Watch *watch = data;

    if (name)
        g_hash_table_add(watch->changed, g_strdup(name));
    else if (!watch->unnamed_due)
        watch->unnamed_due =
            g_get_monotonic_time() +
            CLAMP(UNNAMED_SCANS * watch->scan_us, UNNAMED_MIN_MS * 1000, UNNAMED_MAX_MS * 1000);
}

/*
 * With like_libvirt the table changes only when a client refreshes the pool, so there is nothing to
 * watch but whether the storage is there.
 */
static void drop_unless_wanted(Watch *watch)
{
    if (watch->pool->service->like_libvirt)
        cst_fd_clear(&watch->fd);
}

/* --- one watch, on a worker ------------------------------------------------------------------- */

/* The storage that has come back is another directory than the one that was watched. */
static gboolean renew_watch(Watch *watch)
{
    int fd = cst_pool_state_watch_open(watch->state, NULL);

    if (fd < 0)
        return FALSE;
    cst_fd_clear(&watch->fd);
    watch->fd = fd;
    drop_unless_wanted(watch);
    return TRUE;
}

/* Whether the pool is being stopped, which may take its storage away before the pool is inactive.
 */
static gboolean is_changing(const Watch *watch)
{
    gboolean changing;

    g_mutex_lock(&watch->pool->lock);
    changing = watch->pool->changing;
    g_mutex_unlock(&watch->pool->lock);
    return changing;
}

/*
 * Scans the whole pool. The watch is renewed before the scan, so that nothing is missed in between.
 */
static gboolean rescan(Watch *watch)
{
    gboolean watched = !watch->lost || renew_watch(watch);
    gint64 started = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;

    if (pool_rescan(watch->pool, watch->state, NULL, &error)) {
        watch->scan_us = g_get_monotonic_time() - started;
        /*
         * Either the storage came back after the first attempt, or the limit of inotify watches is
         * reached.
         */
        if (!watched && !renew_watch(watch))
            cst_log(CST_LOG_WARNING, "pool '%s': changes are not seen", watch->pool->name);
        watch->lost = FALSE;
        return TRUE;
    }
    if (is_changing(watch))
        return FALSE;
    if (!watch->lost)
        cst_log(CST_LOG_WARNING, "pool '%s': %s", watch->pool->name, error->message);
    watch->lost = TRUE;
    return FALSE;
}

/*
 * Scans the names that were reported. TRUE: the table was outdated; our own changes are reported,
 * too, and find it up to date.
 */
static gboolean rescan_changed(Watch *watch)
{
    gboolean any = FALSE;
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, watch->changed);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_autoptr(CstVolume) volume = NULL;
        gboolean changed = FALSE;

        if (volume_defer_rescan(watch->pool, name))
            continue;
        /* The storage may have gone: catch_up() scans all of it, and notes that it is lost. */
        if (!pool_scan_volume_changed(watch->pool, watch->state, name, &volume, &changed, NULL)) {
            watch->all = TRUE;
            return FALSE;
        }
        any = any || changed;
    }
    if (any)
        pool_usage_update(watch->pool, watch->state, NULL);
    return any;
}

/* Reads what was reported since the last time, and brings the table up to date with it. */
static void catch_up(Watch *watch)
{
    gboolean was_lost = watch->lost;
    gboolean changed;

    if (watch->fd >= 0)
        cst_pool_state_watch_read(watch->state, watch->fd, note_changed, watch);
    if (watch->unnamed_due && watch->unnamed_due <= g_get_monotonic_time())
        watch->all = TRUE;
    changed = !watch->all && rescan_changed(watch);
    g_hash_table_remove_all(watch->changed);
    watch->due = watch->unnamed_due;
    if (watch->all) {
        watch->unnamed_due = 0;
        watch->all = !rescan(watch);
        watch->due = watch->all ? g_get_monotonic_time() + RETRY_MS * 1000 : 0;
        /* Storage that is still away has been reported. */
        changed = !was_lost || !watch->lost;
    }
    if (changed)
        event_emit_pool(watch->pool, CST_EVENT_POOL_REFRESH, 0);
}

/*
 * After a change of the mounts: makes the pool due at once if its storage went away or came back.
 */
static void check_storage(Watch *watch)
{
    gboolean active = FALSE;

    if (!cst_pool_state_check(watch->state, &active, NULL) || active != watch->lost)
        return;
    watch->all = TRUE;
    watch->due = g_get_monotonic_time();
}

/* Estimates end, also where no watch reports what others change. */
static void check_usage(Watch *watch)
{
    gint64 due = pool_usage_due(watch->pool);

    if (due && due <= g_get_monotonic_time())
        pool_usage_update(watch->pool, watch->state, NULL);
}

/* Whoever watches the pool's state is told of a change. */
static void check_health(Watch *watch)
{
    if (pool_check_health(watch->pool, watch->state))
        event_emit_pool(watch->pool, CST_EVENT_POOL_REFRESH, 0);
    watch->health_due = cst_pool_state_has_health(watch->state)
                            ? g_get_monotonic_time() + HEALTH_MS * 1000
                            : G_MAXINT64;
}

static void check_space(Watch *watch)
{
    if (pool_has_limited_space(watch->pool))
        pool_check_space(watch->pool, watch->state);
    watch->space_due = g_get_monotonic_time() + SPACE_MS * 1000;
}

static void check_trash(Watch *watch)
{
    trash_expire(watch->pool, watch->state);
    watch->trash_due = g_get_monotonic_time() + TRASH_MS * G_GINT64_CONSTANT(1000);
}

/* Whether the pool is still active, and was not stopped and started since the watch was made. */
static gboolean is_alive(const Watch *watch)
{
    gboolean alive;

    g_mutex_lock(&watch->pool->lock);
    alive = watch->pool->state == watch->state;
    g_mutex_unlock(&watch->pool->lock);
    return alive;
}

/* --- storage that hangs or fails -------------------------------------------------------------- */

/*
 * With the lock held. TRUE: the pool has a problem that it had not. A scan that began before may
 * have ended since and found none, so the problem is set as long as there is one.
 */
static gboolean ask(Watch *watch)
{
    g_autoptr(GError) error = NULL;
    gboolean was_broken = watch->broken;

    watch->broken = !cst_pool_state_works(watch->state, &error);
    if (watch->broken)
        pool_set_problem(watch->pool, error->message, TRUE);
    if (watch->broken != was_broken)
        watch->back = was_broken;
    return watch->broken && !was_broken;
}

/* Asks all storage that may hang, and reports what does not work. */
static void ask_all(Monitor *monitor)
{
    g_autoptr(GPtrArray) broken = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_unref);
    gboolean any = FALSE;

    if (monitor->answers_at > g_get_monotonic_time())
        return;
    g_mutex_lock(&monitor->lock);
    for (guint i = 0; i < monitor->watches->len; i++) {
        Watch *watch = g_ptr_array_index(monitor->watches, i);

        if (!cst_pool_state_may_hang(watch->state) || !is_alive(watch))
            continue;
        any = TRUE;
        if (ask(watch))
            g_ptr_array_add(broken, cst_pool_ref(watch->pool));
    }
    g_mutex_unlock(&monitor->lock);
    monitor->answers_at = any ? g_get_monotonic_time() + ANSWER_MS * 1000 : 0;
    for (guint i = 0; i < broken->len; i++)
        event_emit_pool(g_ptr_array_index(broken, i), CST_EVENT_POOL_REFRESH, 0);
}

/* Gives the watch back to the thread, which computes its next time anew. */
static void return_watch(Monitor *monitor, Watch *watch)
{
    g_mutex_lock(&monitor->lock);
    watch->busy = FALSE;
    g_mutex_unlock(&monitor->lock);
    wake(monitor);
}

/* The count of changes of mounts up to which the watch's storage has to be checked. */
static guint mounts_for(const Monitor *monitor, const Watch *watch)
{
    return cst_pool_state_is_on_mounts(watch->state) ? (guint)g_atomic_int_get(&monitor->mounts)
                                                     : watch->mounts;
}

/* Runs on a worker, with an empty log context of its own. */
static void check_watch(gpointer data, gpointer monitor)
{
    Watch *watch = data;
    /* Read before the check: a mount during the check makes the watch due again. */
    guint mounts = mounts_for(monitor, watch);
    CstLogContext log = {0};

    cst_log_push(&log);
    cst_log_set_pool(watch->pool->name);
    if (mounts != watch->mounts)
        check_storage(watch);
    watch->mounts = mounts;
    if (watch->due && watch->due <= g_get_monotonic_time())
        catch_up(watch);
    check_usage(watch);
    if (watch->space_due <= g_get_monotonic_time())
        check_space(watch);
    if (watch->health_due <= g_get_monotonic_time())
        check_health(watch);
    if (watch->trash_due <= g_get_monotonic_time())
        check_trash(watch);
    cst_log_pop(&log);
    return_watch(monitor, watch);
}

/* --- the thread: waits, and hands out what is due --------------------------------------------- */

/*
 * The watches that no worker has, borrowed; those of stopped pools are freed. Only this thread
 * hands out and frees watches, so what it polls stays alive and is touched by nobody else
 * meanwhile.
 */
static GPtrArray *idle_watches(Monitor *monitor)
{
    GPtrArray *idle = g_ptr_array_new();

    g_mutex_lock(&monitor->lock);
    for (guint i = monitor->watches->len; i-- > 0;) {
        Watch *watch = g_ptr_array_index(monitor->watches, i);

        if (watch->busy)
            continue;
        if (!is_alive(watch)) {
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

/* G_MAXINT64: not before something changes. */
static gint64 due_at(const Monitor *monitor, const Watch *watch)
{
    gint64 due = watch->due ? watch->due : G_MAXINT64;
    gint64 usage_due = pool_usage_due(watch->pool);

    if (mounts_for(monitor, watch) != watch->mounts)
        return 0;
    if (usage_due)
        due = MIN(due, usage_due);
    due = MIN(due, MIN(watch->health_due, watch->trash_due));
    return pool_has_limited_space(watch->pool) ? MIN(due, watch->space_due) : due;
}

/* The timeout for poll() until the first watch is due, in ms; -1: none is. */
static int next_timeout(const Monitor *monitor, GPtrArray *watches)
{
    gint64 now = g_get_monotonic_time();
    gint64 due = monitor->mounts_at ? monitor->mounts_at : G_MAXINT64;

    if (monitor->answers_at)
        due = MIN(due, monitor->answers_at);
    for (guint i = 0; i < watches->len; i++)
        due = MIN(due, due_at(monitor, g_ptr_array_index(watches, i)));
    if (due == G_MAXINT64)
        return -1;
    return due <= now ? 0 : (int)((due - now) / 1000 + 1);
}

/*
 * Once a change was reported, the descriptor is not polled until the burst is over and has been
 * read.
 */
static int fd_to_poll(const Watch *watch)
{
    return watch->due ? -1 : watch->fd;
}

/* What is polled besides the watches. */
#define OTHER_FDS 2

/* Polls everything, and makes due what was reported. The mount table reports by POLLPRI. */
static void wait_for_changes(Monitor *monitor, GPtrArray *watches)
{
    g_autofree struct pollfd *fds = g_new0(struct pollfd, watches->len + OTHER_FDS);
    uint64_t count;

    fds[0] = (struct pollfd){.fd = monitor->wake, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = monitor->mounts_at ? -1 : monitor->mountinfo, .events = POLLPRI};
    for (guint i = 0; i < watches->len; i++)
        fds[i + OTHER_FDS] =
            (struct pollfd){.fd = fd_to_poll(g_ptr_array_index(watches, i)), .events = POLLIN};
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

/* Ends a burst of mounts, which containers cause all the time, and counts it as one change. */
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

static gboolean is_stopped(Monitor *monitor)
{
    gboolean stop;

    g_mutex_lock(&monitor->lock);
    stop = monitor->stop;
    g_mutex_unlock(&monitor->lock);
    return stop;
}

/* The thread: waits, then hands the watches that are due to workers. */
static gpointer monitor_thread(gpointer data)
{
    Monitor *monitor = data;

    for (;;) {
        g_autoptr(GPtrArray) watches = NULL;
        gint64 now;

        ask_all(monitor);
        watches = idle_watches(monitor);
        wait_for_changes(monitor, watches);
        if (is_stopped(monitor))
            return NULL;
        count_mounts(monitor);
        now = g_get_monotonic_time();
        for (guint i = 0; i < watches->len; i++)
            if (due_at(monitor, g_ptr_array_index(watches, i)) <= now)
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
    wake(monitor);
    g_thread_join(monitor->thread);
    /* What no worker has begun is dropped. */
    g_thread_pool_free(monitor->workers, TRUE, TRUE);
    g_ptr_array_unref(monitor->watches);
    cst_fd_clear(&monitor->wake);
    cst_fd_clear(&monitor->mountinfo);
    g_mutex_clear(&monitor->lock);
    g_free(monitor);
}

void monitor_watch(Monitor *monitor, CstPool *pool)
{
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(GError) error = NULL;
    Watch *watch;
    int fd;

    if (!monitor)
        return;
    state = pool_state_get(pool, NULL);
    if (!state)
        return;
    fd = cst_pool_state_watch_open(state, &error);
    /* The type of pool has nothing to watch. */
    if (fd < 0 && !error && !cst_pool_state_may_hang(state) && !cst_pool_state_has_health(state))
        return;
    if (error)
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
    watch = g_new0(Watch, 1);
    /* Storage that is not there yet can't be watched; it is scanned again and again. */
    watch->lost = watch->all = error != NULL;
    watch->due = error ? g_get_monotonic_time() + RETRY_MS * 1000 : 0;
    watch->mounts = (guint)g_atomic_int_get(&monitor->mounts);
    watch->pool = cst_pool_ref(pool);
    watch->health_due = cst_pool_state_has_health(state) ? 0 : G_MAXINT64;
    watch->state = g_steal_pointer(&state);
    watch->fd = fd;
    drop_unless_wanted(watch);
    watch->changed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_mutex_lock(&monitor->lock);
    g_ptr_array_add(monitor->watches, watch);
    g_mutex_unlock(&monitor->lock);
    wake(monitor);
}

void monitor_unwatch(Monitor *monitor)
{
    if (monitor)
        wake(monitor);
}
