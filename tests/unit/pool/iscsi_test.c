/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* iSCSI pools: login, logout, ownership of sessions, lost sessions, discovery. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/units.h>

#include "iscsi/iscsi.h"
#include "iscsi_site.h"

/* The name is that of cst_file_replace(). */
#define UNFINISHED PLAIN ".0123abcd.new"

/* --- login and logout ------------------------------------------------------------------------- */

static void test_start_logs_in_and_stop_removes_all(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);
    g_autofree char *told = NULL;

    assert_false(site_is_active(pool));
    site_start(pool);
    assert_true(site_is_active(pool));
    told = site_calls();
    assert_string_equal(
        told, "-m iface\n"
              "-m iface -I " PLAIN " -o new\n"
              "-m discovery -t sendtargets -p 127.0.0.1:3260 -o nonpersistent -I " PLAIN "\n"
              "-m node -T " IQN " -p 127.0.0.1:3260,7 -I " PLAIN " -o new\n"
              "-m node -T " IQN " -p 127.0.0.1:3260,7 -I " PLAIN " -o update -n node.startup "
              "-v manual -n node.session.initial_login_retry_max -v 2\n"
              "-m node -T " IQN " -p 127.0.0.1:3260,7 -I " PLAIN " --login\n");
    assert_string_equal(fake_written->str, "/sys/class/scsi_host/host11/scan - - -\n");
    site_stop(pool);
    assert_false(site_is_active(pool));
    assert_nothing_left();
}

static void test_start_of_an_active_pool_only_reads_the_interfaces(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);
    g_autofree char *told = NULL;

    site_start(pool);
    g_free(site_calls());
    site_start(pool);
    told = site_calls();
    assert_string_equal(told, "-m iface\n");
    site_stop(pool);
    site_stop(pool);
    assert_nothing_left();
}

static void test_pools_of_one_initiator_share_its_interface(void **state)
{
    static const char with[] = ONE_HOST "<initiator><iqn name='iqn.2026-01.lab:a'/></initiator>";
    g_autoptr(CstPoolState) pool = site_pool(with);
    g_autofree char *name = NULL, *initiator = NULL, *file = NULL, *other = NULL;

    site_start(pool);
    name = site_list("/etc/iscsi/ifaces");
    assert_true(g_str_has_prefix(name, "libvirt-iface-"));
    assert_int_equal(strlen(name), strlen(PLAIN));
    file = g_strconcat("/etc/iscsi/ifaces/", name, NULL);
    initiator = site_read(file);
    assert_string_equal(initiator, "iqn.2026-01.lab:a\n");
    /* Another target of the same initiator. */
    other = g_strdup_printf("/etc/iscsi/nodes/iqn.other/10.0.0.1,3260,1/%s", name);
    kernel_put(other, "");
    site_stop(pool);
    assert_list("/etc/iscsi/ifaces", name);
    assert_list("/etc/iscsi/nodes", "iqn.other");
}

/* Such an interface is left by libvirt, or by a start that was killed before it set the name. */
static void test_existing_interface_is_used(void **state)
{
    static const char with[] = ONE_HOST "<initiator><iqn name='iqn.2026-01.lab:a'/></initiator>";
    g_autoptr(CstPoolState) pool = site_pool(with);

    kernel_put("/etc/iscsi/ifaces/admin", "iqn.2026-01.lab:a\n");
    kernel_put("/etc/iscsi/ifaces/libvirt-iface-0000000b", "iqn.2026-01.lab:b\n");
    kernel_put("/etc/iscsi/ifaces/libvirt-iface-0000000a", "");
    site_start(pool);
    assert_list("/etc/iscsi/ifaces", "admin libvirt-iface-0000000a libvirt-iface-0000000b");
    assert_true(site_is_active(pool));
    site_stop(pool);
    assert_list("/etc/iscsi/ifaces", "admin libvirt-iface-0000000b");
}

static void log_in_as_admin(void)
{
    kernel_put("/etc/iscsi/nodes/" IQN "/127.0.0.1,3260,7/default", "");
    kernel_put("/sys/devices/platform/host40/session30/iscsi_session/session30/targetname",
               IQN "\n");
    kernel_put("/sys/devices/platform/host40/session30/iscsi_session/session30/ifacename",
               "default\n");
    kernel_put("/sys/devices/platform/host40/session30/iscsi_session/session30/initiatorname",
               "iqn.2026-01.lab:host\n");
    kernel_put("/sys/devices/platform/host40/session30/iscsi_session/session30/state",
               "LOGGED_IN\n");
    kernel_link("/sys/class/iscsi_session/session30",
                "/sys/devices/platform/host40/session30/iscsi_session/session30");
    fake_lun("40:0:0:1", "sdb", 16, 8 * CST_MIB, "naa.1");
    fake_name(BY_PATH, 16);
}

static void test_session_of_another_program_is_used_and_kept(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);
    g_autofree char *told = NULL, *found = NULL;

    log_in_as_admin();
    site_start(pool);
    told = site_read("/log");
    assert_string_equal(told, "");
    found = fake_scan(pool);
    assert_string_equal(found, "unit:0:0:1");
    site_stop(pool);
    assert_list("/sys/class/iscsi_session", "session30");
    assert_list("/etc/iscsi/nodes/" IQN "/127.0.0.1,3260,7", "default");
}

/* The target may have other LUNs for another initiator. */
static void test_session_of_another_initiator_is_not_used(void **state)
{
    static const char with[] = ONE_HOST "<initiator><iqn name='iqn.2026-01.lab:a'/></initiator>";
    g_autoptr(CstPoolState) pool = site_pool(with);

    log_in_as_admin();
    assert_false(site_is_active(pool));
    site_start(pool);
    assert_list("/sys/class/iscsi_session", "session1 session30");
    site_stop(pool);
    assert_list("/sys/class/iscsi_session", "session30");
    assert_list("/etc/iscsi/nodes/" IQN "/127.0.0.1,3260,7", "default");
}

static void test_several_portals(void **state)
{
    g_autoptr(CstPoolState) pool =
        site_pool("<host name='127.0.0.9' port='99'/><host name='127.0.0.2'/>" ONE_HOST);
    g_autofree char *told = NULL;

    site_lie("make", "0"); /* status 0, but no record is made, and each login fails */
    assert_start_fails(pool, CST_ERROR_NOT_FOUND, "iscsiadm");
    assert_list("/sys/class/iscsi_session", "");
    kernel_drop("/lie");
    site_start(pool);
    /*
     * The first portal has another address in the discovery because of address translation, so its
     * group is used.
     */
    assert_list("/etc/iscsi/nodes/" IQN, "127.0.0.1,3260,7 127.0.0.2,3260,8 127.0.0.9,99,7");
    assert_list("/sys/class/iscsi_session", "session1 session2 session3");
    site_stop(pool);
    assert_nothing_left();
}

static void test_one_portal_is_enough(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool("<host name='no host of this name.'/>" ONE_HOST);

    site_start(pool);
    assert_list("/sys/class/iscsi_session", "session1");
    site_stop(pool);
    assert_nothing_left();
}

/* The failures of a start and their errors. The attempt leaves no objects. */
static void test_failures_of_a_start(void **state)
{
    static const struct {
        const char *operation;
        const char *how;
        int code;
        const char *words;
    } rows[] = {
        {"ifaces", "6", CST_ERROR_FAILED, "this is how it fails"},
        {"iface-new", "6", CST_ERROR_FAILED, "status 6"},
        {"discovery", "4", CST_ERROR_UNREACHABLE, "this is how it fails"},
        {"discovery", "21", CST_ERROR_NOT_FOUND, "has no target '" IQN "'"},
        {"discovery", "0", CST_ERROR_NOT_FOUND, "has no target '" IQN "'"},
        {"discovery", "hang", CST_ERROR_UNREACHABLE, "did not finish"},
        {"make", "7", CST_ERROR_FAILED, "status 7"},
        {"update", "6", CST_ERROR_FAILED, "status 6"},
        {"login", "24", CST_ERROR_AUTH, "refuses the user or the secret"},
        {"login", "19", CST_ERROR_AUTH, "cannot authenticate itself"},
        {"login", "8", CST_ERROR_UNREACHABLE, "this is how it fails"},
        {"login", "20", CST_ERROR_STATE, "iscsid does not run"},
        {"login", "12", CST_ERROR_UNSUPPORTED, "iscsi_tcp"},
        {"login", "77", CST_ERROR_FAILED, "status 77"},
        {"login", "hang", CST_ERROR_UNREACHABLE, "did not finish"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);

        iscsi_host.discover_s = iscsi_host.login_s = strcmp(rows[i].how, "hang") == 0 ? 1 : 20;
        site_lie(rows[i].operation, rows[i].how);
        assert_start_fails(pool, rows[i].code, rows[i].words);
        kernel_drop("/lie");
        assert_nothing_left();
    }
}

static void test_host_without_the_tool(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);

    g_setenv("PATH", "/nowhere", TRUE);
    if (g_file_test("/usr/sbin/iscsiadm", G_FILE_TEST_EXISTS))
        skip();
    assert_start_fails(pool, CST_ERROR_UNSUPPORTED, "install package 'open-iscsi'");
    kernel_drop("/etc/iscsi");
    assert_start_fails(pool, CST_ERROR_UNSUPPORTED, "install package 'open-iscsi'");
}

static void test_login_that_claims_success(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);

    site_lie("login", "0");
    assert_start_fails(pool, CST_ERROR_FAILED, "claims to have logged in");
    assert_nothing_left();
}

static void test_logout_that_fails_leaves_the_pool_as_it_is(void **state)
{
    static const char *const operations[] = {"logout", "forget", "tree", "iface-delete"};

    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);
        g_autoptr(GError) error = NULL;

        site_start(pool);
        site_lie(operations[i], "10");
        assert_false(cst_pool_state_stop(pool, &error));
        assert_non_null(strstr(error->message, "this is how it fails"));
        assert_int_equal(site_is_active(pool), i == 0);
        kernel_drop("/lie");
        site_stop(pool);
        assert_nothing_left();
    }
}

static void test_disk_in_use_keeps_the_session(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);
    g_autoptr(GError) error = NULL;

    site_start(pool);
    fake_lun("11:0:0:1", "sdb", 16, 8 * CST_MIB, "naa.1");
    fake_holder = "mounted on '/srv'";
    assert_false(cst_pool_state_stop(pool, &error));
    assert_int_equal(error->code, CST_ERROR_BUSY);
    assert_non_null(strstr(error->message, "mounted on '/srv'"));
    assert_true(site_is_active(pool));
    fake_holder = NULL;
    site_stop(pool);
}

/* Killed when only the record existed. */
static void test_leftovers_of_a_dead_process_are_adopted(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);

    kernel_put("/etc/iscsi/ifaces/" PLAIN, "");
    kernel_put("/etc/iscsi/nodes/" IQN "/127.0.0.1,3260,7/" PLAIN, "# BEGIN RECORD\n");
    site_start(pool);
    assert_list("/sys/class/iscsi_session", "session1");
    site_stop(pool);
    assert_nothing_left();
}

/* The temporary file of a killed writer would prevent the removal of the directory. */
static void test_unfinished_record_is_removed_at_the_stop(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);

    assert_true(cst_file_is_temporary(UNFINISHED));
    site_start(pool);
    kernel_put("/etc/iscsi/nodes/" IQN "/127.0.0.1,3260,7/" UNFINISHED, "");
    site_stop(pool);
    assert_nothing_left();
}

static void test_definitions_that_cannot_be(void **state)
{
    static const struct {
        const char *source;
        const char *words;
    } rows[] = {
        {"<device path='" IQN "'/>", "missing source host"},
        {ONE_HOST, "missing source device"},
        {ONE_HOST "<device path='a'/><device path='b'/>", "missing source device"},
        {ONE_HOST "<device path='../../a'/>", "'../../a' is no name of an iSCSI target"},
        {ONE_HOST "<device path='iqn.a b'/>", "is no name"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *xml = g_strdup_printf(
            "<pool type='iscsi'><name>p</name><source>%s</source><target><path>/dev</path></target>"
            "</pool>",
            rows[i].source);
        g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
        g_autoptr(GError) error = NULL;

        if (!def)
            continue; /* refused by the parser */
        assert_null(cst_pool_state_open(def, NULL, &error));
        assert_non_null(strstr(error->message, rows[i].words));
    }
}

/* --- lost sessions ---------------------------------------------------------------------------- */

static void test_lost_session_is_the_problem_of_its_volumes(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);
    g_autofree char *lost = NULL, *gone = NULL, *found = NULL;

    site_start(pool);
    fake_lun("11:0:0:1", "sdb", 16, 8 * CST_MIB, "naa.1");
    fake_name(BY_PATH, 16);
    site_set_state(1, "FAILED\n");
    lost = fake_scan(pool);
    assert_string_equal(lost, "the session with target '" IQN "' at '127.0.0.1' is lost (FAILED)");
    assert_true(site_is_active(pool));
    site_set_state(1, "LOGGED_IN\n");
    found = fake_scan(pool);
    assert_string_equal(found, "unit:0:0:1");
    kernel_drop("/sys/class/iscsi_session/session1");
    gone = fake_scan(pool);
    assert_non_null(strstr(gone, "there is no session with target '" IQN "' any more"));
    assert_false(site_is_active(pool));
}

/* Both sessions have the same LUN; a working one is used. */
static void test_second_session_replaces_a_failed_one(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST "<host name='127.0.0.2'/>");
    g_autofree char *first = NULL, *second = NULL, *one = NULL, *other = NULL;
    CstPoolUsage usage;

    site_start(pool);
    fake_lun("11:0:0:1", "sdb", 16, 8 * CST_MIB, "naa.1");
    fake_lun("12:0:0:1", "sdc", 32, 8 * CST_MIB, "naa.1");
    fake_name(BY_PATH, 16);
    fake_name("/dev/disk/by-path/ip-127.0.0.2:3260-iscsi-" IQN "-lun-1", 32);
    one = fake_scan(pool);
    assert_string_equal(one, "unit:0:0:1");
    first = cst_pool_state_vol_path(pool, "unit:0:0:1");
    assert_string_equal(first, BY_PATH);
    assert_true(cst_pool_state_usage(pool, &usage, NULL));
    assert_int_equal(usage.capacity, 8 * CST_MIB);
    site_set_state(1, "FAILED\n");
    other = fake_scan(pool);
    assert_string_equal(other, "unit:0:0:1");
    second = cst_pool_state_vol_path(pool, "unit:0:0:1");
    assert_string_equal(second, "/dev/disk/by-path/ip-127.0.0.2:3260-iscsi-" IQN "-lun-1");
}

static void test_refresh_uses_the_working_sessions(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST "<host name='127.0.0.2'/>");

    site_start(pool);
    site_set_state(1, "FAILED\n");
    g_string_truncate(fake_written, 0);
    assert_true(cst_pool_state_rescan_bus(pool, NULL, NULL));
    assert_string_equal(fake_written->str, "/sys/class/scsi_host/host12/scan - - -\n");
}

/* --- discovery -------------------------------------------------------------------------------- */

static char *discover(const char *source, GError **error)
{
    CstPoolSource spec;
    g_autoptr(GArray) found = g_array_new(FALSE, TRUE, sizeof(CstPoolSource));
    char *xml = NULL;

    assert_true(cst_pool_source_parse(source, CST_POOL_ISCSI, &spec, NULL));
    if (cst_iscsi_backend.discover(&spec, found, error))
        xml = cst_pool_source_list_format((const CstPoolSource *)found->data, found->len,
                                          CST_POOL_ISCSI, NULL);
    for (guint i = 0; i < found->len; i++)
        cst_pool_source_clear(&g_array_index(found, CstPoolSource, i));
    cst_pool_source_clear(&spec);
    return xml;
}

static void test_discovery_lists_each_target_once(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL, *told = NULL;

    kernel_put("/offers", "127.0.0.1:3260,1 iqn.a\n[fe80::1]:3260,2 iqn.a\n"
                          "127.0.0.1:3260,1 iqn.b\nrubbish\n");
    xml = discover("<source><host name='127.0.0.1'/>"
                   "<initiator><iqn name='iqn.me'/></initiator></source>",
                   &error);
    assert_null(error);
    assert_non_null(strstr(xml, "<device path='iqn.a'/>"));
    assert_non_null(strstr(xml, "<device path='iqn.b'/>"));
    assert_ptr_equal(strstr(xml, "iqn.a"), g_strrstr(xml, "iqn.a"));
    assert_non_null(strstr(xml, "<iqn name='iqn.me'/>"));
    told = site_calls();
    assert_null(strstr(told, "-o new -"));
    assert_nothing_left();
}

static void test_discovery_needs_one_host(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_iscsi_backend.discover(NULL, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_INVALID);
    g_clear_error(&error);
    assert_null(discover("<source/>", &error));
    assert_non_null(strstr(error->message, "hostname must be specified"));
    g_clear_error(&error);
    assert_null(discover("<source><host name='a'/><host name='b'/></source>", &error));
    assert_non_null(strstr(error->message, "Expected exactly 1 host"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_set_up, site_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_start_logs_in_and_stop_removes_all),
        TEST(test_start_of_an_active_pool_only_reads_the_interfaces),
        TEST(test_pools_of_one_initiator_share_its_interface),
        TEST(test_existing_interface_is_used),
        TEST(test_session_of_another_program_is_used_and_kept),
        TEST(test_session_of_another_initiator_is_not_used),
        TEST(test_several_portals),
        TEST(test_one_portal_is_enough),
        TEST(test_failures_of_a_start),
        TEST(test_host_without_the_tool),
        TEST(test_login_that_claims_success),
        TEST(test_logout_that_fails_leaves_the_pool_as_it_is),
        TEST(test_disk_in_use_keeps_the_session),
        TEST(test_leftovers_of_a_dead_process_are_adopted),
        TEST(test_unfinished_record_is_removed_at_the_stop),
        TEST(test_definitions_that_cannot_be),
        TEST(test_lost_session_is_the_problem_of_its_volumes),
        TEST(test_second_session_replaces_a_failed_one),
        TEST(test_refresh_uses_the_working_sessions),
        TEST(test_discovery_lists_each_target_once),
        TEST(test_discovery_needs_one_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
