/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/task.h>

#include "client.h"
#include "server.h"

#define EVENTS_PER_ROUND 128
#define TICK_MS          1000

gboolean loop_watch(Loop *loop, int fd, uint32_t events, Source *source)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

void loop_rewatch(Loop *loop, int fd, uint32_t events, Source *source)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

void loop_unwatch(Loop *loop, int fd)
{
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void loop_post(Loop *loop, Message *message)
{
    static const uint64_t one = 1;
    gboolean first;

    g_mutex_lock(&loop->lock);
    first = loop->inbox == NULL;
    message->next = loop->inbox;
    loop->inbox = message;
    g_mutex_unlock(&loop->lock);
    /* Whoever finds it not empty knows that the loop has been woken already. */
    if (first && write(loop->wake_fd, &one, sizeof(one)) < 0)
        g_assert(errno == EAGAIN);
}

static void read_inbox(Loop *loop)
{
    Message *newest, *oldest = NULL;

    g_mutex_lock(&loop->lock);
    newest = g_steal_pointer(&loop->inbox);
    g_mutex_unlock(&loop->lock);
    while (newest) {
        Message *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        Message *next = oldest->next;

        oldest->func(loop, oldest);
        oldest = next;
    }
}

static void woken(Loop *loop, Source *source, uint32_t events)
{
    uint64_t count;

    /* Emptied before the inbox is: a message that comes in between wakes the loop again. */
    if (read(loop->wake_fd, &count, sizeof(count)) < 0)
        g_assert(errno == EAGAIN || errno == EINTR);
    read_inbox(loop);
}

static void take_turns(GPtrArray *list, void (*func)(Client *client))
{
    guint n = list->len;

    /* What is added meanwhile has its turn in the next round. */
    for (guint i = 0; i < n; i++) {
        Client *client = g_ptr_array_index(list, i);

        func(client);
        client_unref(client);
    }
    g_ptr_array_remove_range(list, 0, n);
}

static void tick(Loop *loop)
{
    gint64 now = g_get_monotonic_time();

    if (now - loop->ticked < TICK_MS * 1000)
        return;
    loop->ticked = now;
    for (GList *link = loop->clients.head, *next; link; link = next) {
        next = link->next;
        client_tick(link->data, now);
    }
    if (!loop->accepting && !loop->stopping)
        listeners_resume(loop);
}

static gboolean needs_clock(const Loop *loop)
{
    return loop->timed || !loop->accepting || server_is_scarce(loop->server);
}

static int wait_ms(const Loop *loop)
{
    if (loop->backlog->len || loop->unsent->len)
        return 0;
    return needs_clock(loop) ? TICK_MS : -1;
}

static void round_of(Loop *loop)
{
    struct epoll_event events[EVENTS_PER_ROUND];
    int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_ROUND, wait_ms(loop));

    for (int i = 0; i < n; i++) {
        Source *source = events[i].data.ptr;

        source->ready(loop, source, events[i].events);
    }
    take_turns(loop->backlog, client_continue);
    take_turns(loop->unsent, client_flush);
    if (needs_clock(loop))
        tick(loop);
    /* Only now: this round's events may have named them. */
    while (loop->dead->len)
        client_unref(g_ptr_array_steal_index_fast(loop->dead, loop->dead->len - 1));
}

static gpointer run(gpointer data)
{
    Loop *loop = data;

    while (!loop->stopping || loop->jobs > 0 || loop->unsent->len > 0 || loop->backlog->len > 0)
        round_of(loop);
    return NULL;
}

static void cancel_tasks(Loop *loop)
{
    GHashTableIter iter;
    gpointer call;

    g_hash_table_iter_init(&iter, loop->calls);
    while (g_hash_table_iter_next(&iter, &call, NULL))
        cst_task_cancel(((Call *)call)->api.task);
}

static void stop(Loop *loop, Message *message)
{
    g_free(message);
    loop->stopping = TRUE;
    listeners_close(loop);
    cancel_tasks(loop);
    for (GList *link = loop->clients.head, *next; link; link = next) {
        next = link->next;
        client_drop(link->data, "the daemon stops");
    }
}

static void destroy(Loop *loop)
{
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    g_mutex_clear(&loop->lock);
    g_ptr_array_unref(loop->backlog);
    g_ptr_array_unref(loop->unsent);
    g_ptr_array_unref(loop->dead);
    listeners_free(loop);
    g_hash_table_unref(loop->calls);
    g_free(loop->scratch);
    g_free(loop);
}

Loop *loop_new(struct CstWireServer *server, GError **error)
{
    Loop *loop = g_new0(Loop, 1);

    loop->server = server;
    loop->accepting = TRUE;
    g_mutex_init(&loop->lock);
    g_queue_init(&loop->clients);
    loop->backlog = g_ptr_array_new();
    loop->unsent = g_ptr_array_new();
    loop->dead = g_ptr_array_new();
    loop->listeners = g_ptr_array_new_with_free_func(g_free);
    loop->calls = g_hash_table_new(NULL, NULL);
    loop->scratch = g_malloc(LOOP_SCRATCH);
    loop->wake.ready = woken;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
        !loop_watch(loop, loop->wake_fd, EPOLLIN, &loop->wake)) {
        cst_fail_errno(error, errno, _("cannot set up the I/O thread"));
        destroy(loop);
        return NULL;
    }
    loop->thread = g_thread_try_new("wire", run, loop, error);
    if (!loop->thread)
        g_clear_pointer(&loop, destroy);
    return loop;
}

void loop_free(Loop *loop)
{
    Message *message;

    if (!loop)
        return;
    message = g_new0(Message, 1);
    message->func = stop;
    loop_post(loop, message);
    g_thread_join(loop->thread);
    /* Events and sockets that came in after the end. */
    read_inbox(loop);
    while (loop->dead->len)
        client_unref(g_ptr_array_steal_index_fast(loop->dead, loop->dead->len - 1));
    destroy(loop);
}
