/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checksums of a file in lists of all forms, and lines that are not its checksum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "list.h"

#define A256 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B256 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C512 B256 A256
#define SHA1 "cccccccccccccccccccccccccccccccccccccccc"

static void test_forms(void **state)
{
    static const struct {
        const char *list, *name, *hex;
    } rows[] = {
        {A256 "  disk.img\n", "disk.img", A256},
        {A256 " *disk.img", "disk.img", A256},
        {A256 "  ./disk.img\r\n", "disk.img", A256},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA  x", "x", A256},
        {B256 "  other\n\n# text\n" A256 "  disk.img\n" B256 "  disk.img.xz\n", "disk.img", A256},
        {"\\" A256 "  a\\nb\\\\c\n", "a\nb\\c", A256},
        {"SHA256 (disk.img) = " A256 "\n", "disk.img", A256},
        {"sha256 (a (b) = c) = " A256, "a (b) = c", A256},
        {"SHA256(x)= " A256, "x", A256},
        {"SHA2-256(x)= " A256, "x", A256},
        {"SHA-512 (x) = " C512, "x", C512},
        {"SHA256(a) )= " A256, "a) ", A256},
        {"SHA512 (x) = " C512 "\nSHA256 (x) = " A256 "\n", "x", C512},
        {SHA1 "  x\n" A256 "  x\n" C512 "  x\n", "x", C512},
        {A256 "  x\n" A256 "  x\n", "x", A256},
        {A256 "  a b\n", "a b", A256},
        {A256 "  ./images/disk.img\r\n", "disk.img", A256},
        {A256 " */srv/images/disk.img\n", "disk.img", A256},
        {"SHA256 (images/disk.img) = " A256 "\n", "disk.img", A256},
        {A256 "  x\n" A256 "  images/x\n", "x", A256},
        {"SHA2-512(images/x)= " C512 "\n", "x", C512},
        {A256, "x", A256},
        {A256 "\n", "x", A256},
        {"\r\n " A256 " \r\n\n", "x", A256},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", "x", A256},
        {C512 "\n", "x", C512},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ImportChecksum found;

        assert_true(import_list_find(rows[i].list, rows[i].name, "list", FALSE, &found, NULL));
        assert_string_equal(found.hex, rows[i].hex);
    }
}

static void test_list_without_the_file_has_no_checksum(void **state)
{
    static const char *const rows[] = {
        "",
        "\n\n",
        A256 " x",
        A256 "  x/",
        A256 "  x/y",
        A256 "  y/ax",
        A256 "\n" A256 "\n",
        A256 "\n# text\n",
        A256 "  y\n" A256 "\n",
        A256 "a",
        SHA1,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        A256 "  x ",
        A256 "  X",
        "a" A256 "  x",
        A256 "g  x",
        SHA1 "  x",
        "SHA256 (x) = " C512,
        "SHA512 (x) = " A256,
        "SHA256 (x) =" A256,
        "SHA2-512(x)= " A256,
        "SHA3-256(x)= " A256,
        "SHA2-1(x)= " SHA1,
        "SHA1 (x) = " SHA1,
        "SHA256 (x) = " A256 " ",
        "SHA256 (",
        "SHA256(x)=" A256,
        "SHA256 (x = " A256,
        "SHA256(= " A256,
        "SHA1(x)= " SHA1,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        ImportChecksum found;

        assert_false(import_list_find(rows[i], "x", "list", FALSE, &found, &error));
        assert_int_equal(error->code, CST_ERROR_NOT_FOUND);
    }
}

static void two_digests_of_one_kind_are_refused(void **state)
{
    static const char *const rows[] = {
        A256 "  x\nSHA256 (x) = " B256 "\n",
        A256 "  x\n" B256 "  ./images/x\n",
        A256 "  old/x\n" B256 "  new/x\n",
        "SHA512 (x) = " C512 "\n" A256 "  x\n" B256 "  x\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        ImportChecksum found;

        assert_false(import_list_find(rows[i], "x", "list", FALSE, &found, &error));
        assert_int_equal(error->code, CST_ERROR_MISMATCH);
    }
}

/* A package has directories, so "a/x" and "b/x" are two files, and each needs its own line. */
static void manifest_names_files_by_their_whole_path(void **state)
{
    static const char list[] = A256 "  a/x\n" B256 "  ./b/x\n";
    g_autoptr(GError) error = NULL;
    ImportChecksum found;

    assert_true(import_list_find(list, "a/x", "list", TRUE, &found, NULL));
    assert_string_equal(found.hex, A256);
    assert_true(import_list_find(list, "b/x", "list", TRUE, &found, NULL));
    assert_string_equal(found.hex, B256);
    assert_false(import_list_find(list, "x", "list", TRUE, &found, &error));
    assert_int_equal(error->code, CST_ERROR_NOT_FOUND);
    assert_false(import_list_find(A256, "x", "list", TRUE, &found, NULL));
}

/* SHA-1 detects transmission errors. Any stronger checksum replaces it. */
static void test_sha1_is_used_only_without_a_stronger_checksum(void **state)
{
    ImportChecksum found;

    assert_true(import_list_find("SHA1(x)= " SHA1, "x", "list", TRUE, &found, NULL));
    assert_int_equal(found.kind, CST_SHA1);
    assert_string_equal(found.hex, SHA1);
    assert_true(
        import_list_find("SHA256(x)= " A256 "\nSHA1(x)= " SHA1, "x", "list", TRUE, &found, NULL));
    assert_string_equal(found.hex, A256);
    assert_false(import_list_find("MD5(x)= aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x", "list", TRUE,
                                  &found, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_list_without_the_file_has_no_checksum),
        cmocka_unit_test(two_digests_of_one_kind_are_refused),
        cmocka_unit_test(manifest_names_files_by_their_whole_path),
        cmocka_unit_test(test_sha1_is_used_only_without_a_stronger_checksum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
