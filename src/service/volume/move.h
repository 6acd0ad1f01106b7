/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "rename.h"

/** The operation of a move's intent. */
#define VOLUME_MOVE "move"

/**
 * Deletes the original of a move that a dead process has left, if the copy is there; @state is of
 * the original's pool as it was then (recovery/replay.c). FALSE: it is to be tried again.
 */
gboolean volume_move_replay(CstService *service, CstPoolState *state, VolumeOpenPool open_pool,
                            const CstIntentRecord *record, GError **error);
