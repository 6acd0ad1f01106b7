/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The disk of a pool, and the names of the disk and its partitions. The definition may name the
 * disk by any of its links. The name of a volume is the current name of the disk in the kernel or
 * device-mapper, followed by the number. libvirt's rule puts a "p" between them if the disk's name
 * ends in a digit. On device-mapper, it also does so unless the definition has part_separator='no'.
 */
#include "disk.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <pool/device.h>

void disk_device_clear(DiskDevice *device)
{
    g_clear_pointer(&device->node, g_free);
    g_clear_pointer(&device->kernel, g_free);
}

static const CstPoolDevice *source_device(const CstPoolDef *def)
{
    return g_ptr_array_index(def->source.devices, 0);
}

const char *disk_path(const CstPoolDef *def)
{
    return source_device(def)->path;
}

static const char *separator_of(const CstPoolDef *def, const DiskDevice *device)
{
    size_t len = strlen(device->node);

    if (len > 0 && g_ascii_isdigit(device->node[len - 1]))
        return "p";
    return device->mapped && source_device(def)->part_separator != 0 ? "p" : "";
}

/* The kernel writes "cciss!c0d0" for a node in a subdirectory of /dev. */
static gboolean name_device(dev_t number, DiskDevice *device)
{
    g_autofree char *dir = cst_sysfs_block(number);
    g_autofree char *uevent = cst_sysfs_read(dir, "uevent");
    g_autofree char *node = cst_uevent_value(uevent, "DEVNAME");
    g_autofree char *type = cst_uevent_value(uevent, "DEVTYPE");
    g_autofree char *mapped = NULL;

    if (!node || g_strcmp0(type, "disk") != 0)
        return FALSE;
    if (g_str_has_prefix(node, "dm-"))
        mapped = cst_sysfs_read(dir, "dm/name");
    device->number = number;
    device->mapped = mapped != NULL;
    device->node =
        mapped ? g_strconcat("/dev/mapper/", mapped, NULL) : g_strconcat("/dev/", node, NULL);
    device->kernel = g_strdelimit(g_strdup(node), "/", '!');
    return TRUE;
}

gboolean disk_device_find(const CstPoolDef *def, DiskDevice *ret_device, GError **error)
{
    const char *path = disk_path(def);
    struct stat st;

    if (!cst_node_stat(path, &st))
        return cst_fail(error, CST_ERROR_INVALID, _("device path '%s' doesn't exist"), path);
    if (!S_ISBLK(st.st_mode) || !name_device(st.st_rdev, ret_device))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is no disk that can be partitioned"),
                        path);
    ret_device->separator = separator_of(def, ret_device);
    return TRUE;
}

void disk_device_guess(const CstPoolDef *def, DiskDevice *ret_device)
{
    if (disk_device_find(def, ret_device, NULL))
        return;
    ret_device->node = g_strdup(disk_path(def));
    ret_device->separator = separator_of(def, ret_device);
}

/* --- names ------------------------------------------------------------------------------------ */

char *disk_partition_node(const DiskDevice *device, guint number)
{
    return g_strdup_printf("%s%s%u", device->node, device->separator, number);
}

char *disk_partition_name(const DiskDevice *device, guint number)
{
    g_autofree char *node = disk_partition_node(device, number);

    return g_path_get_basename(node);
}

guint disk_number_of(const DiskDevice *device, const char *name)
{
    g_autofree char *own = g_path_get_basename(device->node);
    g_autofree char *prefix = g_strconcat(own, device->separator, NULL);
    guint64 number;

    if (!g_str_has_prefix(name, prefix) || name[strlen(prefix)] == '0' ||
        !g_ascii_string_to_unsigned(name + strlen(prefix), 10, 1, G_MAXUINT16, &number, NULL))
        return 0;
    return (guint)number;
}

/*
 * Like libvirt, shows a volume by its link below the target path, such as one of /dev/disk/by-id,
 * or by its node if no link exists.
 */
char *disk_vol_path(CstPoolState *state, const char *name)
{
    g_auto(DiskDevice) device = {0};
    g_autofree char *node = NULL;
    guint number;

    disk_device_guess(state->def, &device);
    number = disk_number_of(&device, name);
    if (number == 0)
        return g_build_filename(state->def->target_path, name, NULL);
    node = disk_partition_node(&device, number);
    return cst_device_stable_path(state->def->target_path, node);
}

/* Returns the name of the device that a link leads to. */
static char *kernel_name(const char *path)
{
    g_autofree char *dir = NULL;
    char *mapped;
    struct stat st;

    if (!cst_node_stat(path, &st) || !S_ISBLK(st.st_mode))
        return NULL;
    dir = cst_sysfs_block(st.st_rdev);
    mapped = cst_sysfs_read(dir, "dm/name");
    return mapped ? mapped : cst_sysfs_uevent(dir, "DEVNAME");
}

char *disk_vol_resolve(CstPoolState *state, const char *path)
{
    g_auto(DiskDevice) device = {0};
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *own = NULL;

    disk_device_guess(state->def, &device);
    own = g_path_get_dirname(device.node);
    if (disk_number_of(&device, name) > 0)
        return strcmp(folder, own) == 0 || strcmp(folder, state->def->target_path) == 0
                   ? g_steal_pointer(&name)
                   : NULL;
    g_free(name);
    name = strcmp(folder, state->def->target_path) == 0 ? kernel_name(path) : NULL;
    return name && disk_number_of(&device, name) > 0 ? g_steal_pointer(&name) : NULL;
}

gboolean disk_touch(const CstPoolDef *def, GError **error)
{
    return cst_device_touch(disk_path(def), error);
}
