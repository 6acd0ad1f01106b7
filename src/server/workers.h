/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Threads that run calls, with fair turns: round robin between users, and between the connections
 * (lanes) of a user. A call that waits for others (a volume, a pool) gives its turn back meanwhile,
 * so that only calls that work count.
 */
typedef struct Workers Workers;

typedef enum {
    WORK_QUICK, /**< calls that end soon and wait for nobody */
    WORK_LONG   /**< calls that may wait, for storage or for each other */
} WorkClass;
#define WORK_CLASSES 2

/** One user's turns in one class. Guarded by the workers' lock; zeroed at first. */
typedef struct {
    GQueue lanes; /**< lanes with calls to start, by Lane.link */
    GList link;   /**< in the workers' ring while there are such lanes */
    gboolean listed;
    guint running, waiting;
} WorkerShare;

struct User;

/** One connection's calls of one class. Guarded by the workers' lock. */
typedef struct {
    struct User *user; /**< set by the owner, who outlives its calls */
    GQueue calls;      /**< of WorkItem *, to be started */
    GList link;        /**< in the share's ring while there are any */
    gboolean listed;
    gboolean closed; /**< its replies are not read, so no call is started */
    guint running, waiting;
} Lane;

/** One call; embedded in it. */
typedef struct {
    Lane *lane;
    size_t cost;      /**< bytes that the call may take until it is answered */
    gboolean waiting; /**< guarded by the workers' lock */
} WorkItem;

typedef struct {
    guint running;      /**< turns; above these, only lanes that run nothing get a thread */
    guint lane_running; /**< of one connection */
    guint user_threads; /**< of one user who is not trusted, running or waiting */
    guint threads;      /**< of all users, running or waiting; a fifth is for trusted ones */
} WorkerLimits;

typedef struct {
    void (*run)(WorkItem *item);  /**< runs the call, in a worker's thread */
    void (*done)(WorkItem *item); /**< called after @run by the same thread; may free the item */
} WorkerFuncs;

/**
 * Makes the pool of @class, which selects from User.shares and Client.lanes. @limits and @funcs are
 * copied. NULL with GLib's error when no thread can be made.
 */
Workers *workers_new(WorkClass class, const WorkerLimits *limits, const WorkerFuncs *funcs,
                     GError **error);
/** Waits for the calls that run, and frees. No call may be left to start. */
void workers_free(Workers *workers);

/**
 * Queues @item, whose lane and cost are set; it runs now or when its turn comes. From any thread.
 * The item must live until WorkerFuncs.done.
 */
void workers_push(Workers *workers, WorkItem *item);
/**
 * The running call @item begins or ends to wait for others: gives its turn back, or takes one, also
 * above the limit. From the thread that runs it.
 */
void workers_wait(Workers *workers, WorkItem *item, gboolean waiting);
/** Stops starting calls of @lane, or resumes. Those that run go on. */
void workers_close_lane(Workers *workers, Lane *lane, gboolean closed);
/** Returns the calls of @lane that have not been started, which then are the caller's. */
void workers_drain(Workers *workers, Lane *lane, GQueue *ret_items);
/** Starts what may start now, after a change outside (a user's bytes). */
void workers_kick(Workers *workers);

#ifdef CST_TEST_POINTS
/**
 * Counts for a unit test: the calls of @lane that have not begun; the calls of its user that run or
 * wait, and the user's lanes with calls to start.
 */
void workers_count(Workers *workers, const Lane *lane, guint *ret_queued, guint *ret_turns);
#endif
