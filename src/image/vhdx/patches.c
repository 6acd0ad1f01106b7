/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The changes of a log replay, as disjoint ranges in a tree by offset: sectors with content, and
 * runs of zeroes. A later patch replaces earlier patches in its range. The patches are applied to a
 * file, or used by an overlay: a read-only blob that owns them.
 */
#include "log.h"

typedef struct {
    uint64_t offset, length;
    uint8_t *data; /* NULL: zeroes */
} Patch;

struct VhdxPatches {
    GTree *by_offset; /* Patch; the key is its own offset */
    uint64_t size;
};

static int patches_compare(gconstpointer a, gconstpointer b, gpointer unused)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static void free_patch(gpointer data)
{
    Patch *patch = data;

    g_free(patch->data);
    g_free(patch);
}

VhdxPatches *vhdx_patches_new(void)
{
    VhdxPatches *patches = g_new0(VhdxPatches, 1);

    patches->by_offset = g_tree_new_full(patches_compare, NULL, NULL, free_patch);
    return patches;
}

void vhdx_patches_free(VhdxPatches *patches)
{
    if (!patches)
        return;
    g_tree_unref(patches->by_offset);
    g_free(patches);
}

static void patches_insert(VhdxPatches *patches, uint64_t offset, uint64_t length,
                           const uint8_t *data)
{
    Patch *patch = g_new(Patch, 1);

    *patch = (Patch){offset, length, data ? g_memdup2(data, VHDX_SECTOR) : NULL};
    g_tree_insert(patches->by_offset, &patch->offset, patch);
}

/* Returns the patch that contains @offset, or the next one after it. */
static Patch *first_from(VhdxPatches *patches, uint64_t offset)
{
    GTreeNode *node = g_tree_lower_bound(patches->by_offset, &offset);
    GTreeNode *before = node ? g_tree_node_previous(node) : g_tree_node_last(patches->by_offset);
    Patch *patch = before ? g_tree_node_value(before) : NULL;

    if (patch && patch->offset + patch->length > offset)
        return patch;
    return node ? g_tree_node_value(node) : NULL;
}

/* All patches are aligned to sectors, so only runs of zeroes are ever split. */
void vhdx_patches_add(VhdxPatches *patches, uint64_t offset, uint64_t length, const uint8_t *data)
{
    uint64_t end = offset + length;
    Patch *old;

    while ((old = first_from(patches, offset)) && old->offset < end) {
        uint64_t old_offset = old->offset, old_end = old->offset + old->length;

        g_tree_remove(patches->by_offset, &old_offset);
        if (old_offset < offset)
            patches_insert(patches, old_offset, offset - old_offset, NULL);
        if (old_end > end)
            patches_insert(patches, end, old_end - end, NULL);
    }
    patches_insert(patches, offset, length, data);
}

void vhdx_patches_set_size(VhdxPatches *patches, uint64_t size)
{
    patches->size = MAX(patches->size, size);
}

gboolean vhdx_patches_apply(VhdxPatches *patches, CstBlob *blob, GError **error)
{
    uint64_t size = 0;

    if (!cst_blob_get_size(blob, &size, error) ||
        (size < patches->size && !cst_blob_resize(blob, patches->size, error)))
        return FALSE;
    for (GTreeNode *node = g_tree_node_first(patches->by_offset); node;
         node = g_tree_node_next(node)) {
        const Patch *patch = g_tree_node_value(node);

        if (!(patch->data
                  ? cst_blob_pwrite(blob, patch->data, VHDX_SECTOR, patch->offset, error)
                  : cst_blob_zero(blob, patch->offset, patch->length, CST_ZERO_MAY_UNMAP, error)))
            return FALSE;
    }
    return TRUE;
}

/* --- the overlay ----------------------------------------------------------------------------- */

typedef struct {
    CstBlob head;
    CstBlob *inner;
    uint64_t inner_size;
    VhdxPatches *patches;
} Overlay;

static gboolean overlay_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    Overlay *overlay = (Overlay *)blob;

    *ret_size = MAX(overlay->inner_size, overlay->patches->size);
    return TRUE;
}

static gboolean overlay_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    Overlay *overlay = (Overlay *)blob;
    uint64_t there = 0, end = offset + len;
    Patch *patch;

    if (offset < overlay->inner_size)
        there = MIN(len, overlay->inner_size - offset);
    memset((uint8_t *)buf + there, 0, len - there);
    if (!cst_blob_pread(overlay->inner, buf, there, offset, error))
        return FALSE;
    for (uint64_t at = offset; (patch = first_from(overlay->patches, at)) && patch->offset < end;
         at = patch->offset + patch->length) {
        uint64_t from = MAX(patch->offset, offset);
        size_t n = MIN(patch->offset + patch->length, end) - from;

        if (patch->data)
            memcpy((uint8_t *)buf + (from - offset), patch->data + (from - patch->offset), n);
        else
            memset((uint8_t *)buf + (from - offset), 0, n);
    }
    return TRUE;
}

/*
 * Unpatched ranges have the extents of @inner: most of a large image's tables are holes of the
 * file.
 */
static gboolean overlay_extent(CstBlob *blob, uint64_t offset, uint64_t length,
                               CstExtent *ret_extent, GError **error)
{
    Overlay *overlay = (Overlay *)blob;
    Patch *patch = first_from(overlay->patches, offset);

    if (patch && patch->offset <= offset) {
        uint64_t left = patch->offset + patch->length - offset;

        *ret_extent =
            (CstExtent){offset, MIN(length, left), patch->data ? CST_EXTENT_DATA : CST_EXTENT_ZERO};
        return TRUE;
    }
    if (patch)
        length = MIN(length, patch->offset - offset);
    if (offset < overlay->inner_size)
        return cst_blob_extent(overlay->inner, offset, MIN(length, overlay->inner_size - offset),
                               ret_extent, error);
    *ret_extent = (CstExtent){offset, length, CST_EXTENT_HOLE | CST_EXTENT_ZERO};
    return TRUE;
}

static void overlay_close(CstBlob *blob)
{
    Overlay *overlay = (Overlay *)blob;

    cst_blob_unref(overlay->inner);
    vhdx_patches_free(overlay->patches);
    g_free(overlay);
}

static const CstBlobOps overlay_ops = {
    .kind = "vhdx-log",
    .pread = overlay_pread,
    .get_size = overlay_get_size,
    .close = overlay_close,
    .extent = overlay_extent,
};

CstBlob *vhdx_patches_overlay(VhdxPatches *patches, CstBlob *inner, GError **error)
{
    Overlay *overlay;
    uint64_t size;

    if (!cst_blob_get_size(inner, &size, error)) {
        vhdx_patches_free(patches);
        return NULL;
    }
    overlay = g_new0(Overlay, 1);
    cst_blob_init(&overlay->head, &overlay_ops, inner->name, FALSE);
    overlay->inner = cst_blob_ref(inner);
    overlay->patches = patches;
    overlay->inner_size = size;
    return &overlay->head;
}
