/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/options.h>
#include <model/snapshot.h>

#include "image_chain.h"
#include "transaction.h"

/**
 * What a volume has held, in the order of time: the content of each of its snapshots, and what it
 * holds now. Borrows the chain, whose image is open.
 */
typedef struct {
    ImageChain *chain;    /* of the volume, claimed for writing */
    GPtrArray *snapshots; /* of CstSnapshot, oldest first */
    gboolean inside;      /* the image keeps them, and not the pool's technology */
} VolumeHistory;

/** Frees what the history holds. */
void volume_history_clear(VolumeHistory *history);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeHistory, volume_history_clear)

/** The snapshots inside of @image, of @format, oldest first: of CstSnapshot; the caller unrefs. */
GPtrArray *volume_snapshots_inside(CstImage *image, const char *format, GError **error);

/** Lists the snapshots of the volume that @chain begins with. */
gboolean volume_history_read(VolumeHistory *history, ImageChain *chain, GError **error);
/**
 * Whether snapshots of a copy in @format, in a pool of state @to, can be made of these; else BUSY
 * with the reason and their list.
 */
gboolean volume_history_fits(const VolumeHistory *history, const CstPool *pool, CstPoolState *to,
                             const CstImageFormat *format, GError **error);
/** Bytes of the oldest content, which a draft has to begin with. */
uint64_t volume_history_first_size(const VolumeHistory *history);
/**
 * Fills the transaction's draft, which was made in the first size, with one content after the
 * other, as an image of @format, and makes the snapshots between them. Afterwards the draft has the
 * size and content of now.
 */
gboolean volume_history_write(const VolumeHistory *history, VolumeTxn *txn,
                              const CstImageFormat *format, const CstImageCreate *options,
                              CstTask *task, GError **error);
/** The names of the snapshots that the pool's technology keeps, as one word; free it. */
char *volume_history_names(const VolumeHistory *history);
/**
 * Removes the snapshots that the pool of @state keeps of volume @name, newest first. @names: those
 * that a history has, as volume_history_names() made it; STATE, with nothing changed, when the
 * volume has another one.
 */
gboolean volume_history_remove(CstPoolState *state, const char *name, const char *names,
                               CstTask *task, GError **error);
