/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The health of a pool's storage as its technology reports it (CstBackend.health). The pool keeps
 * only the level, for its state. Details are queried on request.
 */
#include "health.h"

#include <base/log.h>

gboolean pool_check_health(CstPool *pool, CstPoolState *state)
{
    g_auto(CstPoolHealth) health = {0};
    gboolean changed;

    /*
     * Storage without a health report is not an error here. Callers that need the report query it
     * themselves.
     */
    if (!cst_pool_state_has_health(state) || !cst_pool_state_health(state, FALSE, &health, NULL))
        return FALSE;
    g_mutex_lock(&pool->lock);
    changed = pool_state_is_current(pool, state) && pool->health != health.level;
    if (changed)
        pool->health = health.level;
    g_mutex_unlock(&pool->lock);
    if (changed)
        cst_log(health.level == CST_HEALTH_GOOD ? CST_LOG_INFO : CST_LOG_WARNING,
                "pool '%s': its storage is %s", pool->name, health.state);
    return changed;
}
