/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "rename.h"

/** The operation in the intent of a move. */
#define VOLUME_MOVE "move"

/**
 * Deletes the original of a move of a dead process, if the copy exists. @state: of the original's
 * pool at that time (recovery/replay.c). Returns FALSE if it has to be retried.
 */
gboolean volume_move_replay(CstService *service, CstPoolState *state, VolumeOpenPool open_pool,
                            const CstIntentRecord *record, GError **error);
