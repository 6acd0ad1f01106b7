/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening of SQLite databases, and their failures. */
#include "database.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/test_point.h>

#define BUSY_TIMEOUT_MS 5000 /* maximum wait for other processes */

void database_close(Database *database)
{
    g_clear_pointer(&database->db, sqlite3_close);
}

void database_clear(Database *database)
{
    database_close(database);
    g_free(database->dir);
    g_free(database->path);
}

/* Returns the errno of the last failed call on the file that @op finds; 0: no call has failed. */
static int db_file_errno(sqlite3 *db, int op)
{
    sqlite3_file *file = NULL;
    int err = 0;

    if (sqlite3_file_control(db, NULL, op, &file) == SQLITE_OK && file && file->pMethods)
        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &err);
    return err;
}

/*
 * Returns the errno of the failed system call; 0: SQLite failed for another reason. SQLite's own
 * messages for it are only "disk I/O error" and "unable to open database file". A failed commit
 * records the errno of its call only in the log file.
 */
static int failed_call_errno(sqlite3 *db)
{
    int result = db ? sqlite3_errcode(db) & 0xff : SQLITE_OK;
    int err = db ? sqlite3_system_errno(db) : 0;

    if (result == SQLITE_IOERR && err == 0)
        err = db_file_errno(db, SQLITE_FCNTL_JOURNAL_POINTER);
    if (result == SQLITE_FULL)
        return err == EDQUOT ? EDQUOT : ENOSPC;
    return result == SQLITE_IOERR || result == SQLITE_CANTOPEN ? err : 0;
}

gboolean database_fail(const Database *database, GError **error)
{
    int err = failed_call_errno(database->db);

    if (err == ENOSPC || err == EDQUOT)
        return cst_fail_errno(error, err, _("cannot write '%s'"), database->path);
    return cst_fail(error, CST_ERROR_IO, _("cannot use '%s': %s"), database->path,
                    err            ? g_strerror(err)
                    : database->db ? sqlite3_errmsg(database->db)
                                   : sqlite3_errstr(SQLITE_NOMEM));
}

static int see_version(void *data, int count, char **values, char **names)
{
    *(int *)data = values[0] ? (int)g_ascii_strtoll(values[0], NULL, 10) : 0;
    return 0;
}

/* Creating and verifying the schema costs more than a query, so it is done once for a database. */
static int database_upgrade_schema(Database *database)
{
    g_autofree char *set = g_strconcat("PRAGMA user_version = ", database->version, NULL);
    int version = 0;
    int result = sqlite3_exec(database->db, "PRAGMA user_version", see_version, &version, NULL);

    if (result != SQLITE_OK || version == (int)g_ascii_strtoll(database->version, NULL, 10))
        return result;
    result = sqlite3_exec(database->db, database->schema, NULL, NULL, NULL);
    if (result == SQLITE_OK && database->upgrade)
        result = database->upgrade(database->upgrade_data);
    /* A database without the number is upgraded again, so that a failure is harmless. */
    if (result == SQLITE_OK)
        sqlite3_exec(database->db, set, NULL, NULL, NULL);
    return result;
}

/*
 * SQLite's own mutex is off, because our lock guards the connection. The page cache is small,
 * because it is kept between calls. Pages that a transaction changes are not spilled to the disk
 * before its end. The first scan of a large pool adds records in random order, and would otherwise
 * write and read each page many times.
 */
static int database_try_open(Database *database)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    static const char settings[] = "PRAGMA journal_mode = WAL;"
                                   "PRAGMA cache_size = -128; PRAGMA cache_spill = OFF;";
    const char *synchronous =
        database->durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL";
    int result = sqlite3_open_v2(database->path, &database->db, flags, NULL);

    if (result == SQLITE_OK)
        result = sqlite3_busy_timeout(database->db, BUSY_TIMEOUT_MS);
    if (result == SQLITE_OK)
        result = sqlite3_exec(database->db, settings, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_exec(database->db, synchronous, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = database_upgrade_schema(database);
    return result;
}

/*
 * Whether SQLite has hidden a failed open for writing, for example because of a lack of
 * descriptors. SQLite then opens the file for reading, so that the connection is read-only, or a
 * new file is not found. The directory of the files exists.
 */
static gboolean database_open_is_hidden(const Database *database, int result)
{
    sqlite3 *db = database->db;

    if (!db)
        return FALSE;
    if (sqlite3_db_readonly(db, "main") == 1)
        return access(database->path, W_OK) == 0;
    return (result & 0xff) == SQLITE_CANTOPEN && sqlite3_system_errno(db) == ENOENT;
}

static int database_open_once(Database *database)
{
    int result = database_try_open(database);

    if (!database_open_is_hidden(database, result))
        return result;
    database_close(database);
    return database_try_open(database);
}

/*
 * Repeats the open, because SQLite's busy timeout does not cover the switch to WAL mode. Two
 * processes that create the database at the same time collide in it.
 */
gboolean database_open(Database *database, GError **error)
{
    gint64 end = g_get_monotonic_time() + BUSY_TIMEOUT_MS * G_TIME_SPAN_MILLISECOND;
    int result;

    if (database->db)
        return TRUE;
    if (!cst_library_load(&cst_sqlite_library, error))
        return FALSE;
    if (!cst_dir_ensure(database->dir, 0700, error))
        return FALSE;
    while ((result = database_open_once(database)) == SQLITE_BUSY && g_get_monotonic_time() < end) {
        database_close(database);
        CST_TEST_POINT("database.open.wait");
        g_usleep(5 * G_TIME_SPAN_MILLISECOND);
    }
    if (result == SQLITE_OK)
        return TRUE;
    database_fail(database, error);
    database_close(database);
    return FALSE;
}

/* SQLite writes to the log file, and to the database at a checkpoint. */
char *database_stamp(const char *path)
{
    g_autofree char *log = g_strconcat(path, "-wal", NULL);
    const char *const files[] = {path, log};
    GString *stamp = g_string_new(NULL);

    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        struct stat st = {0};

        if (stat(files[i], &st) == 0)
            g_string_append_printf(stamp, "%" G_GINT64_FORMAT ".%09ld %" G_GINT64_FORMAT "\n",
                                   (gint64)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                                   (gint64)st.st_size);
    }
    return g_string_free(stamp, FALSE);
}

void database_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

char *database_column_text(sqlite3_stmt *statement, int index)
{
    return g_strdup((const char *)sqlite3_column_text(statement, index));
}

gboolean database_run(const Database *database, sqlite3_stmt *statement, GError **error)
{
    int result = sqlite3_step(statement);

    sqlite3_reset(statement);
    return result == SQLITE_DONE || database_fail(database, error);
}

sqlite3_stmt *database_prepare(const Database *database, const char *sql, GError **error)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v3(database->db, sql, -1, 0, &statement, NULL) == SQLITE_OK)
        return statement;
    database_fail(database, error);
    return NULL;
}

static gboolean database_execute(const Database *database, const char *sql, GError **error)
{
    return sqlite3_exec(database->db, sql, NULL, NULL, NULL) == SQLITE_OK ||
           database_fail(database, error);
}

gboolean database_transaction(const Database *database, DatabaseStep step, gpointer owner,
                              gpointer data, GError **error)
{
    /* Acquires the write lock at once, because a transaction that has read cannot wait for it. */
    if (!database_execute(database, "BEGIN IMMEDIATE", error))
        return FALSE;
    if (step(owner, data, error) && database_execute(database, "COMMIT", error))
        return TRUE;
    /* Fails only if SQLite has rolled back by itself. */
    database_execute(database, "ROLLBACK", NULL);
    return FALSE;
}
