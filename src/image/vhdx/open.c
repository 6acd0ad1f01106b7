/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Opens and closes images. An active log is handled first: with CST_IMAGE_WRITE it is replayed into
 * the file, else vhdx->file becomes an overlay that shows the file as after a replay. The layout is
 * read after this, because the log may have changed it.
 *
 * Opening for writing changes nothing else: the session's header is written with the first change
 * (commit.c).
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <base/uuid.h>

#include "state.h"
#include "vhdx.h"

static gboolean read_header(CstBlob *blob, VhdxHeader *ret_header, gboolean *ret_dirty,
                            GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    CstInspection inspection;

    if (!cst_inspection_init(&inspection, blob, head, &info, error))
        return FALSE;
    if (inspection.head_len < 8 || memcmp(head, "vhdxfile", 8) != 0)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is no VHDX image"), blob->name);
    vhdx_header_read(&inspection, ret_header);
    if (!cst_inspection_is_sound(&inspection, error))
        return FALSE;
    *ret_dirty = info.dirty;
    return TRUE;
}

static gboolean read_layout(CstBlob *blob, const VhdxHeader *header, VhdxLayout *ret_layout,
                            GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    CstInspection inspection;

    if (!cst_inspection_init(&inspection, blob, head, &info, error))
        return FALSE;
    vhdx_layout_read(&inspection, header, ret_layout);
    return cst_inspection_is_sound(&inspection, error);
}

/* --- the log ---------------------------------------------------------------------------------- */

/*
 * The specification requires a header with a new GUID before any change. The log stays active until
 * all its changes are in place, so a power cut during the replay leads to another replay.
 */
static gboolean log_replay(CstBlob *blob, VhdxHeader *header, VhdxPatches *patches,
                           gboolean barriers, GError **error)
{
    CstUuid uuid;

    cst_uuid_generate(&uuid);
    memcpy(header->file_write, uuid.bytes, 16);
    if (!vhdx_header_store(blob, header, barriers, error) ||
        !vhdx_patches_apply(patches, blob, error) || (barriers && !cst_blob_flush(blob, error)))
        return FALSE;
    memset(header->log_guid, 0, 16);
    return vhdx_header_store(blob, header, barriers, error);
}

/* Returns the file with its log replayed: in the file itself, or in an overlay if read-only. */
static CstBlob *sound_file(CstBlob *blob, const CstImageOpen *how, VhdxHeader *header,
                           gboolean *ret_dirty, GError **error)
{
    g_autoptr(VhdxPatches) patches = NULL;

    if (!read_header(blob, header, ret_dirty, error))
        return NULL;
    if (!*ret_dirty)
        return cst_blob_ref(blob);
    patches = vhdx_log_read(blob, header, error);
    if (!patches)
        return NULL;
    if (!(how->flags & CST_IMAGE_WRITE))
        return vhdx_patches_overlay(g_steal_pointer(&patches), blob, error);
    if (!log_replay(blob, header, patches, !(how->flags & CST_IMAGE_NO_BARRIERS), error))
        return NULL;
    return cst_blob_ref(blob);
}

/* --- opening and closing ---------------------------------------------------------------------- */

void vhdx_set_geometry(Vhdx *vhdx, uint64_t capacity)
{
    const VhdxLayout *layout = &vhdx->layout;

    vhdx->layout.capacity = vhdx->blocks.image.capacity = capacity;
    vhdx->blocks.block_size = layout->block_size;
    vhdx->block_count = cst_div_up(capacity, layout->block_size);
    vhdx->chunk_ratio = vhdx_chunk_ratio(layout->block_size, layout->sector_size);
    vhdx->is_diff = (layout->flags & VHDX_FLAG_PARENT) != 0;
}

/*
 * The parent must be the one that the image was created on, with unchanged content. For an image
 * without a parent, a backing image is accepted only if the log was active: only the log may have
 * the removal of the parent.
 */
static gboolean check_parent(const CstImageFormat *format, const VhdxLayout *layout, gboolean dirty,
                             const CstBlob *blob, CstBlob *backing, GError **error)
{
    CstImage *parent = cst_guest_image_of(backing, format);

    if (backing && dirty && !(layout->flags & VHDX_FLAG_PARENT))
        return TRUE;
    if (backing && !(layout->flags & VHDX_FLAG_PARENT))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' has no backing image"), blob->name);
    if (!parent || cst_uuid_is_zero(&layout->linkage) ||
        memcmp(layout->linkage.bytes, vhdx_of(parent)->header.data_write, 16) == 0 ||
        memcmp(layout->linkage2.bytes, vhdx_of(parent)->header.data_write, 16) == 0)
        return TRUE;
    return cst_fail(
        error, CST_ERROR_MISMATCH,
        _("'%s' is not the backing image that '%s' was made upon, or has changed since"),
        parent->blob->name, blob->name);
}

Vhdx *vhdx_open_for(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                    GError **error)
{
    g_autoptr(CstBlob) file = NULL;
    VhdxHeader header = {0};
    VhdxLayout layout = {0};
    gboolean dirty = FALSE;
    CstUuid next;
    Vhdx *vhdx;

    file = sound_file(blob, how, &header, &dirty, error);
    if (!file || !read_layout(file, &header, &layout, error) ||
        !check_parent(format, &layout, dirty, blob, how->backing, error))
        return NULL;
    vhdx = g_new0(Vhdx, 1);
    if (!cst_blocks_init(&vhdx->blocks, &vhdx_blocks_ops, file, how, error)) {
        g_free(vhdx);
        return NULL;
    }
    vhdx->file = g_steal_pointer(&file);
    vhdx->header = header;
    vhdx->layout = layout;
    vhdx->blocks.image.sector_size = layout.sector_size;
    vhdx->same_content = (how->flags & CST_IMAGE_SAME_CONTENT) != 0;
    cst_uuid_generate(&next);
    memcpy(vhdx->next_data_write, next.bytes, 16);
    vhdx_set_geometry(vhdx, layout.capacity);
    vhdx->blocks.lacks_backing = vhdx->is_diff && !how->backing;
    vhdx->pages = vhdx_pages_new(vhdx->file);
    return vhdx;
}

CstImage *vhdx_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                    GError **error)
{
    Vhdx *vhdx = vhdx_open_for(format, blob, how, error);

    return vhdx ? &vhdx->blocks.image : NULL;
}

void vhdx_free(Vhdx *vhdx)
{
    vhdx_pages_free(vhdx->pages);
    vhdx_units_clear(&vhdx->units);
    cst_blocks_clear(&vhdx->blocks);
    cst_blob_unref(vhdx->file);
    g_free(vhdx);
}

void vhdx_close(CstImage *image)
{
    Vhdx *vhdx = vhdx_of(image);

    /*
     * callers that need the result have flushed before; after a failure the log is replayed later
     */
    if (vhdx->writing && !vhdx->blocks.barriers)
        vhdx_commit(vhdx, NULL);
    else if (vhdx->writing)
        vhdx_empty_log(vhdx, NULL);
    vhdx_free(vhdx);
}
