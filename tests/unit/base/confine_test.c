/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Children that have given up their rights, below the init of their PID namespace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <base/child.h>
#include <base/units.h>

static gboolean run_confined(const char *script, const CstConfine *confine,
                             CstChildResult *ret_result)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const CstChild child = {.argv = argv, .timeout_s = 20, .confine = confine};

    assert_true(cst_child_run(&child, NULL, ret_result, NULL));
    return ret_result->status != CST_CONFINE_FAILED;
}

static void a_confined_child_has_no_rights(void **state)
{
    g_auto(CstChildResult) result = {0};
    CstConfine confine = {.memory = 64 * CST_MIB};

    cst_confine_choose_user(&confine);
    if (geteuid() != 0) {
        assert_int_equal(confine.uid, 0);
        skip();
    }
    assert_in_range(confine.uid, 61184, 65519);
    if (!run_confined("id -u; id -G; grep -c : /proc/net/dev; ulimit -c; ulimit -v;"
                      "grep NoNewPrivs /proc/self/status; grep CapEff /proc/self/status;"
                      "touch /tmp/x 2>/dev/null || echo read-only; pwd; env | grep -v PWD= | sort",
                      &confine, &result))
        skip();
    {
        g_autofree char *expected = g_strdup_printf(
            "%u\n%u\n1\n0\n65536\nNoNewPrivs:\t1\nCapEff:\t0000000000000000\nread-only\n/\n",
            confine.uid, confine.uid);

        assert_true(g_str_has_prefix(result.out, expected));
        assert_null(strstr(result.out, "HOME="));
        assert_non_null(strstr(result.out, "LC_ALL=C\n"));
    }
}

/* Process 1 of a PID namespace would ignore its own signal. */
static void confined_child_that_kills_itself_is_reported_as_killed(void **state)
{
    static const int signals[] = {SIGSEGV, SIGABRT, SIGKILL};
    CstConfine confine = {0};

    cst_confine_choose_user(&confine);
    if (geteuid() != 0)
        skip();
    for (guint i = 0; i < G_N_ELEMENTS(signals); i++) {
        g_autofree char *script =
            g_strdup_printf("echo before; kill -%d $$; echo after; exit 3", signals[i]);
        g_auto(CstChildResult) result = {0};

        if (!run_confined(script, &confine, &result))
            skip();
        assert_string_equal(result.out, "before\n");
        assert_int_equal(result.status, 128 + signals[i]);
    }
}

/* tail(1) waits until the process is gone. It is not a child of tail, and ends at once. */
static void orphan_of_confined_child_is_reaped(void **state)
{
    g_auto(CstChildResult) result = {0};
    CstConfine confine = {0};

    cst_confine_choose_user(&confine);
    if (geteuid() != 0)
        skip();
    if (!run_confined("orphan=$(sh -c 'true >/dev/null & echo $!');"
                      "exec tail -f -s 0.01 --pid=$orphan /dev/null",
                      &confine, &result))
        skip();
    assert_int_equal(result.status, 0);
}

static void exit_status_of_confined_child_comes_back(void **state)
{
    g_auto(CstChildResult) result = {0};
    CstConfine confine = {0};

    cst_confine_choose_user(&confine);
    if (geteuid() != 0)
        skip();
    if (!run_confined("sleep infinity & echo out; echo err >&2; kill -9 $!; exit 7", &confine,
                      &result))
        skip();
    assert_int_equal(result.status, 7);
    assert_string_equal(result.out, "out\n");
    assert_string_equal(result.err, "err\n");
}

static void child_that_cannot_be_confined_is_not_run(void **state)
{
    g_auto(CstChildResult) result = {0};
    const CstConfine confine = {.uid = (uid_t)-1};

    assert_false(run_confined("echo ran", &confine, &result));
    assert_string_equal(result.out, "");
    assert_true(g_str_has_prefix(result.err, "cannot give up rights: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_confined_child_has_no_rights),
        cmocka_unit_test(confined_child_that_kills_itself_is_reported_as_killed),
        cmocka_unit_test(orphan_of_confined_child_is_reaped),
        cmocka_unit_test(exit_status_of_confined_child_comes_back),
        cmocka_unit_test(child_that_cannot_be_confined_is_not_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
