/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Virtual ports of Fibre Channel hosts (NPIV), on a simulated sysfs with its driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>

#include "fake_sysfs.h"
#include "points.h"
#include "scsi/scsi.h"

#define WWNN "20000000c9831b4b"
#define WWPN "10000000c9831b4b"

static char *fc_pool(const char *attributes)
{
    return g_strdup_printf(
        "<pool type='scsi'><name>p</name><source><adapter type='fc_host' %s wwnn='" WWNN
        "' wwpn='" WWPN "'/></source><target><path>/dev</path></target></pool>",
        attributes);
}

static void put_fc(unsigned host, const char *name, const char *text)
{
    g_autofree char *path = g_strdup_printf("/sys/class/fc_host/host%u/%s", host, name);

    kernel_put(path, text);
}

/* Makes a physical port that supports two virtual ones, @used of which exist. */
static void put_parent(unsigned host, const char *wwn, const char *state, const char *used)
{
    g_autofree char *node = g_strdup_printf("0x2%s\n", wwn);
    g_autofree char *port = g_strdup_printf("0x1%s\n", wwn);
    g_autofree char *place = g_strdup_printf("/sys/devices/pci0000:00/0000:07:00.%u", host);

    fake_host(host, place, host);
    put_fc(host, "node_name", node);
    put_fc(host, "port_name", port);
    put_fc(host, "port_state", state);
    put_fc(host, "fabric_name", "0x2001000dec3eb0c1\n");
    put_fc(host, "max_npiv_vports", "2\n");
    put_fc(host, "npiv_vports_inuse", used);
}

/* The driver makes the port as host 30 below the parent, and removes it. */
static void be_driver(const char *path, const char *text)
{
    unsigned parent = 0;
    g_autofree char *place = NULL;

    if (sscanf(path, "/sys/class/fc_host/host%u/", &parent) != 1)
        return;
    assert_string_equal(text, WWPN ":" WWNN);
    if (g_str_has_suffix(path, "/vport_delete")) {
        kernel_drop("/sys/class/fc_host/host30");
        kernel_drop("/sys/class/scsi_host/host30");
        return;
    }
    place = g_strdup_printf("/sys/devices/pci0000:00/0000:07:00.%u/host%u/vport-%u:0-0", parent,
                            parent, parent);
    fake_host(30, place, 0);
    put_fc(30, "node_name", "0x" WWNN "\n");
    put_fc(30, "port_name", "0x" WWPN "\n");
    fake_lun("30:0:0:0", "sdf", 80, CST_MIB, "naa.30");
}

static int set_up_fc(void **state)
{
    fake_sysfs_set_up(state);
    scsi_vport_wait_us = 10 * G_TIME_SPAN_SECOND;
    put_parent(8, "000000000000008", "Linkdown\n", "0\n");
    put_parent(9, "000000000000009", "Online\n", "2\n");
    put_parent(10, "00000000000000a", "Online\n", "1\n");
    fake_on_write = be_driver;
    return 0;
}

/* Selection of the port that makes the virtual one. */
static void test_parent_of_virtual_port(void **state)
{
    static const struct {
        const char *attributes;
        const char *written; /* NULL: refused */
    } rows[] = {
        {"", "host10/vport_create"},
        {"parent='scsi_host8'", "host8/vport_create"},
        {"parent_wwnn='2000000000000009' parent_wwpn='1000000000000009'", "host9/vport_create"},
        {"parent_wwnn='2000000000000009' parent_wwpn='1000000000000008'", NULL},
        {"parent_fabric_wwn='2001000dec3eb0c1'", "host10/vport_create"},
        {"parent_fabric_wwn='2001000dec3eb0c2'", NULL},
        {"parent='scsi_host11'", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *xml = fc_pool(rows[i].attributes);
        g_autoptr(CstPoolState) pool = fake_pool(xml);
        g_autoptr(GError) error = NULL;
        gboolean done = cst_pool_state_start(pool, &error);

        assert_int_equal(done, rows[i].written != NULL);
        if (rows[i].written)
            assert_non_null(strstr(fake_written->str, rows[i].written));
        else
            assert_non_null(strstr(error->message, "can have the virtual port of pool 'p'"));
        assert_true(cst_pool_state_stop(pool, NULL));
        g_string_truncate(fake_written, 0);
    }
}

static void test_virtual_port_is_removed_with_the_pool(void **state)
{
    g_autofree char *xml = fc_pool("");
    g_autoptr(CstPoolState) pool = fake_pool(xml), next = fake_pool(xml);
    g_autofree char *found = NULL, *identity = NULL;

    assert_true(cst_pool_state_start(pool, NULL));
    found = fake_scan(pool);
    assert_string_equal(found, "unit:0:0:0");
    /* The next process knows that the port belongs to the pool. */
    identity = cst_pool_state_identity(pool, NULL);
    assert_non_null(strstr(identity, "vport-10:0-0 vport=made\n"));
    assert_true(cst_pool_state_expect(next, identity, FALSE, NULL));
    g_string_truncate(fake_written, 0);
    assert_true(cst_pool_state_stop(next, NULL));
    assert_string_equal(fake_written->str,
                        "/sys/class/fc_host/host10/vport_delete " WWPN ":" WWNN "\n");
}

static void test_virtual_port_in_use_stays(void **state)
{
    g_autofree char *xml = fc_pool("");
    g_autoptr(CstPoolState) pool = fake_pool(xml);
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_state_start(pool, NULL));
    fake_holder = "mounted on '/srv'";
    assert_false(cst_pool_state_stop(pool, &error));
    assert_int_equal(error->code, CST_ERROR_BUSY);
    assert_null(strstr(fake_written->str, "vport_delete"));
}

/* An existing port stays, unless the definition declares it as managed. */
static void test_foreign_virtual_port_is_removed_only_if_managed(void **state)
{
    static const struct {
        const char *attributes;
        gboolean removed;
    } rows[] = {{"", FALSE}, {"managed='no'", FALSE}, {"managed='yes'", TRUE}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *xml = fc_pool(rows[i].attributes);
        g_autoptr(CstPoolState) pool = fake_pool(xml);

        if (i == 0)
            be_driver("/sys/class/fc_host/host10/vport_create", WWPN ":" WWNN);
        g_string_truncate(fake_written, 0);
        assert_true(cst_pool_state_start(pool, NULL));
        assert_null(strstr(fake_written->str, "vport_create"));
        assert_true(cst_pool_state_stop(pool, NULL));
        assert_int_equal(strstr(fake_written->str, "vport_delete") != NULL, rows[i].removed);
    }
}

/* managed='yes' on the physical port: it is not virtual, so it is not removed. */
static void test_physical_port_is_never_removed(void **state)
{
    g_autofree char *xml = fc_pool("managed='yes'");
    g_autoptr(CstPoolState) pool = fake_pool(xml);
    g_autoptr(GError) error = NULL;

    put_fc(8, "node_name", "0x" WWNN "\n");
    put_fc(8, "port_name", "0x" WWPN "\n");
    assert_true(cst_pool_state_start(pool, NULL));
    assert_false(cst_pool_state_stop(pool, &error));
    assert_int_equal(error->code, CST_ERROR_STATE);
    assert_null(strstr(fake_written->str, "vport_delete"));
}

/* --- late ports, and failed starts ------------------------------------------------------------ */

static gpointer start(gpointer pool)
{
    return GINT_TO_POINTER(cst_pool_state_start(pool, NULL));
}

static void start_waits_for_the_port_of_a_slow_driver(void **state)
{
    g_autofree char *xml = fc_pool("");
    g_autoptr(CstPoolState) pool = fake_pool(xml);
    g_autofree char *found = NULL;
    GThread *thread;

    scsi_vport_wait_us = G_TIME_SPAN_DAY;
    fake_on_write = NULL;
    point_watch("scsi.vport.wait");
    thread = g_thread_new("start", start, pool);
    point_await("scsi.vport.wait", 2);
    be_driver("/sys/class/fc_host/host10/vport_create", WWPN ":" WWNN);
    assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
    points_clear();
    found = fake_scan(pool);
    assert_string_equal(found, "unit:0:0:0");
    fake_on_write = be_driver;
    g_string_truncate(fake_written, 0);
    assert_true(cst_pool_state_stop(pool, NULL));
    assert_non_null(strstr(fake_written->str, "host10/vport_delete"));
}

static gpointer stop(gpointer pool)
{
    return GINT_TO_POINTER(cst_pool_state_stop(pool, NULL));
}

static void stop_waits_until_the_port_is_removed(void **state)
{
    g_autofree char *xml = fc_pool("");
    g_autoptr(CstPoolState) pool = fake_pool(xml);
    GThread *thread;

    scsi_vport_wait_us = G_TIME_SPAN_DAY;
    assert_true(cst_pool_state_start(pool, NULL));
    fake_on_write = NULL;
    point_watch("scsi.vport.wait");
    thread = g_thread_new("stop", stop, pool);
    point_await("scsi.vport.wait", 2);
    be_driver("/sys/class/fc_host/host10/vport_delete", WWPN ":" WWNN);
    assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
    points_clear();
}

static void assert_start_fails(CstPoolState *pool, int code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_state_start(pool, &error));
    if (!g_error_matches(error, CST_ERROR, code) || !strstr(error->message, words))
        fail_msg("%d: %s", error->code, error->message);
}

#define CREATED "/sys/class/fc_host/host10/vport_create " WWPN ":" WWNN "\n"
#define DELETED "/sys/class/fc_host/host10/vport_delete " WWPN ":" WWNN "\n"

static void port_that_does_not_appear_is_called_off(void **state)
{
    g_autofree char *xml = fc_pool("");
    g_autoptr(CstPoolState) pool = fake_pool(xml);

    scsi_vport_wait_us = -1;
    fake_on_write = NULL;
    assert_start_fails(pool, CST_ERROR_TIMEOUT, "SCSI host 10 has made no virtual port");
    assert_string_equal(fake_written->str, CREATED DELETED);
    /* A port made by another program does not belong to the pool. */
    be_driver("/sys/class/fc_host/host10/vport_create", WWPN ":" WWNN);
    g_string_truncate(fake_written, 0);
    assert_true(cst_pool_state_stop(pool, NULL));
    assert_string_equal(fake_written->str, "");
}

static void port_that_does_not_go_is_reported(void **state)
{
    g_autofree char *xml = fc_pool("");
    g_autoptr(CstPoolState) pool = fake_pool(xml);
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_state_start(pool, NULL));
    scsi_vport_wait_us = -1;
    fake_on_write = NULL;
    assert_false(cst_pool_state_stop(pool, &error));
    assert_int_equal(error->code, CST_ERROR_TIMEOUT);
    fake_on_write = be_driver;
    assert_true(cst_pool_state_stop(pool, NULL));
}

/* Only a port made by the start itself is removed. */
static void start_that_can_not_scan_removes_its_port(void **state)
{
    for (int there = FALSE; there <= TRUE; there++) {
        g_autofree char *xml = fc_pool("");
        g_autoptr(CstPoolState) pool = fake_pool(xml);

        if (there)
            be_driver("/sys/class/fc_host/host10/vport_create", WWPN ":" WWNN);
        g_string_truncate(fake_written, 0);
        fake_write_errno = EIO;
        fake_write_fails = "/host30/scan";
        assert_start_fails(pool, CST_ERROR_IO, "cannot have SCSI host 30 look for devices");
        assert_int_equal(g_str_has_prefix(fake_written->str, CREATED), !there);
        assert_int_equal(g_str_has_suffix(fake_written->str, DELETED), !there);
        fake_write_errno = 0;
        /* A later start may find the port of another program, which stays. */
        if (!there)
            be_driver("/sys/class/fc_host/host10/vport_create", WWPN ":" WWNN);
        for (int started = FALSE; started <= TRUE; started++) {
            assert_true(!started || cst_pool_state_start(pool, NULL));
            g_string_truncate(fake_written, 0);
            assert_true(cst_pool_state_stop(pool, NULL));
            assert_string_equal(fake_written->str, "");
        }
        be_driver("/sys/class/fc_host/host10/vport_delete", WWPN ":" WWNN);
    }
}

static void test_machine_without_fibre_channel(void **state)
{
    g_autofree char *xml = fc_pool("parent='scsi_host5'");
    g_autoptr(CstPoolState) pool = fake_pool(xml);
    g_autoptr(GError) error = NULL;

    kernel_drop("/sys/class/fc_host");
    assert_false(cst_pool_state_start(pool, &error));
    assert_int_equal(error->code, CST_ERROR_NOT_FOUND);
    assert_non_null(strstr(error->message, "this machine does not have one"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_fc, fake_sysfs_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(start_waits_for_the_port_of_a_slow_driver),
        TEST(stop_waits_until_the_port_is_removed),
        TEST(port_that_does_not_appear_is_called_off),
        TEST(port_that_does_not_go_is_reported),
        TEST(start_that_can_not_scan_removes_its_port),
        TEST(test_parent_of_virtual_port),
        TEST(test_virtual_port_is_removed_with_the_pool),
        TEST(test_virtual_port_in_use_stays),
        TEST(test_foreign_virtual_port_is_removed_only_if_managed),
        TEST(test_physical_port_is_never_removed),
        TEST(test_machine_without_fibre_channel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
