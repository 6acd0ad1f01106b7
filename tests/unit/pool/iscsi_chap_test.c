/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHAP: the secrets, where they are written, and where they are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/units.h>

#include "iscsi/iscsi.h"
#include "iscsi_site.h"

#define AUTH "<auth type='chap' username='me'><secret usage='right'/></auth>"

/* --- secrets ---------------------------------------------------------------------------------- */

static const char *secret_value;

static gboolean lend_secret(const CstAuth *auth, CstSecretBytes *ret_value, gpointer data,
                            GError **error)
{
    static const CstUuid inner = {{0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                   0x11, 0x11, 0x11, 0x11, 0x11}};
    const char *value = NULL;

    assert_int_equal(auth->type, CST_AUTH_CHAP);
    if (auth->by_uuid)
        value = memcmp(&auth->secret_uuid, &inner, sizeof(inner)) == 0 ? "inner = #1" : NULL;
    else if (strcmp(auth->secret_usage, "right") == 0)
        value = secret_value;
    else if (strcmp(auth->secret_usage, "inner") == 0)
        value = "inner = #1";
    if (!value)
        return cst_fail(error, CST_ERROR_NO_SECRET, "no such secret");
    return cst_secret_bytes_copy(ret_value, value, strlen(value), error);
}

static const CstPoolHost host = {.secret = lend_secret};

static CstPoolState *pool_with(const char *more, const char *options)
{
    g_autofree char *xml = site_xml(more, options);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);

    return cst_pool_state_open(def, &host, NULL);
}

/* --- CHAP ------------------------------------------------------------------------------------- */

static void test_chap_password_is_only_in_the_record(void **state)
{
    g_autoptr(CstPoolState) pool = pool_with(ONE_HOST AUTH, "");
    g_autofree char *told = NULL, *record = NULL, *path = NULL;
    struct stat st;

    secret_value = "a secret = #x";
    kernel_put("/chap", "me a secret = #x");
    site_start(pool);
    told = site_calls();
    assert_null(strstr(told, "a secret"));
    record = site_read("/etc/iscsi/nodes/" IQN "/127.0.0.1,3260,7/" PLAIN);
    assert_string_equal(record, "# BEGIN RECORD 2.1.8\n"
                                "node.session.auth.authmethod = CHAP\n"
                                "node.session.auth.username = me\n"
                                "node.session.auth.password = a secret = #x\n"
                                "node.name = " IQN "\n"
                                "iface.iscsi_ifacename = " PLAIN "\n"
                                "node.session.auth.chap_algs = MD5\n"
                                "# END RECORD\n");
    path = g_strconcat(kernel_folder, "/etc/iscsi/nodes/" IQN "/127.0.0.1,3260,7/" PLAIN, NULL);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    site_stop(pool);
    assert_nothing_left();
}

static void test_wrong_secret_is_refused(void **state)
{
    g_autoptr(CstPoolState) pool = pool_with(ONE_HOST AUTH, "");

    secret_value = "wrong";
    kernel_put("/chap", "me right");
    assert_start_fails(pool, CST_ERROR_AUTH, "refuses the user or the secret");
    assert_nothing_left();
}

static void test_mutual_chap(void **state)
{
    static const char *const names[] = {"inner", "11111111-1111-1111-1111-111111111111"};

    secret_value = "outer";
    kernel_put("/chap", "me outer");
    kernel_put("/chap_in", "it inner = #1");
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *options = g_strdup_printf(
            "<options xmlns='urn:cistern:storage:1.0'><option name='mutual-username' value='it'/>"
            "<option name='mutual-secret' value='%s'/></options>",
            names[i]);
        g_autoptr(CstPoolState) pool = pool_with(ONE_HOST AUTH, options);

        site_start(pool);
        site_stop(pool);
    }
    assert_nothing_left();
}

static void test_mutual_chap_needs_all_its_parts(void **state)
{
    static const struct {
        const char *auth;
        const char *options;
    } rows[] = {
        {AUTH, "<option name='mutual-username' value='it'/>"},
        {AUTH, "<option name='mutual-secret' value='inner'/>"},
        {"", "<option name='mutual-username' value='it'/>"
             "<option name='mutual-secret' value='inner'/>"},
    };

    secret_value = "outer";
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *source = g_strconcat(ONE_HOST, rows[i].auth, NULL);
        g_autofree char *options = g_strdup_printf(
            "<options xmlns='urn:cistern:storage:1.0'>%s</options>", rows[i].options);
        g_autoptr(CstPoolState) pool = pool_with(source, options);

        assert_start_fails(pool, CST_ERROR_CONFIG, "mutual CHAP takes both options");
    }
}

/* A record has one line for each value, so a value must not contain a line break. */
static void test_secrets_that_no_record_can_hold(void **state)
{
    g_autofree char *longest = g_strnfill(255, 'x'), *longer = g_strnfill(256, 'x');
    const char *const refused[] = {"", " x", "x ", "x\nnode.startup = automatic", "x\ty", longer};
    const char *const fine[] = {"x", "x y", "#", "=", longest};

    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(CstPoolState) pool = pool_with(ONE_HOST AUTH, "");

        secret_value = refused[i];
        assert_start_fails(pool, CST_ERROR_INVALID_SECRET, "1 to 255 printable characters");
        assert_nothing_left();
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fine); i++) {
        g_autoptr(CstPoolState) pool = pool_with(ONE_HOST AUTH, "");
        g_autofree char *wanted = g_strconcat("me ", fine[i], NULL);

        secret_value = fine[i];
        kernel_put("/chap", wanted);
        site_start(pool);
        site_stop(pool);
    }
}

static void test_auth_of_another_type(void **state)
{
    g_autoptr(CstPoolState) pool =
        pool_with(ONE_HOST "<auth type='ceph' username='me'><secret usage='right'/></auth>", "");

    assert_start_fails(pool, CST_ERROR_XML, "iscsi pool only supports 'chap' auth type");
}

static void test_secret_that_is_missing(void **state)
{
    g_autoptr(CstPoolState) pool =
        pool_with(ONE_HOST "<auth type='chap' username='me'><secret usage='none'/></auth>", "");

    assert_start_fails(pool, CST_ERROR_NO_SECRET, "no such secret");
    assert_nothing_left();
}

/* The old values are replaced. The CHAP method and all other lines stay. */
static void test_record_with_other_values(void **state)
{
    static const struct {
        const char *text;
        const char *with;
    } rows[] = {
        {"", "node.session.auth.authmethod = CHAP\nnode.session.auth.username = u\n"
             "node.session.auth.password = p\n"},
        {"node.session.auth.password = old\nx = y",
         "x = ynode.session.auth.authmethod = CHAP\nnode.session.auth.username = u\n"
         "node.session.auth.password = p\n"},
        {"# BEGIN RECORD 2\nnode.session.auth.username_in=i\nnode.session.auth.password_in = j\n"
         "node.session.auth.password_length = 3\nnode.session.auth.passwords = k\n",
         "# BEGIN RECORD 2\nnode.session.auth.authmethod = CHAP\nnode.session.auth.username = u\n"
         "node.session.auth.password = p\nnode.session.auth.passwords = k\n"},
    };
    const CstChap chap = {.user = (char *)"u", .password = {(uint8_t *)"p", 1}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *with = iscsi_record_with(rows[i].text, &chap);

        assert_string_equal(with, rows[i].with);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_set_up, site_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_chap_password_is_only_in_the_record),
        TEST(test_wrong_secret_is_refused),
        TEST(test_mutual_chap),
        TEST(test_mutual_chap_needs_all_its_parts),
        TEST(test_secrets_that_no_record_can_hold),
        TEST(test_auth_of_another_type),
        TEST(test_secret_that_is_missing),
        cmocka_unit_test(test_record_with_other_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
