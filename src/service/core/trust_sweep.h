/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Updates the declarations after a scan of the pool's whole directory. @found: the result of the
 * scan, not published yet. Records which files are missing, and drops the records of files that
 * have been missing for a week. Runs once an hour at most.
 */
void trust_sweep(CstPool *pool, CstPoolState *state, const VolumeTable *found);
