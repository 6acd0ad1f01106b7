/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qcow2/state.h"

/** The snapshot table (qcow2, "Snapshots"): contiguous entries of variable length. */

#define QCOW2_MAX_SNAPSHOT_EXTRA 1024u
#define QCOW2_SNAPSHOT_EXTRA     24u /**< two sizes and the count of instructions */
/** Limits of a list: snapshots, and bytes of their table. They are low because a read-only client
 * can request a list. */
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
    uint64_t disk_size;            /**< bytes; the image's size if the entry has no size */
    uint8_t *extra;                /**< as read; packing updates the two sizes above in it */
    uint32_t extra_size;
    char *id;
    char *name;
} Qcow2Snapshot;

/** Gets the number of instructions that the guest had run. Returns FALSE if it is not recorded. */
gboolean qcow2_snapshot_icount(const Qcow2Snapshot *snapshot, uint64_t *ret_icount);

/** Frees the members of @snapshot and zeroes it. */
void qcow2_snapshot_clear(Qcow2Snapshot *snapshot);

/**
 * Reads all snapshots. Returns an array of Qcow2Snapshot, which clears its elements; the caller
 * frees it. Sets *ret_bytes to the length of the table; @ret_bytes may be NULL. CORRUPT when the
 * table exceeds the file or the limits.
 */
GArray *qcow2_snapshots_read(Qcow2 *q, uint64_t *ret_bytes, GError **error);

/**
 * Like qcow2_snapshots_read(), within the limits of a list. LIMIT when the header's count or the
 * table exceeds them. The count is checked before the first read.
 */
GArray *qcow2_snapshots_read_list(Qcow2 *q, GError **error);

/** Finds the snapshot with the name @name, or else with the id @name. Returns a borrowed pointer.
 * NOT_FOUND. Defined in snapshot.c, like the next function. */
Qcow2Snapshot *qcow2_snapshot_find(const Qcow2 *q, GArray *snapshots, const char *name,
                                   GError **error);
/** Reads the snapshot's L1 table, padded with zeroes up to its disk size. Returns *ret_size entries
 * in host order, which the caller frees. CORRUPT when the format does not allow the table. */
uint64_t *qcow2_snapshot_l1(Qcow2 *q, const Qcow2Snapshot *snapshot, uint32_t *ret_size,
                            GError **error);

/** Defects of a snapshot table that is readable nevertheless. */
typedef struct {
    uint64_t bytes;     /**< length of the table in the file */
    uint32_t too_many;  /**< snapshots beyond the limits of their number or of the table's size */
    uint32_t too_long;  /**< entries with extra data above QCOW2_MAX_SNAPSHOT_EXTRA */
    uint32_t too_short; /**< entries without the extra data that version 3 requires */
} Qcow2SnapshotFaults;

/**
 * Reads a table that may exceed the limits. Leaves out the excess snapshots, truncates extra data
 * that is too long, and counts both in *ret_faults. Otherwise like qcow2_snapshots_read(). CORRUPT
 * when an entry exceeds the file.
 */
GArray *qcow2_snapshots_salvage(Qcow2 *q, Qcow2SnapshotFaults *ret_faults, GError **error);

/** Returns an empty array of Qcow2Snapshot, which clears its elements. */
GArray *qcow2_snapshots_new(void);

/** Packs @snapshots as the table of an image with @header. Returns *ret_len bytes, which the caller
 * frees. LIMIT when the number of snapshots or bytes is too large. */
uint8_t *qcow2_snapshots_pack(const Qcow2 *q, const Qcow2Header *header, const GArray *snapshots,
                              uint64_t *ret_len, GError **error);
