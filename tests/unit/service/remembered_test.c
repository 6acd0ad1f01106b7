/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Overlays in inactive pools, or overlays that name their base by another path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/images.h>
#include <service/pools.h>
#include <service/volumes.h>

#include "fixture.h"

/*
 * Makes the pools "bases" and "over". Volume "base" of the first is the base of "top" in the
 * second.
 */
static CstPool *bases_pool(Fixture *f, const char *reference, CstPool **ret_over)
{
    CstPool *bases = fixture_pool(f, "bases");
    g_autofree char *backing = g_strdup_printf("<backingStore><path>%s</path>"
                                               "<format type='raw'/></backingStore>",
                                               reference);

    *ret_over = fixture_pool(f, "over");
    fixture_create(bases, "base", "raw", "");
    fixture_create(*ret_over, "top", "qcow2", backing);
    return bases;
}

static void stop(CstPool *pool)
{
    g_autoptr(GError) error = NULL;

    cst_pool_stop(pool, NULL, &error);
    assert_no_error(error);
}

static void assert_base_is_kept(CstPool *bases, const char *part)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_vol_delete(bases, "base", 0, NULL, &error));
    if (!strstr(error->message, part))
        fail_msg("%s", error->message);
    assert_error(&error, CST_ERROR_BUSY);
    assert_false(cst_vol_rename(bases, "base", "other", NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    assert_false(cst_vol_wipe(bases, "base", CST_WIPE_ZERO, 0, NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
}

static void assert_base_is_deleted(CstPool *bases)
{
    g_autoptr(GError) error = NULL;

    cst_vol_delete(bases, "base", 0, NULL, &error);
    assert_no_error(error);
}

static char *base_path(Fixture *f)
{
    return g_build_filename(f->images, "bases", "base", NULL);
}

static void overlay_of_a_stopped_pool_keeps_its_base(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = base_path(f);
    g_autoptr(CstPool) over = NULL;
    g_autoptr(CstPool) bases = bases_pool(f, path, &over);

    stop(over);
    assert_base_is_kept(bases, "pool 'over', which is not active");
    assert_true(fixture_exists(f, "bases", "base"));
}

static void overlay_of_an_undefined_pool_keeps_its_base_after_a_restart(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = base_path(f);
    g_autoptr(CstPool) over = NULL;
    g_autoptr(CstPool) bases = bases_pool(f, path, &over);
    g_autoptr(GError) error = NULL;

    stop(over);
    cst_pool_undefine(over, NULL, &error);
    assert_no_error(error);
    g_clear_pointer(&over, cst_pool_unref);
    g_clear_pointer(&bases, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_DAEMON);
    bases = cst_service_pool_by_name(f->service, "bases", &error);
    assert_no_error(error);
    assert_base_is_kept(bases, "of which no pool is defined");
}

static void overlay_that_names_its_base_through_a_link_keeps_it(void **state)
{
    Fixture *f = *state;
    g_autofree char *link = g_build_filename(f->images, "link", NULL);
    g_autofree char *path = g_build_filename(link, "base", NULL);
    g_autoptr(CstPool) over = NULL;
    g_autoptr(CstPool) bases = NULL;
    g_autoptr(GError) error = NULL;

    bases = fixture_pool(f, "bases");
    assert_int_equal(symlink("bases", link), 0);
    fixture_create(bases, "base", "raw", "");
    over = fixture_pool(f, "over");
    /* As made by another tool: the image contains the path of the link. */
    fixture_write_qcow(f, "over", "top", path);
    cst_pool_refresh(over, 0, NULL, &error);
    assert_no_error(error);
    assert_base_is_kept(bases, "which names it");
    stop(over);
    assert_base_is_kept(bases, "which is not active");
}

static void overlay_of_a_pool_that_cannot_be_read_keeps_its_base(void **state)
{
    Fixture *f = *state;
    g_autofree char *link = g_build_filename(f->images, "link", NULL);
    g_autofree char *path = g_build_filename(link, "base", NULL);
    g_autofree char *dir = g_build_filename(f->images, "over", NULL);
    g_autofree char *away = g_build_filename(f->images, "away", NULL);
    g_autoptr(CstPool) bases = fixture_pool(f, "bases");
    g_autoptr(CstPool) over = fixture_pool(f, "over");
    g_autoptr(GError) error = NULL;

    assert_int_equal(symlink("bases", link), 0);
    fixture_create(bases, "base", "raw", "");
    fixture_write_qcow(f, "over", "top", path);
    cst_pool_refresh(over, 0, NULL, &error);
    assert_no_error(error);
    assert_int_equal(rename(dir, away), 0);
    assert_false(cst_pool_refresh(over, 0, NULL, NULL));
    assert_base_is_kept(bases, "pool 'over', which cannot be read: ");
    assert_int_equal(rename(away, dir), 0);
}

static void overlay_missing_at_the_next_scan_frees_its_base(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = base_path(f);
    g_autofree char *top = g_build_filename(f->images, "over", "top", NULL);
    g_autoptr(CstPool) over = NULL;
    g_autoptr(CstPool) bases = bases_pool(f, path, &over);
    g_autoptr(GError) error = NULL;

    assert_int_equal(unlink(top), 0);
    stop(over);
    /*
     * The file may be missing because a mount is missing, so the record counts until the pool is
     * active.
     */
    assert_base_is_kept(bases, "which is not active");
    cst_pool_start(over, 0, NULL, &error);
    assert_no_error(error);
    cst_pool_refresh(over, 0, NULL, &error);
    assert_no_error(error);
    stop(over);
    assert_base_is_deleted(bases);
}

static void overlay_that_was_deleted_frees_its_base(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = base_path(f);
    g_autoptr(CstPool) over = NULL;
    g_autoptr(CstPool) bases = bases_pool(f, path, &over);
    g_autoptr(GError) error = NULL;

    cst_vol_delete(over, "top", 0, NULL, &error);
    assert_no_error(error);
    stop(over);
    assert_base_is_deleted(bases);
}

static void overlay_that_was_renamed_is_remembered_by_its_new_name(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = base_path(f);
    g_autoptr(CstPool) over = NULL;
    g_autoptr(CstPool) bases = bases_pool(f, path, &over);
    g_autoptr(GError) error = NULL;

    cst_vol_rename(over, "top", "roof", NULL, &error);
    assert_no_error(error);
    stop(over);
    assert_base_is_kept(bases, "'roof' in");
}

static void overlay_that_was_flattened_frees_its_base(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = base_path(f);
    g_autoptr(CstPool) over = NULL;
    g_autoptr(CstPool) bases = bases_pool(f, path, &over);
    g_autoptr(GError) error = NULL;

    cst_vol_flatten(over, "top", NULL, &error);
    assert_no_error(error);
    stop(over);
    assert_base_is_deleted(bases);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(overlay_of_a_stopped_pool_keeps_its_base),
        TEST(overlay_of_an_undefined_pool_keeps_its_base_after_a_restart),
        TEST(overlay_that_names_its_base_through_a_link_keeps_it),
        TEST(overlay_of_a_pool_that_cannot_be_read_keeps_its_base),
        TEST(overlay_missing_at_the_next_scan_frees_its_base),
        TEST(overlay_that_was_deleted_frees_its_base),
        TEST(overlay_that_was_renamed_is_remembered_by_its_new_name),
        TEST(overlay_that_was_flattened_frees_its_base),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
