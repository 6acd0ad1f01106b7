/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches for changes of the disk by other programs. A program that writes a table then closes the
 * disk, and the kernel reports the close of the node, as it does to udev. For each partition that
 * the kernel adds or removes, a node appears or disappears in the directory of the disk's node. An
 * event only reports that the disk changed. The scan finds the changes.
 */
#include "disk.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

#define NODES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)

int disk_watch_open(CstPoolState *state, GError **error)
{
    g_auto(DiskDevice) device = {0};
    g_autofree char *folder = NULL;
    int fd;

    if (!disk_device_find(state->def, &device, error))
        return -1;
    folder = g_path_get_dirname(device.node);
    fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0 && inotify_add_watch(fd, device.node, IN_CLOSE_WRITE) >= 0 &&
        inotify_add_watch(fd, folder, NODES | IN_ONLYDIR) >= 0)
        return fd;
    cst_fail_errno(error, errno, _("cannot watch '%s'"), device.node);
    if (fd >= 0)
        close(fd);
    return -1;
}

/*
 * Returns whether an event of the directory is about the disk's own nodes. Events of the disk have
 * no name.
 */
static gboolean disk_event_is_own(const struct inotify_event *event, const char *own)
{
    return event->len == 0 || g_str_has_prefix(event->name, own);
}

void disk_watch_read(CstPoolState *state, int fd, void (*changed)(const char *name, gpointer data),
                     gpointer data)
{
    char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    g_auto(DiskDevice) device = {0};
    g_autofree char *own = NULL;
    gboolean any = FALSE;
    ssize_t n;

    disk_device_guess(state->def, &device);
    own = g_path_get_basename(device.node);
    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        for (char *p = buf; p < buf + n;) {
            const struct inotify_event *event = (const struct inotify_event *)p;

            p += sizeof(*event) + event->len;
            any = any || disk_event_is_own(event, own);
        }
    }
    if (!any)
        return;
    disk_seen_forget(DISK(state));
    changed(NULL, data);
}
