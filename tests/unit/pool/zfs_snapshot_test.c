/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots of zfs pools with misbehaving tools (fake-zfs). Real ZFS is tested in tests/lab. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

#include "fake_guest.h"
#include "fake_zfs.h"
#include "points.h"

#define DEAD_DRAFT ".cistern-0123456789abcdef0123456789abcdef.0000_1_1.part"

/* Returns the names of the volume's snapshots, each followed by a space. */
static char *names_of(const char *volume)
{
    g_autoptr(GPtrArray) list = cst_pool_state_snapshots(fake_state, volume, NULL);
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < list->len; i++)
        g_string_append_printf(names, "%s ", ((CstSnapshot *)g_ptr_array_index(list, i))->name);
    return g_string_free(g_steal_pointer(&names), FALSE);
}

static void assert_names(const char *expected)
{
    g_autofree char *names = names_of("disk");

    assert_string_equal(names, expected);
}

static gboolean take(const char *name, GError **error)
{
    return cst_pool_state_snapshot_create(fake_state, "disk", name, NULL, NULL, error);
}

/* Reverts with the user's consent to all losses. */
static gboolean revert(const char *name, GError **error)
{
    g_autoptr(GPtrArray) lost =
        cst_pool_state_snapshot_revert_loses(fake_state, "disk", name, error);

    return lost && cst_pool_state_snapshot_revert(fake_state, "disk", name, lost, NULL, error);
}

static void snapshots_are_listed_by_age_and_ours_are_hidden(void **unused)
{
    g_autoptr(GPtrArray) list = NULL;
    const CstSnapshot *first;

    fake_add("tank/disk");
    fake_snapshot("tank/disk", "zebra");
    fake_snapshot("tank/disk", DEAD_DRAFT);
    assert_true(take("ant", NULL));
    assert_names("zebra ant ");
    list = cst_pool_state_snapshots(fake_state, "disk", NULL);
    first = g_ptr_array_index(list, 0);
    assert_string_equal(first->kept_by, "zfs");
    assert_int_equal(first->capacity, 8 * MIB);
    assert_int_equal(first->allocation, 512);
    assert_true(first->created > 0);
}

static void volumes_with_snapshots_are_listed(void **unused)
{
    g_autoptr(GHashTable) none = NULL, names = NULL;

    fake_add("tank/disk");
    fake_add("tank/other");
    assert_true(cst_pool_state_snapshot_volumes(fake_state, &none, NULL));
    assert_int_equal(g_hash_table_size(none), 0);
    fake_snapshot("tank/disk", "one");
    fake_snapshot("tank/disk", "two");
    assert_true(cst_pool_state_snapshot_volumes(fake_state, &names, NULL));
    assert_int_equal(g_hash_table_size(names), 1);
    assert_true(g_hash_table_contains(names, "disk"));
}

static gboolean take_with_record(const char *name, CstConsistency consistency, const char *reason)
{
    const CstSnapshotCreate how = {.consistency = consistency, .consistency_reason = reason};

    return cst_pool_state_snapshot_create(fake_state, "disk", name, &how, NULL, NULL);
}

/* @reason NULL: no reason. */
static void assert_record(const char *volume, guint at, CstConsistency consistency,
                          const char *reason)
{
    g_autoptr(GPtrArray) list = cst_pool_state_snapshots(fake_state, volume, NULL);
    const CstSnapshot *snapshot = g_ptr_array_index(list, at);

    assert_int_equal(snapshot->consistency, consistency);
    if (g_strcmp0(snapshot->consistency_reason, reason) != 0)
        fail_msg("'%s' instead of '%s'", snapshot->consistency_reason, reason);
}

static void record_is_made_with_the_snapshot_and_survives_a_rename(void **unused)
{
    fake_add("tank/disk");
    assert_true(take_with_record("s", CST_CONSISTENCY_CRASH, "no agent, 100%"));
    assert_true(take("t", NULL));
    assert_true(cst_pool_state_snapshot_rename(fake_state, "disk", "s", "u", NULL));
    assert_record("disk", 0, CST_CONSISTENCY_CRASH, "no agent, 100%");
    assert_record("disk", 1, CST_CONSISTENCY_UNKNOWN, NULL);
    assert_true(revert("u", NULL));
    assert_record("disk", 0, CST_CONSISTENCY_CRASH, "no agent, 100%");
    assert_true(take("v", NULL));
    assert_record("disk", 1, CST_CONSISTENCY_UNKNOWN, NULL);
}

static void inherited_property_is_no_record(void **unused)
{
    g_autofree char *path = fake_path("inherited");

    fake_add("tank/disk");
    assert_true(take("s", NULL));
    assert_true(g_file_set_contents(path, "application\n", -1, NULL));
    assert_record("disk", 0, CST_CONSISTENCY_UNKNOWN, NULL);
}

static void each_snapshot_of_a_set_has_the_record(void **unused)
{
    static const char *const volumes[] = {"disk", "more", NULL};
    const CstSnapshotCreate how = {.consistency = CST_CONSISTENCY_FILESYSTEM};

    fake_add("tank/disk");
    fake_add("tank/more");
    assert_true(cst_pool_state_snapshot_create_many(fake_state, volumes, "s", &how, NULL, NULL));
    assert_record("disk", 0, CST_CONSISTENCY_FILESYSTEM, NULL);
    assert_record("more", 0, CST_CONSISTENCY_FILESYSTEM, NULL);
}

static void names_and_limits_are_checked(void **unused)
{
    static const char *const bad[] = {"a/b", "a@b", "a%", "..", ".cistern-1"};
    const CstSnapshotCreate how = {.limit = 1};
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    assert_true(take("s", NULL));
    assert_false(take("s", &error));
    fake_assert_error(&error, CST_ERROR_EXISTS);
    for (size_t i = 0; i + 1 < G_N_ELEMENTS(bad); i++) {
        assert_false(take(bad[i], &error));
        fake_assert_error(&error, CST_ERROR_INVALID);
        assert_false(cst_pool_state_snapshot_rename(fake_state, "disk", "s", bad[i], &error));
        fake_assert_error(&error, CST_ERROR_INVALID);
    }
    assert_false(cst_pool_state_snapshot_create(fake_state, "disk", "t", &how, NULL, &error));
    fake_assert_error(&error, CST_ERROR_ARGUMENT_UNSUPPORTED);
    assert_false(cst_pool_state_snapshot_create(fake_state, "none", "t", NULL, NULL, &error));
    fake_assert_error(&error, CST_ERROR_NO_VOL);
    assert_names("s ");
}

/*
 * Either the change is made and the call succeeds, or it is not made and the call reports an error.
 */
static void snapshot_change_is_verified_after_any_result_of_the_tool(void **unused)
{
    static const struct {
        const char *how;
        gboolean done;
    } rows[] = {{"", TRUE},        {"fail", FALSE}, {"nothing", FALSE}, {"silent", FALSE},
                {"failing", TRUE}, {"dying", TRUE}, {"noisy", TRUE}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        fake_add("tank/disk");
        fake_lie("snapshot", rows[i].how);
        assert_int_equal(take("s", &error), rows[i].done);
        assert_int_equal(error == NULL, rows[i].done);
        assert_names(rows[i].done ? "s " : "");
        g_clear_error(&error);
        fake_lie("snapshot", "");
        if (!rows[i].done)
            assert_true(take("s", NULL));
        fake_lie("rename", rows[i].how);
        assert_int_equal(cst_pool_state_snapshot_rename(fake_state, "disk", "s", "t", &error),
                         rows[i].done);
        assert_names(rows[i].done ? "t " : "s ");
        g_clear_error(&error);
        fake_lie("rename", "");
        fake_lie("program", rows[i].how);
        assert_int_equal(cst_pool_state_snapshot_remove(fake_state, "disk",
                                                        rows[i].done ? "t" : "s", NULL, &error),
                         rows[i].done);
        assert_names(rows[i].done ? "" : "s ");
        g_clear_error(&error);
        fake_lie("program", "");
        if (!rows[i].done)
            assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "s", NULL, NULL));
    }
}

static void missing_object_is_named(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    assert_true(take("s", NULL));
    assert_true(take("t", NULL));
    assert_false(revert("none", &error));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
    assert_null(cst_pool_state_snapshot_revert_loses(fake_state, "disk", "none", &error));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
    assert_false(cst_pool_state_snapshot_remove(fake_state, "disk", "none", NULL, &error));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
    assert_null(cst_pool_state_snapshot_open(fake_state, "disk", "none", &error));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
    assert_false(cst_pool_state_snapshot_rename(fake_state, "disk", "none", "u", &error));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
    assert_false(cst_pool_state_snapshot_rename(fake_state, "disk", "s", "t", &error));
    fake_assert_error(&error, CST_ERROR_EXISTS);
}

/* --- revert ----------------------------------------------------------------------------------- */

static void revert_removes_newer_snapshots_and_lists_them_before(void **unused)
{
    g_autoptr(GPtrArray) lost = NULL, none = NULL;

    fake_add("tank/disk");
    for (const char *const *name = (const char *[]){"one", "two", "three", NULL}; *name; name++) {
        fake_write("disk", *name);
        assert_true(take(*name, NULL));
    }
    fake_snapshot("tank/disk", DEAD_DRAFT);
    fake_write("disk", "late");
    none = cst_pool_state_snapshot_revert_loses(fake_state, "disk", "three", NULL);
    assert_int_equal(none->len, 0);
    assert_true(revert("three", NULL));
    assert_names("one two three ");
    lost = cst_pool_state_snapshot_revert_loses(fake_state, "disk", "one", NULL);
    assert_int_equal(lost->len, 2);
    assert_string_equal(g_ptr_array_index(lost, 0), "two");
    assert_string_equal(g_ptr_array_index(lost, 1), "three");
    assert_true(revert("one", NULL));
    assert_names("one ");
    fake_assert_holds("disk", "one");
}

/* Another program makes or replaces an object between the check and the change. */
static void revert_removes_only_listed_snapshots(void **unused)
{
    static const struct {
        const char *between;
        CstErrorCode code;
        const char *words;
    } rows[] = {
        {"zfs snapshot tank/disk@mine", CST_ERROR_BUSY, "'tank/disk@mine'"},
        {"zfs destroy tank/disk@two; zfs snapshot tank/disk@two", CST_ERROR_BUSY, "disk@two'"},
        {"echo 2000 >$FAKE_ZFS/marks/tank%disk#mine", CST_ERROR_BUSY, "'tank/disk#mine'"},
        {"zfs clone tank/disk@two tank/clone", CST_ERROR_BUSY, "kept by a hold or a clone"},
        {"zfs rename tank/disk tank/x; zfs clone tank/x@one tank/disk; zfs snapshot tank/disk@one",
         CST_ERROR_STATE, "another dataset"},
        {"zfs destroy tank/disk@one; zfs snapshot tank/disk@one", CST_ERROR_NOT_FOUND, "another"},
        {"sed -i 2s/.*/4242/ $FAKE_ZFS/sets/tank", CST_ERROR_STATE, "restart the pool"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *identity = NULL;
        g_autoptr(GError) error = NULL;

        if (i > 0) {
            fake_tear_down(NULL);
            fake_set_up(NULL);
        }
        identity = cst_pool_state_identity(fake_state, NULL);
        assert_true(cst_pool_state_expect(fake_state, identity, FALSE, NULL));
        fake_add("tank/disk");
        assert_true(take("one", NULL));
        assert_true(take("two", NULL));
        fake_write("disk", "late");
        fake_between(rows[i].between);
        if (revert("one", &error))
            fail_msg("%s: reverted", rows[i].between);
        if (!strstr(error->message, rows[i].words))
            fail_msg("%s: %s", rows[i].between, error->message);
        fake_assert_error(&error, rows[i].code);
        assert_true(fake_has(i == 4 ? "tank/x@two" : "tank/disk@two"));
        if (i != 4 && i != 6)
            fake_assert_holds("disk", "late");
    }
}

static void revert_removes_exactly_the_agreed_snapshots(void **unused)
{
    g_autoptr(GPtrArray) agreed = g_ptr_array_new();
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    assert_true(take("one", NULL));
    assert_true(take("two", NULL));
    assert_true(take("three", NULL));
    g_ptr_array_add(agreed, (gpointer) "two");
    assert_false(cst_pool_state_snapshot_revert(fake_state, "disk", "one", agreed, NULL, &error));
    assert_non_null(strstr(error->message, "'three'"));
    fake_assert_error(&error, CST_ERROR_BUSY);
    assert_false(cst_pool_state_snapshot_revert(fake_state, "disk", "one", NULL, NULL, NULL));
    assert_names("one two three ");
    assert_false(fake_was_called("program"));
}

/* An older bookmark is kept. A newer one may be the base of another program's incremental send. */
static void a_bookmark_is_not_lost(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    fake_put("marks/tank%disk#old", "1\n");
    assert_true(take("one", NULL));
    assert_true(revert("one", NULL));
    fake_put("marks/tank%disk#new", "2000\n");
    assert_false(revert("one", &error));
    assert_non_null(strstr(error->message, "zfs destroy tank/disk#new"));
    fake_assert_error(&error, CST_ERROR_BUSY);
}

/* A living process that makes a clone needs the snapshot. */
static void a_clone_in_the_making_keeps_the_volume(void **unused)
{
    g_autofree char *living = cst_draft_name(TOKEN);
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    assert_true(take("one", NULL));
    fake_snapshot("tank/disk", living);
    assert_false(revert("one", &error));
    assert_non_null(strstr(error->message, "is being cloned"));
    fake_assert_error(&error, CST_ERROR_BUSY);
}

static void clone_of_a_newer_snapshot_keeps_the_volume(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    assert_true(take("one", NULL));
    fake_write("disk", "late");
    fake_snapshot("tank/disk", DEAD_DRAFT);
    fake_add_as("tank/clone", "tank/disk@" DEAD_DRAFT, NULL);
    assert_false(revert("one", &error));
    assert_non_null(strstr(error->message, "tank/clone"));
    fake_assert_error(&error, CST_ERROR_BUSY);
    fake_assert_holds("disk", "late");
    assert_false(fake_was_called("program"));
}

static void revert_of_an_open_volume_is_refused(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    assert_true(take("one", NULL));
    fake_hold("/disk");
    assert_false(revert("one", &error));
    fake_hold(NULL);
    assert_non_null(strstr(error->message, "the guest"));
    fake_assert_error(&error, CST_ERROR_BUSY);
    assert_false(fake_was_called("program"));
}

static void a_snapshot_with_a_clone_stays(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    assert_true(take("one", NULL));
    fake_add_as("tank/clone", "tank/disk@one", NULL);
    assert_false(cst_pool_state_snapshot_remove(fake_state, "disk", "one", NULL, &error));
    assert_non_null(strstr(error->message, "tank/clone"));
    fake_assert_error(&error, CST_ERROR_BUSY);
    assert_false(fake_was_called("program"));
}

/* --- open ------------------------------------------------------------------------------------- */

static void a_snapshot_is_read_by_a_hidden_clone(void **unused)
{
    g_autofree char *names = NULL;
    CstBlob *blob;
    char buf[5] = "";
    uint64_t size = 0;

    fake_add("tank/disk");
    fake_write("disk", "then");
    assert_true(take("s", NULL));
    fake_write("disk", "now!");
    blob = cst_pool_state_snapshot_open(fake_state, "disk", "s", NULL);
    assert_non_null(blob);
    assert_true(cst_blob_pread(blob, buf, 4, 0, NULL));
    assert_string_equal(buf, "then");
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, 8 * MIB);
    assert_false(cst_blob_pwrite(blob, "x", 1, 0, NULL));
    names = fake_names(NULL);
    assert_string_equal(names, "disk ");
    assert_int_equal(fake_count(), 3);
    cst_blob_unref(blob);
    assert_int_equal(fake_count(), 2);
}

static void snapshot_that_cannot_be_opened_leaves_no_clone(void **unused)
{
    static const char *const how[] = {"fail", "nothing", "dying"};

    for (size_t i = 0; i < G_N_ELEMENTS(how); i++) {
        g_autoptr(GError) error = NULL;

        fake_add("tank/disk");
        if (i == 0)
            assert_true(take("s", NULL));
        fake_lie("clone", how[i]);
        assert_null(cst_pool_state_snapshot_open(fake_state, "disk", "s", &error));
        assert_non_null(error);
        assert_true(cst_pool_state_settle(fake_state, NULL));
        assert_int_equal(fake_count(), 2);
    }
}

static void drop_hidden_devices(gpointer unused)
{
    g_autofree char *folder = fake_path("dev/zvol/tank");
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        if (g_str_has_prefix(name, ".cistern-"))
            assert_int_equal(unlink(path), 0);
    }
}

/* The clone would keep the snapshot from being removed until the next start. */
static void snapshot_without_its_device_leaves_no_clone(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    assert_true(take("s", NULL));
    zfs_host.node_us = 1;
    point_run("zfs.view.made", drop_hidden_devices, NULL);
    assert_null(cst_pool_state_snapshot_open(fake_state, "disk", "s", &error));
    points_clear();
    assert_non_null(error);
    assert_int_equal(fake_count(), 2);
}

int main(void)
{
#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        FAKE_TEST(snapshots_are_listed_by_age_and_ours_are_hidden),
        FAKE_TEST(volumes_with_snapshots_are_listed),
        FAKE_TEST(record_is_made_with_the_snapshot_and_survives_a_rename),
        FAKE_TEST(inherited_property_is_no_record),
        FAKE_TEST(each_snapshot_of_a_set_has_the_record),
        FAKE_TEST(names_and_limits_are_checked),
        FAKE_TEST(snapshot_change_is_verified_after_any_result_of_the_tool),
        FAKE_TEST(missing_object_is_named),
        FAKE_TEST(revert_removes_newer_snapshots_and_lists_them_before),
        FAKE_TEST(revert_removes_only_listed_snapshots),
        FAKE_TEST(revert_removes_exactly_the_agreed_snapshots),
        FAKE_TEST(a_bookmark_is_not_lost),
        FAKE_TEST(a_clone_in_the_making_keeps_the_volume),
        FAKE_TEST(clone_of_a_newer_snapshot_keeps_the_volume),
        FAKE_TEST(revert_of_an_open_volume_is_refused),
        FAKE_TEST(a_snapshot_with_a_clone_stays),
        FAKE_TEST(a_snapshot_is_read_by_a_hidden_clone),
        FAKE_TEST(snapshot_without_its_device_leaves_no_clone),
        FAKE_TEST(snapshot_that_cannot_be_opened_leaves_no_clone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
