/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deleted volumes of the logical backend, under the names that they have in the trash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/error.h>
#include <pool/pool.h>

#include "fake_guest.h"
#include "fake_lvm.h"

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

static void assert_no_error(const GError *error)
{
    if (error)
        fail_msg("%s", error->message);
}

#define HIDDEN CST_TRASH_PREFIX "disk-0123456789ab"

static void rename_it(const char *from, const char *to)
{
    g_autoptr(GError) error = NULL;

    if (!cst_pool_state_rename(fake_state, from, to, &error))
        fail_msg("%s", error->message);
}

static CstVolume *find_any(const char *name)
{
    CstVolume *volume = NULL;

    assert_true(cst_pool_state_scan_any(fake_state, name, NULL, &volume, NULL));
    return volume;
}

static void add_name(CstVolume *volume, gpointer names)
{
    g_string_append_printf(names, "%s ", volume->name);
    cst_volume_unref(volume);
}

static CstVolume *know_none(const char *name, gpointer unused)
{
    return NULL;
}

static void assert_listed(const char *wanted)
{
    g_autoptr(GString) names = g_string_new(NULL);
    const CstScan scan = {.known = know_none, .sink = add_name, .data = names};

    assert_true(cst_pool_state_scan(fake_state, &scan, NULL, NULL));
    assert_string_equal(names->str, wanted);
}

/* The volume is in no list, is no draft of a dead process, and is unchanged. */
static void deleted_volume_is_found_by_its_hidden_name(void **unused)
{
    g_autoptr(CstVolume) volume = NULL, none = NULL;
    g_autofree char *resolved = NULL;

    fake_add_disk(TRUE);
    fake_write("disk", "now!");
    rename_it("disk", HIDDEN);
    assert_listed("");
    assert_false(fake_is_seen("disk"));
    assert_false(fake_is_seen(HIDDEN));
    resolved = cst_pool_state_vol_resolve(fake_state, "/dev/vg/" HIDDEN);
    assert_null(resolved);
    assert_true(cst_pool_state_settle(fake_state, NULL));
    volume = find_any(HIDDEN);
    assert_non_null(volume);
    assert_int_equal(volume->capacity, 8 * MIB);
    fake_assert_holds(HIDDEN, "now!");
    rename_it(HIDDEN, "back");
    fake_assert_holds("back", "now!");
    assert_listed("back ");
    none = find_any(HIDDEN);
    assert_null(none);
}

static void set_attributes(const char *lv, const char *attr)
{
    g_autofree char *node = g_strconcat(fake_folder, "/dev/vg/", lv, NULL);

    fake_add(lv, 8 * MIB, attr, "", "");
    if (attr[4] != 'a')
        assert_int_equal(g_unlink(node), 0);
}

/* A missing volume counts as removed by another program, so an inactive one must be found. */
static void inactive_volume_is_found(void **unused)
{
    g_autoptr(CstVolume) volume = NULL, shown = NULL;
    g_autoptr(GError) error = NULL;

    fake_add_disk(FALSE);
    rename_it("disk", HIDDEN);
    set_attributes(HIDDEN, "-wi-------");
    set_attributes("asleep", "-wi-------");
    shown = find_any("asleep");
    assert_null(shown);
    volume = find_any(HIDDEN);
    assert_non_null(volume);
    cst_pool_state_delete(fake_state, HIDDEN, 0, &error);
    assert_no_error(error);
    assert_false(fake_has(HIDDEN));
}

/* LVM's snapshots are volumes, and would be removed together with their origin. */
static void base_of_a_deleted_volume_is_not_removed(void **unused)
{
    g_autoptr(GPtrArray) children = NULL;
    g_autoptr(GError) error = NULL;

    fake_add("disk", 8 * MIB, "owi-a-s---", "", "");
    fake_add("cow", 4 * MIB, "swi-a-s---", "disk", "");
    fake_add(".cistern-1.snap", 4 * MIB, "sri-a-s---", "disk", "cistern:of=uuid-other");
    rename_it("cow", CST_TRASH_PREFIX "cow-0123456789ab");
    children = cst_pool_state_vol_children(fake_state, "disk", NULL);
    assert_int_equal(children->len, 1);
    assert_string_equal(children->pdata[0], "/dev/vg/" CST_TRASH_PREFIX "cow-0123456789ab");
    assert_false(cst_pool_state_delete(fake_state, "disk", 0, &error));
    assert_code(error, CST_ERROR_BUSY);
    assert_true(fake_has("disk"));
}

static void its_snapshots_are_kept_and_removed_with_it(void **unused)
{
    g_autoptr(GPtrArray) snapshots = NULL;
    g_autoptr(GError) error = NULL;

    fake_add_disk(TRUE);
    rename_it("disk", HIDDEN);
    cst_pool_state_snapshot_create(fake_state, HIDDEN, "s", NULL, NULL, &error);
    assert_no_error(error);
    snapshots = cst_pool_state_snapshots(fake_state, HIDDEN, &error);
    assert_no_error(error);
    assert_int_equal(snapshots->len, 1);
    assert_false(cst_pool_state_delete(fake_state, HIDDEN, 0, &error));
    assert_code(error, CST_ERROR_BUSY);
    g_clear_error(&error);
    cst_pool_state_snapshot_remove(fake_state, HIDDEN, "s", NULL, &error);
    assert_no_error(error);
    cst_pool_state_delete(fake_state, HIDDEN, 0, &error);
    assert_no_error(error);
    assert_false(fake_has(HIDDEN));
}

static void assert_no_room(const char *from, const char *to)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_state_rename(fake_state, from, to, &error));
    assert_code(error, CST_ERROR_INVALID);
    assert_non_null(strstr(error->message, "device-mapper"));
}

/* LVM itself detects this too late, when the device is suspended. */
static void name_without_room_is_refused_before_any_change(void **unused)
{
    g_autofree char *dashes = g_strnfill(61, '-');
    g_autofree char *most = g_strdup_printf("v%sw", dashes); /* "vg-v--…--w": 127 characters */
    g_autofree char *more = g_strdup_printf("vv%sw", dashes);

    fake_add("disk", 8 * MIB, "-wi-a-----", "", "");
    fake_add("base", 8 * MIB, "owi-a-s---", "", "");
    fake_add("raid", 8 * MIB, "rwi-a-r---", "", "");
    fake_add("[raid_rimage_0]", 8 * MIB, "iwi-aor---", "", "");
    assert_no_room("disk", more);
    assert_no_room("base", most);
    assert_no_room("raid", most);
    assert_false(fake_was_called("lvrename"));
    rename_it("disk", most);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(deleted_volume_is_found_by_its_hidden_name),
        TEST(inactive_volume_is_found),
        TEST(base_of_a_deleted_volume_is_not_removed),
        TEST(its_snapshots_are_kept_and_removed_with_it),
        TEST(name_without_room_is_refused_before_any_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
