/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

typedef struct {
    uint64_t offset;
    uint64_t used; /* when, in calls */
    uint8_t *data; /* NULL: the slot was never used */
    gboolean dirty;
} Slot;

struct Qcow2Cache {
    size_t table_size;
    unsigned count;
    unsigned dirty;
    uint64_t clock;
    Slot *slots;
    GHashTable *places; /* offset → slot; the key lies in the slot */
    gboolean (*spill)(void *owner, GError **error);
    void *owner;
};

Qcow2Cache *qcow2_cache_new(size_t table_size, unsigned slots,
                            gboolean (*spill)(void *owner, GError **error), void *owner)
{
    Qcow2Cache *cache = g_new0(Qcow2Cache, 1);

    cache->table_size = table_size;
    cache->count = slots;
    cache->slots = g_new0(Slot, slots);
    cache->places = g_hash_table_new(g_int64_hash, g_int64_equal);
    cache->spill = spill;
    cache->owner = owner;
    return cache;
}

void qcow2_cache_free(Qcow2Cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < cache->count; i++)
        g_free(cache->slots[i].data);
    g_hash_table_unref(cache->places);
    g_free(cache->slots);
    g_free(cache);
}

static Slot *find(Qcow2Cache *cache, uint64_t offset)
{
    Slot *slot = g_hash_table_lookup(cache->places, &offset);

    if (slot)
        slot->used = ++cache->clock;
    return slot;
}

/* The clean slot that has been idle longest; a fresh one is idler than any. */
static Slot *idle_slot(Qcow2Cache *cache)
{
    Slot *best = NULL;

    for (unsigned i = 0; i < cache->count; i++) {
        Slot *slot = &cache->slots[i];

        if (!slot->dirty && (!best || slot->used < best->used))
            best = slot;
        if (!slot->data)
            break;
    }
    return best;
}

static Slot *take_slot(Qcow2Cache *cache, uint64_t offset, GError **error)
{
    Slot *slot;

    if (cache->dirty == cache->count && !cache->spill(cache->owner, error))
        return NULL;
    slot = idle_slot(cache);
    if (!slot) {
        cst_fail(error, CST_ERROR_INTERNAL, _("the table cache is full of changes"));
        return NULL;
    }
    if (slot->used)
        g_hash_table_remove(cache->places, &slot->offset);
    slot->used = 0;
    if (!slot->data)
        slot->data = g_malloc(cache->table_size);
    slot->offset = offset;
    return slot;
}

static void settle(Qcow2Cache *cache, Slot *slot)
{
    slot->used = ++cache->clock;
    g_hash_table_insert(cache->places, &slot->offset, slot);
}

uint8_t *qcow2_cache_get(Qcow2Cache *cache, CstBlob *blob, uint64_t offset, GError **error)
{
    Slot *slot = find(cache, offset);
    uint64_t size = 0;

    if (slot)
        return slot->data;
    if (!cst_blob_get_size(blob, &size, error))
        return NULL;
    if (offset > size || cache->table_size > size - offset) {
        cst_fail(error, CST_ERROR_CORRUPT, _("a table of '%s' lies outside the file"), blob->name);
        return NULL;
    }
    slot = take_slot(cache, offset, error);
    if (!slot || !cst_blob_pread(blob, slot->data, cache->table_size, offset, error))
        return NULL;
    settle(cache, slot);
    return slot->data;
}

uint8_t *qcow2_cache_add(Qcow2Cache *cache, uint64_t offset, GError **error)
{
    Slot *slot;

    qcow2_cache_drop(cache, offset);
    slot = take_slot(cache, offset, error);
    if (!slot)
        return NULL;
    memset(slot->data, 0, cache->table_size);
    settle(cache, slot);
    qcow2_cache_dirty(cache, offset);
    return slot->data;
}

void qcow2_cache_dirty(Qcow2Cache *cache, uint64_t offset)
{
    Slot *slot = find(cache, offset);

    g_assert(slot);
    if (!slot->dirty)
        cache->dirty++;
    slot->dirty = TRUE;
}

static void clean(Qcow2Cache *cache, Slot *slot)
{
    if (slot->dirty)
        cache->dirty--;
    slot->dirty = FALSE;
}

void qcow2_cache_drop(Qcow2Cache *cache, uint64_t offset)
{
    Slot *slot = find(cache, offset);

    if (!slot)
        return;
    clean(cache, slot);
    g_hash_table_remove(cache->places, &slot->offset);
    slot->used = 0;
}

gboolean qcow2_cache_is_dirty(const Qcow2Cache *cache)
{
    return cache->dirty > 0;
}

static int by_offset(const void *a, const void *b)
{
    const Slot *left = *(const Slot *const *)a, *right = *(const Slot *const *)b;

    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

gboolean qcow2_cache_write(Qcow2Cache *cache, CstBlob *blob, GError **error)
{
    g_autofree Slot **dirty = g_new(Slot *, MAX(cache->dirty, 1));
    unsigned count = 0;

    for (unsigned i = 0; i < cache->count && count < cache->dirty; i++)
        if (cache->slots[i].dirty)
            dirty[count++] = &cache->slots[i];
    qsort(dirty, count, sizeof(*dirty), by_offset);
    for (unsigned i = 0; i < count; i++) {
        if (!cst_blob_pwrite(blob, dirty[i]->data, cache->table_size, dirty[i]->offset, error))
            return FALSE;
        clean(cache, dirty[i]);
    }
    return TRUE;
}
