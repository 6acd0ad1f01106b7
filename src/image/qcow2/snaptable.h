/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "state.h"

/** The snapshot table (qcow2, "Snapshots"): entries of variable length, in one piece. */

#define QCOW2_MAX_SNAPSHOT_EXTRA 1024u
/** Snapshots, and bytes of their table, that a list may have: any reader may ask for one. */
#define QCOW2_LIST_SNAPSHOTS     4096u
#define QCOW2_LIST_BYTES         (2u << 20)
#define QCOW2_MAX_SNAPSHOT_BYTES (64u << 20) /**< length of the whole table */

/** An entry of the snapshot table. */
typedef struct {
    uint64_t l1_offset;
    uint32_t l1_size;
    uint32_t seconds, nanoseconds; /**< since the epoch */
    uint64_t clock;                /**< nanoseconds that the guest had run */
    uint64_t state_size;           /**< bytes of the guest's memory */
    uint64_t disk_size;            /**< bytes; the image's size if the entry has none */
    uint8_t *extra;                /**< as found; packing updates the two sizes above in it */
    uint32_t extra_size;
    char *id;
    char *name;
} Qcow2Snapshot;

/** Frees what @snapshot owns and zeroes it. */
void qcow2_snapshot_clear(Qcow2Snapshot *snapshot);

/**
 * Reads all snapshots as an array of Qcow2Snapshot that clears its elements; the caller's.
 * @ret_bytes gets the length of the table, and may be NULL. CORRUPT when the table exceeds the file
 * or the limits.
 */
GArray *qcow2_snapshots_read(Qcow2 *q, uint64_t *ret_bytes, GError **error);

/**
 * As qcow2_snapshots_read(), within the bounds of a list. LIMIT when the header's count or the
 * table exceeds them; the count is checked before anything is read.
 */
GArray *qcow2_snapshots_read_list(Qcow2 *q, GError **error);

/** Finds the snapshot with the name @name, or else with that id; borrowed. NOT_FOUND. In
 * snapshot.c, as the next. */
Qcow2Snapshot *qcow2_snapshot_find(const Qcow2 *q, GArray *snapshots, const char *name,
                                   GError **error);
/** Reads the snapshot's L1 table, padded with zeroes for its size; the caller's. *ret_size:
 * entries. CORRUPT when the format allows no such table. */
uint64_t *qcow2_snapshot_l1(Qcow2 *q, const Qcow2Snapshot *snapshot, uint32_t *ret_size,
                            GError **error);

/** What is wrong with a snapshot table that can be read nevertheless. */
typedef struct {
    uint64_t bytes;     /**< of the table in the file */
    uint32_t too_many;  /**< snapshots beyond the limits of their number or of the table's size */
    uint32_t too_long;  /**< entries whose extra data exceeds QCOW2_MAX_SNAPSHOT_EXTRA */
    uint32_t too_short; /**< entries without the extra data that version 3 demands */
} Qcow2SnapshotFaults;

/**
 * Reads a table that may break the limits: leaves out the snapshots that are too many, cuts extra
 * data that is too long, and counts both in *ret_faults. Otherwise as qcow2_snapshots_read().
 * CORRUPT when an entry exceeds the file.
 */
GArray *qcow2_snapshots_salvage(Qcow2 *q, Qcow2SnapshotFaults *ret_faults, GError **error);

/** Makes an empty array of the same kind. */
GArray *qcow2_snapshots_new(void);

/** Packs @snapshots as the table of an image with @header: *ret_len bytes, the caller's. LIMIT when
 * the snapshots or the bytes are too many. */
uint8_t *qcow2_snapshots_pack(const Qcow2 *q, const Qcow2Header *header, const GArray *snapshots,
                              uint64_t *ret_len, GError **error);
