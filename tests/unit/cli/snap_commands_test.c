/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "fake_vol.h"
#include "session.h"

static int setup(void **state)
{
    session_setup(state);
    fake_vols_add("images", "disk", 4096, 4096);
    return 0;
}

static void test_list(void **state)
{
    says(state, "snap-list disk --pool images", CST_EXIT_OK,
         " Name     Created                    Capacity   Own data   Limit      Used    Kept by   "
         "State\n"
         "----------------------------------------------------------------------------------------"
         "-------\n"
         " old      2023-11-14 22:13:20+0000   1.00 GiB   4.00 KiB   1.00 MiB   0.39%   logical   "
         "good\n"
         " broken   -                          1.00 GiB   -          -          -       logical   "
         "lost\n\n",
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
                        "\"state\":\"good\",\"machine_state\":null,"
                        "\"problem\":null}}\n");
    says(state, "snap-info disk nobody --pool images", CST_EXIT_NOT_FOUND, "\n",
         "error: Failed to get snapshot nobody of vol disk\n"
         "error: volume 'disk' has no snapshot 'nobody'\n");
}

static void test_changes(void **state)
{
    says(state, "snap-create disk new --pool images --size 1M", CST_EXIT_OK,
         "Snapshot new of vol disk created\n\n", "");
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
        cmocka_unit_test_setup_teardown(test_destructive_command_needs_yes, setup,
                                        session_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
