/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <base/file.h>
#include <pool/backend.h>
#include <pool/report_cache.h>

#include "label.h"
#include "table.h"

/**
 * Pools that are a disk, whose partitions are the volumes, as libvirt has them.
 *
 * From below to above; a file calls files of the lines before its own, and to its left:
 *
 *     table.c                          a table as values: free extents, numbers
 *     fdisk.c  parted_output.c  parted.c  label.c    tables on disks
 *     device.c  kernel.c               the disk and its names; its partitions in the kernel
 *     seen.c                           what the last scan saw
 *     access.c                         a disk opened, known to be the right one, read, locked
 *     claim.c  draft.c                 what new volumes take; their content
 *     scan.c  volume.c  change.c  lifecycle.c  watch.c    the callbacks
 *     disk.c                           the table
 *
 * Functions that are a callback of the table do what CstBackend says of it.
 *
 * A volume is called what the kernel calls the partition, "sdb1", as libvirt has it; a creation
 * under another name is refused. There are no drafts on the disk: until its commit a new volume is
 * a free extent that its maker has claimed (claim.c), and written to through the whole disk. The
 * commit enters it into the table.
 *
 * Locks: whoever changes a table or chooses an extent holds flock(2) on the disk, which keeps udev
 * from reading the table meanwhile, and other programs that keep to udev's rule from writing it.
 */
extern const CstBackend cst_disk_backend;

typedef struct {
    CstPoolState head;
    gboolean known; /**< the core has said what to expect: the pool was started some time */
    char *id;       /**< of the label that it must be; NULL: any */
    char *serial;   /**< of the disk that it must be; NULL: any */
    GMutex lock;    /**< guards what follows: what the last usage() saw */
    GArray *free;   /**< of CstDeviceExtent */
    const char *label;
    gint scanned;        /**< atomic: this state has scanned the disk before */
    CstReportCache seen; /**< of GHashTable: what the last scan saw, CstVolume by name */
} DiskState;

#define DISK(state) ((DiskState *)(state))

/* --- device.c --------------------------------------------------------------------------------- */

/** The disk that a definition names, as it is called now. */
typedef struct {
    dev_t number;
    char *node;            /**< "/dev/sdb", "/dev/mapper/mpatha" */
    char *kernel;          /**< "sdb", "dm-3" */
    const char *separator; /**< between the node's name and a partition's number; static */
    gboolean mapped;       /**< of device-mapper, whose partitions are maps of their own */
} DiskDevice;

/** Frees what @device holds. */
void disk_device_clear(DiskDevice *device);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DiskDevice, disk_device_clear)

/** Path of the device in the definition, borrowed. */
const char *disk_path(const CstPoolDef *def);
/** Finds the disk; INVALID when there is none of that path, or it is no whole disk. */
gboolean disk_device_find(const CstPoolDef *def, DiskDevice *ret_device, GError **error);
/** The same for names alone: a disk that is not there is called what its path says. */
void disk_device_guess(const CstPoolDef *def, DiskDevice *ret_device);

/** Returns the node of partition @number ("/dev/sdb1"); free it. */
char *disk_partition_node(const DiskDevice *device, guint number);
/** Returns the name of the volume that partition @number is ("sdb1"); free it. */
char *disk_partition_name(const DiskDevice *device, guint number);
/** The number of the partition that a volume of that name is; 0: there can't be such a volume. */
guint disk_number_of(const DiskDevice *device, const char *name);

/** CstBackend.vol_path, vol_resolve, touch. */
char *disk_vol_path(CstPoolState *state, const char *name);
char *disk_vol_resolve(CstPoolState *state, const char *path);
gboolean disk_touch(const CstPoolDef *def, GError **error);

/* --- kernel.c --------------------------------------------------------------------------------- */

/** A partition as the kernel has it. */
typedef struct {
    guint number;
    uint64_t start, size;
} DiskShown;

/** What partitions the kernel has; an array of DiskShown. Empty for a mapped disk. */
GArray *disk_shown(const DiskDevice *device);
/** Whether the kernel has @partition where the table says; always TRUE of a mapped disk. */
gboolean disk_is_shown(const GArray *shown, const DiskPartition *partition);
/**
 * Has the kernel know the partitions of @table, no others, and those in their sizes. @fd is the
 * disk's. BUSY when one that has to go is in use.
 */
gboolean disk_show(const DiskDevice *device, int fd, const DiskTable *table, GError **error);
/** How long another process may hold a partition that has to go open, microseconds. */
extern gint64 disk_busy_us;
/**
 * Removes partition @number from the kernel's view; waits up to disk_busy_us for programs that read
 * it for a moment. BUSY when it stays in use. Succeeds when the kernel has no such partition.
 */
gboolean disk_hide(const DiskDevice *device, int fd, guint number, GError **error);

/* --- access.c --------------------------------------------------------------------------------- */

typedef struct {
    DiskDevice device;
    int fd; /**< of the disk, for reading; holds the lock, if any */
    const DiskLabelOps *ops;
    DiskTable *table;
    DiskState *changes; /**< whose disk is locked, to be changed; NULL: it is only read */
} DiskAccess;

/** Closes it, and unlocks the disk. What was seen of one that was locked does not count. */
void disk_access_clear(DiskAccess *access);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DiskAccess, disk_access_clear)

/**
 * Opens the pool's disk and reads its table. STATE when it is not the one that is expected; PROBE,
 * or STATE, when it has no table, or another one than the definition says.
 */
gboolean disk_access_open(CstPoolState *state, DiskAccess *ret_access, GError **error);
/** The same, with the disk locked; BUSY when another program keeps it locked. */
gboolean disk_access_lock(CstPoolState *state, DiskAccess *ret_access, GError **error);
/** The name of the label that the definition asks for, its default where it leaves that open. */
const char *disk_wanted_label(const CstPoolDef *def);

/**
 * Makes a change of the table, and has the kernel follow. The access is locked, and its table is
 * that of before afterwards.
 */
gboolean disk_change(DiskAccess *access, const DiskChange *change, GError **error);
/**
 * Has the kernel follow the table as it is on the disk now. After a change that failed: it may have
 * been written or not, and partitions may be hidden. A failure is ignored.
 */
void disk_follow(DiskAccess *access);
/**
 * Ends the access and waits for udev, so that names which it makes are there and nodes stay: it
 * reads a table anew when somebody has written to the disk, unless a partition is open.
 */
void disk_access_settle(DiskAccess *access);

/**
 * Completes what a change that was killed has left: half of a GPT, a kernel that has other
 * partitions than the table. BUSY when one of those is in use.
 */
gboolean disk_complete(CstPoolState *state, GError **error);

/** CstBackend.identity, expect. */
char *disk_identity(CstPoolState *state, GError **error);
gboolean disk_expect(CstPoolState *state, const char *recorded, gboolean starting, GError **error);

/* --- claim.c ---------------------------------------------------------------------------------- */

/** What claims of other makers there are: numbers (guint) and extents (CstDeviceExtent). */
void disk_claims(int fd, const DiskTable *table, GArray *numbers, GArray *extents);
/** Claims partition @wanted for as long as @fd is open. The disk is locked. */
gboolean disk_claim(int fd, const DiskPartition *wanted, GError **error);

/* --- draft.c ---------------------------------------------------------------------------------- */

/**
 * Makes a blob of the range of @wanted, of the disk at @node, which is locked. @claim, the
 * descriptor that it is claimed by, is taken over, also when there is none to be made.
 */
CstBlob *disk_draft_new(int claim, const char *node, const DiskPartition *wanted, GError **error);
/** The partition that the blob is to become, borrowed; NULL: it is none of disk_draft_new(). */
const DiskPartition *disk_draft_partition(CstBlob *blob);
/** Closes the disk, and so gives up the claim; the blob can't be used any more. */
void disk_draft_close(CstBlob *blob);

/* --- seen.c ----------------------------------------------------------------------------------- */

/** How long a scan counts; tests have it count for less, or more. */
extern gint64 disk_seen_us;

/** Initialises, or frees, what @disk has seen. */
void disk_seen_init(DiskState *disk);
void disk_seen_clear(DiskState *disk);
/** Something was changed, or may have been: what was seen does not count any more. */
void disk_seen_forget(DiskState *disk);
/** Before a scan. Returns the count of changes, for disk_seen_end(). */
guint disk_seen_begin(DiskState *disk);
/** After it: takes over @found, all volumes by their names; NULL: the disk could not be read. */
void disk_seen_end(DiskState *disk, GHashTable *found, guint changes);
/** What the last scan saw of that name, a new reference; NULL: nothing, or it does not count. */
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
