/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's tables of mounts and of swap space, and the host's fstab, parsed by libmount. Each
 * table is read as a whole, so each result is a snapshot.
 */
#include <pool/mounts.h>

#include <libmount_library.h>
#include <stdio.h>
#include <string.h>

#include <base/file.h>
#include <pool/device.h>

#define BTRFS "/sys/fs/btrfs" /* a directory for each mounted btrfs */

typedef struct libmnt_table MountTable;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MountTable, mnt_unref_table)
typedef struct libmnt_iter MountIter;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MountIter, mnt_free_iter)

/* Returns @made, an object of libmount. Like GLib's allocators, aborts if memory is exhausted. */
static gpointer libmount_object_checked(gpointer made)
{
    if (!made)
        g_error("no memory for a table of mounts");
    return made;
}

/*
 * Reads the kernel's table at @path (/proc/self/mountinfo, /proc/swaps). Empty if it cannot be
 * read.
 */
static MountTable *mount_table_read(const char *path)
{
    MountTable *table = libmount_object_checked(mnt_new_table());
    g_autofree char *text = cst_kernel_read(path);
    FILE *stream = text && *text ? fmemopen(text, strlen(text), "r") : NULL;

    if (stream) {
        mnt_table_parse_stream(table, stream, path);
        fclose(stream);
    }
    return table;
}

/* --- mounts ----------------------------------------------------------------------------------- */

static void mount_free(gpointer data)
{
    CstMount *mount = data;

    g_free(mount->target);
    g_free(mount->source);
    g_free(mount->type);
    g_free(mount->root);
    g_free(mount);
}

static CstMount *mount_new(struct libmnt_fs *row)
{
    CstMount *mount = g_new0(CstMount, 1);

    mount->id = mnt_fs_get_id(row);
    mount->target = g_strdup(mnt_fs_get_target(row));
    mount->source = g_strdup(mnt_fs_get_source(row));
    mount->type = g_strdup(mnt_fs_get_fstype(row));
    mount->root = g_strdup(mnt_fs_get_root(row));
    mount->device = mnt_fs_get_devno(row);
    mount->read_only = mnt_optstr_get_option(mnt_fs_get_vfs_options(row), "ro", NULL, NULL) == 0;
    return mount;
}

GPtrArray *cst_mounts_read(void)
{
    g_autoptr(MountTable) table = mount_table_read("/proc/self/mountinfo");
    g_autoptr(MountIter) iter = libmount_object_checked(mnt_new_iter(MNT_ITER_FORWARD));
    GPtrArray *mounts = g_ptr_array_new_with_free_func(mount_free);
    struct libmnt_fs *row;

    while (mnt_table_next_fs(table, iter, &row) == 0)
        g_ptr_array_add(mounts, mount_new(row));
    return mounts;
}

const CstMount *cst_mounts_at(const GPtrArray *mounts, const char *target)
{
    for (guint i = mounts->len; i-- > 0;) {
        const CstMount *mount = g_ptr_array_index(mounts, i);

        if (g_strcmp0(mount->target, target) == 0)
            return mount;
    }
    return NULL;
}

/* Returns whether @path is at or below the target of @mount. */
static gboolean mount_covers(const CstMount *mount, const char *path)
{
    size_t len = strlen(mount->target);

    return strcmp(mount->target, "/") == 0 ||
           (strncmp(mount->target, path, len) == 0 && (path[len] == '/' || path[len] == '\0'));
}

gboolean cst_mounts_is_local(const GPtrArray *mounts, const char *path)
{
    static const char *const types[] = {"ext2", "ext3", "ext4",  "xfs",      "btrfs",
                                        "f2fs", "jfs",  "tmpfs", "devtmpfs", "overlay",
                                        "zfs",  "vfat", NULL};
    const CstMount *found = NULL;

    for (guint i = 0; i < mounts->len; i++) {
        const CstMount *mount = g_ptr_array_index(mounts, i);

        if (mount_covers(mount, path) && (!found || strlen(mount->target) >= strlen(found->target)))
            found = mount;
    }
    return found && g_strv_contains(types, found->type);
}

/* Returns whether the mounted btrfs @uuid uses @device. */
static gboolean btrfs_has(const char *uuid, dev_t device)
{
    g_autofree char *path = g_build_filename(BTRFS, uuid, "devices", NULL);
    g_auto(GStrv) names = cst_kernel_list(path);
    dev_t own;

    for (char **name = names; *name; name++) {
        g_autofree char *node = g_build_filename(path, *name, NULL);

        if (cst_sysfs_device(node, &own) && own == device)
            return TRUE;
    }
    return FALSE;
}

/* Returns whether one btrfs uses both devices. */
static gboolean share_btrfs(dev_t one, dev_t other)
{
    g_auto(GStrv) uuids = cst_kernel_list(BTRFS);

    for (char **uuid = uuids; *uuid; uuid++)
        if (btrfs_has(*uuid, one) && btrfs_has(*uuid, other))
            return TRUE;
    return FALSE;
}

/*
 * The row has the device's number, except for btrfs. A btrfs has its own number and names only one
 * of its devices. The named source is trusted only for btrfs, because a user can choose any source
 * for a FUSE mount.
 */
gboolean cst_mount_lies_on(const CstMount *mount, dev_t device)
{
    struct stat st;

    if (mount->device == device)
        return TRUE;
    return g_strcmp0(mount->type, "btrfs") == 0 && mount->source &&
           cst_node_stat(mount->source, &st) && S_ISBLK(st.st_mode) &&
           (st.st_rdev == device || share_btrfs(st.st_rdev, device));
}

/* --- fstab ------------------------------------------------------------------------------------ */

static gboolean has_option(struct libmnt_fs *row, const char *name)
{
    return mnt_fs_get_option(row, name, NULL, NULL) == 0;
}

/* An entry with x-systemd.automount is mounted on first access, so it counts as automatic. */
static gboolean is_automatic(struct libmnt_fs *row)
{
    return !has_option(row, "noauto") || has_option(row, "x-systemd.automount");
}

/* Ignores slashes at the end. */
static gboolean is_same_path(const char *a, const char *b)
{
    size_t len = strlen(b);

    return strncmp(a, b, len) == 0 && strspn(a + len, "/") == strlen(a + len);
}

gboolean cst_fstab_mounts(const char *target)
{
    g_autoptr(MountTable) table = libmount_object_checked(mnt_new_table());
    g_autoptr(MountIter) iter = libmount_object_checked(mnt_new_iter(MNT_ITER_FORWARD));
    struct libmnt_fs *row;

    mnt_table_parse_fstab(table, NULL);
    while (mnt_table_next_fs(table, iter, &row) == 0) {
        const char *where = mnt_fs_get_target(row);

        if (where && is_same_path(where, target) && is_automatic(row))
            return TRUE;
    }
    return FALSE;
}

/* --- swap space ------------------------------------------------------------------------------- */

gboolean cst_is_swap(gboolean (*is_it)(const struct stat *st, gconstpointer data),
                     gconstpointer data)
{
    g_autoptr(MountTable) table = mount_table_read("/proc/swaps");
    g_autoptr(MountIter) iter = libmount_object_checked(mnt_new_iter(MNT_ITER_FORWARD));
    struct libmnt_fs *swap;

    while (mnt_table_next_fs(table, iter, &swap) == 0) {
        const char *path = mnt_fs_get_source(swap);
        struct stat st;

        if (path && path[0] == '/' && cst_node_stat(path, &st) && is_it(&st, data))
            return TRUE;
    }
    return FALSE;
}
