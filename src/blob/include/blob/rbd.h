/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>
#include <blob/ceph.h>

/** What an RBD blob is made of; it takes all of it over. */
typedef struct {
    rbd_image_t image;
    guint deadline_ms; /**< a call that takes longer fails with UNREACHABLE */
    gpointer owner;    /**< what the image was opened through (its connection) */
    /** Gives it back, after the image is closed; any thread but librbd's own. */
    GDestroyNotify release_owner;
} CstBlobRbd;

/**
 * An RBD image: thin, so that zeroing and discarding give space back, and extents are told by
 * object. Reads and writes travel asynchronously and may come from many threads. A blob whose
 * cluster does not answer fails each call after its deadline and works again when it does.
 */
CstBlob *cst_blob_rbd_new(const CstBlobRbd *rbd, const char *name, gboolean writable,
                          GError **error);
