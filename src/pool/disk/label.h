/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "table.h"

/**
 * Partition tables on disks: read, and changed by one partition at a time. Two implementations,
 * one for the labels that libfdisk has wholly (fdisk.c: gpt, dos), one for those that parted has
 * (parted.c: bsd, dvh, mac, pc98, sun).
 */

typedef enum { DISK_ADD, DISK_REMOVE, DISK_RESIZE } DiskAction;

typedef struct {
    DiskAction action;
    DiskPartition partition; /**< REMOVE: its number; RESIZE: its number and new end */
} DiskChange;

typedef struct {
    /**
     * Reads the table of the disk at @node, which @fd has open. *ret_table NULL (no error): there
     * is none that this implementation knows.
     */
    gboolean (*read)(int fd, const char *node, DiskTable **ret_table, GError **error);
    /**
     * Makes one change, on the disk when it returns. What was there before or what is there after
     * it is what a kill at any moment leaves, where the label allows that (docs/disk.md).
     */
    gboolean (*change)(const char *node, const DiskTable *table, const DiskChange *change,
                       GError **error);
    /** Puts an empty table of type @label on the disk. */
    gboolean (*put_label)(const char *node, const char *label, GError **error);
    /**
     * Completes what a killed change has left, so that the kernel understands the table again.
     * NULL: nothing can be left.
     */
    gboolean (*repair)(const char *node, GError **error);
} DiskLabelOps;

extern const DiskLabelOps disk_fdisk, disk_parted;

/** What reads and writes tables of type @label ("gpt"); NULL with UNSUPPORTED: nothing does. */
const DiskLabelOps *disk_label_ops(const char *label, GError **error);

/* --- parted's output (parted_output.c) -------------------------------------------------------- */

/**
 * Parses what "parted --machine DISK unit cyl print unit B print free" says; CORRUPT when it is not
 * that. *ret_table NULL: parted knows no table there.
 */
gboolean disk_parted_parse(const char *output, DiskTable **ret_table, GError **error);
