/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tables.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "bytes.h"
#include "table.h"

#define SLOTS 512u

typedef struct {
    uint64_t index; /* of the directory */
    uint64_t used;  /* when, in calls; 0: never */
    uint32_t place;
    uint32_t redundant;
    gboolean dirty;
    uint32_t *entries;
} Slot;

struct VmdkTables {
    CstBlob *blob;
    const VmdkHeader *header;
    CstTable *directory;
    CstTable *redundant; /* NULL: there is none */
    gboolean (*spill)(void *owner, GError **error);
    void *owner;
    Slot slots[SLOTS];
    GHashTable *places; /* index → slot; the key lies in the slot */
    Slot *last;
    unsigned dirty;
    uint64_t clock;
};

static gboolean corrupt(const VmdkTables *t, GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), t->blob->name, what);
}

static gboolean open_directory(VmdkTables *t, uint64_t sector, CstTable **ret_table, GError **error)
{
    uint64_t entries = vmdk_header_tables(t->header), size = 0;

    if (!cst_blob_get_size(t->blob, &size, error))
        return FALSE;
    size = MIN(size, VMDK_FILE_SECTORS * VMDK_SECTOR);
    if (sector == 0 || sector > size / VMDK_SECTOR || entries * 4 > size - sector * VMDK_SECTOR)
        return corrupt(t, error, _("the grain directory lies outside the file"));
    *ret_table = cst_table_new(t->blob, sector * VMDK_SECTOR, entries, FALSE, t->spill, t->owner);
    return TRUE;
}

VmdkTables *vmdk_tables_new(CstBlob *blob, const VmdkHeader *header,
                            gboolean (*spill)(void *owner, GError **error), void *owner,
                            GError **error)
{
    VmdkTables *t = g_new0(VmdkTables, 1);

    t->blob = blob;
    t->header = header;
    t->spill = spill;
    t->owner = owner;
    t->places = g_hash_table_new(g_int64_hash, g_int64_equal);
    if (!open_directory(t, header->gd, &t->directory, error) ||
        ((header->flags & VMDK_FLAG_REDUNDANT) &&
         !open_directory(t, header->rgd, &t->redundant, error))) {
        vmdk_tables_free(t);
        return NULL;
    }
    return t;
}

void vmdk_tables_free(VmdkTables *tables)
{
    if (!tables)
        return;
    for (unsigned i = 0; i < SLOTS; i++)
        g_free(tables->slots[i].entries);
    g_hash_table_unref(tables->places);
    cst_table_free(tables->directory);
    cst_table_free(tables->redundant);
    g_free(tables);
}

/* --- finding tables -------------------------------------------------------------------------- */

static size_t table_bytes(const VmdkTables *t)
{
    return t->header->gtes * sizeof(uint32_t);
}

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

/* The clean slot that has been idle longest; a fresh one is idler than any. */
static Slot *idle_slot(VmdkTables *t, GError **error)
{
    Slot *best = NULL;

    if (t->dirty == SLOTS && !t->spill(t->owner, error))
        return NULL;
    for (unsigned i = 0; i < SLOTS && !(best && best->used == 0); i++)
        if (!t->slots[i].dirty && (!best || t->slots[i].used < best->used))
            best = &t->slots[i];
    g_assert(best);
    if (t->last == best)
        t->last = NULL;
    if (best->used)
        g_hash_table_remove(t->places, &best->index);
    best->used = 0;
    if (!best->entries)
        best->entries = g_malloc(table_bytes(t));
    return best;
}

static void settle(VmdkTables *t, Slot *slot, uint64_t index)
{
    slot->index = index;
    slot->used = ++t->clock;
    g_hash_table_insert(t->places, &slot->index, slot);
    t->last = slot;
}

/* The cached table of @index. */
static Slot *find(VmdkTables *t, uint64_t index)
{
    Slot *slot = t->last && t->last->used && t->last->index == index ? t->last : NULL;

    if (!slot)
        slot = g_hash_table_lookup(t->places, &index);
    if (slot) {
        slot->used = ++t->clock;
        t->last = slot;
    }
    return slot;
}

/* The table of @index; *ret_slot is NULL where there is none. */
static gboolean slot_of(VmdkTables *t, uint64_t index, Slot **ret_slot, GError **error)
{
    Slot *slot = find(t, index);
    uint32_t place = 0, redundant = 0;
    gboolean holds = FALSE;

    *ret_slot = slot;
    if (slot)
        return TRUE;
    if (!vmdk_tables_places(t, index, &place, &redundant, error))
        return FALSE;
    if (place == 0)
        return TRUE;
    if (!vmdk_tables_place_holds(t, place, &holds, error))
        return FALSE;
    if (!holds)
        return corrupt(t, error, _("a grain table lies outside the file or over other tables"));
    slot = idle_slot(t, error);
    if (!slot ||
        !cst_blob_pread(t->blob, slot->entries, table_bytes(t), place * UINT64_C(512), error))
        return FALSE;
    slot->place = place;
    slot->redundant = redundant;
    settle(t, slot, index);
    *ret_slot = slot;
    return TRUE;
}

/* --- entries --------------------------------------------------------------------------------- */

static gboolean is_run(const VmdkTables *t, uint32_t entry)
{
    return entry == 0 ||
           (entry == VMDK_GTE_ZERO && (t->header->flags & VMDK_FLAG_ZERO_GRAINS) != 0);
}

gboolean vmdk_tables_get(VmdkTables *tables, uint64_t grain, uint64_t limit, uint32_t *ret_entry,
                         uint64_t *ret_count, GError **error)
{
    uint32_t at = (uint32_t)(grain % tables->header->gtes);
    uint32_t end = (uint32_t)MIN(tables->header->gtes, at + limit), next = at + 1;
    Slot *slot = NULL;

    if (!slot_of(tables, grain / tables->header->gtes, &slot, error))
        return FALSE;
    if (!slot) {
        *ret_entry = 0;
        *ret_count = end - at;
        return TRUE;
    }
    while (is_run(tables, slot->entries[at]) && next < end &&
           slot->entries[next] == slot->entries[at])
        next++;
    *ret_entry = slot->entries[at];
    *ret_count = next - at;
    return TRUE;
}

gboolean vmdk_tables_has(VmdkTables *tables, uint64_t grain, gboolean *ret_has, GError **error)
{
    Slot *slot = NULL;

    if (!slot_of(tables, grain / tables->header->gtes, &slot, error))
        return FALSE;
    *ret_has = slot != NULL;
    return TRUE;
}

static void make_dirty(VmdkTables *t, Slot *slot)
{
    if (!slot->dirty)
        t->dirty++;
    slot->dirty = TRUE;
}

static void drop(VmdkTables *t, Slot *slot)
{
    if (slot->dirty)
        t->dirty--;
    slot->dirty = FALSE;
    g_hash_table_remove(t->places, &slot->index);
    slot->used = 0;
    t->last = NULL;
}

gboolean vmdk_tables_add(VmdkTables *tables, uint64_t grain, uint32_t place, GError **error)
{
    uint32_t redundant = place + (uint32_t)vmdk_header_table_len(tables->header);
    uint64_t index = grain / tables->header->gtes;
    Slot *slot = idle_slot(tables, error);

    if (!slot)
        return FALSE;
    /* changed before the directory is: so it is never written after it */
    memset(slot->entries, 0, table_bytes(tables));
    slot->place = place;
    slot->redundant = tables->redundant ? redundant : 0;
    settle(tables, slot, index);
    make_dirty(tables, slot);
    if (vmdk_tables_move(tables, index, place, redundant, error))
        return TRUE;
    drop(tables, slot); /* nothing refers to it */
    return FALSE;
}

/* Both copies of a table are written: the second one must have a place of its own. */
static gboolean check_redundant(VmdkTables *tables, const Slot *slot, GError **error)
{
    gboolean holds = FALSE;

    if (!tables->redundant || slot->dirty)
        return TRUE;
    if (slot->redundant != 0 && slot->redundant != slot->place &&
        !vmdk_tables_place_holds(tables, slot->redundant, &holds, error))
        return FALSE;
    return holds || corrupt(tables, error,
                            _("the redundant grain directory is wrong and must be repaired first"));
}

gboolean vmdk_tables_set(VmdkTables *tables, uint64_t grain, uint32_t entry, GError **error)
{
    Slot *slot = NULL;

    if (!slot_of(tables, grain / tables->header->gtes, &slot, error))
        return FALSE;
    if (!slot)
        return corrupt(tables, error, _("a grain table is missing"));
    if (!check_redundant(tables, slot, error))
        return FALSE;
    slot->entries[grain % tables->header->gtes] = entry;
    make_dirty(tables, slot);
    return TRUE;
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
    return tables->dirty > 0 || directory_is_dirty(tables);
}

static gboolean write_slot(VmdkTables *t, Slot *slot, GError **error)
{
    size_t len = table_bytes(t);

    if ((slot->redundant &&
         !cst_blob_pwrite(t->blob, slot->entries, len, slot->redundant * UINT64_C(512), error)) ||
        !cst_blob_pwrite(t->blob, slot->entries, len, slot->place * UINT64_C(512), error))
        return FALSE;
    slot->dirty = FALSE;
    t->dirty--;
    return TRUE;
}

gboolean vmdk_tables_write(VmdkTables *tables, gboolean (*barrier)(void *owner, GError **error),
                           GError **error)
{
    for (unsigned i = 0; i < SLOTS && tables->dirty > 0; i++)
        if (tables->slots[i].dirty && !write_slot(tables, &tables->slots[i], error))
            return FALSE;
    if (!directory_is_dirty(tables))
        return TRUE;
    return barrier(tables->owner, error) &&
           (!tables->redundant || cst_table_write(tables->redundant, error)) &&
           cst_table_write(tables->directory, error);
}
