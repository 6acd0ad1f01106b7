/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attributes in sysfs: a directory for each kernel object, a file for each attribute. */
#include <pool/device.h>

#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <base/file.h>

#define SECTOR 512 /* sysfs uses this unit for all devices */

char *cst_sysfs_block(dev_t device)
{
    return g_strdup_printf("/sys/dev/block/%u:%u", major(device), minor(device));
}

char *cst_sysfs_read(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    char *text = cst_kernel_read(path);

    return text ? g_strstrip(text) : NULL;
}

char *cst_sysfs_read_of(const char *path, const char *name)
{
    g_autofree char *dir = NULL;
    struct stat node;

    if (!cst_node_stat(path, &node))
        return NULL;
    dir = cst_sysfs_block(node.st_rdev);
    return cst_sysfs_read(dir, name);
}

char *cst_uevent_value(const char *text, const char *key)
{
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    size_t len = strlen(key);

    for (char **line = lines; *line; line++)
        if (g_str_has_prefix(*line, key) && (*line)[len] == '=')
            return g_strdup(*line + len + 1);
    return NULL;
}

char *cst_sysfs_uevent(const char *dir, const char *key)
{
    g_autofree char *text = cst_sysfs_read(dir, "uevent");

    return cst_uevent_value(text, key);
}

gboolean cst_sysfs_number(const char *dir, const char *name, uint64_t *ret_number)
{
    g_autofree char *text = cst_sysfs_read(dir, name);

    return text && g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, ret_number, NULL);
}

gboolean cst_device_number(const char *text, dev_t *ret_device)
{
    unsigned device_major, device_minor;
    int len = 0;

    if (sscanf(text, "%u:%u%n", &device_major, &device_minor, &len) != 2 || text[len] != '\0')
        return FALSE;
    *ret_device = makedev(device_major, device_minor);
    return TRUE;
}

gboolean cst_sysfs_device(const char *dir, dev_t *ret_device)
{
    g_autofree char *text = cst_sysfs_read(dir, "dev");

    return text && cst_device_number(text, ret_device);
}

gboolean cst_sysfs_bytes(const char *dir, const char *name, uint64_t *ret_bytes)
{
    uint64_t sectors;

    if (!cst_sysfs_number(dir, name, &sectors) || sectors > G_MAXINT64 / SECTOR)
        return FALSE;
    *ret_bytes = sectors * SECTOR;
    return TRUE;
}
