/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include <pool/backend.h>

/** Block devices of this host, for backends with volumes or sources that are block devices. */

/** Whether two paths lead to the same block device, such as /dev/sdb and /dev/disk/by-id/…. */
gboolean cst_device_is_same(const char *a, const char *b);

/**
 * Returns the path of the link in @folder, a pool's target path, that leads to the device at @node.
 * Returns a copy of @node if no link exists, or @folder has no links to devices. The caller frees
 * it.
 */
char *cst_device_stable_path(const char *folder, const char *node);

/**
 * Copies the owner, mode, times and stamp of the device node to @volume. Returns FALSE and leaves
 * them unset if the node does not exist.
 */
gboolean cst_device_take_node(CstVolume *volume, const char *path);
/** Whether both records, including their extra parts, are equal. */
gboolean cst_device_same(const CstVolume *a, const CstVolume *b);
/**
 * Returns @known (may be NULL) if it equals @volume, including the extra part; else @volume.
 * Consumes both references.
 */
CstVolume *cst_device_newest(CstVolume *known, CstVolume *volume);

/**
 * Appends a CstHolder for each user of the block device at @path on this host, without this
 * process: mounts, swap, devices on top of it, loop devices, processes. A user that only the
 * kernel's count shows (in another mount namespace) is listed as such. Waits some seconds at most
 * for programs that open each device briefly (udev). A path that is not a block device, or does not
 * exist, has no holders.
 */
gboolean cst_device_holders(const char *path, GPtrArray *holders, GError **error);

/**
 * Sets owner and mode of the open device @fd from @def; the default mode is 0600. Call it after the
 * device has its final name, because udev sets its own owner and mode with each new name.
 */
gboolean cst_device_settle_owner(int fd, const CstVolDef *def, GError **error);

/**
 * Makes the kernel write all cached data of the open device @fd, including data written by other
 * processes. @name: name of the volume.
 */
gboolean cst_device_write_out(int fd, const char *name, GError **error);

/** Sets owner and mode of the device at @path to the values in @from. Logs a failure. */
void cst_device_copy_owner(const struct stat *from, const char *path);

/** Fails with BUSY and names the holders if the device at @path, of @volume, has any. */
gboolean cst_device_refuse_held(const char *path, const char *volume, GError **error);

/**
 * Fails with BUSY and names the first holder if the device at @path has holders, or the kernel
 * refuses an exclusive open. Call it before a change of the device's purpose.
 */
gboolean cst_device_refuse_used(const char *path, GError **error);
/**
 * Fails with POOL_BUILT and names the content if the device has any. @wanted is libblkid's name of
 * the intended content (NULL: libblkid has no name for it).
 */
gboolean cst_device_refuse_content(const char *path, const char *wanted, GError **error);

/**
 * Returns the number of writes and discards of the device at @path since it was attached; 0 if the
 * kernel does not report it.
 */
uint64_t cst_device_count_writes(const char *path);
/**
 * Fails with BUSY if the device, of @volume, was written since cst_device_count_writes() returned
 * @before. Call it with the device closed, because the last close writes the kernel's cached data.
 */
gboolean cst_device_refuse_written(const char *path, const char *volume, uint64_t before,
                                   GError **error);

/**
 * Appends a CstHolder for each kernel object on the block device called @name in /sys/block
 * ("loop3"), or on one of its partitions: devices on top of it, mounts, swap space.
 */
void cst_device_uses(const char *name, GPtrArray *holders);

/** A loop device that is attached. */
typedef struct {
    char *name;        /**< "loop3" */
    struct stat below; /**< identity of the file or block device that it is on; no other members */
} CstLoop;

/** Returns the attached loop devices, as CstLoop *. The array owns them. */
GPtrArray *cst_loops_read(void);
/** Whether @loop is on the file, or block device, of @below. */
gboolean cst_loop_is_upon(const CstLoop *loop, const struct stat *below);
/** Whether the loop device called @name is read-only. */
gboolean cst_loop_reads_only(const char *name);

/** The loop devices and swap spaces of this host, read once for many files. */
typedef struct CstKernelUses CstKernelUses;

/** Reads the kernel's tables. */
CstKernelUses *cst_kernel_uses_read(void);
/** NULL is accepted. */
void cst_kernel_uses_free(CstKernelUses *uses);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstKernelUses, cst_kernel_uses_free)

/**
 * Appends a CstHolder for each loop device on the open regular file @fd, with its users, and for
 * swap space in the file. Does not append a holder if @fd is not a regular file.
 */
void cst_file_holders(int fd, const CstKernelUses *uses, GPtrArray *holders);

/**
 * Identifies the content of a block device with libblkid: the name of a file system, RAID or
 * partition table ("ext4", "LVM2_member", "gpt"). *ret_name is NULL if libblkid finds no known
 * content. PROBE if the result is ambivalent, because such a device is not empty.
 */
gboolean cst_device_signature(const char *path, char **ret_name, GError **error);

/**
 * Returns the UUID of the file system on the device; NULL if it has no UUID or cannot be read.
 * g_free() it.
 */
char *cst_device_uuid(const char *path);

/**
 * Reads from the device itself and bypasses the cache; may take long. FALSE if the device is
 * removed or fails.
 */
gboolean cst_device_touch(const char *path, GError **error);

/**
 * Checks that the kernel allows an exclusive open. BUSY if the device, or a partition of it, is in
 * use.
 */
gboolean cst_device_is_free(const char *path, GError **error);

/**
 * Zeroes the places of signatures (the first and the last MiB) and syncs, so that old content is
 * not detected again. BUSY if the device is open or mounted.
 */
gboolean cst_device_clear(const char *path, GError **error);

/* --- device-mapper (dm.c) --------------------------------------------------------------------- */

struct dm_ioctl;
/**
 * Sends @request (<linux/dm-ioctl.h>: DM_TABLE_STATUS) for the device number @device to
 * device-mapper. On entry @answer, of @size bytes, holds the flags to send and is zero otherwise;
 * on success it holds the answer. Returns 1 on success, 0 if device-mapper has no such device, and
 * -1 with @error on failure.
 */
int cst_dm_ask(unsigned long request, dev_t device, struct dm_ioctl *answer, size_t size,
               GError **error);
/**
 * Opens a descriptor for poll(), which reports POLLIN after an event of any map: a thin pool has
 * reached its low-water mark, a map was created, removed or changed. The caller closes it. Returns
 * -1 with @error on a host without device-mapper.
 */
int cst_dm_events_open(GError **error);
/**
 * Clears the reported events, so that poll() waits for the next one. Call it before the state of
 * the maps is read. FALSE on a kernel without this request (before 4.13).
 */
gboolean cst_dm_events_arm(int events);

/* --- sysfs (sysfs.c) -------------------------------------------------------------------------- */

/** Parses the kernel's text of a device number, "8:16". */
gboolean cst_device_number(const char *text, dev_t *ret_device);
/**
 * Returns the sysfs directory of the block device, disk or partition, with that number. The caller
 * frees it.
 */
char *cst_sysfs_block(dev_t device);
/**
 * Returns the text of attribute @name in directory @dir, stripped; NULL if it does not exist. The
 * caller frees it.
 */
char *cst_sysfs_read(const char *dir, const char *name);
/** Like cst_sysfs_read(), for the block device at @path; NULL also if that does not exist. */
char *cst_sysfs_read_of(const char *path, const char *name);
/**
 * Returns the value of @key ("DEVNAME") in @text, an uevent (may be NULL); NULL if it is missing.
 * The caller frees it.
 */
char *cst_uevent_value(const char *text, const char *key);
/** Like cst_uevent_value(), for the uevent file in directory @dir. */
char *cst_sysfs_uevent(const char *dir, const char *key);
/** Reads attribute @name as a number that fits a gint64. FALSE if it does not exist. */
gboolean cst_sysfs_number(const char *dir, const char *name, uint64_t *ret_number);
/** Reads the number of the block device with directory @dir. FALSE if it is not a block device. */
gboolean cst_sysfs_device(const char *dir, dev_t *ret_device);
/** Reads attribute @name ("size", "start"), which the kernel reports in sectors, in bytes. */
gboolean cst_sysfs_bytes(const char *dir, const char *name, uint64_t *ret_bytes);

/**
 * Hidden names: a hidden object of a pool has the prefix CST_HIDDEN_PREFIX, which is also the start
 * of CST_TRASH_PREFIX. The names of volumes that are being made or replaced include their maker:
 *
 *     .cistern-HEX.MAKER.part   a draft (HEX: its token without dashes)
 *     .cistern-HEX.MAKER.old    a volume while the draft gets its name
 *
 * MAKER identifies the working process, so that the remains of a dead process and the work of a
 * live process are distinguished.
 */
#define CST_HIDDEN_PREFIX ".cistern-"

/** Returns the name of the draft of @token made by this process. The caller frees it. */
char *cst_draft_name(const char *token);
/** Returns the temporary name of the volume that @draft replaces. The caller frees it. */
char *cst_draft_old_name(const char *draft);
/** Whether @name is the draft of @token, made by any process. */
gboolean cst_draft_is_of(const char *name, const char *token);
/** Whether @name has the form of a draft's name, or of a replaced volume's temporary name. */
gboolean cst_draft_is(const char *name);
gboolean cst_draft_is_old(const char *name);
/** Whether @name is hidden from lists. */
gboolean cst_draft_is_hidden(const char *name);
/** Whether @name can be the name of a volume: shown by lists, or in the trash. */
gboolean cst_device_name_is_volume(const char *name);
/** Whether the process that made @name is alive. FALSE for names without a maker. */
gboolean cst_draft_maker_lives(const char *name);
/** Returns a new, random hidden name that ends with @suffix. The caller frees it. */
char *cst_hidden_name(const char *suffix);
/* --- udev (udev.c) ---------------------------------------------------------------------------- */

/**
 * Opens a descriptor for CstBackend.watch_open. It becomes readable when udev has processed an
 * addition, a change or a removal of a block device (a disk, a partition, a device-mapper device).
 * The caller closes it. -1 with @error.
 */
int cst_device_watch_open(GError **error);
/** Reads all pending events of such a descriptor without waiting. TRUE if it had an event. */
gboolean cst_device_watch_drain(int fd);

/**
 * Waits until udev has processed all events of the kernel so far, or until @path (may be NULL)
 * exists, at most ten seconds. The caller checks whether the device exists. FALSE only if @task was
 * cancelled.
 */
gboolean cst_device_settle(const char *path, CstTask *task, GError **error);

/**
 * Returns udev's value of @key ("ID_SERIAL") for a block device; NULL if it has no value. The
 * caller frees it.
 */
char *cst_device_property(dev_t device, const char *key);
