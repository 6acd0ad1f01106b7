/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/** Replays all intents of dead processes, but for those about remote pools, which are kept. */
void replay_journal(CstService *service);
/**
 * Replays the intents that were kept for @pool, a remote one whose storage answers, and has its
 * backend drop or finish what is left. Asks for a retry when something could not be.
 */
void replay_pool(CstPool *pool, CstPoolState *state);
