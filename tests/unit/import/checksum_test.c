/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checksums, as users write them and as they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "checksum.h"

#define ABC_256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_384                                                                                    \
    "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c8" \
    "25a7"
#define ABC_512                                                                                    \
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3fe" \
    "ebbd454d4423643ce80e2a9ac94fa54ca49f"

/* The examples of FIPS 180-2, in pieces. */
static void test_checksum_of_each_kind_is_parsed(void **state)
{
    static const char *const rows[] = {"sha256:" ABC_256, "SHA384:" ABC_384, "Sha512:" ABC_512};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ImportChecksum wanted;
        g_autoptr(CstDigest) digest = NULL;
        g_autoptr(GError) error = NULL;

        assert_true(import_checksum_parse(rows[i], &wanted, NULL));
        digest = cst_digest_new(wanted.kind, NULL);
        for (int again = 0; again < 2; again++) {
            cst_digest_add(digest, "a", 1);
            cst_digest_add(digest, "", 0);
            cst_digest_add(digest, "bc", 2);
            assert_true(import_checksum_verify(&wanted, digest, "x", NULL));
        }
        assert_false(import_checksum_verify(&wanted, digest, "x", &error));
        assert_int_equal(error->code, CST_ERROR_MISMATCH);
    }
}

static void test_they_may_be_upper_case(void **state)
{
    g_autofree char *upper = g_ascii_strup(ABC_256, -1);
    g_autofree char *text = g_strconcat("sha256:", upper, NULL);
    ImportChecksum value;

    assert_true(import_checksum_parse(text, &value, NULL));
    assert_string_equal(value.hex, ABC_256);
}

static void test_invalid_checksum_is_refused(void **state)
{
    static const char *const rows[] = {
        "",        ABC_256,           "sha256",          "sha256=" ABC_256,  "sha1:" ABC_256,
        "sha256:", "sha512:" ABC_256, "sha256:" ABC_384, "sha256: " ABC_256,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        ImportChecksum value;

        assert_false(import_checksum_parse(rows[i], &value, &error));
        assert_int_equal(error->code, CST_ERROR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum_of_each_kind_is_parsed),
        cmocka_unit_test(test_they_may_be_upper_case),
        cmocka_unit_test(test_invalid_checksum_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
