/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/log.h>

#include "service_private.h"

/* A pool's rooms that may run full while guests write, and nobody's command is there to fail. */

static gboolean is_watched(CstPool *pool)
{
    return pool->service->monitor != NULL;
}

void pool_look_at_rooms(CstPool *pool, CstPoolState *state)
{
    g_autoptr(GPtrArray) rooms = NULL;
    g_autoptr(GPtrArray) news = NULL;

    if (!is_watched(pool))
        return;
    /* What can't be told now is asked again; a pool that does not answer is a problem of its
     * own. */
    rooms = cst_pool_state_space_usage(state, NULL);
    if (!rooms)
        return;
    g_mutex_lock(&pool->lock);
    pool->rooms = rooms->len;
    if (!pool->fullness)
        pool->fullness = cst_fullness_new();
    news = cst_fullness_warnings(pool->fullness, rooms);
    g_mutex_unlock(&pool->lock);
    for (guint i = 0; i < news->len; i++)
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name,
                (const char *)g_ptr_array_index(news, i));
}

gboolean pool_has_rooms(CstPool *pool)
{
    gboolean any;

    g_mutex_lock(&pool->lock);
    any = pool->rooms > 0;
    g_mutex_unlock(&pool->lock);
    return any;
}
