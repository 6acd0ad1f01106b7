/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * A layer over another blob that records every change and every flush. It generates the states that
 * a disk may have after a power cut at any point in time. For tests only (blob_fault_dep).
 *
 * The model: data written before a completed flush is on the disk. For data written since, each
 * 512-byte sector has its newest content or any older one back to the last flush: writes are lost
 * whole or in part, and in any order. Zeroing and discarding behave like writes. A resize happens
 * or does not. A lost write past the end may still have grown the file.
 */

/**
 * Create a layer over @inner, which it references. Copies the present content (without the holes).
 */
CstBlob *cst_blob_power_new(CstBlob *inner, GError **error);

/**
 * Return the number of steps recorded so far: writes, zeroes, discards, resizes and flushes. A
 * caller that saves this number right after a flush knows which crash states must contain its data.
 */
unsigned cst_blob_power_steps(CstBlob *blob);

/** Return the logical clock, which advances with each step of any blob of this kind. */
unsigned cst_blob_power_clock(void);
/**
 * Return the number of @blob's steps before the time @clock. With it, crash states of several blobs
 * can be generated for the same point in time.
 */
unsigned cst_blob_power_steps_before(CstBlob *blob, unsigned clock);

/**
 * Create a sparse blob (blob/sparse.h) with a state that the disk may have after a power cut
 * following the first @steps steps. @seed 0 loses all changes that may be lost, 1 loses no change,
 * any other value selects a state pseudo-randomly.
 */
CstBlob *cst_blob_power_crash(CstBlob *blob, unsigned steps, uint32_t seed, GError **error);

/**
 * Return the number of the first @steps steps that the last flush among them covers. These are on
 * the disk.
 */
unsigned cst_blob_power_covered(CstBlob *blob, unsigned steps);

/**
 * Create the state in which, of the changes that no flush covers, exactly @step has reached the
 * disk (@alone), or all except @step. @step lies in [cst_blob_power_covered(), @steps). Testing
 * both for each step finds every pair of writes whose order is not enforced. @longer: the lost
 * writes have still grown the file.
 */
CstBlob *cst_blob_power_crash_one(CstBlob *blob, unsigned steps, unsigned step, gboolean alone,
                                  gboolean longer, GError **error);
