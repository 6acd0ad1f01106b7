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
    WORK_QUICK, /**< calls that end soon and wait for nothing */
    WORK_LONG   /**< calls that may wait, for storage or for each other */
} WorkClass;
#define WORK_CLASSES 2

/** One user's turns in one class. Guarded by the workers' lock; zeroed at first. */
typedef struct {
    GQueue lanes; /**< those with calls to start, by Lane.link */
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
    gboolean closed; /**< nothing is started: its replies are not read */
    guint running, waiting;
} Lane;

/** One call; embedded in it. */
typedef struct {
    Lane *lane;
    size_t cost;      /**< bytes that it may take until it is answered */
    gboolean waiting; /**< guarded by the workers' lock */
} WorkItem;

typedef struct {
    guint running;      /**< above so many, only lanes that run nothing get a thread */
    guint lane_running; /**< of one connection */
    guint user_threads; /**< of one user who is not trusted, running or waiting */
    guint threads;      /**< altogether; a fifth is for users who are trusted */
} WorkerLimits;

typedef struct {
    void (*run)(WorkItem *item);  /**< in the worker's thread */
    void (*done)(WorkItem *item); /**< the same, afterwards; the item may be gone then */
} WorkerFuncs;

/** @class: which of User.shares is meant. NULL when no thread could be made. */
Workers *workers_new(WorkClass class, const WorkerLimits *limits, const WorkerFuncs *funcs,
                     GError **error);
/** Waits for what runs. There must be no calls left to start. */
void workers_free(Workers *workers);

/** Starts the call now, or when its turn comes. From any thread. */
void workers_push(Workers *workers, WorkItem *item);
/** The running call begins or ends to wait for others; from its thread. */
void workers_wait(Workers *workers, WorkItem *item, gboolean waiting);
/** Calls of the lane are started no longer, or again. */
void workers_close_lane(Workers *workers, Lane *lane, gboolean closed);
/** Gives back the calls of the lane that have not been started; the caller frees them. */
void workers_drain(Workers *workers, Lane *lane, GQueue *ret_items);
/** Something that kept calls from starting may be over. */
void workers_kick(Workers *workers);
