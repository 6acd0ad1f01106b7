/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file is looked up by (inode, time of birth) first: that finds it after a rename, and does not
 * find another file that has taken its name. Rows of files whose time of birth is not known are
 * found by directory and name, with the same inode.
 */
#include "declarations_db.h"

CstDeclarations *cst_declarations_new(const CstPaths *paths)
{
    CstDeclarations *declarations = g_new0(CstDeclarations, 1);

    declarations->dir = g_strdup(paths->data_dir);
    declarations->path = g_build_filename(paths->data_dir, "declarations.db", NULL);
    g_mutex_init(&declarations->lock);
    return declarations;
}

void cst_declarations_free(CstDeclarations *declarations)
{
    if (!declarations)
        return;
    db_close(declarations);
    g_mutex_clear(&declarations->lock);
    g_free(declarations->path);
    g_free(declarations->dir);
    g_free(declarations);
}

gboolean cst_declarations_open(CstDeclarations *declarations, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);

    return db_open(declarations, error);
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
    sqlite3_stmt *statement = db_use(declarations, SQL_FIND_FILE);
    int result = SQLITE_DONE;

    *ret_statement = statement;
    if (file->id.inode && file->id.btime_ns) {
        db_bind_id(statement, 1, &file->id);
        db_bind_text(statement, 3, file->dir);
        db_bind_text(statement, 4, file->name);
        result = sqlite3_step(statement);
    }
    if (result != SQLITE_DONE)
        return result;
    *ret_statement = statement = db_use(declarations, SQL_FIND_NAME);
    db_bind_text(statement, 1, file->dir);
    db_bind_text(statement, 2, file->name);
    result = sqlite3_step(statement);
    *ret_moved = result == SQLITE_ROW && !is_about(statement, &file->id);
    return *ret_moved && !by_name ? SQLITE_DONE : result;
}

/* A record found by its name is from now on about the file that is there. */
static void follow_name(CstDeclarations *declarations, const CstDeclaredFile *file)
{
    sqlite3_stmt *statement = db_use(declarations, SQL_SET_FILE);

    db_bind_text(statement, 1, file->dir);
    db_bind_text(statement, 2, file->name);
    db_bind_id(statement, 3, &file->id);
    db_run(declarations, statement, NULL);
}

gboolean cst_declarations_find(CstDeclarations *declarations, const CstDeclaredFile *file,
                               gboolean by_name, CstDeclaration **ret_declaration, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    gboolean moved = FALSE;
    sqlite3_stmt *statement;
    int result;

    if (!db_open(declarations, error))
        return FALSE;
    result = find_row(declarations, file, by_name, &statement, &moved);
    if (result == SQLITE_ROW || result == SQLITE_DONE)
        *ret_declaration = result == SQLITE_ROW ? read_row(statement) : NULL;
    else
        db_fail(declarations, error);
    sqlite3_reset(statement);
    if (moved && by_name && file->id.inode)
        follow_name(declarations, file);
    return result == SQLITE_ROW || result == SQLITE_DONE;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Ends the transaction that BEGIN has begun, either way. */
static gboolean end_transaction(CstDeclarations *declarations, gboolean done, GError **error)
{
    if (done && db_run(declarations, db_use(declarations, SQL_COMMIT), error))
        return TRUE;
    db_run(declarations, db_use(declarations, SQL_ROLLBACK), NULL);
    return FALSE;
}

static gboolean set_row(CstDeclarations *declarations, const CstDeclaredFile *file,
                        const CstDeclaration *declaration, GError **error)
{
    sqlite3_stmt *statement;

    if (file->id.inode && file->id.btime_ns) {
        statement = db_use(declarations, SQL_FORGET_FILE);
        db_bind_id(statement, 1, &file->id);
        if (!db_run(declarations, statement, error))
            return FALSE;
    }
    statement = db_use(declarations, SQL_SET);
    db_bind_text(statement, 1, file->dir);
    db_bind_text(statement, 2, file->name);
    db_bind_id(statement, 3, &file->id);
    db_bind_text(statement, 5, declaration->format);
    sqlite3_bind_int(statement, 6, declaration->restricted);
    db_bind_text(statement, 7, declaration->backing);
    db_bind_text(statement, 8, declaration->backing_format);
    db_bind_text(statement, 9, declaration->data_file);
    return db_run(declarations, statement, error);
}

/* With the lock held, and the database open. */
static gboolean set_rows(CstDeclarations *declarations, const CstDeclaredFile *files, guint count,
                         const CstDeclaration *declaration, GError **error)
{
    gboolean done = TRUE;

    if (!db_run(declarations, db_use(declarations, SQL_BEGIN), error))
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

    if (!db_open(declarations, error))
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
    gboolean done =
        db_open(declarations, error) && set_rows(declarations, files, count, declaration, error);

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

    if (!db_open(declarations, error))
        return FALSE;
    statement = db_use(declarations, SQL_REMOVE);
    db_bind_text(statement, 1, dir);
    db_bind_text(statement, 2, name);
    return db_run(declarations, statement, error);
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
    sqlite3_stmt *statement = db_use(declarations, change->drop ? SQL_DROP : SQL_SET_MISSING);

    db_bind_text(statement, 1, dir);
    db_bind_text(statement, 2, change->name);
    db_bind_id(statement, 3, &change->id);
    if (!change->drop)
        sqlite3_bind_int64(statement, 5, change->missing);
    return db_run(declarations, statement, error);
}

gboolean cst_declarations_sweep(CstDeclarations *declarations, const char *dir,
                                const CstDeclarationSweep *sweep, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&declarations->lock);
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(change_free);
    gboolean done = TRUE;
    sqlite3_stmt *row;
    int result;

    if (!db_open(declarations, error))
        return FALSE;
    row = db_use(declarations, SQL_LIST);
    db_bind_text(row, 1, dir);
    while ((result = sqlite3_step(row)) == SQLITE_ROW) {
        Change *change = judge_row(row, sweep);

        if (change)
            g_ptr_array_add(changes, change);
    }
    sqlite3_reset(row);
    if (result != SQLITE_DONE)
        return db_fail(declarations, error);
    if (changes->len == 0)
        return TRUE;
    if (!db_run(declarations, db_use(declarations, SQL_BEGIN), error))
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

    if (!db_open(declarations, error))
        return FALSE;
    statement = db_use(declarations, SQL_FIND_POLICY);
    db_bind_text(statement, 1, dir);
    result = sqlite3_step(statement);
    done = result == SQLITE_ROW || result == SQLITE_DONE || db_fail(declarations, error);
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

    if (!db_open(declarations, error))
        return FALSE;
    statement = db_use(declarations, SQL_SET_POLICY);
    db_bind_text(statement, 1, dir);
    db_bind_text(statement, 2, cst_follow_name(follow));
    return db_run(declarations, statement, error);
}
