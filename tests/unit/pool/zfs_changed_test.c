/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changed ranges of volumes in a zfs pool, with misbehaving tools (fake-zfs). For streams see
 * zfs_stream_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

#include "fake_guest.h"
#include "fake_zfs.h"

#define BLOCK 16384

static void take(const char *name)
{
    assert_true(cst_pool_state_snapshot_create(fake_state, "disk", name, NULL, NULL, NULL));
}

static void write_at(const char *text, uint64_t offset)
{
    g_autoptr(CstBlob) blob = cst_pool_state_vol_open(fake_state, "disk", TRUE, NULL);

    assert_true(cst_blob_pwrite(blob, text, 4, offset, NULL));
}

static gboolean tell(const char *since, const char *until, CstChanged *changed, GError **error)
{
    return cst_pool_state_snapshot_changed(fake_state, "disk", since, until, NULL, changed, error);
}

static void assert_told(const char *since, const char *until, const char *expected)
{
    fake_assert_told(since, until, BLOCK, expected);
}

static void assert_nothing_left(guint expected)
{
    assert_int_equal(fake_count(), expected);
}

/* Makes a volume with data in its last block, and its snapshot "a". */
static void prepare(void)
{
    fake_add("tank/disk");
    write_at("last", 8 * MIB - 4);
    take("a");
}

static void zfs_written_or_zeroed_blocks_are_reported(void **unused)
{
    prepare();
    assert_told("a", NULL, "");
    write_at("one!", 3 * BLOCK);
    write_at("two!", 7 * BLOCK - 2);
    assert_told("a", NULL, "3 6 7 ");
    take("b");
    write_at("\0\0\0\0", 3 * BLOCK);
    assert_told("a", "b", "3 6 7 ");
    assert_told("b", NULL, "3 ");
    assert_told("a", NULL, "6 7 ");
    assert_told("b", "b", "");
    assert_nothing_left(3);
    assert_true(fake_was_called("zfs send -Lec -i @a tank/disk@b"));
}

static void zfs_growth_is_reported_as_changed(void **unused)
{
    prepare();
    assert_true(cst_pool_state_vol_resize(fake_state, "disk", 8 * MIB + 2 * BLOCK, NULL, NULL));
    assert_told("a", NULL, "512 513 ");
}

/* Encrypted data is sent raw, so no key is needed and no data is decrypted. */
static void encrypted_volumes_are_sent_raw(void **unused)
{
    g_auto(CstChanged) told = {.max = 10};

    fake_add("tank/disk");
    take("a");
    fake_put("sets/tank%disk", "volume\n5001\n8388608\n0\n16384\n-\ntank\nunavailable\n-\n\n");
    assert_true(tell("a", NULL, &told, NULL));
    assert_true(fake_was_called("zfs send -w -i @a tank/disk@.cistern-"));
    assert_nothing_left(2);
}

static void another_snapshot_of_the_name_has_another_identity(void **unused)
{
    g_auto(CstChanged) before = {.max = 10}, renamed = {.max = 10}, after = {.max = 10};

    prepare();
    assert_true(tell("a", NULL, &before, NULL));
    assert_true(cst_pool_state_snapshot_rename(fake_state, "disk", "a", "z", NULL));
    assert_true(tell("z", NULL, &renamed, NULL));
    assert_string_equal(before.identity, renamed.identity);
    assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "z", NULL, NULL));
    take("a");
    assert_true(tell("a", NULL, &after, NULL));
    assert_string_not_equal(before.identity, after.identity);
}

static void zfs_changes_of_other_snapshots_are_refused(void **unused)
{
    g_auto(CstChanged) told = {.max = 10};
    g_autoptr(GError) error = NULL;

    prepare();
    take("b");
    assert_false(tell("b", "a", &told, &error));
    fake_assert_error(&error, CST_ERROR_UNSUPPORTED);
    assert_false(tell("none", NULL, &told, &error));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
    assert_false(tell("none", "a", &told, &error));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
    assert_false(tell("a", "none", &told, &error));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
    assert_nothing_left(3);
}

/* For each defect the result is correct or an error, and no snapshot of ours stays. */
static void tools_that_lie_are_found_out(void **unused)
{
    static const struct {
        const char *verb, *how;
        CstErrorCode code; /* 0: any error or success */
    } rows[] = {{"send", "fail", CST_ERROR_FAILED},
                {"send", "silent", CST_ERROR_FAILED},
                {"send", "nothing", CST_ERROR_CORRUPT},
                {"send", "cut", CST_ERROR_CORRUPT},
                {"send", "short", CST_ERROR_CORRUPT},
                {"send", "garbage", CST_ERROR_CORRUPT},
                {"send", "failing", CST_ERROR_FAILED},
                {"send", "half", CST_ERROR_FAILED},
                {"send", "hang", CST_ERROR_TIMEOUT},
                {"send", "stall", CST_ERROR_TIMEOUT},
                {"send", "noisy", 0},
                {"snapshot", "fail", CST_ERROR_FAILED},
                {"snapshot", "nothing", CST_ERROR_NOT_FOUND},
                {"snapshot", "failing", CST_ERROR_FAILED},
                {"snapshot", "dying", CST_ERROR_FAILED}};

    prepare();
    write_at("one!", 3 * BLOCK);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(CstChanged) told = {.max = 10};
        g_autoptr(GError) error = NULL;

        fake_lie(rows[i].verb, rows[i].how);
        assert_int_equal(tell("a", NULL, &told, &error), rows[i].code == 0);
        if (rows[i].code)
            fake_assert_error(&error, (int)rows[i].code);
        fake_lie(rows[i].verb, "");
        assert_nothing_left(2);
        assert_told("a", NULL, "3 ");
    }
}

static void canceled_query_of_changes_leaves_no_snapshot(void **unused)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_auto(CstChanged) told = {.max = 10};
    g_autoptr(GError) error = NULL;

    prepare();
    cst_task_cancel(task);
    assert_false(
        cst_pool_state_snapshot_changed(fake_state, "disk", "a", NULL, task, &told, &error));
    fake_assert_error(&error, CST_ERROR_CANCELLED);
    assert_nothing_left(2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(zfs_written_or_zeroed_blocks_are_reported),
        CASE(zfs_growth_is_reported_as_changed),
        CASE(encrypted_volumes_are_sent_raw),
        CASE(another_snapshot_of_the_name_has_another_identity),
        CASE(zfs_changes_of_other_snapshots_are_refused),
        CASE(tools_that_lie_are_found_out),
        CASE(canceled_query_of_changes_leaves_no_snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
