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
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <base/file.h>

char *kernel_folder;
int kernel_open_errno;
gboolean kernel_no_nodes;

gboolean __real_cst_node_stat(const char *path, struct stat *ret_st);
gboolean __wrap_cst_node_stat(const char *path, struct stat *ret_st);
int __wrap_cst_node_open(const char *path, int flags);
GStrv __wrap_cst_kernel_list(const char *path);

char *kernel_file(const char *path)
{
    return g_strconcat(kernel_folder, path, NULL);
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

gboolean __wrap_cst_node_stat(const char *path, struct stat *ret_st)
{
    g_autofree char *text = __wrap_cst_kernel_read(path);
    g_autofree char *file = kernel_file(path);
    unsigned device_major, device_minor;

    if (text && sscanf(text, "%u:%u", &device_major, &device_minor) == 2) {
        *ret_st = (struct stat){.st_mode = S_IFBLK | 0660,
                                .st_rdev = makedev(device_major, device_minor)};
        return TRUE;
    }
    return __real_cst_node_stat(file, ret_st);
}

int __wrap_cst_node_open(const char *path, int flags)
{
    g_autofree char *file = kernel_file(path);

    if (kernel_no_nodes && strstr(path, "loop")) {
        errno = ENOENT;
        return -1;
    }
    errno = kernel_open_errno;
    if (kernel_open_errno && (flags & (O_EXCL | O_DIRECT)))
        return -1;
    return open(file, (flags & O_ACCMODE) | O_CLOEXEC);
}

void kernel_put(const char *path, const char *text)
{
    g_autofree char *file = kernel_file(path);
    g_autofree char *folder = g_path_get_dirname(file);

    assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
    assert_true(g_file_set_contents(file, text, -1, NULL));
}

void kernel_make(void)
{
    kernel_folder = g_dir_make_tmp("cst-device-XXXXXX", NULL);
    kernel_open_errno = 0;
    kernel_no_nodes = FALSE;
    kernel_put("/dev/mapper/control", "");
    kernel_put("/dev/sdb", "8:16");
    kernel_put("/proc/self/mountinfo", "");
}

int kernel_remove(void)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", kernel_folder);
    int result = system(command);

    g_free(kernel_folder);
    return result;
}
