/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The space of pools: the check before a copy that it fits, and warnings.
 *
 * Warns about space that may fill up while guests write, when no command is running that could
 * fail: thin pools, snapshot stores. Only a daemon warns, in its log. The pool records the warnings
 * (CstFullness), so that a warning is repeated only if the space has become fuller. The pool's lock
 * guards this record.
 */
#include "space.h"

#include <base/log.h>

#include "pool.h"
#include "service.h"

/* Returns the fullest thin pools of @spaces. */
static PoolThinUsage thin_usage(const GPtrArray *spaces)
{
    guint data = 0, metadata = 0;
    PoolThinUsage thin = {0};

    for (guint i = 0; i < spaces->len; i++) {
        const CstSpaceUsage *space = g_ptr_array_index(spaces, i);
        uint64_t used = space->size / 10000 * space->hundredths +
                        space->size % 10000 * space->hundredths / 10000;

        if (space->kind == CST_SPACE_DATA && (!thin.data_size || space->hundredths > data)) {
            data = space->hundredths;
            thin.data_size = space->size;
            thin.data_used = used;
        }
        if (space->kind == CST_SPACE_METADATA &&
            (!thin.metadata_size || space->hundredths > metadata)) {
            metadata = space->hundredths;
            thin.metadata_size = space->size;
            thin.metadata_used = used;
        }
    }
    return thin;
}

void pool_read_thin(CstPool *pool, CstPoolState *state)
{
    g_autoptr(GPtrArray) spaces = cst_pool_state_space_usage(state, NULL);

    if (!spaces)
        return;
    g_mutex_lock(&pool->lock);
    if (pool_state_is_current(pool, state))
        pool->thin = thin_usage(spaces);
    g_mutex_unlock(&pool->lock);
}

void pool_check_space(CstPool *pool, CstPoolState *state)
{
    g_autoptr(GPtrArray) spaces = NULL;
    g_autoptr(GPtrArray) warnings = NULL;
    gboolean current;

    if (pool->service->mode != CST_SERVICE_DAEMON)
        return;
    /*
     * Ignore errors: the next check queries again, and the pool's problem reports storage that does
     * not answer.
     */
    spaces = cst_pool_state_space_usage(state, NULL);
    if (!spaces)
        return;
    g_mutex_lock(&pool->lock);
    current = pool_state_is_current(pool, state);
    if (current) {
        pool->limited_spaces = spaces->len;
        pool->thin = thin_usage(spaces);
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

CstRoom pool_room(CstPoolState *state)
{
    CstPoolUsage usage = CST_POOL_USAGE_UNKNOWN;

    if (!cst_pool_state_holds_images(state) || !cst_pool_state_usage(state, &usage, NULL))
        return (CstRoom){0};
    return usage.room;
}

gboolean pool_check_room(CstPool *pool, CstPoolState *state, const char *name,
                         const SpaceCopy *copy, CstTask *task, GError **error)
{
    uint64_t needed = copy->whole ? copy->capacity : 0;
    CstRoom room;

    if (!copy->from && !copy->whole)
        return TRUE;
    /* Ignore storage that does not answer, because the copy itself will fail. */
    room = pool_room(state);
    if (!room.known)
        return TRUE;
    if (copy->from && !cst_room_check_copy(&room, copy->from, copy->whole, task, &needed, error))
        return FALSE;
    return needed <= room.bytes || cst_room_fail_pool(name, pool->name, needed, room.bytes, error);
}
