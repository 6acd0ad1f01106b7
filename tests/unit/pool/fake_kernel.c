/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_kernel.h"

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

#include <base/file.h>

#include "await.h"

char *kernel_folder;
int kernel_open_errno;
gboolean kernel_no_nodes;
const char *kernel_hanging;

gboolean __real_cst_node_stat(const char *path, struct stat *ret_st);
gboolean __wrap_cst_node_stat(const char *path, struct stat *ret_st);
int __wrap_cst_node_open(const char *path, int flags);
GStrv __wrap_cst_kernel_list(const char *path);

/* Probes may continue in their own threads after the end of their test. */
static GMutex lock;

char *kernel_file(const char *path)
{
    char *file;

    g_mutex_lock(&lock);
    if (kernel_folder)
        file = g_strconcat(g_str_has_prefix(path, kernel_folder) ? "" : kernel_folder, path, NULL);
    else
        file = g_strconcat("/nowhere", path, NULL);
    g_mutex_unlock(&lock);
    return file;
}

char *__wrap_cst_kernel_read(const char *path)
{
    g_autofree char *file = kernel_file(path);
    char *text = NULL;

    return g_file_get_contents(file, &text, NULL, NULL) ? text : NULL;
}

GStrv __wrap_cst_kernel_list(const char *path)
{
    g_autofree char *folder = kernel_file(path);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();

    for (const char *name; dir && (name = g_dir_read_name(dir));)
        g_strv_builder_add(names, name);
    return g_strv_builder_end(names);
}

gboolean kernel_number(const char *text, dev_t *ret_device)
{
    unsigned device_major, device_minor;

    if (sscanf(text, "%u:%u", &device_major, &device_minor) != 2)
        return FALSE;
    *ret_device = makedev(device_major, device_minor);
    return TRUE;
}

gboolean __wrap_cst_node_stat(const char *path, struct stat *ret_st)
{
    g_autofree char *text = __wrap_cst_kernel_read(path);
    g_autofree char *file = kernel_file(path);
    dev_t device;

    if (text && kernel_number(text, &device)) {
        *ret_st = (struct stat){.st_mode = S_IFBLK | 0660, .st_rdev = device};
        return TRUE;
    }
    return __real_cst_node_stat(file, ret_st);
}

/* Returns the error of an open; 0: success. */
static int fault_of(const char *path, int flags)
{
    int err = 0;

    g_mutex_lock(&lock);
    if (kernel_no_nodes && strstr(path, "loop"))
        err = ENOENT;
    else if (flags & (O_EXCL | O_DIRECT))
        err = kernel_open_errno;
    g_mutex_unlock(&lock);
    return err;
}

int __wrap_cst_node_open(const char *path, int flags)
{
    g_autofree char *file = kernel_file(path);

    AWAIT(g_strcmp0(g_atomic_pointer_get(&kernel_hanging), path) != 0);
    errno = fault_of(path, flags);
    if (errno)
        return -1;
    return open(file, (flags & ~(O_DIRECT | O_EXCL)) | O_CLOEXEC);
}

/* --- the directory ---------------------------------------------------------------------------- */

static void make_parent(const char *file)
{
    g_autofree char *folder = g_path_get_dirname(file);

    assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
}

void kernel_put(const char *path, const char *text)
{
    g_autofree char *file = kernel_file(path);

    make_parent(file);
    assert_true(g_file_set_contents(file, text, -1, NULL));
}

void kernel_link(const char *path, const char *target)
{
    g_autofree char *file = kernel_file(path);
    g_autofree char *to = kernel_file(target);

    make_parent(file);
    g_unlink(file);
    assert_int_equal(symlink(to, file), 0);
}

/* Implemented here, because tests have a PATH without rm. */
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

void kernel_drop(const char *path)
{
    g_autofree char *file = kernel_file(path);

    remove_tree(file);
}

void kernel_make(void)
{
    g_autofree char *made = g_dir_make_tmp("cst-kernel-XXXXXX", NULL);

    /* GLib makes this quark on first use, which is not thread-safe here. */
    g_file_error_quark();
    g_mutex_lock(&lock);
    kernel_folder = realpath(made, NULL);
    kernel_open_errno = 0;
    kernel_no_nodes = FALSE;
    g_atomic_pointer_set(&kernel_hanging, NULL);
    g_mutex_unlock(&lock);
}

void kernel_remove(void)
{
    kernel_drop(kernel_folder);
    g_mutex_lock(&lock);
    free(kernel_folder);
    kernel_folder = NULL;
    g_mutex_unlock(&lock);
}
