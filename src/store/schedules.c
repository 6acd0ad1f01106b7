/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The database of schedules: their definitions, and the connection that all its files share. */
#include "schedules_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS schedules ("
    "  uuid TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, every TEXT NOT NULL,"
    "  action TEXT NOT NULL, selectors TEXT NOT NULL, options TEXT NOT NULL,"
    "  last INTEGER NOT NULL, hourly INTEGER NOT NULL, daily INTEGER NOT NULL,"
    "  weekly INTEGER NOT NULL, monthly INTEGER NOT NULL, yearly INTEGER NOT NULL,"
    "  minimum INTEGER NOT NULL, paused INTEGER NOT NULL,"
    "  created INTEGER NOT NULL, handled INTEGER NOT NULL) WITHOUT ROWID;"
    /* AUTOINCREMENT: the id of a removed run is not used again. */
    "CREATE TABLE IF NOT EXISTS runs ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, schedule TEXT NOT NULL, planned INTEGER NOT NULL,"
    "  began INTEGER NOT NULL, ended INTEGER NOT NULL, state INTEGER NOT NULL,"
    "  manual INTEGER NOT NULL, job INTEGER NOT NULL, made INTEGER NOT NULL,"
    "  removed INTEGER NOT NULL, consistency INTEGER NOT NULL, message TEXT);"
    "CREATE INDEX IF NOT EXISTS runs_by_schedule ON runs (schedule, id);"
    "CREATE INDEX IF NOT EXISTS runs_under_way ON runs (id) WHERE state = 0;"
    "CREATE TABLE IF NOT EXISTS copies ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, schedule TEXT NOT NULL, place TEXT NOT NULL,"
    "  pool TEXT NOT NULL, volume TEXT NOT NULL, name TEXT NOT NULL,"
    "  time INTEGER NOT NULL, created INTEGER NOT NULL);"
    "CREATE INDEX IF NOT EXISTS copies_by_schedule ON copies (schedule, time);"
    "CREATE INDEX IF NOT EXISTS copies_by_volume ON copies (pool, volume);";

#define SCHEMA_VERSION "1"

#define COLUMNS                                                                             \
    "uuid, name, every, action, selectors, options, last, hourly, daily, weekly, monthly, " \
    "yearly, minimum, paused, created, handled"

/* --- the connection --------------------------------------------------------------------------- */

static char *schedules_path(const CstPaths *paths)
{
    return g_build_filename(paths->data_dir, "schedules.db", NULL);
}

CstSchedules *cst_schedules_open(const CstPaths *paths, GError **error)
{
    g_autoptr(CstSchedules) schedules = g_new0(CstSchedules, 1);

    schedules->database = (Database){
        .dir = g_strdup(paths->data_dir),
        .path = schedules_path(paths),
        .schema = schema,
        .version = SCHEMA_VERSION,
        .durable = TRUE,
    };
    return database_open(&schedules->database, error) ? g_steal_pointer(&schedules) : NULL;
}

CstSchedules *cst_schedules_open_existing(const CstPaths *paths, GError **error)
{
    g_autofree char *path = schedules_path(paths);

    if (access(path, F_OK) < 0 && errno == ENOENT)
        return NULL;
    return cst_schedules_open(paths, error);
}

char *cst_schedules_stamp(const CstPaths *paths)
{
    g_autofree char *path = schedules_path(paths);

    return database_stamp(path);
}

void cst_schedules_close(CstSchedules *schedules)
{
    if (!schedules)
        return;
    database_clear(&schedules->database);
    g_free(schedules);
}

/* --- definitions ------------------------------------------------------------------------------ */

static gboolean fail_not_found(const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no schedule '%s'"), name);
}

/* The texts of a list have no line break (cst_schedule_check()). */
static GStrv column_list(sqlite3_stmt *statement, int index)
{
    g_autofree char *text = database_column_text(statement, index);

    return text && *text ? g_strsplit(text, "\n", -1) : g_new0(char *, 1);
}

static unsigned column_count(sqlite3_stmt *statement, int index)
{
    return (unsigned)CLAMP(sqlite3_column_int64(statement, index), 0, CST_SCHEDULE_KEEP_MAX);
}

/* Returns NULL if the row is not one that this program has written. */
static CstSchedule *schedule_read(sqlite3_stmt *statement)
{
    g_autoptr(CstSchedule) schedule = g_new0(CstSchedule, 1);
    g_autofree char *uuid = database_column_text(statement, 0);
    g_autofree char *action = database_column_text(statement, 3);

    schedule->name = database_column_text(statement, 1);
    schedule->every = database_column_text(statement, 2);
    schedule->on = column_list(statement, 4);
    schedule->options = column_list(statement, 5);
    schedule->keep = (CstRetention){column_count(statement, 6),  column_count(statement, 7),
                                    column_count(statement, 8),  column_count(statement, 9),
                                    column_count(statement, 10), column_count(statement, 11)};
    schedule->keep_min = column_count(statement, 12);
    schedule->paused = sqlite3_column_int(statement, 13) != 0;
    schedule->created = sqlite3_column_int64(statement, 14);
    schedule->handled = sqlite3_column_int64(statement, 15);
    if (!uuid || !action || !schedule->name || !schedule->every ||
        !cst_uuid_parse(uuid, &schedule->uuid) ||
        !cst_schedule_action_parse(action, &schedule->action))
        return NULL;
    return g_steal_pointer(&schedule);
}

/* Appends the schedules of a query to @rows. */
static gboolean schedules_read(CstSchedules *schedules, sqlite3_stmt *statement, GPtrArray *rows,
                               GError **error)
{
    int result;

    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        CstSchedule *schedule = schedule_read(statement);

        if (schedule)
            g_ptr_array_add(rows, schedule);
    }
    return result == SQLITE_DONE || database_fail(&schedules->database, error);
}

GPtrArray *cst_schedules_list(CstSchedules *schedules, GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_free);
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &schedules->database, "SELECT " COLUMNS " FROM schedules ORDER BY name", error);

    return statement && schedules_read(schedules, statement, rows, error) ? g_steal_pointer(&rows)
                                                                          : NULL;
}

CstSchedule *cst_schedules_find(CstSchedules *schedules, const char *name, GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_free);
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &schedules->database, "SELECT " COLUMNS " FROM schedules WHERE name = ?1", error);

    if (!statement)
        return NULL;
    database_bind_text(statement, 1, name);
    if (!schedules_read(schedules, statement, rows, error))
        return NULL;
    if (rows->len == 0) {
        fail_not_found(name, error);
        return NULL;
    }
    return g_ptr_array_steal_index(rows, 0);
}

/* Binds the columns 1 to 14, and keeps the texts in @texts until the statement was executed. */
static void schedule_bind(sqlite3_stmt *statement, const CstSchedule *schedule, GPtrArray *texts)
{
    const CstRetention *keep = &schedule->keep;
    const unsigned counts[] = {keep->last,    keep->hourly, keep->daily,       keep->weekly,
                               keep->monthly, keep->yearly, schedule->keep_min};
    char uuid[CST_UUID_TEXT_LEN];

    g_ptr_array_add(texts, g_strdup(cst_uuid_format(&schedule->uuid, uuid)));
    g_ptr_array_add(texts, g_strdup(schedule->name));
    g_ptr_array_add(texts, g_strdup(schedule->every));
    g_ptr_array_add(texts, g_strdup(cst_schedule_action_word((int)schedule->action)));
    g_ptr_array_add(texts, g_strjoinv("\n", schedule->on));
    g_ptr_array_add(texts, g_strjoinv("\n", schedule->options));
    for (guint i = 0; i < texts->len; i++)
        database_bind_text(statement, (int)i + 1, texts->pdata[i]);
    for (guint i = 0; i < G_N_ELEMENTS(counts); i++)
        sqlite3_bind_int64(statement, (int)(texts->len + i) + 1, counts[i]);
    sqlite3_bind_int(statement, 14, schedule->paused);
}

/* Executes a change of @schedule. *ret_changed: the number of rows. */
static gboolean schedule_execute(CstSchedules *schedules, const char *sql,
                                 const CstSchedule *schedule, int *ret_changed, GError **error)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(DatabaseStatement) statement = database_prepare(&schedules->database, sql, error);
    int result;

    if (!statement)
        return FALSE;
    schedule_bind(statement, schedule, texts);
    sqlite3_bind_int64(statement, 15, schedule->created);
    sqlite3_bind_int64(statement, 16, schedule->handled);
    result = sqlite3_step(statement);
    *ret_changed = sqlite3_changes(schedules->database.db);
    if (result == SQLITE_CONSTRAINT)
        return cst_fail(error, CST_ERROR_EXISTS, _("schedule '%s' exists already"), schedule->name);
    return result == SQLITE_DONE || database_fail(&schedules->database, error);
}

gboolean cst_schedules_add(CstSchedules *schedules, const CstSchedule *schedule, GError **error)
{
    int changed = 0;

    if (!schedule_execute(
            schedules,
            "INSERT INTO schedules (" COLUMNS ") SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7,"
            " ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16"
            " WHERE (SELECT count(*) FROM schedules) < " G_STRINGIFY(CST_SCHEDULES_MAX),
            schedule, &changed, error))
        return FALSE;
    return changed > 0 ||
           cst_fail(error, CST_ERROR_LIMIT, _("there are %d schedules already"), CST_SCHEDULES_MAX);
}

gboolean cst_schedules_change(CstSchedules *schedules, const CstSchedule *schedule, GError **error)
{
    int changed = 0;

    if (!schedule_execute(schedules,
                          "UPDATE schedules SET name = ?2, every = ?3, action = ?4, selectors = ?5,"
                          " options = ?6, last = ?7, hourly = ?8, daily = ?9, weekly = ?10,"
                          " monthly = ?11, yearly = ?12, minimum = ?13, paused = ?14,"
                          " created = coalesce(created, ?15),"
                          " handled = CASE WHEN every = ?3 THEN handled ELSE ?16 END"
                          " WHERE uuid = ?1",
                          schedule, &changed, error))
        return FALSE;
    return changed > 0 || fail_not_found(schedule->name, error);
}

static gboolean remove_in_transaction(gpointer owner, gpointer data, GError **error)
{
    CstSchedules *schedules = owner;
    static const char *const texts[] = {
        "DELETE FROM runs WHERE schedule = (SELECT uuid FROM schedules WHERE name = ?1)",
        "DELETE FROM copies WHERE schedule = (SELECT uuid FROM schedules WHERE name = ?1)",
        "DELETE FROM schedules WHERE name = ?1",
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(DatabaseStatement) statement =
            database_prepare(&schedules->database, texts[i], error);

        if (!statement)
            return FALSE;
        database_bind_text(statement, 1, data);
        if (!database_run(&schedules->database, statement, error))
            return FALSE;
    }
    return sqlite3_changes(schedules->database.db) > 0 || fail_not_found(data, error);
}

gboolean cst_schedules_remove(CstSchedules *schedules, const char *name, GError **error)
{
    return database_transaction(&schedules->database, remove_in_transaction, schedules,
                                (gpointer)name, error);
}
