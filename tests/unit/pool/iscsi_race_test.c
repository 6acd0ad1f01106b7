/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * iSCSI pools that are started, refreshed and stopped while another process does the same, and the
 * state after a failed start.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <base/error.h>
#include <base/units.h>

#include "iscsi/iscsi.h"
#include "iscsi_site.h"
#include "points.h"

#define TWO_HOSTS ONE_HOST "<host name='127.0.0.2'/>"
#define NAMED     ONE_HOST "<initiator><iqn name='iqn.2026-01.lab:a'/></initiator>"

/* The state of another process, with the same definition. */
static CstPoolState *elsewhere;

static void start_elsewhere(gpointer unused)
{
    site_start(elsewhere);
}

static void stop_elsewhere(gpointer unused)
{
    site_stop(elsewhere);
}

static int tear_down(void **state)
{
    g_clear_pointer(&elsewhere, cst_pool_state_unref);
    return site_tear_down(state);
}

/* --- stop ------------------------------------------------------------------------------------- */

static void stop_ends_a_session_created_during_it(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);

    elsewhere = site_pool(TWO_HOSTS);
    site_start(pool);
    point_run("iscsi.stop.begin", start_elsewhere, NULL);
    site_stop(pool);
    points_clear();
    assert_nothing_left();
}

static void hold_disk(gpointer unused)
{
    fake_holder = "mounted on '/srv'";
}

static void stop_refuses_a_disk_that_is_opened_during_it(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);
    g_autoptr(GError) error = NULL;

    site_start(pool);
    fake_lun("11:0:0:1", "sdb", 16, 8 * CST_MIB, "naa.1");
    point_run("iscsi.stop.begin", hold_disk, NULL);
    assert_false(cst_pool_state_stop(pool, &error));
    points_clear();
    assert_int_equal(error->code, CST_ERROR_BUSY);
    assert_true(site_is_active(pool));
    fake_holder = NULL;
    site_stop(pool);
    assert_nothing_left();
}

static gpointer stop(gpointer pool)
{
    return GINT_TO_POINTER(cst_pool_state_stop(pool, NULL));
}

/* The kernel is slow to remove a session that has logged out. */
static void records_are_removed_after_the_session(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);
    GThread *thread;

    site_start(pool);
    site_lie("logout", "0");
    point_watch("iscsi.logout.wait");
    thread = g_thread_new("stop", stop, pool);
    point_await("iscsi.logout.wait", 2);
    assert_list("/etc/iscsi/nodes/" IQN "/127.0.0.1,3260,7", PLAIN);
    assert_list("/etc/iscsi/ifaces", PLAIN);
    kernel_drop("/sys/class/iscsi_session/session1");
    assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
    points_clear();
    assert_nothing_left();
}

/* The record of a remaining session is still needed. */
static void session_that_does_not_go_keeps_its_record(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);
    g_autoptr(GError) error = NULL;

    site_start(pool);
    site_lie("logout", "0");
    iscsi_host.gone_s = 0;
    assert_false(cst_pool_state_stop(pool, &error));
    assert_int_equal(error->code, CST_ERROR_BUSY);
    assert_non_null(strstr(error->message, "the kernel still has a session"));
    assert_list("/etc/iscsi/nodes/" IQN "/127.0.0.1,3260,7", PLAIN);
    assert_list("/etc/iscsi/ifaces", PLAIN);
    kernel_drop("/lie");
    site_stop(pool);
    assert_nothing_left();
}

/* --- refresh ---------------------------------------------------------------------------------- */

/* Returns a portal of 127.0.0.1 that accepts connections. The caller frees it. */
static char *open_portal(GSocketListener *listener)
{
    guint16 port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);

    assert_int_not_equal(port, 0);
    return g_strdup_printf("<host name='127.0.0.1' port='%u'/>", port);
}

static void refresh_does_not_log_in_to_a_pool_stopped_during_it(void **state)
{
    g_autoptr(GSocketListener) listener = g_socket_listener_new();
    g_autofree char *back = open_portal(listener);
    g_autofree char *hosts = g_strconcat(ONE_HOST, back, NULL);
    g_autoptr(CstPoolState) pool = site_pool(hosts);

    elsewhere = site_pool(hosts);
    site_start(pool);
    kernel_drop("/sys/class/iscsi_session/session2");
    point_run("iscsi.refresh.begin", stop_elsewhere, NULL);
    assert_true(cst_pool_state_rescan_bus(pool, NULL, NULL));
    points_clear();
    assert_nothing_left();
}

static void refresh_elsewhere(gpointer unused)
{
    assert_true(cst_pool_state_rescan_bus(elsewhere, NULL, NULL));
}

static void refresh_uses_a_session_created_during_it(void **state)
{
    g_autoptr(GSocketListener) listener = g_socket_listener_new();
    g_autofree char *back = open_portal(listener);
    g_autofree char *hosts = g_strconcat(ONE_HOST, back, NULL);
    g_autoptr(CstPoolState) pool = site_pool(hosts);

    elsewhere = site_pool(hosts);
    site_start(pool);
    kernel_drop("/sys/class/iscsi_session/session2");
    point_run("iscsi.refresh.begin", refresh_elsewhere, NULL);
    assert_true(cst_pool_state_rescan_bus(pool, NULL, NULL));
    points_clear();
    assert_list("/sys/class/iscsi_session", "session1 session3");
    site_stop(pool);
    assert_nothing_left();
}

/* --- start ------------------------------------------------------------------------------------ */

static void start_uses_a_session_created_during_it(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(TWO_HOSTS);

    elsewhere = site_pool(ONE_HOST);
    point_run("iscsi.start.begin", start_elsewhere, NULL);
    site_start(pool);
    points_clear();
    assert_list("/sys/class/iscsi_session", "session1 session2");
    site_stop(pool);
    assert_nothing_left();
}

/* The session exists, but its LUNs cannot be scanned. */
static void start_that_can_not_scan_logs_out_again(void **state)
{
    static const char *const sources[] = {ONE_HOST, TWO_HOSTS, NAMED};

    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
        g_autoptr(CstPoolState) pool = site_pool(sources[i]);

        fake_write_errno = EIO;
        point_watch("iscsi.start.undo");
        assert_start_fails(pool, CST_ERROR_IO, "look for devices");
        points_clear();
        assert_nothing_left();
        fake_write_errno = 0;
        site_start(pool);
        site_stop(pool);
        assert_nothing_left();
    }
}

static void lie_about_logout(gpointer unused)
{
    site_lie("logout", "10");
}

/* The session still needs the record and the interface. The next stop removes all of them. */
static void undo_that_can_not_log_out_keeps_the_record(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);

    fake_write_errno = EIO;
    point_run("iscsi.start.undo", lie_about_logout, NULL);
    assert_start_fails(pool, CST_ERROR_IO, "look for devices");
    points_clear();
    assert_list("/sys/class/iscsi_session", "session1");
    assert_list("/etc/iscsi/nodes/" IQN "/127.0.0.1,3260,7", PLAIN);
    assert_list("/etc/iscsi/ifaces", PLAIN);
    kernel_drop("/lie");
    fake_write_errno = 0;
    site_stop(pool);
    assert_nothing_left();
}

/* Each step fails in a pool with an initiator name. */
static void failed_start_with_an_initiator_leaves_no_records(void **state)
{
    static const char *const operations[] = {"ifaces", "iface-new", "iface-update", "discovery",
                                             "make",   "update",    "login"};

    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        g_autoptr(CstPoolState) pool = site_pool(NAMED);

        site_lie(operations[i], "6");
        assert_start_fails(pool, CST_ERROR_FAILED, "this is how it fails");
        kernel_drop("/lie");
        assert_nothing_left();
    }
}

/* An interface that already existed, without a name, is not removed. */
static void existing_interface_is_kept_by_a_failed_start(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(NAMED);

    kernel_put("/etc/iscsi/ifaces/libvirt-iface-0000000a", "");
    site_lie("iface-update", "6");
    assert_start_fails(pool, CST_ERROR_FAILED, "this is how it fails");
    assert_list("/etc/iscsi/ifaces", "libvirt-iface-0000000a");
    kernel_drop("/lie");
    site_start(pool);
    site_stop(pool);
    assert_nothing_left();
}

/* --- the lock --------------------------------------------------------------------------------- */

/* Other processes must wait for the lock on open-iscsi's directory. */
static void assert_locked(gpointer unused)
{
    g_autofree char *folder = kernel_file("/etc/iscsi");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    close(fd);
}

static void assert_unlocked(void)
{
    g_autofree char *folder = kernel_file("/etc/iscsi");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
}

static void records_and_interfaces_change_with_the_lock_held(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(NAMED);

    point_run("iscsi.iface.unnamed", assert_locked, NULL);
    point_run("iscsi.start.iface", assert_locked, NULL);
    point_run("iscsi.start.record", assert_locked, NULL);
    point_run("iscsi.start.login", assert_locked, NULL);
    site_start(pool);
    assert_unlocked();
    point_run("iscsi.stop.logout", assert_locked, NULL);
    point_run("iscsi.stop.records", assert_locked, NULL);
    site_stop(pool);
    points_clear();
    assert_unlocked();
    fake_write_errno = EIO;
    point_run("iscsi.start.undo", assert_locked, NULL);
    assert_start_fails(pool, CST_ERROR_IO, "look for devices");
    points_clear();
    assert_unlocked();
}

/* --- discovery -------------------------------------------------------------------------------- */

static void discovery_that_fails_leaves_no_interface(void **state)
{
    static const char *const operations[] = {"iface-update", "discovery"};
    CstPoolSource spec;

    assert_true(cst_pool_source_parse("<source><host name='127.0.0.1'/>"
                                      "<initiator><iqn name='iqn.me'/></initiator></source>",
                                      CST_POOL_ISCSI, &spec, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        g_autoptr(GArray) found = g_array_new(FALSE, TRUE, sizeof(CstPoolSource));

        site_lie(operations[i], "6");
        assert_false(cst_iscsi_backend.discover(&spec, found, NULL));
        kernel_drop("/lie");
        assert_int_equal(found->len, 0);
        assert_nothing_left();
    }
    cst_pool_source_clear(&spec);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(stop_ends_a_session_created_during_it),
        TEST(stop_refuses_a_disk_that_is_opened_during_it),
        TEST(records_are_removed_after_the_session),
        TEST(session_that_does_not_go_keeps_its_record),
        TEST(refresh_does_not_log_in_to_a_pool_stopped_during_it),
        TEST(refresh_uses_a_session_created_during_it),
        TEST(start_uses_a_session_created_during_it),
        TEST(start_that_can_not_scan_logs_out_again),
        TEST(undo_that_can_not_log_out_keeps_the_record),
        TEST(failed_start_with_an_initiator_leaves_no_records),
        TEST(existing_interface_is_kept_by_a_failed_start),
        TEST(records_and_interfaces_change_with_the_lock_held),
        TEST(discovery_that_fails_leaves_no_interface),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
