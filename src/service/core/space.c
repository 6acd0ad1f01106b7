/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Warns of space that may run full while guests write, where no command is there to fail: thin
 * pools, snapshot stores. Only a daemon warns, in its log. The pool keeps what was warned of
 * (CstFullness), so that a warning is repeated only when the space has become fuller; the pool's
 * lock guards that.
 */
#include "space.h"

#include <base/log.h>

#include "pool.h"
#include "service.h"

void pool_check_space(CstPool *pool, CstPoolState *state)
{
    g_autoptr(GPtrArray) spaces = NULL;
    g_autoptr(GPtrArray) warnings = NULL;
    gboolean current;

    if (pool->service->mode != CST_SERVICE_DAEMON)
        return;
    /* The next check asks again, and the pool's problem reports storage that does not answer. */
    spaces = cst_pool_state_space_usage(state, NULL);
    if (!spaces)
        return;
    g_mutex_lock(&pool->lock);
    current = pool_state_is_current(pool, state);
    if (current) {
        pool->limited_spaces = spaces->len;
        if (!pool->fullness)
            pool->fullness = cst_fullness_new();
        warnings = cst_fullness_warnings(pool->fullness, spaces);
    }
    g_mutex_unlock(&pool->lock);
    for (guint i = 0; current && i < warnings->len; i++)
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name,
                (const char *)g_ptr_array_index(warnings, i));
}

gboolean pool_has_limited_space(CstPool *pool)
{
    gboolean any;

    g_mutex_lock(&pool->lock);
    any = pool->limited_spaces > 0;
    g_mutex_unlock(&pool->lock);
    return any;
}
