/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The database of mutes. Each change is one statement, and so one transaction. */
#include <store/doctor_mutes.h>

#include <errno.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

#include "database.h"

static const char schema[] = "CREATE TABLE IF NOT EXISTS mutes ("
                             "  id TEXT NOT NULL, object TEXT NOT NULL, severity INTEGER NOT NULL,"
                             "  until INTEGER NOT NULL, PRIMARY KEY (id, object)) WITHOUT ROWID;";

static char *mutes_path(const CstPaths *paths)
{
    return g_build_filename(paths->data_dir, "doctor.db", NULL);
}

static gboolean mutes_open(const CstPaths *paths, Database *database, GError **error)
{
    *database = (Database){
        .dir = g_strdup(paths->data_dir),
        .path = mutes_path(paths),
        .schema = schema,
        .version = "1",
        .durable = TRUE,
    };
    return database_open(database, error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Database, database_clear)

GPtrArray *cst_doctor_mutes_list(const CstPaths *paths, int64_t now, GError **error)
{
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_doctor_mute_free);
    g_autofree char *path = mutes_path(paths);
    g_auto(Database) database = {0};
    sqlite3_stmt *statement;
    int result;

    if (access(path, F_OK) < 0 && errno == ENOENT)
        return g_steal_pointer(&rows);
    if (!mutes_open(paths, &database, error))
        return NULL;
    statement = database_prepare(&database,
                                 "SELECT id, object, severity, until FROM mutes WHERE until > ?1"
                                 " ORDER BY id, object",
                                 error);
    if (!statement)
        return NULL;
    sqlite3_bind_int64(statement, 1, now);
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        CstDoctorMute *mute = g_new0(CstDoctorMute, 1);

        *mute = (CstDoctorMute){
            .id = database_column_text(statement, 0),
            .object = database_column_text(statement, 1),
            .severity = (CstSeverity)CLAMP(sqlite3_column_int(statement, 2), CST_SEVERITY_NOTE,
                                           CST_SEVERITY_ERROR),
            .until = sqlite3_column_int64(statement, 3),
        };
        g_ptr_array_add(rows, mute);
    }
    sqlite3_finalize(statement);
    return result == SQLITE_DONE || database_fail(&database, error) ? g_steal_pointer(&rows) : NULL;
}

/* Runs @statement with its bound values, and finalizes it. */
static gboolean mutes_execute(const Database *database, sqlite3_stmt *statement, GError **error)
{
    gboolean done = database_run(database, statement, error);

    sqlite3_finalize(statement);
    return done;
}

static gboolean mutes_remove_ended(const Database *database, int64_t now, GError **error)
{
    sqlite3_stmt *statement =
        database_prepare(database, "DELETE FROM mutes WHERE until <= ?1", error);

    if (!statement)
        return FALSE;
    sqlite3_bind_int64(statement, 1, now);
    return mutes_execute(database, statement, error);
}

gboolean cst_doctor_mutes_set(const CstPaths *paths, const CstDoctorMute *mute, int64_t now,
                              GError **error)
{
    g_auto(Database) database = {0};
    sqlite3_stmt *statement;

    if (!mutes_open(paths, &database, error) || !mutes_remove_ended(&database, now, error))
        return FALSE;
    statement = database_prepare(
        &database,
        "INSERT INTO mutes (id, object, severity, until) SELECT ?1, ?2, ?3, ?4"
        " WHERE (SELECT count(*) FROM mutes) < " G_STRINGIFY(
            CST_DOCTOR_MUTES_MAX) " OR EXISTS (SELECT 1 FROM mutes WHERE id = ?1 AND object = ?2)"
                                  " ON CONFLICT (id, object) DO UPDATE SET severity = ?3, until = "
                                  "?4",
        error);
    if (!statement)
        return FALSE;
    database_bind_text(statement, 1, mute->id);
    database_bind_text(statement, 2, mute->object);
    sqlite3_bind_int(statement, 3, (int)mute->severity);
    sqlite3_bind_int64(statement, 4, mute->until);
    return mutes_execute(&database, statement, error) &&
           (sqlite3_changes(database.db) > 0 ||
            cst_fail(error, CST_ERROR_LIMIT, _("there are %d mutes already"),
                     CST_DOCTOR_MUTES_MAX));
}

static gboolean mutes_fail_not_found(const char *id, const char *object, GError **error)
{
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no mute of '%s%s%s'"), id,
                    *object ? ":" : "", object);
}

gboolean cst_doctor_mutes_remove(const CstPaths *paths, const char *id, const char *object,
                                 GError **error)
{
    g_autofree char *path = mutes_path(paths);
    g_auto(Database) database = {0};
    sqlite3_stmt *statement;

    if (access(path, F_OK) < 0 && errno == ENOENT)
        return mutes_fail_not_found(id, object, error);
    if (!mutes_open(paths, &database, error))
        return FALSE;
    statement =
        database_prepare(&database, "DELETE FROM mutes WHERE id = ?1 AND object = ?2", error);
    if (!statement)
        return FALSE;
    database_bind_text(statement, 1, id);
    database_bind_text(statement, 2, object);
    return mutes_execute(&database, statement, error) &&
           (sqlite3_changes(database.db) > 0 || mutes_fail_not_found(id, object, error));
}
