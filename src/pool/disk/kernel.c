/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's view of the partitions of a disk, and its update from the table. The kernel could
 * read the table itself (BLKRRPART), but only while no partition is open. It also supports only the
 * types of tables that it was built with. Therefore it is informed of each added, removed or
 * resized partition (BLKPG), and all other partitions stay unchanged. Partitions of a device-mapper
 * device are maps, which kpartx creates.
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <pool/device.h>
#include <pool/tool.h>

/* The kernel shows only the link of an extended partition, so that no program writes over it. */
#define EXTENDED_BYTES 1024
#define TOOL_S         60
#define BUSY_STEP_US   (10 * G_TIME_SPAN_MILLISECOND)

gint64 disk_busy_us = 3 * G_TIME_SPAN_SECOND;

static const CstToolMeaning meanings[] = {
    {"in use", CST_ERROR_BUSY},
    {"resource busy", CST_ERROR_BUSY},
    {NULL, 0},
};

static gboolean kernel_tool_run(const char *const *argv, const char *package, GError **error)
{
    const CstTool tool = {
        .argv = argv, .package = package, .meanings = meanings, .timeout_s = TOOL_S};

    return cst_tool_run(&tool, NULL, NULL, error);
}

/* --- the kernel's view ------------------------------------------------------------------------ */

/* Returns the number of "sdb12" or "nvme0n1p12", or 0 if @name is no partition of the disk. */
static guint kernel_partition_number(const DiskDevice *device, const char *name)
{
    const char *rest = name + strlen(device->kernel);
    guint64 number;

    if (!g_str_has_prefix(name, device->kernel))
        return 0;
    return g_ascii_string_to_unsigned(rest + (*rest == 'p'), 10, 1, G_MAXUINT16, &number, NULL)
               ? (guint)number
               : 0;
}

GArray *disk_shown(const DiskDevice *device)
{
    GArray *shown = g_array_new(FALSE, TRUE, sizeof(DiskShown));
    g_autofree char *folder = g_build_filename("/sys/block", device->kernel, NULL);
    g_auto(GStrv) names = device->mapped ? NULL : cst_kernel_list(folder);

    for (char **name = names; name && *name; name++) {
        g_autofree char *path = g_build_filename(folder, *name, NULL);
        DiskShown one = {.number = kernel_partition_number(device, *name)};

        if (one.number > 0 && cst_sysfs_bytes(path, "start", &one.start) &&
            cst_sysfs_bytes(path, "size", &one.size))
            g_array_append_val(shown, one);
    }
    return shown;
}

static const DiskShown *find_shown(const GArray *shown, guint number)
{
    for (guint i = 0; i < shown->len; i++)
        if (g_array_index(shown, DiskShown, i).number == number)
            return &g_array_index(shown, DiskShown, i);
    return NULL;
}

static uint64_t shown_size(const DiskPartition *partition)
{
    uint64_t size = partition->end - partition->start;

    return partition->kind == DISK_EXTENDED ? MIN(size, EXTENDED_BYTES) : size;
}

/* Compares only the start of an extended partition, because tools show different sizes of it. */
gboolean disk_is_shown(const GArray *shown, const DiskPartition *partition)
{
    const DiskShown *now = find_shown(shown, partition->number);

    return now && now->start == partition->start &&
           (partition->kind == DISK_EXTENDED || now->size == shown_size(partition));
}

/* --- updates ---------------------------------------------------------------------------------- */

static gboolean kernel_blkpg_ioctl(int fd, int action, guint number, uint64_t start, uint64_t size)
{
    struct blkpg_partition partition = {
        .start = (long long)start, .length = (long long)size, .pno = (int)number};
    struct blkpg_ioctl_arg argument = {
        .op = action, .datalen = sizeof(partition), .data = &partition};

    return ioctl(fd, BLKPG, &argument) == 0;
}

/*
 * Removes the partition from the kernel's view. The kernel refuses with EBUSY while any process has
 * the partition open, also while blkid or udev reads it. The caller has found no permanent holder,
 * so the removal is retried for disk_busy_us. Returns 0 or an errno.
 */
static int hide_partition(int fd, guint number)
{
    gint64 end = g_get_monotonic_time() + disk_busy_us;

    while (!kernel_blkpg_ioctl(fd, BLKPG_DEL_PARTITION, number, 0, 0)) {
        int err = errno;

        if (err != EBUSY || g_get_monotonic_time() >= end)
            return err;
        CST_TEST_POINT("disk.hide.busy");
        g_usleep(BUSY_STEP_US);
    }
    return 0;
}

/* dmsetup refuses to remove a map that is in use. */
static gboolean hide_map(const DiskDevice *device, guint number, GError **error)
{
    g_autofree char *node = disk_partition_node(device, number);
    g_autofree char *name = disk_partition_name(device, number);
    const char *const argv[] = {"dmsetup", "remove", "--", name, NULL};
    struct stat st;

    return !cst_node_stat(node, &st) || kernel_tool_run(argv, "dmsetup", error);
}

gboolean disk_hide(const DiskDevice *device, int fd, guint number, GError **error)
{
    g_autofree char *node = NULL;
    int err;

    if (device->mapped)
        return hide_map(device, number, error);
    err = hide_partition(fd, number);
    if (err == 0 || err == ENXIO)
        return TRUE;
    node = disk_partition_node(device, number);
    if (err == EBUSY)
        return cst_fail(error, CST_ERROR_BUSY, _("partition '%s' is in use"), node);
    return cst_fail_errno(error, err, _("the kernel does not let go of partition '%s'"), node);
}

/*
 * Removes the partitions that are missing in the table or have another start there. Partitions that
 * are reserved for the label are not changed.
 */
static gboolean kernel_hide_stale(const DiskDevice *device, int fd, const DiskTable *table,
                                  const GArray *shown, GError **error)
{
    for (guint i = 0; i < shown->len; i++) {
        const DiskShown *now = &g_array_index(shown, DiskShown, i);
        const DiskPartition *partition = disk_table_find(table, now->number);

        if (partition && (partition->reserved || partition->start == now->start))
            continue;
        if (!disk_hide(device, fd, now->number, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean show_one(const DiskDevice *device, int fd, const DiskPartition *partition,
                         const DiskShown *now, GError **error)
{
    g_autofree char *node = NULL;
    gboolean there = now && now->start == partition->start;

    if (kernel_blkpg_ioctl(fd, there ? BLKPG_RESIZE_PARTITION : BLKPG_ADD_PARTITION,
                           partition->number, partition->start, shown_size(partition)))
        return TRUE;
    node = disk_partition_node(device, partition->number);
    return cst_fail_errno(error, errno, _("the kernel does not take over partition '%s'"), node);
}

static gboolean show_maps(const DiskDevice *device, GError **error)
{
    const char *const argv[] = {"kpartx", "-u", "-s", "-p", device->separator, device->node, NULL};

    return kernel_tool_run(argv, "kpartx", error);
}

gboolean disk_show(const DiskDevice *device, int fd, const DiskTable *table, GError **error)
{
    g_autoptr(GArray) shown = disk_shown(device);

    if (device->mapped)
        return show_maps(device, error);
    if (!kernel_hide_stale(device, fd, table, shown, error))
        return FALSE;
    for (guint i = 0; i < table->partitions->len; i++) {
        const DiskPartition *partition = &g_array_index(table->partitions, DiskPartition, i);

        if (!partition->reserved && !disk_is_shown(shown, partition) &&
            !show_one(device, fd, partition, find_shown(shown, partition->number), error))
            return FALSE;
    }
    return TRUE;
}
