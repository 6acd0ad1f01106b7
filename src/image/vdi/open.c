/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Opens and closes images. Opening reads and checks the header only; the map is read on demand. An
 * image with a parent is refused, because VDI names the parent by UUID, not by file.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "vdi.h"

static gboolean read_header(CstBlob *blob, VdiHeader *ret_header, GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    CstInspection inspection;

    if (!cst_inspection_init(&inspection, blob, head, &info, error))
        return FALSE;
    vdi_header_read(&inspection, ret_header);
    return cst_inspection_is_sound(&inspection, error);
}

void vdi_reset_map(Vdi *vdi)
{
    cst_table_free(vdi->map);
    vdi->map = cst_table_new(vdi->blocks.blob, vdi->header.offset_map, vdi->header.blocks, FALSE,
                             cst_blocks_spill, &vdi->blocks);
}

Vdi *vdi_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how, GError **error)
{
    VdiHeader header;
    Vdi *vdi;

    if (how->backing) {
        cst_fail(error, CST_ERROR_INVALID, _("'%s' has no backing image"), blob->name);
        return NULL;
    }
    if (!read_header(blob, &header, error))
        return NULL;
    vdi = g_new0(Vdi, 1);
    if (!cst_blocks_init(&vdi->blocks, &vdi_ops, blob, how, error)) {
        g_free(vdi);
        return NULL;
    }
    vdi->header = header;
    vdi->blocks.block_size = header.block_size;
    vdi->blocks.image.capacity = header.capacity;
    vdi_reset_map(vdi);
    return vdi;
}

void vdi_free(Vdi *vdi)
{
    cst_table_free(vdi->map);
    g_free(vdi->used);
    cst_blocks_clear(&vdi->blocks);
    g_free(vdi);
}

CstImage *vdi_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                   GError **error)
{
    Vdi *vdi = vdi_new(format, blob, how, error);

    return vdi ? &vdi->blocks.image : NULL;
}

void vdi_close(CstImage *image)
{
    /* callers that need the result have flushed before */
    if (image->writable)
        cst_blocks_write_back(&vdi_of(image)->blocks, NULL);
    vdi_free(vdi_of(image));
}
