/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Turns of the jobs that copy into a pool.
 *
 * Many copies at a time are not faster than a few, and each takes memory and a thread for its
 * content. So a job waits in the pool's queue before it allocates that memory. A free turn goes to
 * the user with the fewest turns in the pool. Among such users it goes to the one whose last turn
 * began first, and among the jobs of that user to the oldest.
 *
 * A job holds all its claims when it waits, and acquires no claim while it has a turn. So a job
 * with a turn never waits for a job without one. A job whose storage does not answer does not count
 * against the limit, so that storage that hangs does not stop the copies of other storage.
 *
 * The pool's lock guards the queue and the turns. A wait has no limit, because the client of a copy
 * expects it to last; it ends at once when the task is cancelled.
 */
#include "copy_turn.h"

#include <base/dry_run.h>
#include <base/test_point.h>

#include "service.h"

/* A cancellation does not signal the condition. */
#define TURN_POLL_US (100 * G_TIME_SPAN_MILLISECOND)

static uid_t turn_uid(const CopyTurn *turn)
{
    uid_t uid;
    pid_t pid;

    cst_task_owner(turn->task, &uid, &pid);
    return uid;
}

/* Counts the turns that are in use, all or of the user of @of. Requires the pool's lock. */
static guint count_turns(const CstPool *pool, const CopyTurn *of)
{
    guint count = 0;

    for (guint i = 0; i < pool->copies->len; i++) {
        const CopyTurn *turn = g_ptr_array_index(pool->copies, i);

        if (of ? turn_uid(turn) == turn_uid(of) : !cst_task_was_stuck(turn->task))
            count++;
    }
    return count;
}

/* Returns the number of the user's last turn; 0: no turn since the pool had no copies. */
static gsize last_turn(const CstPool *pool, const CopyTurn *turn)
{
    return GPOINTER_TO_SIZE(
        g_hash_table_lookup(pool->copy_users, GUINT_TO_POINTER(turn_uid(turn))));
}

/* Returns the link of the turn to grant next, NULL if no job waits. Requires the pool's lock. */
static GList *next_turn(CstPool *pool)
{
    GList *next = NULL;
    guint fewest = G_MAXUINT;
    gsize first = G_MAXSIZE;

    for (GList *link = pool->copy_queue.head; link; link = link->next) {
        guint count = count_turns(pool, link->data);
        gsize last = last_turn(pool, link->data);

        if (count < fewest || (count == fewest && last < first)) {
            fewest = count;
            first = last;
            next = link;
        }
    }
    return next;
}

/* Grants the free turns to waiting jobs. Requires the pool's lock. */
static void grant_turns(CstPool *pool)
{
    guint limit = pool->service->copies;
    GList *link;

    while (count_turns(pool, NULL) < limit && (link = next_turn(pool))) {
        CopyTurn *turn = link->data;

        g_queue_delete_link(&pool->copy_queue, link);
        g_ptr_array_add(pool->copies, turn);
        g_hash_table_insert(pool->copy_users, GUINT_TO_POINTER(turn_uid(turn)),
                            GSIZE_TO_POINTER(++pool->copy_number));
        turn->held = TRUE;
        g_cond_signal(&turn->cond);
    }
    if (pool->copies->len == 0 && g_queue_is_empty(&pool->copy_queue))
        g_hash_table_remove_all(pool->copy_users);
}

/* Waits until the turn is granted. CANCELLED leaves the queue. Requires the pool's lock. */
static gboolean turn_wait(CopyTurn *turn, GError **error)
{
    CstPool *pool = turn->pool;

    while (!turn->held) {
        if (!cst_task_check(turn->task, error)) {
            g_queue_remove(&pool->copy_queue, turn);
            return FALSE;
        }
        cst_task_set_waiting(turn->task, TRUE);
        CST_TEST_POINT("copy_turn.wait");
        g_cond_wait_until(&turn->cond, &pool->lock, g_get_monotonic_time() + TURN_POLL_US);
        /* The storage of another job may have stopped answering. */
        grant_turns(pool);
    }
    return TRUE;
}

/* Implements cst_task_on_copy(). One thread waits for all threads of the job. */
static gboolean copy_turn_begin(gpointer data, GError **error)
{
    CopyTurn *turn = data;
    CstPool *pool = turn->pool;
    gboolean held;

    g_mutex_lock(&turn->lock);
    g_mutex_lock(&pool->lock);
    if (!turn->held) {
        g_queue_push_tail(&pool->copy_queue, turn);
        grant_turns(pool);
    }
    held = turn_wait(turn, error);
    g_mutex_unlock(&pool->lock);
    cst_task_set_waiting(turn->task, FALSE);
    g_mutex_unlock(&turn->lock);
    return held;
}

void copy_turn_offer(CopyTurn *turn, CstPool *pool, CstTask *task)
{
    if (cst_dry_run() || !cst_task_on_copy(task, copy_turn_begin, turn))
        return;
    turn->pool = cst_pool_ref(pool);
    turn->task = cst_task_ref(task);
    g_mutex_init(&turn->lock);
    g_cond_init(&turn->cond);
}

void copy_turn_clear(CopyTurn *turn)
{
    if (!turn->pool)
        return;
    cst_task_on_copy(turn->task, NULL, NULL);
    g_mutex_lock(&turn->pool->lock);
    if (turn->held) {
        g_ptr_array_remove_fast(turn->pool->copies, turn);
        grant_turns(turn->pool);
    }
    g_mutex_unlock(&turn->pool->lock);
    g_mutex_clear(&turn->lock);
    g_cond_clear(&turn->cond);
    cst_task_unref(turn->task);
    g_clear_pointer(&turn->pool, cst_pool_unref);
}
