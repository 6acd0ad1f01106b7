/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log of events. Its size is bounded by age and by number, so that a fault that repeats cannot
 * fill the file system.
 *
 * states has a row for each state that was reported and is not over. sent has a row for each
 * message of a notification rule, so that a rule does not repeat it, also after a restart.
 */
#include <store/events.h>

#include <errno.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

#include "database.h"

static const char schema[] =
    /* AUTOINCREMENT: the id of a dropped event is not used again. */
    "CREATE TABLE IF NOT EXISTS events ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, kind TEXT NOT NULL,"
    "  severity INTEGER NOT NULL, over INTEGER NOT NULL, type TEXT NOT NULL,"
    "  object TEXT NOT NULL, uid INTEGER NOT NULL, message TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS events_by_time ON events (time);"
    "CREATE TABLE IF NOT EXISTS states ("
    "  kind TEXT NOT NULL, type TEXT NOT NULL, object TEXT NOT NULL,"
    "  PRIMARY KEY (kind, type, object)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS rules (name TEXT PRIMARY KEY, after INTEGER NOT NULL) WITHOUT "
    "ROWID;"
    "CREATE TABLE IF NOT EXISTS sent ("
    "  rule TEXT NOT NULL, kind TEXT NOT NULL, type TEXT NOT NULL, object TEXT NOT NULL,"
    "  time INTEGER NOT NULL, PRIMARY KEY (rule, kind, type, object)) WITHOUT ROWID;";

#define SCHEMA_VERSION "1"
#define DAY_US         (INT64_C(86400) * G_USEC_PER_SEC)

struct CstEvents {
    Database database;
};

static char *events_path(const CstPaths *paths)
{
    return g_build_filename(paths->data_dir, "events.db", NULL);
}

CstEvents *cst_events_open(const CstPaths *paths, GError **error)
{
    g_autoptr(CstEvents) events = g_new0(CstEvents, 1);

    events->database = (Database){
        .dir = g_strdup(paths->data_dir),
        .path = events_path(paths),
        .schema = schema,
        .version = SCHEMA_VERSION,
    };
    return database_open(&events->database, error) ? g_steal_pointer(&events) : NULL;
}

CstEvents *cst_events_open_existing(const CstPaths *paths, GError **error)
{
    g_autofree char *path = events_path(paths);

    if (access(path, F_OK) < 0 && errno == ENOENT)
        return NULL;
    return cst_events_open(paths, error);
}

char *cst_events_stamp(const CstPaths *paths)
{
    g_autofree char *path = events_path(paths);

    return database_stamp(path);
}

void cst_events_close(CstEvents *events)
{
    if (!events)
        return;
    database_clear(&events->database);
    g_free(events);
}

/* --- additions -------------------------------------------------------------------------------- */

/* Binds kind, type and object from column @first on. */
static void bind_state(sqlite3_stmt *statement, int first, const CstEventRecord *event)
{
    database_bind_text(statement, first, event->kind);
    database_bind_text(statement, first + 1, event->type);
    database_bind_text(statement, first + 2, event->object);
}

/* Adds or removes the state of @event. *ret_changed: whether the table differs. */
static gboolean state_set(CstEvents *events, const CstEventRecord *event, gboolean *ret_changed,
                          GError **error)
{
    const char *sql = event->over
                          ? "DELETE FROM states WHERE kind = ?1 AND type = ?2 AND object = ?3"
                          : "INSERT OR IGNORE INTO states (kind, type, object) VALUES (?1, ?2, ?3)";
    g_autoptr(DatabaseStatement) statement = database_prepare(&events->database, sql, error);

    if (!statement)
        return FALSE;
    bind_state(statement, 1, event);
    if (!database_run(&events->database, statement, error))
        return FALSE;
    *ret_changed = sqlite3_changes(events->database.db) > 0;
    return TRUE;
}

static gboolean event_insert(CstEvents *events, const CstEventRecord *event, GError **error)
{
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &events->database,
        "INSERT INTO events (kind, type, object, time, severity, over, uid, message)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        error);

    if (!statement)
        return FALSE;
    bind_state(statement, 1, event);
    sqlite3_bind_int64(statement, 4, event->time);
    sqlite3_bind_int(statement, 5, (int)event->severity);
    sqlite3_bind_int(statement, 6, event->over);
    sqlite3_bind_int64(statement, 7, event->uid);
    database_bind_text(statement, 8, event->message);
    return database_run(&events->database, statement, error);
}

static gboolean event_add(CstEvents *events, const CstEventRecord *event, GError **error)
{
    CstEventKind kind;
    CstEventSpan span = cst_event_kind_parse(event->kind, &kind) ? cst_event_kind_info(kind)->span
                                                                 : CST_EVENT_MOMENT;
    gboolean changed = TRUE;

    if (span != CST_EVENT_MOMENT && !state_set(events, event, &changed, error))
        return FALSE;
    if (!changed && (event->over || span == CST_EVENT_LASTS))
        return TRUE;
    return event_insert(events, event, error);
}

/* Returns the objects of all states of @event's kind and type that begin with its object. */
static GPtrArray *state_objects(CstEvents *events, const CstEventRecord *event, GError **error)
{
    g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(DatabaseStatement) statement =
        database_prepare(&events->database,
                         "SELECT object FROM states WHERE kind = ?1 AND type = ?2"
                         " AND substr(object, 1, length(?3)) = ?3 ORDER BY object",
                         error);
    int result;

    if (!statement)
        return NULL;
    bind_state(statement, 1, event);
    while ((result = sqlite3_step(statement)) == SQLITE_ROW)
        g_ptr_array_add(objects, database_column_text(statement, 0));
    if (result == SQLITE_DONE)
        return g_steal_pointer(&objects);
    database_fail(&events->database, error);
    return NULL;
}

/* Adds the ends of all states in a pool. */
static gboolean event_add_ends(CstEvents *events, const CstEventRecord *event, GError **error)
{
    g_autoptr(GPtrArray) objects = state_objects(events, event, error);

    for (guint i = 0; objects && i < objects->len; i++) {
        CstEventRecord end = *event;

        end.object = g_ptr_array_index(objects, i);
        if (!event_add(events, &end, error))
            return FALSE;
    }
    return objects != NULL;
}

/*
 * Drops events that are too old or too many. A write drops at most an hour of old events, so that
 * some writes under a clock that is years ahead do not empty the log.
 */
static gboolean events_trim(CstEvents *events, GError **error)
{
    g_autoptr(DatabaseStatement) statement =
        database_prepare(&events->database,
                         "DELETE FROM events"
                         " WHERE time < min(?1, (SELECT min(time) FROM events) + ?3)"
                         " OR id <= (SELECT max(id) FROM events) - ?2",
                         error);

    if (!statement)
        return FALSE;
    sqlite3_bind_int64(statement, 1, g_get_real_time() - CST_EVENTS_DAYS * DAY_US);
    sqlite3_bind_int64(statement, 2, CST_EVENTS_MAX);
    sqlite3_bind_int64(statement, 3, G_TIME_SPAN_HOUR);
    return database_run(&events->database, statement, error);
}

static gboolean add_in_transaction(gpointer events, gpointer data, GError **error)
{
    const GPtrArray *records = data;

    for (guint i = 0; i < records->len; i++) {
        const CstEventRecord *event = records->pdata[i];
        gboolean is_pool_end = event->over && g_str_has_suffix(event->object, "/");

        if (is_pool_end ? !event_add_ends(events, event, error) : !event_add(events, event, error))
            return FALSE;
    }
    return events_trim(events, error);
}

gboolean cst_events_add(CstEvents *events, const GPtrArray *records, GError **error)
{
    return database_transaction(&events->database, add_in_transaction, events, (gpointer)records,
                                error);
}

/* --- queries ---------------------------------------------------------------------------------- */

static CstEventRecord *event_read(sqlite3_stmt *statement)
{
    CstEventRecord *event = g_new0(CstEventRecord, 1);

    *event = (CstEventRecord){
        .id = sqlite3_column_int64(statement, 0),
        .time = sqlite3_column_int64(statement, 1),
        .kind = database_column_text(statement, 2),
        .severity = (CstSeverity)CLAMP(sqlite3_column_int(statement, 3), 0, CST_SEVERITY_LAST - 1),
        .over = sqlite3_column_int(statement, 4) != 0,
        .type = database_column_text(statement, 5),
        .object = database_column_text(statement, 6),
        .uid = (uint32_t)sqlite3_column_int64(statement, 7),
        .message = database_column_text(statement, 8),
    };
    return event;
}

GPtrArray *cst_events_list(CstEvents *events, const CstEventQuery *query, GError **error)
{
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_event_record_free);
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &events->database,
        "SELECT id, time, kind, severity, over, type, object, uid, message FROM events"
        " WHERE id > ?1 AND time >= ?2 AND (?3 IS NULL OR kind = ?3)"
        " AND (?4 IS NULL OR object = ?4) AND severity >= ?5 ORDER BY id LIMIT ?6",
        error);
    int result;

    if (!statement)
        return NULL;
    sqlite3_bind_int64(statement, 1, query->after);
    sqlite3_bind_int64(statement, 2, query->since);
    database_bind_text(statement, 3, query->kind);
    database_bind_text(statement, 4, query->object);
    sqlite3_bind_int(statement, 5, (int)query->severity);
    sqlite3_bind_int64(statement, 6, query->max);
    while ((result = sqlite3_step(statement)) == SQLITE_ROW)
        g_ptr_array_add(rows, event_read(statement));
    if (result == SQLITE_DONE)
        return g_steal_pointer(&rows);
    database_fail(&events->database, error);
    return NULL;
}

/* Sets *@ret to the number in the first row of the statement, or to @fallback without a row. */
static gboolean read_number(CstEvents *events, sqlite3_stmt *statement, int64_t fallback,
                            int64_t *ret, GError **error)
{
    int result = sqlite3_step(statement);

    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return database_fail(&events->database, error);
    *ret = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : fallback;
    return TRUE;
}

gboolean cst_events_last(CstEvents *events, int64_t *ret_id, GError **error)
{
    /* Not from the table of events, whose newest rows may be dropped for their age. */
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &events->database, "SELECT seq FROM sqlite_sequence WHERE name = 'events'", error);

    return statement && read_number(events, statement, 0, ret_id, error);
}

/* --- notification rules ----------------------------------------------------------------------- */

static gboolean rule_set_position(CstEvents *events, const char *rule, int64_t after,
                                  GError **error)
{
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &events->database, "INSERT OR REPLACE INTO rules (name, after) VALUES (?1, ?2)", error);

    if (!statement)
        return FALSE;
    database_bind_text(statement, 1, rule);
    sqlite3_bind_int64(statement, 2, after);
    return database_run(&events->database, statement, error);
}

gboolean cst_events_rule_position(CstEvents *events, const char *rule, int64_t *ret_after,
                                  GError **error)
{
    g_autoptr(DatabaseStatement) statement =
        database_prepare(&events->database, "SELECT after FROM rules WHERE name = ?1", error);
    int64_t after;

    if (!statement)
        return FALSE;
    database_bind_text(statement, 1, rule);
    if (!read_number(events, statement, -1, &after, error))
        return FALSE;
    if (after < 0 &&
        (!cst_events_last(events, &after, error) || !rule_set_position(events, rule, after, error)))
        return FALSE;
    *ret_after = after;
    return TRUE;
}

gboolean cst_events_rule_wants(CstEvents *events, const char *rule, const CstEventRecord *event,
                               int64_t since, gboolean *ret_wants, GError **error)
{
    g_autoptr(DatabaseStatement) statement =
        database_prepare(&events->database,
                         "SELECT time FROM sent WHERE rule = ?1 AND kind = ?2 AND type = ?3"
                         " AND object = ?4",
                         error);
    int64_t time;

    if (!statement)
        return FALSE;
    database_bind_text(statement, 1, rule);
    bind_state(statement, 2, event);
    if (!read_number(events, statement, -1, &time, error))
        return FALSE;
    /* A message from the future comes from a clock that was put back. */
    *ret_wants = event->over ? time >= 0 : time < since || time > g_get_real_time();
    return TRUE;
}

static gboolean sent_record(CstEvents *events, const char *rule, const CstEventRecord *event,
                            GError **error)
{
    const char *sql = event->over ? "DELETE FROM sent WHERE rule = ?1 AND kind = ?2 AND type = ?3"
                                    " AND object = ?4"
                                  : "INSERT OR REPLACE INTO sent (rule, kind, type, object, time)"
                                    " VALUES (?1, ?2, ?3, ?4, ?5)";
    g_autoptr(DatabaseStatement) statement = database_prepare(&events->database, sql, error);

    if (!statement)
        return FALSE;
    database_bind_text(statement, 1, rule);
    bind_state(statement, 2, event);
    if (!event->over)
        sqlite3_bind_int64(statement, 5, g_get_real_time());
    return database_run(&events->database, statement, error);
}

/*
 * Keeps the message about a state that lasts, or whose end the rule has not handled yet, because
 * the end is sent only after its begin.
 */
static gboolean sent_forget(CstEvents *events, const char *rule, int64_t after, int64_t since,
                            GError **error)
{
    g_autoptr(DatabaseStatement) statement = database_prepare(
        &events->database,
        "DELETE FROM sent WHERE rule = ?1 AND time < ?2 AND NOT EXISTS (SELECT 1 FROM states"
        " WHERE states.kind = sent.kind AND states.type = sent.type"
        " AND states.object = sent.object) AND NOT EXISTS (SELECT 1 FROM events WHERE id > ?3"
        " AND over AND events.kind = sent.kind AND events.object = sent.object)",
        error);

    if (!statement)
        return FALSE;
    database_bind_text(statement, 1, rule);
    sqlite3_bind_int64(statement, 2, since);
    sqlite3_bind_int64(statement, 3, after);
    return database_run(&events->database, statement, error);
}

typedef struct {
    const char *rule;
    int64_t after, since;
    const GPtrArray *sent;
} Handled;

static gboolean handled_in_transaction(gpointer events, gpointer data, GError **error)
{
    const Handled *handled = data;

    for (guint i = 0; i < handled->sent->len; i++)
        if (!sent_record(events, handled->rule, handled->sent->pdata[i], error))
            return FALSE;
    return rule_set_position(events, handled->rule, handled->after, error) &&
           sent_forget(events, handled->rule, handled->after, handled->since, error);
}

gboolean cst_events_rule_handled(CstEvents *events, const char *rule, int64_t after,
                                 const GPtrArray *sent, int64_t since, GError **error)
{
    Handled handled = {rule, after, since, sent};

    return database_transaction(&events->database, handled_in_transaction, events, &handled, error);
}
