/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "format.h"

/**
 * The locations of chunks, in memory, from the indexes and the tables of packs. A chunk in several
 * packs is known in the first pack that is present. Lookups may run on many threads while no chunk
 * is added.
 */
typedef struct {
    ChunkEntry chunk;
    uint32_t pack;
} IndexEntry;

typedef struct {
    uint8_t id[REPO_ID];
    gboolean present; /**< the pack can be read; else its entries are ignored */
    gboolean indexed; /**< an index describes it */
} IndexPack;

typedef struct {
    IndexEntry *entries;
    uint32_t n_entries, room;
    uint32_t *slots; /* entry number + 1; 0: free */
    uint32_t n_slots;
    GArray *packs;       /* of IndexPack */
    GHashTable *numbers; /* id as text to number + 1 */
} RepoIndex;

void repo_index_init(RepoIndex *index);
void repo_index_clear(RepoIndex *index);

/** Returns the number of the pack @id, and adds it if it is new. */
uint32_t repo_index_pack(RepoIndex *index, const uint8_t id[REPO_ID]);
IndexPack *repo_index_pack_at(const RepoIndex *index, uint32_t number);
/**
 * Adds a chunk, unless it is known in a pack that is present. Fails with NO_MEMORY, or with LIMIT
 * for too many chunks.
 */
gboolean repo_index_add(RepoIndex *index, uint32_t pack, const ChunkEntry *chunk, GError **error);
/** Returns the chunk in a pack that is present, or NULL. */
const IndexEntry *repo_index_find(const RepoIndex *index, const uint8_t hash[REPO_HASH],
                                  ChunkKind kind);
