/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * A layer over another blob that remembers every change and every flush, and can tell afterwards
 * what the disk may hold when the power goes off at any moment. For tests only (blob_fault_dep).
 *
 * What was written before a flush that has ended is there. Of what was written since, each
 * 512-byte sector holds its newest content, or any older one back to the last flush: writes get
 * lost whole or in part, and in any order. The same goes for zeroing and for discarding; a change
 * of size happens or does not; a write past the end that got lost may have made the file longer.
 */

/** References @inner, and keeps a copy of what it holds now (holes cost nothing). */
CstBlob *cst_blob_power_new(CstBlob *inner, GError **error);

/**
 * Calls recorded so far (writes, zeroes, discards, changes of size, flushes). A caller that
 * remembers this number right after a flush knows which crash states must hold its data.
 */
unsigned cst_blob_power_steps(CstBlob *blob);

/**
 * A clock that ticks with each call to any such blob, and the calls of one blob before it said
 * @clock: so the power goes off for several files at one moment.
 */
unsigned cst_blob_power_clock(void);
unsigned cst_blob_power_steps_before(CstBlob *blob, unsigned clock);

/**
 * A new sparse blob (blob/sparse.h): a state that the disk may be in when the power goes off after
 * the first @steps calls. Seed 0 loses all that may be lost, seed 1 loses nothing, every other one
 * picks by chance, the same way each time.
 */
CstBlob *cst_blob_power_crash(CstBlob *blob, unsigned steps, uint32_t seed, GError **error);

/** How many of the first @steps calls the last flush among them covers: those are on the disk. */
unsigned cst_blob_power_covered(CstBlob *blob, unsigned steps);

/**
 * As above, but of the changes that no flush covers exactly one has reached the disk (@alone), or
 * all but that one: call @step, from cst_blob_power_covered() to before @steps. Playing both for
 * each of them shows every pair of writes that nothing keeps in order. @longer: those that got lost
 * have made the file longer all the same.
 */
CstBlob *cst_blob_power_crash_one(CstBlob *blob, unsigned steps, unsigned step, gboolean alone,
                                  gboolean longer, GError **error);
