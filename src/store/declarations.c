/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of the declarations of files.
 *
 * A file is looked up by its identity (inode, birth time) first. The identity finds the file after
 * a rename and does not find another file that has its former name. If the birth time is unknown,
 * the record is found by directory and name and must have the same inode. If several records have
 * the identity (hard links), the record of the file's own name has precedence, then a restricted
 * one.
 *
 * A commit survives the end of the process (WAL). It survives a power loss only if it was made with
 * synchronous = FULL, which also makes all earlier commits durable.
 *
 * CstDeclarations.lock serialises all use of the connection. SQLite serialises other processes. A
 * change of several statements is one transaction, and so is the scan of a bulk look-up.
 */
#include "declarations_db.h"

/* Columns of SQL_FIND_NAME and SQL_FIND_DIR after the columns of the declaration. */
enum { COLUMN_INODE = 6, COLUMN_BTIME, COLUMN_NAME };

CstDeclarations *cst_declarations_new(const CstPaths *paths)
{
    CstDeclarations *declarations = g_new0(CstDeclarations, 1);

    db_init(declarations, paths);
    g_mutex_init(&declarations->lock);
    db_forgotten_init(declarations);
    return declarations;
}

void cst_declarations_free(CstDeclarations *declarations)
{
    if (!declarations)
        return;
    db_forgotten_flush(declarations, NULL);
    db_close(declarations);
    db_forgotten_clear(declarations);
    g_mutex_clear(&declarations->lock);
    database_clear(&declarations->database);
    g_free(declarations);
}

gboolean cst_declarations_open(CstDeclarations *declarations, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);

    return db_open(declarations, error);
}

static CstDeclaration *read_row(sqlite3_stmt *statement)
{
    CstDeclaration *declaration = g_new0(CstDeclaration, 1);

    declaration->format = database_column_text(statement, 0);
    declaration->restricted = sqlite3_column_int(statement, 1) != 0;
    declaration->backing = database_column_text(statement, 2);
    declaration->backing_format = database_column_text(statement, 3);
    declaration->data_file = database_column_text(statement, 4);
    declaration->seen_format = database_column_text(statement, 5);
    return declaration;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Whether the identity is unique. Without a birth time, an inode number may be reused. */
static gboolean has_identity(const CstDeclaredFile *file)
{
    return file->id.inode && file->id.btime_ns;
}

/* Whether the current row of a name was made for the file @id. An unknown birth time matches. */
static gboolean row_matches(sqlite3_stmt *statement, const CstFileId *id)
{
    sqlite3_int64 inode = sqlite3_column_int64(statement, COLUMN_INODE);
    sqlite3_int64 btime = sqlite3_column_int64(statement, COLUMN_BTIME);

    return inode == (sqlite3_int64)id->inode && (btime == id->btime_ns || !btime || !id->btime_ns);
}

/*
 * Steps to the row of @file, by identity, then by name. Returns SQLITE_ROW, SQLITE_DONE or an error
 * code. *ret_moved: the row of the name was made for another file, and counts only with @by_name.
 */
static int find_row(CstDeclarations *declarations, const CstDeclaredFile *file, gboolean by_name,
                    sqlite3_stmt **ret_statement, gboolean *ret_moved)
{
    sqlite3_stmt *statement = db_use(declarations, SQL_FIND_FILE);
    int result = SQLITE_DONE;

    *ret_statement = statement;
    if (has_identity(file)) {
        db_bind_id(statement, 1, &file->id);
        database_bind_text(statement, 3, file->dir);
        database_bind_text(statement, 4, file->name);
        result = sqlite3_step(statement);
    }
    if (result != SQLITE_DONE)
        return result;
    *ret_statement = statement = db_use(declarations, SQL_FIND_NAME);
    database_bind_text(statement, 1, file->dir);
    database_bind_text(statement, 2, file->name);
    result = sqlite3_step(statement);
    *ret_moved = result == SQLITE_ROW && !row_matches(statement, &file->id);
    return *ret_moved && !by_name ? SQLITE_DONE : result;
}

/*
 * Binds the record of the name to the file that has the name now. A failure is harmless, because
 * the next look-up by name tries again.
 */
static void rebind_row(CstDeclarations *declarations, const CstDeclaredFile *file)
{
    sqlite3_stmt *statement = db_use(declarations, SQL_SET_FILE);

    database_bind_text(statement, 1, file->dir);
    database_bind_text(statement, 2, file->name);
    db_bind_id(statement, 3, &file->id);
    db_run(declarations, statement, NULL);
}

/*
 * Reads a row that was made for an earlier file of the name. The present file inherits the
 * declaration, but not the format that was seen in the earlier file. Returns NULL if it inherits no
 * declaration.
 */
static CstDeclaration *read_moved_row(sqlite3_stmt *statement)
{
    g_autoptr(CstDeclaration) declaration = read_row(statement);

    if (!cst_declaration_declares(declaration))
        return NULL;
    g_clear_pointer(&declaration->seen_format, g_free);
    return g_steal_pointer(&declaration);
}

/* Called with the lock held and the database open. */
static gboolean declarations_find_file(CstDeclarations *declarations, const CstDeclaredFile *file,
                                       gboolean by_name, CstDeclaration **ret_declaration,
                                       GError **error)
{
    gboolean moved = FALSE;
    sqlite3_stmt *statement;
    int result;

    db_forgotten_before_find(declarations, &file->id, by_name);
    result = find_row(declarations, file, by_name, &statement, &moved);
    *ret_declaration = NULL;
    if (result == SQLITE_ROW)
        *ret_declaration = moved ? read_moved_row(statement) : read_row(statement);
    else if (result != SQLITE_DONE)
        db_fail(declarations, error);
    sqlite3_reset(statement);
    if (moved && *ret_declaration && file->id.inode)
        rebind_row(declarations, file);
    return result == SQLITE_ROW || result == SQLITE_DONE;
}

gboolean cst_declarations_find(CstDeclarations *declarations, const CstDeclaredFile *file,
                               gboolean by_name, CstDeclaration **ret_declaration, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);

    return db_open(declarations, error) &&
           declarations_find_file(declarations, file, by_name, ret_declaration, error);
}

/* --- reading many ----------------------------------------------------------------------------- */

/*
 * Below this number, files are searched for one by one, because a bulk look-up also reads the
 * records of all other directories.
 */
#define BULK_MIN 64

/*
 * A bulk look-up reads two result sets. The records of the directory answer for files that still
 * have the name in their record. The identities of all records then find files that have a record
 * under another name. Such files, and files that have replaced the file of their name's record, are
 * few and are searched for one by one.
 */
typedef struct {
    GHashTable *by_name;  /* name to CstDeclaredLookup * */
    GHashTable *by_file;  /* CstFileId to CstDeclaredLookup *, not found by identity yet */
    GPtrArray *remaining; /* of CstDeclaredLookup *, to be searched for one by one */
} BulkLookup;

static void bulk_init(BulkLookup *bulk, CstDeclaredLookup *lookups, guint count)
{
    bulk->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    bulk->by_file = g_hash_table_new(cst_file_id_hash, cst_file_id_equal);
    bulk->remaining = g_ptr_array_new();
    for (guint i = 0; i < count; i++) {
        CstDeclaredLookup *lookup = &lookups[i];

        g_hash_table_insert(bulk->by_name, (char *)lookup->file.name, lookup);
        if (!has_identity(&lookup->file))
            continue;
        if (!g_hash_table_contains(bulk->by_file, &lookup->file.id))
            g_hash_table_insert(bulk->by_file, &lookup->file.id, lookup);
        else /* a hard link to a file that is already being looked up */
            g_ptr_array_add(bulk->remaining, lookup);
    }
}

static void bulk_clear(BulkLookup *bulk)
{
    g_hash_table_unref(bulk->by_name);
    g_hash_table_unref(bulk->by_file);
    g_ptr_array_unref(bulk->remaining);
}

static void match_dir_row(BulkLookup *bulk, sqlite3_stmt *row)
{
    CstDeclaredLookup *lookup =
        g_hash_table_lookup(bulk->by_name, sqlite3_column_text(row, COLUMN_NAME));

    if (!lookup)
        return;
    if (row_matches(row, &lookup->file.id)) {
        lookup->declaration = read_row(row);
        /* A record of the file's own name takes precedence over records of other names. */
        if (sqlite3_column_int64(row, COLUMN_BTIME) == lookup->file.id.btime_ns &&
            g_hash_table_lookup(bulk->by_file, &lookup->file.id) == lookup)
            g_hash_table_remove(bulk->by_file, &lookup->file.id);
    } else if (lookup->by_name) {
        g_ptr_array_add(bulk->remaining, lookup);
    }
}

static void match_file_row(BulkLookup *bulk, sqlite3_stmt *row)
{
    const CstFileId id = {.inode = (uint64_t)sqlite3_column_int64(row, 0),
                          .btime_ns = sqlite3_column_int64(row, 1)};
    CstDeclaredLookup *lookup = g_hash_table_lookup(bulk->by_file, &id);

    if (lookup)
        g_ptr_array_add(bulk->remaining, lookup);
}

static gboolean each_row(CstDeclarations *declarations, sqlite3_stmt *row, BulkLookup *bulk,
                         void (*match)(BulkLookup *bulk, sqlite3_stmt *row), GError **error)
{
    int result;

    while ((result = sqlite3_step(row)) == SQLITE_ROW)
        match(bulk, row);
    sqlite3_reset(row);
    return result == SQLITE_DONE || db_fail(declarations, error);
}

/* Scans in one transaction, so that no record moves between the two result sets. */
static gboolean scan_rows(CstDeclarations *declarations, const char *dir, BulkLookup *bulk,
                          GError **error)
{
    sqlite3_stmt *rows_of_dir = db_use(declarations, SQL_FIND_DIR);
    gboolean done;

    if (!db_run(declarations, db_use(declarations, SQL_BEGIN_READ), error))
        return FALSE;
    database_bind_text(rows_of_dir, 1, dir);
    done =
        each_row(declarations, rows_of_dir, bulk, match_dir_row, error) &&
        each_row(declarations, db_use(declarations, SQL_FIND_FILES), bulk, match_file_row, error);
    return db_end_transaction(declarations, done, error);
}

static gboolean find_one(CstDeclarations *declarations, CstDeclaredLookup *lookup, GError **error)
{
    g_clear_pointer(&lookup->declaration, cst_declaration_free);
    return declarations_find_file(declarations, &lookup->file, lookup->by_name,
                                  &lookup->declaration, error);
}

static gboolean find_bulk(CstDeclarations *declarations, CstDeclaredLookup *lookups, guint count,
                          GError **error)
{
    BulkLookup bulk;
    gboolean done;

    for (guint i = 0; i < count; i++)
        db_forgotten_before_find(declarations, &lookups[i].file.id, lookups[i].by_name);
    bulk_init(&bulk, lookups, count);
    done = scan_rows(declarations, lookups->file.dir, &bulk, error);
    for (guint i = 0; done && i < bulk.remaining->len; i++)
        done = find_one(declarations, g_ptr_array_index(bulk.remaining, i), error);
    bulk_clear(&bulk);
    return done;
}

gboolean cst_declarations_find_many(CstDeclarations *declarations, CstDeclaredLookup *lookups,
                                    guint count, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    gboolean done = count == 0 || db_open(declarations, error);

    for (guint i = 0; i < count; i++)
        lookups[i].declaration = NULL;
    if (done && count >= BULK_MIN)
        done = find_bulk(declarations, lookups, count, error);
    for (guint i = 0; done && count < BULK_MIN && i < count; i++)
        done = find_one(declarations, &lookups[i], error);
    for (guint i = 0; !done && i < count; i++)
        g_clear_pointer(&lookups[i].declaration, cst_declaration_free);
    return done;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void bind_declaration(sqlite3_stmt *statement, const CstDeclaration *declaration)
{
    database_bind_text(statement, 5, declaration->format);
    sqlite3_bind_int(statement, 6, declaration->restricted);
    database_bind_text(statement, 7, declaration->backing);
    database_bind_text(statement, 8, declaration->backing_format);
    database_bind_text(statement, 9, declaration->data_file);
    database_bind_text(statement, 10, declaration->seen_format);
}

static void bind_file(sqlite3_stmt *statement, const CstDeclaredFile *file)
{
    database_bind_text(statement, 1, file->dir);
    database_bind_text(statement, 2, file->name);
    db_bind_id(statement, 3, &file->id);
}

static gboolean set_row(CstDeclarations *declarations, const CstDeclaredFile *file,
                        const CstDeclaration *declaration, GError **error)
{
    sqlite3_stmt *statement;

    if (has_identity(file)) {
        /* A file has one record, so delete the records under its former names. */
        statement = db_use(declarations, SQL_FORGET_FILE);
        db_bind_id(statement, 1, &file->id);
        if (!db_run(declarations, statement, error))
            return FALSE;
    }
    statement = db_use(declarations, SQL_SET);
    bind_file(statement, file);
    bind_declaration(statement, declaration);
    return db_run(declarations, statement, error);
}

/*
 * Sets whether commits from now on are durable, together with all commits before them. Call it
 * outside of transactions, because SQLite ignores it inside one.
 */
static void set_durable(CstDeclarations *declarations, gboolean durable)
{
    sqlite3_exec(declarations->database.db,
                 durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", NULL, NULL,
                 NULL);
}

gboolean cst_declarations_set(CstDeclarations *declarations, const CstDeclaredFile *file,
                              const CstDeclaration *declaration, gboolean durable, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    gboolean done;

    if (!db_open(declarations, error))
        return FALSE;
    if (durable)
        set_durable(declarations, TRUE);
    done = db_begin(declarations, error) &&
           db_commit(declarations, set_row(declarations, file, declaration, error), error);
    if (durable)
        set_durable(declarations, FALSE);
    return done;
}

/* Updates the seen format of a file that has a record, and may restrict the file. */
static gboolean set_seen(CstDeclarations *declarations, const CstDeclaredRecord *record,
                         GError **error)
{
    sqlite3_stmt *statement;

    if (!record->declaration->seen_format)
        return TRUE;
    statement = db_use(declarations, SQL_SET_SEEN);
    bind_file(statement, &record->file);
    bind_declaration(statement, record->declaration);
    return db_run(declarations, statement, error);
}

/* Called with the lock held and the database open. */
static gboolean add_rows(CstDeclarations *declarations, const CstDeclaredRecord *records,
                         guint count, GError **error)
{
    sqlite3_stmt *statement = db_use(declarations, SQL_ADD);
    gboolean done = TRUE;

    if (!db_begin(declarations, error))
        return FALSE;
    for (guint i = 0; done && i < count; i++) {
        bind_declaration(statement, records[i].declaration);
        bind_file(statement, &records[i].file);
        done = db_run(declarations, statement, error) &&
               (sqlite3_changes(declarations->database.db) > 0 ||
                set_seen(declarations, &records[i], error));
    }
    return db_commit(declarations, done, error);
}

gboolean cst_declarations_add_many(CstDeclarations *declarations, const CstDeclaredRecord *records,
                                   guint count, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);

    return db_open(declarations, error) && add_rows(declarations, records, count, error);
}

gboolean cst_declarations_remove(CstDeclarations *declarations, const char *dir, const char *name,
                                 GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    sqlite3_stmt *statement;

    if (!db_open(declarations, error))
        return FALSE;
    statement = db_use(declarations, SQL_REMOVE);
    database_bind_text(statement, 1, dir);
    database_bind_text(statement, 2, name);
    return db_run(declarations, statement, error);
}

/* --- sweep: records of missing files ---------------------------------------------------------- */

typedef struct {
    char *name;
    CstFileId id;
    gint64 missing; /* new value: start of the absence; 0: present; unused with drop */
    gboolean drop;
} Change;

static void declaration_change_free(gpointer data)
{
    Change *change = data;

    g_free(change->name);
    g_free(change);
}

/* Returns the change that the current row needs, or NULL. */
static Change *plan_change(sqlite3_stmt *row, const CstDeclarationSweep *sweep)
{
    const char *name = (const char *)sqlite3_column_text(row, 0);
    const CstFileId id = {.inode = (uint64_t)sqlite3_column_int64(row, 1),
                          .btime_ns = sqlite3_column_int64(row, 2)};
    gint64 missing = sqlite3_column_int64(row, 3);
    CstDeclaredPresence presence = sweep->look(name, &id, sweep->data);
    gboolean there = presence == CST_DECLARED_PRESENT;
    gboolean drop = !there && missing && sweep->now - missing >= sweep->grace_period;
    Change *change;

    /*
     * An unknown presence does not reset the grace period, because presence is unknown at each
     * start of a daemon until all pools are scanned.
     */
    if (presence == CST_DECLARED_UNKNOWN || (!drop && there == (missing == 0)))
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

    database_bind_text(statement, 1, dir);
    database_bind_text(statement, 2, change->name);
    db_bind_id(statement, 3, &change->id);
    if (!change->drop)
        sqlite3_bind_int64(statement, 5, change->missing);
    return db_run(declarations, statement, error);
}

gboolean cst_declarations_sweep(CstDeclarations *declarations, const char *dir,
                                const CstDeclarationSweep *sweep, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&declarations->lock);
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(declaration_change_free);
    gboolean done = TRUE;
    sqlite3_stmt *row;
    int result;

    if (!db_open(declarations, error))
        return FALSE;
    /*
     * The plan is made without a transaction, so that look() does not block other processes. A
     * record that they change in between is left unchanged (SAME_ROW).
     */
    row = db_use(declarations, SQL_LIST);
    database_bind_text(row, 1, dir);
    while ((result = sqlite3_step(row)) == SQLITE_ROW) {
        Change *change = plan_change(row, sweep);

        if (change)
            g_ptr_array_add(changes, change);
    }
    sqlite3_reset(row);
    if (result != SQLITE_DONE)
        return db_fail(declarations, error);
    if (changes->len == 0)
        return TRUE;
    if (!db_begin(declarations, error))
        return FALSE;
    for (guint i = 0; done && i < changes->len; i++)
        done = apply_change(declarations, dir, g_ptr_array_index(changes, i), error);
    return db_commit(declarations, done, error);
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
    database_bind_text(statement, 1, dir);
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
    gboolean done;

    if (!db_open(declarations, error))
        return FALSE;
    set_durable(declarations, TRUE);
    statement = db_use(declarations, SQL_SET_POLICY);
    database_bind_text(statement, 1, dir);
    database_bind_text(statement, 2, cst_follow_name(follow));
    done = db_run(declarations, statement, error);
    set_durable(declarations, FALSE);
    return done;
}
