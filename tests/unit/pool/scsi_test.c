/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pools of a SCSI host on a simulated sysfs: adapters, LUNs, names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>

#include <base/liveness.h>
#include <pool/backend.h>

#include "await.h"
#include "fake_sysfs.h"
#include "points.h"

#define PLACE "/sys/devices/pci0000:00/0000:00:1f.2/ata3"
#define OTHER "/sys/devices/pci0000:00/0000:05:00.0"

static const char by_name[] =
    "<pool type='scsi'><name>p</name><source><adapter type='scsi_host' name='host2'/></source>"
    "<target><path>/dev/disk/by-path</path></target></pool>";
static const char by_address[] =
    "<pool type='scsi'><name>p</name><source><adapter type='scsi_host'>"
    "<parentaddr unique_id='3'><address domain='0x0000' bus='0x00' slot='0x1f' function='0x2'/>"
    "</parentaddr></adapter></source><target><path>/dev/disk/by-path</path></target></pool>";

/* Two disks of host 2, one of host 20 and a tape. */
static int set_up(void **state)
{
    fake_sysfs_set_up(state);
    fake_host(2, PLACE, 3);
    fake_host(20, OTHER, 4);
    fake_lun("2:0:0:10", "sdc", 32, 4 * CST_MIB, "naa.10");
    fake_lun("2:0:0:2", "sdb", 16, 8 * CST_MIB, "naa.2");
    fake_lun("20:0:0:0", "sdd", 48, CST_MIB, "naa.20");
    kernel_put("/sys/bus/scsi/devices/2:0:1:0/type", "1\n");
    kernel_put("/sys/bus/scsi/devices/host2/uevent", "");
    fake_name("/dev/disk/by-path/pci-0000:00:1f.2-lun-2", 16);
    fake_name("/dev/disk/by-path/pci-0000:00:1f.2-lun-2.0", 16);
    fake_name("/dev/disk/by-path/pci-0000:00:1f.2-lun-10", 32);
    return 0;
}

/* --- LUNs ------------------------------------------------------------------------------------- */

static void test_disks_are_volumes_in_order(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autofree char *found = fake_scan(pool);

    assert_string_equal(found, "unit:0:0:2 unit:0:0:10");
}

static void test_volume_has_a_name_that_lasts(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autofree char *path = cst_pool_state_vol_path(pool, "unit:0:0:2");
    g_autofree char *lost = cst_pool_state_vol_path(pool, "unit:0:0:9");

    assert_string_equal(path, "/dev/disk/by-path/pci-0000:00:1f.2-lun-2");
    assert_string_equal(lost, "/dev/disk/by-path/unit:0:0:9");
}

static void test_document_is_as_libvirt_has_it(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autofree char *xml = NULL;

    xml = fake_volume_xml(pool, "unit:0:0:2");
    assert_non_null(strstr(xml, "<volume type='block'>"));
    assert_non_null(strstr(xml, "<key>32</key>"));
    assert_non_null(strstr(xml, "<capacity unit='bytes'>8388608</capacity>"));
    assert_non_null(strstr(xml, "<allocation unit='bytes'>8388608</allocation>"));
    assert_non_null(strstr(xml, "<path>/dev/disk/by-path/pci-0000:00:1f.2-lun-2</path>"));
}

/* The key is the designator, or else udev's serial, or else the path. */
static void test_keys(void **state)
{
    static const struct {
        const char *wwid;
        const char *serial;
        const char *key;
    } rows[] = {
        {"naa.60014051\n", "1LIO", "360014051"},
        {"eui.0025385b\n", "1LIO", "20025385b"},
        {"t10.ATA disk\n", "disk_1", "disk_1"},
        {"\n", "disk_1", "disk_1"},
        {"\n", NULL, "/dev/disk/by-path/pci-0000:00:1f.2-lun-2"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstPoolState) pool = fake_pool(by_name);
        g_autofree char *xml = NULL, *wanted = NULL;

        kernel_put("/sys/bus/scsi/devices/2:0:0:2/wwid", rows[i].wwid);
        kernel_drop("/run/udev");
        if (rows[i].serial)
            kernel_put("/run/udev/8:16", rows[i].serial);
        xml = fake_volume_xml(pool, "unit:0:0:2");
        wanted = g_strdup_printf("<key>%s</key>", rows[i].key);
        assert_non_null(strstr(xml, wanted));
    }
}

static void test_any_name_of_the_device_finds_the_volume(void **state)
{
    static const char *const names[] = {"/dev/sdb", "/dev/disk/by-path/pci-0000:00:1f.2-lun-2",
                                        "/dev/disk/by-path/pci-0000:00:1f.2-lun-2.0", "32"};
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autofree char *found = NULL;

    found = fake_scan(pool);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *name = cst_pool_state_vol_resolve(pool, names[i]);

        assert_string_equal(name, "unit:0:0:2");
    }
    assert_null(cst_pool_state_vol_resolve(pool, "/dev/sdd"));
    assert_null(cst_pool_state_vol_resolve(pool, "33"));
}

static void test_device_without_a_cached_record_is_found(void **state)
{
    g_autoptr(CstPoolState) by_path = fake_pool(by_name), by_key = fake_pool(by_name);
    g_autofree char *name = cst_pool_state_vol_resolve(by_path, "/dev/sdc");
    g_autofree char *same = cst_pool_state_vol_resolve(by_key, "310");
    g_autofree char *new = NULL;

    assert_string_equal(name, "unit:0:0:10");
    assert_string_equal(same, "unit:0:0:10");
    fake_lun("2:0:0:11", "sdf", 80, CST_MIB, "naa.11");
    new = cst_pool_state_vol_resolve(by_path, "/dev/sdf");
    assert_string_equal(new, "unit:0:0:11");
}

/* Two sessions with a portal share the names, and reach the same LUN. */
static void test_name_of_another_way_to_the_lun_will_do(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autofree char *path = NULL, *found = NULL;

    fake_lun("20:0:0:7", "sde", 64, 4 * CST_MIB, "naa.10");
    fake_name("/dev/disk/by-path/pci-0000:00:1f.2-lun-10", 64);
    found = fake_scan(pool);
    assert_string_equal(found, "unit:0:0:2 unit:0:0:10");
    path = cst_pool_state_vol_path(pool, "unit:0:0:10");
    assert_string_equal(path, "/dev/disk/by-path/pci-0000:00:1f.2-lun-10");
}

static void test_disk_without_a_name_that_lasts_has_a_problem(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autofree char *path = NULL, *found = NULL;

    kernel_drop("/dev/disk/by-path/pci-0000:00:1f.2-lun-10");
    found = fake_scan(pool);
    assert_non_null(strstr(found, "unit:0:0:10!udev has no name for '/dev/sdc'"));
    path = cst_pool_state_vol_path(pool, "unit:0:0:10");
    assert_string_equal(path, "/dev/sdc");
}

static void test_target_dev_gives_the_kernels_names(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(
        "<pool type='scsi'><name>p</name><source><adapter type='scsi_host' name='host2'/></source>"
        "<target><path>/dev</path></target></pool>");
    g_autofree char *found = fake_scan(pool);
    g_autofree char *path = cst_pool_state_vol_path(pool, "unit:0:0:10");

    assert_string_equal(found, "unit:0:0:2 unit:0:0:10");
    assert_string_equal(path, "/dev/sdc");
}

static void test_target_elsewhere_is_refused(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(
        "<pool type='scsi'><name>p</name><source><adapter type='scsi_host' name='host2'/></source>"
        "<target><path>/devil</path></target></pool>",
        0, &error);

    assert_null(cst_pool_state_open(def, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_INVALID);
}

static void test_lun_that_is_offline_has_a_problem(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autofree char *found = NULL;

    kernel_put("/sys/bus/scsi/devices/2:0:0:2/state", "offline\n");
    found = fake_scan(pool);
    assert_string_equal(found,
                        "unit:0:0:2!the kernel has the device in state 'offline' unit:0:0:10");
}

/* Invalid or missing content of the kernel's files. */
static void test_odd_entries_are_no_volumes(void **state)
{
    static const struct {
        const char *path;
        const char *text;
    } rows[] = {
        {"/sys/bus/scsi/devices/2:0:0:2/type", ""},
        {"/sys/bus/scsi/devices/2:0:0:2/type", "12\n"},
        {"/sys/bus/scsi/devices/2:0:0:2/type", "-1\n"},
        {"/sys/bus/scsi/devices/2:0:0:2/block/sdb/dev", "8\n"},
        {"/sys/bus/scsi/devices/2:0:0:2/block/sdb/dev", ""},
        {"/sys/bus/scsi/devices/2:0:0:2/block/sdb/size", "many\n"},
        {"/sys/bus/scsi/devices/2:0:0:2/block/sdb/size", "18446744073709551615\n"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstPoolState) pool = fake_pool(by_name);
        g_autofree char *found = NULL;

        kernel_drop("/sys/bus/scsi/devices/2:0:0:2");
        kernel_drop("/sys/dev/block/8:16");
        fake_lun("2:0:0:2", "sdb", 16, 8 * CST_MIB, "naa.2");
        kernel_put(rows[i].path, rows[i].text);
        found = fake_scan(pool);
        assert_string_equal(found, "unit:0:0:10");
    }
}

static void test_odd_names_are_no_luns(void **state)
{
    static const char *const names[] = {"2:0:0:5:1", "2:0:0:5x", "2:0:0", "2:0:0:-", "target2:0:0"};
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autofree char *found = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        fake_lun(names[i], "sdx", 96, CST_MIB, "naa.96");
    found = fake_scan(pool);
    assert_string_equal(found, "unit:0:0:2 unit:0:0:10");
}

static void test_long_lun_and_optical_drive(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autofree char *found = NULL;

    fake_lun("2:0:3:4611686018427387904", "sr0", 64, 0, "naa.5");
    kernel_put("/sys/bus/scsi/devices/2:0:3:4611686018427387904/type", "5\n");
    fake_name("/dev/disk/by-path/pci-0000:00:1f.2-lun-long", 64);
    found = fake_scan(pool);
    assert_string_equal(found, "unit:0:0:2 unit:0:0:10 unit:0:3:4611686018427387904");
}

static void test_usage_is_the_sum(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    CstPoolUsage usage;

    assert_true(cst_pool_state_usage(pool, &usage, NULL));
    assert_int_equal(usage.capacity, 12 * CST_MIB);
    assert_int_equal(usage.allocation, 12 * CST_MIB);
    assert_int_equal(usage.available, 0);
}

/* --- content ---------------------------------------------------------------------------------- */

static void test_open_reads_the_device(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autoptr(CstBlob) blob = cst_pool_state_vol_open(pool, "unit:0:0:10", TRUE, NULL);
    char text[5];

    assert_true(cst_blob_pread(blob, text, sizeof(text), 0, NULL));
    assert_memory_equal(text, "8:32\n", sizeof(text));
}

static void test_open_of_a_missing_volume_fails(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autoptr(GError) error = NULL;

    assert_null(cst_pool_state_vol_open(pool, "unit:0:0:11", FALSE, &error));
    assert_int_equal(error->code, CST_ERROR_NO_VOL);
}

/* The opened node refers to another disk than sysfs reports. */
static void test_open_notices_a_node_that_changed_hands(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autoptr(GError) error = NULL;

    kernel_put("/dev/sdb", "8:48\n");
    assert_null(cst_pool_state_vol_open(pool, "unit:0:0:2", TRUE, &error));
    assert_int_equal(error->code, CST_ERROR_BUSY);
}

static void test_create_and_delete_are_unsupported(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_state_check_create(pool, &error));
    assert_int_equal(error->code, CST_ERROR_NO_SUPPORT);
    g_clear_error(&error);
    assert_false(cst_pool_state_delete(pool, "unit:0:0:2", 0, &error));
    assert_int_equal(error->code, CST_ERROR_NO_SUPPORT);
    g_clear_error(&error);
    assert_false(cst_pool_state_destroy(pool, 0, &error));
    assert_int_equal(error->code, CST_ERROR_NO_SUPPORT);
}

/* --- adapters --------------------------------------------------------------------------------- */

static void test_adapter_by_address(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_address);
    g_autofree char *found = NULL, *none = NULL;

    /* The same PCI function has another host, and the host number differs after a restart. */
    kernel_drop("/sys/class/scsi_host/host2");
    fake_host(5, PLACE, 2);
    fake_host(7, PLACE, 3);
    fake_lun("5:0:0:0", "sde", 64, CST_MIB, "naa.50");
    fake_lun("7:0:1:0", "sdf", 80, CST_MIB, "naa.70");
    fake_name("/dev/disk/by-path/pci-0000:00:1f.2-lun-0", 80);
    found = fake_scan(pool);
    assert_string_equal(found, "unit:0:1:0");
    kernel_drop("/sys/class/scsi_host/host7");
    none = fake_scan(pool);
    assert_non_null(
        strstr(none, "there is no SCSI host with unique_id 3 at PCI address 0000:00:1f.2"));
}

static void test_adapter_names(void **state)
{
    static const struct {
        const char *name;
        const char *said; /* NULL: it is host 2 */
    } rows[] = {
        {"host2", NULL},
        {"scsi_host2", NULL},
        {"fc_host2", NULL},
        {"host9", "there is no SCSI host 'host9'"},
        {"2", "invalid adapter name '2'"},
        {"host2x", "invalid adapter name 'host2x'"},
        {"host", "invalid adapter name 'host'"},
        {"../host2", "invalid adapter name"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *xml = g_strdup_printf(
            "<pool type='scsi'><name>p</name><source><adapter type='scsi_host' name='%s'/></source>"
            "<target><path>/dev/disk/by-path</path></target></pool>",
            rows[i].name);
        g_autoptr(CstPoolState) pool = fake_pool(xml);
        g_autofree char *found = fake_scan(pool);
        gboolean active;

        assert_true(cst_pool_state_check(pool, &active, NULL));
        assert_int_equal(active, rows[i].said == NULL);
        assert_non_null(strstr(found, rows[i].said ? rows[i].said : "unit:0:0:2 unit:0:0:10"));
    }
}

static void test_start_rescans_the_host(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);

    assert_true(cst_pool_state_start(pool, NULL));
    assert_string_equal(fake_written->str, "/sys/bus/scsi/devices/2:0:0:2/rescan 1\n"
                                           "/sys/bus/scsi/devices/2:0:0:10/rescan 1\n"
                                           "/sys/class/scsi_host/host2/scan - - -\n");
    assert_int_equal(fake_settled, 1);
    assert_true(cst_pool_state_stop(pool, NULL));
}

static void appear(const char *path, const char *text)
{
    if (g_str_has_suffix(path, "/scan"))
        fake_lun("2:0:0:11", "sdf", 80, CST_MIB, "naa.11");
}

static void test_refresh_finds_an_added_device(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autofree char *found = NULL;

    fake_on_write = appear;
    fake_name("/dev/disk/by-path/pci-0000:00:1f.2-lun-11", 80);
    assert_true(cst_pool_state_rescan_bus(pool, NULL, NULL));
    found = fake_scan(pool);
    assert_string_equal(found, "unit:0:0:2 unit:0:0:10 unit:0:0:11");
}

static void test_failed_rescan_of_the_kernel_is_reported(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);
    g_autoptr(GError) error = NULL;

    fake_write_errno = EACCES;
    assert_false(cst_pool_state_rescan_bus(pool, NULL, &error));
    assert_non_null(strstr(error->message, "cannot have SCSI host 2 look for devices"));
}

/* --- identity --------------------------------------------------------------------------------- */

static void test_another_adapter_of_the_number_is_refused(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name), later = fake_pool(by_name);
    g_autofree char *identity = NULL, *found = NULL, *refused = NULL;
    gboolean active;

    assert_true(cst_pool_state_expect(pool, NULL, TRUE, NULL));
    identity = cst_pool_state_identity(pool, NULL);
    assert_string_equal(identity, "scsi=" PLACE "\n");
    assert_true(cst_pool_state_expect(later, identity, FALSE, NULL));
    found = fake_scan(later);
    assert_string_equal(found, "unit:0:0:2 unit:0:0:10");
    kernel_drop("/sys/class/scsi_host/host2");
    fake_host(2, OTHER, 1);
    refused = fake_scan(later);
    assert_non_null(strstr(refused, "SCSI host 2 is now the adapter at '" OTHER "'"));
    assert_true(cst_pool_state_check(later, &active, NULL));
    assert_false(active);
}

/* --- LUNs that hang --------------------------------------------------------------------------- */

static const char of_one_lun[] =
    "<pool type='scsi'><name>p</name><source><adapter type='scsi_host' name='host20'/></source>"
    "<target><path>/dev</path></target></pool>";

/* Released LUNs end the reads of earlier tests. */
static int tear_down(void **state)
{
    points_clear();
    g_atomic_pointer_set(&kernel_hanging, NULL);
    return fake_sysfs_tear_down(state);
}

static gboolean touch(CstPoolState *pool)
{
    return pool->backend->touch(pool->def, NULL);
}

static gpointer touch_thread(gpointer pool)
{
    return GINT_TO_POINTER(touch(pool));
}

static void calls_fail_while_each_lun_hangs(void **state)
{
    const struct CstLivenessTimes before = cst_liveness_times;
    g_autoptr(CstPoolState) pool = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *refused = NULL, *found = NULL;

    cst_liveness_times = (struct CstLivenessTimes){.patience = 1000, .period = 1000};
    pool = fake_pool(of_one_lun);
    g_atomic_pointer_set(&kernel_hanging, "/dev/sdd");
    AWAIT(!cst_pool_state_answers(pool, NULL));
    refused = fake_scan(pool);
    assert_non_null(strstr(refused, "has not answered"));
    assert_false(cst_pool_state_answers(pool, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_UNREACHABLE);
    g_atomic_pointer_set(&kernel_hanging, NULL);
    AWAIT(cst_pool_state_answers(pool, NULL));
    cst_liveness_times = before;
    found = fake_scan(pool);
    assert_string_equal(found, "unit:0:0:0");
}

static void probe_waits_for_the_only_lun(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(of_one_lun);
    GThread *thread;

    g_atomic_pointer_set(&kernel_hanging, "/dev/sdd");
    point_watch("device.touch.wait");
    thread = g_thread_new("touch", touch_thread, pool);
    AWAIT(point_passed("device.touch.wait") > 0);
    g_atomic_pointer_set(&kernel_hanging, NULL);
    assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
}

/* The hanging LUN is read by one thread, however long it hangs. */
static void one_lun_that_answers_is_enough(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(by_name);

    point_watch("device.touch.begin");
    g_atomic_pointer_set(&kernel_hanging, "/dev/sdc");
    assert_true(touch(pool));
    assert_int_equal(point_passed("device.touch.begin"), 2);
    assert_true(touch(pool));
    assert_int_equal(point_passed("device.touch.begin"), 3);
}

static void lun_with_a_problem_is_not_probed(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(of_one_lun);

    kernel_put("/sys/bus/scsi/devices/20:0:0:0/state", "offline\n");
    g_atomic_pointer_set(&kernel_hanging, "/dev/sdd");
    assert_true(touch(pool));
}

static void failed_lun_and_missing_host_are_answers(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(of_one_lun);

    kernel_open_errno = EIO;
    assert_true(touch(pool));
    kernel_open_errno = 0;
    kernel_drop("/sys/class/scsi_host/host20");
    assert_true(touch(pool));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_disks_are_volumes_in_order),
        TEST(test_volume_has_a_name_that_lasts),
        TEST(test_document_is_as_libvirt_has_it),
        TEST(test_keys),
        TEST(test_any_name_of_the_device_finds_the_volume),
        TEST(test_device_without_a_cached_record_is_found),
        TEST(test_name_of_another_way_to_the_lun_will_do),
        TEST(test_disk_without_a_name_that_lasts_has_a_problem),
        TEST(test_target_dev_gives_the_kernels_names),
        TEST(test_target_elsewhere_is_refused),
        TEST(test_lun_that_is_offline_has_a_problem),
        TEST(test_odd_entries_are_no_volumes),
        TEST(test_odd_names_are_no_luns),
        TEST(test_long_lun_and_optical_drive),
        TEST(test_usage_is_the_sum),
        TEST(test_open_reads_the_device),
        TEST(test_open_of_a_missing_volume_fails),
        TEST(test_open_notices_a_node_that_changed_hands),
        TEST(test_create_and_delete_are_unsupported),
        TEST(test_adapter_by_address),
        TEST(test_adapter_names),
        TEST(test_start_rescans_the_host),
        TEST(test_refresh_finds_an_added_device),
        TEST(test_failed_rescan_of_the_kernel_is_reported),
        TEST(test_another_adapter_of_the_number_is_refused),
        TEST(calls_fail_while_each_lun_hangs),
        TEST(probe_waits_for_the_only_lun),
        TEST(one_lun_that_answers_is_enough),
        TEST(lun_with_a_problem_is_not_probed),
        TEST(failed_lun_and_missing_host_are_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
