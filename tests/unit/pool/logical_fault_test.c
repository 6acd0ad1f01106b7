/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Operations of a logical pool with each call of an LVM tool failing in turn. LVs with their tags,
 * origins and contents are compared with the state before.
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
#include "fake_lvm.h"

/* --- state ------------------------------------------------------------------------------------ */

/*
 * Returns each LV with its size, attributes, origin, thin pool, tags and first four bytes. Random
 * parts (hidden names and times) are masked.
 */
static char *state(void)
{
    g_autofree char *text = fake_output("cd lvs; for lv in $(ls -A | sort); do"
                                        " echo \"$lv $(head -n 5 $lv | tr '\\n' ' ') $(head -c 4 "
                                        "../dev/vg/$lv 2>&1 | tr -d '\\0')\";"
                                        " done; cd ..; ls -A dev/vg | sort; ls held 2>/dev/null");
    g_autoptr(GRegex) hidden = g_regex_new("\\.cistern-[^ ,\n]*", 0, 0, NULL);
    g_autoptr(GRegex) time = g_regex_new("at=[0-9.]*", 0, 0, NULL);
    g_autofree char *named = g_regex_replace(hidden, text, -1, 0, "HIDDEN", 0, NULL);

    return g_regex_replace(time, named, -1, 0, "at=TIME", 0, NULL);
}

static void snap(const char *name)
{
    assert_true(cst_pool_state_snapshot_create(fake_state, "disk", name, NULL, NULL, NULL));
}

static void with_thick_volume(void)
{
    fake_add_disk(FALSE);
    fake_write("disk", "then");
}

static void with_thin_volume(void)
{
    fake_add_disk(TRUE);
    fake_write("disk", "then");
}

static void with_thick_snapshot(void)
{
    with_thick_volume();
    snap("s");
    fake_write("disk", "now!");
}

static void with_thin_snapshot(void)
{
    with_thin_volume();
    snap("s");
    fake_write("disk", "now!");
}

/* --- operations ------------------------------------------------------------------------------- */

/*
 * @source NULL: an empty volume. A failed draft is abandoned, as the core does, without a further
 * fault.
 */
static gboolean make_volume(const char *thin, const char *source, const char *snapshot,
                            GError **error)
{
    g_autoptr(CstVolDef) def = fake_volume("new", 12 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};

    cst_options_add(&def->options, "thin", thin);
    if ((source ? cst_pool_state_reserve_clone(fake_state, def, source, snapshot, &draft, error)
                : cst_pool_state_reserve(fake_state, def, &draft, error)) &&
        cst_pool_state_commit(fake_state, &draft, def, error))
        return TRUE;
    cst_vol_draft_clear(&draft);
    fake_put("fault", "0 fail\n");
    assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    return FALSE;
}

static gboolean make_thick(GError **error)
{
    return make_volume("no", NULL, NULL, error);
}

static gboolean make_thin(GError **error)
{
    return make_volume("yes", NULL, NULL, error);
}

static gboolean clone_volume(GError **error)
{
    return make_volume("yes", "disk", NULL, error);
}

static gboolean clone_snapshot(GError **error)
{
    return make_volume("yes", "disk", "s", error);
}

static void with_clone(void)
{
    with_thin_volume();
    assert_true(clone_volume(NULL));
    fake_write("new", "mine");
}

static gboolean flatten(GError **error)
{
    return cst_pool_state_vol_flatten(fake_state, "new", NULL, error);
}

static gboolean snapshot(GError **error)
{
    return cst_pool_state_snapshot_create(fake_state, "disk", "s", NULL, NULL, error);
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

static gboolean tell_changes(GError **error)
{
    g_auto(CstChanged) told = {.max = 10};

    return cst_pool_state_snapshot_changed(fake_state, "disk", "s", NULL, NULL, &told, error);
}

static void each_failing_tool_of_lvm_keeps_the_old_state(void **unused)
{
    static const FakeOperation operations[] = {
        {"make a thick volume", with_thick_volume, make_thick, FALSE},
        {"make a thin volume", with_thin_volume, make_thin, FALSE},
        {"clone a volume", with_thin_volume, clone_volume, FALSE},
        {"clone a snapshot", with_thin_snapshot, clone_snapshot, FALSE},
        {"flatten", with_clone, flatten, TRUE},
        {"snapshot of a thick volume", with_thick_volume, snapshot, TRUE},
        {"snapshot of a thin volume", with_thin_volume, snapshot, TRUE},
        {"revert", with_thin_snapshot, revert, TRUE},
        {"remove a snapshot", with_thin_snapshot, remove_snapshot, TRUE},
        {"rename a snapshot", with_thick_snapshot, rename_snapshot, TRUE},
        {"delete", with_thick_volume, delete_volume, TRUE},
        {"rename", with_thin_snapshot, rename_volume, TRUE},
        {"grow", with_thick_volume, grow, TRUE},
        {"tell what has changed", with_thin_snapshot, tell_changes, FALSE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        fake_play_faults(&operations[i], state, fake_set_up, fake_tear_down);
        assert_int_equal(fake_tear_down(NULL), 0);
        assert_int_equal(fake_set_up(NULL), 0);
    }
}

/* --- swaps ------------------------------------------------------------------------------------ */

static void rename_by_others(gpointer unused)
{
    fake_hold(NULL);
}

/* No tag keeps the old name, so that a recovery of a later swap restores the name of that time. */
static void swap_that_failed_leaves_no_tag_for_a_later_recovery(void **unused)
{
    g_autofree char *before = NULL, *after = NULL;
    g_autoptr(GError) error = NULL;

    with_thin_snapshot();
    before = state();
    fake_hold(".old");
    point_run("logical.swap.undo", rename_by_others, NULL);
    point_watch("logical.abandon");
    assert_false(revert(&error));
    assert_int_equal(point_passed("logical.abandon"), 1);
    points_clear();
    assert_int_equal(error->code, CST_ERROR_BUSY);
    after = state();
    assert_string_equal(after, before);
    assert_true(revert(NULL));
    fake_assert_holds("disk", "then");
}

/* The volume has its new content. The call succeeds, and the next start removes the old LV. */
static void volume_that_was_replaced_and_stays_is_no_failure(void **unused)
{
    with_thin_snapshot();
    fake_lie("lvremove", "fail");
    assert_true(revert(NULL));
    fake_lie("lvremove", "");
    fake_assert_holds("disk", "then");
    assert_true(revert(NULL));
    fake_assert_holds("disk", "then");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_failing_tool_of_lvm_keeps_the_old_state),
        TEST(swap_that_failed_leaves_no_tag_for_a_later_recovery),
        TEST(volume_that_was_replaced_and_stays_is_no_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
