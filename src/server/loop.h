/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * One I/O thread: epoll over sockets, and an inbox for what other threads hand over. Everything
 * that belongs to a loop (clients, streams, calls that came back) is touched by its thread alone.
 */
typedef struct Loop Loop;
typedef struct Client Client;

/** What epoll watches. The first member of the watched thing. */
typedef struct Source Source;
struct Source {
    void (*ready)(Loop *loop, Source *source, uint32_t events);
};

/** What another thread hands over; the first member of a larger struct, which @func frees. */
typedef struct Message Message;
struct Message {
    void (*func)(Loop *loop, Message *message);
    Message *next;
};

/** What the layers above do in a loop; server.c fills it in, because it knows them all. */
typedef struct {
    /** After the events of each round: clients have their turns, and their time-outs. */
    void (*round)(Loop *loop);
    /** Once: ends all connections, cancels all calls. */
    void (*stop)(Loop *loop);
} LoopHooks;

#define LOOP_SCRATCH (512u * 1024u)

struct Loop {
    struct CstWireServer *server;
    const LoopHooks *hooks;
    int epoll_fd;
    Source wake;
    int wake_fd;
    GThread *thread;

    GMutex lock;
    Message *inbox; /**< newest first */

    GQueue clients;     /**< Client.link */
    GPtrArray *backlog; /**< clients with packets read but not looked at (references) */
    GPtrArray *unsent;  /**< clients with something to send (references) */
    GPtrArray *dead;    /**< clients to free after this round */
    GPtrArray *listeners;
    gboolean accepting;
    guint timed;       /**< clients that need the clock */
    guint jobs;        /**< calls and stream jobs at the workers */
    GHashTable *calls; /**< set of struct Call * with a task, of the calls at the workers */
    gint64 ticked;     /**< monotonic µs of the last look at the clock */
    gint n_callbacks;  /**< event callbacks of this loop's clients; read by other threads */
    gboolean stopping;
    uint8_t *scratch; /**< LOOP_SCRATCH bytes to read into */
};

/** @hooks: static. */
Loop *loop_new(struct CstWireServer *server, const LoopHooks *hooks, GError **error);
/** Asks the thread to disconnect everybody and to end when no job is left; waits; frees. */
void loop_free(Loop *loop);
/** Whether it has to look at the clock every second. */
gboolean loop_needs_clock(const Loop *loop);

/** From any thread. */
void loop_post(Loop *loop, Message *message);

gboolean loop_watch(Loop *loop, int fd, uint32_t events, Source *source);
void loop_rewatch(Loop *loop, int fd, uint32_t events, Source *source);
void loop_unwatch(Loop *loop, int fd);
