/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repo.h"

/**
 * Packs: files that contain chunks, followed by a table of them. A pack is written as a draft. It
 * exists, complete, after its rename.
 */
typedef struct {
    CstRepo *repo;
    CstFd fd; /* -1: no pack is open */
    uint8_t draft[REPO_ID];
    uint32_t number; /* of the open pack in the index */
    FileCipher cipher;
    GArray *entries; /* of ChunkEntry, of the open pack */
    uint64_t size;
    GByteArray *index;  /* body of the index of the completed packs */
    uint8_t *sealed;    /* buffer for an encrypted chunk with its tag */
    uint64_t written;   /* bytes of completed packs */
    uint32_t completed; /* packs */
    gboolean failed;    /* added chunks may be lost: no chunk is accepted, and finish fails */
} PackWriter;

gboolean pack_writer_init(PackWriter *writer, CstRepo *repo, GError **error);
/** Drops the open pack and its chunks. Frees the writer's memory. */
void pack_writer_clear(PackWriter *writer);

/**
 * Appends a chunk and adds it to the index. @content: @len bytes, compressed or not as in @chunk.
 */
gboolean pack_writer_add(PackWriter *writer, const ChunkEntry *chunk, const uint8_t *content,
                         size_t len, GError **error);
/** Adds an existing pack to the index that is being written. */
gboolean pack_writer_describe(PackWriter *writer, const uint8_t pack[REPO_ID],
                              const ChunkEntry *entries, uint32_t count, GError **error);
/** Completes the open pack, if any, and writes an index of all completed packs. */
gboolean pack_writer_finish(PackWriter *writer, GError **error);

/** Reads the table of pack @id. The caller frees it. Fails with CORRUPT. */
ChunkEntry *pack_table(CstRepo *repo, const char *id, uint32_t *ret_count, uint64_t *ret_size,
                       GError **error);

/** An open pack, to read chunks from. */
typedef struct {
    CstFd fd;
    char *path;
    uint64_t size;
    FileCipher cipher;
} PackReader;

void pack_reader_clear(PackReader *reader);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PackReader, pack_reader_clear)
gboolean pack_reader_open(PackReader *reader, CstRepo *repo, const uint8_t id[REPO_ID],
                          GError **error);
/**
 * Reads a chunk of chunk->raw bytes, and verifies its content against its name. Fails with CORRUPT.
 */
gboolean pack_reader_chunk(const PackReader *reader, const CstRepo *repo, const ChunkEntry *chunk,
                           uint8_t *ret_content, GError **error);

/**
 * Finds a chunk by its name and reads it. Its length must be @len. Fails with CORRUPT. From any
 * thread.
 */
gboolean repo_chunk_read(CstRepo *repo, const uint8_t hash[REPO_HASH], ChunkKind kind,
                         uint8_t *ret_content, uint32_t len, GError **error);

/**
 * Compresses @len bytes into @ret_packed, which has room for @len bytes. Returns the compressed
 * length, or 0 if the content does not shrink.
 */
size_t chunk_compress(const uint8_t *content, size_t len, uint8_t *ret_packed, int level);
