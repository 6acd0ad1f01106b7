/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t offset);
int __real_fsync(int fd);
int __real_renameat(int olddir, const char *old, int newdir, const char *new);
int __real_unlinkat(int dir, const char *name, int flags);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset);
int __wrap_fsync(int fd);
int __wrap_renameat(int olddir, const char *old, int newdir, const char *new);
int __wrap_unlinkat(int dir, const char *name, int flags);

/* A name that no sync of its directory covers. */
typedef struct {
    ino_t dir_inode;
    int from, to; /* directories */
    char *old, *new;
} Loose;

static StormKind kind;
static unsigned left, calls;
static GRand *chance;
static GArray *dirty;    /* of int: descriptors of files with unsynced bytes */
static GPtrArray *loose; /* of Loose *, in the order in which they came */
static unsigned graves;
static const char *refused_folder; /* NULL: no folder */

#define GRAVE "grave-"

static ino_t inode_of(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

void storm_arm(StormKind with, unsigned nth, unsigned seed)
{
    kind = with;
    left = nth;
    calls = 0;
    chance = g_rand_new_with_seed(seed);
    dirty = g_array_new(FALSE, FALSE, sizeof(int));
    loose = g_ptr_array_new();
}

/* Undoes all changes that are not on the disk, the last first, so that names are free again. */
static void cut_power(void)
{
    for (guint i = loose->len; i-- > 0;) {
        const Loose *name = loose->pdata[i];

        if (g_rand_boolean(chance))
            (void)__real_renameat(name->to, name->new, name->from, name->old);
    }
    for (guint i = 0; i < dirty->len; i++)
        if (g_rand_boolean(chance))
            (void)!ftruncate(g_array_index(dirty, int, i), 0);
}

unsigned storm_calm(void)
{
    if (kind == STORM_POWER)
        cut_power();
    kind = STORM_NONE;
    return calls;
}

/* Returns TRUE if the call continues. */
static gboolean pass(void)
{
    calls++;
    if (kind == STORM_NONE || left == 0 || --left > 0)
        return TRUE;
    left = 1;
    if (kind == STORM_POWER)
        cut_power();
    if (kind != STORM_FULL)
        _exit(STORM_STATUS);
    errno = ENOSPC;
    return FALSE;
}

static void add_loose(int from, const char *old, int to, const char *new, int synced_by)
{
    Loose *name = g_new0(Loose, 1);

    *name = (Loose){inode_of(synced_by), dup(from), dup(to), g_strdup(old), g_strdup(new)};
    g_ptr_array_add(loose, name);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
    int copy;

    if (!pass())
        return -1;
    if (kind == STORM_POWER) {
        copy = dup(fd);
        g_array_append_val(dirty, copy);
    }
    return __real_pwrite64(fd, buf, len, offset);
}

int __wrap_fsync(int fd)
{
    ino_t inode = inode_of(fd);

    if (!pass())
        return -1;
    for (guint i = dirty ? dirty->len : 0; i-- > 0;)
        if (inode_of(g_array_index(dirty, int, i)) == inode) {
            close(g_array_index(dirty, int, i));
            g_array_remove_index(dirty, i);
        }
    for (guint i = loose ? loose->len : 0; i-- > 0;) {
        const Loose *name = loose->pdata[i];

        if (name->dir_inode != inode)
            continue;
        if (g_str_has_prefix(name->new, GRAVE))
            (void)__real_unlinkat(name->to, name->new, 0);
        g_ptr_array_remove_index(loose, i);
    }
    /* Tests do not wait for a real disk. */
    return 0;
}

int __wrap_renameat(int olddir, const char *old, int newdir, const char *new)
{
    int result;

    if (!pass())
        return -1;
    result = __real_renameat(olddir, old, newdir, new);
    if (result == 0 && kind == STORM_POWER)
        add_loose(olddir, old, newdir, new, newdir);
    return result;
}

void storm_refuse_removal(const char *folder)
{
    refused_folder = folder;
}

gboolean storm_removal_refused(void)
{
    gboolean refused = !refused_folder;

    refused_folder = NULL;
    return refused;
}

static gboolean is_folder(int dir, const char *folder)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", dir);
    g_autofree char *path = g_file_read_link(link, NULL);
    g_autofree char *name = path ? g_path_get_basename(path) : NULL;

    return g_strcmp0(name, folder) == 0;
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
    if (refused_folder && is_folder(dir, refused_folder)) {
        refused_folder = NULL;
        errno = EIO;
        return -1;
    }
    /* A full disk has room for removals. */
    if (kind != STORM_FULL && !pass())
        return -1;
    if (kind == STORM_POWER && flags == 0) {
        g_autofree char *hidden = g_strdup_printf(GRAVE "%u", graves++);

        /* Moved away until the directory is synced. */
        if (__real_renameat(dir, name, dir, hidden) == 0) {
            add_loose(dir, name, dir, hidden, dir);
            return 0;
        }
    }
    return __real_unlinkat(dir, name, flags);
}
