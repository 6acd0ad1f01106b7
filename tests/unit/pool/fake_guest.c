/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two functions that query the kernel are wrapped with --wrap. */
#include "fake_guest.h"

#include <base/file.h>
#include <pool/device.h>

static const char *held_end;
static int64_t holder; /* process; 0: no holder */
guint fake_writes;
guint fake_partitioned;

gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error);
char *__real_cst_kernel_read(const char *path);
char *__wrap_cst_kernel_read(const char *path);

void fake_hold(const char *end)
{
    fake_hold_by(end, 0);
}

void fake_hold_by(const char *end, int64_t pid)
{
    held_end = end;
    holder = pid;
}

gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error)
{
    if (held_end && g_str_has_suffix(path, held_end))
        cst_holders_add(holders, holder, "the guest");
    return TRUE;
}

char *__wrap_cst_kernel_read(const char *path)
{
    static guint writes;

    if (!g_str_has_prefix(path, "/sys/dev/block/"))
        return __real_cst_kernel_read(path);
    if (g_str_has_suffix(path, "/ext_range"))
        return g_strdup(fake_partitioned && fake_partitioned-- ? "256\n" : "1\n");
    writes += fake_writes;
    return g_strdup_printf("9 9 9 9 %u 9 9 9 9 9 9 7 7 7 7 7 7\n", writes);
}
