/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include <pool/backend.h>

/** Block devices of this host, for the backends whose volumes or sources are such. */

/** Whether two paths name one block device, as /dev/sdb and /dev/disk/by-id/… may. */
gboolean cst_device_is_same(const char *a, const char *b);

/**
 * Returns the path of the link in @folder, a pool's target path, that leads to the device at @node;
 * @node where there is none, or @folder has no links to devices. Free it.
 */
char *cst_device_stable_path(const char *folder, const char *node);

/**
 * Takes owner, mode, times and stamp from the device's node; where there is none they stay unset,
 * and it returns FALSE.
 */
gboolean cst_device_take_node(CstVolume *volume, const char *path);
/** Whether both records, with their extra parts, say the same. */
gboolean cst_device_same(const CstVolume *a, const CstVolume *b);
/**
 * Returns @known (NULL: none) if it says the same as @volume, both with their extra part, else
 * @volume. Takes both references over.
 */
CstVolume *cst_device_newest(CstVolume *known, CstVolume *volume);

/**
 * Appends a CstHolder for everybody on this host who has the block device at @path open, this
 * process not counted: mounts, swap, devices on top of it, loop devices upon it, processes. What
 * the kernel counts and no place shows (another mount namespace) is listed as such. Programs that
 * open every device for a moment (udev) are waited for, some seconds at most. A path that is no
 * block device, or does not exist, has no holders.
 */
gboolean cst_device_holders(const char *path, GPtrArray *holders, GError **error);

/**
 * Sets owner and mode of the device that @fd has open to what @def says, mode 0600 when it says
 * none. Call it once the device has its last name: udev sets its own with each.
 */
gboolean cst_device_settle_owner(int fd, const CstVolDef *def, GError **error);

/**
 * Has the kernel write to the device that @fd has open what it still has of it in memory, whoever
 * wrote that. @name: of the volume.
 */
gboolean cst_device_write_out(int fd, const char *name, GError **error);

/** Gives the device at @path the owner and mode of @from; a failure is logged. */
void cst_device_copy_owner(const struct stat *from, const char *path);

/** Fails with BUSY, naming them, when the device at @path, of @volume, has holders. */
gboolean cst_device_refuse_held(const char *path, const char *volume, GError **error);

/**
 * Fails with BUSY, naming the first one, when the device at @path has holders, or the kernel would
 * not give it exclusively: before what makes it another thing.
 */
gboolean cst_device_refuse_used(const char *path, GError **error);
/**
 * Fails with POOL_BUILT, naming it, when the device carries anything; @wanted, in libblkid's words,
 * is what it is to carry (NULL: nothing that libblkid has a word for).
 */
gboolean cst_device_refuse_content(const char *path, const char *wanted, GError **error);

/**
 * Returns how often the device at @path was written to or discarded from since it is there; 0 where
 * the kernel does not say.
 */
uint64_t cst_device_count_writes(const char *path);
/**
 * Fails with BUSY when somebody wrote to the device, of @volume, since cst_device_count_writes()
 * returned @before. Call it with the device closed: the last close writes out what the kernel still
 * had in memory.
 */
gboolean cst_device_refuse_written(const char *path, const char *volume, uint64_t before,
                                   GError **error);

/**
 * Appends a CstHolder for each thing of the kernel's that lies on the block device called @name in
 * /sys/block ("loop3"), or on one of its partitions: devices on top of it, mounts, swap space.
 */
void cst_device_uses(const char *name, GPtrArray *holders);

/** Returns the names ("loop3") of the loop devices upon the file, or block device, of @below. */
GStrv cst_loops_upon(const struct stat *below);
/** Whether the loop device called @name writes nothing to what it lies upon. */
gboolean cst_loop_reads_only(const char *name);

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

/** UUID of the file system on the device; NULL: it has none, or that can't be told. g_free() it. */
char *cst_device_uuid(const char *path);

/**
 * Reads from the device itself, not from what is cached of it, which takes as long as it likes.
 * FALSE: the device is gone or fails.
 */
gboolean cst_device_touch(const char *path, GError **error);

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

/* --- device-mapper (dm.c) --------------------------------------------------------------------- */

struct dm_ioctl;
/**
 * Asks device-mapper @request (<linux/dm-ioctl.h>: DM_TABLE_STATUS) about the device with that
 * number. @answer, of @size bytes, has the flags that are sent, zeroes else, and is filled in.
 * Returns 1; 0: device-mapper has no such device; -1: it could not be asked, @error says why.
 */
int cst_dm_ask(unsigned long request, dev_t device, struct dm_ioctl *answer, size_t size,
               GError **error);

/* --- sysfs (sysfs.c) -------------------------------------------------------------------------- */

/** Reads the kernel's way to write a device's number, "8:16". */
gboolean cst_device_number(const char *text, dev_t *ret_device);
/** Directory of the block device with that number, disk or partition. Free it. */
char *cst_sysfs_block(dev_t device);
/** Text of attribute @name of the thing at @dir, without blanks around it; NULL: none. Free it. */
char *cst_sysfs_read(const char *dir, const char *name);
/** The same of the block device at @path; NULL also when there is none. */
char *cst_sysfs_read_of(const char *path, const char *name);
/** What @text, an uevent (NULL: none), says of @key, "DEVNAME"; NULL: nothing. Free it. */
char *cst_uevent_value(const char *text, const char *key);
/** The same of the uevent of the thing at @dir. */
char *cst_sysfs_uevent(const char *dir, const char *key);
/** Attribute @name as a number that fits a gint64; FALSE when there is none. */
gboolean cst_sysfs_number(const char *dir, const char *name, uint64_t *ret_number);
/** Number of the block device whose directory is @dir; FALSE when it is none's. */
gboolean cst_sysfs_device(const char *dir, dev_t *ret_device);
/** Attribute @name ("size", "start"), which the kernel tells in sectors, in bytes. */
gboolean cst_sysfs_bytes(const char *dir, const char *name, uint64_t *ret_bytes);

/**
 * Hidden names: what nobody may see of a pool carries CST_HIDDEN_PREFIX in front, which begins
 * CST_TRASH_PREFIX as well. Those of volumes that are being made, or replaced, say who is at it:
 *
 *     .cistern-HEX.MAKER.part   a draft (HEX: its token without dashes)
 *     .cistern-HEX.MAKER.old    a volume while the draft takes its name
 *
 * MAKER names the process at work, so that what a dead one left is not taken for what a live one is
 * making, nor the other way round.
 */
#define CST_HIDDEN_PREFIX ".cistern-"

/** Returns the name of the draft of @token that this process makes; free it. */
char *cst_draft_name(const char *token);
/** Returns the name for the volume that steps aside while @draft takes its name; free it. */
char *cst_draft_old_name(const char *draft);
/** Whether @name is the draft of @token, whoever made it. */
gboolean cst_draft_is_of(const char *name, const char *token);
/** Whether @name has the form of a draft's, or of a volume's that stepped aside. */
gboolean cst_draft_is(const char *name);
gboolean cst_draft_is_old(const char *name);
/** Whether @name is hidden: no list shows it. */
gboolean cst_draft_is_hidden(const char *name);
/** Whether @name can be a volume's: one that lists show, or that is in the trash. */
gboolean cst_device_name_is_volume(const char *name);
/** Whether the process lives that @name has as its maker; FALSE for names without one. */
gboolean cst_draft_maker_lives(const char *name);
/** Returns a new, random hidden name that ends with @suffix; free it. */
char *cst_hidden_name(const char *suffix);
/* --- udev (udev.c) ---------------------------------------------------------------------------- */

/**
 * Opens a descriptor that becomes readable when udev has taken note of a change of any block device
 * (a disk, a partition, a device-mapper device that came, changed or went): for
 * CstBackend.watch_open. The caller closes it. -1 with @error.
 */
int cst_device_watch_open(GError **error);
/** Reads, without waiting, all that such a descriptor has. TRUE: there was something. */
gboolean cst_device_watch_drain(int fd);

/**
 * Waits until udev has worked off all that the kernel has reported so far, or until @path (NULL:
 * none) exists, at most ten seconds: whether what the caller needs is there is the caller's to look
 * at. FALSE only when @task was cancelled.
 */
gboolean cst_device_settle(const char *path, CstTask *task, GError **error);

/** What udev knows of a block device under @key ("ID_SERIAL"); NULL: nothing. Free it. */
char *cst_device_property(dev_t device, const char *key);
