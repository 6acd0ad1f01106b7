/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One inotify instance for the directories of all pools. A dedicated thread reads the events and
 * adds their names to the watchers of the directory. The thread only copies names, so that the
 * kernel's queue stays short. A watcher has an eventfd, which its owner polls.
 *
 * The kernel reports one directory under one number, even if it was added several times. Therefore
 * a number may have several watchers, if several pools use the same directory.
 *
 * After an overflow of the kernel's queue, events of any directory may be lost. Every watcher is
 * then marked "anything may have changed". A watcher with too many names gets the same mark.
 *
 * The instance and its thread exist while watchers exist. The lock guards the instance and its
 * watchers. It is never held during a system call that blocks.
 */
#include "notify.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <base/file.h>
#include <base/test_point.h>

/* With more names than this, a scan of the directory costs less than a probe of each name. */
#define NAMES_MAX 65536

typedef struct {
    int fd; /* eventfd: readable while changes are unread */
    int wd;
    GHashTable *names;
    gboolean anything; /* the names are incomplete */
} Watcher;

typedef struct {
    CstFd inotify;
    CstFd stop; /* eventfd: the thread ends */
    GThread *thread;
    GHashTable *by_fd; /* Watcher.fd to Watcher * (owned) */
    GHashTable *by_wd; /* Watcher.wd to GPtrArray of Watcher * */
} Notifier;

static GMutex lock;
static Notifier *notifier; /* NULL: no watchers exist */

/* --- watchers --------------------------------------------------------------------------------- */

static void watcher_free(Watcher *watcher)
{
    close(watcher->fd);
    g_hash_table_unref(watcher->names);
    g_free(watcher);
}

static void signal_fd(int fd)
{
    const uint64_t one = 1;

    /* EAGAIN: the counter is full, so the descriptor is readable already. */
    while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

/* Records a change of entry @name. NULL: any entry may have changed. */
static void watcher_note(Watcher *watcher, const char *name)
{
    if (!name || g_hash_table_size(watcher->names) >= NAMES_MAX)
        watcher->anything = TRUE;
    if (watcher->anything)
        g_hash_table_remove_all(watcher->names);
    else
        g_hash_table_add(watcher->names, g_strdup(name));
    signal_fd(watcher->fd);
}

static GPtrArray *notifier_watchers(const Notifier *of, int wd)
{
    return g_hash_table_lookup(of->by_wd, GINT_TO_POINTER(wd));
}

static void note_all(const Notifier *of)
{
    GHashTableIter iter;
    gpointer watcher;

    g_hash_table_iter_init(&iter, of->by_fd);
    while (g_hash_table_iter_next(&iter, NULL, &watcher))
        watcher_note(watcher, NULL);
}

/* Events of a directory without watchers are dropped. */
static void note_event(const Notifier *of, const struct inotify_event *event)
{
    const GPtrArray *watchers = notifier_watchers(of, event->wd);

    if (event->mask & IN_Q_OVERFLOW)
        note_all(of);
    for (guint i = 0; watchers && i < watchers->len; i++)
        watcher_note(g_ptr_array_index(watchers, i), event->len > 0 ? event->name : NULL);
    /* The directory is gone, and the kernel may reuse its number. */
    if (event->mask & IN_IGNORED)
        g_hash_table_remove(of->by_wd, GINT_TO_POINTER(event->wd));
}

/* --- the thread ------------------------------------------------------------------------------- */

static void read_events(const Notifier *of)
{
    char buf[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;

    while ((n = read(of->inotify, buf, sizeof(buf))) > 0) {
        g_mutex_lock(&lock);
        for (const char *p = buf; p < buf + n;) {
            const struct inotify_event *event = (const struct inotify_event *)p;

            p += sizeof(*event) + event->len;
            note_event(of, event);
        }
        g_mutex_unlock(&lock);
    }
}

static gpointer notifier_thread(gpointer data)
{
    const Notifier *of = data;
    struct pollfd fds[] = {{.fd = of->inotify, .events = POLLIN},
                           {.fd = of->stop, .events = POLLIN}};

    for (;;) {
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0)
            continue;
        if (fds[1].revents)
            return NULL;
        CST_TEST_POINT("dir.notify.readable");
        read_events(of);
    }
}

/* Returns NULL with errno on failure. */
static Notifier *notifier_new(void)
{
    CstFd inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    CstFd stop = inotify < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    Notifier *created;

    if (stop < 0) {
        int saved = errno;

        cst_fd_clear(&inotify);
        errno = saved;
        return NULL;
    }
    created = g_new0(Notifier, 1);
    created->inotify = inotify;
    created->stop = stop;
    created->by_fd =
        g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, (GDestroyNotify)watcher_free);
    created->by_wd = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
                                           (GDestroyNotify)g_ptr_array_unref);
    created->thread = g_thread_new("notify", notifier_thread, created);
    return created;
}

/* Call it without the lock, because the thread may be waiting for the lock. */
static void notifier_free(Notifier *old)
{
    signal_fd(old->stop);
    g_thread_join(old->thread);
    g_hash_table_unref(old->by_wd);
    g_hash_table_unref(old->by_fd);
    cst_fd_clear(&old->inotify);
    cst_fd_clear(&old->stop);
    g_free(old);
}

/* Detaches the instance if it has no watchers. Call it with the lock held. */
static Notifier *steal_if_idle(void)
{
    return notifier && g_hash_table_size(notifier->by_fd) == 0 ? g_steal_pointer(&notifier) : NULL;
}

/* --- for the backend -------------------------------------------------------------------------- */

/* Call it with the lock held. Returns -1 with errno on failure. */
static int add_watcher(const char *path, uint32_t mask)
{
    int wd = inotify_add_watch(notifier->inotify, path, mask);
    int fd = wd < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    GPtrArray *watchers = wd < 0 ? NULL : notifier_watchers(notifier, wd);
    Watcher *watcher;

    if (fd < 0) {
        if (wd >= 0 && !watchers)
            inotify_rm_watch(notifier->inotify, wd);
        return -1;
    }
    watcher = g_new0(Watcher, 1);
    *watcher = (Watcher){
        .fd = fd, .wd = wd, .names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    if (!watchers) {
        watchers = g_ptr_array_new();
        g_hash_table_insert(notifier->by_wd, GINT_TO_POINTER(wd), watchers);
    }
    g_ptr_array_add(watchers, watcher);
    g_hash_table_insert(notifier->by_fd, GINT_TO_POINTER(fd), watcher);
    return fd;
}

int dir_notify_open(const char *path, uint32_t mask)
{
    Notifier *idle;
    int fd = -1, saved;

    g_mutex_lock(&lock);
    if (!notifier)
        notifier = notifier_new();
    if (notifier)
        fd = add_watcher(path, mask);
    saved = errno;
    idle = steal_if_idle();
    g_mutex_unlock(&lock);
    if (idle)
        notifier_free(idle);
    errno = saved;
    return fd;
}

void dir_notify_read(int fd, void (*changed)(const char *name, gpointer data), gpointer data)
{
    g_autoptr(GHashTable) names = NULL;
    gboolean anything = FALSE;
    GHashTableIter iter;
    Watcher *watcher;
    uint64_t count;
    gpointer name;

    g_mutex_lock(&lock);
    watcher = notifier ? g_hash_table_lookup(notifier->by_fd, GINT_TO_POINTER(fd)) : NULL;
    if (watcher && read(fd, &count, sizeof(count)) == sizeof(count)) {
        names = g_steal_pointer(&watcher->names);
        watcher->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        anything = watcher->anything;
        watcher->anything = FALSE;
    }
    g_mutex_unlock(&lock);
    CST_TEST_POINT("dir.notify.collected");
    if (anything)
        changed(NULL, data);
    if (!names)
        return;
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        changed(name, data);
}

void dir_notify_close(int fd)
{
    Notifier *idle = NULL;
    GPtrArray *watchers;
    Watcher *watcher;

    g_mutex_lock(&lock);
    watcher = notifier ? g_hash_table_lookup(notifier->by_fd, GINT_TO_POINTER(fd)) : NULL;
    if (watcher) {
        watchers = notifier_watchers(notifier, watcher->wd);
        /* Absent when the kernel has dropped the directory. */
        if (watchers && g_ptr_array_remove_fast(watchers, watcher) && watchers->len == 0) {
            inotify_rm_watch(notifier->inotify, watcher->wd);
            g_hash_table_remove(notifier->by_wd, GINT_TO_POINTER(watcher->wd));
        }
        g_hash_table_remove(notifier->by_fd, GINT_TO_POINTER(fd));
        idle = steal_if_idle();
    }
    g_mutex_unlock(&lock);
    if (idle)
        notifier_free(idle);
}
