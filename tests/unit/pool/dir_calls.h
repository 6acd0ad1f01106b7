/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The system calls of a directory pool, recorded and failing on demand. The program is linked with
 * --wrap for each (meson.build). Only one source of a program may include this file.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "tree.h"

static GString *calls; /* one per line: "fsync DRAFT" */
static guint passed;   /* calls since the start of play() */
static guint fault_at; /* number of the call that fails with EIO; 0: all succeed */
static void (*on_mkdir)(const char *name);

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __real_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __real_renameat(int from, const char *old, int to, const char *new);
int __wrap_renameat(int from, const char *old, int to, const char *new);
int __real_linkat(int from, const char *old, int to, const char *new, int flags);
int __wrap_linkat(int from, const char *old, int to, const char *new, int flags);
int __real_unlinkat(int fd, const char *name, int flags);
int __wrap_unlinkat(int fd, const char *name, int flags);
int __real_mkdirat(int fd, const char *name, mode_t mode);
int __wrap_mkdirat(int fd, const char *name, mode_t mode);
int __wrap_ioctl(int fd, unsigned long request, int from);

/* Replaces names of drafts with random tokens by "DRAFT", and the snapshot directory by "SNAPS". */
static char *readable(const char *path)
{
    g_autoptr(GRegex) draft = g_regex_new("\\.cistern-[0-9a-f-]+\\.part", 0, 0, NULL);
    g_autoptr(GRegex) snaps = g_regex_new("\\.cistern-snapshots", 0, 0, NULL);
    g_autofree char *drafts = g_regex_replace(draft, path, -1, 0, "DRAFT", 0, NULL);

    return g_regex_replace(snaps, drafts, -1, 0, "SNAPS", 0, NULL);
}

/* Returns a path relative to the pool's directory, which is ".". @name NULL: the file of @fd. */
static char *place(int fd, const char *name)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *open_path = g_file_read_link(link, NULL);
    g_autofree char *path = name ? g_build_filename(open_path ? open_path : "?", name, NULL)
                                 : g_strdup(open_path ? open_path : "?");
    g_autofree char *pool_path = at("pool");
    const char *below = path;

    if (g_str_has_prefix(path, pool_path))
        below = path[strlen(pool_path)] ? path + strlen(pool_path) + 1 : ".";
    return readable(below);
}

/* Records the call. Returns TRUE if it must fail. Consumes @what. */
static gboolean strikes(const char *call, char *what)
{
    gboolean fails = ++passed == fault_at;

    if (calls)
        g_string_append_printf(calls, "%s %s\n", call, what);
    g_free(what);
    if (fails)
        errno = EIO;
    return fails;
}

int __wrap_fsync(int fd)
{
    return strikes("fsync", place(fd, NULL)) ? -1 : __real_fsync(fd);
}

int __wrap_fchown(int fd, uid_t uid, gid_t gid)
{
    return strikes("fchown", place(fd, NULL)) ? -1 : __real_fchown(fd, uid, gid);
}

int __wrap_fchmod(int fd, mode_t mode)
{
    return strikes("fchmod", place(fd, NULL)) ? -1 : __real_fchmod(fd, mode);
}

static gboolean strikes_two(const char *call, int from, const char *old, int to, const char *new)
{
    g_autofree char *left = from == AT_FDCWD ? g_strdup("FD") : place(from, old);
    g_autofree char *right = place(to, new);

    return strikes(call, g_strdup_printf("%s %s", left, right));
}

int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    return strikes_two("rename", from, old, to, new) ? -1
                                                     : __real_renameat2(from, old, to, new, flags);
}

int __wrap_renameat(int from, const char *old, int to, const char *new)
{
    return strikes_two("replace", from, old, to, new) ? -1 : __real_renameat(from, old, to, new);
}

int __wrap_linkat(int from, const char *old, int to, const char *new, int flags)
{
    return strikes_two("link", from, old, to, new) ? -1 : __real_linkat(from, old, to, new, flags);
}

int __wrap_unlinkat(int fd, const char *name, int flags)
{
    return strikes(flags & AT_REMOVEDIR ? "rmdir" : "unlink", place(fd, name))
               ? -1
               : __real_unlinkat(fd, name, flags);
}

int __wrap_mkdirat(int fd, const char *name, mode_t mode)
{
    int made = strikes("mkdir", place(fd, name)) ? -1 : 0;

    if (made == 0 && on_mkdir)
        on_mkdir(name);
    return made == 0 ? __real_mkdirat(fd, name, mode) : -1;
}

/* The content is short, so extents are shared by copying. */
int __wrap_ioctl(int fd, unsigned long request, int from)
{
    char content[64];
    ssize_t len;

    if (request != FICLONE) {
        errno = ENOTTY;
        return -1;
    }
    if (strikes("share", place(fd, NULL)))
        return -1;
    len = pread(from, content, sizeof(content), 0);
    return len >= 0 && pwrite(fd, content, (size_t)len, 0) == len ? 0 : -1;
}
