/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>
#include <image/hold.h>
#include <model/domain.h>

#include "core/claim.h"

/** An open image of a chain: a claimed volume, or a declared file outside of all pools. */
typedef struct {
    VolumeClaim claim; /* without a pool: a file outside of all pools */
    CstVolume *volume; /* its record; for a file outside of all pools created by inspection */
    CstBlob *blob;
    char *path;         /* of the file */
    CstFileStamp stamp; /* at the opening; valid if the file was opened for reading at rest */
} ImageLink;

/** A data file of an image that is read at rest. */
typedef struct {
    CstBlob *blob;
    CstFileStamp stamp; /* at the opening */
} ImagePart;

/** A volume's image with its backing chain. */
typedef struct ImageChain ImageChain;

struct ImageChain {
    CstTask *task;             /* borrowed; limits and cancels the waits for claims */
    const VolumeClaim *after;  /* last claim of the operation; NULL: no claim */
    gboolean write;            /* open the volume itself for writing */
    guint base;                /* depth of a second image to open for writing; 0: no second image */
    gboolean alone;            /* do not open the backing chain */
    gboolean at_once;          /* fail with BUSY instead of waiting for a claim */
    gboolean stream;           /* no operation waits for the end of this one (core/claim.h) */
    gboolean at_rest;          /* fail with BUSY if a process writes to an image that is read */
    gboolean with_domain;      /* permit a running domain that has the images to change */
    const char *format;        /* of the volume itself; NULL: as in its record */
    GPtrArray *links;          /* of ImageLink *, from the volume down */
    GPtrArray *parts;          /* of ImagePart *: with at_rest; NULL: no part was opened */
    GPtrArray *preclaimed;     /* of VolumeClaim *: see image_chain_open_pair() */
    const ImageChain *partner; /* the chain of the same operation that was opened before this one */
    CstChain *chain;
    /* The disk of the running domain, with with_domain. The images to change are open for reading
     * then, because QEMU changes them. NULL: they are open for writing. */
    CstDomainDisk *disk;
};

/**
 * Claims and opens @name of @pool as specified by the fields above. Errors: DENIED for an
 * undeclared backing file; NOT_FOUND for one that is not a volume of an active pool, unless its
 * declaration permits that; INVALID if a reference records another format than the base has; BUSY
 * if an image to change is open in another process.
 */
gboolean image_chain_open(ImageChain *chain, CstPool *pool, const char *name, GError **error);
/**
 * Opens two chains for one operation. Shared volumes are claimed last, so that an operation on one
 * of them from the top down and this operation never wait for each other. Fails with INVALID if the
 * first volume of @other is based on the first volume of a @chain that is opened for writing.
 */
gboolean image_chain_open_pair(ImageChain *chain, CstPool *pool, const char *name,
                               ImageChain *other, CstPool *other_pool, const char *other_name,
                               GError **error);
/**
 * Closes the images, rescans the volumes that were claimed for writing, and releases all claims.
 * Also to be called after a failed open.
 */
void image_chain_close(ImageChain *chain);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ImageChain, image_chain_close)

/** Calls volume_backing_not_kept() for the first @count volumes of an open chain. */
gboolean image_chain_backing_not_kept(const ImageChain *chain, guint count, GError **error);

/**
 * Returns the guest-visible content, for reading; borrowed from the chain. @snapshot: of the
 * volume's image; NULL: the present content.
 */
CstBlob *image_chain_guest(ImageChain *chain, const char *snapshot, GError **error);

/** Returns link @index, borrowed. Link 0 is the volume itself. */
ImageLink *image_chain_link(const ImageChain *chain, guint index);
/**
 * Returns the claim for VolumeClaim.after of the next claim of the same operation; borrowed.
 * Returns NULL if no claim is held.
 */
const VolumeClaim *image_chain_last_claim(const ImageChain *chain);

/**
 * Fails with BUSY if another program has written to one of the files since the chain was opened.
 * For chains that were opened at rest. Call it after all data were read.
 */
gboolean image_chain_is_as_before(const ImageChain *chain, GError **error);
/** Calls image_chain_is_as_before() for the ImageChain @data. For cst_chain_set_check(). */
gboolean image_chain_check(gpointer data, GError **error);
