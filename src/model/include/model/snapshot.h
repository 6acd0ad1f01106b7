/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#define CST_SNAPSHOT_UNKNOWN UINT64_MAX

/** A snapshot of a volume. */
typedef struct {
    char *name;
    char *kept_by;       /**< its technology: a format ("qcow2") or a pool type ("logical") */
    int64_t created;     /**< seconds since the epoch; 0: unknown */
    uint64_t capacity;   /**< bytes, as the guest saw them */
    uint64_t allocation; /**< bytes that no other snapshot or volume uses; CST_SNAPSHOT_UNKNOWN */
    uint64_t limit;      /**< allocation at which it becomes invalid; 0: no limit */
    uint64_t machine_state; /**< bytes of saved machine state; 0: none */
    char *problem;          /**< why it cannot be used; NULL: it is fine */
} CstSnapshot;

/** NULL is accepted. */
void cst_snapshot_free(CstSnapshot *snapshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstSnapshot, cst_snapshot_free)

/** Whether the snapshots of several volumes are of one moment. */
typedef struct {
    gboolean one_step; /**< the storage took them in one step */
    uint64_t span_us;  /**< in microseconds, from before the first to after the last one */
} CstSnapshotSet;
