/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches for changes of the directory by other programs, with inotify (notify.c). An event names
 * its entry. An event without a name, or a queue that overflowed, means that any entry may have
 * changed. A write is reported when the file is closed, not while a guest writes.
 */
#include "dir.h"

#include <errno.h>
#include <sys/inotify.h>

#include <base/error.h>
#include <base/i18n.h>

#include "notify.h"

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
    /* Watch the directory that was opened and verified, even if the path now leads elsewhere. */
    opened = g_strdup_printf("/proc/self/fd/%d", target.fd);
    fd = dir_notify_open(opened, WATCHED | IN_ONLYDIR);
    if (fd < 0)
        cst_fail_errno(error, errno, _("cannot watch '%s'"), state->def->target_path);
    return fd;
}

void cst_dir_watch_close(CstPoolState *state, int fd)
{
    dir_notify_close(fd);
}

/* A callback that receives only the names that a listing shows. */
typedef struct {
    void (*changed)(const char *name, gpointer data);
    gpointer data;
} ShownNames;

static void pass_shown(const char *name, gpointer data)
{
    const ShownNames *shown = data;

    if (!name || !cst_dir_name_hidden(name))
        shown->changed(name, shown->data);
}

void cst_dir_watch_read(CstPoolState *state, int fd,
                        void (*changed)(const char *name, gpointer data), gpointer data)
{
    ShownNames shown = {.changed = changed, .data = data};

    dir_notify_read(fd, pass_shown, &shown);
}
