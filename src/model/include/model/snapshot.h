/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#define CST_SNAPSHOT_UNKNOWN UINT64_MAX

/** A volume as it was at one time. */
typedef struct {
    char *name;
    char *kept_by;          /**< what keeps it: a format ("qcow2") or a pool's type ("logical") */
    int64_t created;        /**< seconds since the epoch; 0: unknown */
    uint64_t capacity;      /**< bytes the guest saw */
    uint64_t allocation;    /**< bytes that only it holds; CST_SNAPSHOT_UNKNOWN */
    uint64_t limit;         /**< bytes it may hold before it breaks; 0: no such limit */
    uint64_t machine_state; /**< bytes of a running machine's state in it; 0: none */
    char *problem;          /**< why it can't be used any more; NULL: fine */
} CstSnapshot;

void cst_snapshot_free(CstSnapshot *snapshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstSnapshot, cst_snapshot_free)
