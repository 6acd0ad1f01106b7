/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/units.h>
#include <blob/blob.h>

/**
 * The header of a hosted sparse extent (VMware "Virtual Disk Format 5.0", "Hosted Sparse Extents"
 * and "Stream-Optimized Compressed Sparse Extents"). Little endian, counted in sectors.
 *
 * A grain directory points to grain tables, which point to grains. All are 32-bit sector numbers,
 * so that the file of an extent ends at 2 TiB regardless of its capacity.
 */
#define VMDK_SECTOR       512u
#define VMDK_HEADER_LEN   512u
#define VMDK_MAX_SECTORS  ((uint64_t)G_MAXINT64 / VMDK_SECTOR)
#define VMDK_MAX_VERSION  3 /* of a sparse extent */
#define VMDK_MAX_GTES     512u
#define VMDK_GD_AT_END    UINT64_MAX /**< as header.gd: the footer near the end has the value */
#define VMDK_GTE_ZERO     1u         /**< the grain reads as zeroes, if the header allows this */
#define VMDK_FILE_SECTORS (UINT64_C(1) << 32)

typedef enum {
    VMDK_FLAG_NEWLINES = 1 << 0, /**< the header shows whether newlines were converted */
    VMDK_FLAG_REDUNDANT = 1 << 1,
    VMDK_FLAG_ZERO_GRAINS = 1 << 2,
    VMDK_FLAG_COMPRESSED = 1 << 16,
    VMDK_FLAG_MARKERS = 1 << 17
} VmdkFlags;

typedef struct {
    uint32_t version;
    uint32_t flags; /**< VmdkFlags */
    uint64_t capacity;
    uint64_t grain;
    uint64_t descriptor; /**< 0: no embedded descriptor */
    uint64_t descriptor_len;
    uint32_t gtes; /**< entries of a grain table */
    uint64_t rgd;
    uint64_t gd;
    uint64_t overhead; /**< sectors before the first grain */
    gboolean unclean;
    gboolean mangled; /**< a transfer as text has converted the newlines */
    uint16_t compression;
} VmdkHeader;

/** Decode VMDK_HEADER_LEN bytes without any check; the first 79 bytes suffice. */
void vmdk_header_decode(const uint8_t *raw, VmdkHeader *ret_header);
/** Encode a header. @raw: VMDK_HEADER_LEN bytes. */
void vmdk_header_encode(const VmdkHeader *header, uint8_t *raw);

/**
 * Return a translated description of the damage of @header; NULL if it is sound. Offsets are not
 * compared to the file's size, which is unknown here.
 */
const char *vmdk_header_problem(const VmdkHeader *header);

/** Return the number of entries of the grain directory. @header must be sound. */
static inline uint64_t vmdk_header_tables(const VmdkHeader *header)
{
    return MAX(cst_div_up(header->capacity, header->grain * header->gtes), 1);
}

/** Return the length of one grain table in sectors. */
static inline uint64_t vmdk_header_table_len(const VmdkHeader *header)
{
    return cst_div_up(header->gtes * UINT64_C(4), VMDK_SECTOR);
}

/** Return the length of a grain directory in sectors. */
static inline uint64_t vmdk_header_directory_len(const VmdkHeader *header)
{
    return cst_div_up(vmdk_header_tables(header) * 4, VMDK_SECTOR);
}

/** Return TRUE if the sectors overlap the header, the descriptor or a grain directory. */
gboolean vmdk_header_hits_metadata(const VmdkHeader *header, uint64_t sector, uint64_t count);

/** Write the header to the first sector, without a barrier. */
gboolean vmdk_write_header(CstBlob *blob, const VmdkHeader *header, GError **error);
/**
 * Write @count entries of the directory at @sector, beginning with entry @first. The entries refer
 * to consecutive tables of @table_len sectors each, from sector @table on. No barrier.
 */
gboolean vmdk_write_directory(CstBlob *blob, uint64_t sector, uint64_t first, uint64_t count,
                              uint64_t table, uint64_t table_len, GError **error);
