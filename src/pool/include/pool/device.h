/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include <pool/backend.h>

/** Block devices of this host, for the backends whose volumes or sources are such. */

/**
 * Appends a CstHolder for everybody on this host who has the block device at @path open, this
 * process not counted: mounts, swap, devices on top of it, processes. What the kernel counts and no
 * place shows (another mount namespace) is listed as such. Programs that open every device for a
 * moment (udev) are waited for, some seconds at most. A path that is no block device, or does not
 * exist, has no holders.
 */
gboolean cst_device_holders(const char *path, GPtrArray *holders, GError **error);

/**
 * Appends a CstHolder for each thing of the kernel's that lies on the block device called @name in
 * /sys/block ("loop3"), or on one of its partitions: devices on top of it, mounts, swap space.
 */
void cst_device_uses(const char *name, GPtrArray *holders);

/** Whether the kernel swaps to a device or file that @is_it knows by its stat. */
gboolean cst_is_swap(gboolean (*is_it)(const struct stat *st, gconstpointer data),
                     gconstpointer data);

/**
 * Appends a CstHolder for each loop device upon the regular file that @fd has open, saying what
 * uses it, and for swap space in the file. Nothing is appended for what is no regular file.
 */
void cst_file_holders(int fd, GPtrArray *holders);

/**
 * Identifies by libblkid what a block device carries: the name of a file system, RAID or partition
 * table ("ext4", "LVM2_member", "gpt"); *ret_name NULL: nothing known. PROBE when libblkid can't
 * say for certain; an ambivalent device is never "empty".
 */
gboolean cst_device_signature(const char *path, char **ret_name, GError **error);

/**
 * Checks that the kernel would give the device exclusively: BUSY when it, or a partition of it, is
 * in use.
 */
gboolean cst_device_is_free(const char *path, GError **error);

/**
 * Zeroes the places where signatures are (the first and the last MiB) and syncs, so that nothing of
 * what was there is found again. BUSY when somebody has the device open or mounted.
 */
gboolean cst_device_clear(const char *path, GError **error);
