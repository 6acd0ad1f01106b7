/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Objects left by dead processes in zfs pools (fake-zfs simulates the tools), and data that must
 * not be lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

#include "fake_zfs.h"

#define DEAD       ".cistern-0123456789abcdef0123456789abcdef.0000_1_1"
#define DEAD_DRAFT DEAD ".part"
#define DEAD_OLD   DEAD ".old"

static void zfs_drafts_of_dead_processes_are_dropped_and_of_live_ones_kept(void **unused)
{
    g_autofree char *living = cst_draft_name(TOKEN);
    g_autofree char *draft = g_strconcat("tank/", living, NULL);

    fake_add("tank/disk");
    fake_add(draft);
    fake_snapshot("tank/disk", living);
    fake_snapshot("tank/disk", DEAD_DRAFT);
    fake_snapshot("tank/disk", "theirs");
    fake_add_as("tank/" DEAD_DRAFT, "tank/disk@" DEAD_DRAFT, NULL);
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_true(fake_has("tank/disk") && fake_has(draft));
    assert_true(fake_has("tank/disk@theirs"));
    assert_false(fake_has("tank/" DEAD_DRAFT));
    assert_false(fake_has("tank/disk@" DEAD_DRAFT));
    assert_int_equal(fake_count(), 4);
}

/*
 * The process was killed before it marked the clone's snapshot for removal with the clone. The
 * recovery marks it.
 */
static void snapshot_of_a_clone_is_removed_with_it_after_a_kill(void **unused)
{
    fake_add("tank/disk");
    fake_snapshot("tank/disk", DEAD_DRAFT);
    fake_add_as("tank/copy", "tank/disk@" DEAD_DRAFT, NULL);
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_true(fake_has("tank/disk@" DEAD_DRAFT));
    assert_true(cst_pool_state_delete(fake_state, "copy", 0, NULL));
    assert_false(fake_has("tank/disk@" DEAD_DRAFT));
}

static void a_swap_of_the_dead_is_ended(void **unused)
{
    /* Before the draft has the name: undo. */
    fake_add("tank/" DEAD_OLD);
    fake_add_as("tank/" DEAD_DRAFT, NULL, DEAD_OLD "/disk");
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_true(fake_has("tank/disk"));
    assert_int_equal(fake_count(), 1);
    /* Afterwards: complete. */
    fake_add("tank/" DEAD_OLD);
    fake_add_as("tank/disk", NULL, DEAD_OLD "/disk");
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_true(fake_has("tank/disk"));
    assert_int_equal(fake_count(), 1);
}

/* A dataset that may be the only copy of a volume is never removed. */
static void volume_under_a_temporary_name_is_not_lost(void **unused)
{
    /* Its original name is unknown. */
    fake_add("tank/" DEAD_OLD);
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_true(fake_has("tank/" DEAD_OLD));
    /* It cannot get its name back. Its draft, which records the name, stays. */
    fake_add_as("tank/" DEAD_DRAFT, NULL, DEAD_OLD "/disk");
    fake_lie("rename", "fail");
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_int_equal(fake_count(), 2);
    assert_false(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    assert_int_equal(fake_count(), 2);
    /* A mark that another program has changed. */
    fake_lie("rename", "");
    fake_add_as("tank/" DEAD_DRAFT, NULL, DEAD_OLD "/../x");
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_int_equal(fake_count(), 2);
    fake_add_as("tank/" DEAD_DRAFT, NULL, DEAD_OLD "/disk");
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_true(fake_has("tank/disk"));
    assert_int_equal(fake_count(), 1);
}

int main(void)
{
#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        FAKE_TEST(zfs_drafts_of_dead_processes_are_dropped_and_of_live_ones_kept),
        FAKE_TEST(snapshot_of_a_clone_is_removed_with_it_after_a_kill),
        FAKE_TEST(a_swap_of_the_dead_is_ended),
        FAKE_TEST(volume_under_a_temporary_name_is_not_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
