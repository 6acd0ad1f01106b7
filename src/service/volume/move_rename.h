/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/volumes.h>

#include "rename.h"

/** The operation of its intent. */
#define VOLUME_MOVE_RENAME "move-rename"

/**
 * Moves volume @name to @to by giving it a name there, where the two pools' technology can do that
 * and @how asks for no more; *ret_done FALSE: nothing has happened, and it has to be copied. BUSY
 * names who has it open, or shows what images are based on it.
 */
gboolean volume_move_by_rename(CstPool *pool, const char *name, CstPool *to, const CstVolMove *how,
                               CstTask *task, gboolean *ret_done, GError **error);

/**
 * Completes what a dead process has left of it; @state is of the pool that the volume was in
 * (recovery/replay.c). FALSE: it is to be tried again.
 */
gboolean volume_move_rename_replay(CstService *service, CstPoolState *state,
                                   VolumeOpenPool open_pool, const CstIntentRecord *record,
                                   GError **error);
