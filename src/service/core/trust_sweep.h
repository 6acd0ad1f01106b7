/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * All of the pool's directory has been scanned, @found (name to CstVolume *, not published yet) is
 * what there is: notes which records have no file any more, and drops those that have had none for
 * a week. Once an hour at most.
 */
void trust_sweep(CstPool *pool, CstPoolState *state, const VolumeTable *found);
