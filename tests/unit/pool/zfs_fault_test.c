/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Operations of a ZFS pool with each call of a tool failing in turn. Datasets, snapshots, origins
 * and contents are compared with the state before.
 */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

#include "fake_guest.h"
#include "fake_zfs.h"

/* --- state ------------------------------------------------------------------------------------ */

/*
 * Returns each dataset with its size, reservation, origin and first four bytes, and each snapshot.
 * Random parts of hidden names are masked. Replaced volumes that could not be removed are left out,
 * because the next start of another process removes them.
 */
static char *state(void)
{
    g_autofree char *text =
        fake_output("for set in $(ls -A sets | grep -v '[.]old$' | sort); do"
                    " echo \"$set $(sed -n '1p;3,6p' sets/$set | tr '\\n' ' ')"
                    " $(head -c 4 dev/zvol/$(echo $set | tr % /) 2>/dev/null | tr -d '\\0')\";"
                    " done; if ls -A sets | grep -q '[.]old$'; then ls -A snaps | grep -v '@[.]';"
                    " else ls -A snaps; fi | sort; find dev -type f | grep -v '[.]old$' | sort");
    g_autoptr(GRegex) hidden = g_regex_new("\\.cistern-[^ @\n]*", 0, 0, NULL);

    return g_regex_replace(hidden, text, -1, 0, "HIDDEN", 0, NULL);
}

/* The simulation makes devices before its tools end, so that one check suffices. */
static int set_up(void **unused)
{
    int status = fake_set_up(unused);

    zfs_host.node_us = zfs_host.busy_us = 1;
    return status;
}

static void with_volume(void)
{
    fake_add("tank/disk");
    fake_write("disk", "then");
}

static void with_snapshot(void)
{
    with_volume();
    fake_snapshot("tank/disk", "s");
    fake_write("disk", "now!");
}

/* --- operations ------------------------------------------------------------------------------- */

/*
 * @source NULL: an empty volume. A failed draft is abandoned, as the core does, without a further
 * fault.
 */
static gboolean make_draft(const char *source, const char *snapshot, GError **error)
{
    g_autoptr(CstVolDef) def = fake_volume("new", 16 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};

    if ((source ? cst_pool_state_reserve_clone(fake_state, def, source, snapshot, &draft, error)
                : cst_pool_state_reserve(fake_state, def, &draft, error)) &&
        cst_pool_state_commit(fake_state, &draft, def, error))
        return TRUE;
    cst_vol_draft_clear(&draft);
    fake_put("fault", "0 fail\n");
    assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    return FALSE;
}

static gboolean make_by_draft(GError **error)
{
    return make_draft(NULL, NULL, error);
}

static gboolean make_in_one_step(GError **error)
{
    g_autoptr(CstVolDef) def = fake_volume("new", 16 * MIB);

    return cst_pool_state_make(fake_state, def, error);
}

static gboolean clone_volume(GError **error)
{
    return make_draft("disk", NULL, error);
}

static gboolean clone_snapshot(GError **error)
{
    return make_draft("disk", "s", error);
}

static void with_clone(void)
{
    with_volume();
    assert_true(clone_volume(NULL));
    fake_write("new", "mine");
}

static gboolean flatten(GError **error)
{
    return cst_pool_state_vol_flatten(fake_state, "new", NULL, error);
}

static gboolean snapshot(GError **error)
{
    return cst_pool_state_snapshot_create(fake_state, "disk", "s", &(CstSnapshotCreate){0}, NULL,
                                          error);
}

static gboolean revert(GError **error)
{
    return cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, NULL, error);
}

static gboolean remove_snapshot(GError **error)
{
    return cst_pool_state_snapshot_remove(fake_state, "disk", "s", NULL, error);
}

static gboolean rename_snapshot(GError **error)
{
    return cst_pool_state_snapshot_rename(fake_state, "disk", "s", "t", error);
}

static gboolean delete_volume(GError **error)
{
    return cst_pool_state_delete(fake_state, "disk", 0, error);
}

static gboolean rename_volume(GError **error)
{
    return cst_pool_state_rename(fake_state, "disk", "new", error);
}

static gboolean grow(GError **error)
{
    return cst_pool_state_vol_resize(fake_state, "disk", 16 * MIB, NULL, error);
}

static void each_failing_tool_of_zfs_keeps_the_old_state(void **unused)
{
    static const FakeOperation operations[] = {
        {"make by a draft", with_volume, make_by_draft, FALSE},
        {"make in one step", with_volume, make_in_one_step, TRUE},
        {"clone a volume", with_volume, clone_volume, FALSE},
        {"clone a snapshot", with_snapshot, clone_snapshot, FALSE},
        {"flatten", with_clone, flatten, TRUE},
        {"snapshot", with_volume, snapshot, TRUE},
        {"revert", with_snapshot, revert, TRUE},
        {"remove a snapshot", with_snapshot, remove_snapshot, TRUE},
        {"rename a snapshot", with_snapshot, rename_snapshot, TRUE},
        {"delete", with_volume, delete_volume, TRUE},
        {"rename", with_snapshot, rename_volume, TRUE},
        {"grow", with_volume, grow, TRUE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        fake_play_faults(&operations[i], state, set_up, fake_tear_down);
        assert_int_equal(fake_tear_down(NULL), 0);
        assert_int_equal(set_up(NULL), 0);
    }
}

/* --- swaps ------------------------------------------------------------------------------------ */

static void let_go(gpointer unused)
{
    fake_hold(NULL);
}

/*
 * A guest opened the volume under its temporary name. The volume gets its name back, and the draft
 * is removed.
 */
static void swap_that_failed_leaves_the_volume_as_it_was(void **unused)
{
    g_autofree char *before = NULL, *after = NULL;
    g_autoptr(GError) error = NULL;

    with_clone();
    before = state();
    fake_hold(".old");
    point_run("zfs.swap.undo", let_go, NULL);
    point_watch("zfs.abandon");
    assert_false(flatten(&error));
    assert_int_equal(point_passed("zfs.abandon"), 1);
    points_clear();
    fake_assert_error(&error, CST_ERROR_BUSY);
    after = state();
    assert_string_equal(after, before);
    assert_int_equal(fake_count(), 3);
    assert_true(flatten(NULL));
    fake_assert_holds("new", "mine");
}

/* The volume has its new content. The call succeeds, and the next start removes the old volume. */
static void volume_that_was_replaced_and_stays_is_no_failure(void **unused)
{
    with_clone();
    fake_lie("destroy", "fail");
    assert_true(flatten(NULL));
    fake_lie("destroy", "");
    fake_assert_holds("new", "mine");
    assert_true(flatten(NULL));
}

/* A guest that may open the volume may also open its replacement. */
static void replaced_volume_keeps_the_mode_of_its_device(void **unused)
{
    g_autofree char *device = NULL;
    struct stat st;

    with_clone();
    device = zfs_device_of("tank/new");
    assert_int_equal(chmod(device, 0640), 0);
    assert_true(flatten(NULL));
    assert_int_equal(stat(device, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

/* ZFS does not remove a volume with snapshots. */
static void abandoned_draft_is_removed_with_its_snapshots(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("new", 16 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autofree char *before = state(), *after = NULL;

    assert_true(cst_pool_state_reserve(fake_state, def, &draft, NULL));
    assert_true(cst_pool_state_snapshot_create(fake_state, draft.name, "s", &(CstSnapshotCreate){0},
                                               NULL, NULL));
    g_clear_pointer(&draft.blob, cst_blob_unref);
    assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    after = state();
    assert_string_equal(after, before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(abandoned_draft_is_removed_with_its_snapshots),
        TEST(each_failing_tool_of_zfs_keeps_the_old_state),
        TEST(swap_that_failed_leaves_the_volume_as_it_was),
        TEST(replaced_volume_keeps_the_mode_of_its_device),
        TEST(volume_that_was_replaced_and_stays_is_no_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
