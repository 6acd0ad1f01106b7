/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SQLite database of declarations: one row per file in "declarations", one per directory in
 * "policies", one per reference of an image to another file in "overlays" (overlays.c).
 *
 * A commit costs no sync unless it is made durable (declarations.c). Statements are prepared once,
 * on first use, and used under CstDeclarations.lock.
 */
#include "declarations_db.h"

#include <base/test_point.h>

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

/*
 * In "user_version" of a database that has this schema. A later change of the schema needs the next
 * number. 0: a new database, or one of a version that did not set it.
 */
#define SCHEMA_VERSION "1"

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

static void db_finalize(CstDeclarations *declarations)
{
    for (int i = 0; i < SQL_N_STATEMENTS; i++)
        g_clear_pointer(&declarations->statements[i], sqlite3_finalize);
}

void db_close(CstDeclarations *declarations)
{
    db_finalize(declarations);
    database_close(&declarations->database);
}

gboolean db_fail(const CstDeclarations *declarations, GError **error)
{
    return database_fail(&declarations->database, error);
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

static int db_add_columns(sqlite3 *db)
{
    int result = add_column(db, "SELECT missing FROM declarations LIMIT 0",
                            "ALTER TABLE declarations ADD COLUMN missing INTEGER NOT NULL DEFAULT "
                            "0");

    return result == SQLITE_OK ? add_column(db, "SELECT seen FROM declarations LIMIT 0",
                                            "ALTER TABLE declarations ADD COLUMN seen TEXT")
                               : result;
}

static int prepare_statement(CstDeclarations *declarations, int which)
{
    return sqlite3_prepare_v3(declarations->database.db, texts[which], -1,
                              SQLITE_PREPARE_PERSISTENT, &declarations->statements[which], NULL);
}

/* Whether each statement suits the tables, which another program may have created. */
static int db_verify_schema(CstDeclarations *declarations)
{
    int result = SQLITE_OK;

    for (int i = 0; result == SQLITE_OK && i < SQL_N_STATEMENTS; i++)
        result = prepare_statement(declarations, i);
    return result;
}

/* Implements Database.upgrade. */
static int db_upgrade(gpointer data)
{
    CstDeclarations *declarations = data;
    int result = db_add_columns(declarations->database.db);

    if (result == SQLITE_OK)
        result = db_verify_schema(declarations);
    db_finalize(declarations);
    return result;
}

void db_init(CstDeclarations *declarations, const CstPaths *paths)
{
    declarations->database = (Database){
        .dir = g_strdup(paths->data_dir),
        .path = g_build_filename(paths->data_dir, "declarations.db", NULL),
        .schema = schema,
        .version = SCHEMA_VERSION,
        .upgrade = db_upgrade,
        .upgrade_data = declarations,
    };
}

gboolean db_open(CstDeclarations *declarations, GError **error)
{
    return database_open(&declarations->database, error);
}

sqlite3_stmt *db_use(CstDeclarations *declarations, SqlStatement which)
{
    sqlite3_stmt **statement = &declarations->statements[which];

    if (!*statement) {
        /* After a failure each use of NULL fails, and the database keeps the reason. */
        prepare_statement(declarations, which);
        return *statement;
    }
    sqlite3_reset(*statement);
    sqlite3_clear_bindings(*statement);
    return *statement;
}

void db_bind_id(sqlite3_stmt *statement, int index, const CstFileId *id)
{
    sqlite3_bind_int64(statement, index, (sqlite3_int64)id->inode);
    sqlite3_bind_int64(statement, index + 1, id->btime_ns);
}

gboolean db_run(const CstDeclarations *declarations, sqlite3_stmt *statement, GError **error)
{
    return database_run(&declarations->database, statement, error);
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
