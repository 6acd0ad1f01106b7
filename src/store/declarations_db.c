/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SQLite database of declarations: one row per file in "declarations", one per directory in
 * "policies", one per reference of an image to another file in "overlays" (overlays.c).
 *
 * In WAL mode a killed process loses no committed change, readers do not wait for writers, and a
 * commit costs no sync unless it is made durable (declarations.c). Statements are prepared once,
 * when the database is opened, and used under CstDeclarations.lock.
 */
#include "declarations_db.h"

#include <errno.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/test_point.h>

#define BUSY_TIMEOUT_MS 5000 /* maximum wait for other processes */

/*
 * SQLite has signed integers only. Inodes are cast, because only their equality matters. Times are
 * nanoseconds (btime) and seconds (missing). 0 means unknown (btime) or not missing (missing).
 */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS declarations ("
    "  dir TEXT NOT NULL, name TEXT NOT NULL, inode INTEGER NOT NULL, btime INTEGER NOT NULL,"
    "  format TEXT, restricted INTEGER NOT NULL, backing TEXT, backing_format TEXT, data_file TEXT,"
    "  missing INTEGER NOT NULL DEFAULT 0, seen TEXT,"
    "  PRIMARY KEY (dir, name)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS by_file ON declarations (inode, btime);"
    "CREATE TABLE IF NOT EXISTS policies (dir TEXT PRIMARY KEY, follow TEXT NOT NULL) WITHOUT "
    "ROWID;"
    "CREATE TABLE IF NOT EXISTS overlays ("
    "  dir TEXT NOT NULL, volume TEXT NOT NULL, path TEXT NOT NULL,"
    "  inode INTEGER NOT NULL, btime INTEGER NOT NULL,"
    "  PRIMARY KEY (dir, volume, path)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS overlays_by_path ON overlays (path);"
    "CREATE INDEX IF NOT EXISTS overlays_by_base ON overlays (inode, btime);";

/* Selects the record that was read, not a record that has replaced it since. */
#define SAME_ROW        " WHERE dir = ?1 AND name = ?2 AND inode = ?3 AND btime = ?4"
#define COLUMNS         "format, restricted, backing, backing_format, data_file, seen"
#define OVERLAY_COLUMNS "dir, volume, path, inode, btime"

static const char *const texts[SQL_N_STATEMENTS] = {
    /*
     * Acquires the write lock at once, because a transaction that has read cannot wait for it any
     * more.
     */
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_FIND_FILE] = "SELECT " COLUMNS " FROM declarations WHERE inode = ?1 AND btime = ?2"
                      " ORDER BY dir = ?3 AND name = ?4 DESC, restricted DESC LIMIT 1",
    [SQL_FIND_NAME] =
        "SELECT " COLUMNS ", inode, btime FROM declarations WHERE dir = ?1 AND name = ?2",
    [SQL_FIND_DIR] = "SELECT " COLUMNS ", inode, btime, name FROM declarations WHERE dir = ?1",
    [SQL_FIND_FILES] = "SELECT inode, btime FROM declarations INDEXED BY by_file WHERE btime <> 0",
    [SQL_FORGET_FILE] = "DELETE FROM declarations WHERE inode = ?1 AND btime = ?2",
    [SQL_SET] = "INSERT OR REPLACE INTO declarations (dir, name, inode, btime, " COLUMNS ")"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    /*
     * A file has a record if a record has its identity or, without a birth time, its name and
     * inode.
     */
    [SQL_ADD] = "INSERT OR REPLACE INTO declarations (dir, name, inode, btime, " COLUMNS ")"
                " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE NOT EXISTS"
                " (SELECT 1 FROM declarations WHERE inode = ?3 AND btime = ?4"
                "  AND (btime <> 0 OR (dir = ?1 AND name = ?2)))",
    /* Updates a record of the file only if it has no declared format. */
    [SQL_SET_SEEN] = "UPDATE declarations SET seen = ?10, restricted = max(restricted, ?6)"
                     " WHERE inode = ?3 AND btime = ?4"
                     " AND (btime <> 0 OR (dir = ?1 AND name = ?2)) AND format IS NULL",
    /* Clears the seen format, because it was seen in the previous file of the name. */
    [SQL_SET_FILE] = "UPDATE declarations SET inode = ?3, btime = ?4, seen = NULL"
                     " WHERE dir = ?1 AND name = ?2",
    [SQL_REMOVE] = "DELETE FROM declarations WHERE dir = ?1 AND name = ?2",
    [SQL_LIST] = "SELECT name, inode, btime, missing FROM declarations WHERE dir = ?1",
    [SQL_SET_MISSING] = "UPDATE declarations SET missing = ?5" SAME_ROW,
    [SQL_DROP] = "DELETE FROM declarations" SAME_ROW,
    [SQL_FIND_POLICY] = "SELECT follow FROM policies WHERE dir = ?1",
    [SQL_SET_POLICY] = "INSERT OR REPLACE INTO policies (dir, follow) VALUES (?1, ?2)",
    [SQL_OVERLAYS_OF_DIR] = "SELECT " OVERLAY_COLUMNS " FROM overlays WHERE dir = ?1",
    [SQL_OVERLAYS_ON] = "SELECT " OVERLAY_COLUMNS " FROM overlays WHERE path = ?1"
                        " UNION SELECT " OVERLAY_COLUMNS " FROM overlays"
                        " WHERE inode = ?2 AND btime = ?3 AND btime <> 0 ORDER BY dir, volume",
    [SQL_ADD_OVERLAY] = "INSERT OR REPLACE INTO overlays (" OVERLAY_COLUMNS ")"
                        " VALUES (?1, ?2, ?3, ?4, ?5)",
    [SQL_REMOVE_OVERLAY] = "DELETE FROM overlays WHERE dir = ?1 AND volume = ?2 AND path = ?3",
    [SQL_OVERLAYS_OF_VOLUME] =
        "SELECT " OVERLAY_COLUMNS " FROM overlays WHERE dir = ?1 AND volume = ?2",
};

void db_close(CstDeclarations *declarations)
{
    for (int i = 0; i < SQL_N_STATEMENTS; i++)
        g_clear_pointer(&declarations->statements[i], sqlite3_finalize);
    g_clear_pointer(&declarations->db, sqlite3_close);
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

gboolean db_fail(const CstDeclarations *declarations, GError **error)
{
    int err = failed_call_errno(declarations->db);

    if (err == ENOSPC || err == EDQUOT)
        return cst_fail_errno(error, err, _("cannot write '%s'"), declarations->path);
    return cst_fail(error, CST_ERROR_IO, _("cannot use '%s': %s"), declarations->path,
                    err                ? g_strerror(err)
                    : declarations->db ? sqlite3_errmsg(declarations->db)
                                       : sqlite3_errstr(SQLITE_NOMEM));
}

static gboolean prepare_all(CstDeclarations *declarations)
{
    for (int i = 0; i < SQL_N_STATEMENTS; i++)
        if (sqlite3_prepare_v3(declarations->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &declarations->statements[i], NULL) != SQLITE_OK)
            return FALSE;
    return TRUE;
}

/* Adds a column to a database that was created without it. */
static int add_column(sqlite3 *db, const char *look, const char *add)
{
    if (sqlite3_exec(db, look, NULL, NULL, NULL) == SQLITE_OK)
        return SQLITE_OK;
    sqlite3_exec(db, add, NULL, NULL, NULL);
    /*
     * Another process may have added the column first, so check again instead of reporting the
     * failure.
     */
    return sqlite3_exec(db, look, NULL, NULL, NULL);
}

static int db_upgrade_schema(sqlite3 *db)
{
    int result = add_column(db, "SELECT missing FROM declarations LIMIT 0",
                            "ALTER TABLE declarations ADD COLUMN missing INTEGER NOT NULL DEFAULT "
                            "0");

    return result == SQLITE_OK ? add_column(db, "SELECT seen FROM declarations LIMIT 0",
                                            "ALTER TABLE declarations ADD COLUMN seen TEXT")
                               : result;
}

/*
 * SQLite's own mutex is off, because our lock guards the connection. The page cache is small,
 * because it is kept between calls. Pages that a transaction changes are not spilled to the disk
 * before its end. The first scan of a large pool adds records in random order, and would otherwise
 * write and read each page many times.
 */
static int db_try_open(CstDeclarations *declarations)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    static const char settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                                   "PRAGMA cache_size = -128; PRAGMA cache_spill = OFF;";
    int result = sqlite3_open_v2(declarations->path, &declarations->db, flags, NULL);

    if (result == SQLITE_OK)
        result = sqlite3_busy_timeout(declarations->db, BUSY_TIMEOUT_MS);
    if (result == SQLITE_OK)
        result = sqlite3_exec(declarations->db, settings, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_exec(declarations->db, schema, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = db_upgrade_schema(declarations->db);
    return result;
}

/*
 * Whether SQLite has hidden a failed open for writing, for example because of a lack of
 * descriptors. SQLite then opens the file for reading, so that the connection is read-only, or a
 * new file is not found. The directory of the files exists.
 */
static gboolean db_open_is_hidden(const CstDeclarations *declarations, int result)
{
    sqlite3 *db = declarations->db;

    if (!db)
        return FALSE;
    if (sqlite3_db_readonly(db, "main") == 1)
        return access(declarations->path, W_OK) == 0;
    return (result & 0xff) == SQLITE_CANTOPEN && sqlite3_system_errno(db) == ENOENT;
}

static int db_open_once(CstDeclarations *declarations)
{
    int result = db_try_open(declarations);

    if (!db_open_is_hidden(declarations, result))
        return result;
    db_close(declarations);
    return db_try_open(declarations);
}

/*
 * Repeats the open, because SQLite's busy timeout does not cover the switch to WAL mode. Two
 * processes that create the database at the same time collide in it.
 */
gboolean db_open(CstDeclarations *declarations, GError **error)
{
    gint64 end = g_get_monotonic_time() + BUSY_TIMEOUT_MS * G_TIME_SPAN_MILLISECOND;
    int result;

    if (declarations->db)
        return TRUE;
    if (!cst_library_load(&cst_sqlite_library, error))
        return FALSE;
    if (!cst_dir_ensure(declarations->dir, 0700, error))
        return FALSE;
    while ((result = db_open_once(declarations)) == SQLITE_BUSY && g_get_monotonic_time() < end) {
        db_close(declarations);
        CST_TEST_POINT("declarations.open.wait");
        g_usleep(5 * G_TIME_SPAN_MILLISECOND);
    }
    if (result == SQLITE_OK && prepare_all(declarations))
        return TRUE;
    db_fail(declarations, error);
    db_close(declarations);
    return FALSE;
}

sqlite3_stmt *db_use(CstDeclarations *declarations, SqlStatement which)
{
    sqlite3_stmt *statement = declarations->statements[which];

    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return statement;
}

void db_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

void db_bind_id(sqlite3_stmt *statement, int index, const CstFileId *id)
{
    sqlite3_bind_int64(statement, index, (sqlite3_int64)id->inode);
    sqlite3_bind_int64(statement, index + 1, id->btime_ns);
}

gboolean db_run(CstDeclarations *declarations, sqlite3_stmt *statement, GError **error)
{
    int result = sqlite3_step(statement);

    sqlite3_reset(statement);
    return result == SQLITE_DONE || db_fail(declarations, error);
}

gboolean db_end_transaction(CstDeclarations *declarations, gboolean done, GError **error)
{
    if (done && db_run(declarations, db_use(declarations, SQL_COMMIT), error))
        return TRUE;
    CST_TEST_POINT("declarations.change.undo");
    /* Fails only if SQLite has rolled back by itself. */
    db_run(declarations, db_use(declarations, SQL_ROLLBACK), NULL);
    return FALSE;
}
