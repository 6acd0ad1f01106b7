/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices of volumes. The kernel creates them asynchronously after a change, and udev links them by
 * the names of their datasets even later. So a link may be missing, or lead to the dataset that had
 * the name before. A device reports its dataset (BLKZNAME); wait until this is the expected one.
 *
 * ZFS creates the device of a new volume before it sets the initial properties of the volume.
 * volmode=dev then replaces the device by a device without partition scanning. But if the device is
 * open, for example by udev at first, ZFS silently keeps the old device. So the property is set
 * repeatedly until it has an effect.
 */
#include "zfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>

#define TRY_AGAIN_US (10 * G_TIME_SPAN_MILLISECOND)

/*
 * From the interface of OpenZFS's zvol driver (sys/fs/zfs.h). The header is only installed with the
 * sources.
 */
#define DATASET_NAME_LEN 256
#define BLKZNAME         _IOR(0x12, 125, char[DATASET_NAME_LEN])

static gboolean is_device_of(int fd, const char *dataset)
{
    char name[DATASET_NAME_LEN + 1] = "";

    return ioctl(fd, BLKZNAME, name) >= 0 && strcmp(name, dataset) == 0;
}

/* Opens the linked device. -1 with errno; ENOENT also if the device is of another dataset. */
static int open_now(const char *path, const char *dataset, int flags)
{
    int fd = cst_node_open(path, flags);

    if (fd < 0 || is_device_of(fd, dataset))
        return fd;
    close(fd);
    errno = ENOENT;
    return -1;
}

static int open_awaited(const char *path, const char *dataset, int flags)
{
    gint64 end = g_get_monotonic_time() + zfs_host.node_us;
    int fd;

    /* ENXIO: the link leads to a removed device. */
    while ((fd = open_now(path, dataset, flags)) < 0 && (errno == ENOENT || errno == ENXIO) &&
           g_get_monotonic_time() < end)
        g_usleep(TRY_AGAIN_US);
    return fd;
}

int zfs_node_open(const char *dataset, int flags, GError **error)
{
    g_autofree char *path = zfs_device_of(dataset);
    int fd = open_awaited(path, dataset, flags);

    if (fd < 0)
        cst_fail_errno(error, errno, _("cannot open volume '%s'"), path);
    return fd;
}

CstBlob *zfs_node_blob(const char *dataset, gboolean writable, GError **error)
{
    int fd = zfs_node_open(dataset, writable ? O_RDWR : O_RDONLY, error);

    return fd < 0 ? NULL : cst_blob_file_new(fd, zfs_last_of(dataset), writable, error);
}

gboolean zfs_node_comes(const char *dataset)
{
    g_autofree char *path = zfs_device_of(dataset);
    g_auto(CstFd) fd = open_awaited(path, dataset, O_RDONLY);

    return fd >= 0;
}

/* --- new devices ------------------------------------------------------------------------------ */

/*
 * The kernel scans a disk for partitions if it has room for several device numbers. The device is
 * not opened for this check, because ZFS does not replace an open device.
 */
static gboolean is_partitionable(const char *dataset)
{
    g_autofree char *path = zfs_device_of(dataset);
    g_autofree char *range = cst_sysfs_read_of(path, "ext_range");

    return range && strcmp(range, "1") != 0;
}

void zfs_node_settle(const char *dataset)
{
    const char *const argv[] = {"zfs", "set", ZFS_VOLMODE, dataset, NULL};
    gint64 end = g_get_monotonic_time() + zfs_host.node_us;
    gboolean partitionable = zfs_node_comes(dataset) && is_partitionable(dataset);

    for (; partitionable && g_get_monotonic_time() < end;
         partitionable = is_partitionable(dataset)) {
        cst_device_settle(NULL, NULL, NULL);
        zfs_changev(argv, NULL, NULL);
        g_usleep(TRY_AGAIN_US);
    }
    if (partitionable)
        cst_log(CST_LOG_WARNING,
                "somebody has ZFS volume '%s' open, so the host looks for partitions on it until "
                "its ZFS pool is imported again",
                dataset);
    /* udev sets the owner and mode of its rules on a new device. */
    cst_device_settle(NULL, NULL, NULL);
}
