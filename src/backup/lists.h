/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repo.h"

/**
 * The names of a volume's chunks. They are stored in lists, which are chunks themselves, so
 * unchanged lists need no further space either. A list or a chunk with the name zero consists of
 * zeroes and is not stored.
 */
typedef struct {
    CstRepo *repo;
    const uint8_t *lists; /**< names of the lists, borrowed */
    uint64_t size;        /**< of the volume */
    uint64_t loaded;      /**< number of the list in @names + 1; 0: not loaded */
    uint8_t *names;
} ChunkLists;

gboolean chunk_lists_init(ChunkLists *lists, CstRepo *repo, const CstBackupVolume *volume,
                          GError **error);
void chunk_lists_clear(ChunkLists *lists);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ChunkLists, chunk_lists_clear)

/**
 * Returns the name of chunk @number, borrowed until the next call. Returns NULL with @error set on
 * failure.
 */
const uint8_t *chunk_lists_name(ChunkLists *lists, uint64_t number, GError **error);

/** Returns whether a name means zeroes. */
gboolean chunk_name_is_zero(const uint8_t name[REPO_HASH]);
