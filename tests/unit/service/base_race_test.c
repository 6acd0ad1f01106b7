/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A base is deleted while another operation changes the set of images that depend on it. The
 * deletion runs at a test point of that operation. A base that an image needs is never deleted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/images.h>
#include <service/trash.h>

#include "fixture.h"
#include "points.h"

/* Volume "base" of pool "bases" is the base of "top" in pool "over". */
static Fixture *fixture;
static CstPool *bases, *over;

static void make_overlay(gpointer name)
{
    g_autofree char *backing = g_strdup_printf(
        "<backingStore><path>%s/bases/base</path><format type='raw'/></backingStore>",
        fixture->images);

    fixture_create(over, name, "qcow2", backing);
}

static int set_up(void **state)
{
    assert_int_equal(fixture_setup(state), 0);
    fixture = *state;
    bases = fixture_pool(fixture, "bases");
    over = fixture_pool(fixture, "over");
    fixture_create(bases, "base", "raw", "");
    make_overlay((char *)"top");
    return 0;
}

static int tear_down(void **state)
{
    points_clear();
    g_clear_pointer(&bases, cst_pool_unref);
    g_clear_pointer(&over, cst_pool_unref);
    return fixture_teardown(state);
}

/* --- steps ------------------------------------------------------------------------------------ */

static void assert_base_is_kept(gpointer unused)
{
    g_autoptr(GError) error = NULL;

    if (cst_vol_delete(bases, "base", 0, NULL, &error))
        fail_msg("the base of an image was deleted");
    assert_error(&error, CST_ERROR_BUSY);
    assert_true(fixture_exists(fixture, "bases", "base"));
}

static void assert_base_is_deleted(void)
{
    g_autoptr(GError) error = NULL;

    cst_vol_delete(bases, "base", 0, NULL, &error);
    assert_no_error(error);
    assert_false(fixture_exists(fixture, "bases", "base"));
}

static void refresh_over(void)
{
    g_autoptr(GError) error = NULL;

    cst_pool_refresh(over, 0, NULL, &error);
    assert_no_error(error);
}

static void stop_over(void)
{
    g_autoptr(GError) error = NULL;

    cst_pool_stop(over, NULL, &error);
    assert_no_error(error);
}

static void start_over(gpointer unused)
{
    g_autoptr(GError) error = NULL;

    cst_pool_start(over, 0, NULL, &error);
    assert_no_error(error);
    refresh_over();
}

static void delete_top(gpointer unused)
{
    g_autoptr(GError) error = NULL;

    cst_vol_delete(over, "top", 0, NULL, &error);
    assert_no_error(error);
}

static void rename_top(void)
{
    g_autoptr(GError) error = NULL;

    cst_vol_rename(over, "top", "roof", NULL, &error);
    assert_no_error(error);
}

/* Overwrites the header of "top", as a guest or a faulty program could. */
static void destroy_header(void)
{
    g_autofree char *path = g_build_filename(fixture->images, "over", "top", NULL);
    const char zeroes[512] = {0};
    FILE *file = fopen(path, "r+");

    assert_non_null(file);
    assert_int_equal(fwrite(zeroes, 1, sizeof(zeroes), file), sizeof(zeroes));
    assert_int_equal(fclose(file), 0);
    refresh_over();
}

static void use_trash(void)
{
    g_autofree char *xml = cst_pool_get_xml(over, CST_STORAGE_XML_INACTIVE, NULL);
    g_autoptr(GString) text = g_string_new(xml);
    g_autoptr(GError) error = NULL;

    g_string_replace(text, "</pool>",
                     "<c:trash xmlns:c='urn:cistern:storage:1.0' days='7'/></pool>", 1);
    cst_pool_unref(cst_service_pool_define(fixture->service, text->str, 0, &error));
    assert_no_error(error);
}

/* --- renames ---------------------------------------------------------------------------------- */

static void base_is_kept_while_its_overlay_is_renamed(void **state)
{
    static const char *const points[] = {"vol.rename.recorded", "vol.rename.renamed",
                                         "vol.rename.settled", "vol.rename.shown"};

    for (guint i = 0; i < G_N_ELEMENTS(points); i++)
        point_run(points[i], assert_base_is_kept, NULL);
    rename_top();
    points_clear();
    assert_base_is_kept(NULL);
}

static void base_is_kept_while_its_overlay_is_moved_to_the_trash(void **state)
{
    use_trash();
    point_run("vol.rename.renamed", assert_base_is_kept, NULL);
    point_run("vol.rename.shown", assert_base_is_kept, NULL);
    delete_top(NULL);
    points_clear();
    /* An overlay in the trash does not keep its base (docs/trash.md). */
    assert_base_is_deleted();
}

static void base_is_kept_while_its_overlay_comes_back_from_the_trash(void **state)
{
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    use_trash();
    delete_top(NULL);
    point_run("vol.rename.renamed", assert_base_is_kept, NULL);
    point_run("vol.rename.settled", assert_base_is_kept, NULL);
    cst_pool_trash_restore(over, "top", NULL, NULL, &name, &error);
    assert_no_error(error);
    points_clear();
    assert_base_is_kept(NULL);
}

/* --- scans ------------------------------------------------------------------------------------ */

static void base_of_an_overlay_that_is_made_during_a_refresh_is_kept(void **state)
{
    delete_top(NULL);
    point_run("pool.scan.scanned", make_overlay, (char *)"late");
    refresh_over();
    points_clear();
    assert_base_is_kept(NULL);
}

static void base_of_an_overlay_that_is_deleted_during_a_refresh_is_free(void **state)
{
    point_run("pool.scan.scanned", delete_top, NULL);
    refresh_over();
    points_clear();
    assert_base_is_deleted();
}

static void base_is_kept_during_a_refresh(void **state)
{
    point_run("pool.scan.scanned", assert_base_is_kept, NULL);
    refresh_over();
    points_clear();
    assert_base_is_kept(NULL);
}

/* --- rebases ---------------------------------------------------------------------------------- */

static void rebase_frees_the_old_base_and_keeps_the_new_one(void **state)
{
    g_autofree char *other = g_build_filename(fixture->images, "bases", "other", NULL);
    const CstVolRebase how = {.backing = other, .backing_format = "raw"};
    g_autoptr(GError) error = NULL;

    fixture_create(bases, "other", "raw", "");
    /* The rebase claims both bases, so a deletion waits for its end. */
    cst_vol_rebase(over, "top", &how, NULL, &error);
    assert_no_error(error);
    assert_base_is_deleted();
    assert_false(cst_vol_delete(bases, "other", 0, NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
}

/* --- pools ------------------------------------------------------------------------------------ */

static void base_is_kept_while_the_pool_of_its_overlay_stops(void **state)
{
    point_run("pool.stop.state_removed", assert_base_is_kept, NULL);
    point_run("pool.stop.inactive", assert_base_is_kept, NULL);
    stop_over();
    points_clear();
    assert_base_is_kept(NULL);
}

/* The pool was inactive when the tables were searched, and its records are read afterwards. */
static void base_is_kept_when_the_pool_of_its_overlay_starts_during_the_check(void **state)
{
    stop_over();
    point_run("volume.needed.listed", start_over, NULL);
    assert_base_is_kept(NULL);
}

/* --- unreadable headers ----------------------------------------------------------------------- */

static void base_of_an_overlay_with_a_destroyed_header_is_kept(void **state)
{
    g_autoptr(GError) error = NULL;

    destroy_header();
    assert_false(cst_vol_delete(bases, "base", 0, NULL, &error));
    assert_non_null(strstr(error->message, "'top' in"));
    assert_non_null(strstr(error->message, "whose header is unreadable"));
    assert_error(&error, CST_ERROR_BUSY);
    refresh_over();
    assert_base_is_kept(NULL);
    delete_top(NULL);
    assert_base_is_deleted();
}

static void base_of_an_overlay_with_a_destroyed_header_is_kept_after_a_rename(void **state)
{
    g_autoptr(GError) error = NULL;

    destroy_header();
    rename_top();
    assert_base_is_kept(NULL);
    refresh_over();
    assert_base_is_kept(NULL);
    cst_vol_delete(over, "roof", 0, NULL, &error);
    assert_no_error(error);
    assert_base_is_deleted();
}

static void base_of_an_overlay_with_a_destroyed_header_is_kept_after_a_restart(void **state)
{
    g_autoptr(GError) error = NULL;

    destroy_header();
    g_clear_pointer(&bases, cst_pool_unref);
    g_clear_pointer(&over, cst_pool_unref);
    fixture_restart(fixture, CST_SERVICE_DAEMON);
    bases = cst_service_pool_by_name(fixture->service, "bases", &error);
    assert_no_error(error);
    over = cst_service_pool_by_name(fixture->service, "over", &error);
    assert_no_error(error);
    refresh_over();
    assert_base_is_kept(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(base_is_kept_while_its_overlay_is_renamed),
        TEST(base_is_kept_while_its_overlay_is_moved_to_the_trash),
        TEST(base_is_kept_while_its_overlay_comes_back_from_the_trash),
        TEST(base_of_an_overlay_that_is_made_during_a_refresh_is_kept),
        TEST(base_of_an_overlay_that_is_deleted_during_a_refresh_is_free),
        TEST(base_is_kept_during_a_refresh),
        TEST(rebase_frees_the_old_base_and_keeps_the_new_one),
        TEST(base_is_kept_while_the_pool_of_its_overlay_stops),
        TEST(base_is_kept_when_the_pool_of_its_overlay_starts_during_the_check),
        TEST(base_of_an_overlay_with_a_destroyed_header_is_kept),
        TEST(base_of_an_overlay_with_a_destroyed_header_is_kept_after_a_rename),
        TEST(base_of_an_overlay_with_a_destroyed_header_is_kept_after_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
