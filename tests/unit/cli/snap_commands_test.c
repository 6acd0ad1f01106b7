/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "fake_vol.h"
#include "session.h"

static int setup(void **state)
{
    session_setup(state);
    fake_vols_add("images", "disk", 4096, 4096);
    fake_vols_add("images", "other", 4096, 4096);
    return 0;
}

static void test_list(void **state)
{
    says(state, "snap-list disk --pool images", CST_EXIT_OK,
         " Name     Created                    Capacity   Own data   Limit      Used    Kept by   "
         "State   Consistency\n"
         "----------------------------------------------------------------------------------------"
         "---------------------\n"
         " old      2023-11-14 22:13:20+0000   1.00 GiB   4.00 KiB   1.00 MiB   0.39%   logical   "
         "good    filesystem\n"
         " broken   -                          1.00 GiB   -          -          -       logical   "
         "lost    -\n\n",
         "warning: snapshot 'broken': it is full\n");
}

static void test_info(void **state)
{
    Session *session = *state;

    session_run(session, "snap-info disk old --pool images --json");
    assert_string_equal(session->out,
                        "{\"schema\":1,\"snapshot\":{\"name\":\"old\",\"created\":"
                        "\"2023-11-14T22:13:20Z\",\"capacity\":1073741824,\"allocation\":4096,"
                        "\"limit\":1048576,\"used_percent\":0.39,\"kept_by\":\"logical\","
                        "\"state\":\"good\",\"consistency\":\"filesystem\","
                        "\"machine_state\":null,\"problem\":null,"
                        "\"consistency_reason\":\"no VSS\",\"tags\":[],\"note\":null}}\n");
    says(state, "snap-info disk nobody --pool images", CST_EXIT_NOT_FOUND, "\n",
         "error: Failed to get snapshot nobody of vol disk\n"
         "error: volume 'disk' has no snapshot 'nobody'\n");
}

static void test_changes(void **state)
{
    says(state, "snap-create disk new --pool images --size 1M", CST_EXIT_OK,
         "Snapshot new of vol disk created\n\n", "");
    says(state, "snap-create disk old --pool images", CST_EXIT_CONFLICT, "\n",
         "error: Failed to create snapshot old of vol disk\n"
         "error: operation failed: there is one already\n");
    says(state, "snap-rename disk old older --pool images", CST_EXIT_OK,
         "Snapshot old of vol disk renamed to older\n\n", "");
    says(state, "snap-clone disk old copy --pool images", CST_EXIT_OK,
         "Snapshot old of vol disk cloned to vol copy\n\n", "");
    says(state, "snap-revert disk old --pool images --dry-run", CST_EXIT_OK,
         "Would revert to snapshot old of vol disk\n\n", "");
    says(state, "snap-revert disk old --pool images --yes", CST_EXIT_OK,
         "Reverted to snapshot old of vol disk\n\n", "");
    says(state, "snap-revert disk broken --pool images --dry-run", CST_EXIT_OK,
         "Would revert to snapshot broken of vol disk, and remove these snapshots: one, two\n\n",
         "");
    says(state, "snap-revert disk broken --pool images --yes", CST_EXIT_OK,
         "Reverted to snapshot broken of vol disk\n\n", "");
    says(state, "snap-revert disk broken --pool images", CST_EXIT_USAGE, "\n",
         "error: Content newer than snapshot broken of vol disk is lost, and so are these "
         "snapshots: one, two. Go on? There is no terminal to ask at: --yes says yes\n");
    says(state, "snap-revert disk gone --pool images --yes", CST_EXIT_NOT_FOUND, "\n",
         "error: Failed to revert to snapshot gone of vol disk\n"
         "error: volume 'disk' has no snapshot 'gone'\n");
    says(state, "snap-delete disk gone --pool images --yes", CST_EXIT_NOT_FOUND, "\n",
         "error: Failed to delete snapshot gone of vol disk\n"
         "error: volume 'disk' has no snapshot 'gone'\n");
}

/* The fake connection suspends domain "web" for a request with a limit of the pause. */
static void test_create_shows_consistency_and_pause(void **state)
{
    Session *session = *state;

    says(state, "snap-create disk new --pool images --with other --max-pause 500ms", CST_EXIT_OK,
         "Snapshot new of 2 vols created\n"
         "Consistency: crash (no guest agent)\n"
         "Domain web was suspended for 35 ms\n\n",
         "");
    says(state, "snap-create disk new --pool images --qmp monitor --max-pause 500ms", CST_EXIT_OK,
         "Snapshot new of vol disk created\nConsistency: crash\n"
         "The guest was suspended for 20 ms\n\n",
         "");
    says(state, "snap-create disk new --pool images --qmp monitor", CST_EXIT_OK,
         "Snapshot new of vol disk created\nConsistency: crash\n"
         "The guest was paused already, and stays paused\n\n",
         "");
    session_run(session, "snap-create disk new --pool images --max-pause 2s --json");
    assert_string_equal(session->out,
                        "{\"schema\":1,\"command\":\"snap-create\",\"snapshot\":\"new\","
                        "\"message\":\"Snapshot new of vol disk created\","
                        "\"consistency\":\"crash\",\"reason\":\"no guest agent\","
                        "\"one_moment\":true,\"domain\":\"web\",\"paused_ms\":35,"
                        "\"frozen_ms\":0}\n");
}

static void test_create_passes_consistency_to_service(void **state)
{
    says(state, "snap-create disk new --pool images --consistency filesystem", CST_EXIT_CONFLICT,
         "\n",
         "error: Failed to create snapshot new of vol disk\n"
         "error: Requested operation is not valid: it would have consistency 'offline', not "
         "'filesystem'\n");
    says(state, "snap-create disk new --pool images --consistency best", CST_EXIT_OK,
         "Snapshot new of vol disk created\n\n", "");
}

static void test_create_refuses_bad_values(void **state)
{
    says(state, "snap-create disk new --pool images --consistency torn", CST_EXIT_USAGE, "\n",
         "error: --consistency 'torn' is not crash, filesystem, application, offline or best\n");
    for (const char *const *word = (const char *const[]){"0s", "6s", "5001ms", "1", "s", "-1s",
                                                         "1s ", "99999999999999999999s", NULL};
         *word; word++) {
        g_autofree char *line =
            g_strdup_printf("snap-create disk new --pool images --max-pause '%s'", *word);
        g_autofree char *text = g_strdup_printf(
            "error: --max-pause '%s' is not a time from 1ms to 5s, such as 500ms or 2s\n", *word);

        says(state, line, CST_EXIT_USAGE, "\n", text);
    }
}

static void test_destructive_command_needs_yes(void **state)
{
    Session *session = *state;

    session_run(session, "snap-delete disk old --pool images");
    assert_int_equal(session->status, CST_EXIT_USAGE);
    assert_non_null(strstr(session->err, "--yes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_list, setup, session_teardown),
        cmocka_unit_test_setup_teardown(test_info, setup, session_teardown),
        cmocka_unit_test_setup_teardown(test_changes, setup, session_teardown),
        cmocka_unit_test_setup_teardown(test_create_shows_consistency_and_pause, setup,
                                        session_teardown),
        cmocka_unit_test_setup_teardown(test_create_passes_consistency_to_service, setup,
                                        session_teardown),
        cmocka_unit_test_setup_teardown(test_create_refuses_bad_values, setup, session_teardown),
        cmocka_unit_test_setup_teardown(test_destructive_command_needs_yes, setup,
                                        session_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
