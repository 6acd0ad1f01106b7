/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/changed.h>

/**
 * Parses the records of the output of "zfs send -i" for a volume, and reports the ranges that they
 * change. Payloads are skipped. Pure. Accepts the stream in parts of any length.
 */

/** Bytes of a record without its payload. */
#define ZFS_RECORD_SIZE 312

typedef struct {
    CstChanged *changed; /**< begun; receives the changed ranges */
    uint64_t from;       /**< expected guid of the older snapshot */
    uint64_t to;         /**< expected guid of the newer snapshot */

    /* The members below are zero at first. */
    unsigned char record[ZFS_RECORD_SIZE];
    size_t have;    /**< bytes of the record so far */
    uint64_t skip;  /**< bytes of payload to skip */
    gboolean begun; /**< the BEGIN record was parsed */
    gboolean ended; /**< the END record was parsed */
    gboolean full;  /**< @changed is full */
    gboolean big_endian;
    uint64_t last;    /**< end of the last range */
    uint64_t cut;     /**< all bytes from here on may have changed; from a record ahead of its
                           position */
    gboolean was_cut; /**< cut is set */
} ZfsStream;

/**
 * Parses the next part. CORRUPT if the stream is not valid; STATE if it is of other snapshots;
 * UNSUPPORTED if it has an unknown feature. If stream->full is set, the rest is not needed.
 */
gboolean zfs_stream_take(ZfsStream *stream, const void *bytes, size_t length, GError **error);
/**
 * Ends the parser at the end of the stream. CORRUPT if the stream is not complete. Adds the range
 * from @cut on. @older: bytes of the volume in the older snapshot.
 */
gboolean zfs_stream_end(ZfsStream *stream, uint64_t older, GError **error);
