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
typedef struct ImageChain ImageChain;

struct ImageChain {
    CstTask *task;            /* borrowed; ends the waiting for a turn */
    const VolumeClaim *after; /* what the work holds already; NULL: nothing */
    gboolean write;           /* the volume itself is to be changed */
    guint base;               /* the one this far down, too; 0: none */
    gboolean alone;           /* nothing that it is based on is opened */
    gboolean at_once;         /* BUSY instead of waiting for a turn */
    const char *format;       /* of the volume itself; NULL: as its pool lists it */
    GPtrArray *links;         /* of ImageLink *, from the volume down */
    GPtrArray *ahead;         /* of VolumeClaim *: see image_chain_open_pair() */
    const ImageChain *beside; /* the one that was opened together with this one, before it */
    CstChain *chain;
};

/**
 * Claims and opens @name of @pool as the fields above ask for. What it is based on must be a volume
 * of an active pool (NOT_FOUND says what to do). Whoever else has what is to be changed open is
 * BUSY.
 */
gboolean image_chain_open(ImageChain *chain, CstPool *pool, const char *name, GError **error);
/**
 * Opens two chains for one piece of work. What they share comes last in the order of claims, so
 * that nobody who works on one of them from the top down waits for us while we wait for him. The
 * volume that @other begins with must not be based on that of a @chain that is written to.
 */
gboolean image_chain_open_pair(ImageChain *chain, CstPool *pool, const char *name,
                               ImageChain *other, CstPool *other_pool, const char *other_name,
                               GError **error);
/** Looks anew at what was changed, and lets everything go. */
void image_chain_close(ImageChain *chain);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ImageChain, image_chain_close)

/**
 * What the guest sees of it, for reading; borrowed. @snapshot: of the volume's image; NULL: what it
 * holds now.
 */
CstBlob *image_chain_guest(ImageChain *chain, const char *snapshot, GError **error);

const ImageLink *image_chain_link(const ImageChain *chain, guint index);
