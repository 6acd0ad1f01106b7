/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "format.h"

/**
 * Where chunks are: in memory, from the indexes and the tables of packs. A chunk that is in several
 * packs is known in the first of them that is there. Look-ups may run on many threads while nothing
 * is added.
 */
typedef struct {
    ChunkEntry chunk;
    uint32_t pack;
} IndexEntry;

typedef struct {
    uint8_t id[REPO_ID];
    gboolean present; /**< it can be read; else what is said of it counts for nothing */
    gboolean indexed; /**< an index describes it */
} IndexPack;

typedef struct {
    IndexEntry *entries;
    uint32_t n_entries, room;
    uint32_t *slots; /* of entry number + 1; 0: free */
    uint32_t n_slots;
    GArray *packs;       /* of IndexPack */
    GHashTable *numbers; /* id as text to number + 1 */
} RepoIndex;

void repo_index_init(RepoIndex *index);
void repo_index_clear(RepoIndex *index);

/** The number of a pack, which is added if it is new. */
uint32_t repo_index_pack(RepoIndex *index, const uint8_t id[REPO_ID]);
IndexPack *repo_index_pack_at(const RepoIndex *index, uint32_t number);
/** Adds a chunk, unless it is known in a pack that is present. NO_MEMORY. */
gboolean repo_index_add(RepoIndex *index, uint32_t pack, const ChunkEntry *chunk, GError **error);
/** The chunk, in a pack that is present; NULL when there is none. */
const IndexEntry *repo_index_find(const RepoIndex *index, const uint8_t hash[REPO_HASH],
                                  ChunkKind kind);
