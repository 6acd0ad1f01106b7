/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rbd_site.h"

#include <errno.h>
#include <string.h>

#include <base/log.h>

#include "../logged.h"
#include "rbd/rbd.h"

/* Snapshots of an RBD pool: refused calls, and interrupted reverts. */

/* --- snapshots -------------------------------------------------------------------------------- */

static void snapshots_are_listed_with_their_size_and_time(void **unused)
{
    g_autoptr(GPtrArray) list = NULL;
    gint64 before = g_get_real_time() / G_USEC_PER_SEC;

    site_make_plain("v");
    for (int i = 0; i < 40; i++) {
        g_autofree char *name = g_strdup_printf("s%02d", i);

        site_snap(site_pool, "v", name);
    }
    assert_true(site_clone(site_pool, "c", SITE_SIZE, "v", NULL, NULL));
    assert_true(cst_pool_state_vol_resize(site_pool, "v", 1, NULL, NULL));
    list = cst_pool_state_snapshots(site_pool, "v", NULL);
    assert_int_equal(list->len, 40);
    for (int i = 0; i < 40; i++) {
        const CstSnapshot *snapshot = list->pdata[i];
        g_autofree char *name = g_strdup_printf("s%02d", i);

        assert_string_equal(snapshot->name, name);
        assert_int_equal(snapshot->capacity, SITE_SIZE);
        assert_int_equal(snapshot->allocation, CST_SNAPSHOT_UNKNOWN);
        assert_true(snapshot->created >= before);
    }
}

/* --- records ---------------------------------------------------------------------------------- */

static void snap_with_record(const char *name, CstConsistency consistency)
{
    const CstSnapshotCreate how = {.consistency = consistency, .consistency_reason = "why"};

    assert_true(cst_pool_state_snapshot_create(site_pool, "v", name, &how, NULL, NULL));
}

static void assert_record(const char *volume, guint at, CstConsistency consistency)
{
    g_autoptr(GPtrArray) list = cst_pool_state_snapshots(site_pool, volume, NULL);
    const CstSnapshot *snapshot = g_ptr_array_index(list, at);

    assert_int_equal(snapshot->consistency, consistency);
    assert_true(g_strcmp0(snapshot->consistency_reason, consistency ? "why" : NULL) == 0);
}

/* More records than are read at once. */
static void records_of_many_snapshots_are_listed(void **unused)
{
    site_make_plain("v");
    for (guint i = 0; i < 80; i++) {
        g_autofree char *name = g_strdup_printf("s%02u", i);

        snap_with_record(name, i % CST_CONSISTENCY_LAST);
    }
    for (guint i = 0; i < 80; i++)
        assert_record("v", i, i % CST_CONSISTENCY_LAST);
}

#define RECORD_KEY "cistern_consistency_"

/* Returns the keys of the image's records, also of those copied from another image. */
static GPtrArray *record_keys(RbdConn *conn, const char *volume)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    rbd_image_t image = site_open_elsewhere(conn, volume);
    char keys[4096], values[4096];
    size_t keys_len = sizeof(keys), values_len = sizeof(values);

    assert_int_equal(
        conn->ceph->rbd_metadata_list(image, RECORD_KEY, 64, keys, &keys_len, values, &values_len),
        0);
    conn->ceph->rbd_close(image);
    for (size_t at = 0; at < keys_len; at += strlen(keys + at) + 1)
        if (g_str_has_prefix(keys + at, RECORD_KEY))
            g_ptr_array_add(list, g_strdup(keys + at));
    return list;
}

static guint count_records(RbdConn *conn, const char *volume)
{
    g_autoptr(GPtrArray) keys = record_keys(conn, volume);

    return keys->len;
}

static void record_survives_a_rename_and_a_revert_and_is_removed_with_the_snapshot(void **unused)
{
    g_autoptr(RbdConn) conn = cst_rbd_conn_get((RbdState *)site_pool, NULL);

    site_make_plain("v");
    snap_with_record("s", CST_CONSISTENCY_CRASH);
    assert_true(cst_pool_state_snapshot_rename(site_pool, "v", "s", "t", NULL));
    assert_record("v", 0, CST_CONSISTENCY_CRASH);
    assert_true(cst_pool_state_rename(site_pool, "v", "w", NULL));
    assert_true(cst_pool_state_snapshot_revert(site_pool, "w", "t", NULL, NULL, NULL));
    assert_record("w", 0, CST_CONSISTENCY_CRASH);
    assert_int_equal(count_records(conn, "w"), 1);
    assert_true(cst_pool_state_snapshot_remove(site_pool, "w", "t", NULL, NULL));
    assert_int_equal(count_records(conn, "w"), 0);
    site_snap(site_pool, "w", "t");
    assert_record("w", 0, CST_CONSISTENCY_UNKNOWN);
}

/*
 * Sets a record that differs from the copied one only in the number of the snapshot: it is that of
 * snapshot "s" of "c". Another Ceph pool may have given out the same number.
 */
static void give_clone_the_number(RbdConn *conn)
{
    g_autoptr(GPtrArray) keys = record_keys(conn, "c");
    rbd_image_t image = site_open_elsewhere(conn, "c");
    const char *copied = g_ptr_array_index(keys, 0);
    g_autofree char *key = NULL;
    uint64_t number;

    assert_int_equal(conn->ceph->rbd_snap_get_id(image, "s", &number), 0);
    key = g_strdup_printf("%.*s_%" G_GUINT64_FORMAT, (int)(strrchr(copied, '_') - copied), copied,
                          number);
    assert_int_equal(conn->ceph->rbd_metadata_set(image, key, "offline why"), 0);
    conn->ceph->rbd_close(image);
}

static void record_copied_to_a_clone_is_ignored(void **unused)
{
    g_autoptr(RbdConn) conn = cst_rbd_conn_get((RbdState *)site_pool, NULL);

    site_make_plain("v");
    snap_with_record("s", CST_CONSISTENCY_OFFLINE);
    assert_true(site_clone(site_pool, "c", SITE_SIZE, "v", "s", NULL));
    assert_int_equal(count_records(conn, "c"), 1);
    site_snap(site_pool, "c", "s");
    give_clone_the_number(conn);
    assert_record("c", 0, CST_CONSISTENCY_UNKNOWN);
    assert_record("v", 0, CST_CONSISTENCY_OFFLINE);
}

static void snapshot_whose_record_fails_is_kept_without_it(void **unused)
{
    static const char *const functions[] = {"rbd_metadata_set", "rbd_metadata_list", "rbd_get_id"};

    site_make_plain("v");
    for (guint i = 0; i < G_N_ELEMENTS(functions); i++) {
        fake_ceph_fail(functions[i], 0, 1, -EIO);
        snap_with_record(functions[i], CST_CONSISTENCY_OFFLINE);
        assert_record("v", i, CST_CONSISTENCY_UNKNOWN);
    }
}

/* --- refused calls ---------------------------------------------------------------------------- */

static void missing_or_existing_snapshots_are_refused(void **unused)
{
    CstSnapshotCreate how = {0};
    g_autoptr(GError) error = NULL;

    site_make_plain("v");
    site_snap(site_pool, "v", "s");
    site_snap(site_pool, "v", "t");
    site_assert_failed(cst_pool_state_snapshot_create(site_pool, "v", "s", &how, NULL, &error),
                       &error, CST_ERROR_EXISTS, "volume 'v' has a snapshot 's' already");
    site_assert_failed(
        cst_pool_state_snapshot_create(site_pool, "v", ".cistern-s", &how, NULL, &error), &error,
        CST_ERROR_INVALID, "is a reserved name for snapshots with clones");
    site_assert_failed(cst_pool_state_snapshot_create(site_pool, "v", "a@b", &how, NULL, &error),
                       &error, CST_ERROR_INVALID, "name of a snapshot");
    site_assert_failed(cst_pool_state_snapshot_rename(site_pool, "v", "s", "t", &error), &error,
                       CST_ERROR_EXISTS, "volume 'v' has a snapshot 't' already");
    site_assert_failed(cst_pool_state_snapshot_rename(site_pool, "v", "s", ".cistern-s", &error),
                       &error, CST_ERROR_INVALID, "is a reserved name for snapshots with clones");
    site_assert_failed(cst_pool_state_snapshot_rename(site_pool, "v", "none", "u", &error), &error,
                       CST_ERROR_NOT_FOUND, "volume 'v' has no snapshot 'none'");
    site_assert_failed(cst_pool_state_snapshot_remove(site_pool, "v", "none", NULL, &error), &error,
                       CST_ERROR_NOT_FOUND, "volume 'v' has no snapshot 'none'");
    site_assert_failed(cst_pool_state_snapshot_revert(site_pool, "v", "none", NULL, NULL, &error),
                       &error, CST_ERROR_NOT_FOUND, "volume 'v' has no snapshot 'none'");
    site_assert_failed(cst_pool_state_snapshot_open(site_pool, "v", "none", &error) != NULL, &error,
                       CST_ERROR_NOT_FOUND, "volume 'v' has no snapshot 'none'");
    site_assert_failed(cst_pool_state_snapshots(site_pool, "w", &error) != NULL, &error,
                       CST_ERROR_NO_VOL, "'w'");
    site_assert_dump("notes:\nv 22 3d 8388608 ''\n  @s 8388608 ''\n  @t 8388608 ''\n");
}

static void error_of_a_snapshot_names_the_object(void **unused)
{
    static const struct {
        const char *function, *words;
    } cases[] = {
        {"rbd_snap_create2", "cannot make snapshot 's' of volume 'v'"},
        {"rbd_snap_rename", "cannot rename snapshot 's' of volume 'v'"},
        {"rbd_snap_remove2", "cannot remove snapshot 's' of volume 'v'"},
        {"rbd_snap_set", "cannot use snapshot 's' of volume 'v'"},
        {"rbd_snap_rollback_with_progress", "cannot revert volume 'v' to snapshot 's'; try again"},
        {"rbd_snap_list", "cannot list the snapshots of volume 'v'"},
        {"rbd_list_children3", "cannot list the clones of volume 'v'"},
    };
    CstSnapshotCreate how = {0};
    g_autoptr(GError) error = NULL;

    site_make_plain("v");
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GPtrArray) list = NULL;

        fake_ceph_fail(cases[i].function, 0, 1, -EIO);
        if (cst_pool_state_snapshot_create(site_pool, "v", "s", &how, NULL, &error) &&
            cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, NULL, &error) &&
            cst_pool_state_snapshot_rename(site_pool, "v", "s", "t", &error) &&
            cst_pool_state_snapshot_rename(site_pool, "v", "t", "s", &error))
            list = cst_pool_state_snapshots(site_pool, "v", &error);
        if (list && cst_pool_state_snapshot_remove(site_pool, "v", "s", NULL, &error))
            fail_msg("%s did not fail", cases[i].function);
        site_assert_failed(FALSE, &error, CST_ERROR_IO, cases[i].words);
        cst_pool_state_snapshot_remove(site_pool, "v", "s", NULL, NULL);
    }
}

static void snapshot_protected_by_another_program_is_kept(void **unused)
{
    g_autoptr(RbdConn) conn = cst_rbd_conn_get((RbdState *)site_pool, NULL);
    g_autoptr(GError) error = NULL;
    rbd_image_t image;

    site_make_plain("v");
    site_snap(site_pool, "v", "s");
    image = site_open_elsewhere(conn, "v");
    assert_int_equal(conn->ceph->rbd_snap_protect(image, "s"), 0);
    conn->ceph->rbd_close(image);
    site_assert_failed(cst_pool_state_snapshot_remove(site_pool, "v", "s", NULL, &error), &error,
                       CST_ERROR_BUSY, "unprotect it first");
    /* Making and deleting a clone leaves it unchanged. */
    fake_ceph_require_release(12);
    assert_true(site_clone(site_pool, "c", SITE_SIZE, "v", "s", NULL));
    assert_true(cst_pool_state_delete(site_pool, "c", 0, NULL));
    site_assert_dump("notes:\nv 22 3d 8388608 ''\n  @s protected 8388608 ''\n");
}

/* --- interrupted reverts ---------------------------------------------------------------------- */

static void a_revert_that_was_cut_short_is_finished(void **unused)
{
    CstPoolState *other;
    g_autoptr(RbdConn) conn = site_another_client(&other);
    g_autoptr(GError) error = NULL;
    rbd_image_t image;

    site_make_plain("v");
    site_write(site_pool, "v", "old");
    site_snap(site_pool, "v", "s");
    site_write(site_pool, "v", "new");
    fake_ceph_fail("rbd_snap_rollback_with_progress", 0, 1, -EIO);
    site_assert_failed(cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, NULL, &error),
                       &error, CST_ERROR_IO, "restart the pool to have it finished");
    site_assert_dump("notes: [cistern_revert_@v=s]\nv 22 3d 8388608 'new'\n  @s 8388608 'old'\n");
    /* Another client has it open, and may be running the revert. */
    image = site_open_elsewhere(conn, "v");
    site_assert_failed(cst_pool_state_settle(site_pool, &error), &error, CST_ERROR_BUSY,
                       "a volume with an interrupted revert is open in a program");
    conn->ceph->rbd_close(image);
    for (int i = 0; i < 2; i++) {
        fake_ceph_fail(i ? "rbd_snap_rollback_with_progress" : "rbd_open_by_id", 0, 1, -EIO);
        site_assert_failed(cst_pool_state_settle(site_pool, &error), &error, CST_ERROR_BUSY, "");
    }
    site_assert_dump("notes: [cistern_revert_@v=s]\nv 22 3d 8388608 'new'\n  @s 8388608 'old'\n");
    assert_true(cst_pool_state_settle(site_pool, NULL));
    site_assert_dump("notes:\nv 22 3d 8388608 'old'\n  @s 8388608 'old'\n");
    assert_non_null(strstr(logged->str, "finished the revert of volume 'v' to snapshot 's'\n"));
    cst_pool_state_unref(other);
}

/* The note belongs to the image, not to the name: another image has the name by now. */
static void interrupted_revert_of_a_renamed_volume_is_finished(void **unused)
{
    site_make_plain("v");
    site_write(site_pool, "v", "old");
    site_snap(site_pool, "v", "s");
    site_write(site_pool, "v", "new");
    fake_ceph_fail("rbd_snap_rollback_with_progress", 0, 1, -EIO);
    assert_false(cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, NULL, NULL));
    assert_true(cst_pool_state_rename(site_pool, "v", "w", NULL));
    site_make_plain("v");
    site_snap(site_pool, "v", "s");
    site_write(site_pool, "v", "kept");
    assert_true(cst_pool_state_settle(site_pool, NULL));
    site_assert_dump("notes:\nv 22 3d 8388608 'kept'\n  @s 8388608 ''\n"
                     "w 22 3d 8388608 'old'\n  @s 8388608 'old'\n");
    assert_non_null(strstr(logged->str, "finished the revert of volume 'w' to snapshot 's'\n"));
}

/* An image of the old format has no id, so its note has its name. */
static void interrupted_revert_of_an_image_without_an_id_is_finished(void **unused)
{
    site_make_plain("v");
    site_write(site_pool, "v", "old");
    site_snap(site_pool, "v", "s");
    site_write(site_pool, "v", "new");
    fake_ceph_fail("rbd_get_id", 0, 1, -EINVAL);
    fake_ceph_fail("rbd_snap_rollback_with_progress", 0, 1, -EIO);
    assert_false(cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, NULL, NULL));
    site_assert_dump("notes: [cistern_revert_v=s]\nv 22 3d 8388608 'new'\n  @s 8388608 'old'\n");
    assert_true(cst_pool_state_settle(site_pool, NULL));
    site_assert_dump("notes:\nv 22 3d 8388608 'old'\n  @s 8388608 'old'\n");
}

static void revert_that_cannot_be_recorded_makes_no_change(void **unused)
{
    g_autoptr(GError) error = NULL;

    site_make_plain("v");
    site_write(site_pool, "v", "old");
    site_snap(site_pool, "v", "s");
    site_write(site_pool, "v", "new");
    fake_ceph_fail("rbd_pool_metadata_set", 0, 1, -EIO);
    site_assert_failed(cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, NULL, &error),
                       &error, CST_ERROR_IO, "cannot revert volume 'v'");
    site_assert_dump("notes:\nv 22 3d 8388608 'new'\n  @s 8388608 'old'\n");
}

/* A remaining note would make a later start revert the volume again. */
static void settle_fails_until_the_record_of_the_revert_is_removed(void **unused)
{
    g_autoptr(GError) error = NULL;

    site_make_plain("v");
    site_write(site_pool, "v", "old");
    site_snap(site_pool, "v", "s");
    site_write(site_pool, "v", "new");
    fake_ceph_fail("rbd_snap_rollback_with_progress", 0, 1, -EIO);
    assert_false(cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, NULL, NULL));
    fake_ceph_fail("rbd_pool_metadata_remove", 0, 1, -EIO);
    site_assert_failed(cst_pool_state_settle(site_pool, &error), &error, CST_ERROR_BUSY, "");
    site_assert_dump("notes: [cistern_revert_@v=s]\nv 22 3d 8388608 'old'\n  @s 8388608 'old'\n");
    /* The next attempt removes the note, and keeps the data written in between. */
    site_write(site_pool, "v", "now");
    assert_true(cst_pool_state_settle(site_pool, NULL));
    site_assert_dump("notes:\nv 22 3d 8388608 'now'\n  @s 8388608 'old'\n");
    /* A later interrupted revert is finished again. */
    for (int i = 0; i < 2; i++) {
        fake_ceph_fail("rbd_snap_rollback_with_progress", 0, 1, -EIO);
        assert_false(cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, NULL, NULL));
        assert_true(cst_pool_state_settle(site_pool, NULL));
        site_assert_dump("notes:\nv 22 3d 8388608 'old'\n  @s 8388608 'old'\n");
        site_write(site_pool, "v", "now");
    }
}

/* Another process has removed the note, and later leaves a note of another revert. */
static void revert_of_another_process_is_finished(void **unused)
{
    g_autoptr(RbdConn) conn = cst_rbd_conn_get((RbdState *)site_pool, NULL);
    g_autoptr(CstVolume) volume = NULL;
    g_autofree char *note = NULL;
    g_autofree char *id = NULL;

    site_make_plain("v");
    assert_true(cst_rbd_scan_one(site_pool, "v", NULL, &volume, NULL));
    id = cst_rbd_vol_identity(site_pool, volume, NULL);
    note = g_strconcat("cistern_revert_@", id, NULL);
    site_write(site_pool, "v", "old");
    site_snap(site_pool, "v", "s");
    fake_ceph_fail("rbd_snap_rollback_with_progress", 0, 1, -EIO);
    assert_false(cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, NULL, NULL));
    fake_ceph_fail("rbd_pool_metadata_remove", 0, 1, -EIO);
    assert_false(cst_pool_state_settle(site_pool, NULL));
    assert_int_equal(conn->ceph->rbd_pool_metadata_remove(conn->io, note), 0);
    assert_true(cst_pool_state_settle(site_pool, NULL));
    site_write(site_pool, "v", "new");
    assert_int_equal(conn->ceph->rbd_pool_metadata_set(conn->io, note, "s"), 0);
    assert_true(cst_pool_state_settle(site_pool, NULL));
    site_assert_dump("notes:\nv 22 3d 8388608 'old'\n  @s 8388608 'old'\n");
}

/* A newer revert of the volume has failed in between, and must be finished. */
static void new_revert_is_finished_although_the_one_before_was(void **unused)
{
    site_make_plain("v");
    site_write(site_pool, "v", "old");
    site_snap(site_pool, "v", "s");
    site_write(site_pool, "v", "new");
    fake_ceph_fail("rbd_snap_rollback_with_progress", 0, 1, -EIO);
    assert_false(cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, NULL, NULL));
    fake_ceph_fail("rbd_pool_metadata_remove", 0, 1, -EIO);
    assert_false(cst_pool_state_settle(site_pool, NULL));
    site_write(site_pool, "v", "now");
    fake_ceph_fail("rbd_snap_rollback_with_progress", 0, 1, -EIO);
    assert_false(cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, NULL, NULL));
    assert_true(cst_pool_state_settle(site_pool, NULL));
    site_assert_dump("notes:\nv 22 3d 8388608 'old'\n  @s 8388608 'old'\n");
}

static void record_of_a_revert_without_its_snapshot_is_dropped(void **unused)
{
    g_autoptr(RbdConn) conn = cst_rbd_conn_get((RbdState *)site_pool, NULL);

    site_make_plain("v");
    assert_int_equal(conn->ceph->rbd_pool_metadata_set(conn->io, "cistern_revert_v", "s"), 0);
    assert_int_equal(conn->ceph->rbd_pool_metadata_set(conn->io, "cistern_revert_w", "s"), 0);
    assert_int_equal(conn->ceph->rbd_pool_metadata_set(conn->io, "cistern_revert_@0", "s"), 0);
    /* Foreign entries stay, before, after and among the notes. */
    assert_int_equal(conn->ceph->rbd_pool_metadata_set(conn->io, "a", "theirs"), 0);
    assert_int_equal(conn->ceph->rbd_pool_metadata_set(conn->io, "z", "theirs"), 0);
    assert_true(cst_pool_state_settle(site_pool, NULL));
    site_assert_dump("notes: [a=theirs] [z=theirs]\nv 22 3d 8388608 ''\n");
}

static void many_records_of_reverts_are_processed(void **unused)
{
    g_autoptr(RbdConn) conn = cst_rbd_conn_get((RbdState *)site_pool, NULL);
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < 150; i++) {
        g_autofree char *key = g_strdup_printf("cistern_revert_gone%03d", i);

        assert_int_equal(conn->ceph->rbd_pool_metadata_set(conn->io, key, "s"), 0);
    }
    fake_ceph_fail("rbd_pool_metadata_list", 0, 1, -EIO);
    site_assert_failed(cst_pool_state_settle(site_pool, &error), &error, CST_ERROR_IO,
                       "cannot read the notes of pool 'p'");
    fake_ceph_fail("rbd_pool_metadata_list", 0, 2, -EOPNOTSUPP);
    assert_true(cst_pool_state_settle(site_pool, NULL));
    assert_true(cst_pool_state_settle(site_pool, NULL));
    site_assert_dump("notes:\n");
}

#define volume_test(f) cmocka_unit_test_setup_teardown(f, site_set_up, site_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        volume_test(snapshots_are_listed_with_their_size_and_time),
        volume_test(records_of_many_snapshots_are_listed),
        volume_test(record_survives_a_rename_and_a_revert_and_is_removed_with_the_snapshot),
        volume_test(record_copied_to_a_clone_is_ignored),
        volume_test(snapshot_whose_record_fails_is_kept_without_it),
        volume_test(missing_or_existing_snapshots_are_refused),
        volume_test(error_of_a_snapshot_names_the_object),
        volume_test(snapshot_protected_by_another_program_is_kept),
        volume_test(a_revert_that_was_cut_short_is_finished),
        volume_test(interrupted_revert_of_a_renamed_volume_is_finished),
        volume_test(interrupted_revert_of_an_image_without_an_id_is_finished),
        volume_test(revert_that_cannot_be_recorded_makes_no_change),
        volume_test(settle_fails_until_the_record_of_the_revert_is_removed),
        volume_test(revert_of_another_process_is_finished),
        volume_test(new_revert_is_finished_although_the_one_before_was),
        volume_test(record_of_a_revert_without_its_snapshot_is_dropped),
        volume_test(many_records_of_reverts_are_processed),
    };

    int failed;

    logged = g_string_new(NULL);
    g_log_set_writer_func(keep_message, NULL, NULL);
    cst_log_set_level(CST_LOG_INFO);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    g_string_free(logged, TRUE);
    return failed;
}
