/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What udev knows and does. It makes the stable names below /dev/disk some time after the kernel
 * has made a device, so whoever causes devices to appear waits for it, and whoever wants to know of
 * devices that others attach listens to what it broadcasts when it is done with one.
 *
 * The descriptor to listen with is a copy of libudev's socket, which keeps the filter that libudev
 * has put on it, so that nothing else has to live as long as the descriptor does. What it receives
 * is not looked at: an event says "something has changed", and the scan that follows finds out
 * what. That also makes lost events (ENOBUFS) and forged ones harmless.
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

/* --- changes by others ------------------------------------------------------------------------ */

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

/* The socket does not block. One whose buffer has run over says so once, and goes on. */
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
 * "udevadm settle" first makes udev read what the kernel has reported by now, which looking at
 * udev's queue does not. Where udev does not run it returns at once. That time is up is no failure:
 * the caller sees whether what it waits for is there.
 */
gboolean cst_device_settle(const char *path, CstTask *task, GError **error)
{
    g_autofree char *timeout = g_strdup_printf("--timeout=%u", SETTLE_S);
    g_autofree char *until = path ? g_strdup_printf("--exit-if-exists=%s", path) : NULL;
    const char *const argv[] = {"udevadm", "settle", timeout, until, NULL};
    /* It ends by itself; this is for one that doesn't. */
    const CstChild child = {.argv = argv, .timeout_s = SETTLE_S + 5};
    g_auto(CstChildResult) result = {0};
    g_autoptr(GError) why = NULL;

    if (cst_child_run(&child, task, &result, &why) ||
        !g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* --- what it knows of a device ---------------------------------------------------------------- */

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
