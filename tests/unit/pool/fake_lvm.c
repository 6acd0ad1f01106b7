/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_lvm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

char *fake_folder;
CstPoolState *fake_state;

char *fake_path(const char *name)
{
    return g_build_filename(fake_folder, name, NULL);
}

void fake_put(const char *name, const char *text)
{
    g_autofree char *path = fake_path(name);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Only tools of the kind that hangs are waited for impatiently: a busy machine is no liar. */
void fake_lie(const char *tool, const char *how)
{
    g_autofree char *name = g_strconcat("lie/", tool, NULL);

    lvm_host.report_s = lvm_host.change_s = 60;
    if (strcmp(how, "hang") == 0)
        *(strcmp(tool, "lvm") == 0 ? &lvm_host.report_s : &lvm_host.change_s) = 1;
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
    g_autofree char *path = fake_path("lvs");
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint count = 0;

    while (g_dir_read_name(dir))
        count++;
    return count;
}

CstPoolState *fake_pool(const char *options)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='logical' xmlns:c='urn:cistern:storage:1.0'><name>vg</name>"
                        "<source><device path='/dev/sda'/><name>vg</name></source>%s</pool>",
                        options);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    CstPoolState *opened;

    assert_non_null(def);
    opened = cst_pool_state_open(def, NULL, NULL);
    assert_non_null(opened);
    return opened;
}

static const char *const tools[] = {"lvm",      "pvs",      "lvcreate", "lvremove", "lvrename",
                                    "lvextend", "lvreduce", "lvchange", "vgchange", "lvconvert",
                                    "vgcreate", "vgremove", "pvremove"};

int fake_set_up(void **unused)
{
    g_autofree char *path = NULL;

    fake_folder = g_dir_make_tmp("cst-lvm-XXXXXX", NULL);
    for (const char *const *part =
             (const char *[]){"bin", "lvs", "lie", "percent", "place", "dev", "dev/vg", NULL};
         *part; part++) {
        g_autofree char *made = fake_path(*part);

        assert_int_equal(mkdir(made, 0700), 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(tools); i++) {
        g_autofree char *link_name = g_build_filename(fake_folder, "bin", tools[i], NULL);

        assert_int_equal(symlink(FAKE_LVM_SCRIPT, link_name), 0);
    }
    fake_put("devices", "/dev/sda vg\n/dev/sdb \n");
    path = g_strconcat(fake_folder, "/bin:/usr/bin:/bin", NULL);
    g_setenv("PATH", path, TRUE);
    g_setenv("FAKE_LVM", fake_folder, TRUE);
    lvm_host.dev = fake_path("dev");
    lvm_host.report_s = lvm_host.change_s = 60;
    lvm_host.fresh_us = 0;
    fake_state = fake_pool("");
    return 0;
}

int fake_tear_down(void **unused)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", fake_folder);

    cst_pool_state_unref(fake_state);
    g_free((gpointer)lvm_host.dev);
    if (system(command) != 0)
        return -1;
    g_free(fake_folder);
    return 0;
}

CstVolDef *fake_volume(const char *name, uint64_t capacity)
{
    CstVolDef *def = cst_vol_def_new();

    def->type = CST_VOL_BLOCK;
    def->name = g_strdup(name);
    def->capacity = def->allocation = capacity;
    return def;
}

gboolean fake_create(const char *name, GError **error)
{
    g_autoptr(CstVolDef) def = fake_volume(name, 5 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    gboolean made = cst_pool_state_reserve(fake_state, def, &draft, error) &&
                    cst_pool_state_commit(fake_state, &draft, def, error);

    if (!made) {
        fake_lie("lvremove", "");
        assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    }
    return made;
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

gboolean fake_was_called(const char *line)
{
    g_autofree char *path = fake_path("log");
    g_autofree char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return strstr(text, line) != NULL;
}

void fake_add_disk(gboolean thin)
{
    fake_add("tp", 64 * MIB, "twi-aotz--", "", "");
    fake_add("disk", 8 * MIB, thin ? "Vwi-a-tz--" : "-wi-a-----", "", "");
}
