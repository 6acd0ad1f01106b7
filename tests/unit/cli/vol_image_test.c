/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "fake_image.h"
#include "fake_vol.h"
#include "session.h"

static int setup(void **state)
{
    fake_images = (FakeImages){.report = {.format = "qcow2", .total_clusters = 16}};
    session_setup(state);
    fake_vols_add("images", "disk", 1 << 20, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    g_clear_pointer(&fake_images.base, g_free);
    return session_teardown(state);
}

static void test_check(void **state)
{
    Session *session = *state;

    says(state, "vol-check disk --pool images", CST_EXIT_OK,
         "errors: 0\nleaked clusters: 0\nclusters: 16\nallocated clusters: 0\nend of the image in "
         "the file: 0\n\n",
         "");
    assert_int_equal(fake_images.flags, 0);
    fake_images.report.leaks = 2;
    session_run(session, "vol-check disk --pool images --repair all");
    assert_int_equal(session->status, CST_EXIT_MISMATCH);
    assert_int_equal(fake_images.flags, CST_REPAIR_LEAKS | CST_REPAIR_ALL);
    assert_non_null(strstr(session->err, "takes space that it does not use"));
    session_run(session, "vol-check disk --pool images --repair x");
    assert_int_equal(session->status, CST_EXIT_USAGE);
    fake_images.report.leaks = 0;
    session_run(session, "vol-check disk --pool images --json");
    assert_non_null(strstr(session->out, "\"filename\":\"/images/disk\",\"format\":\"qcow2\""));
}

static void test_changes(void **state)
{
    says(state, "vol-flatten disk --pool images", CST_EXIT_OK,
         "Vol disk holds all of its content\n\n", "");
    assert_string_equal(fake_images.last, "flatten");
    says(state, "vol-sparsify disk --pool images", CST_EXIT_OK, "Vol disk gave back 3.00 MiB\n\n",
         "");
    says(state, "vol-commit disk --pool images --keep", CST_EXIT_OK, "Vol disk committed\n\n", "");
    assert_int_equal(fake_images.flags, CST_VOL_COMMIT_KEEP);
    assert_null(fake_images.base);
    fake_images.last = NULL;
    says(state, "vol-flatten disk --pool images --dry-run", CST_EXIT_OK,
         "Would flatten vol disk\n\n", "");
    assert_null(fake_images.last);
}

/* A deeper base leaves images behind that are worth nothing: that is asked first. */
static void test_commit_deeper_asks(void **state)
{
    Session *session = *state;

    session_run(session, "vol-commit disk --pool images --base low");
    assert_int_not_equal(session->status, CST_EXIT_OK);
    assert_null(fake_images.last);
    session_run(session, "vol-commit disk --pool images --base low --yes");
    assert_int_equal(session->status, CST_EXIT_OK);
    assert_string_equal(fake_images.base, "low");
}

static void test_chain(void **state)
{
    Session *session = *state;

    session_run(session, "vol-chain disk --pool images");
    assert_int_equal(session->status, CST_EXIT_OK);
    assert_non_null(strstr(session->out, "\n /base "));
    assert_non_null(strstr(session->out, "\n   - disk *    images   qcow2    1.00 MiB"));
    assert_non_null(strstr(session->out, "\n     - above "));
    session_run(session, "vol-chain disk --pool images --json");
    assert_non_null(strstr(session->out, "\"level\":1,\"self\":true,\"name\":\"disk\""));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_check),
        TEST(test_changes),
        TEST(test_commit_deeper_asks),
        TEST(test_chain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
