/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who uses a regular file as if it were a device: loop devices upon it, with whatever lies upon
 * those, and swap space. Files are compared by device and inode: the name under which the file was
 * attached proves nothing, as it may have been renamed or linked since.
 *
 * Only devices with a size are queried, which /proc/partitions lists, so that a host without
 * attached loop devices pays for two short reads (7 microseconds; querying eight idle devices would
 * take 25).
 */
#include <pool/device.h>

#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/file.h>
#include <base/i18n.h>

static gboolean is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/*
 * Compares by the name of the backing file, where the device has no node to query (in a container).
 */
static gboolean is_named(const char *name, const struct stat *file)
{
    g_autofree char *attribute = g_build_filename("/sys/block", name, "loop/backing_file", NULL);
    g_autofree char *path = cst_kernel_read(attribute);
    struct stat st;

    return path && cst_node_stat(g_strchomp(path), &st) && is_same_file(&st, file);
}

/*
 * Whether loop device @name lies upon @file. LOOP_GET_STATUS64 reports device and inode of the
 * file.
 */
static gboolean is_upon(const char *name, const struct stat *file)
{
    g_autofree char *node = g_strconcat("/dev/", name, NULL);
    g_auto(CstFd) fd = cst_node_open(node, O_RDONLY);
    struct loop_info64 info;

    if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
        return is_named(name, file);
    return info.lo_device == file->st_dev && info.lo_inode == file->st_ino;
}

/*
 * Adds one holder for the loop device, with what uses it: "loop device /dev/loop3 (mounted on
 * '/srv')".
 */
static void add_loop(const char *name, GPtrArray *holders)
{
    g_autoptr(GPtrArray) uses = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);
    g_autoptr(GString) text = g_string_new(NULL);

    cst_device_uses(name, uses);
    for (guint i = 0; i < uses->len; i++)
        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "",
                               ((const CstHolder *)g_ptr_array_index(uses, i))->what);
    if (text->len > 0)
        cst_holders_add(holders, 0, _("loop device /dev/%s (%s)"), name, text->str);
    else
        cst_holders_add(holders, 0, _("loop device /dev/%s"), name);
}

/*
 * Returns the name of the loop device in a line of /proc/partitions, "   7        3     102400
 * loop3"; NULL: the line is about something else, or about a partition ("loop3p1").
 */
static const char *loop_of(const char *line)
{
    const char *name = strrchr(line, ' ');

    if (!name || strncmp(name + 1, "loop", 4) != 0)
        return NULL;
    return strchr(name + 5, 'p') ? NULL : name + 1; /* no partition ("loop3p1") */
}

static void find_loops(const struct stat *file, GPtrArray *holders)
{
    g_autofree char *table = cst_kernel_read("/proc/partitions");
    g_auto(GStrv) lines = NULL;

    if (!table || !strstr(table, " loop"))
        return;
    lines = g_strsplit(table, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *name = loop_of(*line);

        if (name && is_upon(name, file))
            add_loop(name, holders);
    }
}

static gboolean is_file(const struct stat *st, gconstpointer file)
{
    return is_same_file(st, file);
}

void cst_file_holders(int fd, GPtrArray *holders)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    find_loops(&st, holders);
    if (cst_is_swap(is_file, &st))
        cst_holders_add(holders, 0, "%s", _("swap space"));
}
