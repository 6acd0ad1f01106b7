/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmdk.h"

/**
 * A sparse extent of compressed grains ("Stream-Optimized Compressed Sparse Extents"). Each grain
 * is a zlib stream behind a marker; directory and header may come at the end, behind markers of
 * their own, so that the file can be written in one pass.
 */
#define VMDK_MARKER_LEN        12u           /* of a grain: where it is in the disk, its length */
#define VMDK_PACKED_MAX(grain) (2 * (grain)) /* longest packed grain that is believed, bytes */

typedef struct {
    VmdkExtent extent;
    VmdkHeader header; /**< where the directory is known: the footer, if there is one */
    uint64_t grain;    /**< bytes */
    GMutex lock;       /**< guards what follows */
    VmdkTables *tables;
} VmdkStream;

static inline VmdkStream *vmdk_stream_of(VmdkExtent *extent)
{
    return (VmdkStream *)extent;
}

gboolean vmdk_stream_corrupt(const VmdkStream *stream, GError **error, const char *what);

/** Reads grain @number, which is at @sector, whole. */
gboolean vmdk_stream_read_grain(VmdkStream *stream, uint64_t number, uint32_t sector, uint8_t *buf,
                                GError **error);

/* --- pack.c ---------------------------------------------------------------------------------- */

/** As many bytes as the stream holds, at most @len, and at least @least; the rest is zero. */
gboolean vmdk_unpack(const uint8_t *packed, size_t packed_len, uint8_t *buf, size_t len,
                     size_t least);
