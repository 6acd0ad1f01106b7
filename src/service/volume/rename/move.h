/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/options.h>
#include <service/volumes.h>

#include "rename.h"
#include "volume/image/image_chain.h"

/** Whether the copy has the format of the original. Another name for it is not a change. */
gboolean volume_move_keeps_format(const CstVolMove *how, const CstVolume *volume);
/** Checks that a move within a pool gives the volume another format and another name. */
gboolean volume_move_check_place(CstPool *pool, const char *name, CstPool *to,
                                 const CstVolMove *how, GError **error);
/** Checks that a claimed volume may be deleted by a move. BUSY with its dependents. */
gboolean volume_move_check(const VolumeClaim *claim, GError **error);
/** Checks that the reference of the first image to its backing file holds in pool @to, too. */
gboolean volume_move_check_reference(const ImageChain *chain, CstPool *to, GError **error);
/**
 * Returns the definition of the copy in pool @to: the requested format; else that of the original,
 * if the pool supports it; else raw. @with_backing: it refers to the backing file of the original.
 * The caller frees the result, and clears *ret_options also after a failure. CONFIG if the format
 * cannot be created, or the pool has no such volumes.
 */
CstVolDef *volume_move_define(const CstVolume *original, CstPool *to, const CstVolMove *how,
                              gboolean with_backing, const CstImageFormat **ret_format,
                              CstImageOptions *ret_options, GError **error);

/** The operation in the intent of a move. */
#define VOLUME_MOVE "move"

/**
 * Deletes the original of a move of a dead process, if the copy exists. @state: of the original's
 * pool at that time (recovery/replay.c). Returns FALSE if it has to be retried.
 */
gboolean volume_move_replay(CstService *service, CstPoolState *state, VolumeOpenPool open_pool,
                            const CstIntentRecord *record, GError **error);
