/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Entries of the block allocation table. The entries of a chunk's payload blocks are followed by
 * the entry of its sector bitmap.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "state.h"

gboolean(vhdx_corrupt)(const Vhdx *vhdx, GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), vhdx->file->name, what);
}

uint64_t vhdx_bat_index(const Vhdx *vhdx, uint64_t block)
{
    return block + block / vhdx->chunk_ratio;
}

uint64_t vhdx_bat_bitmap_index(const Vhdx *vhdx, uint64_t block)
{
    return (block / vhdx->chunk_ratio + 1) * (vhdx->chunk_ratio + 1) - 1;
}

gboolean vhdx_bat_get(Vhdx *vhdx, uint64_t index, uint64_t *ret_entry, GError **error)
{
    uint64_t at = vhdx->layout.bat_offset + index * 8;
    const CstPage *page = vhdx_page_get(vhdx->pages, at, error);

    if (!page)
        return FALSE;
    *ret_entry = cst_le64(page->data + at % VHDX_SECTOR);
    return TRUE;
}

gboolean vhdx_bat_set(Vhdx *vhdx, uint64_t index, uint64_t entry, GError **error)
{
    uint64_t at = vhdx->layout.bat_offset + index * 8;
    CstPage *page = vhdx_page_get(vhdx->pages, at, error);

    if (!page)
        return FALSE;
    cst_put_le64(page->data + at % VHDX_SECTOR, entry);
    return vhdx_page_dirty(vhdx->pages, page, error);
}

/* The file may end within the last block, so only the block's start must lie in the file. */
gboolean vhdx_place_is_sound(const Vhdx *vhdx, uint64_t place, uint64_t length, uint64_t file_size)
{
    return place <= VHDX_MAX_FILE / CST_MIB && place * CST_MIB + length <= VHDX_MAX_FILE &&
           place * CST_MIB < file_size &&
           vhdx_range_is_free(&vhdx->layout, place * CST_MIB, length);
}
