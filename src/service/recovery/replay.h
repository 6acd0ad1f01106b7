/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/** Replays all intents of dead processes. Keeps the intents of remote pools. */
void replay_journal(CstService *service);
/**
 * Replays the kept intents of @pool, after its remote storage has answered. Has its backend drop or
 * complete remaining traces. Requests a retry if recovery is incomplete.
 */
void replay_pool(CstPool *pool, CstPoolState *state);
