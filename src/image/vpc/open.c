/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Opens and closes images. Opening reads footer and header, and verifies that the parent's UUID is
 * the one stored in the image. Table and bitmaps are read on demand. A fixed disk has neither;
 * blocks.c sees it as virtual blocks.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "vpc.h"

#define FIXED_BLOCK CST_GIB /* virtual blocks of a fixed disk: any power of two */

static gboolean read_header(CstBlob *blob, VpcHeader *ret_header, GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    CstInspection inspection;

    if (!cst_inspection_init(&inspection, blob, head, &info, error))
        return FALSE;
    vpc_header_read(&inspection, ret_header);
    return cst_inspection_is_sound(&inspection, error);
}

void vpc_reset_table(Vpc *vpc)
{
    cst_table_free(vpc->table);
    vpc->table = cst_table_new(vpc->blocks.blob, vpc->header.table_offset, vpc->header.entries,
                               TRUE, cst_blocks_spill, &vpc->blocks);
}

/* The parent must be the one that the image was created on. */
static gboolean check_parent(const CstImageFormat *format, const VpcHeader *header,
                             const CstBlob *blob, CstBlob *backing, GError **error)
{
    CstImage *parent = cst_guest_image_of(backing, format);

    if (backing && header->kind != VPC_DIFFERENCING)
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' has no backing image"), blob->name);
    if (!parent || vpc_parent_has_uuid(header, vpc_footer_uuid(&vpc_of(parent)->header)))
        return TRUE;
    return cst_fail(error, CST_ERROR_MISMATCH,
                    _("'%s' is not the backing image that '%s' was made upon: its UUID is another"),
                    parent->blob->name, blob->name);
}

Vpc *vpc_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how, GError **error)
{
    VpcHeader header;
    Vpc *vpc;

    if (!read_header(blob, &header, error) ||
        !check_parent(format, &header, blob, how->backing, error))
        return NULL;
    vpc = g_new0(Vpc, 1);
    if (!cst_blocks_init(&vpc->blocks, &vpc_ops, blob, how, error)) {
        g_free(vpc);
        return NULL;
    }
    vpc->header = header;
    vpc->blocks.lacks_backing = header.kind == VPC_DIFFERENCING && !how->backing;
    vpc->blocks.block_size = vpc_is_fixed(vpc) ? FIXED_BLOCK : header.block_size;
    vpc->blocks.image.capacity = header.capacity;
    vpc->spare = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    if (!vpc_is_fixed(vpc)) {
        vpc->bitmaps = vpc_bitmap_new_cache(vpc);
        vpc_reset_table(vpc);
    }
    return vpc;
}

void vpc_free(Vpc *vpc)
{
    cst_table_free(vpc->table);
    cst_page_cache_free(vpc->bitmaps);
    g_array_unref(vpc->spare);
    cst_blocks_clear(&vpc->blocks);
    g_free(vpc);
}

CstImage *vpc_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                   GError **error)
{
    Vpc *vpc = vpc_new(format, blob, how, error);

    return vpc ? &vpc->blocks.image : NULL;
}

void vpc_close(CstImage *image)
{
    /* callers that need the result have flushed before */
    if (image->writable)
        cst_blocks_write_back(&vpc_of(image)->blocks, NULL);
    vpc_free(vpc_of(image));
}
