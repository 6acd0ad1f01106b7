/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <service/pools.h>

#include "../logged.h"

#define ONE      "aaaaaaaa-0000-0000-0000-000000000001"
#define TWO      "aaaaaaaa-0000-0000-0000-000000000002"
#define LONG_AGO 1000000000

static CstUuid uuid_of(const char *text)
{
    CstUuid uuid;

    assert_true(cst_uuid_parse(text, &uuid));
    return uuid;
}

static void define(Fixture *f, const char *uuid, gboolean ephemeral, const char *usage)
{
    g_autofree char *xml = g_strdup_printf("<secret ephemeral='%s'><uuid>%s</uuid>%s</secret>",
                                           ephemeral ? "yes" : "no", uuid, usage);
    g_autoptr(GError) error = NULL;
    CstSecretRow *row = cst_service_secret_define(f->service, xml, 0, &error);

    assert_no_error(error);
    cst_secret_row_free(row);
}

static void set(Fixture *f, const char *of, const char *value)
{
    CstUuid uuid = uuid_of(of);
    g_autoptr(GError) error = NULL;

    cst_service_secret_set_value(f->service, &uuid, (const uint8_t *)value, strlen(value), 0,
                                 &error);
    assert_no_error(error);
}

static void assert_value(Fixture *f, const char *of, const char *expected)
{
    g_auto(CstSecretBytes) value = {0};
    CstUuid uuid = uuid_of(of);
    g_autoptr(GError) error = NULL;

    cst_service_secret_get_value(f->service, &uuid, 0, NULL, &value, &error);
    assert_no_error(error);
    assert_string_equal((const char *)value.data, expected);
}

static guint change(Fixture *f, gboolean sealing, const char *of, unsigned flags, int code)
{
    CstUuid uuid = of ? uuid_of(of) : (CstUuid){0};
    const CstSecretSealArgs args = {&uuid, of ? 1 : 0, flags};
    g_autoptr(GError) error = NULL;
    guint count = 0;
    gboolean done = sealing ? cst_service_secrets_seal(f->service, &args, &count, &error)
                            : cst_service_secrets_unseal(f->service, &args, &count, &error);

    if (!code) {
        assert_no_error(error);
        assert_true(done);
    } else {
        assert_false(done);
        assert_error(&error, code);
    }
    return count;
}

static gboolean has_file(Fixture *f, const char *uuid, const char *suffix)
{
    g_autofree char *path = g_strconcat(f->paths->secret_dir, "/", uuid, suffix, NULL);

    return access(path, F_OK) == 0;
}

static gboolean has_key(Fixture *f, const char *name)
{
    g_autofree char *path = g_strconcat(f->paths->data_dir, "/secret-keys/", name, NULL);

    return access(path, F_OK) == 0;
}

/* --- seal, unseal ----------------------------------------------------------------------------- */

static void one_or_all_are_sealed_and_unsealed(void **state)
{
    Fixture *f = *state;

    define(f, ONE, FALSE, "");
    define(f, TWO, FALSE, "");
    set(f, ONE, "one");
    set(f, TWO, "two");
    assert_int_equal(change(f, TRUE, ONE, 0, 0), 1);
    assert_int_equal(change(f, TRUE, ONE, 0, 0), 0);
    assert_true(has_file(f, ONE, ".sealed") && !has_file(f, ONE, ".base64"));
    assert_true(has_file(f, TWO, ".base64"));
    assert_int_equal(change(f, TRUE, NULL, CST_SECRET_SEAL_ALL, 0), 1);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_value(f, ONE, "one");
    assert_value(f, TWO, "two");
    assert_int_equal(change(f, TRUE, NULL, CST_SECRET_SEAL_REKEY, 0), 2);
    assert_true(has_key(f, "2.key") && !has_key(f, "1.key"));
    assert_int_equal(change(f, FALSE, ONE, 0, 0), 1);
    assert_true(has_key(f, "2.key"));
    assert_int_equal(change(f, FALSE, NULL, CST_SECRET_SEAL_ALL, 0), 1);
    assert_false(has_key(f, "2.key"));
    set(f, ONE, "plain again");
    assert_true(has_file(f, ONE, ".base64") && !has_file(f, ONE, ".sealed"));
    assert_value(f, TWO, "two");
}

static void contradictory_flags_of_seal_are_refused(void **state)
{
    Fixture *f = *state;

    define(f, ONE, FALSE, "");
    define(f, TWO, TRUE, "");
    change(f, TRUE, NULL, 0, CST_ERROR_USAGE);
    change(f, TRUE, ONE, CST_SECRET_SEAL_ALL, CST_ERROR_USAGE);
    change(f, TRUE, NULL, 4, CST_ERROR_FLAGS);
    change(f, FALSE, NULL, CST_SECRET_SEAL_REKEY, CST_ERROR_FLAGS);
    change(f, TRUE, "bbbbbbbb-0000-0000-0000-000000000001", 0, CST_ERROR_NO_SECRET);
    change(f, TRUE, TWO, 0, CST_ERROR_STATE);
    /* With ALL, a secret without a value and an ephemeral secret are skipped without an error. */
    assert_int_equal(change(f, TRUE, NULL, CST_SECRET_SEAL_ALL, 0), 0);
    set(f, ONE, "value");
    assert_true(has_file(f, ONE, ".sealed"));
}

/* An unreadable value fails the call before any other value is changed. */
static void seal_changes_no_secret_if_one_is_unreadable(void **state)
{
    Fixture *f = *state;
    g_autofree char *sealed = NULL;

    define(f, ONE, FALSE, "");
    define(f, TWO, FALSE, "");
    set(f, ONE, "one");
    set(f, TWO, "two");
    change(f, TRUE, ONE, 0, 0);
    sealed = g_strconcat(f->paths->secret_dir, "/", ONE, ".sealed", NULL);
    assert_int_equal(truncate(sealed, 60), 0);
    change(f, TRUE, NULL, CST_SECRET_SEAL_ALL, CST_ERROR_INVALID_SECRET);
    assert_true(has_file(f, TWO, ".base64"));
    change(f, TRUE, NULL, CST_SECRET_SEAL_REKEY, CST_ERROR_INVALID_SECRET);
    assert_false(has_key(f, "2.key"));
    change(f, FALSE, NULL, CST_SECRET_SEAL_ALL, CST_ERROR_INVALID_SECRET);
    assert_true(has_key(f, "1.key"));
    assert_value(f, TWO, "two");
}

static void seal_dry_run_makes_no_change(void **state)
{
    Fixture *f = *state;

    define(f, ONE, FALSE, "");
    set(f, ONE, "one");
    cst_dry_run_set(TRUE);
    change(f, TRUE, NULL, CST_SECRET_SEAL_ALL, CST_ERROR_DRY_RUN);
    change(f, TRUE, NULL, CST_SECRET_SEAL_REKEY, CST_ERROR_DRY_RUN);
    change(f, FALSE, NULL, CST_SECRET_SEAL_ALL, CST_ERROR_DRY_RUN);
    cst_dry_run_set(FALSE);
    assert_true(has_file(f, ONE, ".base64"));
    assert_false(has_key(f, "1.key"));
}

/* --- ephemeral -------------------------------------------------------------------------------- */

static void a_value_moves_with_its_secret(void **state)
{
    Fixture *f = *state;
    g_autofree char *log = NULL;

    define(f, ONE, TRUE, "");
    set(f, ONE, "value");
    assert_false(has_file(f, ONE, ".base64"));
    assert_value(f, ONE, "value");
    /* As in libvirt: the value is written when the secret is no longer ephemeral. */
    define(f, ONE, FALSE, "");
    assert_true(has_file(f, ONE, ".base64"));
    change(f, TRUE, ONE, 0, 0);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_value(f, ONE, "value");
    define(f, ONE, TRUE, "");
    assert_false(has_file(f, ONE, ".base64") || has_file(f, ONE, ".sealed"));
    assert_false(has_file(f, ONE, ".xml"));
    assert_value(f, ONE, "value");
    define(f, ONE, TRUE, "");
    assert_value(f, ONE, "value");
}

/* --- usage ------------------------------------------------------------------------------------ */

static void pool(Fixture *f, const char *xml)
{
    g_autoptr(GError) error = NULL;
    CstPool *made = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
    cst_pool_unref(made);
}

static GPtrArray *uses(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *list = cst_service_secret_uses(f->service, &error);

    assert_no_error(error);
    return list;
}

static void users_of_secrets_are_found(void **state)
{
    Fixture *f = *state;
    g_autoptr(GPtrArray) list = NULL;
    const CstSecretUse *one, *two;

    define(f, ONE, FALSE, "<usage type='ceph'><name>key</name></usage>");
    define(f, TWO, FALSE, "<usage type='iscsi'><target>inner</target></usage>");
    pool(f, "<pool type='rbd'><name>r2</name><source><host name='h'/><name>r</name><auth "
            "type='ceph' username='u'><secret usage='key'/></auth></source></pool>");
    pool(f, "<pool type='rbd'><name>r1</name><source><host name='h1'/><name>r</name><auth "
            "type='ceph' username='u'><secret uuid='" ONE "'/></auth></source></pool>");
    pool(f, "<pool type='iscsi'><name>i</name><source><host name='h'/><device path='iqn.x:y'/>"
            "<auth type='chap' username='u'><secret usage='nosuch'/></auth></source><target><path>"
            "/dev/disk/by-path</path></target><options xmlns='urn:cistern:storage:1.0'>"
            "<option name='mutual-username' value='it'/>"
            "<option name='mutual-secret' value='inner'/></options></pool>");
    pool(f, "<pool type='zfs'><name>z</name><source><name>tank</name></source><options "
            "xmlns='urn:cistern:storage:1.0'><option name='key-secret' value='" TWO "'/>"
            "</options></pool>");
    list = uses(f);
    assert_int_equal(list->len, 2);
    one = g_ptr_array_index(list, 0);
    two = g_ptr_array_index(list, 1);
    assert_string_equal(one->usage_id, "key");
    assert_int_equal(one->pools->len, 2);
    assert_string_equal(one->pools->pdata[0], "r1");
    assert_string_equal(one->pools->pdata[1], "r2");
    assert_int_equal(two->pools->len, 2);
    assert_string_equal(two->pools->pdata[0], "i");
    assert_string_equal(two->pools->pdata[1], "z");
    assert_false(one->has_value || one->changed || one->sealed);
}

/* Returns the volumes in the reported usage of ONE. */
static char *volumes_of(Fixture *f)
{
    g_autoptr(GPtrArray) list = uses(f);
    const CstSecretUse *use = g_ptr_array_index(list, 0);

    g_ptr_array_add(use->volumes, NULL);
    return g_strjoinv(" ", (char **)use->volumes->pdata);
}

static void assert_volumes(Fixture *f, const char *expected)
{
    g_autofree char *names = volumes_of(f);

    assert_string_equal(names, expected);
}

static void volumes_that_a_secret_opens_are_found(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) p = fixture_pool(f, "p");
    g_autofree char *path = g_build_filename(f->images, "p", "enc", NULL);
    g_autofree char *usage =
        g_strdup_printf("<usage type='volume'><volume>%s</volume></usage>", path);

    define(f, ONE, FALSE, usage);
    assert_volumes(f, "");
    fixture_create(p, "enc", "raw", "");
    assert_volumes(f, "p/enc");
    /* No volume has been scanned since. */
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    assert_volumes(f, "p/enc");
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_volumes(f, "p/enc");
    assert_int_equal(unlink(path), 0);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_volumes(f, "");
}

static void make_old(Fixture *f, const char *uuid)
{
    g_autofree char *path = g_strconcat(f->paths->secret_dir, "/", uuid, ".base64", NULL);
    const struct utimbuf then = {LONG_AGO, LONG_AGO};

    assert_int_equal(utime(path, &then), 0);
}

static void its_age_survives_sealing_and_restarts(void **state)
{
    Fixture *f = *state;
    const CstSecretPolicy policy = {CST_SEAL_AUTO, 30};
    g_autoptr(GPtrArray) list = NULL, fresh = NULL;
    const CstSecretUse *use;

    define(f, ONE, FALSE, "");
    set(f, ONE, "old");
    make_old(f, ONE);
    change(f, TRUE, ONE, 0, 0);
    change(f, TRUE, NULL, CST_SECRET_SEAL_REKEY, 0);
    fixture_restart(f, CST_SERVICE_DAEMON);
    cst_service_set_secret_policy(f->service, &policy);
    list = uses(f);
    use = g_ptr_array_index(list, 0);
    assert_true(use->sealed && use->overdue && use->has_value);
    assert_int_equal(use->changed, LONG_AGO);
    assert_int_equal(strlen(use->key_id), 16);
    set(f, ONE, "new");
    fresh = uses(f);
    use = g_ptr_array_index(fresh, 0);
    assert_false(use->overdue);
    assert_true(use->changed > LONG_AGO);
}

static void unreadable_secret_is_a_problem_of_only_that_secret(void **state)
{
    Fixture *f = *state;
    g_autofree char *key = g_build_filename(f->paths->data_dir, "secret-keys/1.key", NULL);
    g_autoptr(GPtrArray) list = NULL;
    const CstSecretUse *use;

    define(f, ONE, FALSE, "");
    define(f, TWO, FALSE, "");
    set(f, TWO, "plain");
    set(f, ONE, "one");
    change(f, TRUE, ONE, 0, 0);
    assert_int_equal(unlink(key), 0);
    list = uses(f);
    use = g_ptr_array_index(list, 0);
    assert_non_null(strstr(use->problem, "is sealed with key"));
    use = g_ptr_array_index(list, 1);
    assert_null(use->problem);
    assert_value(f, TWO, "plain");
}

/* Returns how often the warning of ONE is logged after the start of a daemon. */
static guint warnings_at_start(Fixture *f, guint days)
{
    const CstSecretPolicy policy = {CST_SEAL_AUTO, days};
    guint count = 0;

    g_string_truncate(logged, 0);
    point_watch("secret.watch.wait");
    f->policy = &policy;
    fixture_restart(f, CST_SERVICE_DAEMON);
    f->policy = NULL;
    if (days > 0)
        point_await("secret.watch.wait", 1);
    fixture_restart(f, CST_SERVICE_DAEMON);
    for (const char *at = logged->str; (at = strstr(at, ONE " has had the same value")); at++)
        count++;
    return count;
}

static void old_values_are_warned_of_once_a_day(void **state)
{
    Fixture *f = *state;
    g_autofree char *stamp = g_build_filename(f->paths->data_dir, "secret-warnings", NULL);
    const struct utimbuf yesterday = {time(NULL) - 25 * 60 * 60, time(NULL) - 25 * 60 * 60};

    logged = g_string_new(NULL);
    g_log_set_writer_func(keep_message, NULL, NULL);
    define(f, ONE, FALSE, "");
    define(f, TWO, FALSE, "");
    set(f, TWO, "new");
    set(f, ONE, "old");
    make_old(f, ONE);
    assert_int_equal(warnings_at_start(f, 0), 0);
    assert_int_equal(warnings_at_start(f, 36500), 0);
    assert_int_equal(warnings_at_start(f, 30), 1);
    assert_null(strstr(logged->str, TWO));
    assert_int_equal(warnings_at_start(f, 30), 0);
    assert_int_equal(utime(stamp, &yesterday), 0);
    assert_int_equal(warnings_at_start(f, 30), 1);
    points_clear();
}

static void a_daemon_that_is_to_seal_makes_the_key(void **state)
{
    Fixture *f = *state;
    const CstSecretPolicy always = {CST_SEAL_ALWAYS, 0}, never = {CST_SEAL_NEVER, 0};

    assert_false(has_key(f, "1.key"));
    f->policy = &always;
    fixture_restart(f, CST_SERVICE_DAEMON);
    f->policy = NULL;
    assert_true(has_key(f, "1.key"));
    fixture_restart(f, CST_SERVICE_DAEMON);
    define(f, ONE, FALSE, "");
    set(f, ONE, "sealed, for there is a key");
    assert_true(has_file(f, ONE, ".sealed"));
    cst_service_set_secret_policy(f->service, &never);
    set(f, ONE, "plain");
    assert_true(has_file(f, ONE, ".base64"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(one_or_all_are_sealed_and_unsealed),
        CASE(contradictory_flags_of_seal_are_refused),
        CASE(seal_changes_no_secret_if_one_is_unreadable),
        CASE(seal_dry_run_makes_no_change),
        CASE(a_value_moves_with_its_secret),
        CASE(users_of_secrets_are_found),
        CASE(volumes_that_a_secret_opens_are_found),
        CASE(its_age_survives_sealing_and_restarts),
        CASE(unreadable_secret_is_a_problem_of_only_that_secret),
        CASE(a_daemon_that_is_to_seal_makes_the_key),
        CASE(old_values_are_warned_of_once_a_day),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
