/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of chunks by their number (see the header). One list is kept in memory at a time. */
#include "lists.h"

#include <string.h>

#include <base/alloc.h>

#include "pack.h"

gboolean chunk_name_is_zero(const uint8_t name[REPO_HASH])
{
    return cst_bytes_are_zero(name, REPO_HASH);
}

gboolean chunk_lists_init(ChunkLists *lists, CstRepo *repo, const CstBackupVolume *volume,
                          GError **error)
{
    lists->repo = repo;
    lists->lists = volume->lists;
    lists->size = volume->size;
    lists->loaded = 0;
    lists->names = cst_alloc(REPO_LIST_IDS, REPO_HASH, repo->folders.path, error);
    return lists->names != NULL;
}

void chunk_lists_clear(ChunkLists *lists)
{
    g_clear_pointer(&lists->names, g_free);
}

const uint8_t *chunk_lists_name(ChunkLists *lists, uint64_t number, GError **error)
{
    uint64_t list = number / REPO_LIST_IDS, first = list * REPO_LIST_IDS;
    uint64_t chunks = repo_chunks_of(lists->size, lists->repo->config.chunk);
    uint32_t len = (uint32_t)MIN(REPO_LIST_IDS, chunks - first) * REPO_HASH;
    const uint8_t *name = lists->lists + list * REPO_HASH;

    if (lists->loaded != list + 1) {
        lists->loaded = 0;
        if (chunk_name_is_zero(name))
            memset(lists->names, 0, len);
        else if (!repo_chunk_read(lists->repo, name, CHUNK_LIST, lists->names, len, error))
            return NULL;
        lists->loaded = list + 1;
    }
    return lists->names + (number - first) * REPO_HASH;
}
