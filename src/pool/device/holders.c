/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pool/device.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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

typedef struct {
    dev_t device;
    GPtrArray *holders;
    guint ours;    /* descriptors of this process */
    guint named;   /* holders that were found */
    guint passing; /* of those that are there for a moment only */
} Search;

/*
 * udev looks at a device whenever somebody who wrote to it has closed it. It is gone again before
 * anybody reads that it was there, and so is a tool of LVM's that scans devices.
 */
#define PASSING_US (3 * G_TIME_SPAN_SECOND)
#define LOOK_US    (50 * G_TIME_SPAN_MILLISECOND)

/* --- device-mapper's own count ---------------------------------------------------------------- */

/* How often the device is open; -1: it is no device-mapper device, or can't be asked. */
static int open_count(dev_t device)
{
    g_auto(CstFd) control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    struct dm_ioctl status = {.version = {DM_VERSION_MAJOR, 0, 0},
                              .data_size = sizeof(status),
                              .data_start = sizeof(status)};

    /* The kernel's number, which is the C library's for every device that there is. */
    status.dev = device;
    if (control < 0 || ioctl(control, DM_DEV_STATUS, &status) < 0)
        return -1;
    return status.open_count;
}

/* --- who -------------------------------------------------------------------------------------- */

/* Devices on top of it: "crypt-srv (dm-4)", "md0". */
static void find_stacked(Search *search)
{
    g_autofree char *path = g_strdup_printf("/sys/dev/block/%u:%u/holders", major(search->device),
                                            minor(search->device));
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_strdup_printf("%s/%s/dm/name", path, name);
        g_autofree char *mapped = NULL;

        search->named++;
        if (g_file_get_contents(file, &mapped, NULL, NULL))
            cst_holders_add(search->holders, 0, _("device '%s' (%s) lies on it"),
                            g_strchomp(mapped), name);
        else
            cst_holders_add(search->holders, 0, _("device '%s' lies on it"), name);
    }
}

/* proc(5): "36 35 98:0 /root /mount/point …", with spaces in paths as \040. */
static void find_mounts(Search *search)
{
    g_autofree char *wanted =
        g_strdup_printf("%u:%u", major(search->device), minor(search->device));
    g_autofree char *table = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents("/proc/self/mountinfo", &table, NULL, NULL))
        return;
    lines = g_strsplit(table, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) fields = g_strsplit(*line, " ", 6);
        g_autofree char *where = NULL;

        if (g_strv_length(fields) < 6 || strcmp(fields[2], wanted) != 0)
            continue;
        where = g_strcompress(fields[4]);
        search->named++;
        cst_holders_add(search->holders, 0, _("mounted on '%s'"), where);
    }
}

static void find_swap(Search *search)
{
    g_autofree char *table = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents("/proc/swaps", &table, NULL, NULL))
        return;
    lines = g_strsplit(table, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_autofree char *path = g_strndup(*line, strcspn(*line, " \t"));
        struct stat st;

        if (path[0] != '/' || stat(path, &st) < 0 || st.st_rdev != search->device)
            continue;
        search->named++;
        cst_holders_add(search->holders, 0, "%s", _("swap space"));
    }
}

static guint descriptors_of(const char *pid, dev_t device)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fd", pid);
    DIR *dir = opendir(path);
    struct dirent *entry;
    struct stat st;
    guint count = 0;

    if (!dir)
        return 0;
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' && fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 &&
            S_ISBLK(st.st_mode) && st.st_rdev == device)
            count++;
    closedir(dir);
    return count;
}

static gboolean passes_by(const char *process)
{
    static const char *const names[] = {"systemd-udevd", "(udev-worker)", "udevd", "blkid",
                                        "lvm",           "pvscan",        NULL};

    return g_strv_contains(names, process);
}

static void add_process(Search *search, const char *pid)
{
    g_autofree char *file = g_strdup_printf("/proc/%s/comm", pid);
    g_autofree char *name = NULL;

    search->named++;
    if (!g_file_get_contents(file, &name, NULL, NULL))
        name = g_strdup(_("a process"));
    g_strchomp(name);
    search->passing += passes_by(name);
    cst_holders_add(search->holders, atoll(pid), _("%s (pid %s) has it open"), name, pid);
}

static void find_processes(Search *search)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        guint count;

        if (!g_ascii_isdigit(entry->d_name[0]))
            continue;
        count = descriptors_of(entry->d_name, search->device);
        if (atoll(entry->d_name) == getpid())
            search->ours = count;
        else if (count > 0)
            add_process(search, entry->d_name);
    }
    if (dir)
        closedir(dir);
}

/* One look. Nobody admits to what only the kernel counts: that may be over already, too. */
static void find_holders(Search *search)
{
    int count = open_count(search->device);

    if (count == 0)
        return;
    find_stacked(search);
    find_mounts(search);
    find_swap(search);
    find_processes(search);
    if (search->named > 0 || count <= (int)search->ours)
        return;
    search->named++;
    search->passing++;
    cst_holders_add(search->holders, 0, _("the kernel counts %d who have it open"),
                    count - (int)search->ours);
}

gboolean cst_device_holders(const char *path, GPtrArray *holders, GError **error)
{
    gint64 end = g_get_monotonic_time() + PASSING_US;
    guint before = holders->len;
    struct stat st;

    if (stat(path, &st) < 0) {
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
