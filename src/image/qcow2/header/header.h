/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "inspection.h"

/**
 * The header of a qcow2 image, versions 2 and 3 (qemu docs/interop/qcow2, "Header"). The limits are
 * the limits that QEMU adds to the format, which keep memory bounded.
 */

#define QCOW2_MAGIC     0x514649fbu
#define QCOW2_V2_LENGTH 72
#define QCOW2_V3_LENGTH 104 /* shortest header of version 3 */

#define QCOW2_MIN_CLUSTER_BITS     9
#define QCOW2_MAX_CLUSTER_BITS     21
#define QCOW2_MIN_EXT_CLUSTER_BITS 14
#define QCOW2_MAX_L1_BYTES         (32u << 20)
#define QCOW2_MAX_REFTABLE_BYTES   (8u << 20)
#define QCOW2_MAX_SNAPSHOTS        65536u
#define QCOW2_MAX_BACKING_NAME     1023u
#define QCOW2_MAX_EXTENSION_NAME   1023u

#define QCOW2_HEADER_AREA (64u * 1024) /* bytes of the first cluster for extensions */
#define QCOW2_SECTOR      512u         /* bytes that a disk writes atomically */

/* byte offsets of the fields that are rewritten in place */
#define QCOW2_AT_BACKING_OFFSET  8
#define QCOW2_AT_BACKING_SIZE    16
#define QCOW2_AT_SIZE            24
#define QCOW2_AT_L1_SIZE         36
#define QCOW2_AT_L1_OFFSET       40
#define QCOW2_AT_REFTABLE_OFFSET 48
#define QCOW2_AT_REFTABLE_SIZE   56
#define QCOW2_AT_SNAPSHOTS       60
#define QCOW2_AT_INCOMPATIBLE    72
#define QCOW2_AT_AUTOCLEAR       88

typedef enum {
    QCOW2_INCOMPAT_DIRTY = 1 << 0,
    QCOW2_INCOMPAT_CORRUPT = 1 << 1,
    QCOW2_INCOMPAT_DATA_FILE = 1 << 2,
    QCOW2_INCOMPAT_COMPRESSION = 1 << 3,
    QCOW2_INCOMPAT_EXTENDED_L2 = 1 << 4,
    QCOW2_INCOMPAT_KNOWN = (1 << 5) - 1
} Qcow2Incompatible;

#define QCOW2_COMPAT_LAZY_REFCOUNTS 1u
#define QCOW2_AUTOCLEAR_BITMAPS     1u
#define QCOW2_AUTOCLEAR_KEPT        3u /* the features that this code keeps up to date */
#define QCOW2_AUTOCLEAR_RAW_DATA    2u /* the data file alone reads like the guest's disk */

typedef enum {
    QCOW2_EXT_END = 0,
    QCOW2_EXT_BACKING_FORMAT = 0xe2792aca,
    QCOW2_EXT_BITMAPS = 0x23852875,
    QCOW2_EXT_DATA_FILE = 0x44415441,
    QCOW2_EXT_CRYPT = 0x0537be77,
    QCOW2_EXT_FEATURES = 0x6803f857, /**< names of feature bits, for messages only */
    QCOW2_EXT_FILLER = 0x43535446    /**< "CSTF": a removed extension; every reader skips it */
} Qcow2Extension;

typedef enum { QCOW2_CRYPT_NONE, QCOW2_CRYPT_AES, QCOW2_CRYPT_LUKS } Qcow2Crypt;
typedef enum { QCOW2_ZLIB, QCOW2_ZSTD } Qcow2Compression;

/** The fields of the header in host order. Offsets and sizes are in bytes unless named
 * otherwise. */
typedef struct {
    uint32_t version;
    uint64_t backing_offset;
    uint32_t backing_size;
    uint32_t cluster_bits;
    uint64_t size;
    uint32_t crypt;
    uint32_t l1_size;
    uint64_t l1_offset;
    uint64_t reftable_offset;
    uint32_t reftable_clusters;
    uint32_t snapshots;
    uint64_t snapshots_offset;
    uint64_t incompatible;
    uint64_t compatible;
    uint64_t autoclear;
    uint32_t refcount_order;
    uint32_t length;
    uint8_t compression;
    gboolean has_bitmaps; /**< the bitmaps extension exists; the next fields come from it,
                               unchecked */
    uint32_t bitmaps;
    uint64_t bitmaps_bytes; /**< length of the directory */
    uint64_t bitmaps_offset;
    uint64_t crypt_offset; /**< offset of the LUKS header, unchecked */
    uint64_t crypt_bytes;
} Qcow2Header;

/** Returns the number of guest bytes that one entry of the L1 table maps. */
static inline uint64_t qcow2_l1_span(const Qcow2Header *header)
{
    unsigned entry_bits = header->incompatible & QCOW2_INCOMPAT_EXTENDED_L2 ? 4 : 3;

    return UINT64_C(1) << (2 * header->cluster_bits - entry_bits);
}

/**
 * Parses and checks the header, and stores its values in inspection->info. Returns FALSE when the
 * header is too damaged for use, which inspection->info->problem describes, or cannot be read (see
 * cst_inspection_ok()). A problem may also come with TRUE: unknown features, or damage that leaves
 * the fields usable. *ret_header changes only with TRUE.
 */
gboolean qcow2_header_read(CstInspection *inspection, Qcow2Header *ret_header);

/** Writes the fields to @raw, the first bytes of an image: 72 in version 2, 105 in version 3. */
void qcow2_header_encode(const Qcow2Header *header, uint8_t *raw);
