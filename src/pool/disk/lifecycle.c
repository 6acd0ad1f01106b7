/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lifecycle of a pool's partition table: build writes it to an empty disk, start verifies it,
 * delete removes it. Messages and rules equal libvirt's if scripts may depend on them. An
 * interrupted build leaves a disk with cleared ends or with the new table.
 */
#include "disk.h"

#include <fcntl.h>
#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <pool/device.h>

/*
 * A disk does not show that a pool uses it. Therefore a pool that was never started is not active,
 * as in libvirt. Any other pool is active if its disk exists. The disk is not read, because a read
 * may hang.
 */
gboolean disk_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    g_auto(DiskDevice) device = {0};

    *ret_active = DISK(state)->known && disk_device_find(state->def, &device, NULL);
    return TRUE;
}

gboolean disk_start(CstPoolState *state, GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};

    cst_device_settle(disk_path(state->def), NULL, NULL);
    disk_seen_forget(DISK(state));
    return disk_access_open(state, &access, error);
}

/* --- build, delete ---------------------------------------------------------------------------- */

/* Refuses if the disk or any of its partitions is in use. */
static gboolean disk_refuse_used(const DiskDevice *device, GError **error)
{
    g_autoptr(GArray) shown = disk_shown(device);

    for (guint i = 0; i < shown->len; i++) {
        g_autofree char *node =
            disk_partition_node(device, g_array_index(shown, DiskShown, i).number);

        if (!cst_device_refuse_used(node, error))
            return FALSE;
    }
    return cst_device_refuse_used(device->node, error);
}

/* Removes all partitions from the kernel's view before their table is removed. */
static gboolean hide_all(const DiskDevice *device, GError **error)
{
    g_auto(CstFd) fd = cst_node_open(device->node, O_RDONLY);
    g_autoptr(GArray) shown = disk_shown(device);

    for (guint i = 0; i < shown->len; i++)
        if (!disk_hide(device, fd, g_array_index(shown, DiskShown, i).number, error))
            return FALSE;
    return TRUE;
}

/* Returns libblkid's name of a label, which equals the definition's name except for one label. */
static const char *signature_of(const char *label)
{
    return strcmp(label, "dvh") == 0 ? "sgi" : label;
}

gboolean disk_build(CstPoolState *state, unsigned flags, GError **error)
{
    const char *label = disk_wanted_label(state->def);
    const DiskLabelOps *ops = disk_label_ops(label, error);
    g_auto(DiskDevice) device = {0};

    if (!ops ||
        !cst_flags_check(flags, CST_POOL_BUILD_OVERWRITE | CST_POOL_BUILD_NO_OVERWRITE,
                         "virStorageBackendDiskBuildPool", error) ||
        !cst_flags_exclusive(flags, CST_POOL_BUILD_OVERWRITE, "VIR_STORAGE_POOL_BUILD_OVERWRITE",
                             CST_POOL_BUILD_NO_OVERWRITE, "VIR_STORAGE_POOL_BUILD_NO_OVERWRITE",
                             error) ||
        !disk_device_find(state->def, &device, error) || !disk_refuse_used(&device, error))
        return FALSE;
    if (!(flags & CST_POOL_BUILD_OVERWRITE) &&
        !cst_device_refuse_content(device.node, signature_of(label), error))
        return FALSE;
    if (!cst_may_change(error) || !hide_all(&device, error) ||
        !cst_device_clear(device.node, error))
        return FALSE;
    disk_seen_forget(DISK(state));
    CST_CRASH_POINT("disk.build.cleared");
    if (!ops->put_label(device.node, label, error))
        return FALSE;
    cst_device_settle(NULL, NULL, NULL);
    return TRUE;
}

/* Removes the table with all partitions, like libvirt. Unlike libvirt, refuses a disk in use. */
gboolean disk_destroy(CstPoolState *state, unsigned flags, GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};

    return cst_flags_check(flags, 0, "virStorageBackendDiskDeletePool", error) &&
           disk_access_open(state, &access, error) && disk_refuse_used(&access.device, error) &&
           cst_may_change(error) && hide_all(&access.device, error) &&
           cst_device_clear(access.device.node, error);
}
