/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>
#include <blob/ceph.h>

/** An open image and its owner. */
typedef struct {
    rbd_image_t image;
    guint deadline_ms; /**< longer calls fail with UNREACHABLE */
    gpointer owner;    /**< the connection that has opened the image */
    /**
     * Release @owner after the image is closed; NULL: not needed. Never called in a thread of
     * librbd.
     */
    GDestroyNotify release_owner;
} CstBlobRbd;

/**
 * Create a blob of an open RBD image. Copies *@rbd and owns its members from then on, also on
 * failure. The image is thin: zeroing and discarding release space, and extents are reported by
 * object. While the cluster does not answer, each call fails with UNREACHABLE after its deadline;
 * the blob works again when the cluster does.
 */
CstBlob *cst_blob_rbd_new(const CstBlobRbd *rbd, const char *name, gboolean writable,
                          GError **error);
