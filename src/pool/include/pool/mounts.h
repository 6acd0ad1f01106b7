/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/stat.h>

/**
 * The kernel's mounts and the host's fstab. No function accesses a mounted file system, so an
 * unreachable server does not block the caller.
 */

/** A mount of this process's mount namespace. */
typedef struct {
    int id;       /**< number of the mount in the kernel */
    char *target; /**< mount point: absolute, without links */
    char *source; /**< source as given to mount: "/dev/sdb1", "host:/export" */
    char *type;   /**< "ext4" */
    char *root;   /**< mounted directory of the file system: "/", or the source of a bind mount */
    dev_t device; /**< st_dev of its files; btrfs uses a separate number */
    gboolean read_only;
} CstMount;

/** Returns all mounts, as CstMount, in the kernel's order: a mount follows the mounts below it. */
GPtrArray *cst_mounts_read(void);

/**
 * Returns the topmost mount at @target, borrowed from @mounts; NULL if @target is no mount point.
 */
const CstMount *cst_mounts_at(const GPtrArray *mounts, const char *target);

/**
 * Whether @path (absolute; its links are not followed) is on a local file system, so that an access
 * does not wait for a server.
 */
gboolean cst_mounts_is_local(const GPtrArray *mounts, const char *path);

/** Whether the file system of @mount is on block device @device. */
gboolean cst_mount_lies_on(const CstMount *mount, dev_t device);

/** Whether fstab makes the host mount a file system at @target by itself (without "noauto"). */
gboolean cst_fstab_mounts(const char *target);

/** Whether a swap device or swap file matches @is_it, which gets its stat. */
gboolean cst_is_swap(gboolean (*is_it)(const struct stat *st, gconstpointer data),
                     gconstpointer data);
