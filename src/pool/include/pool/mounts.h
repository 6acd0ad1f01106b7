/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/stat.h>

/**
 * What the kernel says is mounted, and what the host mounts by itself. Nothing here touches what is
 * mounted, so a file system whose server is gone is no obstacle.
 */

/** A mount of this process's mount namespace. */
typedef struct {
    int id;       /**< the kernel's number of it */
    char *target; /**< where: absolute, without links */
    char *source; /**< what, as whoever mounted it has written: "/dev/sdb1", "host:/export" */
    char *type;   /**< "ext4" */
    char *root;   /**< which directory of the file system: "/", or what a bind mount took */
    dev_t device; /**< st_dev of its files; of a btrfs a number of its own */
    gboolean read_only;
} CstMount;

/** All mounts, as CstMount, in the kernel's order: what lies on top of another comes after it. */
GPtrArray *cst_mounts_read(void);

/** What is mounted at @target, on top of all others there; borrowed from @mounts, NULL: nothing. */
const CstMount *cst_mounts_at(const GPtrArray *mounts, const char *target);

/**
 * Whether @path (absolute; its links are not followed) is on a file system that this host keeps
 * itself, so that a look at it does not wait for a server.
 */
gboolean cst_mounts_is_local(const GPtrArray *mounts, const char *path);

/** Whether the file system of @mount lies on block device @device. */
gboolean cst_mount_lies_on(const CstMount *mount, dev_t device);

/** Whether fstab has the host mount something at @target by itself: not one with "noauto". */
gboolean cst_fstab_mounts(const char *target);

/** Whether the kernel swaps to a device or file that @is_it knows by its stat. */
gboolean cst_is_swap(gboolean (*is_it)(const struct stat *st, gconstpointer data),
                     gconstpointer data);
