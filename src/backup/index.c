/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The locations of chunks (see the header): a table of entries, and a hash table of their numbers
 * with open addressing. Names are hashes, so their first bytes select the slot. A chunk needs 56
 * bytes and two slots, because a repository has millions of chunks.
 */
#include "index.h"

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#define ROOM_FIRST 1024u
#define ROOM_MAX   (1u << 31)

void repo_index_init(RepoIndex *index)
{
    memset(index, 0, sizeof(*index));
    index->packs = g_array_new(FALSE, TRUE, sizeof(IndexPack));
    index->numbers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void repo_index_clear(RepoIndex *index)
{
    g_free(index->entries);
    g_free(index->slots);
    g_clear_pointer(&index->packs, g_array_unref);
    g_clear_pointer(&index->numbers, g_hash_table_unref);
    memset(index, 0, sizeof(*index));
}

uint32_t repo_index_pack(RepoIndex *index, const uint8_t id[REPO_ID])
{
    IndexPack pack = {.present = FALSE};
    char text[REPO_ID_TEXT];
    guint number = GPOINTER_TO_UINT(g_hash_table_lookup(index->numbers, repo_id_format(id, text)));

    if (number > 0)
        return number - 1;
    memcpy(pack.id, id, REPO_ID);
    g_array_append_val(index->packs, pack);
    g_hash_table_insert(index->numbers, g_strdup(text), GUINT_TO_POINTER(index->packs->len));
    return index->packs->len - 1;
}

IndexPack *repo_index_pack_at(const RepoIndex *index, uint32_t number)
{
    return &g_array_index(index->packs, IndexPack, number);
}

/* Returns the slot of the chunk, or the free slot for it. The table has more slots than entries. */
static uint32_t slot_of(const RepoIndex *index, const uint8_t hash[REPO_HASH], ChunkKind kind)
{
    uint32_t slot;

    memcpy(&slot, hash, sizeof(slot));
    slot &= index->n_slots - 1;
    while (index->slots[slot] > 0) {
        const ChunkEntry *chunk = &index->entries[index->slots[slot] - 1].chunk;

        if (chunk->kind == kind && memcmp(chunk->hash, hash, REPO_HASH) == 0)
            break;
        slot = (slot + 1) & (index->n_slots - 1);
    }
    return slot;
}

static gboolean repo_index_grow(RepoIndex *index, GError **error)
{
    uint32_t room = index->room ? index->room * 2 : ROOM_FIRST;
    IndexEntry *entries;
    uint32_t *slots;

    if (room > ROOM_MAX / 2)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("the repository has more chunks than can be "
                          "handled"));
    slots = cst_alloc0(2 * (uint64_t)room, sizeof(*slots), "index", error);
    entries = slots ? cst_realloc(index->entries, room, sizeof(*entries), "index", error) : NULL;
    if (!entries) {
        g_free(slots);
        return FALSE;
    }
    g_free(index->slots);
    index->entries = entries;
    index->room = room;
    index->slots = slots;
    index->n_slots = 2 * room;
    for (uint32_t i = 0; i < index->n_entries; i++)
        index->slots[slot_of(index, entries[i].chunk.hash, entries[i].chunk.kind)] = i + 1;
    return TRUE;
}

gboolean repo_index_add(RepoIndex *index, uint32_t pack, const ChunkEntry *chunk, GError **error)
{
    IndexEntry *entry;
    uint32_t slot;

    if (index->n_entries == index->room && !repo_index_grow(index, error))
        return FALSE;
    slot = slot_of(index, chunk->hash, chunk->kind);
    if (index->slots[slot] == 0)
        index->slots[slot] = ++index->n_entries;
    else if (repo_index_pack_at(index, index->entries[index->slots[slot] - 1].pack)->present)
        return TRUE;
    entry = &index->entries[index->slots[slot] - 1];
    entry->chunk = *chunk;
    entry->pack = pack;
    return TRUE;
}

const IndexEntry *repo_index_find(const RepoIndex *index, const uint8_t hash[REPO_HASH],
                                  ChunkKind kind)
{
    uint32_t slot = index->n_slots ? slot_of(index, hash, kind) : 0;
    const IndexEntry *entry;

    if (index->n_slots == 0 || index->slots[slot] == 0)
        return NULL;
    entry = &index->entries[index->slots[slot] - 1];
    return repo_index_pack_at(index, entry->pack)->present ? entry : NULL;
}
