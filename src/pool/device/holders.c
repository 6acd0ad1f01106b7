/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who has a block device open. The kernel has no list of them, so each kind is searched for where
 * it shows: devices on top in /sys, mounts in mountinfo, swap space, descriptors of processes in
 * /proc. For a device of device-mapper the kernel's own open count says first whether there is
 * anybody at all, and afterwards whether somebody was missed.
 *
 * The answer is a snapshot: somebody may open the device right after it, and a process that ends
 * during the search is not listed.
 */
#include <pool/device.h>

#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/process.h>

typedef struct {
    dev_t device;
    GPtrArray *holders;
    guint ours;    /* descriptors of this process */
    guint named;   /* holders that were found */
    guint passing; /* of those that are there for a moment only */
} Search;

/*
 * udev opens a device whenever somebody who wrote to it has closed it, and a tool of LVM's when it
 * scans. Both are gone again before anybody could act on their being listed, so the search is
 * repeated for PASSING_US while nobody else has the device open.
 */
#define PASSING_US (3 * G_TIME_SPAN_SECOND)
#define LOOK_US    (50 * G_TIME_SPAN_MILLISECOND)

#define BLOCK_DEVICES "/sys/block"
#define BTRFS         "/sys/fs/btrfs" /* a folder for each that is mounted */

typedef struct libmnt_table MountTable;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MountTable, mnt_unref_table)
typedef struct libmnt_iter MountIter;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MountIter, mnt_free_iter)

/* Number of the device whose folder in /sys is @path; FALSE when it is none's. */
static gboolean read_number(const char *path, dev_t *ret_device)
{
    g_autofree char *file = g_build_filename(path, "dev", NULL);
    g_autofree char *text = cst_kernel_read(file);
    unsigned device_major, device_minor;

    if (!text || sscanf(text, "%u:%u", &device_major, &device_minor) != 2)
        return FALSE;
    *ret_device = makedev(device_major, device_minor);
    return TRUE;
}

/* --- device-mapper's own count ---------------------------------------------------------------- */

/*
 * Returns how often the device is open; -1: it is no device-mapper device, or the kernel can't be
 * asked.
 */
static int open_count(dev_t device)
{
    g_auto(CstFd) control = cst_node_open("/dev/mapper/control", O_RDWR);
    struct dm_ioctl status = {.version = {DM_VERSION_MAJOR, 0, 0},
                              .data_size = sizeof(status),
                              .data_start = sizeof(status)};

    /* The kernel's encoding of device numbers equals the C library's for all numbers in use. */
    status.dev = device;
    if (control < 0 || ioctl(control, DM_DEV_STATUS, &status) < 0)
        return -1;
    return status.open_count;
}

/* --- who -------------------------------------------------------------------------------------- */

/* Adds the devices that lie on top of it: "crypt-srv (dm-4)", "md0". */
static void find_stacked(Search *search)
{
    g_autofree char *path = g_strdup_printf("/sys/dev/block/%u:%u/holders", major(search->device),
                                            minor(search->device));
    g_auto(GStrv) names = cst_kernel_list(path);

    for (char **name = names; *name; name++) {
        g_autofree char *file = g_strdup_printf("%s/%s/dm/name", path, *name);
        g_autofree char *mapped = cst_kernel_read(file);

        search->named++;
        if (mapped)
            cst_holders_add(search->holders, 0, _("device '%s' (%s) lies on it"),
                            g_strchomp(mapped), *name);
        else
            cst_holders_add(search->holders, 0, _("device '%s' lies on it"), *name);
    }
}

/* Returns @made of libmount's; as with GLib's allocators, the process ends when memory is short. */
static gpointer checked(gpointer made)
{
    if (!made)
        g_error("no memory for a table of the kernel's");
    return made;
}

/* The kernel's table at @path (/proc/self/mountinfo, /proc/swaps); empty when it can't be read. */
static MountTable *read_table(const char *path)
{
    MountTable *table = checked(mnt_new_table());
    g_autofree char *text = cst_kernel_read(path);
    FILE *stream = text && *text ? fmemopen(text, strlen(text), "r") : NULL;

    if (stream) {
        mnt_table_parse_stream(table, stream, path);
        fclose(stream);
    }
    return table;
}

/* Whether btrfs @uuid, which is mounted, lies on @device. */
static gboolean btrfs_has(const char *uuid, dev_t device)
{
    g_autofree char *path = g_build_filename(BTRFS, uuid, "devices", NULL);
    g_auto(GStrv) names = cst_kernel_list(path);
    dev_t own;

    for (char **name = names; *name; name++) {
        g_autofree char *node = g_build_filename(path, *name, NULL);

        if (read_number(node, &own) && own == device)
            return TRUE;
    }
    return FALSE;
}

/* Whether one btrfs lies on both devices. */
static gboolean share_btrfs(dev_t one, dev_t other)
{
    g_auto(GStrv) uuids = cst_kernel_list(BTRFS);

    for (char **uuid = uuids; *uuid; uuid++)
        if (btrfs_has(*uuid, one) && btrfs_has(*uuid, other))
            return TRUE;
    return FALSE;
}

/*
 * The device's number is in the line, but for btrfs, which has a number of its own there and names
 * one of the devices that it lies on. Only btrfs' word is taken for it: a FUSE mount's source is
 * what the user who mounted it has written.
 */
static gboolean lies_on(struct libmnt_fs *mount, dev_t device)
{
    const char *type = mnt_fs_get_fstype(mount);
    const char *source = mnt_fs_get_source(mount);
    struct stat st;

    if (mnt_fs_get_devno(mount) == device)
        return TRUE;
    return type && strcmp(type, "btrfs") == 0 && source && cst_node_stat(source, &st) &&
           S_ISBLK(st.st_mode) && (st.st_rdev == device || share_btrfs(st.st_rdev, device));
}

/* Adds its mounts in this process's mount namespace. */
static void find_mounts(Search *search)
{
    g_autoptr(MountTable) table = read_table("/proc/self/mountinfo");
    g_autoptr(MountIter) iter = checked(mnt_new_iter(MNT_ITER_FORWARD));
    struct libmnt_fs *mount;

    while (mnt_table_next_fs(table, iter, &mount) == 0) {
        if (!lies_on(mount, search->device))
            continue;
        search->named++;
        cst_holders_add(search->holders, 0, _("mounted on '%s'"), mnt_fs_get_target(mount))
            ->reads_only =
            mnt_optstr_get_option(mnt_fs_get_vfs_options(mount), "ro", NULL, NULL) == 0;
    }
}

gboolean cst_is_swap(gboolean (*is_it)(const struct stat *st, gconstpointer data),
                     gconstpointer data)
{
    g_autoptr(MountTable) table = read_table("/proc/swaps");
    g_autoptr(MountIter) iter = checked(mnt_new_iter(MNT_ITER_FORWARD));
    struct libmnt_fs *swap;

    while (mnt_table_next_fs(table, iter, &swap) == 0) {
        const char *path = mnt_fs_get_source(swap);
        struct stat st;

        if (path && path[0] == '/' && cst_node_stat(path, &st) && is_it(&st, data))
            return TRUE;
    }
    return FALSE;
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
 * Whether a descriptor is open for writing, by fdinfo's line "flags:\t0100002", in octal. A
 * descriptor that can't be read any more counts as writable.
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
 * Counts the descriptors that process @pid has of @device; those of other users' processes are only
 * seen by root.
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

static gboolean passes_by(const char *process)
{
    static const char *const names[] = {"systemd-udevd", "(udev-worker)", "udevd", "blkid",
                                        "lvm",           "pvscan",        NULL};

    return g_strv_contains(names, process);
}

static void add_process(Search *search, int64_t pid, gboolean writes)
{
    g_autofree char *command = cst_process_command(pid);
    g_autofree char *who = cst_process_describe(pid);

    search->named++;
    search->passing += command && passes_by(command);
    cst_holders_add(search->holders, pid, "%s", who)->reads_only = !writes;
}

static void find_processes(Search *search)
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
    find_mounts(search);
    find_swap(search);
}

/*
 * Searches once. If nothing was found although the kernel counts more opens than this process has,
 * the count itself is listed; that may be over in a moment as well.
 */
static void find_holders(Search *search)
{
    int count = open_count(search->device);

    if (count == 0)
        return;
    find_uses(search);
    find_processes(search);
    if (search->named > 0 || count <= (int)search->ours)
        return;
    search->named++;
    search->passing++;
    cst_holders_add(search->holders, 0, _("the kernel counts %d who have it open"),
                    count - (int)search->ours);
}

static void find_uses_of(const char *node, GPtrArray *holders)
{
    Search search = {.holders = holders};
    g_autofree char *path = g_build_filename(BLOCK_DEVICES, node, NULL);

    if (read_number(path, &search.device))
        find_uses(&search);
}

/* Partitions have directories of their own below the device's, which begin with its name. */
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

        find_holders(&search);
        if (search.named > search.passing || search.passing == 0 || g_get_monotonic_time() > end)
            return TRUE;
        g_ptr_array_set_size(holders, (int)before);
        g_usleep(LOOK_US);
    }
}
