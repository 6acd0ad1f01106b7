/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Maps offsets of a hosted sparse extent to its file, and allocates: its CstBlocksOps. Grains and
 * tables are allocated at the end of the file. A missing table is created with the first grain that
 * needs it. The write order is described in sparse.h.
 */
#include "sparse.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

static VmdkSparse *sparse_of(CstBlocks *blocks)
{
    return (VmdkSparse *)blocks;
}

gboolean(vmdk_sparse_corrupt)(const VmdkSparse *sparse, GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), sparse->blocks.blob->name,
                    what);
}

/* --- places of grains; lock held -------------------------------------------------------------- */

gboolean vmdk_sparse_holds(const VmdkSparse *sparse, uint64_t grain, uint32_t sector,
                           gboolean *ret_holds, GError **error)
{
    uint64_t start = grain * sparse->header.grain, size = 0;
    uint64_t used = MIN(sparse->header.grain, sparse->header.capacity - start);

    if (!cst_blob_get_size(sparse->blocks.blob, &size, error))
        return FALSE;
    *ret_holds = sector + used <= cst_div_up(size, VMDK_SECTOR) &&
                 !vmdk_header_hits_metadata(&sparse->header, sector, used);
    return TRUE;
}

gboolean vmdk_sparse_map(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                         GError **error)
{
    VmdkSparse *sparse = sparse_of(blocks);
    uint64_t grain = offset / blocks->block_size, count = 0;
    uint32_t entry = 0;
    CstRun run = {CST_RUN_ZERO, length, 0};
    gboolean holds = FALSE;

    if (!vmdk_tables_get(sparse->tables, grain, 1, &entry, &count, error))
        return FALSE;
    if (entry == 0 && (blocks->backing || blocks->lacks_backing)) {
        run.kind = CST_RUN_BACKING;
    } else if (entry == VMDK_GTE_ZERO && (sparse->header.flags & VMDK_FLAG_ZERO_GRAINS)) {
        run.kind = CST_RUN_ZERO;
    } else if (entry != 0) {
        if (!vmdk_sparse_holds(sparse, grain, entry, &holds, error))
            return FALSE;
        if (!holds)
            return vmdk_sparse_corrupt(sparse, error,
                                       _("a grain lies outside the file or over its tables"));
        run.kind = CST_RUN_DATA;
        run.host = (uint64_t)entry * VMDK_SECTOR + offset % blocks->block_size;
    }
    *ret_run = run;
    return TRUE;
}

gboolean vmdk_sparse_take(VmdkSparse *sparse, uint64_t sectors, uint64_t *ret_sector,
                          GError **error)
{
    uint64_t bytes = cst_div_up(sectors, sparse->header.grain) * sparse->blocks.block_size;

    if (bytes > VMDK_FILE_SECTORS * VMDK_SECTOR - MIN(sparse->end, VMDK_FILE_SECTORS * VMDK_SECTOR))
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("'%s' is full: the file of a VMDK extent can't be longer than 2 TiB"),
                        sparse->blocks.blob->name);
    *ret_sector = sparse->end / VMDK_SECTOR;
    sparse->end += bytes;
    return TRUE;
}

/* Images made by other programs may lack grain tables. */
static gboolean ensure_table(VmdkSparse *sparse, uint64_t grain, GError **error)
{
    uint64_t sector = 0;
    gboolean has = FALSE;

    if (!vmdk_tables_has(sparse->tables, grain, &has, error))
        return FALSE;
    return has ||
           (vmdk_sparse_take(sparse, 2 * vmdk_header_table_len(&sparse->header), &sector, error) &&
            vmdk_tables_add(sparse->tables, grain, (uint32_t)sector, error));
}

static gboolean sparse_place(CstBlocks *blocks, CstStep *step, GError **error)
{
    VmdkSparse *sparse = sparse_of(blocks);
    uint64_t grain = step->offset / blocks->block_size, sector = 0, size = 0;
    CstRun run;

    if (!vmdk_sparse_map(blocks, step->offset, step->length, &run, error) ||
        !ensure_table(sparse, grain, error) || !cst_blob_get_size(blocks->blob, &size, error) ||
        !vmdk_sparse_take(sparse, sparse->header.grain, &sector, error))
        return FALSE;
    step->place = sector;
    step->host = sector * VMDK_SECTOR + step->offset % blocks->block_size;
    step->unit = blocks->block_size;
    step->is_new = TRUE;
    step->backed = run.kind == CST_RUN_BACKING;
    step->fresh = sector * VMDK_SECTOR >= size && !step->backed;
    step->block_end = sector * VMDK_SECTOR + blocks->block_size;
    return TRUE;
}

static gboolean sparse_link(CstBlocks *blocks, const CstStep *step, GError **error)
{
    return vmdk_tables_set(sparse_of(blocks)->tables, step->offset / blocks->block_size,
                           (uint32_t)step->place, error);
}

static void sparse_take_back(CstBlocks *blocks, const CstStep *step)
{
    VmdkSparse *sparse = sparse_of(blocks);

    /* a grain that is not the last one becomes a leak */
    if (step->place * VMDK_SECTOR + blocks->block_size == sparse->end)
        sparse->end -= blocks->block_size;
}

static gboolean sparse_hide(CstBlocks *blocks, uint64_t offset, gboolean *ret_done, GError **error)
{
    VmdkSparse *sparse = sparse_of(blocks);
    uint64_t grain = offset / blocks->block_size;

    if (!(sparse->header.flags & VMDK_FLAG_ZERO_GRAINS))
        return TRUE;
    *ret_done = TRUE;
    return ensure_table(sparse, grain, error) &&
           vmdk_tables_set(sparse->tables, grain, VMDK_GTE_ZERO, error);
}

static gboolean sparse_barrier(void *owner, GError **error)
{
    return cst_blocks_barrier(owner, error);
}

static gboolean sparse_sync(CstBlocks *blocks, GError **error)
{
    VmdkSparse *sparse = sparse_of(blocks);

    return !vmdk_tables_are_dirty(sparse->tables) ||
           (cst_blocks_barrier(blocks, error) &&
            vmdk_tables_write(sparse->tables, sparse_barrier, error));
}

const CstBlocksOps vmdk_sparse_blocks = {
    .map = vmdk_sparse_map,
    .place = sparse_place,
    .link = sparse_link,
    .take_back = sparse_take_back,
    .hide = sparse_hide,
    .sync = sparse_sync,
};

/* --- opening --------------------------------------------------------------------------------- */

gboolean vmdk_sparse_reset_tables(VmdkSparse *sparse, GError **error)
{
    VmdkTables *tables = vmdk_tables_new(sparse->blocks.blob, &sparse->header, cst_blocks_spill,
                                         &sparse->blocks, error);

    if (!tables)
        return FALSE;
    vmdk_tables_free(sparse->tables);
    sparse->tables = tables;
    return TRUE;
}

gboolean vmdk_sparse_write_back(VmdkExtent *extent, GError **error)
{
    return cst_blocks_write_back(&vmdk_sparse_of(extent)->blocks, error);
}
