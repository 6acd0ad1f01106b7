/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Maps guest clusters to the file, for blocks.c. A new cluster is entered into the cached tables
 * after its data is written; the next sync writes the tables after a barrier. All functions run
 * with the lock of CstBlocks held, except the functions that decompress.
 */
#include "levels.h"

#include <string.h>

#include <base/alloc.h>
#include <base/i18n.h>
#include <base/units.h>

#include "inflate.h"

#define MAX_STEPS 4096u /* clusters examined for one run */

/* --- entries ---------------------------------------------------------------------------------- */

static gboolean overlaps_metadata(const CstLevels *levels, uint64_t host)
{
    uint64_t end = host + levels->cluster_size, l1_end = levels->l1_offset + levels->l1_entries * 8;

    return host < levels->header.length || (host < l1_end && levels->l1_offset < end);
}

static gboolean check_place(const CstLevels *levels, const CstLevelsEntry *entry, GError **error)
{
    uint64_t size = 0;

    if (entry->kind != CST_RUN_DATA && entry->kind != CST_RUN_PACKED)
        return TRUE;
    if (!cst_blob_get_size(levels->blocks.blob, &size, error))
        return FALSE;
    if (entry->host >= size)
        return cst_levels_corrupt(levels, error, _("data lies outside the file"));
    if (!cst_levels_is_read_only(levels) && entry->kind == CST_RUN_DATA &&
        overlaps_metadata(levels, entry->host))
        return cst_levels_corrupt(levels, error, _("data lies over other parts of the image"));
    return TRUE;
}

gboolean cst_levels_find(CstLevels *levels, uint64_t index, CstLevelsEntry *ret_entry,
                         uint64_t *ret_count, GError **error)
{
    uint64_t inside = index % levels->l2_entries, table = 0, raw = 0;
    CstLevelsEntry entry;

    if (!cst_levels_l1_get(levels, index / levels->l2_entries, &table, error))
        return FALSE;
    if (table != 0 && !cst_levels_l2_get(levels, table, inside, &raw, error))
        return FALSE;
    if (!cst_levels_decode(levels, raw, &entry))
        return cst_levels_corrupt(levels, error, _("an L2 entry is damaged"));
    if (entry.kind == CST_RUN_BACKING && !levels->blocks.backing && !levels->blocks.lacks_backing)
        entry.kind = CST_RUN_ZERO;
    if (!check_place(levels, &entry, error))
        return FALSE;
    *ret_entry = entry;
    *ret_count = table != 0 ? 1 : levels->l2_entries - inside;
    return TRUE;
}

gboolean cst_levels_enter(CstLevels *levels, uint64_t index, uint64_t raw, GError **error)
{
    uint64_t table = 0, l1_index = index / levels->l2_entries;

    return cst_levels_l1_get(levels, l1_index, &table, error) &&
           (table != 0 || cst_levels_new_table(levels, l1_index, &table, error)) &&
           cst_levels_l2_set(levels, table, index % levels->l2_entries, raw, error);
}

/* --- runs ------------------------------------------------------------------------------------- */

static gboolean goes_on(const CstLevels *levels, const CstLevelsEntry *first,
                        const CstLevelsEntry *next, uint64_t clusters)
{
    if (next->kind != first->kind || first->kind == CST_RUN_PACKED)
        return FALSE;
    return first->kind != CST_RUN_DATA ||
           next->host == first->host + clusters * levels->cluster_size;
}

static gboolean levels_map(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                           GError **error)
{
    CstLevels *levels = (CstLevels *)blocks;
    uint64_t index = offset / levels->cluster_size, inside = offset % levels->cluster_size;
    uint64_t last = (offset + length - 1) / levels->cluster_size, clusters = 0, count = 0;
    CstLevelsEntry first, next;

    if (!cst_levels_find(levels, index, &first, &clusters, error))
        return FALSE;
    for (unsigned steps = 0; index + clusters <= last && steps < MAX_STEPS; steps++) {
        /* damage in later entries is reported to a caller that reads there */
        if (!cst_levels_find(levels, index + clusters, &next, &count, NULL) ||
            !goes_on(levels, &first, &next, clusters))
            break;
        clusters += count;
    }
    *ret_run = (CstRun){first.kind, length, first.host};
    if (index + clusters <= last)
        ret_run->length = clusters * levels->cluster_size - inside;
    if (first.kind == CST_RUN_DATA)
        ret_run->host += inside;
    else if (first.kind == CST_RUN_PACKED)
        ret_run->host |= first.packed << cst_levels_length_shift(levels);
    return TRUE;
}

static gboolean unpack_cluster(const CstLevels *levels, uint64_t place, uint8_t *buf,
                               GError **error)
{
    unsigned shift = cst_levels_length_shift(levels);
    size_t len = (size_t)(place >> shift);
    g_autofree uint8_t *packed = cst_alloc(len, 1, levels->blocks.blob->name, error);

    if (!packed || !cst_blocks_read_host((CstBlocks *)&levels->blocks, packed, len,
                                         place & ((UINT64_C(1) << shift) - 1), error))
        return FALSE;
    return cst_inflate(packed, len, buf, levels->cluster_size) ||
           cst_levels_corrupt(levels, error, _("a compressed cluster is damaged"));
}

static gboolean levels_unpack(CstBlocks *blocks, const CstRun *run, uint8_t *buf, size_t len,
                              uint64_t offset, GError **error)
{
    const CstLevels *levels = (const CstLevels *)blocks;
    g_autofree uint8_t *cluster = NULL;

    if (len == levels->cluster_size)
        return unpack_cluster(levels, run->host, buf, error);
    cluster = cst_alloc(levels->cluster_size, 1, blocks->blob->name, error);
    if (!cluster || !unpack_cluster(levels, run->host, cluster, error))
        return FALSE;
    memcpy(buf, cluster + offset % levels->cluster_size, len);
    return TRUE;
}

/* --- allocation ------------------------------------------------------------------------------- */

static gboolean levels_place(CstBlocks *blocks, CstStep *step, GError **error)
{
    CstLevels *levels = (CstLevels *)blocks;
    uint64_t host = 0, count = 0, index = step->offset / levels->cluster_size;
    CstLevelsEntry entry;

    if (levels->format->begin && !levels->format->begin(levels, error))
        return FALSE;
    if (step->packed) {
        step->unit = 1;
        if (!cst_levels_alloc_packed(levels, step->length, &host, error))
            return FALSE;
        if ((host + step->length) >> cst_levels_length_shift(levels))
            return cst_fail(error, CST_ERROR_LIMIT,
                            _("'%s' is too long for more compressed clusters"), blocks->blob->name);
        step->host = host;
        step->place = CST_LEVELS_PACKED | step->length << cst_levels_length_shift(levels) | host;
        return TRUE;
    }
    if (!cst_levels_find(levels, index, &entry, &count, error) ||
        !cst_levels_alloc(levels, levels->cluster_size, &host, &step->fresh, error))
        return FALSE;
    step->backed = entry.kind == CST_RUN_BACKING || entry.kind == CST_RUN_PACKED;
    step->place = host;
    step->is_new = TRUE;
    step->unit = levels->cluster_size;
    step->host = host + step->offset % levels->cluster_size;
    step->block_end = host + levels->cluster_size;
    return TRUE;
}

static gboolean levels_link(CstBlocks *blocks, const CstStep *step, GError **error)
{
    CstLevels *levels = (CstLevels *)blocks;

    return cst_levels_enter(levels, step->offset / levels->cluster_size, step->place, error);
}

static void levels_take_back(CstBlocks *blocks, const CstStep *step)
{
    CstLevels *levels = (CstLevels *)blocks;

    if (!step->packed)
        g_array_append_val(levels->spare, step->place);
}

const CstBlocksOps cst_levels_blocks = {
    .map = levels_map,
    .unpack = levels_unpack,
    .place = levels_place,
    .link = levels_link,
    .take_back = levels_take_back,
    .sync = cst_levels_sync,
};

/* --- opening ---------------------------------------------------------------------------------- */

gboolean cst_levels_init(CstLevels *levels, const CstLevelsFormat *format, CstBlob *blob,
                         const CstImageOpen *how, uint64_t capacity, GError **error)
{
    if (!cst_blocks_init(&levels->blocks, &cst_levels_blocks, blob, how, error))
        return FALSE;
    levels->format = format;
    /* a read-only image is mapped in runs of many clusters */
    levels->blocks.block_size =
        how->flags & CST_IMAGE_WRITE ? levels->cluster_size : CST_BLOCKS_ANY_LENGTH;
    levels->blocks.image.capacity = capacity;
    levels->cache = cst_levels_new_cache(levels);
    levels->spare = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    return TRUE;
}

void cst_levels_clear(CstLevels *levels)
{
    cst_page_cache_free(levels->cache);
    g_array_unref(levels->spare);
    cst_blocks_clear(&levels->blocks);
}
