/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crew.h"

#include <base/threads.h>

#define THREADS     2
#define THREADS_MAX 16

typedef struct {
    const CstCrewOps *ops;
    gpointer job;
    CstTask *task;
    GMutex lock; /* guards draw() and what follows */
    gboolean done;
    GError *error;
} Crew;

static gboolean draw(Crew *crew, CstPiece *piece)
{
    gboolean more;

    g_mutex_lock(&crew->lock);
    more = !crew->done && cst_task_check(crew->task, &crew->error) &&
           crew->ops->draw(crew->job, piece, &crew->error);
    crew->done = !more;
    g_mutex_unlock(&crew->lock);
    return more;
}

static void fail(Crew *crew, GError *error)
{
    g_mutex_lock(&crew->lock);
    crew->done = TRUE;
    if (crew->error)
        g_error_free(error);
    else
        crew->error = error;
    g_mutex_unlock(&crew->lock);
}

static void *worker(void *data)
{
    Crew *crew = data;
    uint8_t *const bufs[2] = {g_malloc(CST_CREW_PIECE), g_malloc(CST_CREW_PIECE)};
    CstPiece piece = {0};

    while (draw(crew, &piece)) {
        GError *error = NULL;

        if (!crew->ops->work(crew->job, &piece, bufs, &error))
            fail(crew, error);
    }
    g_free(bufs[0]);
    g_free(bufs[1]);
    return NULL;
}

gboolean cst_crew_run(const CstCrewOps *ops, gpointer job, CstTask *task, GError **error)
{
    Crew crew = {.ops = ops, .job = job, .task = task};

    g_mutex_init(&crew.lock);
    cst_threads_run(worker, &crew,
                    ops->everybody ? MIN(g_get_num_processors(), THREADS_MAX) : THREADS);
    g_mutex_clear(&crew.lock);
    if (crew.error) {
        g_propagate_error(error, crew.error);
        return FALSE;
    }
    return TRUE;
}
