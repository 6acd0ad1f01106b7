/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * A layer over another blob that injects faults. For tests only: it is in a separate library
 * (blob_fault_dep) that no program links. All functions are thread-safe.
 */
typedef enum {
    CST_FAULT_READ,    /**< pread fails */
    CST_FAULT_QUERY,   /**< get_size or extent fails */
    CST_FAULT_DISCARD, /**< discard fails, no data is changed */
    CST_FAULT_WRITE,   /**< pwrite, zero, allocate or resize fails, no data is changed */
    CST_FAULT_TORN,    /**< pwrite writes its first half (whole 512-byte sectors), then fails */
    CST_FAULT_FLUSH,   /**< flush fails */
    CST_FAULT_KINDS
} CstFaultKind;

typedef enum {
    CST_FAULT_ONCE, /**< only the armed call fails */
    CST_FAULT_CUT   /**< from the armed call on every change fails, as after a power cut */
} CstFaultMode;

/** Create a layer over @inner, which it references. Passes every call on until a fault is armed. */
CstBlob *cst_blob_fault_new(CstBlob *inner);

/**
 * Arm a fault: the @nth call of @kind from now on fails with IO, counted from 1; 0 disarms.
 * Restarts the count of @kind.
 */
void cst_blob_fault_arm(CstBlob *blob, CstFaultKind kind, unsigned nth, CstFaultMode mode);

/**
 * Return the number of calls of @kind since it was armed: the number of faults that a run can
 * inject.
 */
unsigned cst_blob_fault_count(CstBlob *blob, CstFaultKind kind);

/** Return whether a fault has been injected since the last one was armed. */
gboolean cst_blob_fault_struck(CstBlob *blob);

/**
 * Cancel @task (borrowed) at the @nth change from now on, counted from 1; the change itself is
 * passed on.
 */
void cst_blob_fault_cancel(CstBlob *blob, CstTask *task, unsigned nth);

/**
 * Start recording changes for cst_blob_fault_power_cut(). The content must fit in memory twice.
 * From now on, discarded ranges are filled with junk, which cst_blob_discard() allows.
 */
gboolean cst_blob_fault_track(CstBlob *blob, GError **error);

/**
 * Simulate a power cut: revert the inner blob to its content at the last flush plus a random
 * selection, by @rand, of the sectors written since. Every later change fails. Requires
 * cst_blob_fault_track().
 */
gboolean cst_blob_fault_power_cut(CstBlob *blob, GRand *rand, GError **error);
