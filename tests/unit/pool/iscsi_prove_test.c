/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changed CHAP values of an open-iscsi pool: tried through libiscsi, and written to records. */
#include "iscsi_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

#include "fake_iscsi.h"
#include "iscsi/iscsi.h"

#define AUTH      "<auth type='chap' username='me'><secret usage='s'/></auth>"
#define INITIATOR "<initiator><iqn name='iqn.2026-01.lab:me'/></initiator>"
#define RECORD    "/etc/iscsi/nodes/" IQN "/127.0.0.1,3260,7/" PLAIN

static const char *lent;

static gboolean lend(const CstAuth *auth, CstSecretBytes *ret_value, gpointer data, GError **error)
{
    return cst_secret_bytes_copy(ret_value, lent, strlen(lent), error);
}

static const CstPoolHost host = {.secret = lend};

static CstPoolState *pool_with(const char *more)
{
    g_autofree char *xml = site_xml(more, "");
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);

    return cst_pool_state_open(def, &host, NULL);
}

static int set_up(void **state)
{
    int result = site_set_up(state);

    fake_reset();
    fake_unit(1, 8, 512, FALSE);
    iscsi_host.prove_s = 1;
    return result;
}

static void a_value_is_tried_without_the_kernel(void **state)
{
    g_autoptr(CstPoolState) pool = pool_with(ONE_HOST INITIATOR AUTH);
    g_autofree char *calls = NULL;
    g_autoptr(GError) error = NULL;

    fake.password = "right";
    lent = "right";
    assert_true(cst_pool_state_prove(pool, NULL));
    assert_int_equal(fake.logins, 1);
    assert_int_equal(fake.logouts, 1);
    assert_string_equal(fake.portal, "127.0.0.1:3260");
    lent = "wrong";
    assert_false(cst_pool_state_prove(pool, &error));
    assert_int_equal(error->code, CST_ERROR_DENIED);
    g_clear_error(&error);
    fake.deaf = TRUE;
    assert_false(cst_pool_state_prove(pool, &error));
    assert_int_equal(error->code, CST_ERROR_UNREACHABLE);
    calls = site_calls();
    assert_string_equal(calls, "");
}

/* The initiator name of open-iscsi for a pool without its own name. */
static void the_hosts_own_name_is_read(void **state)
{
    g_autoptr(CstPoolState) pool = pool_with(ONE_HOST AUTH);
    g_autofree char *etc = g_strconcat(kernel_folder, "/etc/iscsi", NULL);
    g_autoptr(GError) error = NULL;

    lent = fake.password = "right";
    iscsi_host.config = etc;
    assert_false(cst_pool_state_prove(pool, &error));
    g_clear_error(&error);
    kernel_put("/etc/iscsi/initiatorname.iscsi", "## no name here\n");
    assert_false(cst_pool_state_prove(pool, &error));
    assert_int_equal(error->code, CST_ERROR_CONFIG);
    assert_int_equal(fake.logins, 0);
    kernel_put("/etc/iscsi/initiatorname.iscsi", "# x\n InitiatorName= iqn.2026-01.lab:host \n");
    assert_true(cst_pool_state_prove(pool, NULL));
    kernel_drop("/etc/iscsi/initiatorname.iscsi");
}

static void a_record_gets_the_new_value_and_the_session_stays(void **state)
{
    g_autoptr(CstPoolState) pool = pool_with(ONE_HOST AUTH);
    g_autofree char *before = NULL, *after = NULL, *calls = NULL, *again = NULL;

    lent = "an old value";
    kernel_put("/chap", "me an old value");
    assert_true(cst_pool_state_renew(pool, NULL));
    site_start(pool);
    g_free(site_calls());
    before = site_read(RECORD);
    assert_non_null(strstr(before, "node.session.auth.password = an old value\n"));
    lent = "a new value";
    assert_true(cst_pool_state_renew(pool, NULL));
    after = site_read(RECORD);
    assert_non_null(strstr(after, "node.session.auth.password = a new value\n"));
    assert_null(strstr(after, "an old value"));
    assert_true(site_is_active(pool));
    calls = site_calls();
    assert_null(strstr(calls, "log"));
    assert_null(strstr(calls, "value"));
    /* The next login uses the new value. */
    site_stop(pool);
    kernel_put("/chap", "me a new value");
    site_start(pool);
    again = site_read(RECORD);
    assert_string_equal(again, after);
    site_stop(pool);
}

#define SECOND_HOST   "<host name='127.0.0.2'/>"
#define SECOND_RECORD "/etc/iscsi/nodes/" IQN "/127.0.0.2,3260,8/" PLAIN

static void assert_record_has(const char *path, const char *value)
{
    g_autofree char *record = site_read(path);

    if (!strstr(record, value))
        fail_msg("'%s' is not in '%s'", value, record);
}

static void every_portal_has_a_record_with_the_new_value(void **state)
{
    static const char *const records[] = {RECORD, SECOND_RECORD};
    g_autoptr(CstPoolState) pool = pool_with(ONE_HOST SECOND_HOST AUTH);
    g_autofree char *too_long = g_strnfill(300 * 1024, 'x');

    lent = "an old value";
    site_start(pool);
    lent = "a new value";
    assert_true(cst_pool_state_renew(pool, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(records); i++)
        assert_record_has(records[i], "password = a new value\n");
    /* An unreadable record is an error, for each of the records. */
    for (size_t i = 0; i < G_N_ELEMENTS(records); i++) {
        g_autofree char *before = site_read(records[i]);

        kernel_put(records[i], too_long);
        assert_false(cst_pool_state_renew(pool, NULL));
        kernel_put(records[i], before);
    }
    lent = "another value";
    assert_true(cst_pool_state_renew(pool, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(records); i++)
        assert_record_has(records[i], "password = another value\n");
    site_stop(pool);
    assert_nothing_left();
}

#define prove_test(f) cmocka_unit_test_setup_teardown(f, set_up, site_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        prove_test(a_value_is_tried_without_the_kernel),
        prove_test(the_hosts_own_name_is_read),
        prove_test(a_record_gets_the_new_value_and_the_session_stays),
        prove_test(every_portal_has_a_record_with_the_new_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
