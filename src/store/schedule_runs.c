/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The history of runs of schedules, and the copies that they made. */
#include <inttypes.h>

#include <base/error.h>
#include <base/i18n.h>

#include "schedules_private.h"

/* CST_SCHEDULE_RUNNING, as the index of the schema has it. */
#define UNDER_WAY "0"
#define OF_NAME   " schedule = (SELECT uuid FROM schedules WHERE name = ?1)"

G_STATIC_ASSERT(CST_SCHEDULE_RUNNING == 0);

/* --- begin ------------------------------------------------------------------------------------ */

typedef struct {
    CstScheduleRun *run;
    int64_t handled;
    const CstScheduleJobs *jobs;
} Begin;

/*
 * Makes the planned time of run @id due again, unless the run was manual or has made good another
 * interrupted run of this time.
 */
static gboolean run_make_due(CstSchedules *schedules, int64_t id, GError **error)
{
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &schedules->database,
        "UPDATE schedules SET handled = (SELECT planned FROM runs WHERE id = ?1) - 1"
        " WHERE uuid = (SELECT schedule FROM runs WHERE id = ?1 AND NOT manual)"
        " AND handled = (SELECT planned FROM runs WHERE id = ?1)"
        " AND NOT EXISTS (SELECT 1 FROM runs other, runs this WHERE this.id = ?1"
        " AND other.schedule = this.schedule AND other.planned = this.planned"
        " AND other.id < ?1)",
        error);

    if (!statement)
        return FALSE;
    sqlite3_bind_int64(statement, 1, id);
    return database_run(&schedules->database, statement, error);
}

static gboolean run_mark_interrupted(CstSchedules *schedules, int64_t id, GError **error)
{
    g_autoptr(DatabaseStatement) mark =
        database_prepare(&schedules->database, "UPDATE runs SET state = ?2 WHERE id = ?1", error);

    if (!mark)
        return FALSE;
    sqlite3_bind_int64(mark, 1, id);
    sqlite3_bind_int(mark, 2, CST_SCHEDULE_INTERRUPTED);
    return database_run(&schedules->database, mark, error) && run_make_due(schedules, id, error);
}

/* Marks the runs under way after the end of their job. @name NULL: of all schedules. */
static gboolean runs_mark_interrupted(CstSchedules *schedules, const char *name,
                                      const CstScheduleJobs *jobs, GError **error)
{
    g_autoptr(DatabaseStatement) find =
        database_prepare(&schedules->database,
                         "SELECT id, job, name FROM runs JOIN schedules ON uuid = schedule"
                         " WHERE state = " UNDER_WAY " AND (?1 IS NULL OR name = ?1)",
                         error);
    g_autoptr(GArray) ended = g_array_new(FALSE, FALSE, sizeof(int64_t));
    int result;

    if (!find)
        return FALSE;
    database_bind_text(find, 1, name);
    while ((result = sqlite3_step(find)) == SQLITE_ROW) {
        uint64_t job = (uint64_t)sqlite3_column_int64(find, 1);
        int64_t id = sqlite3_column_int64(find, 0);

        if (!jobs->runs(job, jobs->data)) {
            g_array_append_val(ended, id);
            g_ptr_array_add(jobs->interrupted, database_column_text(find, 2));
        } else if (name) {
            return cst_fail(error, CST_ERROR_BUSY, _("schedule '%s' is running as job %" PRIu64),
                            name, job);
        }
    }
    if (result != SQLITE_DONE)
        return database_fail(&schedules->database, error);
    for (guint i = 0; i < ended->len; i++)
        if (!run_mark_interrupted(schedules, g_array_index(ended, int64_t, i), error))
            return FALSE;
    return TRUE;
}

static gboolean run_insert(CstSchedules *schedules, CstScheduleRun *run, GError **error)
{
    g_autoptr(DatabaseStatement) insert = database_prepare(
        &schedules->database,
        "INSERT INTO runs (schedule, planned, began, ended, state, manual, job, made, removed,"
        " consistency) SELECT uuid, ?2, ?3, 0, ?4, ?5, ?6, 0, 0, 0 FROM schedules WHERE name = ?1",
        error);

    if (!insert)
        return FALSE;
    database_bind_text(insert, 1, run->schedule);
    sqlite3_bind_int64(insert, 2, run->planned);
    sqlite3_bind_int64(insert, 3, run->began);
    sqlite3_bind_int(insert, 4, CST_SCHEDULE_RUNNING);
    sqlite3_bind_int(insert, 5, run->manual);
    sqlite3_bind_int64(insert, 6, (sqlite3_int64)run->job);
    if (!database_run(&schedules->database, insert, error))
        return FALSE;
    if (sqlite3_changes(schedules->database.db) == 0)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no schedule '%s'"), run->schedule);
    run->id = sqlite3_last_insert_rowid(schedules->database.db);
    run->state = CST_SCHEDULE_RUNNING;
    return TRUE;
}

/* Removes the oldest runs of the schedule. */
static gboolean runs_trim(CstSchedules *schedules, const char *name, GError **error)
{
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &schedules->database,
        "DELETE FROM runs WHERE" OF_NAME " AND id <= (SELECT id FROM runs WHERE" OF_NAME
        " ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        error);

    if (!statement)
        return FALSE;
    database_bind_text(statement, 1, name);
    sqlite3_bind_int(statement, 2, CST_SCHEDULE_RUNS_KEPT);
    return database_run(&schedules->database, statement, error);
}

/* Fails if another run has handled this time since. */
static gboolean set_handled(CstSchedules *schedules, const char *name, int64_t handled,
                            GError **error)
{
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &schedules->database,
        "UPDATE schedules SET handled = ?2 WHERE name = ?1 AND (handled < ?2 OR handled > ?2 + ?3)",
        error);

    if (!statement)
        return FALSE;
    database_bind_text(statement, 1, name);
    sqlite3_bind_int64(statement, 2, handled);
    sqlite3_bind_int64(statement, 3, CST_SCHEDULE_AHEAD_S);
    if (!database_run(&schedules->database, statement, error))
        return FALSE;
    return sqlite3_changes(schedules->database.db) > 0 ||
           cst_fail(error, CST_ERROR_BUSY, _("another run of schedule '%s' has handled this time"),
                    name);
}

static gboolean begin_in_transaction(gpointer owner, gpointer data, GError **error)
{
    CstSchedules *schedules = owner;
    Begin *begin = data;
    const char *name = begin->run->schedule;

    return runs_mark_interrupted(schedules, name, begin->jobs, error) &&
           run_insert(schedules, begin->run, error) && runs_trim(schedules, name, error) &&
           (!begin->handled || set_handled(schedules, name, begin->handled, error));
}

gboolean cst_schedules_begin(CstSchedules *schedules, CstScheduleRun *run, int64_t handled,
                             const CstScheduleJobs *jobs, GError **error)
{
    Begin begin = {.run = run, .handled = handled, .jobs = jobs};

    return database_transaction(&schedules->database, begin_in_transaction, schedules, &begin,
                                error);
}

/* --- end and history -------------------------------------------------------------------------- */

gboolean cst_schedules_end(CstSchedules *schedules, const CstScheduleRun *run, GError **error)
{
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &schedules->database,
        "UPDATE runs SET ended = ?2, state = ?3, made = ?4, removed = ?5, consistency = ?6,"
        " message = ?7 WHERE id = ?1 AND state = ?8"
        " AND schedule = (SELECT uuid FROM schedules WHERE name = ?9)",
        error);

    if (!statement)
        return FALSE;
    sqlite3_bind_int64(statement, 1, run->id);
    sqlite3_bind_int64(statement, 2, run->ended);
    sqlite3_bind_int(statement, 3, (int)run->state);
    sqlite3_bind_int64(statement, 4, run->made);
    sqlite3_bind_int64(statement, 5, run->removed);
    sqlite3_bind_int64(statement, 6, run->consistency);
    database_bind_text(statement, 7, run->message);
    sqlite3_bind_int(statement, 8, CST_SCHEDULE_RUNNING);
    database_bind_text(statement, 9, run->schedule);
    if (!database_run(&schedules->database, statement, error))
        return FALSE;
    return sqlite3_changes(schedules->database.db) > 0 ||
           cst_fail(error, CST_ERROR_NOT_FOUND, _("schedule '%s' has no run %" PRId64 " under way"),
                    run->schedule, run->id);
}

static gboolean mark_in_transaction(gpointer schedules, gpointer data, GError **error)
{
    return runs_mark_interrupted(schedules, NULL, data, error);
}

/* Most calls find no run under way, and need no transaction for writing. */
static gboolean runs_are_under_way(CstSchedules *schedules, gboolean *ret_yes, GError **error)
{
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &schedules->database, "SELECT 1 FROM runs WHERE state = " UNDER_WAY " LIMIT 1", error);
    int result = statement ? sqlite3_step(statement) : SQLITE_ERROR;

    *ret_yes = result == SQLITE_ROW;
    return *ret_yes || result == SQLITE_DONE ||
           (statement && database_fail(&schedules->database, error));
}

gboolean cst_schedules_mark_interrupted(CstSchedules *schedules, const CstScheduleJobs *jobs,
                                        GError **error)
{
    gboolean under_way;

    return runs_are_under_way(schedules, &under_way, error) &&
           (!under_way || database_transaction(&schedules->database, mark_in_transaction, schedules,
                                               (gpointer)jobs, error));
}

static CstScheduleRun *run_read(sqlite3_stmt *statement)
{
    CstScheduleRun *run = g_new0(CstScheduleRun, 1);

    *run = (CstScheduleRun){
        .id = sqlite3_column_int64(statement, 0),
        .schedule = database_column_text(statement, 1),
        .planned = sqlite3_column_int64(statement, 2),
        .began = sqlite3_column_int64(statement, 3),
        .ended = sqlite3_column_int64(statement, 4),
        .state = (CstScheduleState)sqlite3_column_int(statement, 5),
        .manual = sqlite3_column_int(statement, 6) != 0,
        .job = (uint64_t)sqlite3_column_int64(statement, 7),
        .made = (uint32_t)sqlite3_column_int64(statement, 8),
        .removed = (uint32_t)sqlite3_column_int64(statement, 9),
        .consistency = (uint32_t)sqlite3_column_int64(statement, 10),
        .message = database_column_text(statement, 11),
    };
    return run;
}

GPtrArray *cst_schedules_history(CstSchedules *schedules, const char *name, int64_t before,
                                 guint max, GError **error)
{
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_run_free);
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &schedules->database,
        "SELECT id, schedules.name, planned, began, ended, state, manual, job, made, removed,"
        " consistency, message FROM runs JOIN schedules ON uuid = schedule"
        " WHERE (?1 IS NULL OR schedules.name = ?1) AND (?2 = 0 OR id < ?2)"
        " ORDER BY id DESC LIMIT ?3",
        error);
    int result;

    if (!statement)
        return NULL;
    database_bind_text(statement, 1, name);
    sqlite3_bind_int64(statement, 2, before);
    sqlite3_bind_int64(statement, 3, max);
    while ((result = sqlite3_step(statement)) == SQLITE_ROW)
        g_ptr_array_add(rows, run_read(statement));
    if (result == SQLITE_DONE)
        return g_steal_pointer(&rows);
    database_fail(&schedules->database, error);
    return NULL;
}

/* --- copies ----------------------------------------------------------------------------------- */

GPtrArray *cst_schedules_copies(CstSchedules *schedules, const char *name, int64_t after, guint max,
                                GError **error)
{
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_copy_free);
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &schedules->database,
        "SELECT id, place, pool, volume, name, time, created FROM copies WHERE" OF_NAME
        " AND id > ?2 ORDER BY id LIMIT ?3",
        error);
    int result;

    if (!statement)
        return NULL;
    database_bind_text(statement, 1, name);
    sqlite3_bind_int64(statement, 2, after);
    sqlite3_bind_int64(statement, 3, max);
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        CstScheduleCopy *copy = g_new0(CstScheduleCopy, 1);

        *copy = (CstScheduleCopy){
            .id = sqlite3_column_int64(statement, 0),
            .place = database_column_text(statement, 1),
            .pool = database_column_text(statement, 2),
            .volume = database_column_text(statement, 3),
            .name = database_column_text(statement, 4),
            .time = sqlite3_column_int64(statement, 5),
            .created = sqlite3_column_int64(statement, 6),
        };
        g_ptr_array_add(rows, copy);
    }
    if (result == SQLITE_DONE)
        return g_steal_pointer(&rows);
    database_fail(&schedules->database, error);
    return NULL;
}

typedef struct {
    const char *name;
    const GPtrArray *copies;
} SetCopies;

static gboolean set_copy_fail(const char *name, int64_t id, GError **error)
{
    return id == 0 ? cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no schedule '%s'"), name)
                   : cst_fail(error, CST_ERROR_NOT_FOUND, _("schedule '%s' has no copy %" PRId64),
                              name, id);
}

/* An id of 0 is replaced by the next free one. The id of another schedule's copy is not found. */
static gboolean set_copies_in_transaction(gpointer owner, gpointer data, GError **error)
{
    CstSchedules *schedules = owner;
    const SetCopies *set = data;
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &schedules->database,
        "INSERT INTO copies (id, schedule, place, pool, volume, name, time, created)"
        " SELECT nullif(?2, 0), uuid, ?3, ?4, ?5, ?6, ?7, ?8 FROM schedules WHERE name = ?1"
        " ON CONFLICT (id) DO UPDATE SET place = ?3, pool = ?4, volume = ?5, name = ?6, time = ?7,"
        " created = ?8 WHERE schedule = excluded.schedule",
        error);

    for (guint i = 0; statement && i < set->copies->len; i++) {
        CstScheduleCopy *copy = set->copies->pdata[i];

        database_bind_text(statement, 1, set->name);
        sqlite3_bind_int64(statement, 2, copy->id);
        database_bind_text(statement, 3, copy->place);
        database_bind_text(statement, 4, copy->pool);
        database_bind_text(statement, 5, copy->volume);
        database_bind_text(statement, 6, copy->name);
        sqlite3_bind_int64(statement, 7, copy->time);
        sqlite3_bind_int64(statement, 8, copy->created);
        if (!database_run(&schedules->database, statement, error))
            return FALSE;
        if (sqlite3_changes(schedules->database.db) == 0)
            return set_copy_fail(set->name, copy->id, error);
        if (copy->id == 0)
            copy->id = sqlite3_last_insert_rowid(schedules->database.db);
    }
    return statement != NULL;
}

gboolean cst_schedules_set_copies(CstSchedules *schedules, const char *name,
                                  const GPtrArray *copies, GError **error)
{
    SetCopies set = {name, copies};

    return database_transaction(&schedules->database, set_copies_in_transaction, schedules, &set,
                                error);
}

typedef struct {
    const int64_t *ids;
    guint count;
} ForgetCopies;

static gboolean forget_in_transaction(gpointer owner, gpointer data, GError **error)
{
    CstSchedules *schedules = owner;
    const ForgetCopies *forget = data;
    g_autoptr(DatabaseStatement) statement =
        database_prepare(&schedules->database, "DELETE FROM copies WHERE id = ?1", error);

    for (guint i = 0; statement && i < forget->count; i++) {
        sqlite3_bind_int64(statement, 1, forget->ids[i]);
        if (!database_run(&schedules->database, statement, error))
            return FALSE;
    }
    return statement != NULL;
}

gboolean cst_schedules_forget_copies(CstSchedules *schedules, const int64_t *ids, guint count,
                                     GError **error)
{
    ForgetCopies forget = {ids, count};

    return database_transaction(&schedules->database, forget_in_transaction, schedules, &forget,
                                error);
}

gboolean cst_schedules_rename_volume(const CstPaths *paths, const char *pool, const char *volume,
                                     const char *new_pool, const char *new_volume, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(CstSchedules) schedules = cst_schedules_open_existing(paths, &why);
    g_autoptr(DatabaseStatement) statement = NULL;

    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (!schedules)
        return TRUE;
    statement = database_prepare(&schedules->database,
                                 "UPDATE copies SET pool = ?3, volume = ?4"
                                 " WHERE place = '' AND pool = ?1 AND volume = ?2",
                                 error);
    if (!statement)
        return FALSE;
    database_bind_text(statement, 1, pool);
    database_bind_text(statement, 2, volume);
    database_bind_text(statement, 3, new_pool);
    database_bind_text(statement, 4, new_volume);
    return database_run(&schedules->database, statement, error);
}
