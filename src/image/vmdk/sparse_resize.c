/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Grows, shrinks and preallocates a hosted sparse extent.
 *
 * Growing first clears leftover entries and data beyond the old end. Directories that need more
 * entries are copied to the end of the file, followed by the new tables. Then one write of the
 * header switches to the new size and directories, and the old directories are zeroed.
 *
 * Shrinking clears the entries beyond the new end in batches. The grains of a batch are freed once
 * the cleared entries are durable. The header is written after that; until then the range reads as
 * zeroes. The file is truncated last.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "create.h"
#include "space.h"
#include "sparse.h"

/* Number of entries that are cleared before their grains are freed. */
#define BATCH 65536u

/* --- dropping grains -------------------------------------------------------------------------- */

/* Frees grains that no entry refers to. Adjacent grains are freed with one call. */
static gboolean give_back(VmdkSparse *sparse, GArray *sectors, GError **error)
{
    uint64_t grain = sparse->header.grain;

    for (guint i = 0; i < sectors->len;) {
        uint64_t first = g_array_index(sectors, uint32_t, i), end = first + grain;

        for (i++; i < sectors->len && g_array_index(sectors, uint32_t, i) == end; i++)
            end += grain;
        if (!cst_blocks_zero_host(&sparse->blocks, first * VMDK_SECTOR, (end - first) * VMDK_SECTOR,
                                  CST_ZERO_MAY_UNMAP, error))
            return FALSE;
    }
    g_array_set_size(sectors, 0);
    return TRUE;
}

/* Lock held. */
static gboolean clear_entry(VmdkSparse *sparse, uint64_t grain, uint32_t entry, GArray *freed,
                            GError **error)
{
    gboolean holds = FALSE;

    if ((entry != VMDK_GTE_ZERO && !vmdk_sparse_holds(sparse, grain, entry, &holds, error)) ||
        !vmdk_tables_set(sparse->tables, grain, 0, error))
        return FALSE;
    if (holds)
        g_array_append_val(freed, entry);
    return TRUE;
}

/* Clears entries of [*grain, @end) until @freed is full, and moves *grain past them. */
static gboolean forget_some(VmdkSparse *sparse, uint64_t *grain, uint64_t end, GArray *freed,
                            GError **error)
{
    gboolean ok = TRUE;

    g_mutex_lock(&sparse->blocks.lock);
    while (ok && *grain < end && freed->len < BATCH) {
        uint64_t count = 0;
        uint32_t entry = 0;

        ok = vmdk_tables_get(sparse->tables, *grain, end - *grain, &entry, &count, error);
        if (ok && entry != 0) {
            count = 1;
            ok = clear_entry(sparse, *grain, entry, freed, error);
        }
        *grain += count;
    }
    g_mutex_unlock(&sparse->blocks.lock);
    return ok;
}

static gboolean forget_grains(VmdkSparse *sparse, uint64_t grain, uint64_t end, CstTask *task,
                              GError **error)
{
    g_autoptr(GArray) freed = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    while (grain < end)
        if (!cst_task_check(task, error) || !forget_some(sparse, &grain, end, freed, error) ||
            !cst_blocks_write_through(&sparse->blocks, error) || !give_back(sparse, freed, error))
            return FALSE;
    return TRUE;
}

/*
 * Zeroes the last grain beyond @length, so that old data does not become visible when the disk
 * grows.
 */
static gboolean zero_tail(VmdkSparse *sparse, uint64_t length, GError **error)
{
    CstBlocks *blocks = &sparse->blocks;
    uint64_t tail = -length & (blocks->block_size - 1);
    gboolean ok;
    CstRun run;

    if (tail == 0)
        return TRUE;
    g_mutex_lock(&blocks->lock);
    ok = blocks->ops->map(blocks, length - 1, 1, &run, error);
    g_mutex_unlock(&blocks->lock);
    return ok && (run.kind != CST_RUN_DATA ||
                  cst_blocks_zero_host(blocks, run.host + 1, tail, CST_ZERO_MAY_UNMAP, error));
}

/* --- the header ------------------------------------------------------------------------------- */

/* Makes @header the active one in memory; on failure the old header stays. */
static gboolean sparse_adopt_header(VmdkSparse *sparse, const VmdkHeader *header, GError **error)
{
    VmdkHeader old = sparse->header;

    sparse->header = *header;
    if (!vmdk_sparse_reset_tables(sparse, error)) {
        sparse->header = old;
        return FALSE;
    }
    sparse->blocks.image.capacity = header->capacity * VMDK_SECTOR;
    return TRUE;
}

static gboolean write_header(VmdkSparse *sparse, GError **error)
{
    return cst_blocks_write_through(&sparse->blocks, error) &&
           vmdk_write_header(sparse->blocks.blob, &sparse->header, error) &&
           cst_blocks_barrier(&sparse->blocks, error);
}

/* --- shrinking -------------------------------------------------------------------------------- */

/* Finds the end of the last used sector. */
static gboolean find_end(VmdkSparse *sparse, uint64_t *ret_end, GError **error)
{
    const VmdkHeader *header = &sparse->header;
    uint64_t grains = cst_div_up(header->capacity, header->grain), count = 0;
    uint64_t end = MAX(header->overhead, header->gd + vmdk_header_directory_len(header));
    uint32_t entry = 0, place = 0, redundant = 0;

    if (header->flags & VMDK_FLAG_REDUNDANT)
        end = MAX(end, header->rgd + vmdk_header_directory_len(header));
    for (uint64_t i = 0; i < vmdk_header_tables(header); i++) {
        if (!vmdk_tables_places(sparse->tables, i, &place, &redundant, error))
            return FALSE;
        end = MAX(end, MAX(place, redundant) + vmdk_header_table_len(header));
    }
    for (uint64_t grain = 0; grain < grains; grain += count) {
        if (!vmdk_tables_get(sparse->tables, grain, grains - grain, &entry, &count, error))
            return FALSE;
        if (entry > VMDK_GTE_ZERO)
            end = MAX(end, entry + header->grain);
    }
    *ret_end = cst_div_up(end, header->grain) * header->grain;
    return TRUE;
}

static gboolean cut_file(VmdkSparse *sparse, GError **error)
{
    g_autoptr(GError) why = NULL;
    uint64_t end = 0, size = 0;

    if (!find_end(sparse, &end, error) || !cst_blob_get_size(sparse->blocks.blob, &size, error))
        return FALSE;
    sparse->end = end * VMDK_SECTOR;
    if (sparse->end >= size || cst_blob_resize(sparse->blocks.blob, sparse->end, &why) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Directories keep their places; the space that they no longer need is freed. */
static gboolean trim_directories(VmdkSparse *sparse, uint64_t old_sectors, GError **error)
{
    const VmdkHeader *header = &sparse->header;
    uint64_t sectors = vmdk_header_directory_len(header);
    uint64_t skip = sectors * VMDK_SECTOR, length = (old_sectors - sectors) * VMDK_SECTOR;

    return cst_blocks_zero_host(&sparse->blocks, header->gd * VMDK_SECTOR + skip, length,
                                CST_ZERO_MAY_UNMAP, error) &&
           (!(header->flags & VMDK_FLAG_REDUNDANT) ||
            cst_blocks_zero_host(&sparse->blocks, header->rgd * VMDK_SECTOR + skip, length,
                                 CST_ZERO_MAY_UNMAP, error));
}

static gboolean sparse_shrink(VmdkSparse *sparse, uint64_t length, CstTask *task, GError **error)
{
    uint64_t size = sparse->blocks.block_size;
    uint64_t grains = cst_div_up(sparse->header.capacity, sparse->header.grain);
    uint64_t directory = vmdk_header_directory_len(&sparse->header);
    VmdkHeader header = sparse->header;

    /* the size is written last; until then the guest reads zeroes in the removed range */
    if (!zero_tail(sparse, length, error) ||
        !forget_grains(sparse, cst_div_up(length, size), grains, task, error))
        return FALSE;
    header.capacity = length / VMDK_SECTOR;
    return sparse_adopt_header(sparse, &header, error) && write_header(sparse, error) &&
           trim_directories(sparse, directory, error) && cut_file(sparse, error);
}

/* --- growing ---------------------------------------------------------------------------------- */

static gboolean copy_directory(VmdkSparse *sparse, uint64_t from, uint64_t to, GError **error)
{
    return cst_blocks_copy_host(&sparse->blocks, from * VMDK_SECTOR, to * VMDK_SECTOR,
                                vmdk_header_tables(&sparse->header) * 4, error);
}

/*
 * Directories that need more space move to the end of the file, before the new tables. They are
 * unused until the header refers to them.
 */
static gboolean move_directories(VmdkSparse *sparse, VmdkHeader *header, GError **error)
{
    uint64_t old = vmdk_header_tables(&sparse->header), count = vmdk_header_tables(header) - old;
    uint64_t directory = vmdk_header_directory_len(header), len = vmdk_header_table_len(header);
    unsigned copies = header->flags & VMDK_FLAG_REDUNDANT ? 2 : 1;
    uint64_t sectors = copies * (directory + count * len), at = 0, size = 0, end;
    CstBlob *blob = sparse->blocks.blob;

    if (!vmdk_sparse_take(sparse, sectors, &at, error) || !cst_blob_get_size(blob, &size, error))
        return FALSE;
    end = sparse->end;
    if ((size > at * VMDK_SECTOR &&
         !cst_blob_zero(blob, at * VMDK_SECTOR, MIN(size, end) - at * VMDK_SECTOR,
                        CST_ZERO_MAY_UNMAP, error)) ||
        (size < end && !cst_blob_resize(blob, end, error)))
        return FALSE;
    header->gd = at;
    at += directory;
    if (!copy_directory(sparse, sparse->header.gd, header->gd, error) ||
        !vmdk_write_directory(blob, header->gd, old, count, at, len, error))
        return FALSE;
    if (copies == 1)
        return TRUE;
    header->rgd = at + count * len;
    return copy_directory(sparse, sparse->header.rgd, header->rgd, error) &&
           vmdk_write_directory(blob, header->rgd, old, count, header->rgd + directory, len, error);
}

/* The added range reads as zeroes, even if a longer backing image has data in it. */
static gboolean hide_backing(VmdkSparse *sparse, uint64_t from, uint64_t to, GError **error)
{
    CstBlocks *blocks = &sparse->blocks;
    uint64_t there = blocks->backing_size - MIN(blocks->backing_size, blocks->backing_start);

    if (!blocks->backing || from >= MIN(to, there))
        return TRUE;
    return cst_blocks_zero(&blocks->image, from, MIN(to, there) - from, CST_ZERO_MAY_UNMAP, error);
}

static gboolean drop_old_directories(VmdkSparse *sparse, const VmdkHeader *old, GError **error)
{
    uint64_t length = vmdk_header_directory_len(old) * VMDK_SECTOR;

    if (old->gd == sparse->header.gd)
        return TRUE;
    return cst_blocks_zero_host(&sparse->blocks, old->gd * VMDK_SECTOR, length, CST_ZERO_MAY_UNMAP,
                                error) &&
           (!(old->flags & VMDK_FLAG_REDUNDANT) ||
            cst_blocks_zero_host(&sparse->blocks, old->rgd * VMDK_SECTOR, length,
                                 CST_ZERO_MAY_UNMAP, error));
}

/* Entries beyond the old size may exist, because other programs may have left them. */
static gboolean clear_beyond(VmdkSparse *sparse, CstTask *task, GError **error)
{
    const VmdkHeader *header = &sparse->header;
    uint64_t grains = cst_div_up(header->capacity, header->grain);
    uint64_t end = vmdk_header_tables(header) * header->gtes;

    return zero_tail(sparse, header->capacity * VMDK_SECTOR, error) &&
           forget_grains(sparse, grains, end, task, error);
}

static gboolean sparse_grow(VmdkSparse *sparse, uint64_t length, CstPreallocation preallocation,
                            CstTask *task, GError **error)
{
    VmdkHeader old = sparse->header, header = old;
    uint64_t from = old.capacity * VMDK_SECTOR;

    header.capacity = length / VMDK_SECTOR;
    if (vmdk_header_problem(&header))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' can't be as large as that"),
                        sparse->blocks.blob->name);
    if (sparse->blocks.lacks_backing)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' is opened without its backing image, whose length is needed"),
                        sparse->blocks.blob->name);
    if (!clear_beyond(sparse, task, error) ||
        (vmdk_header_tables(&header) > vmdk_header_tables(&old) &&
         !move_directories(sparse, &header, error)) ||
        !sparse_adopt_header(sparse, &header, error))
        return FALSE;
    if (hide_backing(sparse, from, length, error) &&
        (preallocation == CST_PREALLOC_OFF ||
         vmdk_sparse_preallocate(sparse, from, length - from, preallocation, task, error)) &&
        write_header(sparse, error))
        return drop_old_directories(sparse, &old, error);
    sparse_adopt_header(sparse, &old, NULL);
    return FALSE;
}

/* --- preallocation ---------------------------------------------------------------------------- */

/* Allocates the grain at @offset. */
static gboolean place_grain(VmdkSparse *sparse, uint64_t offset, uint64_t length, CstRun *run,
                            gboolean *ret_is_new, GError **error)
{
    CstBlocks *blocks = &sparse->blocks;
    gboolean ok;

    g_mutex_lock(&blocks->lock);
    ok = blocks->ops->map(blocks, offset, length, run, error);
    g_mutex_unlock(&blocks->lock);
    if (!ok)
        return FALSE;
    *ret_is_new = run->kind == CST_RUN_ZERO;
    if (!*ret_is_new)
        return TRUE;
    if (!cst_blocks_write_zeroes(blocks, offset, length, CST_ZERO_MAY_UNMAP, error))
        return FALSE;
    g_mutex_lock(&blocks->lock);
    ok = blocks->ops->map(blocks, offset, length, run, error);
    g_mutex_unlock(&blocks->lock);
    return ok;
}

gboolean vmdk_sparse_preallocate(VmdkSparse *sparse, uint64_t offset, uint64_t length,
                                 CstPreallocation preallocation, CstTask *task, GError **error)
{
    CstBlocks *blocks = &sparse->blocks;
    uint64_t end = offset + length, host = 0, pending = 0;

    while (offset < end) {
        uint64_t n = MIN(end - offset, blocks->block_size - offset % blocks->block_size);
        gboolean is_new = FALSE;
        CstRun run;

        if (!cst_task_check(task, error) || !place_grain(sparse, offset, n, &run, &is_new, error))
            return FALSE;
        /* reserved in long pieces, to avoid fragments of the file */
        if (pending > 0 && (!is_new || run.host != host + pending || pending >= 64 * CST_MIB)) {
            if (!cst_space_preallocate(blocks->blob, host, pending, preallocation, task, error))
                return FALSE;
            pending = 0;
        }
        if (pending == 0)
            host = run.host;
        if (is_new)
            pending += n;
        offset += n;
    }
    return pending == 0 ||
           cst_space_preallocate(blocks->blob, host, pending, preallocation, task, error);
}

gboolean vmdk_sparse_resize(VmdkExtent *extent, uint64_t length, CstPreallocation preallocation,
                            CstTask *task, GError **error)
{
    VmdkSparse *sparse = vmdk_sparse_of(extent);
    uint64_t now = sparse->header.capacity * VMDK_SECTOR;

    if (length < now ? !sparse_shrink(sparse, length, task, error)
                     : length > now && !sparse_grow(sparse, length, preallocation, task, error))
        return FALSE;
    extent->length = length;
    return TRUE;
}
