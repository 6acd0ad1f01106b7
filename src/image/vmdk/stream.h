/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "vmdk.h"

/**
 * A sparse extent of compressed grains ("Stream-Optimized Compressed Sparse Extents"). Each grain
 * is a zlib stream behind a marker; directory and header may come at the end, behind markers of
 * their own, so that the file can be written in one pass.
 */
#define VMDK_MARKER_LEN        12u           /* of a grain: where it is in the disk, its length */
#define VMDK_PACKED_MAX(grain) (2 * (grain)) /* longest packed grain that is believed, bytes */

#define VMDK_PENDING UINT32_MAX /* as an entry: the grain is not in the file yet */

/** Kinds of markers that are no grains. */
enum { VMDK_MARKER_END, VMDK_MARKER_TABLE, VMDK_MARKER_DIRECTORY, VMDK_MARKER_FOOTER };

/** A grain on its way into the file. */
typedef struct {
    uint8_t *data;
    size_t packed_len; /**< 0: data is the grain as it is */
} VmdkPending;

/**
 * An opened one. Changed grains wait a while, so that they end up in the file in the order of the
 * disk, as its consumers expect, even when several threads write at once. Grains go behind the last
 * one; a grain that is changed again gets a new place, and the old one is lost.
 *
 * Tables, directory and footer follow with a flush. What is written after that goes behind them,
 * and the header in front points to the directory until there is another one, so that the image
 * stays what it was at the last flush. Without barriers it overwrites them instead: such an image
 * is thrown away when the work on it does not finish.
 */
typedef struct {
    VmdkExtent extent;
    VmdkHeader header; /**< where the directory is known: the footer, if there is one */
    uint64_t grain;    /**< bytes */
    CstBlob *backing;  /**< borrowed; asked for extents only, as it reads as zeroes. NULL: none */
    gboolean barriers;
    GRWLock file;       /**< held shared to read the file, exclusively to truncate it */
    GMutex lock;        /**< guards what follows */
    VmdkTables *tables; /**< NULL once started */
    gboolean started;   /**< there have been changes: what follows is in use */
    gboolean dirty;     /**< since the last footer */
    GTree *map;         /**< index of a table → its entries (uint32_t[gtes]) */
    GTree *pending;     /**< number of a grain → VmdkPending */
    uint64_t tail;      /**< behind the last grain, bytes */
    gboolean dropped;   /**< a grain has been given up, perhaps the last one */
    uint64_t footer;    /**< where the footer's marker is, bytes; 0: there is none in force */
} VmdkStream;

static inline VmdkStream *vmdk_stream_of(VmdkExtent *extent)
{
    return (VmdkStream *)extent;
}

/* --- stream_grain.c --------------------------------------------------------------------------- */

/** Fails with CORRUPT. @what: the translated damage. */
gboolean vmdk_stream_corrupt(const VmdkStream *stream, GError **error, const char *what);
#define vmdk_stream_corrupt(...) CST_GIVES_FALSE(vmdk_stream_corrupt(__VA_ARGS__))

/** Reads and unpacks grain @number, whose marker is at @sector. @buf: stream->grain bytes. */
gboolean vmdk_stream_read_grain(VmdkStream *stream, uint64_t number, uint32_t sector, uint8_t *buf,
                                GError **error);
/**
 * Finds the packed bytes of grain @number, whose marker is at *offset: moves *offset to them and
 * returns their length, which lies inside of the file. Without markers that is as much as a grain
 * can take.
 */
gboolean vmdk_stream_find_packed(VmdkStream *stream, uint64_t number, uint64_t *offset,
                                 size_t *ret_len, GError **error);
/* --- stream_map.c; lock held ------------------------------------------------------------------ */

/** Makes the empty trees. */
void vmdk_stream_init_map(VmdkStream *stream);
/** Frees the trees and all that waits. */
void vmdk_stream_clear_map(VmdkStream *stream);
/** Returns the sector of grain @number in the file; 0: none. */
uint32_t vmdk_stream_map_get(VmdkStream *stream, uint64_t number);
/** Sets the sector of grain @number; notes in stream->dropped that an older one is given up. */
void vmdk_stream_map_set(VmdkStream *stream, uint64_t number, uint32_t entry);
/** Forgets every grain from @number on, also those that wait. */
void vmdk_stream_map_cut(VmdkStream *stream, uint64_t number);
/** Returns grain @number if it waits to be written, borrowed; else NULL. */
VmdkPending *vmdk_stream_pending(VmdkStream *stream, uint64_t number);
/** Sets stream->tail to the end of the last grain in the file and clears stream->dropped. */
gboolean vmdk_stream_find_tail(VmdkStream *stream, GError **error);
/**
 * Loads all tables into the map, before the first change. Does nothing when that is done.
 * UNSUPPORTED for a stream without markers.
 */
gboolean vmdk_stream_start(VmdkStream *stream, GError **error);

/* --- stream_read.c ---------------------------------------------------------------------------- */

/**
 * Returns the sector of grain @number (0: it reads as zeroes; VMDK_PENDING: it waits), and how many
 * grains from it on, at most @limit, are alike. Takes the lock.
 */
gboolean vmdk_stream_entry(VmdkStream *stream, uint64_t number, uint64_t limit, uint32_t *ret_entry,
                           uint64_t *ret_count, GError **error);
/** As VmdkExtentOps.pread. Any number of threads may call it, next to writers. */
gboolean vmdk_stream_pread(VmdkExtent *extent, void *buf, size_t len, uint64_t offset,
                           GError **error);
/** As VmdkExtentOps.extent; grains that read as zeroes are holes, or what the backing has. */
gboolean vmdk_stream_extent(VmdkExtent *extent, uint64_t offset, uint64_t length,
                            CstExtent *ret_extent, GError **error);

/* --- stream_write.c, stream_end.c ------------------------------------------------------------- */

/** As VmdkExtentOps.pwrite. Grains wait in memory; vmdk_stream_flush() makes them durable. */
gboolean vmdk_stream_pwrite(VmdkExtent *extent, const void *buf, size_t len, uint64_t offset,
                            GError **error);
/** As VmdkExtentOps.zero; whole grains are forgotten. @flags are ignored. */
gboolean vmdk_stream_zero(VmdkExtent *extent, uint64_t offset, uint64_t length, unsigned flags,
                          GError **error);
/** As VmdkExtentOps.discard; whole grains only. */
gboolean vmdk_stream_discard(VmdkExtent *extent, uint64_t offset, uint64_t length, GError **error);
/** Appends all grains that wait to the file. Lock held. */
gboolean vmdk_stream_drain(VmdkStream *stream, GError **error);
/** As VmdkExtentOps.resize; the file follows with the next flush. */
gboolean vmdk_stream_resize(VmdkExtent *extent, uint64_t length, CstPreallocation preallocation,
                            CstTask *task, GError **error);
/** Appends all grains that wait, and ends the stream: the file is whole. No barrier at the end. */
gboolean vmdk_stream_write_back(VmdkExtent *extent, GError **error);
/** As vmdk_stream_write_back(), and makes everything durable. */
gboolean vmdk_stream_flush(VmdkExtent *extent, GError **error);

/* --- pack.c ---------------------------------------------------------------------------------- */

/**
 * Unpacks a zlib stream into @buf of @len bytes; bytes beyond the stream's are zero, and what the
 * stream has beyond @len is ignored. FALSE when it is damaged or yields fewer than @least bytes.
 */
gboolean vmdk_unpack(const uint8_t *packed, size_t packed_len, uint8_t *buf, size_t len,
                     size_t least);
/** Returns the length that no zlib stream of @len bytes exceeds. */
size_t vmdk_pack_bound(size_t len);
/** Returns the zlib stream of @len bytes; g_free() it. @name: of the file, for NO_MEMORY. */
uint8_t *vmdk_pack(const uint8_t *buf, size_t len, const char *name, size_t *ret_packed_len,
                   GError **error);
