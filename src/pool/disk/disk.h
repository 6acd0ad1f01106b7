/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <base/file.h>
#include <pool/backend.h>
#include <pool/report_cache.h>

#include "label.h"
#include "table.h"

/**
 * Pools that are a disk. The partitions are the volumes, as in libvirt.
 *
 * The files, lowest layer first. A file calls only files of earlier lines, and files to its left:
 *
 *     table.c                          a table as values: free extents, numbers
 *     fdisk.c  parted_output.c  parted.c  label.c    tables on disks
 *     device.c  kernel.c               the disk and its names; its partitions in the kernel
 *     seen.c                           the cached result of the last scan
 *     access.c                         a disk that is opened, verified, read and locked
 *     claim.c  draft.c                 extents and numbers of new volumes; their content
 *     scan.c  volume.c  change.c  lifecycle.c  watch.c    the callbacks
 *     disk.c                           the backend's table
 *
 * CstBackend documents the functions that are callbacks of the table.
 *
 * As in libvirt, the name of a volume is the kernel's name of the partition, "sdb1". A creation
 * under another name is refused. The disk contains no drafts. Until its commit, a new volume is a
 * free extent that its creator has claimed (claim.c) and writes through the whole disk. The commit
 * enters it into the table.
 *
 * Locks: a function that changes a table or chooses an extent holds flock(2) on the disk. The lock
 * keeps udev from reading the table, and other programs that follow udev's rule from writing it.
 */
extern const CstBackend cst_disk_backend;

typedef struct {
    CstPoolState head;
    gboolean known; /**< the core has set the expected disk, so the pool was started */
    char *id;       /**< of the expected label; NULL: any */
    char *serial;   /**< of the expected disk; NULL: any */
    GMutex lock;    /**< guards free and label, from the last usage() */
    GArray *free;   /**< of CstDeviceExtent */
    const char *label;
    gint scanned;        /**< atomic: this state has scanned the disk before */
    CstReportCache seen; /**< of GHashTable: volumes of the last scan, by name */
} DiskState;

#define DISK(state) ((DiskState *)(state))

/* --- device.c --------------------------------------------------------------------------------- */

/** The disk of a definition, under its current name. */
typedef struct {
    dev_t number;
    char *node;            /**< "/dev/sdb", "/dev/mapper/mpatha" */
    char *kernel;          /**< "sdb", "dm-3" */
    const char *separator; /**< between the node's name and a partition's number; static */
    gboolean mapped;       /**< a device-mapper device; its partitions are separate maps */
} DiskDevice;

/** Frees the strings of @device. */
void disk_device_clear(DiskDevice *device);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DiskDevice, disk_device_clear)

/** Returns the path of the device in the definition, borrowed. */
const char *disk_path(const CstPoolDef *def);
/** Finds the disk. Fails with INVALID if the path does not exist or is no whole disk. */
gboolean disk_device_find(const CstPoolDef *def, DiskDevice *ret_device, GError **error);
/** Like disk_device_find(), for names only. Derives the name of a missing disk from its path. */
void disk_device_guess(const CstPoolDef *def, DiskDevice *ret_device);

/** Returns the node of partition @number ("/dev/sdb1"); free it. */
char *disk_partition_node(const DiskDevice *device, guint number);
/** Returns the name of the volume that partition @number is ("sdb1"); free it. */
char *disk_partition_name(const DiskDevice *device, guint number);
/** Returns the number of the partition of volume @name, or 0 if no volume can have this name. */
guint disk_number_of(const DiskDevice *device, const char *name);

/** CstBackend.vol_path, vol_resolve, touch. */
char *disk_vol_path(CstPoolState *state, const char *name);
char *disk_vol_resolve(CstPoolState *state, const char *path);
gboolean disk_touch(const CstPoolDef *def, GError **error);

/* --- kernel.c --------------------------------------------------------------------------------- */

/** A partition in the kernel's view. */
typedef struct {
    guint number;
    uint64_t start, size;
} DiskShown;

/**
 * Returns the partitions in the kernel's view as an array of DiskShown. Empty for a mapped disk.
 */
GArray *disk_shown(const DiskDevice *device);
/**
 * Returns whether the kernel's view of @partition equals the table. Do not call it for a mapped
 * disk, because disk_shown() is empty for it.
 */
gboolean disk_is_shown(const GArray *shown, const DiskPartition *partition);
/**
 * Makes the kernel's view equal to the partitions of @table and their sizes. @fd has the disk open.
 * Fails with BUSY if a partition to be removed is in use.
 */
gboolean disk_show(const DiskDevice *device, int fd, const DiskTable *table, GError **error);
/** The longest wait for another process to close a partition to be removed, in microseconds. */
extern gint64 disk_busy_us;
/**
 * Removes partition @number from the kernel's view. Waits up to disk_busy_us for programs that read
 * it briefly. Fails with BUSY if it stays in use. Succeeds if the kernel has no such partition.
 */
gboolean disk_hide(const DiskDevice *device, int fd, guint number, GError **error);

/* --- access.c --------------------------------------------------------------------------------- */

typedef struct {
    DiskDevice device;
    int fd; /**< of the disk, for reading; holds the lock, if locked */
    const DiskLabelOps *ops;
    DiskTable *table;
    DiskState *changes; /**< state of the disk that is locked for a change; NULL: read only */
} DiskAccess;

/** Closes and unlocks the disk. If it was locked, also drops the cached result of the last scan. */
void disk_access_clear(DiskAccess *access);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DiskAccess, disk_access_clear)

/**
 * Opens the pool's disk and reads its table. Fails with STATE if it is another disk than expected.
 * Fails with PROBE or STATE if it has no table, or a table of another type than the definition.
 */
gboolean disk_access_open(CstPoolState *state, DiskAccess *ret_access, GError **error);
/**
 * Like disk_access_open(), with the disk locked. Fails with BUSY if another program keeps it
 * locked.
 */
gboolean disk_access_lock(CstPoolState *state, DiskAccess *ret_access, GError **error);
/** Returns the name of the definition's label, or the default if the definition has no label. */
const char *disk_wanted_label(const CstPoolDef *def);

/**
 * Changes the table, and makes the kernel follow. @access must be locked. Its table is not updated.
 */
gboolean disk_change(DiskAccess *access, const DiskChange *change, GError **error);
/**
 * Makes the kernel follow the table on the disk. Call it after a change that failed, because the
 * table may have been written or not, and partitions may be hidden. Ignores failures.
 */
void disk_follow(DiskAccess *access);
/**
 * Ends the access and waits until udev has created its names. Keeps a partition open during the
 * wait, because after a write udev makes the kernel read the table again unless a partition is
 * open.
 */
void disk_access_settle(DiskAccess *access);

/**
 * Completes a change that was interrupted by a crash: repairs half of a GPT, and makes the kernel
 * follow the table. Fails with BUSY if a partition to be removed is in use.
 */
gboolean disk_complete(CstPoolState *state, GError **error);

/** CstBackend.identity, expect. */
char *disk_identity(CstPoolState *state, GError **error);
gboolean disk_expect(CstPoolState *state, const char *recorded, gboolean starting, GError **error);

/* --- claim.c ---------------------------------------------------------------------------------- */

/** Appends the claims of other drafts: numbers (guint) and extents (CstDeviceExtent). */
void disk_claims(int fd, const DiskTable *table, GArray *numbers, GArray *extents);
/** Claims partition @wanted until @fd is closed. The caller holds the lock of the disk. */
gboolean disk_claim(int fd, const DiskPartition *wanted, GError **error);

/* --- draft.c ---------------------------------------------------------------------------------- */

/**
 * Creates a blob of the range of @wanted on the disk at @node, which is locked. Adopts @claim, the
 * descriptor with the claim, also on failure.
 */
CstBlob *disk_draft_new(int claim, const char *node, const DiskPartition *wanted, GError **error);
/**
 * Returns the partition that the blob will become, borrowed. NULL: the blob is not from
 * disk_draft_new().
 */
const DiskPartition *disk_draft_partition(CstBlob *blob);
/** Closes the disk and thereby releases the claim. The blob cannot be used afterwards. */
void disk_draft_close(CstBlob *blob);

/* --- seen.c ----------------------------------------------------------------------------------- */

/** The time for which the result of a scan is valid, in microseconds. Tests change it. */
extern gint64 disk_seen_us;

/** Initialises, or frees, the cache of @disk. */
void disk_seen_init(DiskState *disk);
void disk_seen_clear(DiskState *disk);
/** Invalidates the cached result, because the disk was changed or may have been changed. */
void disk_seen_forget(DiskState *disk);
/** Call it before a scan. Returns the count of changes, for disk_seen_end(). */
guint disk_seen_begin(DiskState *disk);
/** Call it after the scan. Adopts @found, all volumes by name. NULL: the disk could not be read. */
void disk_seen_end(DiskState *disk, GHashTable *found, guint changes);
/** Returns the cached volume of that name as a new reference, or NULL if no valid one is cached. */
CstVolume *disk_seen_find(DiskState *disk, const char *name);

/* --- scan.c ----------------------------------------------------------------------------------- */

gboolean disk_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
gboolean disk_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                       CstVolume **ret_volume, GError **error);
char *disk_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error);
gboolean disk_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);
void disk_describe(CstPoolState *state, CstPoolDef *def);

/* --- volume.c --------------------------------------------------------------------------------- */

gboolean disk_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                          GError **error);
gboolean disk_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                         GError **error);
gboolean disk_vol_abandon(CstPoolState *state, const char *token, GError **error);
gboolean disk_drop_drafts(CstPoolState *state, GError **error);
CstBlob *disk_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error);

/* --- change.c --------------------------------------------------------------------------------- */

gboolean disk_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error);
gboolean disk_vol_check_wipe(CstPoolState *state, const char *name, GError **error);
gboolean disk_vol_resize(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                         GError **error);
gboolean disk_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                          GError **error);

/* --- lifecycle.c ------------------------------------------------------------------------------ */

gboolean disk_check(CstPoolState *state, gboolean *ret_active, GError **error);
gboolean disk_build(CstPoolState *state, unsigned flags, GError **error);
gboolean disk_start(CstPoolState *state, GError **error);
gboolean disk_destroy(CstPoolState *state, unsigned flags, GError **error);

/* --- watch.c ---------------------------------------------------------------------------------- */

int disk_watch_open(CstPoolState *state, GError **error);
void disk_watch_read(CstPoolState *state, int fd, void (*changed)(const char *name, gpointer data),
                     gpointer data);
