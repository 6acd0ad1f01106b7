/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries of archives, and the headers with their names and sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "archive.h"
#include "tar.h"

#define RECORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static GByteArray *archive;

static int set_up(void **state)
{
    archive = g_byte_array_new();
    return 0;
}

static int tear_down(void **state)
{
    g_byte_array_unref(archive);
    return 0;
}

static ImportTar *open_tar(GError **error)
{
    g_autoptr(CstBlob) blob = cst_blob_memory_new(archive->data, archive->len);

    return import_tar_open(blob, NULL, error);
}

static void assert_entry(const ImportTar *tar, guint index, const char *name, const char *content)
{
    const ImportTarEntry *entry = import_tar_entry(tar, index);

    assert_string_equal(entry->name, name);
    assert_int_equal(entry->length, strlen(content));
    assert_memory_equal(archive->data + entry->offset, content, strlen(content));
    assert_ptr_equal(import_tar_find(tar, name), entry);
}

static void assert_refused(CstErrorCode code)
{
    g_autoptr(GError) error = NULL;

    assert_null(open_tar(&error));
    if (!g_error_matches(error, CST_ERROR, code))
        fail_msg("other error: %s", error->message);
}

static void pax_size_counts_for_one_entry(void **state)
{
    g_autoptr(ImportTar) tar = NULL;

    archive_add_pax(archive, RECORDS("size=5"));
    archive_add_told(archive, '0', "a", "first", 5, 0);
    archive_add(archive, '0', "b", "second one", 10);
    archive_add(archive, '0', "c", "", 0);
    archive_end(archive);
    tar = open_tar(NULL);
    assert_non_null(tar);
    assert_int_equal(import_tar_count(tar), 3);
    assert_entry(tar, 0, "a", "first");
    assert_entry(tar, 1, "b", "second one");
    assert_entry(tar, 2, "c", "");
    assert_true(import_tar_is_complete(tar));
}

static void pax_name_counts_for_one_entry(void **state)
{
    g_autoptr(ImportTar) tar = NULL;

    archive_add_pax(archive, RECORDS("mtime=1", "path=./long name"));
    archive_add(archive, '0', "short", "1", 1);
    archive_add(archive, '0', "b", "2", 1);
    archive_add(archive, 'L', "././@LongLink", "gnu name", 9);
    archive_add(archive, '0', "short", "3", 1);
    archive_add(archive, '0', "d", "4", 1);
    archive_end(archive);
    tar = open_tar(NULL);
    assert_non_null(tar);
    assert_int_equal(import_tar_count(tar), 4);
    assert_entry(tar, 0, "long name", "1");
    assert_entry(tar, 1, "b", "2");
    assert_entry(tar, 2, "gnu name", "3");
    assert_entry(tar, 3, "d", "4");
}

/* A directory is an entry, so the headers before it do not apply to the following file. */
static void headers_of_a_directory_do_not_apply_to_the_next_file(void **state)
{
    g_autoptr(ImportTar) tar = NULL;

    archive_add_pax(archive, RECORDS("path=directory", "size=0"));
    archive_add(archive, '5', "d", "", 0);
    archive_add(archive, '0', "file", "content", 7);
    archive_end(archive);
    tar = open_tar(NULL);
    assert_non_null(tar);
    assert_int_equal(import_tar_count(tar), 1);
    assert_entry(tar, 0, "file", "content");
}

/* A long link name and a global header lie between an entry and its headers. */
static void other_headers_do_not_end_the_headers_of_an_entry(void **state)
{
    g_autoptr(ImportTar) tar = NULL;

    archive_add_pax(archive, RECORDS("path=named", "size=7"));
    archive_add(archive, 'K', "././@LongLink", "link", 5);
    archive_add(archive, 'g', "global", "12 comment=x\n", 13);
    archive_add_told(archive, '0', "file", "content", 7, 0);
    archive_end(archive);
    tar = open_tar(NULL);
    assert_non_null(tar);
    assert_int_equal(import_tar_count(tar), 1);
    assert_entry(tar, 0, "named", "content");
}

/* The size of a header is its own, independent of headers for its entry. */
static void size_of_an_entry_is_not_that_of_a_header_before_it(void **state)
{
    g_autoptr(ImportTar) tar = NULL;

    archive_add_pax(archive, RECORDS("size=7"));
    archive_add_pax(archive, RECORDS("path=a name that is longer than seven bytes"));
    archive_add_told(archive, '0', "file", "content", 7, 0);
    archive_end(archive);
    tar = open_tar(NULL);
    assert_non_null(tar);
    assert_entry(tar, 0, "a name that is longer than seven bytes", "content");
}

static void entries_that_no_package_has_are_refused(void **state)
{
    static const struct {
        char type;
        CstErrorCode code;
    } rows[] = {{'1', CST_ERROR_DENIED},
                {'2', CST_ERROR_DENIED},
                {'3', CST_ERROR_DENIED},
                {'S', CST_ERROR_UNSUPPORTED}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_byte_array_set_size(archive, 0);
        archive_add(archive, '0', "a", "1", 1);
        archive_add(archive, rows[i].type, "b", "", 0);
        archive_end(archive);
        assert_refused(rows[i].code);
    }
    g_byte_array_set_size(archive, 0);
    archive_add_pax(archive, RECORDS("GNU.sparse.major=1"));
    archive_add(archive, '0', "a", "1", 1);
    assert_refused(CST_ERROR_UNSUPPORTED);
}

static void two_files_of_one_name_are_refused(void **state)
{
    archive_add(archive, '0', "a", "1", 1);
    archive_add(archive, '0', "./a", "2", 1);
    assert_refused(CST_ERROR_CORRUPT);
}

static void damaged_headers_are_refused(void **state)
{
    archive_add(archive, '0', "a", "1", 1);
    archive_add_told(archive, '0', "b", "2", 1, 513);
    assert_refused(CST_ERROR_CORRUPT);
    g_byte_array_set_size(archive, 1024);
    archive_add(archive, '0', "b", "2", 1);
    archive->data[1024]++;
    assert_refused(CST_ERROR_CORRUPT);
    g_byte_array_set_size(archive, 0);
    archive_add(archive, 'x', "pax", "9 path=a", 8);
    archive_add(archive, '0', "a", "1", 1);
    assert_refused(CST_ERROR_CORRUPT);
    g_byte_array_set_size(archive, 0);
    archive_add(archive, 'x', "pax", "12 path=a\0b\n", 12);
    archive_add(archive, '0', "a", "1", 1);
    assert_refused(CST_ERROR_CORRUPT);
    g_byte_array_set_size(archive, 0);
    archive_add_pax(archive, RECORDS("size=1x"));
    archive_add(archive, '0', "a", "1", 1);
    assert_refused(CST_ERROR_CORRUPT);
    g_byte_array_set_size(archive, 0);
    archive_add_told(archive, 'x', "pax", "", 0, 65537);
    g_byte_array_set_size(archive, 1 << 20);
    assert_refused(CST_ERROR_LIMIT);
}

static void archive_without_its_end_is_not_complete(void **state)
{
    archive_add(archive, '0', "a", "1", 1);
    for (int end = 0; end < 2; end++) {
        g_autoptr(ImportTar) tar = NULL;

        if (end)
            archive_end(archive);
        tar = open_tar(NULL);
        assert_non_null(tar);
        assert_int_equal(import_tar_is_complete(tar), end);
        assert_int_equal(import_tar_count(tar), 1);
    }
}

static void number_of_entries_is_bounded(void **state)
{
    for (guint i = 0; i < 4097; i++)
        archive_add(archive, '5', "d", "", 0);
    assert_refused(CST_ERROR_LIMIT);
}

#define tar_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        tar_test(pax_size_counts_for_one_entry),
        tar_test(pax_name_counts_for_one_entry),
        tar_test(headers_of_a_directory_do_not_apply_to_the_next_file),
        tar_test(other_headers_do_not_end_the_headers_of_an_entry),
        tar_test(size_of_an_entry_is_not_that_of_a_header_before_it),
        tar_test(entries_that_no_package_has_are_refused),
        tar_test(two_files_of_one_name_are_refused),
        tar_test(damaged_headers_are_refused),
        tar_test(archive_without_its_end_is_not_complete),
        tar_test(number_of_entries_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
