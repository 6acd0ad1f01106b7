/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "declared.h"

#include <sqlite3.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static guint syncs;

/* In the place of libc's, for SQLite. */
int fdatasync(int fd)
{
    syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}

static void test_all_fields_are_read_back_from_the_disk(void **state)
{
    Root *root = *state;
    g_autoptr(CstDeclaration) found = NULL;

    set(root, file("/p", "a", UINT64_MAX, 5), "qcow2", TRUE);
    cst_declarations_free(root->store);
    root->store = cst_declarations_new(root->paths);
    found = find(root, file("/p", "a", UINT64_MAX, 5), FALSE);
    assert_non_null(found);
    assert_string_equal("qcow2", found->format);
    assert_true(found->restricted);
    assert_string_equal("/images/base", found->backing);
    assert_string_equal("raw", found->backing_format);
    assert_string_equal("data.raw", found->data_file);
}

static void test_other_files_have_no_record(void **state)
{
    Root *root = *state;

    assert_format(root, file("/p", "a", 7, 5), FALSE, NULL);
    set(root, file("/p", "a", 7, 5), "qcow2", TRUE);
    assert_format(root, file("/p", "b", 8, 5), FALSE, NULL);
    assert_format(root, file("/q", "a", 9, 5), TRUE, NULL);
}

static void test_a_file_is_known_under_another_name_and_in_another_directory(void **state)
{
    Root *root = *state;

    set(root, file("/p", "a", 7, 5), "qcow2", TRUE);
    assert_format(root, file("/q", "b", 7, 5), FALSE, "qcow2");
    set(root, file("/q", "b", 7, 5), "raw", FALSE);
    assert_format(root, file("/p", "a", 7, 5), FALSE, "raw");
}

static void test_replaced_file_does_not_get_the_record(void **state)
{
    Root *root = *state;

    set(root, file("/p", "a", 7, 5), "qcow2", TRUE);
    /* Another inode; the same one, used again. */
    assert_format(root, file("/p", "a", 8, 6), FALSE, NULL);
    assert_format(root, file("/p", "a", 7, 6), FALSE, NULL);
    /* A search by name accepts the new file. */
    assert_format(root, file("/p", "a", 8, 6), TRUE, "qcow2");
    assert_format(root, file("/p", "elsewhere", 8, 6), FALSE, "qcow2");
}

static void test_without_a_time_of_birth_name_and_inode_identify_it(void **state)
{
    Root *root = *state;

    set(root, file("/p", "a", 7, 0), "raw", FALSE);
    assert_format(root, file("/p", "a", 7, 0), FALSE, "raw");
    assert_format(root, file("/p", "a", 8, 0), FALSE, NULL);
    assert_format(root, file("/p", "b", 7, 0), FALSE, NULL);
    /* A kernel may report it later, or no longer. */
    assert_format(root, file("/p", "a", 7, 5), FALSE, "raw");
    set(root, file("/p", "c", 8, 5), "raw", FALSE);
    assert_format(root, file("/p", "c", 8, 0), FALSE, "raw");
}

static void test_record_found_by_name_is_bound_to_the_present_file(void **state)
{
    Root *root = *state;

    set(root, file("/p", "a", 7, 5), "qcow2", TRUE);
    assert_format(root, file("/p", "a", 8, 6), TRUE, "qcow2");
    assert_format(root, file("/p", "a", 8, 6), FALSE, "qcow2");
    assert_format(root, file("/p", "a", 7, 5), FALSE, NULL);
    /* Without an inode the record cannot be bound. */
    assert_format(root, file("/p", "a", 0, 0), TRUE, "qcow2");
    assert_format(root, file("/p", "a", 8, 6), FALSE, "qcow2");
}

/* How many descriptors of this process are of the database's files. */
static guint open_descriptors(const Root *root)
{
    g_autofree char *path = database_path(root);
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    const char *name;
    guint count = 0;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *link = g_build_filename("/proc/self/fd", name, NULL);
        g_autofree char *target = g_file_read_link(link, NULL);

        count += target && g_str_has_prefix(target, path);
    }
    return count;
}

static void test_store_leaves_no_open_descriptor(void **state)
{
    Root *root = *state;

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    assert_int_not_equal(open_descriptors(root), 0);
    cst_declarations_free(root->store);
    assert_int_equal(open_descriptors(root), 0);
    root->store = cst_declarations_new(root->paths);
    cst_declarations_free(NULL);
}

/* --- other processes -------------------------------------------------------------------------- */

static CstDeclaredPresence is_a(const char *name, const CstFileId *id, gpointer data)
{
    return strcmp(name, "a") == 0 ? CST_DECLARED_PRESENT : CST_DECLARED_MISSING;
}

static CstDeclaredPresence is_not(const char *name, const CstFileId *id, gpointer data)
{
    return CST_DECLARED_MISSING;
}

static CstDeclaredPresence is_unknown(const char *name, const CstFileId *id, gpointer data)
{
    return CST_DECLARED_UNKNOWN;
}

static void look_by_file(Root *root)
{
    assert_format(root, file("/elsewhere", "x", 7, 5), FALSE, "raw");
}

static void look_by_name(Root *root)
{
    assert_format(root, file("/p", "old", 9, 0), FALSE, "raw");
}

static void look_in_vain(Root *root)
{
    assert_format(root, file("/p", "old", 10, 0), FALSE, NULL);
}

static void look_for_a_policy(Root *root)
{
    CstFollow follow;

    assert_true(cst_declarations_follow(root->store, "/p", &follow, NULL));
    assert_int_equal(follow, CST_FOLLOW_NONE);
}

static void sweep_nothing(Root *root)
{
    const CstDeclarationSweep how = {.look = is_a, .now = 1000, .grace_period = 100};

    assert_true(cst_declarations_sweep(root->store, "/other", &how, NULL));
}

/* An unfinished read keeps its view of the database, which then cannot be changed. */
static void test_read_does_not_hide_later_writes_of_other_processes(void **state)
{
    static void (*const reads[])(Root *) = {look_by_file, look_by_name, look_in_vain,
                                            look_for_a_policy, sweep_nothing};
    Root *root = *state;
    Root other = {.store = cst_declarations_new(root->paths)};

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    set(root, file("/p", "old", 9, 0), "raw", FALSE);
    set(root, file("/other", "a", 11, 5), "raw", FALSE);
    assert_true(cst_declarations_set_follow(root->store, "/p", CST_FOLLOW_NONE, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(reads); i++) {
        reads[i](root);
        set(&other, file("/p", "new", 100 + i, 5), "qcow2", TRUE);
        assert_format(root, file("/p", "new", 100 + i, 5), FALSE, "qcow2");
        reads[i](root);
        set(&other, file("/p", "new", 200 + i, 5), "qcow2", TRUE);
        set(root, file("/p", "ours", 300 + i, 5), "vdi", TRUE);
    }
    cst_declarations_free(other.store);
}

/* --- power cuts ------------------------------------------------------------------------------- */

static void set_durably(Root *root, gboolean durable)
{
    const CstDeclaredFile about = file("/p", "a", 7, 5);
    g_autoptr(CstDeclaration) raw = cst_declaration_new("raw", FALSE);

    assert_true(cst_declarations_set(root->store, &about, raw, durable, NULL));
}

static void test_only_durable_records_are_synced(void **state)
{
    Root *root = *state;
    guint before;

    set_durably(root, FALSE);
    before = syncs;
    set_durably(root, FALSE);
    assert_int_equal(syncs, before);
    set_durably(root, TRUE);
    assert_int_not_equal(syncs, before);
    before = syncs;
    set_durably(root, FALSE);
    assert_int_equal(syncs, before);
    /* A follow policy of an administrator is durable as well. */
    assert_true(cst_declarations_set_follow(root->store, "/p", CST_FOLLOW_NONE, NULL));
    assert_int_not_equal(syncs, before);
    before = syncs;
    set_durably(root, FALSE);
    assert_int_equal(syncs, before);
}

static void test_removed_is_forgotten(void **state)
{
    Root *root = *state;

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    assert_true(cst_declarations_remove(root->store, "/p", "a", NULL));
    assert_true(cst_declarations_remove(root->store, "/p", "never", NULL));
    assert_format(root, file("/p", "a", 7, 5), TRUE, NULL);
}

/*
 * --- records of missing files --------------------------------------------------------------------
 */

static void sweep(Root *root,
                  CstDeclaredPresence (*look)(const char *, const CstFileId *, gpointer),
                  gint64 now)
{
    const CstDeclarationSweep how = {.look = look, .now = now, .grace_period = 100};

    assert_true(cst_declarations_sweep(root->store, "/p", &how, NULL));
}

static void test_record_of_a_file_missing_for_long_is_dropped(void **state)
{
    Root *root = *state;

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    set(root, file("/p", "b", 8, 5), "raw", FALSE);
    set(root, file("/q", "b", 9, 5), "raw", FALSE);
    sweep(root, is_a, 1000);
    assert_format(root, file("/p", "b", 8, 5), FALSE, "raw");
    sweep(root, is_a, 1099);
    assert_format(root, file("/p", "b", 8, 5), FALSE, "raw");
    sweep(root, is_a, 1100);
    assert_format(root, file("/p", "b", 8, 5), FALSE, NULL);
    assert_format(root, file("/p", "a", 7, 5), FALSE, "raw");
    assert_format(root, file("/q", "b", 9, 5), FALSE, "raw");
}

static void test_record_of_a_file_that_came_back_is_kept(void **state)
{
    Root *root = *state;

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    sweep(root, is_not, 1000);
    sweep(root, is_a, 1050);
    sweep(root, is_not, 1100);
    assert_format(root, file("/p", "a", 7, 5), FALSE, "raw");
    /* The same for a file that was created again. */
    set(root, file("/p", "a", 8, 6), "raw", FALSE);
    sweep(root, is_not, 1200);
    assert_format(root, file("/p", "a", 8, 6), FALSE, "raw");
    sweep(root, is_not, 1300);
    assert_format(root, file("/p", "a", 8, 6), FALSE, NULL);
}

static void test_doubt_neither_drops_a_record_nor_ends_its_wait(void **state)
{
    Root *root = *state;

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    sweep(root, is_unknown, 1000);
    sweep(root, is_not, 1050);
    sweep(root, is_unknown, 1200);
    assert_format(root, file("/p", "a", 7, 5), FALSE, "raw");
    sweep(root, is_not, 1201);
    assert_format(root, file("/p", "a", 7, 5), FALSE, NULL);
}

static void test_a_database_of_before_is_swept_too(void **state)
{
    Root *root = *state;
    g_autofree char *path = database_path(root);
    static const char before[] =
        "CREATE TABLE declarations (dir TEXT NOT NULL, name TEXT NOT NULL, inode INTEGER NOT NULL,"
        " btime INTEGER NOT NULL, format TEXT, restricted INTEGER NOT NULL, backing TEXT,"
        " backing_format TEXT, data_file TEXT, PRIMARY KEY (dir, name)) WITHOUT ROWID;"
        "INSERT INTO declarations VALUES ('/p', 'a', 7, 5, 'raw', 0, NULL, NULL, NULL);";
    sqlite3 *db;

    g_mkdir_with_parents(root->paths->data_dir, 0700);
    assert_int_equal(SQLITE_OK, sqlite3_open(path, &db));
    assert_int_equal(SQLITE_OK, sqlite3_exec(db, before, NULL, NULL, NULL));
    sqlite3_close(db);
    assert_format(root, file("/p", "a", 7, 5), FALSE, "raw");
    sweep(root, is_not, 1000);
    sweep(root, is_not, 1100);
    assert_format(root, file("/p", "a", 7, 5), FALSE, NULL);
}

/* Records of a killed process are kept, and another process reads them at once. */
static void test_killed(void **state)
{
    Root *root = *state;
    int status;
    pid_t child;

    cst_declarations_free(root->store);
    child = fork();
    if (child == 0) {
        root->store = cst_declarations_new(root->paths);
        set(root, file("/p", "a", 7, 5), "qcow2", TRUE);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_true(WIFSIGNALED(status));
    root->store = cst_declarations_new(root->paths);
    assert_format(root, file("/p", "a", 7, 5), FALSE, "qcow2");
}

static void test_two_processes_write_at_once(void **state)
{
    Root *root = *state;
    char name[8];
    int status;
    pid_t child;

    cst_declarations_free(root->store);
    child = fork();
    root->store = cst_declarations_new(root->paths);
    for (guint i = 0; i < 100; i++) {
        g_snprintf(name, sizeof(name), "%c%u", child ? 'p' : 'c', i);
        set(root, file("/p", name, i * 2 + (child ? 1 : 2), 5), "raw", FALSE);
    }
    if (child == 0)
        _exit(0);
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_int_equal(0, status);
    assert_format(root, file("/p", "c99", 200, 5), FALSE, "raw");
    assert_format(root, file("/p", "p99", 199, 5), FALSE, "raw");
}

/* A caller must not treat an unreadable database as "no declaration". */
static void test_a_damaged_database_is_an_error(void **state)
{
    Root *root = *state;
    g_autofree char *path = database_path(root);
    const CstDeclaredFile about = file("/p", "a", 7, 5);
    CstDeclaration *declaration = NULL;
    g_autoptr(GError) error = NULL;

    g_mkdir_with_parents(root->paths->data_dir, 0700);
    assert_true(
        g_file_set_contents(path, "this is no database, and is long enough to tell", -1, NULL));
    assert_false(cst_declarations_find(root->store, &about, FALSE, &declaration, &error));
    assert_int_equal(CST_ERROR_IO, error->code);
    assert_non_null(strstr(error->message, path));
}

static void assert_refused(gboolean done, GError **error)
{
    assert_false(done);
    assert_non_null(*error);
    assert_int_equal(CST_ERROR_IO, (*error)->code);
    g_clear_error(error);
}

/* Every call that finds damage reports it. */
static void try_everything(Root *root)
{
    const CstDeclaredFile about = file("/p", "a", 7, 5);
    const CstDeclarationSweep how = {.look = is_a, .now = 1, .grace_period = 1};
    g_autoptr(CstDeclaration) raw = cst_declaration_new("raw", FALSE);
    const CstDeclaredRecord record = {about, raw};
    CstDeclaration *found = NULL;
    g_autoptr(GError) error = NULL;
    CstFollow follow;

    assert_refused(cst_declarations_find(root->store, &about, FALSE, &found, &error), &error);
    assert_refused(cst_declarations_set(root->store, &about, raw, FALSE, &error), &error);
    assert_refused(cst_declarations_add_many(root->store, &record, 1, &error), &error);
    assert_refused(cst_declarations_remove(root->store, "/p", "a", &error), &error);
    assert_refused(cst_declarations_sweep(root->store, "/p", &how, &error), &error);
    assert_refused(cst_declarations_follow(root->store, "/p", &follow, &error), &error);
    assert_refused(cst_declarations_set_follow(root->store, "/p", CST_FOLLOW_NONE, &error), &error);
}

static void test_damaged_tables_are_an_error(void **state)
{
    Root *root = *state;
    g_autofree char *path = database_path(root);
    g_autofree char *text = NULL;
    gsize len;

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    cst_declarations_free(root->store);
    root->store = cst_declarations_new(root->paths);
    /* The first page has the schema, so that the damage is found in the middle of a call. */
    assert_true(g_file_get_contents(path, &text, &len, NULL));
    assert_true(len > 4096);
    memset(text + 4096, 0xff, len - 4096);
    assert_true(g_file_set_contents(path, text, (gssize)len, NULL));
    assert_true(cst_declarations_open(root->store, NULL));
    try_everything(root);
}

static void test_foreign_tables_are_an_error(void **state)
{
    Root *root = *state;
    g_autofree char *path = database_path(root);
    sqlite3 *db;

    g_mkdir_with_parents(root->paths->data_dir, 0700);
    assert_int_equal(SQLITE_OK, sqlite3_open(path, &db));
    assert_int_equal(SQLITE_OK, sqlite3_exec(db,
                                             "CREATE TABLE declarations (missing INTEGER, inode"
                                             " INTEGER, btime INTEGER, dir TEXT, name TEXT)",
                                             NULL, NULL, NULL));
    sqlite3_close(db);
    try_everything(root);
    assert_int_equal(open_descriptors(root), 0);
}

/* Return: the number of indexes of the paths of overlays. */
static int count_indexes(sqlite3 *db)
{
    sqlite3_stmt *query;
    int count;

    assert_int_equal(SQLITE_OK,
                     sqlite3_prepare_v2(db,
                                        "SELECT count(*) FROM sqlite_schema WHERE type = 'index'"
                                        " AND name = 'overlays_by_path'",
                                        -1, &query, NULL));
    assert_int_equal(SQLITE_ROW, sqlite3_step(query));
    count = sqlite3_column_int(query, 0);
    sqlite3_finalize(query);
    return count;
}

static void test_the_schema_is_created_once(void **state)
{
    Root *root = *state;
    g_autofree char *path = database_path(root);
    sqlite3 *db;

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    assert_int_equal(SQLITE_OK, sqlite3_open(path, &db));
    assert_int_equal(count_indexes(db), 1);
    assert_int_equal(SQLITE_OK, sqlite3_exec(db, "DROP INDEX overlays_by_path", NULL, NULL, NULL));
    cst_declarations_free(root->store);
    root->store = cst_declarations_new(root->paths);
    assert_format(root, file("/p", "a", 7, 5), FALSE, "raw");
    assert_int_equal(count_indexes(db), 0);
    /* A database of an earlier version has no number. */
    assert_int_equal(SQLITE_OK, sqlite3_exec(db, "PRAGMA user_version = 0", NULL, NULL, NULL));
    cst_declarations_free(root->store);
    root->store = cst_declarations_new(root->paths);
    assert_format(root, file("/p", "a", 7, 5), FALSE, "raw");
    assert_int_equal(count_indexes(db), 1);
    sqlite3_close(db);
}

static void test_a_directory_that_cannot_be_made_is_an_error(void **state)
{
    Root *root = *state;
    g_autofree char *parent = g_path_get_dirname(root->paths->data_dir);
    g_autoptr(GError) error = NULL;

    g_mkdir_with_parents(parent, 0700);
    assert_true(g_file_set_contents(root->paths->data_dir, "", -1, NULL));
    assert_refused(cst_declarations_open(root->store, &error), &error);
    try_everything(root);
}

static void test_policies(void **state)
{
    Root *root = *state;
    CstFollow follow = CST_FOLLOW_ANYWHERE;

    assert_true(cst_declarations_follow(root->store, "/p", &follow, NULL));
    assert_int_equal(CST_FOLLOW_POOLS, follow);
    assert_true(cst_declarations_set_follow(root->store, "/p", CST_FOLLOW_NONE, NULL));
    assert_true(cst_declarations_follow(root->store, "/p", &follow, NULL));
    assert_int_equal(CST_FOLLOW_NONE, follow);
    assert_true(cst_declarations_follow(root->store, "/q", &follow, NULL));
    assert_int_equal(CST_FOLLOW_POOLS, follow);
    assert_false(cst_follow_parse("sideways", &follow));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_fields_are_read_back_from_the_disk),
        TEST(test_other_files_have_no_record),
        TEST(test_a_file_is_known_under_another_name_and_in_another_directory),
        TEST(test_replaced_file_does_not_get_the_record),
        TEST(test_without_a_time_of_birth_name_and_inode_identify_it),
        TEST(test_removed_is_forgotten),
        TEST(test_record_found_by_name_is_bound_to_the_present_file),
        TEST(test_store_leaves_no_open_descriptor),
        TEST(test_read_does_not_hide_later_writes_of_other_processes),
        TEST(test_only_durable_records_are_synced),
        TEST(test_damaged_tables_are_an_error),
        TEST(test_foreign_tables_are_an_error),
        TEST(test_the_schema_is_created_once),
        TEST(test_a_directory_that_cannot_be_made_is_an_error),
        TEST(test_record_of_a_file_missing_for_long_is_dropped),
        TEST(test_record_of_a_file_that_came_back_is_kept),
        TEST(test_doubt_neither_drops_a_record_nor_ends_its_wait),
        TEST(test_a_database_of_before_is_swept_too),
        TEST(test_killed),
        TEST(test_two_processes_write_at_once),
        TEST(test_a_damaged_database_is_an_error),
        TEST(test_policies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
