/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_lvm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

/* Only a hanging tool gets a short timeout, because a busy host must not cause a failure. */
void fake_lie(const char *tool, const char *how)
{
    g_autofree char *name = g_strconcat("lie/", tool, NULL);

    lvm_host.report_s = lvm_host.change_s = 60;
    if (strcmp(how, "hang") == 0 || strcmp(how, "stall") == 0)
        *(strcmp(tool, "lvm") == 0 || strcmp(tool, "thin_delta") == 0 ? &lvm_host.report_s
                                                                      : &lvm_host.change_s) = 1;
    fake_put(name, how);
}

void fake_add(const char *name, uint64_t size, const char *attr, const char *origin,
              const char *tags)
{
    g_autofree char *file = g_strconcat("lvs/", name, NULL);
    g_autofree char *device = g_strconcat("dev/vg/", name, NULL);
    g_autofree char *path = fake_path(device);
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT "\n%s\n%s\n%s\n%s\n", size, attr,
                                            origin, attr[0] == 'V' ? "tp" : "", tags);

    fake_put(file, text);
    fake_put(device, "");
    assert_int_equal(truncate(path, (off_t)size), 0);
}

gboolean fake_has(const char *lv)
{
    g_autofree char *file = g_strconcat("lvs/", lv, NULL);
    g_autofree char *path = fake_path(file);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

guint fake_count(void)
{
    return fake_count_in("lvs");
}

CstPoolState *fake_pool(const char *options)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='logical' xmlns:c='urn:cistern:storage:1.0'><name>vg</name>"
                        "<source><device path='/dev/sda'/><name>vg</name></source>%s</pool>",
                        options);

    return fake_open(xml);
}

/*
 * Returns the content of "map/NAME", or else the table that LVM would load for an LV at extent 2 of
 * /dev/null.
 */
static gboolean fake_mapping(const char *path, LvmMapping *ret_mapping)
{
    const char *lv = strrchr(path, '/') + 1;
    g_autofree char *map = g_strconcat("map/", lv, NULL), *map_file = fake_path(map);
    g_autofree char *entry = g_strconcat("lvs/", lv, NULL), *entry_file = fake_path(entry);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(entry_file, &text, NULL, NULL))
        return FALSE;
    lines = g_strsplit(text, "\n", -1);
    *ret_mapping = (LvmMapping){.group_uuid = g_strdup("uuid-vg")};
    ret_mapping->uuid = g_strconcat("uuid-", lv, NULL);
    if (g_file_get_contents(map_file, &ret_mapping->table, NULL, NULL))
        return TRUE;
    ret_mapping->table =
        g_strdup_printf("0 %" G_GUINT64_FORMAT " %s\n", g_ascii_strtoull(lines[0], NULL, 10) / 512,
                        lines[1][0] == '-'   ? "linear 1:3 18432"
                        : lines[1][0] == 'V' ? "thin 254:7 1"
                                             : "snapshot-origin 254:8");
    return TRUE;
}

/* "held" exists while the kernel keeps the metadata of the only thin pool. */
static gboolean fake_pool_held(const char *path, gboolean *ret_held, GError **error)
{
    g_autofree char *held = fake_path("held");

    assert_true(g_str_has_suffix(path, "/dev/mapper/vg-tp-tpool"));
    *ret_held = g_file_test(held, G_FILE_TEST_EXISTS);
    return TRUE;
}

/* The content of "status", without the last line feed. NOT_FOUND without that file. */
static gboolean fake_status(const char *path, char **ret_status, GError **error)
{
    g_autofree char *file = fake_path("status");
    g_autofree char *text = NULL;

    if (!g_file_get_contents(file, &text, NULL, NULL))
        return cst_fail(error, CST_ERROR_NOT_FOUND, "there is no device '%s'", path);
    *ret_status = g_strdup(g_strchomp(text));
    return TRUE;
}

/* "dmeventd" exists while the service runs. */
static gboolean fake_dmeventd_runs(void)
{
    g_autofree char *file = fake_path("dmeventd");

    return g_file_test(file, G_FILE_TEST_EXISTS);
}

static gboolean fake_pool_message(const char *path, const char *message, GError **error)
{
    g_autofree char *held = fake_path("held"), *refused = fake_path("refused");
    gboolean is_held = g_file_test(held, G_FILE_TEST_EXISTS);

    assert_true(g_str_has_suffix(path, "/dev/mapper/vg-tp-tpool"));
    if (g_file_test(refused, G_FILE_TEST_EXISTS))
        return cst_fail(error, CST_ERROR_FAILED, "the kernel refuses");
    if (strcmp(message, "reserve_metadata_snap") == 0) {
        assert_false(is_held);
        fake_put("held", "");
    } else {
        assert_string_equal(message, "release_metadata_snap");
        assert_true(is_held);
        assert_int_equal(unlink(held), 0);
    }
    return TRUE;
}

void fake_on_known_device(void)
{
    fake_put("devices", "/dev/null vg\n");
    fake_put("place/disk", "/dev/null(2)");
}

static const FakeTools tools = {
    .script = FAKE_LVM_SCRIPT,
    .variable = "FAKE_LVM",
    .tools = (const char *[]){"lvm", "pvs", "lvcreate", "lvremove", "lvrename", "lvextend",
                              "lvreduce", "lvchange", "vgchange", "lvconvert", "vgcreate",
                              "vgremove", "pvremove", "thin_delta", "lvs", "lvmconfig", NULL},
    .folders = (const char *[]){"lvs", "map", "percent", "place", "dev", "dev/vg", "dev/mapper",
                                "inactive", "uuid", "metasize", NULL},
    .remover = "lvremove"};

int fake_set_up(void **unused)
{
    fake_tools_set_up(&tools);
    fake_put("devices", "/dev/sda vg\n/dev/sdb \n");
    lvm_host.dev = fake_path("dev");
    lvm_host.report_s = lvm_host.change_s = 60;
    lvm_host.mapping = fake_mapping;
    lvm_host.pool_held = fake_pool_held;
    lvm_host.pool_message = fake_pool_message;
    lvm_host.status = fake_status;
    lvm_host.dmeventd_runs = fake_dmeventd_runs;
    lvm_host.fresh_us = 0;
    lvm_host.estimate_us = G_TIME_SPAN_HOUR;
    fake_state = fake_pool("");
    return 0;
}

int fake_tear_down(void **unused)
{
    int status = fake_tools_tear_down();

    g_free((gpointer)lvm_host.dev);
    return status;
}

gboolean fake_is_seen(const char *name)
{
    CstVolume *volume = NULL;

    assert_true(cst_pool_state_scan_one(fake_state, name, NULL, &volume, NULL));
    if (!volume)
        return FALSE;
    cst_volume_unref(volume);
    return TRUE;
}

void fake_write(const char *lv, const char *text)
{
    g_autoptr(CstBlob) blob = logical_open_lv((LogicalState *)fake_state, lv, TRUE, NULL);

    assert_true(cst_blob_pwrite(blob, text, 4, 0, NULL));
}

void fake_assert_holds(const char *lv, const char *text)
{
    g_autoptr(CstBlob) blob = logical_open_lv((LogicalState *)fake_state, lv, FALSE, NULL);
    char buf[5] = "";

    assert_true(cst_blob_pread(blob, buf, 4, 0, NULL));
    assert_string_equal(buf, text);
}

void fake_add_disk(gboolean thin)
{
    fake_add("tp", 64 * MIB, "twi-aotz--", "", "");
    fake_put("dev/mapper/vg-tp_tmeta", "");
    fake_add("disk", 8 * MIB, thin ? "Vwi-a-tz--" : "-wi-a-----", "", "");
}
