/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <base/error.h>

static CstSecretRow *define(Fixture *f, const char *ephemeral, const char *is_private,
                            const char *target)
{
    g_autofree char *xml =
        g_strdup_printf("<secret ephemeral='%s' private='%s'><usage type='iscsi'>"
                        "<target>%s</target></usage></secret>",
                        ephemeral, is_private, target);
    g_autoptr(GError) error = NULL;
    CstSecretRow *row = cst_service_secret_define(f->service, xml, 0, &error);

    assert_no_error(error);
    return row;
}

static void a_value_survives_a_restart_in_libvirts_files(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSecretRow) row = define(f, "no", "no", "t1");
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *file = NULL;
    g_autofree char *text = NULL;
    uint8_t *value = NULL;
    size_t len = 0;
    struct stat st;

    assert_true(cst_service_secret_set_value(f->service, &row->uuid, (const uint8_t *)"s3cret", 6,
                                             0, NULL));
    file = g_strdup_printf("%s/%s.base64", f->paths->secret_dir, cst_uuid_format(&row->uuid, uuid));
    assert_true(g_file_get_contents(file, &text, NULL, NULL));
    assert_string_equal(text, "czNjcmV0");
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_true(cst_service_secret_get_value(f->service, &row->uuid, 0, &value, &len, NULL));
    assert_int_equal(len, 6);
    assert_memory_equal(value, "s3cret", 6);
    g_free(value);
}

static void a_private_value_is_never_given_out(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSecretRow) row = define(f, "no", "yes", "t1");
    g_autoptr(GError) error = NULL;
    uint8_t *value = NULL;
    size_t len;

    assert_true(
        cst_service_secret_set_value(f->service, &row->uuid, (const uint8_t *)"x", 1, 0, NULL));
    assert_false(cst_service_secret_get_value(f->service, &row->uuid, 0, &value, &len, &error));
    assert_error(&error, CST_ERROR_INVALID_SECRET);
}

static void an_ephemeral_secret_never_reaches_the_disk(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSecretRow) row = define(f, "yes", "no", "t1");
    g_autoptr(GError) error = NULL;
    GDir *dir;

    assert_true(
        cst_service_secret_set_value(f->service, &row->uuid, (const uint8_t *)"x", 1, 0, NULL));
    dir = g_dir_open(f->paths->secret_dir, 0, NULL);
    if (dir) {
        assert_null(g_dir_read_name(dir));
        g_dir_close(dir);
    }
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_null(cst_service_secret_by_uuid(f->service, &row->uuid, &error));
    assert_error(&error, CST_ERROR_NO_SECRET);
}

static void one_usage_belongs_to_one_secret(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSecretRow) row = define(f, "no", "no", "t1");
    g_autoptr(GError) error = NULL;

    assert_null(cst_service_secret_define(
        f->service, "<secret><usage type='iscsi'><target>t1</target></usage></secret>", 0, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_true(cst_service_secret_undefine(f->service, &row->uuid, NULL));
    assert_null(cst_service_secret_by_usage(f->service, CST_SECRET_ISCSI, "t1", &error));
    assert_error(&error, CST_ERROR_NO_SECRET);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_value_survives_a_restart_in_libvirts_files),
        CASE(a_private_value_is_never_given_out),
        CASE(an_ephemeral_secret_never_reaches_the_disk),
        CASE(one_usage_belongs_to_one_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
