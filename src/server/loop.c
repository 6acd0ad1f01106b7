/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An I/O thread. A round waits in epoll_wait(2), calls the ready function of each source with
 * events, and then the hook that serves the clients (clients_round()). The wait has no timeout
 * unless a timer is pending (TICK_MS). The round does not wait while clients have unhandled packets
 * or unsent bytes from the last round.
 *
 * Other threads reach the loop through its inbox, a list guarded by its lock, and an eventfd that
 * wakes it. Messages are handled in the order of posting.
 *
 * After a request to stop, the thread ends once no job of its clients is at a worker and no packet
 * or byte is pending. Until then it handles the replies of the running jobs.
 */
#include "loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/task.h>

#include "server.h"

#define EVENTS_PER_ROUND 128
#define TICK_MS          1000 /* also how late a timeout may be noticed */

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
    /* If the inbox was not empty, an earlier sender has already woken the loop. */
    if (first && write(loop->wake_fd, &one, sizeof(one)) < 0)
        g_assert(errno == EAGAIN);
}

static void read_inbox(Loop *loop)
{
    Message *newest, *oldest = NULL;

    g_mutex_lock(&loop->lock);
    newest = g_steal_pointer(&loop->inbox);
    g_mutex_unlock(&loop->lock);
    /* Senders prepend; reversing the list restores their order. */
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

static void loop_woken(Loop *loop, Source *source, uint32_t events)
{
    uint64_t count;

    /*
     * Reset the eventfd before emptying the inbox, so that a message posted in between wakes the
     * loop again.
     */
    if (read(loop->wake_fd, &count, sizeof(count)) < 0)
        g_assert(errno == EAGAIN || errno == EINTR);
    read_inbox(loop);
}

gboolean loop_needs_clock(const Loop *loop)
{
    return loop->timed || !loop->accepting || server_is_scarce(loop->server);
}

static int wait_ms(const Loop *loop)
{
    if (loop->backlog->len || loop->unsent->len)
        return 0;
    return loop_needs_clock(loop) ? TICK_MS : -1;
}

static void round_of(Loop *loop)
{
    struct epoll_event events[EVENTS_PER_ROUND];
    int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_ROUND, wait_ms(loop));

    for (int i = 0; i < n; i++) {
        Source *source = events[i].data.ptr;

        source->ready(loop, source, events[i].events);
    }
    loop->hooks->round(loop);
}

static gpointer loop_thread_main(gpointer data)
{
    Loop *loop = data;

    while (!loop->stopping || loop->jobs > 0 || loop->unsent->len > 0 || loop->backlog->len > 0)
        round_of(loop);
    return NULL;
}

static void loop_stop(Loop *loop, Message *message)
{
    g_free(message);
    loop->stopping = TRUE;
    loop->hooks->stop(loop);
}

static void loop_destroy(Loop *loop)
{
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    g_mutex_clear(&loop->lock);
    g_ptr_array_unref(loop->backlog);
    g_ptr_array_unref(loop->unsent);
    g_ptr_array_unref(loop->dead);
    g_ptr_array_unref(loop->listeners);
    g_hash_table_unref(loop->calls);
    g_free(loop->scratch);
    g_free(loop);
}

Loop *loop_new(struct CstWireServer *server, const LoopHooks *hooks, GError **error)
{
    Loop *loop = g_new0(Loop, 1);

    loop->server = server;
    loop->hooks = hooks;
    loop->accepting = TRUE;
    g_mutex_init(&loop->lock);
    g_queue_init(&loop->clients);
    loop->backlog = g_ptr_array_new();
    loop->unsent = g_ptr_array_new();
    loop->dead = g_ptr_array_new();
    loop->listeners = g_ptr_array_new_with_free_func(g_free);
    loop->calls = g_hash_table_new(NULL, NULL);
    loop->scratch = g_malloc(LOOP_SCRATCH);
    loop->wake.ready = loop_woken;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
        !loop_watch(loop, loop->wake_fd, EPOLLIN, &loop->wake)) {
        cst_fail_errno(error, errno, _("cannot set up the I/O thread"));
        loop_destroy(loop);
        return NULL;
    }
    loop->thread = g_thread_try_new("wire", loop_thread_main, loop, error);
    if (!loop->thread)
        g_clear_pointer(&loop, loop_destroy);
    return loop;
}

void loop_free(Loop *loop)
{
    Message *message;

    if (!loop)
        return;
    message = g_new0(Message, 1);
    message->func = loop_stop;
    loop_post(loop, message);
    g_thread_join(loop->thread);
    /*
     * Messages posted after the end of the thread own memory and descriptors. Their functions check
     * loop->stopping and release them.
     */
    read_inbox(loop);
    loop->hooks->round(loop);
    loop_destroy(loop);
}
