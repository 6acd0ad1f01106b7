/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Threads that run calls. Turns are round robin between users, and between the connections (lanes)
 * of a user. A call that waits for another operation (on a volume or pool) gives its turn back
 * during the wait, so that only working calls count.
 */
typedef struct Workers Workers;

typedef enum {
    WORK_QUICK, /**< calls that end soon and never wait */
    WORK_LONG   /**< calls that may wait for storage or for another call */
} WorkClass;
#define WORK_CLASSES 2

/** A user's turns in one class. Guarded by the workers' lock. Initialize with zeros. */
typedef struct {
    GQueue lanes; /**< lanes with calls to start, by Lane.link */
    GList link;   /**< in the workers' ring while @lanes is not empty */
    gboolean listed;
    guint running, waiting;
} WorkerShare;

struct User;

/** A connection's calls of one class. Guarded by the workers' lock. */
typedef struct {
    struct User *user; /**< set by the owner, which outlives its calls */
    GQueue calls;      /**< of WorkItem *, not started yet */
    GList link;        /**< in the share's ring while @calls is not empty */
    gboolean listed;
    gboolean closed; /**< replies are not read, so no call is started */
    guint running, waiting;
} Lane;

/** A call; the caller embeds it in a larger struct. */
typedef struct {
    Lane *lane;
    size_t cost;      /**< bytes that the call may use until it is answered */
    gboolean waiting; /**< guarded by the workers' lock */
} WorkItem;

typedef struct {
    guint running;      /**< turns; above this limit, only a lane without a running call gets a
                             thread */
    guint lane_running; /**< running calls of one connection */
    guint user_threads; /**< of one untrusted user, running or waiting */
    guint threads;      /**< of all users, running or waiting; a fifth is reserved for trusted
                             users */
} WorkerLimits;

typedef struct {
    void (*run)(WorkItem *item);  /**< runs the call, in a worker's thread */
    void (*done)(WorkItem *item); /**< called after @run by the same thread; may free the item */
} WorkerFuncs;

/**
 * Makes the pool of @class, which selects calls from User.shares and Client.lanes. Copies @limits
 * and @funcs. Returns NULL with GLib's error if no thread can be made.
 */
Workers *workers_new(WorkClass class, const WorkerLimits *limits, const WorkerFuncs *funcs,
                     GError **error);
/** Waits for the running calls and frees @workers. No call may be queued. */
void workers_free(Workers *workers);

/**
 * Queues @item, whose lane and cost are set. It runs at once or when its turn comes. From any
 * thread. The item must live until WorkerFuncs.done.
 */
void workers_push(Workers *workers, WorkItem *item);
/**
 * Marks the running call @item as waiting for another operation, or as running again. A waiting
 * call gives its turn back. A resumed call gets a turn even above the limit. Call it from any
 * thread; repeated marks are ignored.
 */
void workers_wait(Workers *workers, WorkItem *item, gboolean waiting);
/** Stops starting calls of @lane, or resumes. Running calls continue. */
void workers_close_lane(Workers *workers, Lane *lane, gboolean closed);
/**
 * Removes the calls of @lane that have not been started. *@ret_items receives them; the caller owns
 * them.
 */
void workers_drain(Workers *workers, Lane *lane, GQueue *ret_items);
/**
 * Starts all calls that may start. Call it after a change that the workers do not see, such as a
 * user's bytes.
 */
void workers_kick(Workers *workers);

#ifdef CST_TEST_POINTS
/**
 * Counts for unit tests. *@ret_queued: calls of @lane that have not begun. *@ret_turns: the running
 * and waiting calls of the lane's user, plus the user's lanes with calls to start.
 */
void workers_count(Workers *workers, const Lane *lane, guint *ret_queued, guint *ret_turns);
#endif
