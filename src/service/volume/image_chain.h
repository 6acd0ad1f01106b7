/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>
#include <image/hold.h>

#include "core/claim.h"

/** One image of a chain, opened: a volume, claimed, or a declared file outside of all pools. */
typedef struct {
    VolumeClaim claim; /* without a pool: of a file outside */
    CstVolume *volume; /* its record; of a file outside: made by inspecting it */
    CstBlob *blob;
    char *path;         /* of the file */
    CstFileStamp stamp; /* when it was opened; counted if it was opened to be read at rest */
} ImageLink;

/** A volume's image with what it is based on. */
typedef struct ImageChain ImageChain;

struct ImageChain {
    CstTask *task;             /* borrowed; ends the waiting for a claim */
    const VolumeClaim *after;  /* what the work holds already; NULL: nothing */
    gboolean write;            /* the volume itself is to be changed */
    guint base;                /* depth of a second image to open for writing; 0: none */
    gboolean alone;            /* nothing that it is based on is opened */
    gboolean at_once;          /* BUSY instead of waiting for a claim */
    gboolean stream;           /* others don't wait for the end of this work (core/claim.h) */
    gboolean at_rest;          /* images that are read are BUSY while somebody writes to them */
    const char *format;        /* of the volume itself; NULL: as its pool lists it */
    GPtrArray *links;          /* of ImageLink *, from the volume down */
    GPtrArray *preclaimed;     /* of VolumeClaim *: see image_chain_open_pair() */
    const ImageChain *partner; /* the one that was opened together with this one, before it */
    CstChain *chain;
};

/**
 * Claims and opens @name of @pool as the fields above ask for. What it is based on must be declared
 * (DENIED), and be a volume of an active pool unless more is declared (NOT_FOUND); its format is
 * its own, and a reference that says another one is INVALID. Whoever else has what is to be changed
 * open is BUSY.
 */
gboolean image_chain_open(ImageChain *chain, CstPool *pool, const char *name, GError **error);
/**
 * Opens two chains for one piece of work. The volumes that they share are claimed last, so that
 * work on one of them from the top down never waits for this work while this work waits for it. The
 * volume that @other begins with must not be based on that of a @chain that is written to
 * (INVALID).
 */
gboolean image_chain_open_pair(ImageChain *chain, CstPool *pool, const char *name,
                               ImageChain *other, CstPool *other_pool, const char *other_name,
                               GError **error);
/**
 * Closes the images, rescans the volumes that were claimed for writing, and releases all claims.
 * Also after a failed open.
 */
void image_chain_close(ImageChain *chain);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ImageChain, image_chain_close)

/**
 * Returns what the guest sees, for reading; borrowed from the chain. @snapshot: of the volume's
 * image; NULL: what it holds now.
 */
CstBlob *image_chain_guest(ImageChain *chain, const char *snapshot, GError **error);

/** Returns link @index, 0 being the volume itself; borrowed. */
ImageLink *image_chain_link(const ImageChain *chain, guint index);
/**
 * Returns the claim that the next one of the same work comes after (VolumeClaim.after); borrowed,
 * NULL: none.
 */
const VolumeClaim *image_chain_last_claim(const ImageChain *chain);

/**
 * Fails with BUSY if another program has written to one of the files since the chain was opened.
 * For chains that were opened at rest; call it when all was read.
 */
gboolean image_chain_is_as_before(const ImageChain *chain, GError **error);
