/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Changes or removes the parent: set_backing and empty of format.h.
 *
 * The dynamic header, two sectors long, and a locator's text name the parent. Neither can be
 * overwritten atomically. So a new header with its text is written to the end of the file, over the
 * last footer. Then both footers are changed to refer to it, the one at the new end first. Until
 * that footer is durable, the copy at the start of the file names the old header, whose data is
 * still unchanged.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "vpc.h"

/* Copies the parent's data of each block, because a dynamic disk ignores bitmaps. Lock not held. */
static gboolean fill_blocks(Vpc *vpc, GError **error)
{
    uint32_t entry = 0;

    for (uint32_t i = 0; i < vpc->header.entries; i++) {
        gboolean ok;

        g_mutex_lock(&vpc->blocks.lock);
        ok = cst_table_get(vpc->table, i, &entry, error);
        g_mutex_unlock(&vpc->blocks.lock);
        if (!ok ||
            (entry != VPC_NOWHERE &&
             !cst_blocks_fill_block(&vpc->blocks, (uint64_t)i * vpc->header.block_size, error)))
            return FALSE;
    }
    return TRUE;
}

/* Lock held. */
static gboolean write_new_header(Vpc *vpc, VpcHeader *header, const uint8_t *text, size_t len,
                                 GError **error)
{
    CstBlob *blob = vpc->blocks.blob;
    uint64_t at = vpc->end;

    vpc->end += VPC_HEADER_LEN + len;
    return cst_blob_pwrite(blob, header->raw, VPC_HEADER_LEN, at, error) &&
           cst_blob_pwrite(blob, text, len, at + VPC_HEADER_LEN, error);
}

/* Lock held. */
static gboolean switch_header(Vpc *vpc, const VpcHeader *header, GError **error)
{
    vpc->header = *header;
    vpc_header_derive(&vpc->header);
    return cst_blocks_barrier(&vpc->blocks, error) && vpc_write_footer(vpc, error) &&
           cst_blocks_barrier(&vpc->blocks, error) &&
           cst_blob_pwrite(vpc->blocks.blob, vpc->header.footer, VPC_FOOTER_LEN, 0, error) &&
           cst_blob_flush(vpc->blocks.blob, error);
}

/* Lock held. */
static gboolean change_parent(Vpc *vpc, const char *name, CstImage *parent, GError **error)
{
    VpcHeader header = vpc->header;
    g_autofree uint8_t *text = NULL;
    size_t len = 0;

    if (!vpc_find_end(vpc, error))
        return FALSE;
    vpc_footer_set_header(&header, name ? VPC_DIFFERENCING : VPC_DYNAMIC, vpc->end);
    vpc_parent_forget(&header);
    if (parent)
        vpc_parent_set_uuid(&header, vpc_footer_uuid(&vpc_of(parent)->header));
    if (name && !vpc_parent_store(&header, name, vpc->end + VPC_HEADER_LEN, &text, &len, error))
        return FALSE;
    vpc_header_update(&header);
    return write_new_header(vpc, &header, text, len, error) && switch_header(vpc, &header, error);
}

gboolean vpc_set_backing(CstImage *image, const char *name, const char *format, CstImage *parent,
                         GError **error)
{
    Vpc *vpc = vpc_of(image);
    gboolean ok;

    if (name && (strcmp(format, "vpc") != 0 || vpc->header.kind != VPC_DIFFERENCING))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("only a differencing VHD image can be based on another one, which must "
                          "be a VHD image"));
    if (vpc->header.kind != VPC_DIFFERENCING)
        return TRUE;
    if ((!name && !fill_blocks(vpc, error)) || !cst_blocks_flush(image, error))
        return FALSE;
    g_mutex_lock(&vpc->blocks.lock);
    ok = change_parent(vpc, name, parent, error);
    g_mutex_unlock(&vpc->blocks.lock);
    return ok;
}

gboolean vpc_empty(CstImage *image, CstTask *task, GError **error)
{
    Vpc *vpc = vpc_of(image);
    gboolean ok = vpc->header.kind == VPC_DIFFERENCING;

    if (!ok)
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' has no backing image"),
                        vpc->blocks.blob->name);
    g_mutex_lock(&vpc->blocks.lock);
    ok = vpc_sync(&vpc->blocks, error);
    cst_page_cache_clear(vpc->bitmaps);
    for (uint32_t i = 0; ok && i < vpc->header.entries; i++) {
        uint32_t entry = 0;

        ok = cst_task_check(task, error) && cst_table_get(vpc->table, i, &entry, error) &&
             (entry == VPC_NOWHERE || cst_table_set(vpc->table, i, VPC_NOWHERE, error));
    }
    vpc->end_known = FALSE;
    g_mutex_unlock(&vpc->blocks.lock);
    return ok && cst_blocks_flush(image, error);
}
