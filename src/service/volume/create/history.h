/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/options.h>
#include <model/snapshot.h>

#include "transaction.h"
#include "volume/image/image_chain.h"

/**
 * The contents of a volume, ordered by time: of each of its snapshots, and the present one. Borrows
 * the chain, which has its image open.
 */
typedef struct {
    ImageChain *chain;    /* of the volume, claimed for writing */
    GPtrArray *snapshots; /* of CstSnapshot, oldest first */
    gboolean inside;      /* the image keeps them, instead of the pool's technology */
} VolumeHistory;

/** Frees the members of the history. */
void volume_history_clear(VolumeHistory *history);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeHistory, volume_history_clear)

/**
 * Returns the snapshots inside @image, of format @format, as CstSnapshot, oldest first. The caller
 * unrefs the array.
 */
GPtrArray *volume_snapshots_inside(CstImage *image, const char *format, GError **error);

/** Lists the snapshots of the first volume of @chain. */
gboolean volume_history_read(VolumeHistory *history, ImageChain *chain, GError **error);
/**
 * Checks that a copy in @format, in a pool with state @to, can have these snapshots. Else fails
 * with BUSY, the reason and their list.
 */
gboolean volume_history_fits(const VolumeHistory *history, const CstPool *pool, CstPoolState *to,
                             const CstImageFormat *format, GError **error);
/** Returns the size of the oldest content in bytes. A draft must begin with this size. */
uint64_t volume_history_first_size(const VolumeHistory *history);
/**
 * Writes all contents to the transaction's draft, oldest first, as an image of @format, and creates
 * the snapshots between them. The draft must have the first size. Afterwards it has the present
 * size and content.
 */
gboolean volume_history_write(const VolumeHistory *history, VolumeTxn *txn,
                              const CstImageFormat *format, const CstImageCreate *options,
                              CstTask *task, GError **error);
/**
 * Returns the names of the snapshots that the pool's technology keeps, as one word. The caller
 * frees it.
 */
char *volume_history_names(const VolumeHistory *history);
/**
 * Returns whether volume @name still has each snapshot in @names, the result of
 * volume_history_names(). FALSE if its snapshots cannot be listed.
 */
gboolean volume_history_is_whole(CstPoolState *state, const char *name, const char *names);
/**
 * Removes the snapshots that the pool of @state keeps of volume @name, newest first. @names: the
 * result of volume_history_names(). Fails with STATE, without any change, if the volume has a
 * snapshot that is not in @names.
 */
gboolean volume_history_remove(CstPoolState *state, const char *name, const char *names,
                               CstTask *task, GError **error);
