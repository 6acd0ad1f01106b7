/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The health of a pool's storage as its technology reports it (CstBackend.health). The pool keeps
 * only the level, for its state. Details are queried on request.
 */
#include "health.h"

#include <base/i18n.h>
#include <base/log.h>

#include "service.h"

/* Records the level as an event. Requires the lock, so that the events have the order of the
 * levels. */
static void health_record(CstPool *pool, const CstPoolHealth *health, const char *message)
{
    EventLog *events = pool->service->events;

    if (health->level == CST_HEALTH_GOOD)
        event_log_add_end(events, CST_EVENT_POOL_DEGRADED, "pool", pool->name, message);
    else
        event_log_add(events, CST_EVENT_POOL_DEGRADED, "pool", pool->name, message);
}

gboolean pool_check_health(CstPool *pool, CstPoolState *state)
{
    g_auto(CstPoolHealth) health = {0};
    g_autofree char *message = NULL;
    gboolean changed, record;

    /*
     * Storage without a health report is not an error here. Callers that need the report query it
     * themselves.
     */
    if (!cst_pool_state_has_health(state) || !cst_pool_state_health(state, FALSE, &health, NULL))
        return FALSE;
    message = g_strdup_printf(_("pool '%s': its storage is %s"), pool->name, health.state);
    g_mutex_lock(&pool->lock);
    changed = pool_state_is_current(pool, state) && pool->health != health.level;
    if (changed)
        pool->health = health.level;
    record = changed || (pool_state_is_current(pool, state) && !pool->health_recorded &&
                         pool->service->mode == CST_SERVICE_DAEMON);
    pool->health_recorded = pool->health_recorded || record;
    if (record)
        health_record(pool, &health, message);
    g_mutex_unlock(&pool->lock);
    if (record)
        cst_log(health.level == CST_HEALTH_GOOD ? CST_LOG_INFO : CST_LOG_WARNING, "%s", message);
    return changed;
}
