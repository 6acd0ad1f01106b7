/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Detects changes of the group by other programs. udev keeps a link /dev/VG/NAME for each active
 * LV, so the directory /dev/VG shows the changes of LVM's tools. The directory is created with the
 * first link and removed with the last. So its parent is watched, too.
 *
 * Each event is also reported to the cache (cache.c). Inactive LVs have no node, and are not shown.
 */
#include "logical.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

#define LINKS  (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define FOLDER (IN_CREATE | IN_MOVED_TO)

/* Fails silently if the group has no active LV, because the directory does not exist then. */
static void watch_links(const LogicalState *state, int fd)
{
    g_autofree char *path = g_strdup_printf("%s/%s", lvm_host.dev, state->vg);

    inotify_add_watch(fd, path, LINKS | IN_ONLYDIR);
}

int logical_watch_open(CstPoolState *state, GError **error)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (fd >= 0 && inotify_add_watch(fd, lvm_host.dev, FOLDER | IN_ONLYDIR) >= 0) {
        watch_links(LOGICAL(state), fd);
        return fd;
    }
    cst_fail_errno(error, errno, _("cannot watch '%s'"), lvm_host.dev);
    if (fd >= 0)
        close(fd);
    return -1;
}

/*
 * Whether the event is from the parent directory, which has the first watch of the inotify
 * instance.
 */
static gboolean is_above(const struct inotify_event *event)
{
    return event->wd == 1;
}

/*
 * Reports a node to the cache. Events may be late, so the current state of the node is used. A node
 * that was removed and created again may be another LV.
 */
static void watch_update_node(LogicalState *state, const struct inotify_event *event)
{
    gboolean went = (event->mask & (IN_CREATE | IN_MOVED_TO)) == 0;
    struct stat node;
    gboolean is_there = logical_has_node(state, event->name, &node);

    if (went && is_there)
        logical_cache_invalidate(state);
    else
        logical_cache_node_changed(state, event->name, is_there);
}

/* After an overflow, or a new directory of the group, any LV may have changed. */
static void watch_handle_event(LogicalState *state, int fd, const struct inotify_event *event,
                               void (*changed)(const char *name, gpointer data), gpointer data)
{
    if (event->mask & IN_Q_OVERFLOW) {
        logical_cache_invalidate(state);
        changed(NULL, data);
    } else if (is_above(event)) {
        if (event->len == 0 || strcmp(event->name, state->vg) != 0)
            return;
        /* Links created before the watch have no event of their own. */
        logical_cache_invalidate(state);
        watch_links(state, fd);
        changed(NULL, data);
    } else if (event->len > 0) {
        watch_update_node(state, event);
        if (!cst_draft_is_hidden(event->name))
            changed(event->name, data);
    }
}

void logical_watch_read(CstPoolState *state, int fd,
                        void (*changed)(const char *name, gpointer data), gpointer data)
{
    char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        for (char *p = buf; p < buf + n;) {
            const struct inotify_event *event = (const struct inotify_event *)p;

            p += sizeof(*event) + event->len;
            watch_handle_event(LOGICAL(state), fd, event, changed, data);
        }
    }
}
