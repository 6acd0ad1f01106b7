/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/units.h>
#include <base/uuid.h>

#include "inspection.h"

/**
 * The headers and metadata of a VHDX file ([MS-VHDX] 2.2 "Header Section", 2.6 "Metadata Region"):
 * two headers, of which the valid one with the larger sequence number is current; two equal region
 * tables; and a metadata region with the size, the block size and the parent locator. Everything is
 * aligned to MiB, so a MiB is the unit of allocation.
 */
#define VHDX_SECTION       CST_MIB
#define VHDX_HEADER_LEN    4096
#define VHDX_AT_REGIONS    (192 * CST_KIB) /**< its copy is VHDX_REGIONS_LEN after it */
#define VHDX_REGIONS_LEN   (64 * CST_KIB)
#define VHDX_METADATA_LEN  (64 * CST_KIB) /**< of its table; the items follow */
#define VHDX_MAX_CAPACITY  (64 * CST_TIB)
#define VHDX_MAX_FILE      (96 * CST_TIB) /**< the largest disk, its bitmaps, tables, reserve */
#define VHDX_MIN_BLOCK     CST_MIB
#define VHDX_MAX_BLOCK     (256 * CST_MIB)
#define VHDX_MAX_RANGES    16
#define VHDX_CHUNK_SECTORS (UINT64_C(1) << 23) /**< sectors covered by one sector bitmap block */

#define VHDX_FLAG_FIXED  1u /**< blocks stay allocated */
#define VHDX_FLAG_PARENT 2u

/** GUIDs in the byte order of the disk. */
extern const uint8_t vhdx_guid_bat[16];
extern const uint8_t vhdx_guid_metadata[16];
extern const uint8_t vhdx_guid_file_parameters[16];
extern const uint8_t vhdx_guid_disk_size[16];
extern const uint8_t vhdx_guid_disk_id[16];
extern const uint8_t vhdx_guid_logical_sector[16];
extern const uint8_t vhdx_guid_physical_sector[16];
extern const uint8_t vhdx_guid_parent[16];
extern const uint8_t vhdx_guid_locator[16]; /**< type of a parent locator */
/** Keys of a locator's paths, in the order of preference. */
#define VHDX_PATHS 3
extern const char *const vhdx_path_keys[VHDX_PATHS];
/**
 * Return the locator's value for the key @wanted, or NULL if the key is missing. @raw: at least the
 * locator's header of 20 bytes. The caller frees the result with g_free().
 */
char *vhdx_locator_value(const uint8_t *raw, size_t len, const char *wanted);

#define VHDX_MAX_LOCATOR (64 * CST_KIB)

/** The values of a locator that is to be written. */
typedef struct {
    CstUuid linkage, linkage2;     /**< linkage2 zero: not written */
    const char *paths[VHDX_PATHS]; /**< NULL: not written */
} VhdxParent;

/**
 * Store @name as the absolute path if it is absolute, else as the relative path. @name is borrowed.
 */
void vhdx_parent_name(VhdxParent *parent, const char *name);
/**
 * Return the locator's bytes and set *ret_len to their number. The caller frees them with g_free().
 * NULL with INVALID if a path can't be stored.
 */
uint8_t *vhdx_locator_encode(const VhdxParent *parent, uint32_t *ret_len, GError **error);

/** Format a GUID in braces, as in parent locators. The caller frees the result with g_free(). */
char *vhdx_guid_text(const CstUuid *guid);

typedef struct {
    unsigned slot; /**< 1 or 2: position of the current header, in units of 64 KiB */
    uint64_t sequence;
    uint8_t file_write[16]; /**< changes with every session that changes the file */
    uint8_t data_write[16]; /**< changes with every session that changes the guest's content */
    uint8_t log_guid[16];   /**< zero: the log is empty */
    uint32_t log_length;
    uint64_t log_offset;
} VhdxHeader;

typedef struct {
    uint64_t offset, length;
} VhdxRange;

typedef struct {
    VhdxRange ranges[VHDX_MAX_RANGES]; /**< all except blocks: header section, log, regions */
    unsigned range_count;
    uint64_t regions_at;     /**< offset of the table that was read */
    gboolean regions_differ; /**< the two region tables differ */
    uint64_t bat_offset;
    uint32_t bat_length;
    uint64_t metadata_offset;
    uint32_t metadata_length;
    uint32_t block_size;
    uint32_t flags;
    uint64_t capacity;
    uint64_t capacity_at; /**< its offset in the file */
    uint32_t sector_size;
    CstUuid linkage;       /**< the parent's data_write at creation; zero: unknown */
    CstUuid linkage2;      /**< a second valid value; zero: not set */
    uint64_t flags_at;     /**< their offset in the file */
    VhdxRange parent;      /**< the parent locator's range in the file */
    uint64_t parent_entry; /**< file offset of the locator's entry in the metadata table */
    uint16_t entries;      /**< number of entries of the metadata table */
    unsigned items;        /**< bits of the known items that were found */
} VhdxLayout;

/** Store a signature: text without the terminating zero. */
static inline void vhdx_put_signature(uint8_t *to, const char *text)
{
    while (*text)
        *to++ = (uint8_t)*text++;
}

/**
 * Verify the checksum at byte 4 of @raw. It is computed with its own four bytes as zero. @len: at
 * least 8. Return: TRUE if it matches.
 */
gboolean vhdx_checksum_holds(const uint8_t *raw, size_t len);
/** Compute this checksum and store it. */
void vhdx_checksum_set(uint8_t *raw, size_t len);

/**
 * Read the current header, and set inspection->info->dirty if its log must be replayed. Damage is
 * recorded in @inspection.
 */
void vhdx_header_read(CstInspection *inspection, VhdxHeader *ret_header);
/** Encode a header with its checksum. @ret_raw: VHDX_HEADER_LEN bytes. */
void vhdx_header_encode(const VhdxHeader *header, uint8_t *ret_raw);

/**
 * Read the region table and the metadata, and set inspection->info->backing. Damage is recorded in
 * @inspection; @ret_layout then has the fields that could be read.
 */
void vhdx_layout_read(CstInspection *inspection, const VhdxHeader *header, VhdxLayout *ret_layout);

/** Read the metadata region into @layout; damage is recorded in @inspection (metadata.c). */
void vhdx_metadata_read(CstInspection *inspection, VhdxLayout *layout);

/** Return FALSE if the range overlaps a range of the layout. */
gboolean vhdx_range_is_free(const VhdxLayout *layout, uint64_t offset, uint64_t length);

/** Return the number of payload blocks that share a sector bitmap block. */
static inline uint64_t vhdx_chunk_ratio(uint32_t block_size, uint32_t sector_size)
{
    return VHDX_CHUNK_SECTORS * sector_size / block_size;
}

/**
 * Return the number of entries of the block allocation table, including interleaved sector bitmaps.
 */
uint64_t vhdx_bat_entries(uint64_t capacity, uint32_t block_size, uint32_t sector_size,
                          gboolean differencing);
