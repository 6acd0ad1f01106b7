/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deleted volumes of the zfs backend, under the names that they have in the trash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/pool.h>

#include "fake_guest.h"
#include "fake_zfs.h"

#define HIDDEN "web/" CST_TRASH_PREFIX "disk-0123456789ab"

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

static void assert_listed(const char *wanted)
{
    g_autofree char *names = fake_names(NULL);

    assert_string_equal(names, wanted);
}

/*
 * The volume stays in its dataset, with its snapshots. Drafts of dead processes there are removed.
 */
static void a_nested_volume_is_kept_where_it_is(void **unused)
{
    g_autoptr(GPtrArray) snapshots = NULL;
    g_autoptr(CstVolume) volume = NULL;
    g_autofree char *resolved = NULL;

    fake_add_filesystem("tank/web");
    fake_add("tank/web/disk");
    fake_add("tank/disk");
    fake_write("web/disk", "now!");
    fake_snapshot("tank/web/disk", "one");
    rename_it("web/disk", HIDDEN);
    fake_add("tank/web/.cistern-0123456789abcdef0123456789abcdef.0000_1_1.part");
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_false(fake_has("tank/web/.cistern-0123456789abcdef0123456789abcdef.0000_1_1.part"));
    assert_true(fake_has("tank/" HIDDEN));
    assert_listed("disk ");
    resolved = cst_pool_state_vol_resolve(fake_state, "/dev/zvol/tank/" HIDDEN);
    assert_null(resolved);
    volume = find_any(HIDDEN);
    assert_non_null(volume);
    assert_int_equal(volume->capacity, 8 * MIB);
    snapshots = cst_pool_state_snapshots(fake_state, HIDDEN, NULL);
    assert_int_equal(snapshots->len, 1);
    rename_it(HIDDEN, "web/back");
    fake_assert_holds("web/back", "now!");
    assert_true(fake_has("tank/web/back@one"));
}

/* ZFS itself refuses to remove a volume with snapshots or clones. */
static void trashed_volume_without_dependents_is_removed(void **unused)
{
    g_autoptr(GPtrArray) children = NULL;
    GError *error = NULL;

    fake_add_filesystem("tank/web");
    fake_add("tank/disk");
    fake_snapshot("tank/disk", "one");
    fake_add_as("tank/" HIDDEN, "tank/disk@one", NULL);
    children = cst_pool_state_vol_children(fake_state, "disk", NULL);
    assert_int_equal(children->len, 1);
    assert_true(g_str_has_suffix(children->pdata[0], "/" HIDDEN));
    assert_false(cst_pool_state_delete(fake_state, "disk", 0, &error));
    fake_assert_error(&error, CST_ERROR_BUSY);
    cst_pool_state_delete(fake_state, HIDDEN, 0, &error);
    assert_null(error);
    assert_false(fake_has("tank/" HIDDEN));
}

/* Next to the longest name of a volume, which leaves room for a draft's name. */
static void trash_has_room_in_the_parent_of_each_volume(void **unused)
{
    g_autofree char *deep = g_strnfill(255 - 82 - strlen("tank") - strlen("/v"), 'd');
    g_autofree char *filesystem = g_strconcat("tank/", deep, NULL);
    g_autofree char *dataset = g_strconcat(filesystem, "/v", NULL);
    g_autofree char *hidden = g_strconcat(
        deep, "/" CST_TRASH_PREFIX, "0123456789012345678901234567890123456789-0123456789ab", NULL);
    g_autofree char *back = g_strconcat(deep, "/v", NULL);
    g_autofree char *longer = g_strconcat(deep, "/vv", NULL);
    GError *error = NULL;

    fake_add_filesystem(filesystem);
    fake_add(dataset);
    rename_it(back, hidden);
    assert_false(cst_pool_state_rename(fake_state, hidden, longer, &error));
    fake_assert_error(&error, CST_ERROR_INVALID);
    rename_it(hidden, back);
}

int main(void)
{
#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        FAKE_TEST(a_nested_volume_is_kept_where_it_is),
        FAKE_TEST(trashed_volume_without_dependents_is_removed),
        FAKE_TEST(trash_has_room_in_the_parent_of_each_volume),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
