/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fair scheduling of calls on a pool of threads.
 *
 * Users with calls to start form a ring. Each user has a ring of lanes, and each lane has a queue.
 * A free thread picks the first user that may start a call, and the oldest call of its first lane
 * that may start one. User and lane then move to the end of their rings.
 *
 * A running call holds one of WorkerLimits.running turns. If all turns are in use, a thread is
 * still available for two kinds of calls: the first call of a trusted user's connection, and the
 * first call of any other user. Thus calls that last minutes delay the users that run many, and not
 * the users that run no other call. A call that waits for another operation holds a thread but no
 * turn. Threads are limited per user and in total.
 *
 * The lock guards rings, lanes and counts. run() and done() are called without it.
 */
#include "workers.h"

#include <base/test_point.h>

#include "user.h"

struct Workers {
    WorkClass class;
    WorkerLimits limits;
    WorkerFuncs funcs;
    GThreadPool *threads;
    GMutex lock;  /* guards the fields below, and all lanes and shares of the class */
    GQueue users; /* WorkerShare.link; the data is the User */
    guint running, waiting;
};

static WorkerShare *share_of(const Workers *workers, const Lane *lane)
{
    return &lane->user->shares[workers->class];
}

/* --- turns ------------------------------------------------------------------------------------ */

static gboolean user_has_budget(const User *user, const WorkItem *item)
{
    /*
     * A call that costs more than half of the budget may start while its user holds at most the
     * other half.
     */
    size_t cost = MIN(item->cost, user->budget / 2);

    return user->bytes <= user->budget - cost;
}

/*
 * Returns whether the user has bytes for the call. If not, marks the user as starved, so that
 * user_charge() calls workers_kick() when bytes are released.
 */
static gboolean has_bytes(User *user, const WorkItem *item)
{
    if (user_has_budget(user, item))
        return TRUE;
    CST_TEST_POINT("workers.bytes.short");
    user->starved = TRUE;
    /* Check again, because bytes released before the flag was visible caused no kick. */
    return user_has_budget(user, item);
}

static gboolean user_has_threads(const Workers *workers, const User *user, const WorkerShare *share)
{
    guint threads = workers->running + workers->waiting;

    if (user->trusted)
        return threads < workers->limits.threads;
    return threads < workers->limits.threads - workers->limits.threads / 5 &&
           share->running + share->waiting < workers->limits.user_threads;
}

static gboolean may_start(const Workers *workers, Lane *lane, const WorkerShare *share)
{
    if (lane->closed || lane->running >= workers->limits.lane_running ||
        !has_bytes(lane->user, g_queue_peek_head(&lane->calls)))
        return FALSE;
    if (workers->running < workers->limits.running)
        return TRUE;
    return lane->user->trusted ? lane->running == 0 : share->running == 0;
}

static void ring_enlist(GQueue *ring, GList *link, gpointer data, gboolean *listed)
{
    if (*listed)
        return;
    link->data = data;
    g_queue_push_tail_link(ring, link);
    *listed = TRUE;
}

static void ring_delist(GQueue *ring, GList *link, gboolean *listed)
{
    if (*listed)
        g_queue_unlink(ring, link);
    *listed = FALSE;
}

/*
 * Adds the lane and its user to their rings, or removes them, depending on whether they have calls
 * to start.
 */
static void lane_relist(Workers *workers, Lane *lane)
{
    WorkerShare *share = share_of(workers, lane);

    if (!g_queue_is_empty(&lane->calls))
        ring_enlist(&share->lanes, &lane->link, lane, &lane->listed);
    else
        ring_delist(&share->lanes, &lane->link, &lane->listed);
    if (!g_queue_is_empty(&share->lanes))
        ring_enlist(&workers->users, &share->link, lane->user, &share->listed);
    else
        ring_delist(&workers->users, &share->link, &share->listed);
}

static WorkItem *lane_pop_call(Workers *workers, Lane *lane)
{
    WorkerShare *share = share_of(workers, lane);
    WorkItem *item = g_queue_pop_head(&lane->calls);

    /* Remove and add again: if more calls are left, this moves both to the end of their rings. */
    ring_delist(&share->lanes, &lane->link, &lane->listed);
    ring_delist(&workers->users, &share->link, &share->listed);
    lane_relist(workers, lane);
    lane->running++;
    share->running++;
    workers->running++;
    lane->user->bytes += item->cost;
    return item;
}

/* Removes the next call from its queue and gives it a turn. Returns NULL if no call may start. */
static WorkItem *workers_pop_call(Workers *workers)
{
    for (GList *u = workers->users.head; u; u = u->next) {
        User *user = u->data;
        WorkerShare *share = &user->shares[workers->class];

        if (!user_has_threads(workers, user, share))
            continue;
        for (GList *l = share->lanes.head; l; l = l->next)
            if (may_start(workers, l->data, share))
                return lane_pop_call(workers, l->data);
    }
    return NULL;
}

/*
 * Starts all calls that may start. The push reports an error only if no thread could be made; GLib
 * then runs the call when another thread is free.
 */
static void workers_start_calls(Workers *workers)
{
    WorkItem *item;

    while ((item = workers_pop_call(workers)))
        g_thread_pool_push(workers->threads, item, NULL);
}

static void workers_give_back_turn(Workers *workers, WorkItem *item)
{
    CST_TEST_POINT("workers.turn.give_back");
    item->lane->running--;
    share_of(workers, item->lane)->running--;
    workers->running--;
}

static void worker_thread_main(gpointer data, gpointer user_data)
{
    Workers *workers = user_data;
    WorkItem *item = data;

    while (item) {
        WorkItem *next;

        workers->funcs.run(item);
        g_mutex_lock(&workers->lock);
        workers_give_back_turn(workers, item);
        next = workers_pop_call(workers);
        /* If this thread found no call to start, no other thread would. */
        if (next)
            workers_start_calls(workers);
        g_mutex_unlock(&workers->lock);
        CST_TEST_POINT("workers.turn.passed_on");
        /* Call done() after the turn is passed on, because it may free the item. */
        workers->funcs.done(item);
        item = next;
    }
}

/* --- from outside ----------------------------------------------------------------------------- */

Workers *workers_new(WorkClass class, const WorkerLimits *limits, const WorkerFuncs *funcs,
                     GError **error)
{
    Workers *workers = g_new0(Workers, 1);

    workers->class = class;
    workers->limits = *limits;
    workers->funcs = *funcs;
    g_mutex_init(&workers->lock);
    g_queue_init(&workers->users);
    workers->threads =
        g_thread_pool_new(worker_thread_main, workers, (int)limits->threads, FALSE, error);
    if (!workers->threads)
        g_clear_pointer(&workers, workers_free);
    return workers;
}

void workers_free(Workers *workers)
{
    if (!workers)
        return;
    if (workers->threads)
        g_thread_pool_free(workers->threads, FALSE, TRUE);
    g_mutex_clear(&workers->lock);
    g_free(workers);
}

void workers_push(Workers *workers, WorkItem *item)
{
    g_mutex_lock(&workers->lock);
    g_queue_push_tail(&item->lane->calls, item);
    lane_relist(workers, item->lane);
    workers_start_calls(workers);
    g_mutex_unlock(&workers->lock);
}

void workers_wait(Workers *workers, WorkItem *item, gboolean waiting)
{
    WorkerShare *share = share_of(workers, item->lane);
    int by = waiting ? 1 : -1;

    g_mutex_lock(&workers->lock);
    if (item->waiting != waiting) {
        item->waiting = waiting;
        item->lane->waiting += by;
        share->waiting += by;
        workers->waiting += by;
        item->lane->running -= by;
        share->running -= by;
        workers->running -= by;
        workers_start_calls(workers);
    }
    g_mutex_unlock(&workers->lock);
}

void workers_close_lane(Workers *workers, Lane *lane, gboolean closed)
{
    g_mutex_lock(&workers->lock);
    lane->closed = closed;
    if (!closed)
        workers_start_calls(workers);
    g_mutex_unlock(&workers->lock);
}

void workers_drain(Workers *workers, Lane *lane, GQueue *ret_items)
{
    g_mutex_lock(&workers->lock);
    *ret_items = lane->calls;
    g_queue_init(&lane->calls);
    lane_relist(workers, lane);
    g_mutex_unlock(&workers->lock);
}

void workers_kick(Workers *workers)
{
    g_mutex_lock(&workers->lock);
    workers_start_calls(workers);
    g_mutex_unlock(&workers->lock);
}

#ifdef CST_TEST_POINTS
void workers_count(Workers *workers, const Lane *lane, guint *ret_queued, guint *ret_turns)
{
    const WorkerShare *share = share_of(workers, lane);

    g_mutex_lock(&workers->lock);
    *ret_queued = lane->calls.length;
    *ret_turns = share->running + share->waiting + share->lanes.length;
    g_mutex_unlock(&workers->lock);
}
#endif
