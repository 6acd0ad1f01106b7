/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users that prevent an unmount. The kernel only reports that users exist. The search only compares
 * mount ids and paths from the kernel. It accesses no file, because a process may have files open
 * on other storage that hangs.
 */
#include "mount.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/file.h>
#include <base/i18n.h>
#include <base/process.h>

/* Returns whether @path is at or below @target. */
static gboolean is_below(const char *path, const char *target)
{
    size_t len = strlen(target);

    return path && strncmp(path, target, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* Returns whether a descriptor is of mount @id, from fdinfo's line "mnt_id:\t29". */
static gboolean is_of_mount(const char *fdinfo, int id)
{
    g_autofree char *text = cst_kernel_read(fdinfo);
    const char *line = text ? strstr(text, "mnt_id:") : NULL;

    return line && atoi(line + strlen("mnt_id:")) == id;
}

static gboolean has_descriptor(const char *pid, int id)
{
    g_autofree char *folder = g_strdup_printf("/proc/%s/fdinfo", pid);
    g_auto(GStrv) names = cst_kernel_list(folder);

    for (char **name = names; *name; name++) {
        g_autofree char *path = g_build_filename(folder, *name, NULL);

        if (is_of_mount(path, id))
            return TRUE;
    }
    return FALSE;
}

/* Returns whether the process has its working directory, root or program at or below @target. */
static gboolean lives_below(const char *pid, const char *target)
{
    static const char *const links[] = {"cwd", "root", "exe"};

    for (size_t i = 0; i < G_N_ELEMENTS(links); i++) {
        g_autofree char *path = g_strdup_printf("/proc/%s/%s", pid, links[i]);
        g_autofree char *leads_to = cst_kernel_link(path);

        if (is_below(leads_to, target))
            return TRUE;
    }
    return FALSE;
}

static void mount_find_processes(const CstMount *mount, GPtrArray *holders)
{
    g_auto(GStrv) names = cst_kernel_list("/proc");

    for (char **pid = names; *pid; pid++) {
        g_autofree char *who = NULL;

        if (!g_ascii_isdigit(**pid) || atoll(*pid) == getpid() ||
            (!has_descriptor(*pid, mount->id) && !lives_below(*pid, mount->target)))
            continue;
        who = cst_process_describe(atoll(*pid));
        cst_holders_add(holders, atoll(*pid), "%s", who);
    }
}

static void mount_find_loops(const CstMount *mount, GPtrArray *holders)
{
    g_auto(GStrv) names = cst_kernel_list("/sys/block");

    for (char **name = names; *name; name++) {
        g_autofree char *path = g_build_filename("/sys/block", *name, "loop/backing_file", NULL);
        g_autofree char *file = cst_kernel_read(path);

        if (file && is_below(g_strchomp(file), mount->target))
            cst_holders_add(holders, 0, _("loop device /dev/%s"), *name);
    }
}

static void mount_find_submounts(const CstMount *mount, const GPtrArray *mounts, GPtrArray *holders)
{
    for (guint i = 0; i < mounts->len; i++) {
        const CstMount *other = g_ptr_array_index(mounts, i);

        if (other != mount && is_below(other->target, mount->target))
            cst_holders_add(holders, 0, _("mounted on '%s'"), other->target);
    }
}

void mount_users(const CstMount *mount, const GPtrArray *mounts, GPtrArray *holders)
{
    mount_find_submounts(mount, mounts, holders);
    mount_find_loops(mount, holders);
    mount_find_processes(mount, holders);
}
