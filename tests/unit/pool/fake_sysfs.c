/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_sysfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <pool/device.h>

GString *fake_written;
void (*fake_on_write)(const char *path, const char *text);
int fake_write_errno;
const char *fake_write_fails;
guint fake_settled;
const char *fake_holder;

/* --- the kernel and udev ---------------------------------------------------------------------- */

gboolean __wrap_cst_kernel_write(const char *path, const char *text);
char *__wrap_cst_kernel_resolve(const char *path);
gboolean __wrap_cst_device_settle(const char *path, CstTask *task, GError **error);
char *__wrap_cst_device_property(dev_t device, const char *key);
gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error);
int __real_fstat64(int fd, struct stat *ret_st);
int __wrap_fstat64(int fd, struct stat *ret_st);

int __wrap_fstat64(int fd, struct stat *ret_st)
{
    int result = __real_fstat64(fd, ret_st);
    char text[16] = "";

    if (result == 0 && pread(fd, text, sizeof(text) - 1, 0) > 0)
        kernel_number(text, &ret_st->st_rdev);
    return result;
}

gboolean __wrap_cst_kernel_write(const char *path, const char *text)
{
    g_string_append_printf(fake_written, "%s %s\n", path, text);
    errno = fake_write_errno;
    if (fake_write_errno && (!fake_write_fails || g_str_has_suffix(path, fake_write_fails)))
        return FALSE;
    if (fake_on_write)
        fake_on_write(path, text);
    return TRUE;
}

char *__wrap_cst_kernel_resolve(const char *path)
{
    g_autofree char *file = kernel_file(path);
    g_autofree char *resolved = realpath(file, NULL);

    return resolved ? g_strdup(resolved + strlen(kernel_folder)) : NULL;
}

gboolean __wrap_cst_device_settle(const char *path, CstTask *task, GError **error)
{
    fake_settled++;
    return TRUE;
}

/* Returns the content of "/run/udev/8:16", for the only supported key. */
char *__wrap_cst_device_property(dev_t device, const char *key)
{
    g_autofree char *path = g_strdup_printf("/run/udev/%u:%u", major(device), minor(device));

    assert_string_equal(key, "ID_SERIAL");
    return __wrap_cst_kernel_read(path);
}

gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error)
{
    if (fake_holder)
        cst_holders_add(holders, 0, "%s", fake_holder);
    return TRUE;
}

/* --- the host --------------------------------------------------------------------------------- */

int fake_sysfs_set_up(void **state)
{
    kernel_make();
    fake_written = g_string_new(NULL);
    fake_on_write = NULL;
    fake_write_errno = 0;
    fake_write_fails = NULL;
    fake_settled = 0;
    fake_holder = NULL;
    return 0;
}

int fake_sysfs_tear_down(void **state)
{
    kernel_remove();
    g_string_free(fake_written, TRUE);
    return 0;
}

/* --- files of the kernel ---------------------------------------------------------------------- */

void fake_host(unsigned host, const char *place, unsigned unique_id)
{
    g_autofree char *dir = g_strdup_printf("%s/host%u/scsi_host/host%u", place, host, host);
    g_autofree char *id = g_build_filename(dir, "unique_id", NULL);
    g_autofree char *link = g_strdup_printf("/sys/class/scsi_host/host%u", host);
    g_autofree char *text = g_strdup_printf("%u\n", unique_id);

    kernel_put(id, text);
    kernel_link(link, dir);
}

void fake_lun(const char *address, const char *node, unsigned minor_number, uint64_t size,
              const char *wwid)
{
    g_autofree char *dir = g_strdup_printf("/sys/bus/scsi/devices/%s", address);
    g_autofree char *by_number = g_strdup_printf("/sys/dev/block/8:%u/device", minor_number);
    g_autofree char *dev = g_strdup_printf("/dev/%s", node);
    g_autofree char *number = g_strdup_printf("8:%u\n", minor_number);
    g_autofree char *sectors = g_strdup_printf("%" G_GUINT64_FORMAT "\n", size / 512);
    const char *files[][2] = {{"type", "0\n"}, {"state", "running\n"}, {"wwid", wwid}};

    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(dir, files[i][0], NULL);

        kernel_put(path, files[i][1]);
    }
    for (int i = 0; i < 2; i++) {
        g_autofree char *path = g_build_filename(dir, "block", node, i ? "size" : "dev", NULL);

        kernel_put(path, i ? sectors : number);
    }
    kernel_link(by_number, dir);
    kernel_put(dev, number);
}

void fake_name(const char *path, unsigned minor_number)
{
    g_autofree char *number = g_strdup_printf("8:%u\n", minor_number);

    kernel_put(path, number);
}

/* --- pools ------------------------------------------------------------------------------------ */

CstPoolState *fake_pool(const char *xml)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, &error);
    CstPoolState *pool;

    assert_null(error);
    pool = cst_pool_state_open(def, NULL, &error);
    assert_null(error);
    return pool;
}

static CstVolume *knows_none(const char *name, gpointer data)
{
    return NULL;
}

static void note(CstVolume *volume, gpointer data)
{
    GString *text = data;
    const char *problem = cst_volume_problem(volume);

    g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", volume->name);
    if (problem)
        g_string_append_printf(text, "!%s", problem);
    cst_volume_unref(volume);
}

char *fake_scan(CstPoolState *pool)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    CstScan scan = {.known = knows_none, .sink = note, .data = text};

    if (!cst_pool_state_scan(pool, &scan, NULL, &error))
        return g_strdup(error->message);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

char *fake_volume_xml(CstPoolState *pool, const char *name)
{
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(CstVolDef) def = NULL;

    assert_true(cst_pool_state_scan_one(pool, name, NULL, &volume, NULL));
    if (!volume)
        return NULL;
    def = cst_volume_describe(pool, volume);
    return cst_vol_def_format(def, pool->backend->type, NULL);
}
