/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/changed.h>

/**
 * Reads the records of what "zfs send -i" prints of a volume, for which bytes they are about; what
 * those hold is skipped. Pure; takes the stream in parts of any length.
 */

/** Bytes of a record without its payload. */
#define ZFS_RECORD_SIZE 312

typedef struct {
    CstChanged *changed; /**< begun; gets what the stream tells */
    uint64_t from;       /**< guid of the snapshot that it has to begin with */
    uint64_t to;         /**< guid of the one that it has to lead to */

    /* What follows begins as zeroes. */
    unsigned char record[ZFS_RECORD_SIZE];
    size_t have;    /**< bytes of it */
    uint64_t skip;  /**< bytes of payload that are to come */
    gboolean begun; /**< there was the record that begins a stream */
    gboolean ended; /**< and the one that ends it */
    gboolean full;  /**< there is no more room in changed */
    gboolean big_endian;
    uint64_t last;    /**< end of the range before */
    uint64_t cut;     /**< all from here on may have changed; said in advance */
    gboolean was_cut; /**< cut is set */
} ZfsStream;

/**
 * Takes the next part. CORRUPT: it is no such stream; STATE: of other snapshots; UNSUPPORTED: it
 * has something in it that is not known here. Once stream->full is set, the rest is of no interest.
 */
gboolean zfs_stream_take(ZfsStream *stream, const void *bytes, size_t length, GError **error);
/**
 * Ends, when the stream has: CORRUPT unless it was whole. Adds what was said in advance. @older:
 * bytes of the volume in the older snapshot.
 */
gboolean zfs_stream_end(ZfsStream *stream, uint64_t older, GError **error);
