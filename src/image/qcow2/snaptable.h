/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "state.h"

/** The snapshot table (qcow2, "Snapshots"): entries of variable length, in one piece. */

#define QCOW2_MAX_SNAPSHOT_EXTRA 1024u
#define QCOW2_MAX_SNAPSHOT_BYTES (64u << 20) /**< of the whole table */

typedef struct {
    uint64_t l1_offset;
    uint32_t l1_size;
    uint32_t seconds, nanoseconds; /**< since the epoch */
    uint64_t clock;                /**< ns the guest had run */
    uint64_t state_size;
    uint64_t disk_size; /**< where the entry does not say: the image's */
    uint8_t *extra;     /**< as found; the two fields above are set in it when written */
    uint32_t extra_size;
    char *id;
    char *name;
} Qcow2Snapshot;

void qcow2_snapshot_clear(Qcow2Snapshot *snapshot);

/**
 * All snapshots as an array of Qcow2Snapshot that clears its elements; *ret_bytes is the length of
 * the table. CORRUPT when it does not fit into the file or its bounds.
 */
GArray *qcow2_snapshots_read(Qcow2 *q, uint64_t *ret_bytes, GError **error);
/** What is wrong with a snapshot table that can be read all the same. */
typedef struct {
    uint64_t bytes;     /**< of the table in the file */
    uint32_t too_many;  /**< snapshots beyond the limits of their number or of the table's size */
    uint32_t too_long;  /**< entries whose extra data exceeds QCOW2_MAX_SNAPSHOT_EXTRA */
    uint32_t too_short; /**< entries without the extra data that version 3 demands */
} Qcow2SnapshotFaults;

/**
 * As qcow2_snapshots_read(), but with what can be had of a table that breaks the limits: without
 * the snapshots that are too many, and with too long extra data cut. CORRUPT when an entry does not
 * fit into the file.
 */
GArray *qcow2_snapshots_salvage(Qcow2 *q, Qcow2SnapshotFaults *ret_faults, GError **error);
GArray *qcow2_snapshots_new(void);
/** The table's bytes for an image with @header; *ret_len of them. LIMIT when they are too many. */
uint8_t *qcow2_snapshots_pack(const Qcow2 *q, const Qcow2Header *header, const GArray *snapshots,
                              uint64_t *ret_len, GError **error);
