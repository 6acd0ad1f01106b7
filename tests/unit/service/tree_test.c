/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dependencies between volumes: the tree, and the part of it in an error message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/images.h>
#include <service/volumes.h>

#include "fixture.h"

static char *path_of(Fixture *f, const char *pool, const char *name)
{
    return g_build_filename(f->images, pool, name, NULL);
}

static void create_over(Fixture *f, CstPool *pool, const char *name, const char *base)
{
    g_autofree char *path = path_of(f, cst_pool_name(pool), base);
    g_autofree char *below = g_strdup_printf("<backingStore><path>%s</path></backingStore>", path);

    fixture_create(pool, name, "qcow2", below);
}

static void refresh(CstPool *pool)
{
    g_autoptr(GError) error = NULL;

    cst_pool_refresh(pool, 0, NULL, &error);
    assert_no_error(error);
}

/*
 * Compares one line per row: its level as dots, its place, its format, "*" for @name, its problem.
 */
static void assert_tree(CstPool *pool, const char *name, const char *wanted)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = cst_vol_chain(pool, name, &error);
    g_autoptr(GString) tree = g_string_new(NULL);

    assert_no_error(error);
    for (guint i = 0; i < rows->len; i++) {
        const CstChainRow *row = g_ptr_array_index(rows, i);

        for (guint level = 0; level < row->level; level++)
            g_string_append_c(tree, '.');
        g_string_append_printf(tree, "%s:%s %s%s%s%s\n", row->pool ? row->pool : "", row->name,
                               row->format ? row->format : "-", row->self ? "*" : "",
                               row->problem ? " " : "", row->problem ? row->problem : "");
    }
    assert_string_equal(tree->str, wanted);
}

static void relatives_are_shown_from_the_root_on(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), other = fixture_pool(f, "q");

    fixture_create(pool, "base", "qcow2", "");
    create_over(f, pool, "a", "base");
    create_over(f, pool, "b", "base");
    create_over(f, pool, "c", "a");
    fixture_create(other, "alone", "raw", "");
    assert_tree(pool, "a", "p:base qcow2\n.p:a qcow2*\n..p:c qcow2\n.p:b qcow2\n");
    assert_tree(pool, "c", "p:base qcow2\n.p:a qcow2\n..p:c qcow2*\n.p:b qcow2\n");
    assert_tree(pool, "base", "p:base qcow2*\n.p:a qcow2\n..p:c qcow2\n.p:b qcow2\n");
    assert_tree(other, "alone", "q:alone raw*\n");
}

static void missing_base_is_shown_with_the_reason(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), other = fixture_pool(f, "q");
    g_autofree char *base = path_of(f, "q", "base");
    g_autofree char *inactive = g_strdup_printf(
        ":%s - it is in no active pool, and was not opened\n.p:v qcow* its backing store '%s' is "
        "no volume of an active pool; define and start a pool that holds it, or declare it "
        "(vol-trust)\n",
        base, base);
    g_autofree char *gone = g_strdup_printf(
        ":%s - it is not there\n.p:v qcow* its backing store '%s' does not exist\n", base, base);

    fixture_create(other, "base", "qcow2", "");
    fixture_write_qcow(f, "p", "v", base);
    refresh(pool);
    assert_tree(pool, "v", "q:base qcow2\n.p:v qcow*\n");
    assert_true(cst_pool_stop(other, NULL, NULL));
    assert_tree(pool, "v", inactive);
    remove(base);
    assert_tree(pool, "v", gone);
}

static void a_circle_has_an_end(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *x = path_of(f, "p", "x"), *y = path_of(f, "p", "y");

    fixture_write_qcow(f, "p", "x", y);
    fixture_write_qcow(f, "p", "y", x);
    refresh(pool);
    assert_tree(pool, "x",
                "p:y qcow its backing chain is a loop, or too deep\n.p:x qcow*\n"
                "..p:y qcow its backing chain is a loop\n");
}

/* An error message names the dependants, but not hundreds of them. */
static void a_refusal_names_the_first_twenty(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *base = path_of(f, "p", "base");
    g_autoptr(GString) wanted = g_string_new(
        "volume 'base' is the base of other volumes; delete them or make them independent "
        "(vol-flatten) first:");

    fixture_create(pool, "base", "qcow2", "");
    for (guint i = 0; i < 23; i++) {
        g_autofree char *name = g_strdup_printf("v%02u", i);
        g_autoptr(GError) error = NULL;

        fixture_write_qcow(f, "p", name, base);
        refresh(pool);
        assert_false(cst_vol_delete(pool, "base", 0, NULL, &error));
        if (i < 20)
            g_string_append_printf(wanted, "\n  p/%s", name);
        if (i >= 20) {
            g_autofree char *more = g_strdup_printf("%u more, and volumes based on them", i - 19);

            assert_true(g_str_has_suffix(error->message, more));
            assert_non_null(strstr(error->message, wanted->str));
        } else {
            assert_true(g_str_has_suffix(error->message, wanted->str));
        }
        assert_error(&error, CST_ERROR_BUSY);
    }
    assert_true(fixture_exists(f, "p", "base"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(relatives_are_shown_from_the_root_on),
        TEST(missing_base_is_shown_with_the_reason),
        TEST(a_circle_has_an_end),
        TEST(a_refusal_names_the_first_twenty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
