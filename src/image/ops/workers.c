/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "workers.h"

#include <base/threads.h>

#define THREADS     2
#define THREADS_MAX 16

typedef struct {
    const CstWorkersOps *ops;
    gpointer job;
    CstTask *task;
    GMutex lock; /* guards workers_next_piece() and the next members */
    gboolean done;
    GError *error;
} WorkerPool;

static gboolean workers_next_piece(WorkerPool *pool, CstPiece *piece)
{
    gboolean more;

    g_mutex_lock(&pool->lock);
    more = !pool->done && cst_task_check(pool->task, &pool->error) &&
           pool->ops->draw(pool->job, piece, &pool->error);
    pool->done = !more;
    g_mutex_unlock(&pool->lock);
    return more;
}

static void workers_fail(WorkerPool *pool, GError *error)
{
    g_mutex_lock(&pool->lock);
    pool->done = TRUE;
    if (pool->error)
        g_error_free(error);
    else
        pool->error = error;
    g_mutex_unlock(&pool->lock);
}

static void *worker_thread(void *data)
{
    WorkerPool *pool = data;
    uint8_t *const bufs[2] = {g_malloc(CST_PIECE_MAX), g_malloc(CST_PIECE_MAX)};
    CstPiece piece = {0};

    while (workers_next_piece(pool, &piece)) {
        GError *error = NULL;

        if (!pool->ops->work(pool->job, &piece, bufs, &error))
            workers_fail(pool, error);
    }
    g_free(bufs[0]);
    g_free(bufs[1]);
    return NULL;
}

gboolean cst_workers_run(const CstWorkersOps *ops, gpointer job, CstTask *task, GError **error)
{
    WorkerPool pool = {.ops = ops, .job = job, .task = task};

    g_mutex_init(&pool.lock);
    cst_threads_run(worker_thread, &pool,
                    ops->per_processor ? MIN(g_get_num_processors(), THREADS_MAX) : THREADS);
    g_mutex_clear(&pool.lock);
    if (pool.error) {
        g_propagate_error(error, pool.error);
        return FALSE;
    }
    return TRUE;
}
