/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/uuid.h>
#include <model/pool_def.h>

/**
 * A partition table as values: what lies where on a disk, and where something new would fit. Pure
 * functions; positions and sizes are bytes, ends are the first byte behind.
 */

typedef enum {
    DISK_PRIMARY,
    DISK_EXTENDED, /**< holds logical ones; of dos only */
    DISK_LOGICAL
} DiskKind;

typedef struct {
    guint number; /**< from 1 on, as the kernel counts */
    DiskKind kind;
    uint64_t start, end;
    const char *mark;             /**< of the volume marks of model/pool_type.c; static */
    gboolean reserved;            /**< the label's own (the whole disk, its header): no volume */
    char uuid[CST_UUID_TEXT_LEN]; /**< its own, as gpt has it; "": none */
} DiskPartition;

typedef struct {
    const char *label; /**< as definitions have it: "gpt"; static */
    char *id;          /**< of the label; NULL: such labels have none */
    uint64_t size;     /**< of the disk */
    uint64_t sector;
    uint64_t start, end; /**< where partitions may lie */
    uint64_t grain;      /**< new partitions start at multiples of this */
    uint64_t step;       /**< sizes of partitions are multiples of this */
    uint64_t lead;       /**< what a logical partition needs in front of it, for the chain's link */
    guint slots;         /**< highest number of a primary partition */
    GArray *partitions;  /**< DiskPartition, ordered by number */
    GArray *links; /**< CstDeviceExtent: where the chain of logical partitions has its links */
    GArray *free;  /**< CstDeviceExtent, ordered; their type is DISK_PRIMARY or DISK_LOGICAL */
} DiskTable;

/** Makes a table without partitions. */
DiskTable *disk_table_new(void);
/** NULL is accepted. */
void disk_table_free(DiskTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DiskTable, disk_table_free)

/** Appends an extent of @type to @extents, an array of CstDeviceExtent. */
void disk_extent_add(GArray *extents, uint64_t start, uint64_t end, int type);

/** Puts the partitions in order and works out the free extents from them and from the links. */
void disk_table_complete(DiskTable *table);

/** The partition of that number, borrowed; NULL: there is none. */
const DiskPartition *disk_table_find(const DiskTable *table, guint number);
/** The extended partition, borrowed; NULL: there is none. */
const DiskPartition *disk_table_extended(const DiskTable *table);
/** How many logical partitions there are with numbers above @number. */
guint disk_table_logicals_above(const DiskTable *table, guint number);

/**
 * Decides what the next partition is called: *ret_number, the lowest that is neither in the table
 * nor in @taken (guint; those being made), and *ret_kind. STATE when the label has no place left.
 */
gboolean disk_table_next(const DiskTable *table, gboolean extended, const GArray *taken,
                         guint *ret_number, DiskKind *ret_kind, GError **error);

/**
 * Finds the start for a partition of @size bytes, a multiple of the sector: in the smallest free
 * extent that it fits into, aligned, and not in one of @taken (CstDeviceExtent; what others are
 * making). NO_SPACE says how much there is.
 */
gboolean disk_table_place(const DiskTable *table, DiskKind kind, uint64_t size, const GArray *taken,
                          uint64_t *ret_start, GError **error);

/** Up to where the partition could grow in place; its own end where something is behind it. */
uint64_t disk_table_room_behind(const DiskTable *table, const DiskPartition *partition);

/** Whether the range is free, and for @kind. */
gboolean disk_table_is_free(const DiskTable *table, DiskKind kind, uint64_t start, uint64_t end);
