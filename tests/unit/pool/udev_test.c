/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The use of udev: its events, its queue, its properties. A script simulates udevadm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <pool/device.h>

static char *bin;

static char *said_path(void)
{
    return g_build_filename(bin, "said", NULL);
}

/* Returns the arguments of the tool. */
static char *said(void)
{
    g_autofree char *path = said_path();
    char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return g_strchomp(text);
}

/* Makes udevadm record its arguments and then run @then. */
static void play(const char *then)
{
    g_autofree char *tool = g_build_filename(bin, "udevadm", NULL);
    g_autofree char *path = said_path();
    g_autofree char *script = g_strdup_printf("#!/bin/sh\necho \"$*\" >'%s'\n%s\n", path, then);

    assert_true(g_file_set_contents(tool, script, -1, NULL));
    assert_int_equal(g_chmod(tool, 0700), 0);
}

static int set_up(void **state)
{
    g_autofree char *path = NULL;

    bin = g_dir_make_tmp("cst-udev-XXXXXX", NULL);
    path = g_strdup_printf("%s:/usr/bin:/bin", bin);
    g_setenv("PATH", path, TRUE);
    return 0;
}

static int tear_down(void **state)
{
    g_autofree char *tool = g_build_filename(bin, "udevadm", NULL);
    g_autofree char *path = said_path();

    g_unlink(tool);
    g_unlink(path);
    g_rmdir(bin);
    g_clear_pointer(&bin, g_free);
    return 0;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void test_udevadm_waits_for_the_queue(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line = NULL;

    play("exit 0");
    assert_true(cst_device_settle(NULL, NULL, &error));
    assert_null(error);
    line = said();
    assert_string_equal(line, "settle --timeout=10");
}

static void test_udevadm_wait_ends_when_the_path_exists(void **state)
{
    g_autofree char *line = NULL;

    play("exit 0");
    assert_true(cst_device_settle("/dev/disk/by-id/x y", NULL, NULL));
    line = said();
    assert_string_equal(line, "settle --timeout=10 --exit-if-exists=/dev/disk/by-id/x y");
}

/* The wait times out, or there is no udev: the call succeeds, and the existing nodes are used. */
static void test_udevadm_failure_is_ignored(void **state)
{
    play("exit 1");
    assert_true(cst_device_settle(NULL, NULL, NULL));
    g_setenv("PATH", "/nowhere", TRUE);
    assert_true(cst_device_settle(NULL, NULL, NULL));
}

static void test_udevadm_wait_can_be_canceled(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    play("exec sleep infinity");
    cst_task_cancel(task);
    assert_false(cst_device_settle(NULL, task, &error));
    assert_int_equal(error->code, CST_ERROR_CANCELLED);
}

/* --- events ----------------------------------------------------------------------------------- */

/* Like a netlink socket, a datagram socket discards the rest of a partly read message. */
static void test_drain_reads_all_events(void **state)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_false(cst_device_watch_drain(pair[0]));
    for (int i = 0; i < 3; i++)
        assert_int_equal(send(pair[1], "libudev", 8, 0), 8);
    assert_true(cst_device_watch_drain(pair[0]));
    assert_false(cst_device_watch_drain(pair[0]));
    close(pair[0]);
    close(pair[1]);
}

static void test_watch_is_quiet_without_events(void **state)
{
    g_autoptr(GError) error = NULL;
    g_auto(CstFd) fd = cst_device_watch_open(&error);

    if (fd < 0)
        skip(); /* no netlink in this sandbox */
    assert_null(error);
    cst_device_watch_drain(fd);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

/* --- properties ------------------------------------------------------------------------------- */

static void test_unknown_device_has_no_properties(void **state)
{
    assert_null(cst_device_property(makedev(259, 65000), "ID_SERIAL"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_udevadm_waits_for_the_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_udevadm_wait_ends_when_the_path_exists, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_udevadm_failure_is_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_udevadm_wait_can_be_canceled, set_up, tear_down),
        cmocka_unit_test(test_drain_reads_all_events),
        cmocka_unit_test(test_watch_is_quiet_without_events),
        cmocka_unit_test(test_unknown_device_has_no_properties),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
