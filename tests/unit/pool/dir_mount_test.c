/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Functions of a pool of files for backends that mount its directory: a path that no other user can
 * change, the path without links, and the check of the directory.
 */
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <base/error.h>
#include <dir/beneath.h>
#include <dir/dir.h>

static void link_to(const char *target, const char *name)
{
    g_autofree char *to = at(target);
    g_autofree char *path = at(name);

    assert_int_equal(symlink(to, path), 0);
}

static int set_up(void **state)
{
    root = g_dir_make_tmp("cistern-dir-XXXXXX", NULL);
    make_dir("shared", 0777);
    make_dir("own", 0755);
    return 0;
}

static int tear_down(void **state)
{
    remove_tree();
    return 0;
}

static void assert_fixed(const char *name, gboolean fixed)
{
    g_auto(CstDirHandle) dir = CST_DIR_HANDLE_NONE;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = at(name);

    assert_int_equal(cst_handle_open_fixed(path, &dir, &error), fixed);
    if (!fixed)
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DENIED));
}

/* Root mounts by path: no other user may replace a part of it by another directory or a link. */
static void path_is_fixed_if_only_trusted_users_can_exchange_its_parts(void **state)
{
    make_dir("own/a", 0777);
    make_dir("own/a/b", 0700);
    make_dir("shared/a", 0700);
    make_dir("sticky", 01777);
    make_dir("sticky/a", 0700);
    link_to("own/a", "own/way");
    link_to("own/a", "shared/way");
    assert_fixed("own/a", TRUE);
    assert_fixed("own/way", TRUE);
    assert_fixed("own/a/b", FALSE);
    assert_fixed("own/way/b", FALSE);
    assert_fixed("shared/a", FALSE);
    assert_fixed("shared/way", FALSE);
    assert_fixed("sticky/a", TRUE);
    if (geteuid() == 0) {
        g_autofree char *path = at("sticky/a"), *own = at("own");

        assert_int_equal(chown(path, 12345, 12345), 0);
        assert_fixed("sticky/a", FALSE);
        assert_int_equal(chown(own, 12345, 12345), 0);
        assert_fixed("own/a", FALSE);
    }
}

static void assert_leads(const char *name, const char *to)
{
    g_autofree char *path = at(name), *expected = at(to);
    g_autofree char *real = cst_path_real(path);

    assert_string_equal(real, expected);
}

static void the_real_path_has_no_links(void **state)
{
    g_autofree char *looped = at("own/loop"), *dangling = at("own/none");

    make_dir("own/a", 0700);
    make_dir("own/a/b", 0700);
    link_to("own/a", "own/way");
    link_to("own/way/b", "own/last");
    link_to("own/last", "own/twice");
    link_to("own/loop", "own/loop");
    assert_int_equal(symlink("../own/a/none", dangling), 0);
    assert_leads("own/a/b", "own/a/b");
    assert_leads("own/way/b", "own/a/b");
    assert_leads("own/last", "own/a/b");
    assert_leads("own/twice", "own/a/b");
    assert_leads("own/none", "own/a/none");
    assert_leads("own/missing", "own/missing");
    assert_leads("missing/b", "missing/b");
    g_free(cst_path_real(looped)); /* terminates */
}

static CstPoolState *open_pool(void)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir'><name>p</name><target><path>%s/own</path></target></pool>", root);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    CstPoolState *state = cst_dir_backend.open(def, NULL);

    assert_non_null(state);
    return state;
}

static guint admissions;
static gboolean admitted;

static gboolean admit(CstPoolState *state, const CstDirHandle *target, GError **error)
{
    admissions++;
    assert_true(target->fd >= 0);
    return admitted || cst_fail(error, CST_ERROR_STATE, "another one");
}

static void assert_target_opens(CstPoolState *pool, gboolean opens, guint asked)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    g_autoptr(GError) error = NULL;

    admissions = 0;
    assert_int_equal(cst_dir_target_open(pool, &target, &error), opens);
    assert_int_equal(admissions, asked);
    if (!opens)
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_STATE) && target.fd < 0);
}

/*
 * A pool with its own check of directories is asked once about each directory, and every directory
 * is checked.
 */
static void owner_of_the_directory_is_queried_once(void **state)
{
    CstPoolState *pool = open_pool();
    g_autofree char *own = at("own"), *away = at("away");

    ((CstDirState *)pool)->admit = admit;
    admitted = FALSE;
    assert_target_opens(pool, FALSE, 1);
    assert_target_opens(pool, FALSE, 1);
    admitted = TRUE;
    assert_target_opens(pool, TRUE, 1);
    assert_target_opens(pool, TRUE, 0);
    assert_int_equal(rename(own, away), 0);
    make_dir("own", 0700);
    assert_target_opens(pool, TRUE, 1);
    admitted = FALSE;
    assert_target_opens(pool, TRUE, 0);
    assert_int_equal(rmdir(own), 0);
    assert_int_equal(rename(away, own), 0);
    assert_target_opens(pool, FALSE, 1);
    cst_dir_backend.close(pool);
}

/* The definition shows this mode. A document with other bits could not be parsed again. */
static void mode_of_a_sticky_directory_has_permission_bits_only(void **state)
{
    static const mode_t modes[] = {01777, 02775, 04755, 0700};
    g_autofree char *own = at("own");
    CstPoolState *pool = open_pool();

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autoptr(CstPoolDef) def = cst_pool_def_copy(pool->def);
        CstPoolUsage usage = CST_POOL_USAGE_UNKNOWN;
        g_autoptr(CstPoolDef) again = NULL;
        g_autofree char *xml = NULL;

        assert_int_equal(chmod(own, modes[i]), 0);
        assert_true(cst_dir_backend.usage(pool, &usage, NULL));
        assert_int_equal(usage.mode, modes[i] & 0777);
        def->target_perms.mode = usage.mode;
        xml = cst_pool_def_format(def, NULL);
        again = cst_pool_def_parse(xml, 0, NULL);
        assert_non_null(again);
        assert_int_equal(again->target_perms.mode, usage.mode);
    }
    cst_dir_backend.close(pool);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(path_is_fixed_if_only_trusted_users_can_exchange_its_parts),
        TEST(the_real_path_has_no_links),
        TEST(owner_of_the_directory_is_queried_once),
        TEST(mode_of_a_sticky_directory_has_permission_bits_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
