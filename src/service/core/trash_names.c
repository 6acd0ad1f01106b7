/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sorted names of the records in a pool's trash, kept in memory for the pages of a list.
 *
 * The first page of a list needs the names that exist at its beginning. It accepts the kept names
 * while the stamp of the directory is the same (store/trash.h), and reads the directory otherwise.
 * Each later page uses the kept names. They are at least as new as the first page of its list,
 * because only a newer list replaces them. So a list of any length reads the directory once.
 *
 * pool->lock guards the reference, and is not held while the directory is read.
 */
#include "trash_names.h"

#include <string.h>

#include <base/test_point.h>
#include <store/trash.h>

#include "service.h"

/* Returns a reference to the kept names, or NULL. @stamp NULL: of any stamp. */
static GPtrArray *trash_names_kept(CstPool *pool, const char *stamp)
{
    GPtrArray *names = NULL;

    g_mutex_lock(&pool->lock);
    if (pool->trash_names && (!stamp || g_strcmp0(pool->trash_names_stamp, stamp) == 0))
        names = g_ptr_array_ref(pool->trash_names);
    g_mutex_unlock(&pool->lock);
    return names;
}

/* Consumes @stamp. @turn: of pool->trash_names_turn, from before the directory was read. */
static void trash_names_keep(CstPool *pool, GPtrArray *names, char *stamp, guint64 turn)
{
    GPtrArray *old = NULL;

    g_mutex_lock(&pool->lock);
    if (turn > pool->trash_names_kept_turn) {
        old = pool->trash_names;
        pool->trash_names = g_ptr_array_ref(names);
        pool->trash_names_kept_turn = turn;
        g_free(pool->trash_names_stamp);
        pool->trash_names_stamp = g_steal_pointer(&stamp);
    }
    g_mutex_unlock(&pool->lock);
    g_free(stamp);
    g_clear_pointer(&old, g_ptr_array_unref);
}

GPtrArray *trash_names_get(CstPool *pool, gboolean continued, GError **error)
{
    const CstPaths *paths = pool->service->paths;
    g_autofree char *stamp = NULL;
    GPtrArray *names;
    gboolean settled;
    guint64 turn;

    if (!continued)
        stamp = cst_trash_stamp(paths, &pool->uuid, &settled);
    names = trash_names_kept(pool, stamp);
    if (names)
        return names;
    if (!stamp)
        stamp = cst_trash_stamp(paths, &pool->uuid, &settled);
    g_mutex_lock(&pool->lock);
    turn = ++pool->trash_names_turn;
    g_mutex_unlock(&pool->lock);
    names = cst_trash_names(paths, &pool->uuid, error);
    CST_TEST_POINT("trash.names.listed");
    /* A later change may get the same stamp. */
    if (names)
        trash_names_keep(pool, names, settled ? g_steal_pointer(&stamp) : NULL, turn);
    return names;
}
