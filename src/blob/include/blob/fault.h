/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * A layer over another blob that fails on purpose. For tests only: it is in a library of its own
 * (blob_fault_dep) that no program links.
 */
typedef enum {
    CST_FAULT_READ,    /**< pread fails */
    CST_FAULT_QUERY,   /**< get_size or extent fails */
    CST_FAULT_DISCARD, /**< discard fails, nothing is changed */
    CST_FAULT_WRITE,   /**< pwrite, zero, allocate or resize fails, nothing is changed */
    CST_FAULT_TORN,    /**< pwrite writes its first half (whole 512-byte sectors), then fails */
    CST_FAULT_FLUSH,   /**< flush fails */
    CST_FAULT_KINDS
} CstFaultKind;

typedef enum {
    CST_FAULT_ONCE, /**< the call that was aimed at */
    CST_FAULT_CUT   /**< from that call on every change fails, as after a power cut */
} CstFaultMode;

/** References @inner. With nothing armed it passes everything on. */
CstBlob *cst_blob_fault_new(CstBlob *inner);

/** The @nth (from 1) call of @kind from now on fails with IO; 0 disarms. Counting restarts. */
void cst_blob_fault_arm(CstBlob *blob, CstFaultKind kind, unsigned nth, CstFaultMode mode);

/** Calls of @kind since it was armed, to know how many faults a run has room for. */
unsigned cst_blob_fault_count(CstBlob *blob, CstFaultKind kind);

/** TRUE once a fault has struck. */
gboolean cst_blob_fault_struck(CstBlob *blob);

/** The @nth change (from 1) from now on asks @task (borrowed) to stop, and is done all the same. */
void cst_blob_fault_cancel(CstBlob *blob, CstTask *task, unsigned nth);

/**
 * From now on a power cut can be played: what changes after a flush may or may not reach the disk.
 * The content must fit in memory twice. Discarded ranges are filled with junk, as the contract of
 * cst_blob_discard() allows.
 */
gboolean cst_blob_fault_track(CstBlob *blob, GError **error);

/**
 * The power goes: the inner blob is left with what was there at the last flush and some of what was
 * written since, by the sector, in any order, as @rand decides. Every later change fails.
 */
gboolean cst_blob_fault_power_cut(CstBlob *blob, GRand *rand, GError **error);
