/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <base/child.h>

static void run(const char *script, CstChildResult *ret_result)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const CstChild child = {.argv = argv, .timeout_s = 10};

    assert_true(cst_child_run(&child, NULL, ret_result, NULL));
}

/* The daemon's own is wider, as others have to get into directories that it makes. */
static void what_a_tool_makes_is_for_nobody_else(void **state)
{
    g_auto(CstChildResult) result = {0};
    mode_t before = umask(022);

    run("umask", &result);
    umask(before);
    assert_int_equal(result.status, 0);
    assert_string_equal(result.out, "0077\n");
}

static void status_and_output_come_back(void **state)
{
    g_auto(CstChildResult) result = {0};

    run("echo out; echo err >&2; exit 3", &result);
    assert_int_equal(result.status, 3);
    assert_string_equal(result.out, "out\n");
    assert_string_equal(result.err, "err\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_tool_makes_is_for_nobody_else),
        cmocka_unit_test(status_and_output_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
