/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Caches for grain directories and grain tables, see tables.h. Directories are CstTables. Whole
 * grain tables are pages keyed by their index; their redundant copy is the page's mirror. Every
 * place is checked against file and metadata before it is read or written. Grain tables are written
 * first, then after a barrier the redundant directory and the primary one.
 */
#include "tables.h"

#include <base/error.h>
#include <base/i18n.h>

#include "bytes.h"
#include "page_cache.h"
#include "table.h"

#define MAX_TABLES 512u

struct VmdkTables {
    CstBlob *blob;
    const VmdkHeader *header;
    CstTable *directory;
    CstTable *redundant;        /* NULL: no redundant directory */
    CstPageCache *grain_tables; /* whole tables; keys: indices of the directory */
    void *owner;
};

static gboolean tables_corrupt(const VmdkTables *t, GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), t->blob->name, what);
}

static size_t table_bytes(const VmdkTables *t)
{
    return t->header->gtes * sizeof(uint32_t);
}

static gboolean open_directory(VmdkTables *t, uint64_t sector, const CstPageCacheHooks *hooks,
                               CstTable **ret_table, GError **error)
{
    uint64_t entries = vmdk_header_tables(t->header), size = 0;

    if (!cst_blob_get_size(t->blob, &size, error))
        return FALSE;
    size = MIN(size, VMDK_FILE_SECTORS * VMDK_SECTOR);
    if (sector == 0 || sector > size / VMDK_SECTOR || entries * 4 > size - sector * VMDK_SECTOR)
        return tables_corrupt(t, error, _("the grain directory lies outside the file"));
    *ret_table =
        cst_table_new(t->blob, sector * VMDK_SECTOR, entries, FALSE, hooks->spill, hooks->owner);
    return TRUE;
}

VmdkTables *vmdk_tables_new(CstBlob *blob, const VmdkHeader *header,
                            gboolean (*spill)(void *owner, GError **error), void *owner,
                            GError **error)
{
    CstPageCacheHooks hooks = {.spill = spill, .owner = owner};
    VmdkTables *t = g_new0(VmdkTables, 1);

    t->blob = blob;
    t->header = header;
    t->owner = owner;
    t->grain_tables = cst_page_cache_new(blob, table_bytes(t), MAX_TABLES, &hooks);
    if (!open_directory(t, header->gd, &hooks, &t->directory, error) ||
        ((header->flags & VMDK_FLAG_REDUNDANT) &&
         !open_directory(t, header->rgd, &hooks, &t->redundant, error))) {
        vmdk_tables_free(t);
        return NULL;
    }
    return t;
}

void vmdk_tables_free(VmdkTables *tables)
{
    if (!tables)
        return;
    cst_page_cache_free(tables->grain_tables);
    cst_table_free(tables->directory);
    cst_table_free(tables->redundant);
    g_free(tables);
}

/* --- finding tables -------------------------------------------------------------------------- */

gboolean vmdk_tables_place_holds(VmdkTables *tables, uint32_t place, gboolean *ret_holds,
                                 GError **error)
{
    uint64_t size = 0;

    if (!cst_blob_get_size(tables->blob, &size, error))
        return FALSE;
    *ret_holds =
        place * UINT64_C(512) < size && table_bytes(tables) <= size - place * UINT64_C(512) &&
        !vmdk_header_hits_metadata(tables->header, place, vmdk_header_table_len(tables->header));
    return TRUE;
}

gboolean vmdk_tables_places(VmdkTables *tables, uint64_t index, uint32_t *ret_place,
                            uint32_t *ret_redundant, GError **error)
{
    *ret_redundant = 0;
    return cst_table_get(tables->directory, index, ret_place, error) &&
           (!tables->redundant || cst_table_get(tables->redundant, index, ret_redundant, error));
}

/* A copy without a place (0) is not written. */
static CstPageId page_id(const VmdkTables *t, uint64_t index, uint32_t place, uint32_t redundant)
{
    return (CstPageId){.key = index,
                       .offset = place * UINT64_C(512),
                       .mirror = redundant * UINT64_C(512),
                       .length = (uint32_t)table_bytes(t)};
}

/* Finds table @index; *ret_table is NULL if the table does not exist. */
static gboolean find_table(VmdkTables *t, uint64_t index, CstPage **ret_table, GError **error)
{
    uint32_t place = 0, redundant = 0;
    gboolean holds = FALSE;
    CstPageId id;

    *ret_table = cst_page_cache_find(t->grain_tables, index, 0);
    if (*ret_table)
        return TRUE;
    if (!vmdk_tables_places(t, index, &place, &redundant, error))
        return FALSE;
    if (place == 0)
        return TRUE;
    if (!vmdk_tables_place_holds(t, place, &holds, error))
        return FALSE;
    if (!holds)
        return tables_corrupt(t, error,
                              _("a grain table lies outside the file or over other tables"));
    id = page_id(t, index, place, redundant);
    *ret_table = cst_page_cache_get(t->grain_tables, &id, error);
    return *ret_table != NULL;
}

/* --- entries --------------------------------------------------------------------------------- */

static gboolean is_run(const VmdkTables *t, uint32_t entry)
{
    return entry == 0 ||
           (entry == VMDK_GTE_ZERO && (t->header->flags & VMDK_FLAG_ZERO_GRAINS) != 0);
}

static uint32_t entry_of(const CstPage *table, uint32_t at)
{
    return cst_le32(table->data + (size_t)at * 4);
}

gboolean vmdk_tables_get(VmdkTables *tables, uint64_t grain, uint64_t limit, uint32_t *ret_entry,
                         uint64_t *ret_count, GError **error)
{
    uint32_t at = (uint32_t)(grain % tables->header->gtes), entry = 0;
    uint32_t end = (uint32_t)MIN(tables->header->gtes, at + limit), next = at + 1;
    CstPage *table = NULL;

    if (!find_table(tables, grain / tables->header->gtes, &table, error))
        return FALSE;
    if (!table) {
        *ret_entry = 0;
        *ret_count = end - at;
        return TRUE;
    }
    entry = entry_of(table, at);
    while (is_run(tables, entry) && next < end && entry_of(table, next) == entry)
        next++;
    *ret_entry = entry;
    *ret_count = next - at;
    return TRUE;
}

gboolean vmdk_tables_has(VmdkTables *tables, uint64_t grain, gboolean *ret_has, GError **error)
{
    CstPage *table = NULL;

    if (!find_table(tables, grain / tables->header->gtes, &table, error))
        return FALSE;
    *ret_has = table != NULL;
    return TRUE;
}

gboolean vmdk_tables_add(VmdkTables *tables, uint64_t grain, uint32_t place, GError **error)
{
    uint32_t redundant = place + (uint32_t)vmdk_header_table_len(tables->header);
    uint64_t index = grain / tables->header->gtes;
    CstPageId id = page_id(tables, index, place, tables->redundant ? redundant : 0);

    /* made dirty before the directory, so that it is never written after the directory */
    if (!cst_page_cache_add(tables->grain_tables, &id, error))
        return FALSE;
    if (vmdk_tables_move(tables, index, place, redundant, error))
        return TRUE;
    cst_page_cache_drop(tables->grain_tables, index, 0); /* no entry refers to it */
    return FALSE;
}

/* Both copies of a table are written, so the redundant copy must have a valid place of its own. */
static gboolean check_redundant(VmdkTables *tables, const CstPage *table, GError **error)
{
    uint32_t redundant = (uint32_t)(table->id.mirror / 512);
    gboolean holds = FALSE;

    if (!tables->redundant || cst_page_is_dirty(table))
        return TRUE;
    if (redundant != 0 && table->id.mirror != table->id.offset &&
        !vmdk_tables_place_holds(tables, redundant, &holds, error))
        return FALSE;
    return holds ||
           tables_corrupt(tables, error,
                          _("the redundant grain directory is wrong and must be repaired first"));
}

gboolean vmdk_tables_set(VmdkTables *tables, uint64_t grain, uint32_t entry, GError **error)
{
    CstPage *table = NULL;

    if (!find_table(tables, grain / tables->header->gtes, &table, error))
        return FALSE;
    if (!table)
        return tables_corrupt(tables, error, _("a grain table is missing"));
    if (!check_redundant(tables, table, error))
        return FALSE;
    cst_put_le32(table->data + grain % tables->header->gtes * 4, entry);
    return cst_page_cache_dirty(tables->grain_tables, table, error);
}

gboolean vmdk_tables_move(VmdkTables *tables, uint64_t index, uint32_t place, uint32_t redundant,
                          GError **error)
{
    return (!tables->redundant || cst_table_set(tables->redundant, index, redundant, error)) &&
           cst_table_set(tables->directory, index, place, error);
}

/* --- writing --------------------------------------------------------------------------------- */

static gboolean directory_is_dirty(const VmdkTables *t)
{
    return cst_table_is_dirty(t->directory) || (t->redundant && cst_table_is_dirty(t->redundant));
}

gboolean vmdk_tables_are_dirty(const VmdkTables *tables)
{
    return cst_page_cache_dirty_count(tables->grain_tables, 0) > 0 || directory_is_dirty(tables);
}

gboolean vmdk_tables_write(VmdkTables *tables, gboolean (*barrier)(void *owner, GError **error),
                           GError **error)
{
    if (!cst_page_cache_write(tables->grain_tables, 0, error))
        return FALSE;
    if (!directory_is_dirty(tables))
        return TRUE;
    return barrier(tables->owner, error) &&
           (!tables->redundant || cst_table_write(tables->redundant, error)) &&
           cst_table_write(tables->directory, error);
}
