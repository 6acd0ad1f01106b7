/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Declarations of all files of a directory, read and added in one call. */
#include "declared.h"

#include <sqlite3.h>

static void test_many_at_once(void **state)
{
    Root *root = *state;
    g_autoptr(CstDeclaration) raw = cst_declaration_new("raw", FALSE);
    g_autoptr(CstDeclaration) iso = cst_declaration_new("iso", FALSE);
    CstDeclaredRecord records[300];
    char names[300][8];

    for (guint i = 0; i < G_N_ELEMENTS(records); i++) {
        g_snprintf(names[i], sizeof(names[i]), "v%u", i);
        records[i] = (CstDeclaredRecord){file("/p", names[i], i + 1, 5), i % 2 ? iso : raw};
    }
    assert_true(cst_declarations_add_many(root->store, records, G_N_ELEMENTS(records), NULL));
    for (guint i = 0; i < G_N_ELEMENTS(records); i++)
        assert_format(root, records[i].file, FALSE, i % 2 ? "iso" : "raw");
}

/* The daemon keeps the database open for ever, and a pool may have a hundred thousand files. */
static void test_the_memory_of_a_large_transaction_is_given_back(void **state)
{
    enum { COUNT = 10000 };
    Root *root = *state;
    g_autoptr(CstDeclaration) raw = cst_declaration_new("raw", FALSE);
    g_autofree CstDeclaredRecord *records = g_new(CstDeclaredRecord, COUNT);
    g_auto(GStrv) names = g_new0(char *, COUNT + 1);
    sqlite3_int64 before, most;

    for (guint i = 0; i < COUNT; i++) {
        names[i] = g_strdup_printf("volume-with-a-name-of-some-length-%u", i);
        records[i] = (CstDeclaredRecord){file("/p", names[i], i + 1, 5), raw};
    }
    assert_true(cst_declarations_open(root->store, NULL));
    before = sqlite3_memory_used();
    assert_true(cst_declarations_add_many(root->store, records, COUNT, NULL));
    most = sqlite3_memory_highwater(FALSE) - before;
    assert_true(most > (1 << 20));
    assert_true(sqlite3_memory_used() - before < most / 4);
}

/* A record that an administrator or another process has added in between is kept. */
static void test_adding_many_keeps_existing_records(void **state)
{
    Root *root = *state;
    g_autoptr(CstDeclaration) raw = cst_declaration_new("raw", FALSE);
    const CstDeclaredRecord records[] = {
        {file("/p", "known", 7, 5), raw},  {file("/p", "moved", 8, 5), raw},
        {file("/p", "taken", 9, 5), raw},  {file("/p", "unborn", 10, 0), raw},
        {file("/p", "other", 11, 0), raw},
    };

    set(root, file("/p", "known", 7, 5), "qcow2", TRUE);
    set(root, file("/q", "elsewhere", 8, 5), "vdi", TRUE);
    set(root, file("/p", "taken", 1009, 5), "vpc", TRUE);
    set(root, file("/p", "unborn", 10, 0), "qed", TRUE);
    /* On another file system, for all that is known. */
    set(root, file("/q", "other", 11, 0), "vmdk", TRUE);
    assert_true(cst_declarations_add_many(root->store, records, G_N_ELEMENTS(records), NULL));
    assert_format(root, records[0].file, FALSE, "qcow2");
    assert_format(root, records[1].file, FALSE, "vdi");
    assert_format(root, records[2].file, FALSE, "raw");
    assert_format(root, records[3].file, FALSE, "qed");
    assert_format(root, records[4].file, FALSE, "raw");
    assert_format(root, file("/p", "moved", 1, 0), TRUE, NULL);
}

static CstDeclaration *seen(const char *format, gboolean restricted)
{
    CstDeclaration *declaration = cst_declaration_new(NULL, restricted);

    declaration->seen_format = g_strdup(format);
    return declaration;
}

static void add_seen(Root *root, CstDeclaredFile about, const char *format, gboolean restricted)
{
    g_autoptr(CstDeclaration) declaration = seen(format, restricted);
    const CstDeclaredRecord record = {about, declaration};

    assert_true(cst_declarations_add_many(root->store, &record, 1, NULL));
}

/* @format NULL: no record is expected. */
static void assert_seen(Root *root, CstDeclaredFile about, gboolean by_name, const char *format,
                        gboolean restricted)
{
    g_autoptr(CstDeclaration) found = find(root, about, by_name);

    if (!format) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    assert_null(found->format);
    assert_string_equal(found->seen_format, format);
    assert_int_equal(found->restricted, restricted);
    assert_int_equal(cst_declaration_declares(found), restricted);
}

static void test_seen_format_belongs_to_the_file_and_not_to_its_name(void **state)
{
    Root *root = *state;
    const CstDeclaredFile a = file("/p", "a", 7, 5);

    add_seen(root, a, "qcow2", FALSE);
    assert_seen(root, a, FALSE, "qcow2", FALSE);
    assert_seen(root, file("/q", "renamed", 7, 5), FALSE, "qcow2", FALSE);
    for (int i = 0; i < 2; i++)
        assert_seen(root, file("/p", "a", 8, 6), TRUE, NULL, FALSE);
    assert_seen(root, a, FALSE, "qcow2", FALSE);
    /* The restriction applies to the file that has adopted the name, the format does not. */
    add_seen(root, a, "qcow2", TRUE);
    for (int i = 0; i < 2; i++) {
        g_autoptr(CstDeclaration) found = find(root, file("/p", "a", 8, 6), TRUE);

        assert_true(found->restricted);
        assert_null(found->seen_format);
    }
}

static void test_seen_format_changes_unless_a_format_is_declared(void **state)
{
    Root *root = *state;
    const CstDeclaredFile a = file("/p", "a", 7, 5), b = file("/p", "b", 8, 0);
    g_autoptr(CstDeclaration) found = NULL;

    add_seen(root, b, "qed", FALSE);
    add_seen(root, a, "qcow2", FALSE);
    add_seen(root, a, "vmdk", TRUE);
    assert_seen(root, a, FALSE, "vmdk", TRUE);
    add_seen(root, a, "vdi", FALSE);
    assert_seen(root, a, FALSE, "vdi", TRUE);
    add_seen(root, b, "vdi", FALSE);
    assert_seen(root, b, FALSE, "vdi", FALSE);
    set(root, a, "raw", FALSE);
    add_seen(root, a, "qcow2", TRUE);
    found = find(root, a, FALSE);
    assert_string_equal(found->format, "raw");
    assert_null(found->seen_format);
    assert_false(found->restricted);
}

#define MANY 200

typedef struct {
    char names[MANY][8];
    CstDeclaredLookup lookups[MANY];
} Lookups;

/* Files f0, f1, … of /p, with the inodes 1, 2, … */
static void lookups_fill(Lookups *all)
{
    for (guint i = 0; i < MANY; i++) {
        g_snprintf(all->names[i], sizeof(all->names[i]), "f%u", i);
        all->lookups[i] = (CstDeclaredLookup){.file = file("/p", all->names[i], i + 1, 5)};
    }
}

static void lookups_clear(Lookups *all)
{
    for (guint i = 0; i < MANY; i++)
        g_clear_pointer(&all->lookups[i].declaration, cst_declaration_free);
}

/*
 * Records one declaration of each kind. @formats is set to the expected formats, NULL for the rest.
 */
static void record_all_kinds(Root *root, Lookups *all, const char **formats)
{
    static const char *const wanted[] = {"raw", "qcow2", NULL,   "vdi",  "vpc",
                                         NULL,  "qed",   "vmdk", "vmdk", "parallels"};

    memcpy(formats, wanted, sizeof(wanted));
    set(root, file("/p", "f0", 1, 5), "raw", FALSE);
    /* Known by its file, under the name that it had. */
    set(root, file("/q", "f1", 2, 5), "qcow2", TRUE);
    /* Of another file that had the name; by name that counts all the same. */
    set(root, file("/p", "f2", 1003, 5), "raw", FALSE);
    set(root, file("/p", "f3", 1004, 5), "vdi", FALSE);
    all->lookups[3].by_name = TRUE;
    /* Without a time of birth: the same inode, and another. */
    set(root, file("/p", "f4", 5, 0), "vpc", FALSE);
    set(root, file("/p", "f5", 1006, 0), "vpc", FALSE);
    all->lookups[4].file.id.btime_ns = all->lookups[5].file.id.btime_ns = 0;
    /* The file itself comes before an inode of that number. */
    set(root, file("/p", "f6", 7, 0), "raw", FALSE);
    set(root, file("/q", "f6", 7, 5), "qed", TRUE);
    /* Two names of a file. */
    set(root, file("/p", "f8", 9, 5), "vmdk", FALSE);
    all->lookups[7].file.id.inode = 9;
    /* Known by a name of the same directory that is another file's now. */
    set(root, file("/p", "f11", 10, 5), "parallels", FALSE);
}

static void assert_found(const Lookups *all, const char *const *formats)
{
    for (guint i = 0; i < MANY; i++) {
        const CstDeclaration *found = all->lookups[i].declaration;

        assert_true((found != NULL) == (formats[i] != NULL));
        if (found)
            assert_string_equal(formats[i], found->format);
    }
}

static void test_many_are_found_as_each_alone_is(void **state)
{
    Root *root = *state;
    Lookups all;
    const char *formats[MANY] = {NULL};

    lookups_fill(&all);
    record_all_kinds(root, &all, formats);
    assert_true(cst_declarations_find_many(root->store, all.lookups, MANY, NULL));
    assert_found(&all, formats);
    assert_true(all.lookups[1].declaration->restricted);
    assert_string_equal("/images/base", all.lookups[0].declaration->backing);
    for (guint i = 0; i < MANY; i++)
        assert_format(root, all.lookups[i].file, all.lookups[i].by_name, formats[i]);
    lookups_clear(&all);
}

/* A few are searched for one by one, and from 64 on all at once. */
static void test_any_number_of_records_is_found(void **state)
{
    static const guint counts[] = {1, 63, 64, 65};
    Root *root = *state;
    Lookups all;

    lookups_fill(&all);
    for (guint i = 0; i < 65; i++)
        set(root, all.lookups[i].file, "raw", FALSE);
    for (guint i = 0; i < G_N_ELEMENTS(counts); i++) {
        assert_true(cst_declarations_find_many(root->store, all.lookups, counts[i], NULL));
        for (guint j = 0; j < counts[i]; j++)
            assert_non_null(all.lookups[j].declaration);
        lookups_clear(&all);
    }
}

/* As with a single read: the record belongs to the file that has the name, from then on. */
static void test_record_follows_its_name_when_many_are_read(void **state)
{
    Root *root = *state;
    Lookups all;

    lookups_fill(&all);
    set(root, file("/p", "f3", 1004, 5), "vdi", FALSE);
    all.lookups[3].by_name = TRUE;
    assert_true(cst_declarations_find_many(root->store, all.lookups, MANY, NULL));
    lookups_clear(&all);
    assert_format(root, file("/elsewhere", "f3", 4, 5), FALSE, "vdi");
    assert_format(root, file("/elsewhere", "f3", 1004, 5), FALSE, NULL);
}

/* Another object on the same database is another process to it. */
static void test_record_of_another_process_is_found_by_the_next_read(void **state)
{
    Root *root = *state;
    Root other = {.store = cst_declarations_new(root->paths)};
    Lookups all;

    lookups_fill(&all);
    assert_true(cst_declarations_find_many(root->store, all.lookups, MANY, NULL));
    assert_null(all.lookups[5].declaration);
    set(&other, all.lookups[5].file, "qcow2", TRUE);
    assert_true(cst_declarations_find_many(root->store, all.lookups, MANY, NULL));
    assert_non_null(all.lookups[5].declaration);
    assert_true(all.lookups[5].declaration->restricted);
    lookups_clear(&all);
    cst_declarations_free(other.store);
}

static void test_many_are_not_found_in_a_damaged_database(void **state)
{
    Root *root = *state;
    g_autofree char *path = g_build_filename(root->paths->data_dir, "declarations.db", NULL);
    g_autoptr(GError) error = NULL;
    Lookups all;

    lookups_fill(&all);
    g_mkdir_with_parents(root->paths->data_dir, 0700);
    assert_true(
        g_file_set_contents(path, "this is no database, and is long enough to tell", -1, NULL));
    assert_false(cst_declarations_find_many(root->store, all.lookups, MANY, &error));
    assert_int_equal(CST_ERROR_IO, error->code);
    for (guint i = 0; i < MANY; i++)
        assert_null(all.lookups[i].declaration);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_many_at_once),
        TEST(test_the_memory_of_a_large_transaction_is_given_back),
        TEST(test_adding_many_keeps_existing_records),
        TEST(test_seen_format_belongs_to_the_file_and_not_to_its_name),
        TEST(test_seen_format_changes_unless_a_format_is_declared),
        TEST(test_many_are_found_as_each_alone_is),
        TEST(test_any_number_of_records_is_found),
        TEST(test_record_follows_its_name_when_many_are_read),
        TEST(test_record_of_another_process_is_found_by_the_next_read),
        TEST(test_many_are_not_found_in_a_damaged_database),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
