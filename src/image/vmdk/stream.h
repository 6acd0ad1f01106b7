/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "vmdk.h"

/**
 * A sparse extent of compressed grains ("Stream-Optimized Compressed Sparse Extents"). Each grain
 * is a zlib stream after a marker. The directory and the header may be at the end, each after its
 * own marker, so that the file can be written in one pass.
 */
#define VMDK_MARKER_LEN        12u           /* of a grain: its sector in the disk, its length */
#define VMDK_PACKED_MAX(grain) (2 * (grain)) /* limit for the length of a packed grain, bytes */

#define VMDK_PENDING UINT32_MAX /* as an entry: the grain is not in the file yet */

/** Kinds of markers that precede no grain. */
enum { VMDK_MARKER_END, VMDK_MARKER_TABLE, VMDK_MARKER_DIRECTORY, VMDK_MARKER_FOOTER };

/** A changed grain that is not yet in the file. */
typedef struct {
    uint8_t *data;
    size_t packed_len; /**< 0: data is unpacked */
} VmdkPending;

/**
 * An opened stream. Changed grains are queued in memory so that they reach the file in the order of
 * the disk even if several threads write at once; consumers expect this order. Grains are appended
 * after the last grain. A grain that changes again gets a new place, and its old place is lost.
 *
 * A flush appends tables, directory and footer. Later changes are appended after these. Until the
 * next flush the header at the start of the file points to the directory of the last flush. So the
 * image keeps the state of the last flush. Without barriers new data overwrites the old end
 * instead, because such an image is discarded if the work on it does not finish.
 */
typedef struct {
    VmdkExtent extent;
    VmdkHeader header; /**< with the directory's sector: from the footer, if one exists */
    uint64_t grain;    /**< bytes */
    CstBlob *backing;  /**< borrowed, for extents only: it reads as zeroes; may be NULL */
    gboolean barriers;
    GRWLock file;       /**< held shared to read the file, exclusively to truncate it */
    GMutex lock;        /**< guards the following fields */
    VmdkTables *tables; /**< unused after the start of changes */
    gboolean started;   /**< changes have begun; the following fields are valid */
    gboolean dirty;     /**< changed since the last footer */
    GTree *map;         /**< index of a table → its entries (uint32_t[gtes]) */
    GTree *pending;     /**< number of a grain → VmdkPending */
    uint64_t tail;      /**< end of the last grain, bytes */
    gboolean dropped;   /**< a grain has been dropped, perhaps the last one */
    uint64_t footer;    /**< offset of the footer's marker, bytes; 0: no valid footer */
} VmdkStream;

static inline VmdkStream *vmdk_stream_of(VmdkExtent *extent)
{
    return (VmdkStream *)extent;
}

/* --- stream_grain.c --------------------------------------------------------------------------- */

/** Fail with CORRUPT. @what: the translated damage. */
gboolean vmdk_stream_corrupt(const VmdkStream *stream, GError **error, const char *what);
#define vmdk_stream_corrupt(...) CST_GIVES_FALSE(vmdk_stream_corrupt(__VA_ARGS__))

/** Read and unpack grain @number, whose marker is at @sector. @buf: stream->grain bytes. */
gboolean vmdk_stream_read_grain(VmdkStream *stream, uint64_t number, uint32_t sector, uint8_t *buf,
                                GError **error);
/**
 * Find the packed bytes of grain @number, whose marker is at *offset. Moves *offset to the packed
 * bytes, and sets *ret_len to their length, which is within the file. Without markers the length is
 * the largest possible length of a packed grain.
 */
gboolean vmdk_stream_find_packed(VmdkStream *stream, uint64_t number, uint64_t *offset,
                                 size_t *ret_len, GError **error);
/* --- stream_map.c; lock held ------------------------------------------------------------------ */

/** Create the empty trees. */
void vmdk_stream_init_map(VmdkStream *stream);
/** Free the trees and all queued grains. */
void vmdk_stream_clear_map(VmdkStream *stream);
/** Return the sector of grain @number in the file; 0: the grain has no place. */
uint32_t vmdk_stream_map_get(VmdkStream *stream, uint64_t number);
/** Set the sector of grain @number. Sets stream->dropped if this drops an older place. */
void vmdk_stream_map_set(VmdkStream *stream, uint64_t number, uint32_t entry);
/** Remove all grains from @number on, including queued grains. */
void vmdk_stream_map_cut(VmdkStream *stream, uint64_t number);
/** Return grain @number, borrowed, if it is queued; else NULL. */
VmdkPending *vmdk_stream_pending(VmdkStream *stream, uint64_t number);
/** Set stream->tail to the end of the last grain in the file, and clear stream->dropped. */
gboolean vmdk_stream_find_tail(VmdkStream *stream, GError **error);
/**
 * Load all tables into the map before the first change. Does nothing if this is done already.
 * UNSUPPORTED for a stream without markers.
 */
gboolean vmdk_stream_start(VmdkStream *stream, GError **error);

/* --- stream_read.c ---------------------------------------------------------------------------- */

/**
 * Return the sector of grain @number (0: it reads as zeroes; VMDK_PENDING: it is queued) and the
 * number of equal grains from it on, at most @limit. Acquires the lock.
 */
gboolean vmdk_stream_entry(VmdkStream *stream, uint64_t number, uint64_t limit, uint32_t *ret_entry,
                           uint64_t *ret_count, GError **error);
/**
 * Implements VmdkExtentOps.pread. Any number of threads may call it, also concurrently with
 * writers.
 */
gboolean vmdk_stream_pread(VmdkExtent *extent, void *buf, size_t len, uint64_t offset,
                           GError **error);
/**
 * Implements VmdkExtentOps.extent. For grains that read as zeroes, reports a hole or the extent of
 * the backing image.
 */
gboolean vmdk_stream_extent(VmdkExtent *extent, uint64_t offset, uint64_t length,
                            CstExtent *ret_extent, GError **error);

/* --- stream_write.c, stream_end.c ------------------------------------------------------------- */

/**
 * Implements VmdkExtentOps.pwrite. Queues grains in memory; vmdk_stream_flush() makes them durable.
 */
gboolean vmdk_stream_pwrite(VmdkExtent *extent, const void *buf, size_t len, uint64_t offset,
                            GError **error);
/** Implements VmdkExtentOps.zero. Whole grains are removed. @flags are ignored. */
gboolean vmdk_stream_zero(VmdkExtent *extent, uint64_t offset, uint64_t length, unsigned flags,
                          GError **error);
/** Implements VmdkExtentOps.discard, for whole grains only. */
gboolean vmdk_stream_discard(VmdkExtent *extent, uint64_t offset, uint64_t length, GError **error);
/** Append all queued grains to the file. Lock held. */
gboolean vmdk_stream_drain(VmdkStream *stream, GError **error);
/** Implements VmdkExtentOps.resize. The file changes with the next flush. */
gboolean vmdk_stream_resize(VmdkExtent *extent, uint64_t length, CstPreallocation preallocation,
                            CstTask *task, GError **error);
/**
 * Append all queued grains and end the stream, so that the file is complete. No barrier at the end.
 */
gboolean vmdk_stream_write_back(VmdkExtent *extent, GError **error);
/** Like vmdk_stream_write_back(), and make all changes durable. */
gboolean vmdk_stream_flush(VmdkExtent *extent, GError **error);

/* --- pack.c ---------------------------------------------------------------------------------- */

/**
 * Unpack a zlib stream into @buf of @len bytes. If the stream yields fewer bytes, the rest of @buf
 * is zeroed; bytes beyond @len are ignored. Return: FALSE if the stream is damaged or yields fewer
 * than @least bytes.
 */
gboolean vmdk_unpack(const uint8_t *packed, size_t packed_len, uint8_t *buf, size_t len,
                     size_t least);
/** Return the maximum length of the zlib stream of @len bytes. */
size_t vmdk_pack_bound(size_t len);
/**
 * Return the zlib stream of @len bytes; the caller frees it with g_free(). @name: the file's name,
 * for the NO_MEMORY error.
 */
uint8_t *vmdk_pack(const uint8_t *buf, size_t len, const char *name, size_t *ret_packed_len,
                   GError **error);
