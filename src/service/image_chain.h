/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

#include "volume_plan.h"

/** One volume of a chain, claimed and opened. */
typedef struct {
    VolumeClaim claim;
    CstVolume *volume;
    CstBlob *blob;
} ImageLink;

/** A volume's image with what it is based on. */
typedef struct {
    CstTask *task;            /* borrowed; ends the waiting for a turn */
    const VolumeClaim *after; /* what the work holds already; NULL: nothing */
    gboolean write;           /* the volume itself is to be changed */
    guint base;               /* the one this far down, too; 0: none */
    gboolean alone;           /* nothing that it is based on is opened */
    GPtrArray *links;         /* of ImageLink *, from the volume down */
    CstChain *chain;
} ImageChain;

/**
 * Claims and opens @name of @pool as the fields above ask for. What it is based on must be a volume
 * of an active pool (NOT_FOUND says what to do). Whoever else has what is to be changed open is
 * BUSY.
 */
gboolean image_chain_open(ImageChain *chain, CstPool *pool, const char *name, GError **error);
/** Looks anew at what was changed, and lets everything go. */
void image_chain_close(ImageChain *chain);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ImageChain, image_chain_close)

/**
 * What the guest sees of it, for reading; borrowed. @snapshot: of the volume's image; NULL: what it
 * holds now.
 */
CstBlob *image_chain_guest(ImageChain *chain, const char *snapshot, GError **error);

const ImageLink *image_chain_link(const ImageChain *chain, guint index);
