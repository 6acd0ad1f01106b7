/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * A layer over another blob that records every change and every flush, and generates the states in
 * which a disk may be after a power cut at any moment. For tests only (blob_fault_dep).
 *
 * The model: what was written before a completed flush is on the disk. Of what was written since,
 * each 512-byte sector holds its newest content or any older one back to the last flush: writes are
 * lost whole or in part, and in any order. Zeroing and discarding behave like writes. A resize
 * happens or does not. A lost write past the end may have grown the file all the same.
 */

/** Makes a layer over @inner, which it references. Copies the present content (not the holes). */
CstBlob *cst_blob_power_new(CstBlob *inner, GError **error);

/**
 * Number of steps recorded so far: writes, zeroes, discards, resizes and flushes. A caller that
 * saves this number right after a flush knows which crash states must contain its data.
 */
unsigned cst_blob_power_steps(CstBlob *blob);

/** The logical clock, which advances with each step of any blob of this kind. */
unsigned cst_blob_power_clock(void);
/**
 * Number of @blob's steps before the time @clock: with it the crash states of several blobs belong
 * to the same moment.
 */
unsigned cst_blob_power_steps_before(CstBlob *blob, unsigned clock);

/**
 * Makes a sparse blob (blob/sparse.h) with a state that the disk may be in when the power fails
 * after the first @steps steps. @seed 0 loses everything that may be lost, 1 loses nothing, any
 * other selects a state at random, reproducibly.
 */
CstBlob *cst_blob_power_crash(CstBlob *blob, unsigned steps, uint32_t seed, GError **error);

/** How many of the first @steps steps the last flush among them covers: those are on the disk. */
unsigned cst_blob_power_covered(CstBlob *blob, unsigned steps);

/**
 * Makes the state in which, of the changes that no flush covers, exactly @step has reached the disk
 * (@alone), or all but @step. @step lies in [cst_blob_power_covered(), @steps). Testing both for
 * each step finds every pair of writes whose order nothing enforces. @longer: the lost writes have
 * grown the file all the same.
 */
CstBlob *cst_blob_power_crash_one(CstBlob *blob, unsigned steps, unsigned step, gboolean alone,
                                  gboolean longer, GError **error);
