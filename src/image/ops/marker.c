/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A marker is a read-only blob without an end that replaces a backing image. All its extents have
 * CST_EXTENT_BELOW. An image that is opened with it passes the flag on for its unallocated ranges,
 * so extents show which content is the image's own.
 */
#include "marker.h"

#include <string.h>

typedef struct {
    CstBlob head;
    CstBlob *inner; /* NULL: only zeroes */
} Marker;

static gboolean inner_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    CstBlob *inner = ((Marker *)blob)->inner;

    *ret_size = 0;
    return !inner || cst_blob_get_size(inner, ret_size, error);
}

static gboolean marker_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    uint64_t size = 0;
    size_t there = 0;

    if (!inner_size(blob, &size, error))
        return FALSE;
    if (offset < size)
        there = (size_t)MIN(len, size - offset);
    memset((uint8_t *)buf + there, 0, len - there);
    return there == 0 || cst_blob_pread(((Marker *)blob)->inner, buf, there, offset, error);
}

static gboolean marker_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = G_MAXINT64;
    return TRUE;
}

static gboolean marker_extent(CstBlob *blob, uint64_t offset, uint64_t length,
                              CstExtent *ret_extent, GError **error)
{
    CstExtent extent = {offset, length, CST_EXTENT_HOLE | CST_EXTENT_ZERO};
    uint64_t size = 0;

    if (!inner_size(blob, &size, error))
        return FALSE;
    if (offset < size && !cst_blob_extent(((Marker *)blob)->inner, offset,
                                          MIN(length, size - offset), &extent, error))
        return FALSE;
    extent.flags |= CST_EXTENT_BELOW;
    *ret_extent = extent;
    return TRUE;
}

static void marker_close(CstBlob *blob)
{
    cst_blob_unref(((Marker *)blob)->inner);
    g_free(blob);
}

static const CstBlobOps marker_ops = {
    .kind = "marker",
    .pread = marker_pread,
    .get_size = marker_get_size,
    .extent = marker_extent,
    .close = marker_close,
};

CstBlob *cst_marker_new(CstBlob *inner)
{
    Marker *marker = g_new0(Marker, 1);

    cst_blob_init(&marker->head, &marker_ops, inner ? inner->name : "nothing", FALSE);
    marker->inner = inner ? cst_blob_ref(inner) : NULL;
    return &marker->head;
}
