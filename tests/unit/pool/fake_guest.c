/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linked with --wrap for the two functions that ask the kernel. */
#include "fake_guest.h"

#include <base/file.h>
#include <pool/device.h>

static const char *held_end;
guint fake_writes;

gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error);
char *__real_cst_kernel_read(const char *path);
char *__wrap_cst_kernel_read(const char *path);

void fake_hold(const char *end)
{
    held_end = end;
}

gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error)
{
    if (held_end && g_str_has_suffix(path, held_end))
        cst_holders_add(holders, 0, "the guest");
    return TRUE;
}

char *__wrap_cst_kernel_read(const char *path)
{
    static guint writes;

    if (!g_str_has_prefix(path, "/sys/dev/block/"))
        return __real_cst_kernel_read(path);
    writes += fake_writes;
    return g_strdup_printf("9 9 9 9 %u 9 9 9 9 9 9 7 7 7 7 7 7\n", writes);
}
