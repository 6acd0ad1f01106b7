/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <pool/pool.h>

#include "disk/disk.h"

/**
 * A disk /dev/sdx in a file, with the kernel's partitions of it. Functions that query the kernel,
 * udev and holders are wrapped with --wrap.
 */

#define FAKE_MIB   UINT64_C(1048576)
#define FAKE_BYTES (64 * FAKE_MIB)

typedef struct {
    char *file;              /**< with the disk's bytes */
    const char *name;        /**< the kernel's name: "sdx" */
    const char *mapped;      /**< name of the device-mapper device; NULL: not a device-mapper
                                  device */
    const char *type;        /**< "disk", "partition" */
    const char *serial;      /**< NULL: unknown to udev */
    GArray *shown;           /**< DiskShown: the kernel's partitions */
    guint busy;              /**< number of a partition that the kernel does not release; 0: all
                                  are free */
    const char *held;        /**< node that a process has open; NULL: not in use */
    guint settled;           /**< number of waits for udev */
    guint unsettled;         /**< number of these waits without an open partition */
    guint opened;            /**< number of opens of the disk */
    guint aside;             /**< number of these opens by a temporary node */
    guint watched;           /**< number of opens of its node for writing, which udev notices */
    gboolean gone;           /**< the disk was removed */
    guint synced;            /**< number of data syncs (fdatasync) */
    guint told;              /**< number of partition ioctls (BLKPG) */
    guint tell_fails;        /**< number of the ioctl that fails with EIO; 0: all succeed */
    guint open_fails;        /**< number of the open of the disk that fails with EIO; 0: all
                                  succeed */
    guint mode;              /**< of nodes; 0: 0660 */
    void (*on_settle)(void); /**< called during a wait for udev; may be NULL */
    void (*on_locked)(void); /**< called when the backend finds the disk locked; may be NULL */
} FakeDisk;

extern FakeDisk fake_disk;

/** Make the empty disk, and remove it. */
int fake_disk_set_up(void **state);
int fake_disk_tear_down(void **state);

/** Opens a pool on the disk; @label as in definitions. */
CstPoolState *fake_disk_pool(const char *label);
/** Opens a pool, and builds a table of type @label. */
CstPoolState *fake_disk_build(const char *label);
/** Makes a complete volume: name, size in MiB and mark (may be NULL). */
void fake_disk_make(CstPoolState *pool, const char *name, guint mib, const char *mark);
/** Returns the definition of a volume; the caller frees it. */
CstVolDef *fake_disk_def(const char *name, uint64_t bytes, const char *mark);

/**
 * Returns the pool's list "sdx1=1-5 sdx2=…" in MiB, with "!" after a volume with a problem. The
 * caller frees it.
 */
char *fake_disk_listed(CstPoolState *pool);
/** Returns the kernel's partitions: "1=1-5 2=…". The caller frees it. */
char *fake_disk_shown(void);
/** Fails the test unless the disk is unlocked and without claims. */
void fake_disk_assert_free(void);
void fake_disk_assert_listed(CstPoolState *pool, const char *expected);
void fake_disk_assert_shown(const char *expected);

/** Write @text at @offset of the disk, and check for it. */
void fake_disk_write(uint64_t offset, const char *text);
gboolean fake_disk_has(uint64_t offset, const char *text);
