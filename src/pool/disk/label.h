/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "table.h"

/**
 * Partition tables on disks: reading, and changes of one partition at a time. Two implementations
 * exist. fdisk.c is for the labels that libfdisk supports completely (gpt, dos). parted.c is for
 * the labels of parted (bsd, dvh, mac, pc98, sun).
 */

typedef enum { DISK_ADD, DISK_REMOVE, DISK_RESIZE } DiskAction;

typedef struct {
    DiskAction action;
    DiskPartition partition; /**< REMOVE: its number; RESIZE: its number and new end */
} DiskChange;

typedef struct {
    /**
     * Reads the table of the disk at @node, which is open as @fd. Sets *ret_table to NULL without
     * an error if the disk has no table of this implementation.
     */
    gboolean (*read)(int fd, const char *node, DiskTable **ret_table, GError **error);
    /**
     * Makes one change, which is durable when the function returns. A kill at any point in time
     * leaves the old or the new table, if the label permits this (docs/disk.md).
     */
    gboolean (*change)(const char *node, const DiskTable *table, const DiskChange *change,
                       GError **error);
    /** Writes an empty table of type @label to the disk. */
    gboolean (*put_label)(const char *node, const char *label, GError **error);
    /**
     * Completes an interrupted change, so that the kernel understands the table again. NULL: a
     * change of this implementation leaves no state to repair.
     */
    gboolean (*repair)(const char *node, GError **error);
} DiskLabelOps;

extern const DiskLabelOps disk_fdisk, disk_parted;

/** Returns the implementation for tables of type @label ("gpt"), or NULL with UNSUPPORTED. */
const DiskLabelOps *disk_label_ops(const char *label, GError **error);

/* --- parted's output (parted_output.c) -------------------------------------------------------- */

/**
 * Parses the output of "parted --machine DISK unit cyl print unit B print free". Fails with CORRUPT
 * on other text. Sets *ret_table to NULL if parted knows no table on the disk.
 */
gboolean disk_parted_parse(const char *output, DiskTable **ret_table, GError **error);
