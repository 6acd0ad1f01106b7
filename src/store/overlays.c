/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table "overlays": one row for each reference of an image to its backing or data file. Both
 * the path of the base and its identity (inode, birth time) are indexed. So a query for the
 * overlays of one base costs the same with one row and with a hundred thousand.
 *
 * CstDeclarations.lock serialises all use of the connection.
 */
#include <store/overlays.h>

#include "declarations_db.h"

CstOverlay *cst_overlay_new(const char *dir, const char *volume, const char *path,
                            const CstFileId *base)
{
    CstOverlay *overlay = g_new0(CstOverlay, 1);

    overlay->dir = g_strdup(dir);
    overlay->volume = g_strdup(volume);
    overlay->path = g_strdup(path);
    overlay->base = *base;
    return overlay;
}

void cst_overlay_free(CstOverlay *overlay)
{
    if (!overlay)
        return;
    g_free(overlay->dir);
    g_free(overlay->volume);
    g_free(overlay->path);
    g_free(overlay);
}

/* Collects the rows of @statement, which has its parameters bound. Returns NULL with an error. */
static GPtrArray *collect_overlays(CstDeclarations *declarations, sqlite3_stmt *statement,
                                   GError **error)
{
    g_autoptr(GPtrArray) overlays =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_overlay_free);
    int result;

    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        const CstFileId base = {.inode = (uint64_t)sqlite3_column_int64(statement, 3),
                                .btime_ns = sqlite3_column_int64(statement, 4)};

        g_ptr_array_add(overlays,
                        cst_overlay_new((const char *)sqlite3_column_text(statement, 0),
                                        (const char *)sqlite3_column_text(statement, 1),
                                        (const char *)sqlite3_column_text(statement, 2), &base));
    }
    sqlite3_reset(statement);
    if (result == SQLITE_DONE)
        return g_steal_pointer(&overlays);
    db_fail(declarations, error);
    return NULL;
}

GPtrArray *cst_overlays_of_dir(CstDeclarations *declarations, const char *dir, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    sqlite3_stmt *statement;

    if (!db_open(declarations, error))
        return NULL;
    statement = db_use(declarations, SQL_OVERLAYS_OF_DIR);
    database_bind_text(statement, 1, dir);
    return collect_overlays(declarations, statement, error);
}

GPtrArray *cst_overlays_of_volume(CstDeclarations *declarations, const char *dir,
                                  const char *volume, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    sqlite3_stmt *statement;

    if (!db_open(declarations, error))
        return NULL;
    statement = db_use(declarations, SQL_OVERLAYS_OF_VOLUME);
    database_bind_text(statement, 1, dir);
    database_bind_text(statement, 2, volume);
    return collect_overlays(declarations, statement, error);
}

GPtrArray *cst_overlays_on(CstDeclarations *declarations, const char *path, const CstFileId *base,
                           GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    sqlite3_stmt *statement;

    if (!db_open(declarations, error))
        return NULL;
    statement = db_use(declarations, SQL_OVERLAYS_ON);
    database_bind_text(statement, 1, path);
    db_bind_id(statement, 2, base);
    return collect_overlays(declarations, statement, error);
}

static gboolean remove_overlay(CstDeclarations *declarations, const CstOverlay *overlay,
                               GError **error)
{
    sqlite3_stmt *statement = db_use(declarations, SQL_REMOVE_OVERLAY);

    database_bind_text(statement, 1, overlay->dir);
    database_bind_text(statement, 2, overlay->volume);
    database_bind_text(statement, 3, overlay->path);
    return db_run(declarations, statement, error);
}

static gboolean add_overlay(CstDeclarations *declarations, const CstOverlay *overlay,
                            GError **error)
{
    sqlite3_stmt *statement = db_use(declarations, SQL_ADD_OVERLAY);

    database_bind_text(statement, 1, overlay->dir);
    database_bind_text(statement, 2, overlay->volume);
    database_bind_text(statement, 3, overlay->path);
    db_bind_id(statement, 4, &overlay->base);
    return db_run(declarations, statement, error);
}

gboolean cst_overlays_change(CstDeclarations *declarations, const GPtrArray *removed,
                             const GPtrArray *added, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    gboolean done = TRUE;

    if (!db_open(declarations, error) || !db_begin(declarations, error))
        return FALSE;
    for (guint i = 0; done && i < removed->len; i++)
        done = remove_overlay(declarations, g_ptr_array_index(removed, i), error);
    for (guint i = 0; done && i < added->len; i++)
        done = add_overlay(declarations, g_ptr_array_index(added, i), error);
    return db_commit(declarations, done, error);
}
