/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/volumes.h>

#include "rename.h"

/** The operation in its intent. */
#define VOLUME_MOVE_RENAME "move-rename"

/**
 * Moves volume @name to @to by a rename, if the technology of both pools supports it and @how
 * requests no format change. *ret_done FALSE: no change was made, and the volume has to be copied.
 * BUSY names the holders, or the images that are based on the volume.
 */
gboolean volume_move_by_rename(CstPool *pool, const char *name, CstPool *to, const CstVolMove *how,
                               CstTask *task, gboolean *ret_done, GError **error);

/**
 * Completes the move of a dead process. @state: of the source pool (recovery/replay.c). Returns
 * FALSE if it has to be retried.
 */
gboolean volume_move_rename_replay(CstService *service, CstPoolState *state,
                                   VolumeOpenPool open_pool, const CstIntentRecord *record,
                                   GError **error);
