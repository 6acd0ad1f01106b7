/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <pool/pool.h>

#include "disk/disk.h"

/**
 * A disk that is a file, /dev/sdx, and the kernel's partitions of it. Linked with --wrap for what
 * asks the kernel, udev and holders.
 */

#define FAKE_MIB   UINT64_C(1048576)
#define FAKE_BYTES (64 * FAKE_MIB)

typedef struct {
    char *file;              /**< with the disk's bytes */
    const char *name;        /**< the kernel's: "sdx" */
    const char *mapped;      /**< device-mapper's name of it; NULL: it is none of those */
    const char *type;        /**< "disk", "partition" */
    const char *serial;      /**< NULL: udev does not know */
    GArray *shown;           /**< DiskShown: the kernel's partitions */
    guint busy;              /**< number of one that the kernel does not let go of; 0: none */
    const char *held;        /**< node that a process has open; NULL: none */
    guint settled;           /**< how often udev was waited for */
    guint unsettled;         /**< how often of these no partition was open */
    guint opened;            /**< how often it was opened in all */
    guint aside;             /**< how often of these aside of its node */
    guint watched;           /**< how often its node, which udev watches, was opened for writing */
    gboolean gone;           /**< the disk was pulled out */
    guint synced;            /**< how often data were synced (fdatasync) */
    guint told;              /**< how often the kernel was told of a partition (BLKPG) */
    guint tell_fails;        /**< number of the one of these that fails with EIO; 0: none */
    guint open_fails;        /**< number of the opening of the disk that fails with EIO; 0: none */
    guint mode;              /**< of nodes; 0: 0660 */
    void (*on_settle)(void); /**< called while udev is waited for; NULL: nothing */
    void (*on_locked)(void); /**< called when the backend finds the disk locked; NULL: nothing */
} FakeDisk;

extern FakeDisk fake_disk;

/** Makes it, empty, and removes it. */
int fake_disk_set_up(void **state);
int fake_disk_tear_down(void **state);

/** Opens a pool on it; @label as definitions have it. */
CstPoolState *fake_disk_pool(const char *label);
/** The same, with a table of that type and @extra in <device>. */
CstPoolState *fake_disk_build(const char *label);
/** Makes a volume of that name, size in MiB and mark (NULL: none), whole. */
void fake_disk_make(CstPoolState *pool, const char *name, guint mib, const char *mark);
/** A definition of a volume; free it. */
CstVolDef *fake_disk_def(const char *name, uint64_t bytes, const char *mark);

/** "sdx1=1-5 sdx2=…" in MiB: what the pool lists, "!" behind what has a problem; free it. */
char *fake_disk_listed(CstPoolState *pool);
/** The same of the kernel's partitions: "1=1-5 2=…"; free it. */
char *fake_disk_shown(void);
/** Fails the test unless the disk is not locked and no part of it is claimed. */
void fake_disk_assert_free(void);
void fake_disk_assert_listed(CstPoolState *pool, const char *expected);
void fake_disk_assert_shown(const char *expected);

/** Writes @text at @offset of the disk; whether it stands there. */
void fake_disk_write(uint64_t offset, const char *text);
gboolean fake_disk_has(uint64_t offset, const char *text);
