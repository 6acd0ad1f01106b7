/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <model/consistency.h>

#define CST_SNAPSHOT_UNKNOWN UINT64_MAX

/** A snapshot of a volume. */
typedef struct {
    char *name;
    char *kept_by;          /**< format ("qcow2") or pool type ("logical") that stores it */
    int64_t created;        /**< seconds since the epoch; 0: unknown */
    uint64_t capacity;      /**< bytes that the guest saw */
    uint64_t allocation;    /**< bytes used by this snapshot alone; or CST_SNAPSHOT_UNKNOWN */
    uint64_t limit;         /**< allocation at which it becomes invalid; 0: no limit */
    uint64_t machine_state; /**< bytes of saved machine state; 0: no state */
    char *problem;          /**< why it cannot be used; NULL: usable */
    CstConsistency consistency;
    char *consistency_reason; /**< why it is not better; NULL: not recorded */
} CstSnapshot;

/** NULL is accepted. */
void cst_snapshot_free(CstSnapshot *snapshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstSnapshot, cst_snapshot_free)
/** Returns the snapshot @name of @snapshots (of CstSnapshot *), borrowed; NULL: it is not there. */
const CstSnapshot *cst_snapshot_find(const GPtrArray *snapshots, const char *name);
/**
 * Sets the consistency and its reason from @record (cst_consistency_record_parse()). NULL is
 * accepted.
 */
void cst_snapshot_read_record(CstSnapshot *snapshot, const char *record);

/** Names of live snapshots begin with this text. Names of new kept snapshots have no slash. */
#define CST_LIVE_PREFIX "live/"

/** With this text before its name, a checkpoint of libvirt is the base of changes. */
#define CST_CHECKPOINT_PREFIX "checkpoint/"

/** Default of CstSnapshotRequest.max_pause_ms. */
#define CST_SNAPSHOT_PAUSE_MS 1000
/** Maximum of CstSnapshotRequest.max_pause_ms. A domain is resumed after this time in any case. */
#define CST_SNAPSHOT_PAUSE_MAX_MS 5000

/** Parameters of new snapshots of one or several volumes. */
typedef struct {
    const char *name;       /**< of each snapshot; borrowed */
    uint64_t limit;         /**< of one volume: bytes reserved for changes; 0: the default */
    CstConsistency minimum; /**< fail if it is worse; UNKNOWN: any */
    uint32_t max_pause_ms;  /**< for which a running domain may be suspended; 0: the default */
    const char *qmp; /**< socket of the monitor of the QEMU that has all volumes open; borrowed;
                          NULL: libvirt manages the machines */
} CstSnapshotRequest;

/** Parameters of new live snapshots. All texts are borrowed. */
typedef struct {
    CstSnapshotRequest snapshot; /**< without a limit and a maximum of the pause */
    /** Name of a new checkpoint of libvirt, from which on the changes are recorded; NULL: none. */
    const char *checkpoint;
    /** Checkpoints of the volumes, to query the changes since then; NULL: of no volume. */
    const char *const *bases;
} CstLiveRequest;

/** The snapshots of one or several volumes, and the domain that was suspended for them. */
typedef struct {
    gboolean one_step; /**< all have the same point in time */
    uint64_t span_us;  /**< microseconds from before the first to after the last snapshot */
    CstConsistency consistency; /**< of the worst one */
    char *reason;               /**< why it is not better; NULL: no reason */
    char *domain;               /**< which was suspended, or was paused already; NULL: no domain */
    uint64_t paused_us;         /**< for which its guest stood; 0: it was paused already */
    uint64_t frozen_us;         /**< for which its file systems were frozen; 0: never */
} CstSnapshotSet;

/** Frees the texts of @set. */
void cst_snapshot_set_clear(CstSnapshotSet *set);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstSnapshotSet, cst_snapshot_set_clear)
