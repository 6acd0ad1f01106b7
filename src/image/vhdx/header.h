/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/units.h>
#include <base/uuid.h>

#include "inspection.h"

/**
 * What a VHDX file says of itself ([MS-VHDX] 2.2 "Header Section", 2.6 "Metadata Region"): two
 * headers of which the valid one with the larger sequence number counts, two equal region tables,
 * and a metadata region that holds the size, the block size and where the parent is. Everything
 * lies on MiB borders, so a MiB is the unit of space.
 */
#define VHDX_SECTION       CST_MIB
#define VHDX_HEADER_LEN    4096
#define VHDX_AT_REGIONS    (192 * CST_KIB) /**< and the copy, VHDX_REGIONS_LEN behind */
#define VHDX_REGIONS_LEN   (64 * CST_KIB)
#define VHDX_METADATA_LEN  (64 * CST_KIB) /**< of its table; items lie behind */
#define VHDX_MAX_CAPACITY  (64 * CST_TIB)
#define VHDX_MAX_FILE      (96 * CST_TIB) /**< the largest disk, its bitmaps, its tables, and air */
#define VHDX_MIN_BLOCK     CST_MIB
#define VHDX_MAX_BLOCK     (256 * CST_MIB)
#define VHDX_MAX_RANGES    16
#define VHDX_CHUNK_SECTORS (UINT64_C(1) << 23) /**< that a sector bitmap block stands for */

#define VHDX_FLAG_FIXED  1u /**< blocks stay allocated */
#define VHDX_FLAG_PARENT 2u

/** GUIDs as they lie on disk. */
extern const uint8_t vhdx_guid_bat[16];
extern const uint8_t vhdx_guid_metadata[16];
extern const uint8_t vhdx_guid_file_parameters[16];
extern const uint8_t vhdx_guid_disk_size[16];
extern const uint8_t vhdx_guid_disk_id[16];
extern const uint8_t vhdx_guid_logical_sector[16];
extern const uint8_t vhdx_guid_physical_sector[16];
extern const uint8_t vhdx_guid_parent[16];
extern const uint8_t vhdx_guid_locator[16]; /**< type of a parent locator */
/** Keys of a locator's paths, in the order in which they count. */
#define VHDX_PATHS 3
extern const char *const vhdx_path_keys[VHDX_PATHS];
/**
 * Returns the locator's value for the key @wanted, or NULL when it has none. @raw: at least the
 * locator's header of 20 bytes. g_free() the result.
 */
char *vhdx_locator_value(const uint8_t *raw, size_t len, const char *wanted);

#define VHDX_MAX_LOCATOR (64 * CST_KIB)

/** What a locator that is written says. */
typedef struct {
    CstUuid linkage, linkage2;     /**< the second one zero: none */
    const char *paths[VHDX_PATHS]; /**< NULL: none */
} VhdxParent;

/** Stores @name as the relative or the absolute path, whichever it is. @name is borrowed. */
void vhdx_parent_name(VhdxParent *parent, const char *name);
/**
 * Returns the locator's bytes, *ret_len of them; g_free() them. NULL with INVALID when a path can't
 * be stored.
 */
uint8_t *vhdx_locator_encode(const VhdxParent *parent, uint32_t *ret_len, GError **error);

/** Formats a GUID in braces, as parent locators have it; g_free() it. */
char *vhdx_guid_text(const CstUuid *guid);

typedef struct {
    unsigned slot; /**< 1 or 2: where the current header lies, in units of 64 KiB */
    uint64_t sequence;
    uint8_t file_write[16]; /**< changes with every session that changes the file */
    uint8_t data_write[16]; /**< … that changes what the guest sees */
    uint8_t log_guid[16];   /**< zero: there is nothing in the log */
    uint32_t log_length;
    uint64_t log_offset;
} VhdxHeader;

typedef struct {
    uint64_t offset, length;
} VhdxRange;

typedef struct {
    VhdxRange ranges[VHDX_MAX_RANGES]; /**< all that is not blocks: header section, log, regions */
    unsigned range_count;
    uint64_t regions_at;     /**< the table that was read */
    gboolean regions_differ; /**< the other one is not the same */
    uint64_t bat_offset;
    uint32_t bat_length;
    uint64_t metadata_offset;
    uint32_t metadata_length;
    uint32_t block_size;
    uint32_t flags;
    uint64_t capacity;
    uint64_t capacity_at; /**< where it is in the file */
    uint32_t sector_size;
    CstUuid linkage;       /**< the parent's data_write when the image was made; zero: not known */
    CstUuid linkage2;      /**< that is good as well; zero: none */
    uint64_t flags_at;     /**< where they are in the file */
    VhdxRange parent;      /**< the parent locator, in the file */
    uint64_t parent_entry; /**< its entry in the metadata table, in the file */
    uint16_t entries;      /**< of that table */
    unsigned items;        /**< of the known ones, as bits */
} VhdxLayout;

/** Signatures are text without an end. */
static inline void vhdx_put_signature(uint8_t *to, const char *text)
{
    while (*text)
        *to++ = (uint8_t)*text++;
}

/**
 * Compares the checksum at byte 4, which is computed with its own four bytes as zero, to @raw.
 * @len: at least 8.
 */
gboolean vhdx_checksum_holds(const uint8_t *raw, size_t len);
/** Computes that checksum and stores it. */
void vhdx_checksum_set(uint8_t *raw, size_t len);

/**
 * Reads the current header and sets inspection->info->dirty when its log must be replayed. What is
 * wrong with it is noted in @inspection.
 */
void vhdx_header_read(CstInspection *inspection, VhdxHeader *ret_header);
/** Encodes a header with its checksum. @ret_raw: VHDX_HEADER_LEN bytes. */
void vhdx_header_encode(const VhdxHeader *header, uint8_t *ret_raw);

/**
 * Reads the region table and the metadata, and sets inspection->info->backing. @ret_layout holds
 * what could be found out even when a problem was noted, which the inspection tells.
 */
void vhdx_layout_read(CstInspection *inspection, const VhdxHeader *header, VhdxLayout *ret_layout);

/**
 * Reads the part of the layout that the metadata region holds; damage goes to @inspection
 * (metadata.c).
 */
void vhdx_metadata_read(CstInspection *inspection, VhdxLayout *layout);

/** Returns FALSE when the range overlaps one of the layout's. */
gboolean vhdx_range_is_free(const VhdxLayout *layout, uint64_t offset, uint64_t length);

/** Payload blocks that share a sector bitmap block. */
static inline uint64_t vhdx_chunk_ratio(uint32_t block_size, uint32_t sector_size)
{
    return VHDX_CHUNK_SECTORS * sector_size / block_size;
}

/**
 * Returns the number of entries of the block allocation table, interleaved sector bitmaps included.
 */
uint64_t vhdx_bat_entries(uint64_t capacity, uint32_t block_size, uint32_t sector_size,
                          gboolean differencing);
