/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The history of the use of pools. The points of all steps are updated with each sample, so that no
 * later consolidation is necessary. Old points are removed by their number, not by their age: a
 * clock that is years ahead for a while must not remove the history.
 */
#include <store/usage.h>

#include <errno.h>
#include <unistd.h>

#include <base/error.h>

#include "database.h"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS pools ("
    "  id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, sampled INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS points ("
    "  pool INTEGER NOT NULL, step INTEGER NOT NULL, time INTEGER NOT NULL,"
    "  samples INTEGER NOT NULL, capacity INTEGER NOT NULL, allocation INTEGER NOT NULL,"
    "  peak INTEGER NOT NULL, available INTEGER NOT NULL, provisioned INTEGER NOT NULL,"
    "  data_size INTEGER NOT NULL, data_used INTEGER NOT NULL,"
    "  metadata_size INTEGER NOT NULL, metadata_used INTEGER NOT NULL,"
    "  PRIMARY KEY (pool, step, time)) WITHOUT ROWID;";

#define SCHEMA_VERSION "1"
#define FIRST_VALUE    4 /* index of the first size among the parameters */

static const struct {
    unsigned step, kept;
} steps[] = {
    {CST_USAGE_FINE, CST_USAGE_FINE_KEPT},
    {CST_USAGE_HOURLY, CST_USAGE_HOURLY_KEPT},
    {CST_USAGE_DAILY, CST_USAGE_DAILY_KEPT},
};

struct CstUsageStore {
    Database database;
};

/* --- the connection --------------------------------------------------------------------------- */

static char *usage_path(const CstPaths *paths)
{
    return g_build_filename(paths->data_dir, "usage.db", NULL);
}

CstUsageStore *cst_usage_store_open(const CstPaths *paths, GError **error)
{
    g_autoptr(CstUsageStore) store = g_new0(CstUsageStore, 1);

    store->database = (Database){
        .dir = g_strdup(paths->data_dir),
        .path = usage_path(paths),
        .schema = schema,
        .version = SCHEMA_VERSION,
    };
    return database_open(&store->database, error) ? g_steal_pointer(&store) : NULL;
}

CstUsageStore *cst_usage_store_open_existing(const CstPaths *paths, GError **error)
{
    g_autofree char *path = usage_path(paths);

    if (access(path, F_OK) < 0 && errno == ENOENT)
        return NULL;
    return cst_usage_store_open(paths, error);
}

void cst_usage_store_close(CstUsageStore *store)
{
    if (!store)
        return;
    database_clear(&store->database);
    g_free(store);
}

static DatabaseStatement *usage_prepare(const CstUsageStore *store, const char *sql, GError **error)
{
    return database_prepare(&store->database, sql, error);
}

/* --- samples ---------------------------------------------------------------------------------- */

/* The start of the step that @time is in; also before 1970. */
static int64_t step_start(int64_t time, unsigned step)
{
    int64_t rest = time % (int64_t)step;

    return time - (rest < 0 ? rest + (int64_t)step : rest);
}

/* Returns the number of the pool, 0 if it has no history, -1 on failure. */
static int64_t pool_number(CstUsageStore *store, const CstUuid *pool, GError **error)
{
    char uuid[CST_UUID_TEXT_LEN];
    g_autoptr(DatabaseStatement) find =
        usage_prepare(store, "SELECT id FROM pools WHERE uuid = ?1", error);
    int result;

    if (!find)
        return -1;
    database_bind_text(find, 1, cst_uuid_format(pool, uuid));
    result = sqlite3_step(find);
    if (result == SQLITE_ROW)
        return sqlite3_column_int64(find, 0);
    if (result == SQLITE_DONE)
        return 0;
    database_fail(&store->database, error);
    return -1;
}

gboolean cst_usage_store_is_due(CstUsageStore *store, const CstUuid *pool, int64_t now,
                                gboolean *ret_due, GError **error)
{
    int64_t number = pool_number(store, pool, error);
    g_autoptr(DatabaseStatement) find = NULL;
    int result;

    *ret_due = TRUE;
    if (number <= 0)
        return number == 0;
    find = usage_prepare(store, "SELECT 1 FROM points WHERE pool = ?1 AND step = ?2 AND time = ?3",
                         error);
    if (!find)
        return FALSE;
    sqlite3_bind_int64(find, 1, number);
    sqlite3_bind_int64(find, 2, CST_USAGE_FINE);
    sqlite3_bind_int64(find, 3, step_start(now, CST_USAGE_FINE));
    result = sqlite3_step(find);
    *ret_due = result != SQLITE_ROW;
    return result == SQLITE_ROW || result == SQLITE_DONE || database_fail(&store->database, error);
}

/* Runs @sql with numbers as its parameters. */
static gboolean usage_run(CstUsageStore *store, const char *sql, const int64_t *numbers,
                          guint count, GError **error)
{
    g_autoptr(DatabaseStatement) statement = usage_prepare(store, sql, error);

    if (!statement)
        return FALSE;
    for (guint i = 0; i < count; i++)
        sqlite3_bind_int64(statement, (int)i + 1, numbers[i]);
    return database_run(&store->database, statement, error);
}

/* Enters a pool, and removes the histories above the limit. Returns its number, -1 on failure. */
static int64_t pool_enter(CstUsageStore *store, const CstUuid *pool, GError **error)
{
    static const int64_t kept[] = {CST_USAGE_POOLS_MAX};
    char uuid[CST_UUID_TEXT_LEN];
    g_autoptr(DatabaseStatement) insert = usage_prepare(
        store, "INSERT INTO pools (uuid, sampled) VALUES (?1, 9223372036854775807)", error);
    int64_t number;

    if (!insert)
        return -1;
    database_bind_text(insert, 1, cst_uuid_format(pool, uuid));
    if (!database_run(&store->database, insert, error))
        return -1;
    number = sqlite3_last_insert_rowid(store->database.db);
    if (!usage_run(store,
                   "DELETE FROM pools WHERE id NOT IN"
                   " (SELECT id FROM pools ORDER BY sampled DESC LIMIT ?1)",
                   kept, G_N_ELEMENTS(kept), error) ||
        !usage_run(store, "DELETE FROM points WHERE pool NOT IN (SELECT id FROM pools)", NULL, 0,
                   error))
        return -1;
    return number;
}

/*
 * Adds the sample to the point of a step. The average moves by its part of the difference; values
 * are not negative, so the difference does not overflow.
 */
static gboolean point_add(CstUsageStore *store, int64_t number, unsigned step,
                          const CstUsagePoint *sample, GError **error)
{
#define AVERAGE(column) column " = " column " + (excluded." column " - " column ") / (samples + 1)"
    static const char sql[] =
        "INSERT INTO points (pool, step, time, samples, capacity, allocation, peak, available,"
        " provisioned, data_size, data_used, metadata_size, metadata_used)"
        " VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        " ON CONFLICT DO UPDATE SET samples = samples + 1, capacity = excluded.capacity,"
        " peak = max(peak, excluded.peak), data_size = excluded.data_size,"
        " metadata_size = excluded.metadata_size, " AVERAGE("allocation") ", " AVERAGE(
            "available") ", " AVERAGE("provisioned") ", " AVERAGE("data_used") ", " AVERAGE("metada"
                                                                                            "ta_"
                                                                                            "used");
#undef AVERAGE
    const uint64_t values[] = {sample->capacity,  sample->allocation,    sample->allocation,
                               sample->available, sample->provisioned,   sample->data_size,
                               sample->data_used, sample->metadata_size, sample->metadata_used};
    int64_t numbers[FIRST_VALUE - 1 + G_N_ELEMENTS(values)] = {number, step,
                                                               step_start(sample->time, step)};

    for (guint i = 0; i < G_N_ELEMENTS(values); i++)
        numbers[FIRST_VALUE - 1 + i] = (int64_t)MIN(values[i], INT64_MAX);
    return usage_run(store, sql, numbers, G_N_ELEMENTS(numbers), error);
}

/*
 * Removes the points in the future if they are the minority, and the points above the limit. The
 * limit counts the points in the future and the other ones separately. So points of a clock that
 * was ahead for a long time do not displace new ones, until the new ones are the majority.
 */
static gboolean points_remove_old(CstUsageStore *store, int64_t number, unsigned step,
                                  unsigned kept, int64_t now, GError **error)
{
    const int64_t numbers[] = {number, step, now, kept};

    return usage_run(store,
                     "DELETE FROM points WHERE pool = ?1 AND step = ?2 AND time > ?3 AND"
                     " (SELECT 2 * sum(time > ?3) <= count(*) FROM points"
                     "  WHERE pool = ?1 AND step = ?2)",
                     numbers, 3, error) &&
           usage_run(store,
                     "DELETE FROM points WHERE pool = ?1 AND step = ?2 AND time <="
                     " (SELECT time FROM points WHERE pool = ?1 AND step = ?2 AND time <= ?3"
                     "  ORDER BY time DESC LIMIT 1 OFFSET ?4)",
                     numbers, 4, error) &&
           usage_run(store,
                     "DELETE FROM points WHERE pool = ?1 AND step = ?2 AND time > ?3 AND time <="
                     " (SELECT time FROM points WHERE pool = ?1 AND step = ?2 AND time > ?3"
                     "  ORDER BY time DESC LIMIT 1 OFFSET ?4)",
                     numbers, 4, error);
}

typedef struct {
    const CstUuid *pool;
    const CstUsagePoint *sample;
} Addition;

/* Implements DatabaseStep. */
static gboolean sample_add(gpointer owner, gpointer data, GError **error)
{
    CstUsageStore *store = owner;
    const Addition *addition = data;
    const CstUsagePoint *sample = addition->sample;
    int64_t number = pool_number(store, addition->pool, error);
    int64_t sampled[] = {number, sample->time};

    if (number == 0)
        number = pool_enter(store, addition->pool, error);
    if (number < 0)
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(steps); i++)
        if (!point_add(store, number, steps[i].step, sample, error) ||
            !points_remove_old(store, number, steps[i].step, steps[i].kept, sample->time, error))
            return FALSE;
    sampled[0] = number;
    return usage_run(store, "UPDATE pools SET sampled = ?2 WHERE id = ?1", sampled,
                     G_N_ELEMENTS(sampled), error);
}

gboolean cst_usage_store_add(CstUsageStore *store, const CstUuid *pool, const CstUsagePoint *sample,
                             GError **error)
{
    Addition addition = {pool, sample};

    return database_transaction(&store->database, sample_add, store, &addition, error);
}

/* --- queries ---------------------------------------------------------------------------------- */

static uint64_t column_size(sqlite3_stmt *statement, int index)
{
    return (uint64_t)MAX(sqlite3_column_int64(statement, index), 0);
}

static CstUsagePoint point_read(sqlite3_stmt *statement)
{
    return (CstUsagePoint){
        .time = sqlite3_column_int64(statement, 0),
        .capacity = column_size(statement, 1),
        .allocation = column_size(statement, 2),
        .peak = column_size(statement, 3),
        .available = column_size(statement, 4),
        .provisioned = column_size(statement, 5),
        .data_size = column_size(statement, 6),
        .data_used = column_size(statement, 7),
        .metadata_size = column_size(statement, 8),
        .metadata_used = column_size(statement, 9),
    };
}

GArray *cst_usage_store_points(CstUsageStore *store, const CstUuid *pool, unsigned step,
                               int64_t since, int64_t now, GError **error)
{
    g_autoptr(GArray) points = g_array_new(FALSE, FALSE, sizeof(CstUsagePoint));
    g_autoptr(DatabaseStatement) find = NULL;
    char uuid[CST_UUID_TEXT_LEN];
    int result;

    find = usage_prepare(store,
                         "SELECT time, capacity, allocation, peak, available, provisioned,"
                         " data_size, data_used, metadata_size, metadata_used FROM points"
                         " WHERE pool = (SELECT id FROM pools WHERE uuid = ?1) AND step = ?2"
                         " AND time > ?3 AND time <= ?4 ORDER BY time",
                         error);
    if (!find)
        return NULL;
    database_bind_text(find, 1, cst_uuid_format(pool, uuid));
    sqlite3_bind_int64(find, 2, step);
    sqlite3_bind_int64(find, 3, since - (int64_t)step);
    sqlite3_bind_int64(find, 4, now);
    while ((result = sqlite3_step(find)) == SQLITE_ROW) {
        CstUsagePoint point = point_read(find);

        g_array_append_val(points, point);
    }
    if (result == SQLITE_DONE)
        return g_steal_pointer(&points);
    database_fail(&store->database, error);
    return NULL;
}
