/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a process while a connection is being closed or made, in a process of its own. */
#include "gluster_site.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <base/child.h>
#include <base/foreign.h>
#include <glib/gstdio.h>

#include "fake_wait.h"

static void say_cleanup(void)
{
    if (write(STDOUT_FILENO, " cleanup", 8) != 8)
        abort();
}

/*
 * The main function of the child process. It connects, and exits with status 7 while the library is
 * closing the connection.
 */
static int child_main(gboolean in_main)
{
    g_autofree char *dir = NULL;

    site_set_up(NULL);
    dir = site_path("");
    fake_gluster_at_exit(say_cleanup);
    if (!cst_pool_state_start(site_pool, NULL))
        return 1;
    fake_gluster_hang("glfs_fini");
    g_clear_pointer(&site_pool, cst_pool_state_unref);
    fake_gluster_await("glfs_fini", 1);
    g_rmdir(dir);
    g_rmdir(site_volume);
    printf("said");
    /* Like the handler of a thread that is connecting: registered after all of ours. */
    if (in_main)
        atexit(say_cleanup);
    if (in_main)
        cst_foreign_end(7);
    return 7;
}

static gpointer connect_late(gpointer pool)
{
    cst_pool_state_start(pool, NULL);
    return NULL;
}

/* Like child_main(), but a thread connects after main() has begun to exit. */
static int late_main(void)
{
    g_autofree char *dir = NULL;

    site_set_up(NULL);
    dir = site_path("");
    cst_foreign_end(1);
    g_thread_unref(g_thread_new("late", connect_late, site_pool));
    /* The connecting thread must block for ever at the point where it would enter the library. */
    wait_await_begun(1);
    g_rmdir(dir);
    g_rmdir(site_volume);
    printf(fake_gluster_calls("glfs_new") == 0 ? "said" : "begun");
    return 7;
}

/*
 * A thread runs code that the library has registered for the exit, so no data of it may be freed.
 */
static void assert_ends(const char *how)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    const char *const argv[] = {self, how, NULL};
    CstChild child = {.argv = argv, .timeout_s = 60};
    g_auto(CstChildResult) result = {0};

    assert_true(cst_child_run(&child, NULL, &result, NULL));
    assert_int_equal(result.status, 7);
    /* The buffer of printf() is written in any case. */
    assert_string_equal(result.out, "said");
}

static void handlers_of_a_closing_connection_do_not_run(void **state)
{
    assert_ends("by-exit");
}

static void handlers_registered_later_do_not_run_after_main(void **state)
{
    assert_ends("by-main");
}

static void ending_process_starts_no_connection(void **state)
{
    assert_ends("late");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_of_a_closing_connection_do_not_run),
        cmocka_unit_test(handlers_registered_later_do_not_run_after_main),
        cmocka_unit_test(ending_process_starts_no_connection),
    };

    if (argc > 1 && g_str_equal(argv[1], "late"))
        return late_main();
    return argc > 1 ? child_main(g_str_equal(argv[1], "by-main"))
                    : cmocka_run_group_tests(tests, NULL, NULL);
}
