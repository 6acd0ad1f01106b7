/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Changes or removes the parent: set_backing, expect, follow and empty of format.h.
 *
 * The parent locator is an item of the metadata region. A new locator is written to unused space.
 * Then its entry in the metadata table is changed to refer to it. Each step has its own log entry.
 * A reader that does not replay the log finds the old or the new locator. A reader that replays the
 * log may find a newer one. So the locator must be valid for both. The second linkage ([MS-VHDX]
 * 2.6.2.6.3) ensures this during a change of the parent.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "state.h"
#include "vhdx.h"

#define ENTRY_LEN 32 /* of the metadata table */

/* --- the locator; lock held ------------------------------------------------------------------- */

/* Sets *ret_end to the largest end of the items that overlap the range; 0: no item overlaps. */
static gboolean find_item(Vhdx *vhdx, uint64_t offset, uint64_t len, uint64_t *ret_end,
                          GError **error)
{
    *ret_end = 0;
    for (uint32_t i = 1; i <= vhdx->layout.entries; i++) {
        uint64_t at = vhdx->layout.metadata_offset + (uint64_t)i * ENTRY_LEN + 16;
        uint8_t raw[8];
        uint64_t start, end;

        if (!vhdx_pages_read(vhdx->pages, at, raw, sizeof(raw), error))
            return FALSE;
        start = cst_le32(raw);
        end = start + cst_le32(raw + 4);
        if (start < offset + len && offset < end)
            *ret_end = MAX(*ret_end, end);
    }
    return TRUE;
}

/* Finds unused space in the metadata region. */
static gboolean find_room(Vhdx *vhdx, uint32_t len, uint32_t *ret_offset, GError **error)
{
    uint64_t offset = VHDX_METADATA_LEN, end = 0;

    while (offset + len <= vhdx->layout.metadata_length) {
        if (!find_item(vhdx, offset, len, &end, error))
            return FALSE;
        if (end == 0) {
            *ret_offset = (uint32_t)offset;
            return TRUE;
        }
        offset = cst_round_up(end, 8);
    }
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("the metadata of '%s' have no room for another parent; convert the image "
                      "instead"),
                    vhdx->file->name);
}

static gboolean write_locator(Vhdx *vhdx, const VhdxParent *parent, GError **error)
{
    VhdxLayout *layout = &vhdx->layout;
    g_autofree uint8_t *raw = NULL;
    uint32_t len = 0, offset = 0;
    uint8_t place[8];

    raw = vhdx_locator_encode(parent, &len, error);
    if (!raw || !vhdx_begin_writing(vhdx, error) || !vhdx_commit(vhdx, error) ||
        !find_room(vhdx, len, &offset, error))
        return FALSE;
    cst_put_le32(place, offset);
    cst_put_le32(place + 4, len);
    if (!vhdx_pages_write(vhdx->pages, layout->metadata_offset + offset, raw, len, error) ||
        !vhdx_empty_log(vhdx, error) ||
        !vhdx_pages_write(vhdx->pages, layout->parent_entry + 16, place, sizeof(place), error) ||
        !vhdx_empty_log(vhdx, error))
        return FALSE;
    layout->parent = (VhdxRange){layout->metadata_offset + offset, len};
    layout->linkage = parent->linkage;
    layout->linkage2 = parent->linkage2;
    return TRUE;
}

/* Rewrites the locator with the same paths and other linkages. */
static gboolean vhdx_relink(Vhdx *vhdx, const uint8_t *linkage, const uint8_t *linkage2,
                            GError **error)
{
    uint64_t len = vhdx->layout.parent.length;
    g_autofree uint8_t *raw = cst_alloc(len, 1, vhdx->file->name, error);
    g_auto(GStrv) paths = g_new0(char *, VHDX_PATHS + 1);
    VhdxParent parent = {0};
    unsigned found = 0;

    if (!raw || !vhdx_pages_read(vhdx->pages, vhdx->layout.parent.offset, raw, len, error))
        return FALSE;
    for (size_t i = 0; i < VHDX_PATHS; i++) {
        parent.paths[i] = vhdx_locator_value(raw, len, vhdx_path_keys[i]);
        if (parent.paths[i])
            paths[found++] = (char *)parent.paths[i];
    }
    memcpy(parent.linkage.bytes, linkage, 16);
    if (linkage2)
        memcpy(parent.linkage2.bytes, linkage2, 16);
    return write_locator(vhdx, &parent, error);
}

static gboolean locked_relink(Vhdx *vhdx, const uint8_t *linkage, const uint8_t *linkage2,
                              GError **error)
{
    gboolean ok;

    g_mutex_lock(&vhdx->blocks.lock);
    ok = vhdx_relink(vhdx, linkage, linkage2, error);
    g_mutex_unlock(&vhdx->blocks.lock);
    return ok;
}

gboolean vhdx_expect(CstImage *image, CstImage *parent, GError **error)
{
    const Vhdx *below = vhdx_of(parent);

    return locked_relink(vhdx_of(image), below->header.data_write, below->next_data_write, error);
}

gboolean vhdx_follow(CstImage *image, CstImage *parent, GError **error)
{
    return locked_relink(vhdx_of(image), vhdx_of(parent)->header.data_write, NULL, error);
}

/* --- removing the parent ---------------------------------------------------------------------- */

/*
 * Completes partial blocks, because without a parent all sectors must be in the image. Lock not
 * held.
 */
static gboolean complete_blocks(Vhdx *vhdx, GError **error)
{
    for (uint64_t block = 0; block < vhdx->block_count; block++) {
        uint64_t index = vhdx_bat_index(vhdx, block), entry = 0;
        gboolean ok;

        g_mutex_lock(&vhdx->blocks.lock);
        ok = vhdx_bat_get(vhdx, index, &entry, error);
        g_mutex_unlock(&vhdx->blocks.lock);
        if (!ok)
            return FALSE;
        if (VHDX_STATE(entry) != VHDX_PARTIAL)
            continue;
        if (!cst_blocks_fill_block(&vhdx->blocks, block * vhdx->blocks.block_size, error))
            return FALSE;
        g_mutex_lock(&vhdx->blocks.lock);
        ok = vhdx_relieve(vhdx, error) &&
             vhdx_bat_set(vhdx, index, vhdx_entry(VHDX_PRESENT, VHDX_PLACE(entry)), error);
        g_mutex_unlock(&vhdx->blocks.lock);
        if (!ok)
            return FALSE;
    }
    return TRUE;
}

/* Removes all sector bitmaps. They are unused, because all blocks are complete. Lock held. */
static gboolean drop_bitmaps(Vhdx *vhdx, GError **error)
{
    for (uint64_t block = 0; block < vhdx->block_count; block += vhdx->chunk_ratio) {
        uint64_t index = vhdx_bat_bitmap_index(vhdx, block), entry = 0;

        if (!vhdx_bat_get(vhdx, index, &entry, error) ||
            (entry != 0 && (!vhdx_relieve(vhdx, error) || !vhdx_bat_set(vhdx, index, 0, error))))
            return FALSE;
    }
    return vhdx_commit(vhdx, error);
}

/* Moves the table's last entry to the locator's position. Lock held. */
static gboolean drop_locator(Vhdx *vhdx, GError **error)
{
    const VhdxLayout *layout = &vhdx->layout;
    uint64_t last = layout->metadata_offset + (uint64_t)layout->entries * ENTRY_LEN;
    uint8_t entry[ENTRY_LEN], none[ENTRY_LEN] = {0}, count[2], flags[4];

    cst_put_le16(count, (uint16_t)(layout->entries - 1));
    cst_put_le32(flags, layout->flags & ~VHDX_FLAG_PARENT);
    return vhdx_pages_read(vhdx->pages, last, entry, ENTRY_LEN, error) &&
           vhdx_pages_write(vhdx->pages, layout->parent_entry, entry, ENTRY_LEN, error) &&
           vhdx_pages_write(vhdx->pages, last, none, ENTRY_LEN, error) &&
           vhdx_pages_write(vhdx->pages, layout->metadata_offset + 10, count, 2, error) &&
           vhdx_pages_write(vhdx->pages, layout->flags_at, flags, 4, error) &&
           vhdx_empty_log(vhdx, error);
}

static gboolean base_on_nothing(Vhdx *vhdx, GError **error)
{
    gboolean ok;

    g_mutex_lock(&vhdx->blocks.lock);
    ok = vhdx_begin_writing(vhdx, error);
    g_mutex_unlock(&vhdx->blocks.lock);
    if (!ok || !complete_blocks(vhdx, error))
        return FALSE;
    g_mutex_lock(&vhdx->blocks.lock);
    ok = vhdx_commit(vhdx, error) && drop_bitmaps(vhdx, error) && drop_locator(vhdx, error);
    g_mutex_unlock(&vhdx->blocks.lock);
    return ok;
}

/* Lock held. Both linkages stay valid until every reader finds the new name. */
static gboolean change_parent(Vhdx *vhdx, const char *name, const uint8_t *linkage, GError **error)
{
    const CstUuid old = vhdx->layout.linkage;
    VhdxParent new = {0};

    vhdx_parent_name(&new, name);
    if (!vhdx_relink(vhdx, old.bytes, linkage, error))
        return FALSE;
    /* a zero linkage accepts any parent and is kept */
    if (!cst_uuid_is_zero(&old)) {
        memcpy(new.linkage.bytes, linkage, 16);
        new.linkage2 = old;
    }
    if (!write_locator(vhdx, &new, error))
        return FALSE;
    return vhdx_relink(vhdx, linkage, NULL, error);
}

gboolean vhdx_set_backing(CstImage *image, const char *name, const char *format, CstImage *parent,
                          GError **error)
{
    static const uint8_t unknown[16];
    Vhdx *vhdx = vhdx_of(image);
    gboolean ok;

    if (name && (strcmp(format, "vhdx") != 0 || !vhdx->is_diff))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("only a differencing VHDX image can be based on another one, which must "
                          "be a VHDX image"));
    if (!vhdx->is_diff)
        return TRUE;
    if (!name)
        return base_on_nothing(vhdx, error);
    g_mutex_lock(&vhdx->blocks.lock);
    ok = change_parent(vhdx, name, parent ? vhdx_of(parent)->header.data_write : unknown, error);
    g_mutex_unlock(&vhdx->blocks.lock);
    return ok;
}

/* --- dropping all blocks ---------------------------------------------------------------------- */

static gboolean block_forget(Vhdx *vhdx, uint64_t index, uint64_t entry, gpointer data,
                             GError **error)
{
    return cst_task_check(data, error) && vhdx_relieve(vhdx, error) &&
           vhdx_bat_set(vhdx, index, 0, error);
}

static gboolean is_bitmap(const Vhdx *vhdx, uint64_t index)
{
    return index % (vhdx->chunk_ratio + 1) == vhdx->chunk_ratio;
}

/* Sector bitmaps stay until no block of their chunk needs them. The second walk removes them. */
static gboolean forget_block(Vhdx *vhdx, uint64_t index, uint64_t entry, gpointer data,
                             GError **error)
{
    return is_bitmap(vhdx, index) || block_forget(vhdx, index, entry, data, error);
}

gboolean vhdx_empty(CstImage *image, CstTask *task, GError **error)
{
    Vhdx *vhdx = vhdx_of(image);
    uint64_t entries = vhdx_bat_entries(vhdx->layout.capacity, vhdx->layout.block_size,
                                        vhdx->layout.sector_size, vhdx->is_diff);
    gboolean ok;

    if (!vhdx->is_diff)
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' has no backing image"), vhdx->file->name);
    g_mutex_lock(&vhdx->blocks.lock);
    ok = vhdx_begin_writing(vhdx, error) && vhdx_commit(vhdx, error) &&
         vhdx_bat_walk(vhdx, 0, entries, forget_block, task, error) && vhdx_commit(vhdx, error) &&
         vhdx_bat_walk(vhdx, 0, entries, block_forget, task, error) && vhdx_empty_log(vhdx, error);
    g_mutex_unlock(&vhdx->blocks.lock);
    return ok;
}
