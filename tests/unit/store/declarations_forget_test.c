/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of deleted files, which are removed in groups. */
#include "declared.h"

#include <sqlite3.h>

#define GROUP_MAX 256

/* --- the database, as another process reads and writes it ------------------------------------- */

static int append_name(void *text, int count, char **values, char **names)
{
    g_string_append_printf(text, "%s ", values[0]);
    return 0;
}

static char *database_run(const Root *root, const char *statement)
{
    g_autofree char *path = database_path(root);
    GString *text = g_string_new(NULL);
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, statement, append_name, text, NULL), SQLITE_OK);
    sqlite3_close(db);
    return g_string_free(text, FALSE);
}

static void assert_names(const Root *root, const char *expected)
{
    g_autofree char *names =
        database_run(root, "SELECT name || inode FROM declarations ORDER BY name");

    assert_string_equal(names, expected);
}

static void forget(const Root *root, CstDeclaredFile about)
{
    assert_true(cst_declarations_forget(root->store, &about, NULL));
}

/* The log of a database has one commit for each of its transactions. */
static guint count_commits(const Root *root)
{
    g_autofree char *path = g_strconcat(root->paths->data_dir, "/declarations.db-wal", NULL);
    enum { HEADER = 32, FRAME = 24, PAGE = 4096, SIZE_AFTER = 4 };
    g_autofree char *log = NULL;
    guint commits = 0;
    gsize len;

    assert_true(g_file_get_contents(path, &log, &len, NULL));
    for (gsize at = HEADER; at + FRAME <= len; at += FRAME + PAGE)
        commits += memcmp(log + at + SIZE_AFTER, "\0\0\0\0", 4) != 0;
    return commits;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void record_is_removed_by_the_next_change(void **state)
{
    Root *root = *state;
    guint before;

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    before = count_commits(root);
    forget(root, file("/p", "a", 7, 5));
    assert_int_equal(count_commits(root), before);
    set(root, file("/p", "b", 8, 5), "raw", FALSE);
    assert_names(root, "b8 ");
    assert_int_equal(count_commits(root), before + 1);
}

static void full_group_has_one_transaction(void **state)
{
    Root *root = *state;
    g_autoptr(CstDeclaration) raw = cst_declaration_new("raw", FALSE);
    CstDeclaredRecord records[GROUP_MAX];
    char names[GROUP_MAX][8];
    guint before;

    for (guint i = 0; i < GROUP_MAX; i++) {
        g_snprintf(names[i], sizeof(names[i]), "v%u", i);
        records[i] = (CstDeclaredRecord){file("/p", names[i], 100 + i, 5), raw};
    }
    assert_true(cst_declarations_add_many(root->store, records, GROUP_MAX, NULL));
    before = count_commits(root);
    for (guint i = 0; i < GROUP_MAX; i++)
        forget(root, records[i].file);
    assert_names(root, "");
    assert_int_equal(count_commits(root), before + 1);
}

static void record_is_not_found_by_its_name(void **state)
{
    Root *root = *state;

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    forget(root, file("/p", "a", 7, 5));
    assert_format(root, file("/p", "a", 9, 6), TRUE, NULL);
}

static void record_is_not_found_by_another_name_of_its_file(void **state)
{
    Root *root = *state;
    const CstDeclaredFile link = file("/p", "link", 7, 5);

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    forget(root, file("/p", "a", 7, 5));
    assert_format(root, link, FALSE, NULL);
}

/* So many look-ups read the records of the directory. Another program has made the link again. */
static void record_is_not_found_by_a_look_up_of_many(void **state)
{
    Root *root = *state;
    CstDeclaredLookup lookups[64];

    for (guint i = 0; i < G_N_ELEMENTS(lookups); i++)
        lookups[i] = (CstDeclaredLookup){.file = file("/p", "b", 8, 5)};
    lookups[0].file = file("/p", "a", 7, 5);
    set(root, lookups[0].file, "raw", FALSE);
    forget(root, lookups[0].file);
    assert_true(cst_declarations_find_many(root->store, lookups, G_N_ELEMENTS(lookups), NULL));
    assert_null(lookups[0].declaration);
}

static void each_name_of_a_file_is_removed(void **state)
{
    Root *root = *state;

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    g_free(database_run(root, "INSERT INTO declarations (dir, name, inode, btime, restricted)"
                              " VALUES ('/p', 'link', 7, 5, 0)"));
    forget(root, file("/p", "a", 7, 5));
    forget(root, file("/p", "link", 7, 5));
    set(root, file("/p", "b", 8, 5), "raw", FALSE);
    assert_names(root, "b8 ");
}

static void record_of_a_new_file_of_the_name_stays(void **state)
{
    Root *root = *state;
    Root other = {.store = cst_declarations_new(root->paths)};

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    forget(root, file("/p", "a", 7, 5));
    set(&other, file("/p", "a", 88, 6), "raw", FALSE);
    set(root, file("/p", "b", 8, 5), "raw", FALSE);
    assert_names(root, "a88 b8 ");
    cst_declarations_free(other.store);
}

static void waiting_records_are_removed_at_the_end(void **state)
{
    Root *root = *state;

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    forget(root, file("/p", "a", 7, 5));
    cst_declarations_free(root->store);
    root->store = cst_declarations_new(root->paths);
    assert_names(root, "");
}

/* The trigger fails the transaction after the removal of the group. */
static void failed_change_keeps_the_group(void **state)
{
    Root *root = *state;
    const CstDeclaredFile about = file("/p", "b", 8, 5);
    g_autoptr(CstDeclaration) raw = cst_declaration_new("raw", FALSE);

    set(root, file("/p", "a", 7, 5), "raw", FALSE);
    g_free(database_run(root, "CREATE TRIGGER refusal BEFORE INSERT ON declarations"
                              " BEGIN SELECT RAISE(ABORT, 'refused'); END"));
    forget(root, file("/p", "a", 7, 5));
    assert_false(cst_declarations_set(root->store, &about, raw, FALSE, NULL));
    assert_names(root, "a7 ");
    g_free(database_run(root, "DROP TRIGGER refusal"));
    set(root, about, "raw", FALSE);
    assert_names(root, "b8 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(record_is_removed_by_the_next_change),
        TEST(full_group_has_one_transaction),
        TEST(record_is_not_found_by_its_name),
        TEST(record_is_not_found_by_another_name_of_its_file),
        TEST(record_is_not_found_by_a_look_up_of_many),
        TEST(each_name_of_a_file_is_removed),
        TEST(record_of_a_new_file_of_the_name_stays),
        TEST(waiting_records_are_removed_at_the_end),
        TEST(failed_change_keeps_the_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
