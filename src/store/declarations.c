/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Declarations in SQLite: one row a file. Written in WAL mode, so that a process that is killed
 * loses nothing that was committed, readers do not wait for writers, and a commit costs no sync
 * unless it is asked to be durable. Every statement is prepared once and used under one mutex.
 *
 * A file is looked up by (inode, time of birth) first: that finds it after a rename, and does not
 * find another file that has taken its name. Rows of files whose time of birth is not known are
 * found by directory and name, with the same inode.
 */
#include <store/declarations.h>

#include <sqlite3.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#define BUSY_TIMEOUT_MS 5000

/* An inode is stored as a signed number, as SQLite has no other; only equality matters. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS declarations ("
    "  dir TEXT NOT NULL, name TEXT NOT NULL, inode INTEGER NOT NULL, btime INTEGER NOT NULL,"
    "  format TEXT, restricted INTEGER NOT NULL, backing TEXT, backing_format TEXT, data_file TEXT,"
    "  missing INTEGER NOT NULL DEFAULT 0,"
    "  PRIMARY KEY (dir, name)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS by_file ON declarations (inode, btime);"
    "CREATE TABLE IF NOT EXISTS policies (dir TEXT PRIMARY KEY, follow TEXT NOT NULL) WITHOUT "
    "ROWID;";

typedef enum {
    BEGIN,
    COMMIT,
    ROLLBACK,
    FIND_FILE,
    FIND_NAME,
    FORGET_FILE,
    SET,
    SET_FILE,
    REMOVE,
    LIST,
    SET_MISSING,
    DROP,
    FIND_POLICY,
    SET_POLICY,
    N_STATEMENTS
} Statement;

/* The record as it was read: not one that has been made for the name since. */
#define SAME_ROW " WHERE dir = ?1 AND name = ?2 AND inode = ?3 AND btime = ?4"
#define COLUMNS  "format, restricted, backing, backing_format, data_file"

static const char *const texts[N_STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [FIND_FILE] = "SELECT " COLUMNS " FROM declarations WHERE inode = ?1 AND btime = ?2"
                  " ORDER BY dir = ?3 AND name = ?4 DESC, restricted DESC LIMIT 1",
    [FIND_NAME] = "SELECT " COLUMNS ", inode, btime FROM declarations WHERE dir = ?1 AND name = ?2",
    [FORGET_FILE] = "DELETE FROM declarations WHERE inode = ?1 AND btime = ?2",
    [SET] = "INSERT OR REPLACE INTO declarations (dir, name, inode, btime, " COLUMNS ")"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [SET_FILE] = "UPDATE declarations SET inode = ?3, btime = ?4 WHERE dir = ?1 AND name = ?2",
    [REMOVE] = "DELETE FROM declarations WHERE dir = ?1 AND name = ?2",
    [LIST] = "SELECT name, inode, btime, missing FROM declarations WHERE dir = ?1",
    [SET_MISSING] = "UPDATE declarations SET missing = ?5" SAME_ROW,
    [DROP] = "DELETE FROM declarations" SAME_ROW,
    [FIND_POLICY] = "SELECT follow FROM policies WHERE dir = ?1",
    [SET_POLICY] = "INSERT OR REPLACE INTO policies (dir, follow) VALUES (?1, ?2)",
};

struct CstDeclarations {
    char *path;
    char *dir;
    GMutex lock; /* guards what follows, and the use of the connection */
    sqlite3 *db; /* NULL: not opened yet */
    sqlite3_stmt *statements[N_STATEMENTS];
};

CstDeclarations *cst_declarations_new(const CstPaths *paths)
{
    CstDeclarations *declarations = g_new0(CstDeclarations, 1);

    declarations->dir = g_strdup(paths->data_dir);
    declarations->path = g_build_filename(paths->data_dir, "declarations.db", NULL);
    g_mutex_init(&declarations->lock);
    return declarations;
}

static void close_database(CstDeclarations *declarations)
{
    for (int i = 0; i < N_STATEMENTS; i++)
        g_clear_pointer(&declarations->statements[i], sqlite3_finalize);
    g_clear_pointer(&declarations->db, sqlite3_close);
}

void cst_declarations_free(CstDeclarations *declarations)
{
    if (!declarations)
        return;
    close_database(declarations);
    g_mutex_clear(&declarations->lock);
    g_free(declarations->path);
    g_free(declarations->dir);
    g_free(declarations);
}

static gboolean fail(const CstDeclarations *declarations, GError **error)
{
    return cst_fail(error, CST_ERROR_IO, _("cannot use '%s': %s"), declarations->path,
                    declarations->db ? sqlite3_errmsg(declarations->db)
                                     : sqlite3_errstr(SQLITE_NOMEM));
}

static gboolean prepare_all(CstDeclarations *declarations)
{
    for (int i = 0; i < N_STATEMENTS; i++)
        if (sqlite3_prepare_v3(declarations->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &declarations->statements[i], NULL) != SQLITE_OK)
            return FALSE;
    return TRUE;
}

/* Databases of before had no column for when a record's file was first missed. */
static int add_missing(sqlite3 *db)
{
    static const char look[] = "SELECT missing FROM declarations LIMIT 0";

    if (sqlite3_exec(db, look, NULL, NULL, NULL) == SQLITE_OK)
        return SQLITE_OK;
    sqlite3_exec(db, "ALTER TABLE declarations ADD COLUMN missing INTEGER NOT NULL DEFAULT 0", NULL,
                 NULL, NULL);
    /* Another process may have been quicker. */
    return sqlite3_exec(db, look, NULL, NULL, NULL);
}

/* The mutex of ours is enough: SQLite needs none of its own. */
static int try_open(CstDeclarations *declarations)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    static const char settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                                   "PRAGMA cache_size = -128;";
    int result = sqlite3_open_v2(declarations->path, &declarations->db, flags, NULL);

    if (result == SQLITE_OK)
        result = sqlite3_busy_timeout(declarations->db, BUSY_TIMEOUT_MS);
    if (result == SQLITE_OK)
        result = sqlite3_exec(declarations->db, settings, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_exec(declarations->db, schema, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = add_missing(declarations->db);
    return result;
}

/*
 * With the lock held. Two processes that make the database together meet in the change to WAL,
 * which SQLite does not wait for.
 */
static gboolean open_database(CstDeclarations *declarations, GError **error)
{
    gint64 end = g_get_monotonic_time() + BUSY_TIMEOUT_MS * G_TIME_SPAN_MILLISECOND;
    int result;

    if (declarations->db)
        return TRUE;
    if (!cst_dir_ensure(declarations->dir, 0700, error))
        return FALSE;
    while ((result = try_open(declarations)) == SQLITE_BUSY && g_get_monotonic_time() < end) {
        close_database(declarations);
        g_usleep(5 * G_TIME_SPAN_MILLISECOND);
    }
    if (result == SQLITE_OK && prepare_all(declarations))
        return TRUE;
    fail(declarations, error);
    close_database(declarations);
    return FALSE;
}

gboolean cst_declarations_open(CstDeclarations *declarations, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);

    return open_database(declarations, error);
}

/* --- statements ------------------------------------------------------------------------------- */

static sqlite3_stmt *use(CstDeclarations *declarations, Statement which)
{
    sqlite3_stmt *statement = declarations->statements[which];

    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return statement;
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
}

static void bind_id(sqlite3_stmt *statement, int index, const CstFileId *id)
{
    sqlite3_bind_int64(statement, index, (sqlite3_int64)id->inode);
    sqlite3_bind_int64(statement, index + 1, id->btime_ns);
}

/* Runs a statement that gives no rows. */
static gboolean run(CstDeclarations *declarations, sqlite3_stmt *statement, GError **error)
{
    int result = sqlite3_step(statement);

    sqlite3_reset(statement);
    return result == SQLITE_DONE || fail(declarations, error);
}

static char *column_text(sqlite3_stmt *statement, int index)
{
    return g_strdup((const char *)sqlite3_column_text(statement, index));
}

static CstDeclaration *read_row(sqlite3_stmt *statement)
{
    CstDeclaration *declaration = g_new0(CstDeclaration, 1);

    declaration->format = column_text(statement, 0);
    declaration->restricted = sqlite3_column_int(statement, 1) != 0;
    declaration->backing = column_text(statement, 2);
    declaration->backing_format = column_text(statement, 3);
    declaration->data_file = column_text(statement, 4);
    return declaration;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Whether the row of a name, just stepped to, is about @id. */
static gboolean is_about(sqlite3_stmt *statement, const CstFileId *id)
{
    sqlite3_int64 inode = sqlite3_column_int64(statement, 5);
    sqlite3_int64 btime = sqlite3_column_int64(statement, 6);

    return inode == (sqlite3_int64)id->inode && (btime == id->btime_ns || !btime || !id->btime_ns);
}

/* *ret_moved: the row was made for another file of the name. */
static int find_row(CstDeclarations *declarations, const CstDeclaredFile *file, gboolean by_name,
                    sqlite3_stmt **ret_statement, gboolean *ret_moved)
{
    sqlite3_stmt *statement = use(declarations, FIND_FILE);
    int result = SQLITE_DONE;

    *ret_statement = statement;
    if (file->id.inode && file->id.btime_ns) {
        bind_id(statement, 1, &file->id);
        bind_text(statement, 3, file->dir);
        bind_text(statement, 4, file->name);
        result = sqlite3_step(statement);
    }
    if (result != SQLITE_DONE)
        return result;
    *ret_statement = statement = use(declarations, FIND_NAME);
    bind_text(statement, 1, file->dir);
    bind_text(statement, 2, file->name);
    result = sqlite3_step(statement);
    *ret_moved = result == SQLITE_ROW && !is_about(statement, &file->id);
    return *ret_moved && !by_name ? SQLITE_DONE : result;
}

/* A record found by its name is from now on about the file that is there. */
static void follow_name(CstDeclarations *declarations, const CstDeclaredFile *file)
{
    sqlite3_stmt *statement = use(declarations, SET_FILE);

    bind_text(statement, 1, file->dir);
    bind_text(statement, 2, file->name);
    bind_id(statement, 3, &file->id);
    run(declarations, statement, NULL);
}

gboolean cst_declarations_find(CstDeclarations *declarations, const CstDeclaredFile *file,
                               gboolean by_name, CstDeclaration **ret_declaration, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    gboolean moved = FALSE;
    sqlite3_stmt *statement;
    int result;

    if (!open_database(declarations, error))
        return FALSE;
    result = find_row(declarations, file, by_name, &statement, &moved);
    if (result == SQLITE_ROW || result == SQLITE_DONE)
        *ret_declaration = result == SQLITE_ROW ? read_row(statement) : NULL;
    else
        fail(declarations, error);
    sqlite3_reset(statement);
    if (moved && by_name && file->id.inode)
        follow_name(declarations, file);
    return result == SQLITE_ROW || result == SQLITE_DONE;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Ends the transaction that BEGIN has begun, either way. */
static gboolean end_transaction(CstDeclarations *declarations, gboolean done, GError **error)
{
    if (done && run(declarations, use(declarations, COMMIT), error))
        return TRUE;
    run(declarations, use(declarations, ROLLBACK), NULL);
    return FALSE;
}

static gboolean set_row(CstDeclarations *declarations, const CstDeclaredFile *file,
                        const CstDeclaration *declaration, GError **error)
{
    sqlite3_stmt *statement;

    if (file->id.inode && file->id.btime_ns) {
        statement = use(declarations, FORGET_FILE);
        bind_id(statement, 1, &file->id);
        if (!run(declarations, statement, error))
            return FALSE;
    }
    statement = use(declarations, SET);
    bind_text(statement, 1, file->dir);
    bind_text(statement, 2, file->name);
    bind_id(statement, 3, &file->id);
    bind_text(statement, 5, declaration->format);
    sqlite3_bind_int(statement, 6, declaration->restricted);
    bind_text(statement, 7, declaration->backing);
    bind_text(statement, 8, declaration->backing_format);
    bind_text(statement, 9, declaration->data_file);
    return run(declarations, statement, error);
}

/* With the lock held, and the database open. */
static gboolean set_rows(CstDeclarations *declarations, const CstDeclaredFile *files, guint count,
                         const CstDeclaration *declaration, GError **error)
{
    gboolean done = TRUE;

    if (!run(declarations, use(declarations, BEGIN), error))
        return FALSE;
    for (guint i = 0; done && i < count; i++)
        done = set_row(declarations, &files[i], declaration, error);
    return end_transaction(declarations, done, error);
}

gboolean cst_declarations_set(CstDeclarations *declarations, const CstDeclaredFile *file,
                              const CstDeclaration *declaration, gboolean durable, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    gboolean done;

    if (!open_database(declarations, error))
        return FALSE;
    if (durable)
        sqlite3_exec(declarations->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
    done = set_rows(declarations, file, 1, declaration, error);
    if (durable)
        sqlite3_exec(declarations->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
    return done;
}

gboolean cst_declarations_set_many(CstDeclarations *declarations, const CstDeclaredFile *files,
                                   guint count, const CstDeclaration *declaration, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    gboolean done = open_database(declarations, error) &&
                    set_rows(declarations, files, count, declaration, error);

    /* A large transaction leaves a cache that nothing else needs. */
    if (declarations->db)
        sqlite3_db_release_memory(declarations->db);
    return done;
}

gboolean cst_declarations_remove(CstDeclarations *declarations, const char *dir, const char *name,
                                 GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    sqlite3_stmt *statement;

    if (!open_database(declarations, error))
        return FALSE;
    statement = use(declarations, REMOVE);
    bind_text(statement, 1, dir);
    bind_text(statement, 2, name);
    return run(declarations, statement, error);
}

/* --- records whose files are gone ------------------------------------------------------------- */

typedef struct {
    char *name;
    CstFileId id;
    gint64 missing; /* what is to be recorded; ignored with drop */
    gboolean drop;
} Change;

static void change_free(gpointer data)
{
    Change *change = data;

    g_free(change->name);
    g_free(change);
}

/* What the row just stepped to asks for; NULL: nothing. */
static Change *judge_row(sqlite3_stmt *row, const CstDeclarationSweep *sweep)
{
    const char *name = (const char *)sqlite3_column_text(row, 0);
    const CstFileId id = {.inode = (uint64_t)sqlite3_column_int64(row, 1),
                          .btime_ns = sqlite3_column_int64(row, 2)};
    gint64 missing = sqlite3_column_int64(row, 3);
    gboolean there = sweep->may_be_there(name, &id, sweep->data);
    gboolean drop = !there && missing && sweep->now - missing >= sweep->patience;
    Change *change;

    if (!drop && there == (missing == 0))
        return NULL;
    change = g_new0(Change, 1);
    change->name = g_strdup(name);
    change->id = id;
    change->missing = there ? 0 : sweep->now;
    change->drop = drop;
    return change;
}

static gboolean apply_change(CstDeclarations *declarations, const char *dir, const Change *change,
                             GError **error)
{
    sqlite3_stmt *statement = use(declarations, change->drop ? DROP : SET_MISSING);

    bind_text(statement, 1, dir);
    bind_text(statement, 2, change->name);
    bind_id(statement, 3, &change->id);
    if (!change->drop)
        sqlite3_bind_int64(statement, 5, change->missing);
    return run(declarations, statement, error);
}

gboolean cst_declarations_sweep(CstDeclarations *declarations, const char *dir,
                                const CstDeclarationSweep *sweep, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&declarations->lock);
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(change_free);
    gboolean done = TRUE;
    sqlite3_stmt *row;
    int result;

    if (!open_database(declarations, error))
        return FALSE;
    row = use(declarations, LIST);
    bind_text(row, 1, dir);
    while ((result = sqlite3_step(row)) == SQLITE_ROW) {
        Change *change = judge_row(row, sweep);

        if (change)
            g_ptr_array_add(changes, change);
    }
    sqlite3_reset(row);
    if (result != SQLITE_DONE)
        return fail(declarations, error);
    if (changes->len == 0)
        return TRUE;
    if (!run(declarations, use(declarations, BEGIN), error))
        return FALSE;
    for (guint i = 0; done && i < changes->len; i++)
        done = apply_change(declarations, dir, g_ptr_array_index(changes, i), error);
    return end_transaction(declarations, done, error);
}

/* --- policies --------------------------------------------------------------------------------- */

gboolean cst_declarations_follow(CstDeclarations *declarations, const char *dir,
                                 CstFollow *ret_follow, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    sqlite3_stmt *statement;
    gboolean done;
    int result;

    if (!open_database(declarations, error))
        return FALSE;
    statement = use(declarations, FIND_POLICY);
    bind_text(statement, 1, dir);
    result = sqlite3_step(statement);
    done = result == SQLITE_ROW || result == SQLITE_DONE || fail(declarations, error);
    if (done && (result == SQLITE_DONE ||
                 !cst_follow_parse((const char *)sqlite3_column_text(statement, 0), ret_follow)))
        *ret_follow = CST_FOLLOW_POOLS;
    sqlite3_reset(statement);
    return done;
}

gboolean cst_declarations_set_follow(CstDeclarations *declarations, const char *dir,
                                     CstFollow follow, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    sqlite3_stmt *statement;

    if (!open_database(declarations, error))
        return FALSE;
    statement = use(declarations, SET_POLICY);
    bind_text(statement, 1, dir);
    bind_text(statement, 2, cst_follow_name(follow));
    return run(declarations, statement, error);
}
