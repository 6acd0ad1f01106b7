/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pools that reach the same directory by different paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/pools.h>

#include "fixture.h"

/* A directory pool @name on @path below the fixture's directory. */
static char *xml_on(Fixture *f, const char *name, const char *path)
{
    return g_strdup_printf("<pool type='dir'><name>%s</name><target><path>%s/%s</path></target>"
                           "</pool>",
                           name, f->images, path);
}

static void same_directory_by_another_path_is_refused(void **state)
{
    static const char *const paths[] = {"./one", "one/../one", "link", "link/."};
    Fixture *f = *state;
    g_autoptr(CstPool) one = fixture_pool(f, "one");
    g_autofree char *link = g_build_filename(f->images, "link", NULL);
    g_autoptr(GError) error = NULL;

    assert_int_equal(symlink("one", link), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *xml = xml_on(f, "two", paths[i]);

        assert_null(cst_service_pool_define(f->service, xml, 0, &error));
        assert_error(&error, CST_ERROR_EXISTS);
        assert_null(cst_service_pool_create(f->service, xml, 0, NULL, &error));
        assert_error(&error, CST_ERROR_EXISTS);
    }
}

static void absent_directory_is_compared_by_its_normalised_path(void **state)
{
    Fixture *f = *state;
    g_autofree char *first = xml_on(f, "one", "later");
    g_autofree char *second = xml_on(f, "two", "x/../later");
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) one = cst_service_pool_define(f->service, first, 0, &error);

    assert_no_error(error);
    assert_null(cst_service_pool_define(f->service, second, 0, &error));
    assert_error(&error, CST_ERROR_EXISTS);
}

/* The link is made after both definitions, so their checks cannot see it. */
static void second_of_two_definitions_does_not_start_or_build(void **state)
{
    Fixture *f = *state;
    g_autofree char *xml = xml_on(f, "two", "link");
    g_autofree char *link = g_build_filename(f->images, "link", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) one = fixture_pool(f, "one");
    g_autoptr(CstPool) two = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
    assert_int_equal(symlink("one", link), 0);
    assert_false(cst_pool_start(two, 0, NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_false(cst_pool_build(two, 0, NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_false(cst_pool_is_active(two));
    cst_pool_stop(one, NULL, &error);
    assert_no_error(error);
    cst_pool_start(two, 0, NULL, &error);
    assert_no_error(error);
    assert_false(cst_pool_start(one, 0, NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(same_directory_by_another_path_is_refused),
        TEST(absent_directory_is_compared_by_its_normalised_path),
        TEST(second_of_two_definitions_does_not_start_or_build),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
