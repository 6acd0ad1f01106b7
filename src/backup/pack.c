/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes and reads packs (see the header and docs/backup.md). The trailer has the length of the
 * table. The table and the chunks are authenticated at their offsets, and entries follow one
 * another without gaps. Thus every byte of a pack is covered.
 */
#include "pack.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#include <base/alloc.h>
#include <base/bytes.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#define TRAILER_MAGIC UINT32_C(0x43535445) /* "CSTE" */
#define LEVEL         3

/* --- compression ------------------------------------------------------------------------------ */

static void free_packer(gpointer context)
{
    ZSTD_freeCCtx(context);
}

static void free_unpacker(gpointer context)
{
    ZSTD_freeDCtx(context);
}

static GPrivate packer = G_PRIVATE_INIT(free_packer);
static GPrivate unpacker = G_PRIVATE_INIT(free_unpacker);

size_t chunk_compress(const uint8_t *content, size_t len, uint8_t *ret_packed, int level)
{
    ZSTD_CCtx *context = g_private_get(&packer);
    size_t packed;

    if (!context) {
        context = ZSTD_createCCtx();
        g_private_set(&packer, context);
    }
    if (!context)
        return 0;
    packed = ZSTD_compressCCtx(context, ret_packed, len - 1, content, len, level ? level : LEVEL);
    return ZSTD_isError(packed) ? 0 : packed;
}

static gboolean chunk_decompress(const uint8_t *packed, size_t packed_len, uint8_t *ret_content,
                                 size_t len)
{
    ZSTD_DCtx *context = g_private_get(&unpacker);

    if (!context) {
        context = ZSTD_createDCtx();
        g_private_set(&unpacker, context);
    }
    return context && ZSTD_decompressDCtx(context, ret_content, len, packed, packed_len) == len;
}

/* --- writing ---------------------------------------------------------------------------------- */

gboolean pack_writer_init(PackWriter *writer, CstRepo *repo, GError **error)
{
    memset(writer, 0, sizeof(*writer));
    writer->repo = repo;
    writer->fd = -1;
    writer->entries = g_array_new(FALSE, TRUE, sizeof(ChunkEntry));
    writer->index = g_byte_array_new();
    writer->sealed = cst_alloc(CST_CHUNK_MAX + REPO_TAG, 1, repo->folders.path, error);
    return writer->sealed != NULL;
}

static void drop_open(PackWriter *writer)
{
    if (writer->fd < 0)
        return;
    /* Chunks of the open pack in the index then belong to a pack that is not present. */
    folder_drop_draft(&writer->repo->folders, writer->draft);
    cst_fd_clear(&writer->fd);
    repo_index_pack_at(&writer->repo->index, writer->number)->present = FALSE;
}

void pack_writer_clear(PackWriter *writer)
{
    if (!writer->repo)
        return;
    drop_open(writer);
    file_cipher_clear(&writer->cipher);
    g_clear_pointer(&writer->entries, g_array_unref);
    g_clear_pointer(&writer->index, g_byte_array_unref);
    g_clear_pointer(&writer->sealed, g_free);
    writer->repo = NULL;
}

static gboolean pack_writer_append(PackWriter *writer, const void *bytes, size_t len,
                                   GError **error)
{
    if (!cst_pwrite_full(writer->fd, bytes, len, writer->size, writer->repo->folders.path, error))
        return FALSE;
    writer->size += len;
    return TRUE;
}

static gboolean pack_writer_begin(PackWriter *writer, GError **error)
{
    CstRepo *repo = writer->repo;
    uint8_t head[REPO_FILE_HEAD];

    writer->fd = folder_draft(&repo->folders, writer->draft, error);
    if (writer->fd < 0)
        return FALSE;
    writer->number = repo_index_pack(&repo->index, writer->draft);
    /* Its chunks are known from now on, and are dropped if the pack is not completed. */
    repo_index_pack_at(&repo->index, writer->number)->present = TRUE;
    writer->size = 0;
    g_array_set_size(writer->entries, 0);
    repo_head_format(REPO_PACK, repo->config.id, writer->draft, head);
    return file_cipher_init(&writer->cipher, &repo->keys, head, error) &&
           pack_writer_append(writer, head, sizeof(head), error);
}

static gboolean pack_writer_complete(PackWriter *writer, GError **error)
{
    size_t len = writer->entries->len * REPO_ENTRY;
    g_autofree uint8_t *table = cst_alloc(len, 1, writer->repo->folders.path, error);
    g_autofree uint8_t *sealed = cst_alloc(len + REPO_TAG, 1, writer->repo->folders.path, error);
    uint8_t trailer[REPO_TRAILER];
    char name[REPO_ID_TEXT];

    if (!table || !sealed)
        return FALSE;
    for (guint i = 0; i < writer->entries->len; i++)
        repo_entry_format(&g_array_index(writer->entries, ChunkEntry, i), table + i * REPO_ENTRY);
    cst_put_be32(trailer, (uint32_t)(len + REPO_TAG));
    cst_put_be32(trailer + 4, TRAILER_MAGIC);
    if (!file_cipher_seal(&writer->cipher, writer->size, table, len, sealed, error) ||
        !pack_writer_append(writer, sealed, len + REPO_TAG, error) ||
        !pack_writer_append(writer, trailer, sizeof(trailer), error))
        return FALSE;
    if (!folder_publish(&writer->repo->folders, writer->fd, writer->draft, FOLDER_PACKS,
                        repo_id_format(writer->draft, name), error))
        return FALSE;
    CST_TEST_POINT("pack_writer.pack.completed");
    cst_fd_clear(&writer->fd);
    writer->written += writer->size;
    writer->completed++;
    repo_index_append(writer->index, writer->draft, (const ChunkEntry *)writer->entries->data,
                      writer->entries->len);
    return TRUE;
}

static gboolean write_index(PackWriter *writer, GError **error)
{
    if (writer->index->len == 0)
        return TRUE;
    if (!repo_file_write(writer->repo, REPO_INDEX, writer->index, NULL, error))
        return FALSE;
    g_byte_array_set_size(writer->index, 0);
    return TRUE;
}

static gboolean pack_writer_append_chunk(PackWriter *writer, const ChunkEntry *chunk,
                                         const uint8_t *content, size_t len, GError **error)
{
    ChunkEntry entry = *chunk;

    if (writer->fd >= 0 &&
        (writer->size >= REPO_PACK_TARGET || writer->entries->len >= REPO_PACK_CHUNKS) &&
        !pack_writer_complete(writer, error))
        return FALSE;
    if (writer->index->len >= REPO_INDEX_MAX / 2 && !write_index(writer, error))
        return FALSE;
    if (writer->fd < 0 && !pack_writer_begin(writer, error))
        return FALSE;
    entry.offset = (uint32_t)writer->size;
    entry.stored = (uint32_t)(len + REPO_TAG);
    if (!file_cipher_seal(&writer->cipher, writer->size, content, len, writer->sealed, error) ||
        !pack_writer_append(writer, writer->sealed, len + REPO_TAG, error))
        return FALSE;
    g_array_append_val(writer->entries, entry);
    return repo_index_add(&writer->repo->index, writer->number, &entry, error);
}

gboolean pack_writer_add(PackWriter *writer, const ChunkEntry *chunk, const uint8_t *content,
                         size_t len, GError **error)
{
    if (writer->failed)
        return cst_fail(error, CST_ERROR_STATE, _("an earlier write to '%s' has failed"),
                        writer->repo->folders.path);
    /* After a failure, never encrypt other bytes for the same offset of the same file. */
    writer->failed = !pack_writer_append_chunk(writer, chunk, content, len, error);
    return !writer->failed;
}

gboolean pack_writer_describe(PackWriter *writer, const uint8_t pack[REPO_ID],
                              const ChunkEntry *entries, uint32_t count, GError **error)
{
    if (writer->index->len >= REPO_INDEX_MAX / 2 && !write_index(writer, error))
        return FALSE;
    repo_index_append(writer->index, pack, entries, count);
    return TRUE;
}

gboolean pack_writer_finish(PackWriter *writer, GError **error)
{
    if (writer->failed)
        return cst_fail(error, CST_ERROR_STATE, _("an earlier write to '%s' has failed"),
                        writer->repo->folders.path);
    writer->failed =
        (writer->fd >= 0 && !pack_writer_complete(writer, error)) || !write_index(writer, error);
    return !writer->failed;
}

/* --- reading ---------------------------------------------------------------------------------- */

void pack_reader_clear(PackReader *reader)
{
    cst_fd_clear(&reader->fd);
    g_clear_pointer(&reader->path, g_free);
    file_cipher_clear(&reader->cipher);
}

gboolean pack_reader_open(PackReader *reader, CstRepo *repo, const uint8_t id[REPO_ID],
                          GError **error)
{
    uint8_t expected[REPO_FILE_HEAD], head[REPO_FILE_HEAD];
    char name[REPO_ID_TEXT];
    struct stat st;

    pack_reader_clear(reader);
    reader->path = folder_path(&repo->folders, FOLDER_PACKS, repo_id_format(id, name));
    reader->fd = folder_file_open(repo->folders.fds[FOLDER_PACKS], name, reader->path, error);
    if (reader->fd < 0)
        return FALSE;
    if (fstat(reader->fd, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot look at '%s'"), reader->path);
    reader->size = (uint64_t)st.st_size;
    if (reader->size < REPO_FILE_HEAD + REPO_TAG + REPO_TRAILER ||
        reader->size > 2 * (uint64_t)REPO_PACK_MAX)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' has a length that it cannot have"),
                        reader->path);
    if (!cst_pread_full(reader->fd, head, sizeof(head), 0, reader->path, error))
        return FALSE;
    repo_head_format(REPO_PACK, repo->config.id, id, expected);
    if (memcmp(head, expected, sizeof(head)) != 0)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' does not begin as it should"),
                        reader->path);
    return file_cipher_init(&reader->cipher, &repo->keys, head, error);
}

/* Returns the location of the table in an open pack. */
static gboolean pack_reader_find_table(const PackReader *reader, uint64_t *ret_offset,
                                       uint32_t *ret_len, GError **error)
{
    uint8_t trailer[REPO_TRAILER];
    uint64_t size = reader->size;
    uint32_t len;

    if (!cst_pread_full(reader->fd, trailer, sizeof(trailer), size - REPO_TRAILER, reader->path,
                        error))
        return FALSE;
    len = cst_be32(trailer);
    if (cst_be32(trailer + 4) != TRAILER_MAGIC || len <= REPO_TAG ||
        (len - REPO_TAG) % REPO_ENTRY != 0 || len > size - REPO_FILE_HEAD - REPO_TRAILER)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' does not end as it should"),
                        reader->path);
    *ret_offset = size - REPO_TRAILER - len;
    *ret_len = len;
    return TRUE;
}

ChunkEntry *pack_table(CstRepo *repo, const char *id, uint32_t *ret_count, uint64_t *ret_size,
                       GError **error)
{
    g_auto(PackReader) reader = {.fd = -1};
    g_autofree uint8_t *sealed = NULL;
    g_autofree uint8_t *table = NULL;
    g_autofree ChunkEntry *entries = NULL;
    uint8_t bytes[REPO_ID];
    uint64_t offset, end;
    uint32_t len;

    if (!repo_id_parse(id, bytes) || !pack_reader_open(&reader, repo, bytes, error) ||
        !pack_reader_find_table(&reader, &offset, &len, error))
        return NULL;
    *ret_size = reader.size;
    sealed = cst_alloc(len, 1, reader.path, error);
    table = sealed ? cst_alloc(len, 1, reader.path, error) : NULL;
    if (!table || !cst_pread_full(reader.fd, sealed, len, offset, reader.path, error) ||
        !file_cipher_open(&reader.cipher, offset, sealed, len, table, reader.path, error))
        return NULL;
    *ret_count = (len - REPO_TAG) / REPO_ENTRY;
    entries = repo_entries_parse(table, *ret_count, reader.path, &end, error);
    if (entries && end != offset) {
        cst_fail(error, CST_ERROR_CORRUPT, _("'%s' has a length that it cannot have"), reader.path);
        return NULL;
    }
    return g_steal_pointer(&entries);
}

gboolean pack_reader_chunk(const PackReader *reader, const CstRepo *repo, const ChunkEntry *chunk,
                           uint8_t *ret_content, GError **error)
{
    size_t len = chunk->stored - REPO_TAG;
    g_autofree uint8_t *sealed = cst_alloc(chunk->stored, 1, reader->path, error);
    g_autofree uint8_t *packed = NULL;
    uint8_t hash[REPO_HASH];

    if (chunk->offset > reader->size || chunk->stored > reader->size - chunk->offset)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' ends before its chunk at byte %u"),
                        reader->path, chunk->offset);
    if (!sealed ||
        !cst_pread_full(reader->fd, sealed, chunk->stored, chunk->offset, reader->path, error))
        return FALSE;
    packed = chunk->packed ? cst_alloc(len, 1, reader->path, error) : NULL;
    if ((chunk->packed && !packed) ||
        !file_cipher_open(&reader->cipher, chunk->offset, sealed, chunk->stored,
                          chunk->packed ? packed : ret_content, reader->path, error))
        return FALSE;
    if (chunk->packed && !chunk_decompress(packed, len, ret_content, chunk->raw))
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' cannot be decompressed at byte %u"),
                        reader->path, chunk->offset);
    if (!repo_chunk_name(&repo->keys, chunk->kind, ret_content, chunk->raw, hash, error))
        return FALSE;
    return memcmp(hash, chunk->hash, REPO_HASH) == 0 ||
           cst_fail(error, CST_ERROR_CORRUPT, _("'%s' holds another chunk at byte %u"),
                    reader->path, chunk->offset);
}

gboolean repo_chunk_read(CstRepo *repo, const uint8_t hash[REPO_HASH], ChunkKind kind,
                         uint8_t *ret_content, uint32_t len, GError **error)
{
    const IndexEntry *entry = repo_index_find(&repo->index, hash, kind);
    g_auto(PackReader) reader = {.fd = -1};

    if (!entry)
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("repository '%s' lacks a chunk (%02x%02x%02x%02x…)"), repo->folders.path,
                        hash[0], hash[1], hash[2], hash[3]);
    if (entry->chunk.raw != len)
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("repository '%s' has a chunk of %u bytes where %u belong"),
                        repo->folders.path, entry->chunk.raw, len);
    return pack_reader_open(&reader, repo, repo_index_pack_at(&repo->index, entry->pack)->id,
                            error) &&
           pack_reader_chunk(&reader, repo, &entry->chunk, ret_content, error);
}
