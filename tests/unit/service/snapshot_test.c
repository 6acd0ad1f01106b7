/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Snapshots of volumes through the service: snapshots inside qcow2 images, and their dependants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <service/images.h>
#include <service/snapshots.h>

#include "fixture.h"
#include "points.h"

static char *names_of(CstPool *pool, const char *volume)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = cst_vol_snapshots(pool, volume, NULL, &error);
    GString *text = g_string_new(NULL);

    assert_no_error(error);
    for (guint i = 0; i < rows->len; i++)
        g_string_append_printf(text, "%s ", ((CstSnapshot *)rows->pdata[i])->name);
    return g_string_free(text, FALSE);
}

static void assert_names(CstPool *pool, const char *volume, const char *expected)
{
    g_autofree char *names = names_of(pool, volume);

    assert_string_equal(names, expected);
}

static void a_qcow2_volume_keeps_its_own(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autoptr(GError) error = NULL;
    CstVolInfo info = {0};

    fixture_create(pool, "v", "qcow2", "");
    assert_true(cst_vol_snapshot_create(pool, "v", "one", 0, NULL, NULL));
    assert_true(cst_vol_snapshot_create(pool, "v", "two", 0, NULL, NULL));
    assert_names(pool, "v", "one two ");
    assert_false(cst_vol_snapshot_create(pool, "v", "one", 0, NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_true(cst_vol_resize(pool, "v", 2097152, 0, NULL, NULL));
    assert_true(cst_vol_snapshot_rename(pool, "v", "one", "first", NULL, NULL));
    assert_true(cst_vol_snapshot_revert(pool, "v", "first", NULL, NULL, NULL));
    assert_true(cst_vol_get_info(pool, "v", &info, NULL));
    assert_int_equal(info.capacity, 1048576);
    assert_true(cst_vol_snapshot_delete(pool, "v", "two", NULL, NULL));
    assert_names(pool, "v", "first ");
    assert_false(cst_vol_snapshot_revert(pool, "v", "two", NULL, NULL, &error));
    assert_error(&error, CST_ERROR_NOT_FOUND);
}

static void assert_listed(CstPool *pool, const char *const *names, guint count, CstTask *task,
                          const int64_t *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) all =
        cst_pool_vols_properties(pool, names, count, CST_VOL_PROPERTY_SNAPSHOTS, task, &error);

    assert_no_error(error);
    assert_int_equal(all->len, count);
    for (guint i = 0; i < count; i++)
        assert_int_equal(g_array_index(all, CstVolProperties, i).snapshots, expected[i]);
}

static const char *const two_names[] = {"v", "w"};
static guint waits;

static void count_wait(gboolean waiting, gpointer task)
{
    waits++;
    cst_task_cancel(task);
}

/* Runs while "v" gets another snapshot. */
static void list_during_a_change(gpointer pool)
{
    static const int64_t expected[] = {-1, 1};
    g_autoptr(CstTask) task = cst_task_new();

    cst_task_on_wait(task, count_wait, task);
    assert_listed(pool, two_names, 2, task, expected);
}

static void list_does_not_wait_for_a_claimed_volume(void **state)
{
    static const int64_t expected[] = {2, 1};
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");

    for (guint i = 0; i < 2; i++) {
        fixture_create(pool, two_names[i], "qcow2", "");
        assert_true(cst_vol_snapshot_create(pool, two_names[i], "one", 0, NULL, NULL));
    }
    waits = 0;
    point_run("vol.snapshot.begun", list_during_a_change, pool);
    assert_true(cst_vol_snapshot_create(pool, "v", "two", 0, NULL, NULL));
    points_clear();
    assert_int_equal(waits, 0);
    assert_listed(pool, two_names, 2, NULL, expected);
}

static void list_answers_for_a_known_name_once(void **state)
{
    static const char *const names[] = {"v", "unknown", "v"};
    static const int64_t expected[] = {1, -1, -1};
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autoptr(GPtrArray) lists = NULL;

    fixture_create(pool, "v", "qcow2", "");
    assert_true(cst_vol_snapshot_create(pool, "v", "one", 0, NULL, NULL));
    assert_listed(pool, names, 3, NULL, expected);
    lists = cst_pool_vols_holders(pool, names, 3, NULL, NULL);
    assert_non_null(lists);
    assert_non_null(lists->pdata[0]);
    assert_null(lists->pdata[1]);
    assert_null(lists->pdata[2]);
}

static void a_snapshot_becomes_a_volume(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL;

    fixture_create(pool, "v", "qcow2", "");
    assert_true(cst_vol_snapshot_create(pool, "v", "s", 0, NULL, NULL));
    cst_vol_snapshot_clone(pool, "v", "s", "w", NULL, &error);
    assert_no_error(error);
    xml = cst_vol_get_xml(pool, "w", 0, NULL);
    assert_non_null(strstr(xml, "<format type='qcow2'/>"));
    assert_names(pool, "w", "");
    assert_false(cst_vol_snapshot_clone(pool, "v", "nobody", "x", NULL, &error));
    assert_error(&error, CST_ERROR_NOT_FOUND);
    assert_false(cst_vol_snapshot_clone(pool, "v", "s", "w", NULL, &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "v", "raw", "");
    assert_false(cst_vol_snapshot_create(pool, "v", "../x", 0, NULL, &error));
    assert_non_null(error);
    g_clear_error(&error);
    assert_false(cst_vol_snapshot_create(pool, "nobody", "x", 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    assert_false(cst_vol_snapshot_clone(pool, "v", "../v", "x", NULL, &error));
    assert_error(&error, CST_ERROR_NOT_FOUND);
}

static void base_with_other_overlays_is_kept(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;
    g_autofree char *backing = g_strdup_printf(
        "<backingStore><path>%s/p/base</path><format type='qcow2'/></backingStore>", f->images);

    fixture_create(pool, "base", "qcow2", "");
    fixture_create(pool, "top", "qcow2", backing);
    assert_false(cst_vol_delete(pool, "base", 0, NULL, &error));
    assert_non_null(strstr(error->message, "p/top"));
    assert_error(&error, CST_ERROR_BUSY);
    assert_true(cst_vol_delete(pool, "top", 0, NULL, NULL));
    assert_true(cst_vol_delete(pool, "base", 0, NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_qcow2_volume_keeps_its_own, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(list_does_not_wait_for_a_claimed_volume, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(list_answers_for_a_known_name_once, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_becomes_a_volume, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(names_that_lead_elsewhere_are_refused, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(base_with_other_overlays_is_kept, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
