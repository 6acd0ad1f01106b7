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
    GRWLock file;       /**< held by readers of the file; to write, by who cuts it */
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

/* --- stream_grain.c ------------------------------------------------------------------------------
 */

gboolean vmdk_stream_corrupt(const VmdkStream *stream, GError **error, const char *what);
#define vmdk_stream_corrupt(...) CST_GIVES_FALSE(vmdk_stream_corrupt(__VA_ARGS__))

/** Reads grain @number, which is at @sector, whole. */
gboolean vmdk_stream_read_grain(VmdkStream *stream, uint64_t number, uint32_t sector, uint8_t *buf,
                                GError **error);
/** The packed bytes of grain @number, whose marker is at @offset; *offset is where they begin. */
gboolean vmdk_stream_find_packed(VmdkStream *stream, uint64_t number, uint64_t *offset,
                                 size_t *ret_len, GError **error);
/* --- stream_map.c; lock held ------------------------------------------------------------------ */

void vmdk_stream_init_map(VmdkStream *stream);
void vmdk_stream_clear_map(VmdkStream *stream);
uint32_t vmdk_stream_map_get(VmdkStream *stream, uint64_t number);
void vmdk_stream_map_set(VmdkStream *stream, uint64_t number, uint32_t entry);
/** Forgets everything from grain @number on. */
void vmdk_stream_map_cut(VmdkStream *stream, uint64_t number);
VmdkPending *vmdk_stream_pending(VmdkStream *stream, uint64_t number);
/** Where the last grain that is still there ends. */
gboolean vmdk_stream_find_tail(VmdkStream *stream, GError **error);
/** Before the first change: takes all tables into memory. */
gboolean vmdk_stream_start(VmdkStream *stream, GError **error);

/* --- stream_read.c -------------------------------------------------------------------------------
 */

/**
 * Where grain @number is (0: it reads as zeroes), and how many from it on, at most @limit, are
 * alike.
 */
gboolean vmdk_stream_entry(VmdkStream *stream, uint64_t number, uint64_t limit, uint32_t *ret_entry,
                           uint64_t *ret_count, GError **error);
gboolean vmdk_stream_pread(VmdkExtent *extent, void *buf, size_t len, uint64_t offset,
                           GError **error);
gboolean vmdk_stream_extent(VmdkExtent *extent, uint64_t offset, uint64_t length,
                            CstExtent *ret_extent, GError **error);

/* --- stream_write.c, stream_end.c ------------------------------------------------------------- */

gboolean vmdk_stream_pwrite(VmdkExtent *extent, const void *buf, size_t len, uint64_t offset,
                            GError **error);
gboolean vmdk_stream_zero(VmdkExtent *extent, uint64_t offset, uint64_t length, unsigned flags,
                          GError **error);
gboolean vmdk_stream_discard(VmdkExtent *extent, uint64_t offset, uint64_t length, GError **error);
/** Lock held: everything that waits goes into the file. */
gboolean vmdk_stream_drain(VmdkStream *stream, GError **error);
gboolean vmdk_stream_resize(VmdkExtent *extent, uint64_t length, CstPreallocation preallocation,
                            CstTask *task, GError **error);
/** Everything that is due is in the file, which is whole. */
gboolean vmdk_stream_write_back(VmdkExtent *extent, GError **error);
gboolean vmdk_stream_flush(VmdkExtent *extent, GError **error);

/* --- pack.c ---------------------------------------------------------------------------------- */

/** As many bytes as the stream holds, at most @len, and at least @least; the rest is zero. */
gboolean vmdk_unpack(const uint8_t *packed, size_t packed_len, uint8_t *buf, size_t len,
                     size_t least);
/** No zlib stream of @len bytes is longer. */
size_t vmdk_pack_bound(size_t len);
/** The zlib stream of @len bytes; free it. */
uint8_t *vmdk_pack(const uint8_t *buf, size_t len, const char *name, size_t *ret_packed_len,
                   GError **error);
