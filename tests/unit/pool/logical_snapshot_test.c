/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots of the logical backend, with LVM's tools simulated by a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <pool/pool.h>

#include "fake_guest.h"
#include "fake_lvm.h"

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

static void snap(const char *name)
{
    g_autoptr(GError) error = NULL;

    if (!cst_pool_state_snapshot_create(fake_state, "disk", name, NULL, NULL, &error))
        fail_msg("%s", error->message);
}

static char *snapshots(void)
{
    g_autoptr(GPtrArray) list = cst_pool_state_snapshots(fake_state, "disk", NULL);
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < list->len; i++)
        g_string_append_printf(names, "%s ", ((CstSnapshot *)list->pdata[i])->name);
    return g_string_free(names, FALSE);
}

static void assert_snapshots(const char *expected)
{
    g_autofree char *names = snapshots();

    assert_string_equal(names, expected);
}

/* @reason NULL: no reason. */
static void assert_record(guint at, CstConsistency consistency, const char *reason)
{
    g_autoptr(GPtrArray) list = cst_pool_state_snapshots(fake_state, "disk", NULL);
    const CstSnapshot *snapshot = g_ptr_array_index(list, at);

    assert_int_equal(snapshot->consistency, consistency);
    if (g_strcmp0(snapshot->consistency_reason, reason) != 0)
        fail_msg("'%s' instead of '%s'", snapshot->consistency_reason, reason);
}

/* --- snapshots -------------------------------------------------------------------------------- */

/* A revert to a classic snapshot creates it anew. A snapshot after that has no record. */
static void record_survives_a_rename_and_a_revert(void **unused)
{
    const CstSnapshotCreate how = {.consistency = CST_CONSISTENCY_CRASH,
                                   .consistency_reason = "no agent, 100%"};

    for (int thin = 0; thin < 2; thin++) {
        fake_add_disk(thin);
        assert_true(cst_pool_state_snapshot_create(fake_state, "disk", "s", &how, NULL, NULL));
        assert_record(0, CST_CONSISTENCY_CRASH, "no agent, 100%");
        assert_true(cst_pool_state_snapshot_rename(fake_state, "disk", "s", "t", NULL));
        assert_record(0, CST_CONSISTENCY_CRASH, "no agent, 100%");
        assert_true(cst_pool_state_snapshot_revert(fake_state, "disk", "t", NULL, NULL, NULL));
        assert_record(0, CST_CONSISTENCY_CRASH, "no agent, 100%");
        snap("u");
        assert_record(1, CST_CONSISTENCY_UNKNOWN, NULL);
        assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "u", NULL, NULL));
        assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "t", NULL, NULL));
        assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    }
}

/* Returns the number of volumes that may have snapshots. */
static guint count_with_snapshots(void)
{
    g_autoptr(GHashTable) names = NULL;

    assert_true(cst_pool_state_snapshot_volumes(fake_state, &names, NULL));
    assert_true(g_hash_table_size(names) == 0 || g_hash_table_contains(names, "disk"));
    return g_hash_table_size(names);
}

static void volumes_with_snapshots_are_listed(void **unused)
{
    for (int thin = 0; thin < 2; thin++) {
        fake_add_disk(thin);
        assert_int_equal(count_with_snapshots(), 0);
        snap("s");
        snap("t");
        assert_int_equal(count_with_snapshots(), 1);
        assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "s", NULL, NULL));
        assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "t", NULL, NULL));
        assert_int_equal(count_with_snapshots(), 0);
        assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    }
}

static void a_revert_brings_the_content_back_and_keeps_the_snapshot(void **unused)
{
    for (int thin = 0; thin < 2; thin++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(CstBlob) inside = NULL;
        char buf[4];

        fake_add_disk(thin);
        fake_write("disk", "then");
        snap("s");
        fake_write("disk", "now!");
        fake_assert_holds("disk", "now!");
        for (int i = 0; i < 2; i++) {
            if (!cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, NULL, &error))
                fail_msg("%s", error->message);
            fake_assert_holds("disk", "then");
            assert_snapshots("s ");
            fake_write("disk", "new!");
        }
        inside = cst_pool_state_snapshot_open(fake_state, "disk", "s", NULL);
        assert_true(cst_blob_pread(inside, buf, 4, 0, NULL));
        assert_memory_equal(buf, "then", 4);
        assert_false(cst_blob_pwrite(inside, "no", 2, 0, NULL));
        /* Three LVs: the volume, its snapshot, and the thin pool. No temporary LV is left. */
        assert_int_equal(fake_count(), 3);
        assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "s", NULL, NULL));
        assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    }
}

static void a_revert_keeps_owner_and_time(void **unused)
{
    g_autofree char *device = fake_path("dev/vg/disk");
    g_autoptr(GPtrArray) list = NULL;
    struct stat st;

    fake_add_disk(TRUE);
    fake_add(".cistern-1.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-disk,cistern:snap=s,cistern:at=7");
    assert_int_equal(chmod(device, 0640), 0);
    assert_true(cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, NULL, NULL));
    assert_int_equal(stat(device, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    list = cst_pool_state_snapshots(fake_state, "disk", NULL);
    assert_int_equal(((CstSnapshot *)list->pdata[0])->created, 7);

    fake_add("disk", 8 * MIB, "owi-a-----", "", "");
    fake_add(".cistern-1.snap", 4 * MIB, "sri-a-s---", "disk",
             "cistern:of=uuid-disk,cistern:snap=s,cistern:at=7");
    assert_true(cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, NULL, NULL));
    g_ptr_array_unref(list);
    list = cst_pool_state_snapshots(fake_state, "disk", NULL);
    assert_int_equal(((CstSnapshot *)list->pdata[0])->created, 7);
}

static void a_revert_that_fails_leaves_the_volume(void **unused)
{
    static const struct {
        gboolean thin;
        const char *tool, *how;
        CstErrorCode code;
        const char *content;
    } rows[] = {
        {TRUE, "lvcreate", "fail", CST_ERROR_FAILED, "now!"},
        {TRUE, "lvchange", "fail", CST_ERROR_FAILED, "now!"},
        {TRUE, "lvrename", "fail", CST_ERROR_FAILED, "now!"},
        {FALSE, "lvconvert", "fail", CST_ERROR_FAILED, "now!"},
        {FALSE, "lvconvert", "nothing", CST_ERROR_BUSY, "now!"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        fake_add_disk(rows[i].thin);
        fake_write("disk", "then");
        snap("s");
        fake_write("disk", "now!");
        fake_lie(rows[i].tool, rows[i].how);
        assert_false(cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, NULL, &error));
        if (error->code != (int)rows[i].code)
            fail_msg("%s %s: %s", rows[i].tool, rows[i].how, error->message);
        fake_lie(rows[i].tool, "");
        fake_assert_holds("disk", rows[i].content);
        assert_snapshots("s ");
        assert_int_equal(fake_count(), 3);
        assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "s", NULL, NULL));
        assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    }
}

/* The guest opened the volume after the core's check, by its name or by its temporary name. */
static void revert_is_refused_if_a_guest_starts_during_it(void **unused)
{
    static const struct {
        gboolean thin;
        const char *held;
    } rows[] = {{TRUE, "/disk"}, {TRUE, ".old"}, {FALSE, "/disk"}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        gboolean done;

        fake_add_disk(rows[i].thin);
        fake_write("disk", "then");
        snap("s");
        fake_write("disk", "now!");
        fake_hold(rows[i].held);
        done = cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, NULL, &error);
        fake_hold(NULL);
        assert_false(done);
        assert_code(error, CST_ERROR_BUSY);
        assert_non_null(strstr(error->message, "volume 'disk' is in use: the guest"));
        fake_assert_holds("disk", "now!");
        assert_snapshots("s ");
        assert_int_equal(fake_count(), 3);
        assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "s", NULL, NULL));
        assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    }
}

/* A merge consumes the snapshot. If there is no room for a new one, this is reported. */
static void snapshot_lost_by_a_revert_is_reported(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add_disk(FALSE);
    fake_write("disk", "then");
    snap("s");
    fake_write("disk", "now!");
    fake_lie("lvcreate", "full");
    assert_false(cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, NULL, &error));
    assert_code(error, CST_ERROR_NO_SPACE);
    assert_non_null(
        strstr(error->message, "volume 'disk' was reverted, but snapshot 's' could not"));
    fake_assert_holds("disk", "then");
}

/* The merge is complete although the tool failed. Its error is not reported for the next step. */
static void merge_with_a_failed_tool_counts_as_done(void **unused)
{
    static const struct {
        const char *lvcreate;
        CstErrorCode code; /* CST_ERROR_LAST: success */
        const char *words;
    } rows[] = {
        {"", CST_ERROR_LAST, ""},
        {"full", CST_ERROR_NO_SPACE, "insufficient free space"},
        {"nothing", CST_ERROR_FAILED, "'lvcreate' claims success"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        fake_add_disk(FALSE);
        fake_write("disk", "then");
        snap("s");
        fake_write("disk", "now!");
        fake_lie("lvconvert", "failing");
        fake_lie("lvcreate", rows[i].lvcreate);
        cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, NULL, &error);
        fake_lie("lvconvert", "");
        fake_lie("lvcreate", "");
        fake_assert_holds("disk", "then");
        if (rows[i].code == CST_ERROR_LAST) {
            assert_null(error);
            assert_snapshots("s ");
            assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "s", NULL, NULL));
        } else {
            assert_code(error, rows[i].code);
            assert_non_null(strstr(error->message, rows[i].words));
            assert_null(strstr(error->message, "Something is wrong"));
        }
        assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    }
}

static void snapshots_are_renamed_in_one_change(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add_disk(TRUE);
    fake_add(".cistern-1.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-disk,cistern:snap=b,cistern:at=9");
    fake_add(".cistern-2.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-disk,cistern:snap=a,cistern:at=7");
    fake_add(".cistern-3.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-other,cistern:snap=c,cistern:at=7");
    assert_snapshots("a b ");
    assert_false(cst_pool_state_snapshot_rename(fake_state, "disk", "a", "b", &error));
    assert_code(error, CST_ERROR_EXISTS);
    g_clear_error(&error);
    assert_false(cst_pool_state_snapshot_rename(fake_state, "disk", "c", "d", &error));
    assert_code(error, CST_ERROR_NOT_FOUND);
    assert_non_null(strstr(error->message, "volume 'disk' has no snapshot 'c'"));
    assert_true(cst_pool_state_snapshot_rename(fake_state, "disk", "a", "z", NULL));
    assert_snapshots("z b ");
    assert_true(fake_was_called("lvchange --deltag cistern:snap=a --addtag cistern:snap=z"));
}

/* Several snapshots are made within a second, and older tags have only seconds. */
static void snapshots_are_listed_by_age(void **unused)
{
    fake_add_disk(TRUE);
    fake_add(".cistern-1.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-disk,cistern:snap=third,cistern:at=7.100000");
    fake_add(".cistern-2.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-disk,cistern:snap=second,cistern:at=7.000009");
    fake_add(".cistern-3.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-disk,cistern:snap=first,cistern:at=7");
    fake_add(".cistern-4.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-disk,cistern:snap=fourth,cistern:at=8");
    assert_snapshots("first second third fourth ");
}

static void snapshots_of_a_missing_volume_are_an_error(void **unused)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_pool_state_snapshots(fake_state, "disk", &error));
    assert_code(error, CST_ERROR_NO_VOL);
    g_clear_error(&error);
    fake_lie("lvm", "fail");
    assert_null(cst_pool_state_snapshots(fake_state, "disk", &error));
    assert_code(error, CST_ERROR_FAILED);
    g_clear_error(&error);
    fake_lie("lvm", "");
    fake_add("disk", 8 * MIB, "-wi-a-----", "", "");
    fake_add("cow", 4 * MIB, "swi-a-s---", "disk", "");
    assert_false(cst_pool_state_snapshot_create(fake_state, "cow", "s", NULL, NULL, &error));
    assert_code(error, CST_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    assert_null(cst_pool_state_snapshot_open(fake_state, "disk", "s", &error));
    assert_code(error, CST_ERROR_NOT_FOUND);
}

static void the_room_of_a_snapshot_is_asked_for(void **unused)
{
    static const struct {
        const char *options, *call;
        uint64_t limit;
    } rows[] = {
        {"", "lvcreate -y -s -L5k ", 5 * 1024},
        {"<options xmlns='urn:cistern:storage:1.0'><option name='snapshot-size' value='12M'/>"
         "</options>",
         "lvcreate -y -s -L12288k ", 0},
        {"<options xmlns='urn:cistern:storage:1.0'><option name='snapshot-size' value='50%'/>"
         "</options>",
         "lvcreate -y -s -L20480k ", 0},
    };

    fake_add("disk", 40 * MIB, "-wi-a-----", "", "");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        CstSnapshotCreate how = {.limit = rows[i].limit};
        CstPoolState *state = fake_pool(rows[i].options);
        g_autofree char *name = g_strdup_printf("s%zu", i);

        assert_true(cst_pool_state_snapshot_create(state, "disk", name, &how, NULL, NULL));
        assert_true(fake_was_called(rows[i].call));
        cst_pool_state_unref(state);
    }
}

typedef enum { CREATE, REMOVE, REVERT, RENAME } Change;

static gboolean change(Change what, const char *name, GError **error)
{
    switch (what) {
    case CREATE: return cst_pool_state_snapshot_create(fake_state, "disk", name, NULL, NULL, error);
    case REMOVE: return cst_pool_state_snapshot_remove(fake_state, "disk", name, NULL, error);
    case REVERT: return cst_pool_state_snapshot_revert(fake_state, "disk", name, NULL, NULL, error);
    default: return cst_pool_state_snapshot_rename(fake_state, "disk", "s", name, error);
    }
}

/* A dry run reports errors of the names, without changes. */
static void snapshot_dry_run_checks_the_present_state(void **unused)
{
    static const struct {
        Change what;
        const char *name;
        CstErrorCode code;
        const char *words;
    } rows[] = {
        {CREATE, "s", CST_ERROR_EXISTS, "volume 'disk' has a snapshot 's' already"},
        {CREATE, "n", CST_ERROR_DRY_RUN, ""},
        {REMOVE, "n", CST_ERROR_NOT_FOUND, "volume 'disk' has no snapshot 'n'"},
        {REMOVE, "s", CST_ERROR_DRY_RUN, ""},
        {REVERT, "n", CST_ERROR_NOT_FOUND, "volume 'disk' has no snapshot 'n'"},
        {REVERT, "s", CST_ERROR_DRY_RUN, ""},
        {RENAME, "t", CST_ERROR_EXISTS, "volume 'disk' has a snapshot 't' already"},
        {RENAME, "n", CST_ERROR_DRY_RUN, ""},
    };

    fake_add_disk(TRUE);
    snap("s");
    snap("t");
    cst_dry_run_set(TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        assert_false(change(rows[i].what, rows[i].name, &error));
        if (error->code != (int)rows[i].code || !strstr(error->message, rows[i].words))
            fail_msg("%zu: %s", i, error->message);
    }
    fake_lie("lvm", "fail");
    for (Change what = CREATE; what <= RENAME; what++) {
        g_autoptr(GError) error = NULL;

        assert_false(change(what, "s", &error));
        assert_code(error, CST_ERROR_FAILED);
    }
    cst_dry_run_set(FALSE);
    assert_int_equal(fake_count(), 4);
    assert_false(fake_was_called("lvremove") || fake_was_called("lvchange --deltag"));
}

/* After each lvcreate the snapshot is looked up. A failed lookup is an error. */
static void unverified_snapshot_is_not_reported_as_success(void **unused)
{
    g_autoptr(GError) error = NULL;

    lvm_host.fresh_us = G_TIME_SPAN_HOUR;
    fake_add_disk(FALSE);
    assert_true(fake_is_seen("disk"));
    fake_lie("lvcreate", "fail");
    fake_lie("lvm", "fail");
    assert_false(cst_pool_state_snapshot_create(fake_state, "disk", "s", NULL, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_FAILED));
    assert_true(fake_was_called("lvcreate"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_revert_brings_the_content_back_and_keeps_the_snapshot),
        TEST(record_survives_a_rename_and_a_revert),
        TEST(volumes_with_snapshots_are_listed),
        TEST(a_revert_keeps_owner_and_time),
        TEST(a_revert_that_fails_leaves_the_volume),
        TEST(revert_is_refused_if_a_guest_starts_during_it),
        TEST(snapshot_lost_by_a_revert_is_reported),
        TEST(merge_with_a_failed_tool_counts_as_done),
        TEST(snapshots_are_renamed_in_one_change),
        TEST(snapshots_are_listed_by_age),
        TEST(snapshots_of_a_missing_volume_are_an_error),
        TEST(the_room_of_a_snapshot_is_asked_for),
        TEST(snapshot_dry_run_checks_the_present_state),
        TEST(unverified_snapshot_is_not_reported_as_success),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
