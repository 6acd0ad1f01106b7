/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/uuid.h>
#include <model/pool_def.h>

/**
 * A partition table as values: the extents of a disk, and the free ranges for new partitions. All
 * functions are pure. Positions and sizes are in bytes. An end is the offset of the first byte
 * after the range.
 */

typedef enum {
    DISK_PRIMARY,
    DISK_EXTENDED, /**< contains logical ones; only in dos tables */
    DISK_LOGICAL
} DiskKind;

typedef struct {
    guint number; /**< from 1 on, as the kernel counts */
    DiskKind kind;
    uint64_t start, end;
    const char *mark;             /**< one of the volume marks of model/pool_type.c; static */
    gboolean reserved;            /**< the label's own (the whole disk, its header): no volume */
    char uuid[CST_UUID_TEXT_LEN]; /**< of the partition (gpt); "": no UUID */
} DiskPartition;

typedef struct {
    const char *label; /**< as in definitions: "gpt"; static */
    char *id;          /**< of the label; NULL: this type of label has no id */
    uint64_t size;     /**< of the disk */
    uint64_t sector;
    uint64_t start, end; /**< range for partitions */
    uint64_t grain;      /**< new partitions start at multiples of this */
    uint64_t step;       /**< sizes of partitions are multiples of this */
    uint64_t lead;       /**< bytes before a logical partition, for the chain's link */
    guint slots;         /**< highest number of a primary partition */
    GArray *partitions;  /**< DiskPartition, ordered by number */
    GArray *links;       /**< CstDeviceExtent: the links of the chain of logical partitions */
    GArray *free;        /**< CstDeviceExtent, sorted; type DISK_PRIMARY or DISK_LOGICAL */
} DiskTable;

/** Creates a table without partitions. */
DiskTable *disk_table_new(void);
/** Frees the table. Accepts NULL. */
void disk_table_free(DiskTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DiskTable, disk_table_free)

/** Appends an extent of @type to @extents, an array of CstDeviceExtent. */
void disk_extent_add(GArray *extents, uint64_t start, uint64_t end, int type);

/** Sorts the partitions and computes the free extents from them and from the links. */
void disk_table_complete(DiskTable *table);

/** Returns the partition of that number, borrowed, or NULL if it does not exist. */
const DiskPartition *disk_table_find(const DiskTable *table, guint number);
/** Returns the extended partition, borrowed, or NULL if it does not exist. */
const DiskPartition *disk_table_extended(const DiskTable *table);
/** Returns the number of logical partitions with numbers above @number. */
guint disk_table_logicals_above(const DiskTable *table, guint number);

/**
 * Chooses the number and kind of the next partition. *ret_number is the lowest number that is
 * neither in the table nor in @taken (guint; numbers of drafts). Fails with STATE if the label has
 * no free entry.
 */
gboolean disk_table_next(const DiskTable *table, gboolean extended, const GArray *taken,
                         guint *ret_number, DiskKind *ret_kind, GError **error);

/**
 * Finds the start for a partition of @size bytes, a multiple of the sector. Uses the smallest free
 * extent in which it fits, aligned, outside of @taken (CstDeviceExtent; extents of other drafts).
 * Fails with NO_SPACE, and the message has the largest free size.
 */
gboolean disk_table_place(const DiskTable *table, DiskKind kind, uint64_t size, const GArray *taken,
                          uint64_t *ret_start, GError **error);

/** Returns the offset up to which the partition can grow in place, or its end if it cannot grow. */
uint64_t disk_table_room_behind(const DiskTable *table, const DiskPartition *partition);

/** Returns whether the range is free and usable for @kind. */
gboolean disk_table_is_free(const DiskTable *table, DiskKind kind, uint64_t start, uint64_t end);
