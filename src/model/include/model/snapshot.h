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
/**
 * Sets the consistency and its reason from @record (cst_consistency_record_parse()). NULL is
 * accepted.
 */
void cst_snapshot_set_record(CstSnapshot *snapshot, const char *record);

/** Whether the snapshots of several volumes have the same point in time. */
typedef struct {
    gboolean one_step; /**< the storage created them in one step */
    uint64_t span_us;  /**< microseconds from before the first to after the last snapshot */
} CstSnapshotSet;
