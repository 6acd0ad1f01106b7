/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repo.h"

/**
 * Packs: files that hold chunks one after the other, then a table of them. A pack is written as a
 * draft and is there, whole, from its rename on.
 */
typedef struct {
    CstRepo *repo;
    CstFd fd; /* -1: none is open */
    uint8_t draft[REPO_ID];
    uint32_t number; /* in the index */
    FileCipher cipher;
    GArray *entries; /* of ChunkEntry, of the open pack */
    uint64_t size;
    GByteArray *index;  /* body of the index of the packs that are complete */
    uint8_t *sealed;    /* a chunk's, with its tag */
    uint64_t written;   /* bytes of complete packs */
    uint32_t completed; /* packs */
    gboolean failed;    /* what was added may be lost: it takes no more, and can't be finished */
} PackWriter;

gboolean pack_writer_init(PackWriter *writer, CstRepo *repo, GError **error);
/** Drops the pack that is open; what it holds is not known any more. */
void pack_writer_clear(PackWriter *writer);

/** Appends a chunk and enters it into the index. @content: @len bytes, compressed or not. */
gboolean pack_writer_add(PackWriter *writer, const ChunkEntry *chunk, const uint8_t *content,
                         size_t len, GError **error);
/** Describes a pack that is there in the index that is being written. */
gboolean pack_writer_describe(PackWriter *writer, const uint8_t pack[REPO_ID],
                              const ChunkEntry *entries, uint32_t count, GError **error);
/** Completes the open pack, if there is one, and writes an index of all that were completed. */
gboolean pack_writer_finish(PackWriter *writer, GError **error);

/** Reads the table of pack @id; the caller frees it. CORRUPT. */
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
/** Reads a chunk of chunk->raw bytes, and proves that it is the one that its name says. CORRUPT. */
gboolean pack_reader_chunk(const PackReader *reader, const CstRepo *repo, const ChunkEntry *chunk,
                           uint8_t *ret_content, GError **error);

/** The same of a chunk that is sought: its length has to be @len. Any thread. CORRUPT. */
gboolean repo_chunk_read(CstRepo *repo, const uint8_t hash[REPO_HASH], ChunkKind kind,
                         uint8_t *ret_content, uint32_t len, GError **error);

/** Compresses @len bytes into @ret_packed, which has as many; 0: it would not become shorter. */
size_t chunk_compress(const uint8_t *content, size_t len, uint8_t *ret_packed, int level);
