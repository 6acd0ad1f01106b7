/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "inspection.h"

/**
 * Virtual Hard Disk, called vpc (Virtual Hard Disk Image Format Specification 1.0, "Hard Disk
 * Footer Format", "Dynamic Disk Header Format"). All numbers are big endian. A fixed disk consists
 * of the guest's bytes and a footer. A dynamic or differencing disk begins with a copy of the
 * footer and a header. A table of 32-bit sector numbers, blocks in any order, and the footer
 * follow. Each block begins with a bitmap of its sectors; the first sector is the highest bit of
 * the first byte.
 */
#define VPC_SECTOR       512u
#define VPC_FOOTER_LEN   512u
#define VPC_HEADER_LEN   1024u
#define VPC_MAX_CAPACITY (UINT64_C(0xff000000) * VPC_SECTOR) /* 2040 GiB */
#define VPC_NOWHERE      0xffffffffu
#define VPC_LOCATORS     8
#define VPC_LOCATOR_MAX  4096u /* maximum bytes read of a locator's text */
#define VPC_REGIONS      (3 + VPC_LOCATORS)

typedef enum { VPC_FIXED = 2, VPC_DYNAMIC = 3, VPC_DIFFERENCING = 4 } VpcKind;

/** A range of the file, in bytes. */
typedef struct {
    uint64_t offset, length;
} VpcRegion;

typedef struct {
    VpcKind kind;
    uint64_t capacity;
    uint8_t footer[VPC_FOOTER_LEN];
    gboolean has_front; /**< a sound copy of the footer is at the start */
    gboolean has_end;   /**< a sound footer is at the end */
    gboolean differ;    /**< the two differ, or one is missing */

    /* The following fields are unused for a fixed disk. */
    uint8_t raw[VPC_HEADER_LEN];
    uint64_t header_offset;
    uint64_t table_offset;
    uint32_t entries;
    uint32_t block_size;
    uint32_t bitmap_size;           /**< bytes before each block, whole sectors */
    VpcRegion regions[VPC_REGIONS]; /**< places of metadata */
    unsigned region_count;
} VpcHeader;

/**
 * Implements CstImageFormat.probe: returns 100 if the file begins with a footer of version 1.0,
 * else 0. A fixed disk has its footer at the end only, see vpc_probe_tail().
 */
int vpc_probe(const uint8_t *head, size_t len, uint64_t size);
/**
 * Implements CstImageFormat.probe_tail: returns whether the last 512 bytes are the footer of a
 * fixed disk. The checksum must match, and the footer's size must be the number of the preceding
 * bytes.
 */
gboolean vpc_probe_tail(const uint8_t *tail, uint64_t size);
/**
 * Read and check footer and dynamic header. Damage is recorded in @inspection as problems. Return:
 * FALSE if the footer or the dynamic header is missing; @ret_header is then unchanged.
 */
gboolean vpc_header_read(CstInspection *inspection, VpcHeader *ret_header);

/** Compute bitmap_size and the regions from the other fields. */
void vpc_header_derive(VpcHeader *header);
/**
 * Fill the footer of a new image except size and checksum. kind and header_offset must be set.
 * @creator: four bytes.
 */
void vpc_footer_init(VpcHeader *header, const char *creator);
/**
 * Set the size, in bytes, the geometry and the checksum in the footer. @exact: write the largest
 * geometry and a creator known to write the size field exactly, so that every program uses the size
 * field.
 */
void vpc_footer_set_size(VpcHeader *header, uint64_t capacity, gboolean exact);
/**
 * Set the kind of disk and the dynamic header's offset, in the fields and in the footer with its
 * checksum.
 */
void vpc_footer_set_header(VpcHeader *header, VpcKind kind, uint64_t offset);
/** Encode the other fields into header->raw, with the checksum; the parent's fields are kept. */
void vpc_header_update(VpcHeader *header);

static inline uint64_t vpc_stride(const VpcHeader *header)
{
    return (uint64_t)header->bitmap_size + header->block_size;
}

/** Return the image's UUID, 16 bytes within header->footer. */
const uint8_t *vpc_footer_uuid(const VpcHeader *header);

/* --- parent.c -------------------------------------------------------------------------------- */

/** Set inspection->info->backing to the parent's name. header->raw must have been read. */
void vpc_parent_inspect(CstInspection *inspection, const VpcHeader *header);
/** Clear all fields of header->raw that describe the parent. */
void vpc_parent_forget(VpcHeader *header);
/**
 * Store the parent's name in header->raw. A relative name gets a locator as well: the caller writes
 * *ret_text, *ret_len bytes in whole sectors, to @offset of the file and frees it with g_free().
 * *ret_text is NULL without a locator. INVALID if the name is too long or not UTF-8.
 */
gboolean vpc_parent_store(VpcHeader *header, const char *name, uint64_t offset, uint8_t **ret_text,
                          size_t *ret_len, GError **error);
/** Store the parent's UUID, 16 bytes, in header->raw. */
void vpc_parent_set_uuid(VpcHeader *header, const uint8_t *uuid);
/** Return TRUE if the parent's UUID is @uuid or was never stored. */
gboolean vpc_parent_has_uuid(const VpcHeader *header, const uint8_t *uuid);
