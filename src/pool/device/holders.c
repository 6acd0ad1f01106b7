/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Holders of a block device. The kernel has no list of them, so each kind is searched for
 * separately. Stacked devices are in /sys, mounts in mountinfo, swap space in /proc/swaps, and
 * descriptors of processes in /proc. Loop devices are queried by an ioctl on each. For a
 * device-mapper device, the kernel's open count is read first. If the count is zero, the search is
 * skipped. If it exceeds our own opens and no holder is found, the count itself is listed.
 *
 * The result is a snapshot. A program may open the device right after it. A process that ends
 * during the search is not listed.
 */
#include <pool/device.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/process.h>
#include <pool/mounts.h>

typedef struct {
    dev_t device;
    GPtrArray *holders;
    guint ours;    /* descriptors of this process */
    guint named;   /* holders that were found */
    guint passing; /* of these, short-lived openers */
} Search;

/*
 * Some programs open a device only for a short time. Examples are udev after a writer has closed
 * it, a tool of LVM during a scan, and losetup during its search for a free device. They have
 * closed it before a user could act on the list. Therefore the search is repeated for PASSING_US
 * while only such programs have the device open.
 */
#define PASSING_US (3 * G_TIME_SPAN_SECOND)
#define LOOK_US    (50 * G_TIME_SPAN_MILLISECOND)

#define BLOCK_DEVICES "/sys/block"

/* --- open count of device-mapper -------------------------------------------------------------- */

/*
 * Returns the open count of the device, or -1 if it is no device-mapper device or the query fails.
 */
static int open_count(dev_t device)
{
    struct dm_ioctl status = {0};

    if (cst_dm_ask(DM_DEV_STATUS, device, &status, sizeof(status), NULL) != 1)
        return -1;
    return status.open_count;
}

/* --- holders ---------------------------------------------------------------------------------- */

/* Adds the devices that are stacked on the device: "crypt-srv (dm-4)", "md0". */
static void find_stacked(Search *search)
{
    g_autofree char *dir = cst_sysfs_block(search->device);
    g_autofree char *path = g_build_filename(dir, "holders", NULL);
    g_auto(GStrv) names = cst_kernel_list(path);

    for (char **name = names; *name; name++) {
        g_autofree char *above = g_build_filename(path, *name, NULL);
        g_autofree char *mapped = cst_sysfs_read(above, "dm/name");

        search->named++;
        if (mapped)
            cst_holders_add(search->holders, 0, _("device '%s' (%s) lies on it"), mapped, *name);
        else
            cst_holders_add(search->holders, 0, _("device '%s' lies on it"), *name);
    }
}

/* Adds the mounts of the device in this process's mount namespace. */
static void device_find_mounts(Search *search)
{
    g_autoptr(GPtrArray) mounts = cst_mounts_read();

    for (guint i = 0; i < mounts->len; i++) {
        const CstMount *mount = g_ptr_array_index(mounts, i);

        if (!cst_mount_lies_on(mount, search->device))
            continue;
        search->named++;
        cst_holders_add(search->holders, 0, _("mounted on '%s'"), mount->target)->reads_only =
            mount->read_only;
    }
}

/* Adds the loop devices, which the kernel does not list as stacked devices. */
static void device_find_loops(Search *search)
{
    const struct stat device = {.st_mode = S_IFBLK, .st_rdev = search->device};
    g_autoptr(GPtrArray) loops = cst_loops_read();

    for (guint i = 0; i < loops->len; i++) {
        const CstLoop *loop = g_ptr_array_index(loops, i);

        if (!cst_loop_is_upon(loop, &device))
            continue;
        search->named++;
        cst_holders_add(search->holders, 0, _("loop device /dev/%s"), loop->name)->reads_only =
            cst_loop_reads_only(loop->name);
    }
}

static gboolean is_device(const struct stat *st, gconstpointer device)
{
    return st->st_rdev == *(const dev_t *)device;
}

static void find_swap(Search *search)
{
    if (!cst_is_swap(is_device, &search->device))
        return;
    search->named++;
    cst_holders_add(search->holders, 0, "%s", _("swap space"));
}

/*
 * Returns whether a descriptor is open for writing, from fdinfo's line "flags:\t0100002", in octal.
 * A descriptor that can no longer be read counts as writable.
 */
static gboolean is_writable(const char *pid, const char *descriptor)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fdinfo/%s", pid, descriptor);
    g_autofree char *text = cst_kernel_read(path);
    const char *flags;

    if (!text)
        return TRUE;
    flags = strstr(text, "flags:");
    return !flags || (strtoul(flags + strlen("flags:"), NULL, 8) & O_ACCMODE) != O_RDONLY;
}

/*
 * Counts the descriptors that process @pid has of @device. Only root sees the descriptors of other
 * users' processes.
 */
static guint descriptors_of(const char *pid, dev_t device, gboolean *ret_writes)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fd", pid);
    g_auto(GStrv) names = cst_kernel_list(path);
    guint count = 0;

    *ret_writes = FALSE;
    for (char **name = names; *name; name++) {
        g_autofree char *descriptor = g_build_filename(path, *name, NULL);
        struct stat st;

        if (cst_node_stat(descriptor, &st) && S_ISBLK(st.st_mode) && st.st_rdev == device) {
            *ret_writes |= is_writable(pid, *name);
            count++;
        }
    }
    return count;
}

static gboolean is_udev(const char *process)
{
    static const char *const names[] = {"systemd-udevd", "(udev-worker)", "udevd", NULL};

    return process && g_strv_contains(names, process);
}

/* udev's rules run programs as children of its workers. */
static gboolean passes_by(int64_t pid, const char *process)
{
    static const char *const names[] = {"blkid", "lvm", "pvscan", "losetup", NULL};
    g_autofree char *parent = NULL;

    if (!process)
        return FALSE;
    if (is_udev(process) || g_strv_contains(names, process))
        return TRUE;
    parent = cst_process_command(cst_process_parent(pid));
    return is_udev(parent);
}

static void add_process(Search *search, int64_t pid, gboolean writes)
{
    g_autofree char *command = cst_process_command(pid);
    g_autofree char *who = cst_process_describe(pid);
    CstHolder *holder = cst_holders_add(search->holders, pid, "%s", who);

    holder->reads_only = !writes;
    holder->passing = passes_by(pid, command);
    search->named++;
    search->passing += holder->passing;
}

static void device_find_processes(Search *search)
{
    g_auto(GStrv) names = cst_kernel_list("/proc");

    for (char **pid = names; *pid; pid++) {
        gboolean writes;
        guint count;

        if (!g_ascii_isdigit(**pid))
            continue;
        count = descriptors_of(*pid, search->device, &writes);
        if (atoll(*pid) == getpid())
            search->ours = count;
        else if (count > 0)
            add_process(search, atoll(*pid), writes);
    }
}

static void find_uses(Search *search)
{
    find_stacked(search);
    device_find_loops(search);
    device_find_mounts(search);
    find_swap(search);
}

/*
 * Searches once. If no holder was found but the kernel counts more opens than this process has, the
 * count itself is listed as a short-lived holder.
 */
static void device_search_holders(Search *search)
{
    int count = open_count(search->device);

    if (count == 0)
        return;
    find_uses(search);
    device_find_processes(search);
    if (search->named > 0 || count <= (int)search->ours)
        return;
    search->named++;
    search->passing++;
    cst_holders_add(search->holders, 0, _("the kernel counts %d openers"),
                    count - (int)search->ours)
        ->passing = TRUE;
}

static void find_uses_of(const char *node, GPtrArray *holders)
{
    Search search = {.holders = holders};
    g_autofree char *path = g_build_filename(BLOCK_DEVICES, node, NULL);

    if (cst_sysfs_device(path, &search.device))
        find_uses(&search);
}

/*
 * The directory of a partition is below the device's directory, and its name begins with the
 * device's.
 */
void cst_device_uses(const char *name, GPtrArray *holders)
{
    g_autofree char *path = g_build_filename(BLOCK_DEVICES, name, NULL);
    g_auto(GStrv) entries = cst_kernel_list(path);

    find_uses_of(name, holders);
    for (char **entry = entries; *entry; entry++)
        if (g_str_has_prefix(*entry, name)) {
            g_autofree char *partition = g_build_filename(name, *entry, NULL);

            find_uses_of(partition, holders);
        }
}

gboolean cst_device_holders(const char *path, GPtrArray *holders, GError **error)
{
    gint64 end = g_get_monotonic_time() + PASSING_US;
    guint before = holders->len;
    struct stat st;

    if (!cst_node_stat(path, &st)) {
        if (errno == ENOENT)
            return TRUE;
        return cst_fail_errno(error, errno, _("cannot stat '%s'"), path);
    }
    if (!S_ISBLK(st.st_mode))
        return TRUE;
    for (;;) {
        Search search = {.device = st.st_rdev, .holders = holders};

        device_search_holders(&search);
        if (search.named > search.passing || search.passing == 0 || g_get_monotonic_time() > end)
            return TRUE;
        g_ptr_array_set_size(holders, (int)before);
        g_usleep(LOOK_US);
    }
}
