/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Credentials of pools: keys of cephx, keyrings, passwords of CHAP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <model/cephx.h>
#include <model/credential.h>

/* Made by ceph-authtool. */
#define KEY   "AQB6+iFpb1mmLRAAThcBt9Lqh1xF0Fvu7QkrYg=="
#define OTHER "AQBbbCJpAAAAABAA0JR5RL1bF0jJkqY1b5CPaQ=="

static CstSecretBytes bytes(const char *text)
{
    return (CstSecretBytes){(uint8_t *)text, strlen(text)};
}

static void assert_fails(gboolean done, GError **error, int code)
{
    assert_false(done);
    assert_non_null(*error);
    assert_int_equal((*error)->code, code);
    g_clear_error(error);
}

static char *text_of(CstSecretUsage usage, const CstSecretBytes *value)
{
    g_auto(CstSecretBytes) text = {0};

    assert_true(cst_credential_to_text(usage, value, &text, NULL));
    return g_strndup((const char *)text.data, text.len);
}

/* --- by usage --------------------------------------------------------------------------------- */

static void output_of_the_servers_tools_is_a_valid_credential(void **unused)
{
    static const struct {
        CstSecretUsage usage;
        const char *text, *again;
    } cases[] = {
        {CST_SECRET_CEPH, KEY, KEY},        {CST_SECRET_CEPH, KEY "\n", KEY},
        {CST_SECRET_CEPH, KEY "\r\n", KEY}, {CST_SECRET_ISCSI, "a password \n", "a password "},
        {CST_SECRET_ISCSI, "x", "x"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const CstSecretBytes text = bytes(cases[i].text);
        g_auto(CstSecretBytes) value = {0};
        g_autofree char *again = NULL;

        assert_true(cst_credential_from_text(cases[i].usage, &text, &value, NULL));
        again = text_of(cases[i].usage, &value);
        assert_string_equal(again, cases[i].again);
    }
}

static void invalid_credential_is_refused(void **unused)
{
    static const struct {
        CstSecretUsage usage;
        const char *text;
        int code;
    } cases[] = {
        {CST_SECRET_CEPH, "", CST_ERROR_INVALID},
        {CST_SECRET_CEPH, "====", CST_ERROR_INVALID},
        {CST_SECRET_CEPH, "no key", CST_ERROR_INVALID},
        {CST_SECRET_CEPH, KEY " ", CST_ERROR_INVALID},
        /* Cut, of type 0, with a length that is not that of the rest. */
        {CST_SECRET_CEPH, "AQB6+iFpb1mmLRAAThcBt9Lqh1xF0Fvu7Qkr", CST_ERROR_INVALID},
        {CST_SECRET_CEPH, "AAB6+iFpb1mmLRAAThcBt9Lqh1xF0Fvu7QkrYg==", CST_ERROR_INVALID},
        {CST_SECRET_CEPH, "AQB6+iFpb1mmLQ8AThcBt9Lqh1xF0Fvu7QkrYg==", CST_ERROR_INVALID},
        {CST_SECRET_ISCSI, "", CST_ERROR_INVALID},
        {CST_SECRET_ISCSI, "\n", CST_ERROR_INVALID},
        {CST_SECRET_ISCSI, "two\nlines", CST_ERROR_INVALID},
        {CST_SECRET_ISCSI, "a\177", CST_ERROR_INVALID},
        {CST_SECRET_VOLUME, "x", CST_ERROR_UNSUPPORTED},
        {CST_SECRET_NONE, "x", CST_ERROR_UNSUPPORTED},
    };
    g_autofree char *longest = g_strnfill(CST_CREDENTIAL_CHAP_MAX, 'x');
    g_autofree char *longer = g_strnfill(CST_CREDENTIAL_CHAP_MAX + 1, 'x');
    CstSecretBytes text = bytes(longer);
    g_auto(CstSecretBytes) value = {0};
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const CstSecretBytes wrong = bytes(cases[i].text);

        assert_fails(cst_credential_from_text(cases[i].usage, &wrong, &value, &error), &error,
                     cases[i].code);
    }
    assert_fails(cst_credential_from_text(CST_SECRET_ISCSI, &text, &value, &error), &error,
                 CST_ERROR_INVALID);
    text = bytes(longest);
    assert_true(cst_credential_from_text(CST_SECRET_ISCSI, &text, &value, NULL));
}

static void new_credential_is_valid_for_its_server(void **unused)
{
    g_autofree char *last = NULL;

    for (int i = 0; i < 50; i++) {
        g_auto(CstSecretBytes) key = {0}, password = {0};
        gint64 made;

        assert_true(cst_credential_new(CST_SECRET_CEPH, &key, NULL));
        assert_true(cst_credential_check(CST_SECRET_CEPH, &key, NULL));
        assert_int_equal(key.len, 28);
        made = key.data[2] | key.data[3] << 8 | key.data[4] << 16 | (gint64)key.data[5] << 24;
        assert_in_range(made, g_get_real_time() / G_USEC_PER_SEC - 60,
                        g_get_real_time() / G_USEC_PER_SEC);
        assert_true(cst_credential_new(CST_SECRET_ISCSI, &password, NULL));
        assert_int_equal(password.len, 16);
        for (size_t k = 0; k < password.len; k++)
            assert_true(g_ascii_isalnum(password.data[k]));
        assert_true(g_strcmp0(last, (const char *)password.data) != 0);
        g_free(last);
        last = g_strdup((const char *)password.data);
    }
}

/* --- keyrings --------------------------------------------------------------------------------- */

static const char keyring[] = "# of this cluster\n"
                              "[client.admin]\n"
                              "\tcaps mon = \"allow *\"\n"
                              "\tkey = " OTHER "\n"
                              "[client.libvirt]\r\n"
                              "key=" KEY "\r\n"
                              "\tpending key = " OTHER "\n"
                              "\tcaps mgr = \"profile rbd\"\n"
                              "\tcaps osd = \"profile rbd pool=libvirt\"\n"
                              "[client.keyless]\n"
                              "\tcaps mon = \"allow r\"";

static void a_users_key_is_found(void **unused)
{
    const CstSecretBytes text = bytes(keyring);
    static const char *const cases[][2] = {
        {"client.admin", OTHER}, {"client.libvirt", KEY}, {"client.keyless", NULL},
        {"client.lib", NULL},    {"admin", NULL},         {"", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(CstSecretBytes) key = {0};
        g_autoptr(GError) error = NULL;
        gboolean found = cst_cephx_keyring_find(&text, cases[i][0], &key, &error);

        assert_true(found == (cases[i][1] != NULL));
        if (found) {
            g_autofree char *base64 = text_of(CST_SECRET_CEPH, &key);

            assert_string_equal(base64, cases[i][1]);
        } else {
            assert_int_equal(error->code, CST_ERROR_NOT_FOUND);
        }
    }
}

static void a_keyring_with_another_key_has_the_same_caps(void **unused)
{
    const CstSecretBytes text = bytes(keyring), other = bytes(OTHER);
    g_auto(CstSecretBytes) key = {0}, made = {0};
    g_autofree char *huge = g_strnfill(CST_CEPHX_KEYRING_MAX + 1, '\n');
    CstSecretBytes large = bytes(huge);
    g_autoptr(GError) error = NULL;

    assert_true(cst_cephx_key_from_base64(&other, &key, NULL));
    assert_true(cst_cephx_keyring_with(&text, "client.libvirt", &key, &made, NULL));
    assert_string_equal((const char *)made.data, "[client.libvirt]\n"
                                                 "key = " OTHER "\n"
                                                 "caps mgr = \"profile rbd\"\n"
                                                 "caps osd = \"profile rbd pool=libvirt\"\n");
    assert_int_equal(made.len, strlen((const char *)made.data));
    cst_secret_bytes_clear(&made);
    assert_fails(cst_cephx_keyring_with(&text, "client.x", &key, &made, &error), &error,
                 CST_ERROR_NOT_FOUND);
    assert_fails(cst_cephx_keyring_with(&large, "client.x", &key, &made, &error), &error,
                 CST_ERROR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_of_the_servers_tools_is_a_valid_credential),
        cmocka_unit_test(invalid_credential_is_refused),
        cmocka_unit_test(new_credential_is_valid_for_its_server),
        cmocka_unit_test(a_users_key_is_found),
        cmocka_unit_test(a_keyring_with_another_key_has_the_same_caps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
