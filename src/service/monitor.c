/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "monitor.h"

#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <base/file.h>
#include <base/log.h>

#include "pool_object.h"
#include "service_private.h"

/* A burst of changes is looked at once, this long after its first one. */
#define SETTLE_MS 100
/* A pool whose storage was missing is looked for this often. */
#define RETRY_MS 5000
/* What may run full while guests write, which no report tells of, is looked at this often. */
#define ROOMS_MS 10000
/*
 * A look may wait for storage that hangs, and holds its worker as long. Workers are begun when they
 * are needed, up to this many: that many pools may hang and delay nobody else. With more of them,
 * whoever is due waits for the first worker that comes back, in the order of asking.
 */
#define LOOKS_AT_ONCE 64

/* The monitor's thread has it while nobody looks, the worker while it does. */
typedef struct {
    CstPool *pool;       /* referenced */
    CstPoolState *state; /* referenced */
    CstFd fd;
    GHashTable *changed; /* names */
    gboolean all;        /* anything may have changed */
    gboolean lost;       /* the storage was not there: a new watch is needed when it is back */
    gint64 due;          /* monotonic; 0: nothing to do */
    gint64 rooms_due;    /* monotonic: when to look how full they are, if there are any */
    gboolean busy;       /* guarded by the monitor's lock: a worker has it */
} Watch;

struct Monitor {
    GMutex lock; /* guards watches as a list, who has each, and stop; never held in a look */
    GPtrArray *watches;
    GThread *thread;
    GThreadPool *workers;
    CstFd wake;
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

static void wake(Monitor *monitor)
{
    uint64_t one = 1;

    if (write(monitor->wake, &one, sizeof(one)) < 0)
        cst_log(CST_LOG_DEBUG, "monitor: cannot wake the thread");
}

static void note_changed(const char *name, gpointer data)
{
    Watch *watch = data;

    if (name)
        g_hash_table_add(watch->changed, g_strdup(name));
    else
        watch->all = TRUE;
}

/* --- a look, on a worker ---------------------------------------------------------------------- */

static void watch_again(Watch *watch)
{
    int fd = cst_pool_state_watch_open(watch->state, NULL);

    if (fd < 0)
        return;
    cst_fd_clear(&watch->fd);
    watch->fd = fd;
    watch->lost = FALSE;
}

static gboolean rescan(Watch *watch)
{
    g_autoptr(GError) error = NULL;

    if (watch->lost)
        watch_again(watch);
    if (pool_refresh_table(watch->pool, watch->state, NULL, &error))
        return TRUE;
    if (!watch->lost)
        cst_log(CST_LOG_WARNING, "pool '%s': %s", watch->pool->name, error->message);
    watch->lost = TRUE;
    return FALSE;
}

/* TRUE when the table was not up to date: our own changes come back as reports, too. */
static gboolean look_at_changed(Watch *watch)
{
    gboolean any = FALSE;
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, watch->changed);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_autoptr(CstVolume) volume = NULL;
        gboolean changed = FALSE;

        if (volume_put_off_look(watch->pool, name))
            continue;
        if (!pool_table_compare(watch->pool, watch->state, name, &volume, &changed, NULL)) {
            watch->all = TRUE;
            return FALSE;
        }
        any = any || changed;
    }
    if (any)
        pool_usage_update(watch->pool, watch->state, NULL);
    return any;
}

static void settle(Watch *watch)
{
    gboolean news;

    cst_pool_state_watch_read(watch->state, watch->fd, note_changed, watch);
    watch->due = 0;
    news = !watch->all && look_at_changed(watch);
    g_hash_table_remove_all(watch->changed);
    if (watch->all) {
        news = TRUE;
        watch->all = !rescan(watch);
        if (watch->all)
            watch->due = g_get_monotonic_time() + RETRY_MS * 1000;
    }
    if (news)
        event_emit_pool(watch->pool, CST_EVENT_POOL_REFRESH, 0);
}

static void look_at_rooms(Watch *watch)
{
    if (pool_has_rooms(watch->pool))
        pool_look_at_rooms(watch->pool, watch->state);
    watch->rooms_due = g_get_monotonic_time() + ROOMS_MS * 1000;
}

static void hand_back(Monitor *monitor, Watch *watch)
{
    g_mutex_lock(&monitor->lock);
    watch->busy = FALSE;
    g_mutex_unlock(&monitor->lock);
    wake(monitor);
}

static void look(gpointer data, gpointer monitor)
{
    Watch *watch = data;

    if (watch->due && watch->due <= g_get_monotonic_time())
        settle(watch);
    if (watch->rooms_due <= g_get_monotonic_time())
        look_at_rooms(watch);
    hand_back(monitor, watch);
}

/* --- the thread: waits, and hands out what is due --------------------------------------------- */

static gboolean is_alive(const Watch *watch)
{
    gboolean alive;

    g_mutex_lock(&watch->pool->lock);
    alive = watch->pool->state == watch->state;
    g_mutex_unlock(&watch->pool->lock);
    return alive;
}

/*
 * Those that no worker has; of them, the ones whose pool was stopped are freed. Only this thread
 * hands out and frees, so what it polls stays alive and is touched by nobody else meanwhile.
 */
static GPtrArray *idle_watches(Monitor *monitor)
{
    GPtrArray *idle = g_ptr_array_new();

    g_mutex_lock(&monitor->lock);
    for (guint i = monitor->watches->len; i-- > 0;) {
        Watch *watch = g_ptr_array_index(monitor->watches, i);

        if (watch->busy)
            continue;
        if (is_alive(watch))
            g_ptr_array_add(idle, watch);
        else
            g_ptr_array_remove_index_fast(monitor->watches, i);
    }
    g_mutex_unlock(&monitor->lock);
    return idle;
}

/* G_MAXINT64: not before something changes. */
static gint64 due_at(const Watch *watch)
{
    gint64 due = watch->due ? watch->due : G_MAXINT64;

    return pool_has_rooms(watch->pool) ? MIN(due, watch->rooms_due) : due;
}

static int next_timeout(GPtrArray *watches)
{
    gint64 now = g_get_monotonic_time();
    gint64 due = G_MAXINT64;

    for (guint i = 0; i < watches->len; i++)
        due = MIN(due, due_at(g_ptr_array_index(watches, i)));
    if (due == G_MAXINT64)
        return -1;
    return due <= now ? 0 : (int)((due - now) / 1000 + 1);
}

/* Once something has changed, the rest of the burst is left in the queue until it is looked at. */
static int fd_to_poll(const Watch *watch)
{
    return watch->due ? -1 : watch->fd;
}

static void wait_for_changes(Monitor *monitor, GPtrArray *watches)
{
    g_autofree struct pollfd *fds = g_new0(struct pollfd, watches->len + 1);
    uint64_t count;

    fds[0] = (struct pollfd){.fd = monitor->wake, .events = POLLIN};
    for (guint i = 0; i < watches->len; i++)
        fds[i + 1] =
            (struct pollfd){.fd = fd_to_poll(g_ptr_array_index(watches, i)), .events = POLLIN};
    if (poll(fds, watches->len + 1, next_timeout(watches)) < 0)
        return;
    if (fds[0].revents && read(monitor->wake, &count, sizeof(count)) < 0)
        cst_log(CST_LOG_DEBUG, "monitor: woken without a reason");
    for (guint i = 0; i < watches->len; i++) {
        Watch *watch = g_ptr_array_index(watches, i);

        if (fds[i + 1].revents)
            watch->due = g_get_monotonic_time() + SETTLE_MS * 1000;
    }
}

static void hand_out(Monitor *monitor, Watch *watch)
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

static gpointer monitor_thread(gpointer data)
{
    Monitor *monitor = data;

    for (;;) {
        g_autoptr(GPtrArray) watches = idle_watches(monitor);
        gint64 now;

        wait_for_changes(monitor, watches);
        if (is_stopped(monitor))
            return NULL;
        now = g_get_monotonic_time();
        for (guint i = 0; i < watches->len; i++)
            if (due_at(g_ptr_array_index(watches, i)) <= now)
                hand_out(monitor, g_ptr_array_index(watches, i));
    }
}

Monitor *monitor_new(void)
{
    Monitor *monitor = g_new0(Monitor, 1);

    g_mutex_init(&monitor->lock);
    monitor->watches = g_ptr_array_new_with_free_func((GDestroyNotify)watch_free);
    monitor->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    monitor->workers = g_thread_pool_new(look, monitor, LOOKS_AT_ONCE, FALSE, NULL);
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
    /* What nobody has begun to look at is dropped. */
    g_thread_pool_free(monitor->workers, TRUE, TRUE);
    g_ptr_array_unref(monitor->watches);
    cst_fd_clear(&monitor->wake);
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
    if (fd < 0) {
        if (error)
            cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
        return;
    }
    watch = g_new0(Watch, 1);
    watch->pool = cst_pool_ref(pool);
    watch->state = g_steal_pointer(&state);
    watch->fd = fd;
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
