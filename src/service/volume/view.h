/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <nbd/server.h>

#include "image_chain.h"

/**
 * What the guest of a volume sees, through its whole chain, or what a snapshot of it held: opened
 * for as long as a client likes. So the claims are a stream's: who wants the volume otherwise is
 * told at once what it is being used for.
 */
typedef struct {
    /* Set by the caller. */
    CstTask *task;        /* borrowed */
    const char *snapshot; /* borrowed; NULL: what the volume holds now */
    gboolean writable;    /* not of a snapshot */
    gboolean force_share; /* read what somebody else writes to */
    gboolean ask_bitmaps; /* fill in @bitmaps */

    CstBlob *blob; /* what the guest sees; borrowed; NULL: not opened */

    /*
     * The image's dirty bitmaps that stay as they are while it is open (CstNbdBitmap *); NULL: it
     * has none. Left out are, with a warning in the log, those that are inconsistent, and of an
     * image that is written to those that are enabled, which the first write makes inconsistent.
     */
    GPtrArray *bitmaps;

    /*
     * The volume's image and what it is based on, or the snapshot that the pool's technology has.
     */
    ImageChain chain;
    VolumeClaim claim;
    CstBlob *stored;
    CstChain *of_snapshot;
} VolumeView;

/**
 * Opens @name as the fields above ask for. A volume whose clients may write is restricted first
 * (declare.h). BUSY, DENIED, NOT_FOUND as image_chain_open(). UNSUPPORTED for a snapshot, kept by
 * the pool's technology, of an image that is based on another one. Call volume_view_close() in any
 * case.
 */
gboolean volume_view_open(VolumeView *view, CstPool *pool, const char *name, GError **error);
/** As volume_stream_ends(), for all that is claimed. */
void volume_view_ends(const VolumeView *view);
/** Closes the images and releases the claims. */
void volume_view_close(VolumeView *view);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeView, volume_view_close)
