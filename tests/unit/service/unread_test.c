/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files and storage that exist and cannot be read when a service starts. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/pool.h>
#include <service/pools.h>

gboolean __real_cst_pool_state_check(CstPoolState *state, gboolean *ret_active, GError **error);
gboolean __wrap_cst_pool_state_check(CstPoolState *state, gboolean *ret_active, GError **error);

static gint unreadable; /* atomic: the storage of pools cannot be read */

gboolean __wrap_cst_pool_state_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    if (g_atomic_int_get(&unreadable))
        return cst_fail(error, CST_ERROR_IO, "no descriptor");
    return __real_cst_pool_state_check(state, ret_active, error);
}

/* Puts a loop of symbolic links in the place of @path, which is moved to @path.away. */
static void make_unreadable(const char *path)
{
    g_autofree char *away = g_strconcat(path, ".away", NULL);
    g_autofree char *name = g_path_get_basename(path);

    assert_int_equal(rename(path, away), 0);
    assert_int_equal(symlink(name, path), 0);
}

static void make_readable(const char *path)
{
    g_autofree char *away = g_strconcat(path, ".away", NULL);

    assert_int_equal(rename(away, path), 0);
}

static void assert_start_fails(Fixture *f, CstServiceMode mode, const char *path)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_service_new(f->paths, mode, &error));
    assert_non_null(strstr(error->message, path));
}

/* The pool would count as inactive, or as undefined, and its volumes as unused. */
static void service_does_not_start_while_a_file_cannot_be_read(void **state)
{
    Fixture *f = *state;
    CstPool *pool = fixture_pool(f, "p");
    char *files[] = {g_build_filename(f->paths->pool_dir, "p.xml", NULL),
                     g_build_filename(f->paths->pool_run_dir, "p.xml", NULL)};

    cst_pool_unref(pool);
    g_clear_pointer(&f->service, cst_service_free);
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        make_unreadable(files[i]);
        assert_start_fails(f, CST_SERVICE_DAEMON, files[i]);
        assert_start_fails(f, CST_SERVICE_EMBEDDED, files[i]);
        make_readable(files[i]);
    }
    g_free(files[0]);
    g_free(files[1]);
    fixture_restart(f, CST_SERVICE_DAEMON);
    pool = cst_service_pool_by_name(f->service, "p", NULL);
    assert_true(cst_pool_is_active(pool));
    cst_pool_unref(pool);
}

static void pool_stays_active_while_its_storage_cannot_be_read(void **state)
{
    Fixture *f = *state;
    CstPool *pool = fixture_pool(f, "p");
    g_autofree char *file = g_build_filename(f->paths->pool_run_dir, "p.xml", NULL);

    cst_pool_unref(pool);
    g_atomic_int_set(&unreadable, TRUE);
    fixture_restart(f, CST_SERVICE_DAEMON);
    pool = cst_service_pool_by_name(f->service, "p", NULL);
    assert_true(cst_pool_is_active(pool));
    assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
    g_atomic_int_set(&unreadable, FALSE);
    cst_pool_unref(pool);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(service_does_not_start_while_a_file_cannot_be_read),
        TEST(pool_stays_active_while_its_storage_cannot_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
