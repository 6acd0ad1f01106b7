/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * An I/O thread: epoll over sockets, and an inbox for messages of other threads. Only the thread of
 * a loop accesses the objects of the loop: clients, streams and returned calls.
 */
typedef struct Loop Loop;
typedef struct Client Client;

/**
 * A descriptor that epoll watches. It is the first member of the struct that holds the descriptor.
 * @ready is called in the loop's thread with EPOLL… events. The struct must outlive the round,
 * because events already fetched in this round may still refer to it.
 */
typedef struct Source Source;
struct Source {
    void (*ready)(Loop *loop, Source *source, uint32_t events);
};

/**
 * A message of another thread, the first member of a larger struct. @func is called once in the
 * loop's thread, even if the loop is stopping. @func frees the struct.
 */
typedef struct Message Message;
struct Message {
    void (*func)(Loop *loop, Message *message);
    Message *next;
};

/** Calls from a loop to the layers above it. server.c sets both members; NULL is not allowed. */
typedef struct {
    /** Called after the events of each round: serves clients with pending work, checks timeouts. */
    void (*round)(Loop *loop);
    /** Called once, when the loop is asked to stop: closes all connections, cancels all calls. */
    void (*stop)(Loop *loop);
} LoopHooks;

/* Bytes of one read from a socket whose client has no pending bytes. */
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
    GPtrArray *backlog; /**< clients with unhandled packets (references) */
    GPtrArray *unsent;  /**< clients with unsent bytes (references) */
    GPtrArray *dead;    /**< clients to free after this round */
    GPtrArray *listeners;
    gboolean accepting;
    guint timed;       /**< clients that need the clock */
    guint jobs;        /**< calls and stream jobs at the workers */
    GHashTable *calls; /**< set of struct Call * with a task, of the calls at the workers */
    gint64 ticked;     /**< monotonic µs; when clients were last checked for timeouts */
    gint n_callbacks;  /**< event callbacks of this loop's clients; other threads read it */
    gboolean stopping;
    uint8_t *scratch; /**< LOOP_SCRATCH bytes to read into */
};

/**
 * Starts a thread. Borrows @server and @hooks, which must outlive it. Returns NULL with IO, or with
 * GLib's error if no thread can be made.
 */
Loop *loop_new(struct CstWireServer *server, const LoopHooks *hooks, GError **error);
/**
 * Asks the thread to disconnect all clients and to end once all their jobs are done. Waits for the
 * thread and frees the loop. Does nothing for NULL.
 */
void loop_free(Loop *loop);
/** Returns whether the loop has timeouts pending, so that it must wake up every TICK_MS. */
gboolean loop_needs_clock(const Loop *loop);

/**
 * Passes @message to the loop, which owns it, and wakes the loop. Never blocks. From any thread;
 * the loop must outlive the call.
 */
void loop_post(Loop *loop, Message *message);

/**
 * Watches @fd for epoll @events, level-triggered, and calls @source->ready with them. Returns FALSE
 * with errno set if epoll_ctl(2) fails. Call this and the two functions below in the loop's thread
 * only.
 */
gboolean loop_watch(Loop *loop, int fd, uint32_t events, Source *source);
/** Changes the epoll events of a watched @fd; 0 leaves errors and hang-ups only. */
void loop_rewatch(Loop *loop, int fd, uint32_t events, Source *source);
/** Ends the watch on @fd, which is still open. */
void loop_unwatch(Loop *loop, int fd);
