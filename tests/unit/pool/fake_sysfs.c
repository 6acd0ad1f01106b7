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

char *fake_root;
GString *fake_written;
void (*fake_on_write)(const char *path, const char *text);
int fake_write_errno;
guint fake_settled;
const char *fake_holder;
const char *fake_hanging;

/* The file that stands for @path; what is below the folder already stands for itself. */
static char *below(const char *path)
{
    return g_strconcat(g_str_has_prefix(path, fake_root) ? "" : fake_root, path, NULL);
}

/* --- the kernel and udev ---------------------------------------------------------------------- */

gboolean __real_cst_node_stat(const char *path, struct stat *ret_st);
gboolean __wrap_cst_node_stat(const char *path, struct stat *ret_st);
int __wrap_cst_node_open(const char *path, int flags);
char *__wrap_cst_kernel_read(const char *path);
GStrv __wrap_cst_kernel_list(const char *path);
gboolean __wrap_cst_kernel_write(const char *path, const char *text);
char *__wrap_cst_kernel_resolve(const char *path);
gboolean __wrap_cst_device_settle(const char *path, unsigned timeout_s, CstTask *task,
                                  GError **error);
char *__wrap_cst_device_property(dev_t device, const char *key);
gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error);
int __real_fstat64(int fd, struct stat *ret_st);
int __wrap_fstat64(int fd, struct stat *ret_st);

char *__wrap_cst_kernel_read(const char *path)
{
    g_autofree char *file = below(path);
    char *text = NULL;

    return g_file_get_contents(file, &text, NULL, NULL) ? text : NULL;
}

GStrv __wrap_cst_kernel_list(const char *path)
{
    g_autofree char *folder = below(path);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();

    for (const char *name; dir && (name = g_dir_read_name(dir));)
        g_strv_builder_add(names, name);
    return g_strv_builder_end(names);
}

/* The number that a file begins with makes it a device. */
static gboolean read_number(const char *text, dev_t *ret_device)
{
    unsigned device_major, device_minor;

    if (!text || sscanf(text, "%u:%u", &device_major, &device_minor) != 2)
        return FALSE;
    *ret_device = makedev(device_major, device_minor);
    return TRUE;
}

gboolean __wrap_cst_node_stat(const char *path, struct stat *ret_st)
{
    g_autofree char *text = __wrap_cst_kernel_read(path);
    g_autofree char *file = below(path);
    dev_t device;

    if (read_number(text, &device)) {
        *ret_st = (struct stat){.st_mode = S_IFBLK | 0660, .st_rdev = device};
        return TRUE;
    }
    return __real_cst_node_stat(file, ret_st);
}

int __wrap_cst_node_open(const char *path, int flags)
{
    g_autofree char *file = below(path);

    while (g_strcmp0(g_atomic_pointer_get(&fake_hanging), path) == 0)
        g_usleep(1000);
    return open(file, (flags & ~O_DIRECT) | O_CLOEXEC);
}

int __wrap_fstat64(int fd, struct stat *ret_st)
{
    int result = __real_fstat64(fd, ret_st);
    char text[16] = "";

    if (result == 0 && pread(fd, text, sizeof(text) - 1, 0) > 0)
        read_number(text, &ret_st->st_rdev);
    return result;
}

gboolean __wrap_cst_kernel_write(const char *path, const char *text)
{
    g_string_append_printf(fake_written, "%s %s\n", path, text);
    errno = fake_write_errno;
    if (fake_write_errno)
        return FALSE;
    if (fake_on_write)
        fake_on_write(path, text);
    return TRUE;
}

char *__wrap_cst_kernel_resolve(const char *path)
{
    g_autofree char *file = below(path);
    g_autofree char *resolved = realpath(file, NULL);

    return resolved ? g_strdup(resolved + strlen(fake_root)) : NULL;
}

gboolean __wrap_cst_device_settle(const char *path, unsigned timeout_s, CstTask *task,
                                  GError **error)
{
    fake_settled++;
    return TRUE;
}

/* Whatever it is that is asked for: "/run/udev/8:16" holds it. */
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

/* --- the folder ------------------------------------------------------------------------------- */

int fake_sysfs_set_up(void **state)
{
    g_autofree char *made = g_dir_make_tmp("cst-sysfs-XXXXXX", NULL);

    fake_root = realpath(made, NULL);
    fake_written = g_string_new(NULL);
    fake_on_write = NULL;
    fake_write_errno = 0;
    fake_settled = 0;
    fake_holder = NULL;
    fake_hanging = NULL;
    return 0;
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = NULL;

    if (!g_file_test(path, G_FILE_TEST_IS_SYMLINK) && g_file_test(path, G_FILE_TEST_IS_DIR))
        dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *entry = g_build_filename(path, name, NULL);

        remove_tree(entry);
    }
    g_remove(path);
}

int fake_sysfs_tear_down(void **state)
{
    remove_tree(fake_root);
    g_string_free(fake_written, TRUE);
    free(fake_root);
    fake_root = NULL;
    return 0;
}

static void make_parent(const char *file)
{
    g_autofree char *folder = g_path_get_dirname(file);

    assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
}

void fake_file(const char *path, const char *text)
{
    g_autofree char *file = below(path);

    make_parent(file);
    assert_true(g_file_set_contents(file, text, -1, NULL));
}

void fake_link(const char *path, const char *target)
{
    g_autofree char *file = below(path);
    g_autofree char *to = below(target);

    make_parent(file);
    g_unlink(file);
    assert_int_equal(symlink(to, file), 0);
}

void fake_remove(const char *path)
{
    g_autofree char *file = below(path);

    remove_tree(file);
}

/* --- what a kernel has ------------------------------------------------------------------------ */

void fake_host(unsigned host, const char *place, unsigned unique_id)
{
    g_autofree char *dir = g_strdup_printf("%s/host%u/scsi_host/host%u", place, host, host);
    g_autofree char *id = g_build_filename(dir, "unique_id", NULL);
    g_autofree char *link = g_strdup_printf("/sys/class/scsi_host/host%u", host);
    g_autofree char *text = g_strdup_printf("%u\n", unique_id);

    fake_file(id, text);
    fake_link(link, dir);
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

        fake_file(path, files[i][1]);
    }
    for (int i = 0; i < 2; i++) {
        g_autofree char *path = g_build_filename(dir, "block", node, i ? "size" : "dev", NULL);

        fake_file(path, i ? sectors : number);
    }
    fake_link(by_number, dir);
    fake_file(dev, number);
}

void fake_name(const char *path, unsigned minor_number)
{
    g_autofree char *number = g_strdup_printf("8:%u\n", minor_number);

    fake_file(path, number);
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
