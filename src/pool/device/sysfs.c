/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attributes in sysfs: a directory for each thing that the kernel has, a file for each fact. */
#include <pool/device.h>

#include <stdio.h>
#include <sys/sysmacros.h>

#include <base/file.h>

#define SECTOR 512 /* sizes are in these, whatever the device has */

char *cst_sysfs_read(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    char *text = cst_kernel_read(path);

    return text ? g_strstrip(text) : NULL;
}

gboolean cst_sysfs_device(const char *dir, dev_t *ret_device)
{
    g_autofree char *text = cst_sysfs_read(dir, "dev");
    unsigned device_major, device_minor;

    if (!text || sscanf(text, "%u:%u", &device_major, &device_minor) != 2)
        return FALSE;
    *ret_device = makedev(device_major, device_minor);
    return TRUE;
}

gboolean cst_sysfs_size(const char *dir, uint64_t *ret_bytes)
{
    g_autofree char *text = cst_sysfs_read(dir, "size");
    guint64 sectors;

    if (!text || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64 / SECTOR, &sectors, NULL))
        return FALSE;
    *ret_bytes = sectors * SECTOR;
    return TRUE;
}
