/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * An I/O thread: epoll over sockets, and an inbox for messages of other threads. Everything that
 * belongs to a loop (clients, streams, calls that came back) is touched by its thread alone.
 */
typedef struct Loop Loop;
typedef struct Client Client;

/**
 * Something that epoll watches; the first member of the struct that holds the descriptor. @ready is
 * called in the loop's thread with EPOLL… events. The struct must outlive the round: events that
 * were fetched with the current one may still name it.
 */
typedef struct Source Source;
struct Source {
    void (*ready)(Loop *loop, Source *source, uint32_t events);
};

/**
 * A message of another thread, the first member of a larger struct. @func is called once, in the
 * loop's thread, also when the loop is stopping; it frees the struct.
 */
typedef struct Message Message;
struct Message {
    void (*func)(Loop *loop, Message *message);
    Message *next;
};

/** Calls from a loop to the layers above it. server.c fills them in. Neither may be NULL. */
typedef struct {
    /** Called after the events of each round: serves clients with work left, checks timeouts. */
    void (*round)(Loop *loop);
    /** Called once, when the loop is asked to stop: closes all connections, cancels all calls. */
    void (*stop)(Loop *loop);
} LoopHooks;

/* Bytes that one read takes from a socket whose client has nothing kept. */
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
    GPtrArray *backlog; /**< clients with packets that were read and not handled (references) */
    GPtrArray *unsent;  /**< clients with something to send (references) */
    GPtrArray *dead;    /**< clients to free after this round */
    GPtrArray *listeners;
    gboolean accepting;
    guint timed;       /**< clients that need the clock */
    guint jobs;        /**< calls and stream jobs at the workers */
    GHashTable *calls; /**< set of struct Call * with a task, of the calls at the workers */
    gint64 ticked;     /**< monotonic µs; when clients were last checked for timeouts */
    gint n_callbacks;  /**< event callbacks of this loop's clients; read by other threads */
    gboolean stopping;
    uint8_t *scratch; /**< LOOP_SCRATCH bytes to read into */
};

/**
 * Starts a thread. @server and @hooks are borrowed and must outlive it. NULL with IO, or GLib's
 * error when no thread can be made.
 */
Loop *loop_new(struct CstWireServer *server, const LoopHooks *hooks, GError **error);
/**
 * Asks the thread to disconnect all clients and to end when no job of theirs is left; waits for
 * that; frees the loop. Does nothing for NULL.
 */
void loop_free(Loop *loop);
/** Whether anything of the loop depends on the time, so that it must wake up every TICK_MS. */
gboolean loop_needs_clock(const Loop *loop);

/**
 * Hands @message over to the loop and wakes it. Never blocks. From any thread; the loop must
 * outlive the call.
 */
void loop_post(Loop *loop, Message *message);

/**
 * Watches @fd for epoll @events, level-triggered, and calls @source->ready with them. FALSE with
 * errno set when the kernel refuses. This and the two below: in the loop's thread only.
 */
gboolean loop_watch(Loop *loop, int fd, uint32_t events, Source *source);
/** Changes the events that a watched @fd is watched for; 0 leaves errors and hang-ups only. */
void loop_rewatch(Loop *loop, int fd, uint32_t events, Source *source);
/** Ends the watch on @fd, which is still open. */
void loop_unwatch(Loop *loop, int fd);
