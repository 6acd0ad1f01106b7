/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <nbd/server.h>

#include "core/live.h"
#include "volume/image/image_chain.h"

/**
 * The guest-visible content of a volume, through its whole chain, or of a snapshot of it. It is
 * open for as long as a client likes. Therefore its claims are stream claims: conflicting
 * operations fail at once with the name of this operation.
 */
typedef struct {
    /* Set by the caller: */
    CstTask *task;        /* borrowed */
    const char *snapshot; /* borrowed; NULL: the present content */
    gboolean writable;    /* not for a snapshot */
    gboolean force_share; /* permit reading while another process writes */
    gboolean ask_bitmaps; /* set @bitmaps */

    CstBlob *blob;       /* the guest-visible content; borrowed; NULL: not open */
    gboolean has_tables; /* the image has tables, which stay in memory while it is open */

    /*
     * The image's dirty bitmaps that do not change while it is open (CstNbdBitmap *). NULL: not
     * requested, or the format has no bitmaps. Omitted with a warning in the log: inconsistent
     * bitmaps and, if the image is writable, enabled bitmaps, because the first write makes them
     * inconsistent.
     */
    GPtrArray *bitmaps;

    /* The volume's image and its backing chain, or the snapshot kept by the pool's technology. */
    ImageChain chain;
    VolumeClaim claim;
    CstBlob *stored;
    CstChain *of_snapshot;
    LiveSet *live; /* the snapshot is a live one, and @stored is its content; NULL: it is not */
} VolumeView;

/**
 * Opens @name as specified by the fields above. A raw volume that is opened for writing is
 * restricted first (declare.h). Errors: BUSY, DENIED, NOT_FOUND as for image_chain_open();
 * UNSUPPORTED for a snapshot kept by the pool's technology, if its image has a backing file. Call
 * volume_view_close() in any case.
 */
gboolean volume_view_open(VolumeView *view, CstPool *pool, const char *name, GError **error);
/** Checks after the last read that the read content has one point in time. */
gboolean volume_view_check(const VolumeView *view, GError **error);
/** After a failed read: completes *@error by a reason that the view knows. May wait. */
void volume_view_explain(const VolumeView *view, GError **error);
/** Calls volume_stream_ends() for all claims of the view. */
void volume_view_ends(const VolumeView *view);
/** Closes the images and releases the claims. */
void volume_view_close(VolumeView *view);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeView, volume_view_close)
