/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each step on the disk fails once, and each step of a rollback after a failure. */
#include "step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "points.h"

#define MOST_STEPS 400

static void failed_step_leaves_the_old_or_the_new_state(void **state)
{
    for (const StepOperation *operation = step_operations; operation->name; operation++) {
        g_autofree char *after = step_after(state, operation);
        guint nth = 1;

        while (nth < MOST_STEPS && step_fail(state, operation, nth, after))
            nth++;
        if (nth < 3 || nth == MOST_STEPS)
            fail_msg("%s has %u steps", operation->name, nth - 1);
    }
}

/* --- rollbacks that fail ---------------------------------------------------------------------- */

/* @nth: guint *, the step of the rollback that fails. */
static void fail_rollback(gpointer nth)
{
    step_fail_again(*(guint *)nth);
}

/* Returns the last step whose failure causes the rollback, because then most has to be undone. */
static guint last_step_before(void **state, const StepOperation *operation, const char *point,
                              const char *after)
{
    guint last = 0;
    gboolean more = TRUE;

    for (guint nth = 1; more; nth++) {
        guint before = point_passed(point);

        more = step_fail(state, operation, nth, after);
        if (point_passed(point) > before)
            last = nth;
    }
    return last;
}

/* The rollback begins at @point, which is watched. */
static void fail_each_undoing(void **state, const char *name, const char *point)
{
    const StepOperation *operation = step_operation(name);
    g_autofree char *after = step_after(state, operation);
    guint first = last_step_before(state, operation, point, after), nth = 1;

    if (first == 0)
        fail_msg("%s: no failure leads to '%s'", name, point);
    do
        point_run(point, fail_rollback, &nth);
    while (nth < MOST_STEPS && step_fail(state, operation, first, after) && nth++);
    points_clear();
}

static void rename_that_cannot_be_undone_is_recovered_at_the_next_start(void **state)
{
    point_watch("vol.rename.take_back");
    fail_each_undoing(state, "rename with overlays", "vol.rename.take_back");
}

static void snapshots_that_cannot_be_undone_are_recovered_at_the_next_start(void **state)
{
    point_watch("vol.snapshots.take_back");
    fail_each_undoing(state, "snapshots", "vol.snapshots.take_back");
}

static void a_link_that_cannot_be_dropped_is_left_to_the_next_start(void **state)
{
    point_watch("vol.move.drop_taken");
    fail_each_undoing(state, "move by a link", "vol.move.drop_taken");
}

static void an_original_that_cannot_be_deleted_is_left_to_the_next_start(void **state)
{
    point_watch("vol.move.deletion_failed");
    fail_each_undoing(state, "move by a link", "vol.move.deletion_failed");
}

static void a_draft_that_cannot_be_dropped_is_left_to_the_next_start(void **state)
{
    point_watch("vol.create.roll_back");
    fail_each_undoing(state, "create", "vol.create.roll_back");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_step_leaves_the_old_or_the_new_state),
        cmocka_unit_test(rename_that_cannot_be_undone_is_recovered_at_the_next_start),
        cmocka_unit_test(snapshots_that_cannot_be_undone_are_recovered_at_the_next_start),
        cmocka_unit_test(a_link_that_cannot_be_dropped_is_left_to_the_next_start),
        cmocka_unit_test(an_original_that_cannot_be_deleted_is_left_to_the_next_start),
        cmocka_unit_test(a_draft_that_cannot_be_dropped_is_left_to_the_next_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
