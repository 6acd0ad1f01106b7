/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of the directory by others, from inotify. An event names the entry that it is about; an
 * event without a name, or a queue that overflowed, means "anything". Writes are reported when the
 * file is closed, not while a guest writes.
 */
#include "dir.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

#define WATCHED                                                                         \
    (IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)

int cst_dir_watch_open(CstPoolState *state, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    g_autofree char *opened = NULL;
    int fd;

    if (!cst_dir_target_open(state, &target, error))
        return -1;
    /* What was opened and found to be the pool's is watched, whatever has the name by now. */
    opened = g_strdup_printf("/proc/self/fd/%d", target.fd);
    fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0 && inotify_add_watch(fd, opened, WATCHED | IN_ONLYDIR) >= 0)
        return fd;
    cst_fail_errno(error, errno, _("cannot watch '%s'"), state->def->target_path);
    if (fd >= 0)
        close(fd);
    return -1;
}

/*
 * Until the queue is empty (the descriptor does not block). Names that no listing shows are
 * skipped.
 */
void cst_dir_watch_read(CstPoolState *state, int fd,
                        void (*changed)(const char *name, gpointer data), gpointer data)
{
    char buf[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        for (char *p = buf; p < buf + n;) {
            const struct inotify_event *event = (const struct inotify_event *)p;

            p += sizeof(*event) + event->len;
            if (event->len == 0 || (event->mask & IN_Q_OVERFLOW))
                changed(NULL, data);
            else if (!cst_dir_name_hidden(event->name))
                changed(event->name, data);
        }
    }
}
