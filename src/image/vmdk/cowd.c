/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A sparse extent of an ESX server ("Virtual Disk Format 1.1", "ESX Server Sparse Extents"),
 * read-only. A grain directory refers to tables of 4096 entries; all are 32-bit sector numbers, 0
 * for no grain. The first 32 bytes of the 2 KiB header describe the extent; the rest is ignored.
 *
 * Grains are often as small as a sector. Therefore a run covers grains that are consecutive in the
 * file, or that are all missing. At most MAX_STEPS entries are examined for one run, so that a
 * single call over a large extent stays short. Damage ends a run; it is reported only to a caller
 * that reads at the damaged grain. The lock of CstBlocks guards directory and tables.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "page_cache.h"
#include "table.h"
#include "vmdk.h"

#define COWD_HEADER_LEN 32u
#define COWD_GTES       4096u
#define TABLE_BYTES     (COWD_GTES * 4)
#define MAX_TABLES      64u
#define MAX_STEPS       4096u

typedef struct {
    CstBlocks blocks;
    VmdkExtent extent;
    CstTable *directory;  /* sectors of grain tables */
    CstPageCache *tables; /* grain tables; keys: indices of the directory */
    uint64_t file_size;
    uint32_t grain; /* sectors */
} Cowd;

static Cowd *cowd_of(VmdkExtent *extent)
{
    return (Cowd *)((char *)extent - G_STRUCT_OFFSET(Cowd, extent));
}

gboolean vmdk_is_cowd(CstBlob *blob, gboolean *ret_is_cowd, GError **error)
{
    uint64_t size = 0;
    char magic[4] = "";

    if (!cst_blob_get_size(blob, &size, error) ||
        (size >= VMDK_HEADER_LEN && !cst_blob_pread(blob, magic, sizeof(magic), 0, error)))
        return FALSE;
    *ret_is_cowd = memcmp(magic, "COWD", 4) == 0;
    return TRUE;
}

/*
 * Lock held: sets *ret_entry to the entry of @grain. *ret_count is 1, or the number of grains up to
 * the end of the table if the table is missing.
 */
static gboolean get_entry(Cowd *cowd, uint64_t grain, uint32_t *ret_entry, uint64_t *ret_count,
                          GError **error)
{
    uint64_t index = grain / COWD_GTES, inside = grain % COWD_GTES;
    CstPageId id = {.key = index, .length = TABLE_BYTES};
    const CstPage *table;
    uint32_t sector = 0;

    if (!cst_table_get(cowd->directory, index, &sector, error))
        return FALSE;
    *ret_entry = 0;
    *ret_count = COWD_GTES - inside;
    if (sector == 0)
        return TRUE;
    id.offset = (uint64_t)sector * VMDK_SECTOR;
    table = cst_page_cache_get(cowd->tables, &id, error);
    if (!table)
        return FALSE;
    *ret_entry = cst_le32(table->data + inside * 4);
    *ret_count = 1;
    return (uint64_t)*ret_entry * VMDK_SECTOR < cowd->file_size ||
           cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), cowd->blocks.blob->name,
                    _("a grain lies outside the file or over its tables"));
}

static gboolean cowd_map(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                         GError **error)
{
    Cowd *cowd = (Cowd *)blocks;
    uint64_t bytes = (uint64_t)cowd->grain * VMDK_SECTOR, grain = offset / bytes;
    uint64_t last = (offset + length - 1) / bytes, grains = 0, count = 0;
    uint32_t first = 0, next = 0;

    if (!get_entry(cowd, grain, &first, &grains, error))
        return FALSE;
    for (unsigned steps = 0; grain + grains <= last && steps < MAX_STEPS; steps++) {
        if (!get_entry(cowd, grain + grains, &next, &count, NULL) ||
            next != (first == 0 ? 0 : first + grains * cowd->grain))
            break;
        grains += count;
    }
    *ret_run = (CstRun){CST_RUN_ZERO, MIN(length, (grain + grains) * bytes - offset), 0};
    if (first != 0) {
        ret_run->kind = CST_RUN_DATA;
        ret_run->host = (uint64_t)first * VMDK_SECTOR + offset % bytes;
    } else if (blocks->backing || blocks->lacks_backing) {
        ret_run->kind = CST_RUN_BACKING;
    }
    return TRUE;
}

static const CstBlocksOps cowd_blocks = {.map = cowd_map};

static gboolean cowd_pread(VmdkExtent *extent, void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    return cst_blocks_pread(&cowd_of(extent)->blocks.image, buf, len, offset, error);
}

static gboolean cowd_extent(VmdkExtent *extent, uint64_t offset, uint64_t length,
                            CstExtent *ret_extent, GError **error)
{
    return cst_blocks_extent(&cowd_of(extent)->blocks.image, offset, length, ret_extent, error);
}

static void cowd_close(VmdkExtent *extent)
{
    Cowd *cowd = cowd_of(extent);

    cst_table_free(cowd->directory);
    cst_page_cache_free(cowd->tables);
    cst_blocks_clear(&cowd->blocks);
    cst_blob_unref(extent->blob);
    g_free(cowd);
}

static const VmdkExtentOps cowd_ops = {
    .pread = cowd_pread,
    .extent = cowd_extent,
    .close = cowd_close,
};

static gboolean cowd_check(const CstBlob *blob, const uint8_t *raw, const VmdkExtentHow *how,
                           GError **error)
{
    VmdkHeader header = {.version = cst_le32(raw + 4),
                         .capacity = cst_le32(raw + 12),
                         .grain = cst_le32(raw + 16),
                         .gtes = VMDK_MAX_GTES};
    const char *problem = vmdk_header_problem(&header);

    if (how->image.flags & CST_IMAGE_WRITE)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is a sparse extent of an ESX server, which can only be read: "
                          "convert it"),
                        blob->name);
    if (cst_le32(raw + 4) != 1)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is a sparse extent of an ESX server in version %u, which is not "
                          "supported"),
                        blob->name, cst_le32(raw + 4));
    if (problem)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' can't be opened: %s"), blob->name,
                        problem);
    if (cst_le32(raw + 24) < cst_div_up(header.capacity, header.grain * COWD_GTES))
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("the grain directory of '%s' is too small for the extent"), blob->name);
    return how->length <= header.capacity * VMDK_SECTOR ||
           cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is shorter than its VMDK descriptor says"),
                    blob->name);
}

static gboolean cowd_init(Cowd *cowd, CstBlob *blob, const VmdkExtentHow *how, GError **error)
{
    uint8_t raw[COWD_HEADER_LEN];
    uint64_t length, tables;

    if (!cst_blob_pread(blob, raw, sizeof(raw), 0, error) || !cowd_check(blob, raw, how, error) ||
        !cst_blob_get_size(blob, &cowd->file_size, error) ||
        !cst_blocks_init(&cowd->blocks, &cowd_blocks, blob, &how->image, error))
        return FALSE;
    cowd->grain = cst_le32(raw + 16);
    length = how->length ? how->length : cst_le32(raw + 12) * UINT64_C(512);
    tables = cst_div_up(length, (uint64_t)cowd->grain * VMDK_SECTOR * COWD_GTES);
    cowd->directory =
        cst_table_new(blob, cst_le32(raw + 20) * UINT64_C(512), tables, FALSE, NULL, NULL);
    cowd->tables = cst_page_cache_new(blob, TABLE_BYTES, MAX_TABLES, &(CstPageCacheHooks){0});
    cowd->blocks.block_size = CST_BLOCKS_ANY_LENGTH;
    cowd->blocks.image.capacity = length;
    cowd->blocks.backing_start = how->start;
    cowd->blocks.lacks_backing = how->lacks_backing;
    cowd->extent = (VmdkExtent){&cowd_ops, blob, how->start, length, how->access};
    return TRUE;
}

VmdkExtent *vmdk_cowd_open(CstBlob *blob, const VmdkExtentHow *how, GError **error)
{
    Cowd *cowd = g_new0(Cowd, 1);

    if (cowd_init(cowd, blob, how, error))
        return &cowd->extent;
    cst_blob_unref(blob);
    g_free(cowd);
    return NULL;
}
