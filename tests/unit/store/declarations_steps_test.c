/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes and syncs of the database that fail, and locks of other processes. */
#include "points.h"

#include "../descriptors.h"
#include "declared.h"

#include <errno.h>
#include <sqlite3.h>

#include <base/library.h>

/* --- SQLite's files --------------------------------------------------------------------------- */

static guint steps, failing_step; /* writes and syncs; failing_step 0: no step fails */
static guint syncs;
static gboolean is_write; /* the failed step */
static int (*real_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);
static int (*real_write)(sqlite3_file *, const void *, int, sqlite3_int64);
static int (*real_sync)(sqlite3_file *, int);

static int write_step(sqlite3_file *on, const void *data, int len, sqlite3_int64 offset)
{
    if (++steps != failing_step)
        return real_write(on, data, len, offset);
    is_write = TRUE;
    return SQLITE_FULL;
}

static int sync_step(sqlite3_file *on, int flags)
{
    syncs++;
    return ++steps == failing_step ? SQLITE_IOERR_FSYNC : real_sync(on, flags);
}

/* So many opens for writing fail, and SQLite opens the database for reading; of new logs. */
static guint read_only_opens, missing_logs;

/* Files of the database and its log have methods of their own. */
static int open_with_steps(sqlite3_vfs *vfs, const char *name, sqlite3_file *on, int flags,
                           int *ret_flags)
{
    static sqlite3_io_methods methods[2];
    sqlite3_io_methods *own = &methods[flags & SQLITE_OPEN_MAIN_DB ? 1 : 0];
    int result;

    if ((flags & SQLITE_OPEN_MAIN_DB) && read_only_opens > 0) {
        read_only_opens--;
        flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    }
    result = real_open(vfs, name, on, flags, ret_flags);
    if ((flags & SQLITE_OPEN_WAL) && missing_logs > 0) {
        missing_logs--;
        if (result == SQLITE_OK)
            on->pMethods->xClose(on);
        on->pMethods = NULL;
        errno = ENOENT;
        return SQLITE_CANTOPEN;
    }
    if (result != SQLITE_OK || !on->pMethods)
        return result;
    real_write = on->pMethods->xWrite;
    real_sync = on->pMethods->xSync;
    *own = *on->pMethods;
    own->xWrite = write_step;
    own->xSync = sync_step;
    on->pMethods = own;
    return result;
}

/* --- states ----------------------------------------------------------------------------------- */

static int add_text(void *text, int count, char **values, char **names)
{
    for (int i = 0; i < count; i++)
        g_string_append_printf(text, "%s|", values[i] ? values[i] : "-");
    g_string_append_c(text, '\n');
    return 0;
}

/* All rows, as another process reads them; that process may also write. */
static char *read_rows(const Root *root)
{
    g_autofree char *path = database_path(root);
    GString *text = g_string_new(NULL);
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "BEGIN IMMEDIATE; SELECT * FROM declarations ORDER BY dir, name;"
                                  "SELECT * FROM policies ORDER BY dir; ROLLBACK",
                                  add_text, text, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    return g_string_free(text, FALSE);
}

static CstDeclaredPresence is_a(const char *name, const CstFileId *id, gpointer data)
{
    return strcmp(name, "a") == 0 ? CST_DECLARED_PRESENT : CST_DECLARED_MISSING;
}

static gboolean set_one(Root *root, gboolean durable, GError **error)
{
    const CstDeclaredFile about = file("/p", "new", 7, 5);
    g_autoptr(CstDeclaration) vdi = cst_declaration_new("vdi", FALSE);

    return cst_declarations_set(root->store, &about, vdi, durable, error);
}

/* The record of the file's former name is removed as well. */
static gboolean set_durably(Root *root, GError **error)
{
    return set_one(root, TRUE, error);
}

static gboolean set_quickly(Root *root, GError **error)
{
    return set_one(root, FALSE, error);
}

static gboolean add_many(Root *root, GError **error)
{
    g_autoptr(CstDeclaration) raw = cst_declaration_new("raw", FALSE);
    const CstDeclaredRecord records[] = {{file("/p", "x", 17, 5), raw},
                                         {file("/p", "y", 18, 5), raw}};

    return cst_declarations_add_many(root->store, records, G_N_ELEMENTS(records), error);
}

static gboolean sweep(Root *root, GError **error)
{
    const CstDeclarationSweep how = {.look = is_a, .now = 1000, .grace_period = 100};

    return cst_declarations_sweep(root->store, "/p", &how, error);
}

static gboolean drop(Root *root, GError **error)
{
    return cst_declarations_remove(root->store, "/p", "a", error);
}

static gboolean set_policy(Root *root, GError **error)
{
    return cst_declarations_set_follow(root->store, "/p", CST_FOLLOW_NONE, error);
}

static gboolean (*const changes[])(Root *, GError **) = {set_durably, set_quickly, add_many,
                                                         sweep,       drop,        set_policy};

static void prepare(Root *root)
{
    set(root, file("/p", "a", 7, 5), "qcow2", TRUE);
    set(root, file("/p", "b", 8, 5), "raw", FALSE);
    set(root, file("/p", "c", 9, 5), "raw", FALSE);
}

/* --- tests ------------------------------------------------------------------------------------ */

/* FALSE: the change did not come to the step that should fail. */
static gboolean fail_change(gboolean (*change)(Root *, GError **), guint step)
{
    Root *root;
    g_autofree char *before = NULL, *after = NULL;
    g_autoptr(GError) error = NULL;
    gboolean done;

    setup((void **)&root);
    prepare(root);
    before = read_rows(root);
    steps = 0;
    failing_step = step;
    is_write = FALSE;
    done = change(root, &error);
    failing_step = 0;
    assert_int_equal(done, steps < step);
    if (!done) {
        assert_int_equal(cst_error_code(error), is_write ? CST_ERROR_NO_SPACE : CST_ERROR_IO);
        after = read_rows(root);
        assert_string_equal(after, before);
        /* The mode of a durable change ends with it. */
        syncs = 0;
        assert_true(set_quickly(root, NULL));
        assert_int_equal(syncs, 0);
        assert_true(change(root, NULL));
    }
    teardown((void **)&root);
    return !done;
}

static void change_with_a_failed_write_or_sync_has_no_effect(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        guint step = 1;

        while (fail_change(changes[i], step))
            step++;
        assert_in_range(step, 2, 100);
    }
}

static void failed_transaction_is_rolled_back_once(void **state)
{
    Root *root = *state;

    prepare(root);
    point_watch("declarations.change.undo");
    steps = 0;
    failing_step = 1;
    assert_false(add_many(root, NULL));
    failing_step = 0;
    assert_int_equal(point_passed("declarations.change.undo"), 1);
    assert_true(add_many(root, NULL));
    assert_int_equal(point_passed("declarations.change.undo"), 1);
    points_clear();
}

/* A record that the table refuses leaves the transaction open: SQLite does not roll back. */
static void refused_record_rolls_back_the_whole_change(void **state)
{
    Root *root = *state;
    g_autoptr(CstDeclaration) raw = cst_declaration_new("raw", FALSE);
    const CstDeclaredRecord records[] = {{file("/p", "x", 17, 5), raw},
                                         {file("/p", NULL, 18, 5), raw}};
    const CstDeclaredFile unnamed = file("/p", NULL, 7, 5);
    g_autofree char *before = NULL, *after = NULL;

    prepare(root);
    before = read_rows(root);
    assert_false(cst_declarations_add_many(root->store, records, 2, NULL));
    /* The record under the former name of the file stays. */
    assert_false(cst_declarations_set(root->store, &unnamed, raw, FALSE, NULL));
    after = read_rows(root);
    assert_string_equal(after, before);
    assert_true(add_many(root, NULL));
}

static void database_is_writable_after_a_failed_open_for_writing(void **state)
{
    Root *root = *state;

    prepare(root);
    cst_declarations_free(root->store);
    root->store = cst_declarations_new(root->paths);
    read_only_opens = 1;
    assert_format(root, file("/p", "a", 7, 5), TRUE, "qcow2");
    assert_int_equal(read_only_opens, 0);
    set(root, file("/p", "a", 7, 5), "raw", FALSE);
}

static void log_is_created_after_a_failed_open(void **state)
{
    Root *root = *state;

    missing_logs = 1;
    prepare(root);
    assert_int_equal(missing_logs, 0);
    assert_format(root, file("/p", "a", 7, 5), TRUE, "qcow2");
}

/* --- other processes -------------------------------------------------------------------------- */

static gboolean gives_up; /* as after the busy timeout */
static sqlite3 *holder;   /* has the write lock until a wait for it begins; NULL: it is free */

/* Called when a writer is about to wait. */
static int on_busy(void *unused, int times)
{
    if (gives_up || !holder)
        return 0;
    assert_int_equal(SQLITE_OK, sqlite3_exec(holder, "COMMIT", NULL, NULL, NULL));
    holder = NULL;
    return 1;
}

extern CstLibrary cst_sqlite_library;

static int set_busy_handler(sqlite3 *db, int ms)
{
    assert_true(ms >= 1000);
    return sqlite3_busy_handler(db, on_busy, NULL);
}

/* The store calls set_busy_handler() in place of sqlite3_busy_timeout(). */
static void replace_busy_timeout(void)
{
    int (*handler)(sqlite3 *, int) = set_busy_handler;
    guint i = 0;

    assert_true(cst_library_load(&cst_sqlite_library, NULL));
    while (strcmp(cst_sqlite_library.names[i], "sqlite3_busy_timeout") != 0)
        i++;
    memcpy(&cst_sqlite_library.found[i], &handler, sizeof(handler));
}

static void change_waits_for_the_lock_or_has_no_effect(void **state)
{
    Root *root = *state;
    g_autofree char *path = database_path(root);
    sqlite3 *db;

    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autofree char *before = NULL, *after = NULL;
        g_autoptr(GError) error = NULL;

        prepare(root);
        assert_int_equal(SQLITE_OK, sqlite3_open(path, &db));
        before = read_rows(root);
        assert_int_equal(SQLITE_OK, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
        gives_up = TRUE;
        assert_false(changes[i](root, &error));
        assert_int_equal(cst_error_code(error), CST_ERROR_IO);
        gives_up = FALSE;
        assert_int_equal(SQLITE_OK, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
        after = read_rows(root);
        assert_string_equal(after, before);
        assert_int_equal(SQLITE_OK, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
        holder = db;
        assert_true(changes[i](root, NULL));
        assert_null(holder);
        sqlite3_close(db);
    }
}

static void commit_and_free(gpointer db)
{
    assert_int_equal(SQLITE_OK, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
}

/* SQLite itself does not wait for a process that makes the database. */
static void database_in_the_making_is_waited_for(void **state)
{
    Root *root = *state;
    g_autofree char *path = database_path(root);
    guint before = count_descriptors();
    sqlite3 *db;

    g_mkdir_with_parents(root->paths->data_dir, 0700);
    assert_int_equal(SQLITE_OK, sqlite3_open(path, &db));
    assert_int_equal(SQLITE_OK, sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL));
    point_run("database.open.wait", commit_and_free, db);
    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    points_clear();
    sqlite3_close(db);
    assert_format(root, file("/p", "a", 7, 5), FALSE, "raw");
    cst_declarations_free(root->store);
    assert_int_equal(count_descriptors(), before);
    root->store = cst_declarations_new(root->paths);
}

/* The file of the record is another one by the time of the change. */
static CstDeclaredPresence replace_meanwhile(const char *name, const CstFileId *id, gpointer data)
{
    if (strcmp(name, "b") == 0)
        set(data, file("/p", "b", 88, 5), "vdi", TRUE);
    return CST_DECLARED_MISSING;
}

static CstDeclaredPresence is_missing(const char *name, const CstFileId *id, gpointer data)
{
    return CST_DECLARED_MISSING;
}

/* It is neither marked as missing nor dropped: the plan was made for another file. */
static void sweep_keeps_a_record_that_was_changed_during_it(void **state)
{
    Root *root = *state;
    Root other = {.store = cst_declarations_new(root->paths)};
    CstDeclarationSweep how = {
        .look = replace_meanwhile, .data = &other, .now = 1000, .grace_period = 100};
    g_autofree char *marked = NULL, *dropped = NULL;

    prepare(root);
    assert_true(cst_declarations_sweep(root->store, "/p", &how, NULL));
    marked = read_rows(root);
    assert_non_null(strstr(marked, "|b|88|5|vdi|1|/images/base|raw|data.raw|0|-|\n"));
    assert_non_null(strstr(marked, "|a|7|5|qcow2|1|/images/base|raw|data.raw|1000|-|\n"));
    prepare(root);
    how.look = is_missing;
    assert_true(cst_declarations_sweep(root->store, "/p", &how, NULL));
    how.look = replace_meanwhile;
    how.now += 100;
    assert_true(cst_declarations_sweep(root->store, "/p", &how, NULL));
    dropped = read_rows(root);
    assert_string_equal(dropped, "/p|b|88|5|vdi|1|/images/base|raw|data.raw|0|-|\n");
    cst_declarations_free(other.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(change_with_a_failed_write_or_sync_has_no_effect),
        TEST(failed_transaction_is_rolled_back_once),
        TEST(refused_record_rolls_back_the_whole_change),
        TEST(database_is_writable_after_a_failed_open_for_writing),
        TEST(log_is_created_after_a_failed_open),
        TEST(change_waits_for_the_lock_or_has_no_effect),
        TEST(database_in_the_making_is_waited_for),
        TEST(sweep_keeps_a_record_that_was_changed_during_it),
    };
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    real_open = vfs->xOpen;
    vfs->xOpen = open_with_steps;
    replace_busy_timeout();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
