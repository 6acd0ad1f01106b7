/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interface to udev. udev creates the stable names below /dev/disk some time after the kernel has
 * created a device. A caller that attaches devices therefore waits for udev. A caller that watches
 * for devices listens to udev's broadcasts, which follow the processing of each device.
 *
 * The descriptor for the watch is a copy of libudev's socket. The socket keeps the filter of
 * libudev, so the descriptor outlives the libudev objects. The content of events is ignored. An
 * event means that any device may have changed, and the following scan finds the changes. Lost
 * events (ENOBUFS) and forged ones are harmless for the same reason.
 */
#include <pool/device.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <udev_library.h>
#include <unistd.h>

#include <base/child.h>
#include <base/error.h>
#include <base/i18n.h>

typedef struct udev Udev;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Udev, udev_unref)
typedef struct udev_device UdevDevice;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UdevDevice, udev_device_unref)
typedef struct udev_monitor UdevMonitor;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UdevMonitor, udev_monitor_unref)

#define SETTLE_S 10u

/* --- changes by other programs ---------------------------------------------------------------- */

int cst_device_watch_open(GError **error)
{
    g_autoptr(Udev) udev = NULL;
    g_autoptr(UdevMonitor) monitor = NULL;
    int fd = -1;

    if (!cst_library_load(&cst_udev_library, error))
        return -1;
    udev = udev_new();
    monitor = udev ? udev_monitor_new_from_netlink(udev, "udev") : NULL;
    if (monitor && udev_monitor_filter_add_match_subsystem_devtype(monitor, "block", NULL) >= 0 &&
        udev_monitor_enable_receiving(monitor) >= 0)
        fd = fcntl(udev_monitor_get_fd(monitor), F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        cst_fail_errno(error, errno, _("cannot listen to udev"));
    return fd;
}

/*
 * Does not block. After an overflow of its buffer, the socket reports ENOBUFS once and then
 * continues.
 */
gboolean cst_device_watch_drain(int fd)
{
    gboolean any = FALSE;
    char byte;
    ssize_t n;

    while ((n = recv(fd, &byte, sizeof(byte), MSG_DONTWAIT)) >= 0 || errno == ENOBUFS ||
           errno == EINTR)
        any = any || n >= 0 || errno == ENOBUFS;
    return any;
}

/* --- waiting ---------------------------------------------------------------------------------- */

/*
 * "udevadm settle" first makes udev read all events that the kernel has reported, which a check of
 * udev's queue would not do. It returns at once if udev does not run. A timeout is no failure,
 * because the caller checks for the device itself.
 */
gboolean cst_device_settle(const char *path, CstTask *task, GError **error)
{
    g_autofree char *timeout = g_strdup_printf("--timeout=%u", SETTLE_S);
    g_autofree char *until = path ? g_strdup_printf("--exit-if-exists=%s", path) : NULL;
    const char *const argv[] = {"udevadm", "settle", timeout, until, NULL};
    /* The command has its own timeout. This one ends a command that hangs. */
    const CstChild child = {.argv = argv, .timeout_s = SETTLE_S + 5};
    g_auto(CstChildResult) result = {0};
    g_autoptr(GError) why = NULL;

    if (cst_child_run(&child, task, &result, &why) ||
        !g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* --- properties of a device ------------------------------------------------------------------- */

char *cst_device_property(dev_t device, const char *key)
{
    g_autoptr(Udev) udev = NULL;
    g_autoptr(UdevDevice) found = NULL;
    const char *value = NULL;

    if (cst_library_load(&cst_udev_library, NULL))
        udev = udev_new();
    if (udev)
        found = udev_device_new_from_devnum(udev, 'b', device);
    if (found)
        value = udev_device_get_property_value(found, key);
    return value && *value ? g_strdup(value) : NULL;
}
