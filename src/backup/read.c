/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A backup of a volume as a blob, and the comparison of content with a backup. Reads of several
 * chunks are distributed over the processors. The last few chunks that were read in part stay in a
 * cache. One lock guards the cache and the loaded list.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <base/threads.h>

#include "lists.h"
#include "pack.h"

#define CACHED 16

typedef struct {
    uint64_t number; /* of the chunk + 1; 0: free */
    uint8_t *content;
} CachedChunk;

typedef struct {
    CstBlob head;
    CstRepo *repo;
    uint64_t size;
    uint8_t *lists_copy;
    GMutex lock; /* guards the fields below */
    ChunkLists lists;
    CachedChunk cache[CACHED];
    unsigned next;
} BackupBlob;

static gboolean get_name(BackupBlob *backup, uint64_t number, uint8_t ret_name[REPO_HASH],
                         GError **error)
{
    const uint8_t *name;

    g_mutex_lock(&backup->lock);
    name = chunk_lists_name(&backup->lists, number, error);
    if (name)
        memcpy(ret_name, name, REPO_HASH);
    g_mutex_unlock(&backup->lock);
    return name != NULL;
}

/* --- reads ------------------------------------------------------------------------------------ */

static gboolean backup_read_chunk(BackupBlob *backup, uint64_t number, uint8_t *ret_content,
                                  GError **error)
{
    uint32_t len = repo_chunk_len(backup->size, backup->repo->config.chunk, number);
    uint8_t name[REPO_HASH];

    if (!get_name(backup, number, name, error))
        return FALSE;
    CST_TEST_POINT("backup_blob.chunk.read");
    if (!chunk_name_is_zero(name))
        return repo_chunk_read(backup->repo, name, CHUNK_DATA, ret_content, len, error);
    memset(ret_content, 0, len);
    return TRUE;
}

/* Reads a part of a chunk, through the cache. */
static gboolean backup_read_part(BackupBlob *backup, uint64_t number, uint32_t from, uint32_t len,
                                 uint8_t *buf, GError **error)
{
    uint32_t chunk = backup->repo->config.chunk;
    uint8_t *content;
    CachedChunk *slot;

    g_mutex_lock(&backup->lock);
    for (int i = 0; i < CACHED; i++) {
        if (backup->cache[i].number != number + 1)
            continue;
        memcpy(buf, backup->cache[i].content + from, len);
        g_mutex_unlock(&backup->lock);
        return TRUE;
    }
    g_mutex_unlock(&backup->lock);
    content = cst_alloc(chunk, 1, backup->head.name, error);
    if (!content || !backup_read_chunk(backup, number, content, error)) {
        g_free(content);
        return FALSE;
    }
    memcpy(buf, content + from, len);
    CST_TEST_POINT("backup_blob.part.read");
    g_mutex_lock(&backup->lock);
    slot = &backup->cache[backup->next++ % CACHED];
    g_free(slot->content);
    *slot = (CachedChunk){number + 1, content};
    g_mutex_unlock(&backup->lock);
    return TRUE;
}

typedef struct {
    BackupBlob *backup;
    uint64_t first, count; /* chunks */
    uint8_t *buf;
    gint next, failed;
    GError *failure;
} WholeChunks;

static gpointer backup_read_chunks_thread(gpointer data)
{
    WholeChunks *whole = data;

    for (;;) {
        uint64_t i = (uint64_t)g_atomic_int_add(&whole->next, 1);
        GError *error = NULL;

        if (i >= whole->count || g_atomic_int_get(&whole->failed))
            return NULL;
        if (!backup_read_chunk(whole->backup, whole->first + i,
                               whole->buf + i * whole->backup->repo->config.chunk, &error)) {
            if (g_atomic_int_compare_and_exchange(&whole->failed, 0, 1))
                whole->failure = error;
            else
                g_error_free(error);
        }
    }
}

static gboolean backup_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    BackupBlob *backup = (BackupBlob *)blob;
    uint64_t chunk = backup->repo->config.chunk;
    uint8_t *to = buf;

    while (len > 0) {
        uint64_t number = offset / chunk, from = offset % chunk;
        uint64_t part = MIN(len, repo_chunk_len(backup->size, (uint32_t)chunk, number) - from);
        uint64_t count = from == 0 ? len / chunk : 0;

        if (count > 0) {
            WholeChunks whole = {.backup = backup, .first = number, .count = count, .buf = to};

            cst_threads_run(
                backup_read_chunks_thread, &whole,
                (unsigned)CLAMP(MIN(g_get_num_processors(), count / 2), 1, CST_THREADS_MAX));
            if (whole.failure) {
                g_propagate_error(error, whole.failure);
                return FALSE;
            }
            part = count * chunk;
        } else if (!backup_read_part(backup, number, (uint32_t)from, (uint32_t)part, to, error)) {
            return FALSE;
        }
        to += part;
        offset += part;
        len -= part;
    }
    return TRUE;
}

static gboolean backup_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = ((BackupBlob *)blob)->size;
    return TRUE;
}

/* Reads the names of one list at most, so that a query is cheap. */
static gboolean backup_extent(CstBlob *blob, uint64_t offset, uint64_t length,
                              CstExtent *ret_extent, GError **error)
{
    BackupBlob *backup = (BackupBlob *)blob;
    uint64_t chunk = backup->repo->config.chunk, number = offset / chunk;
    uint64_t end = MIN((number / REPO_LIST_IDS + 1) * REPO_LIST_IDS * chunk, offset + length);
    uint8_t name[REPO_HASH];
    gboolean zero;

    if (!get_name(backup, number, name, error))
        return FALSE;
    zero = chunk_name_is_zero(name);
    while (++number * chunk < end) {
        if (!get_name(backup, number, name, error))
            return FALSE;
        if (chunk_name_is_zero(name) != zero)
            break;
    }
    ret_extent->offset = offset;
    ret_extent->length = MIN(number * chunk, end) - offset;
    ret_extent->flags = zero ? CST_EXTENT_HOLE | CST_EXTENT_ZERO : CST_EXTENT_DATA;
    return TRUE;
}

static void backup_close(CstBlob *blob)
{
    BackupBlob *backup = (BackupBlob *)blob;

    chunk_lists_clear(&backup->lists);
    for (int i = 0; i < CACHED; i++)
        g_free(backup->cache[i].content);
    g_mutex_clear(&backup->lock);
    g_free(backup->lists_copy);
    g_free(backup);
}

static const CstBlobOps backup_ops = {
    .kind = "backup",
    .pread = backup_pread,
    .get_size = backup_get_size,
    .close = backup_close,
    .extent = backup_extent,
};

CstBlob *cst_backup_open(CstRepo *repo, const CstBackupVolume *volume, GError **error)
{
    CstBackupVolume copy = {.size = volume->size};
    g_autoptr(CstBlob) blob = NULL;
    BackupBlob *backup;

    if (!repo_lock(repo, FALSE, error) || !repo_index_load(repo, NULL, error))
        return NULL;
    backup = g_new0(BackupBlob, 1);
    cst_blob_init(&backup->head, &backup_ops, volume->name, FALSE);
    g_mutex_init(&backup->lock);
    blob = &backup->head;
    backup->repo = repo;
    backup->size = volume->size;
    copy.lists = backup->lists_copy =
        cst_memdup(volume->lists, (uint64_t)volume->n_lists * REPO_HASH, volume->name, error);
    if (!backup->lists_copy || !chunk_lists_init(&backup->lists, repo, &copy, error))
        return NULL;
    return g_steal_pointer(&blob);
}

/* --- proofs ----------------------------------------------------------------------------------- */

struct CstBackupProof {
    CstRepo *repo;
    ChunkLists lists;
    uint64_t position, differ, first;
    uint8_t *chunk;
    uint32_t fill;
};

CstBackupProof *cst_proof_new(CstRepo *repo, const CstBackupVolume *volume, GError **error)
{
    g_autoptr(CstBackupProof) proof = g_new0(CstBackupProof, 1);

    proof->repo = repo;
    if (!repo_lock(repo, FALSE, error) || !repo_index_load(repo, NULL, error) ||
        !chunk_lists_init(&proof->lists, repo, volume, error))
        return NULL;
    proof->chunk = cst_alloc(repo->config.chunk, 1, volume->name, error);
    return proof->chunk ? g_steal_pointer(&proof) : NULL;
}

void cst_proof_free(CstBackupProof *proof)
{
    if (!proof)
        return;
    chunk_lists_clear(&proof->lists);
    g_free(proof->chunk);
    g_free(proof);
}

static gboolean compare_chunk(CstBackupProof *proof, GError **error)
{
    uint64_t start = proof->position - proof->fill;
    const uint8_t *expected =
        chunk_lists_name(&proof->lists, start / proof->repo->config.chunk, error);
    uint8_t name[REPO_HASH] = {0};

    if (!expected ||
        (!cst_bytes_are_zero(proof->chunk, proof->fill) &&
         !repo_chunk_name(&proof->repo->keys, CHUNK_DATA, proof->chunk, proof->fill, name, error)))
        return FALSE;
    if (memcmp(name, expected, REPO_HASH) != 0) {
        if (proof->differ == 0)
            proof->first = start;
        proof->differ += proof->fill;
    }
    proof->fill = 0;
    return TRUE;
}

gboolean cst_proof_add(CstBackupProof *proof, const void *data, uint64_t len, GError **error)
{
    const uint8_t *bytes = data;
    uint32_t chunk = proof->repo->config.chunk;

    if (len > proof->lists.size - proof->position)
        return cst_fail(error, CST_ERROR_MISMATCH, _("the content is longer than the backup"));
    while (len > 0) {
        uint32_t whole =
            repo_chunk_len(proof->lists.size, chunk, (proof->position - proof->fill) / chunk);
        uint32_t part = (uint32_t)MIN(len, whole - proof->fill);

        if (bytes) {
            memcpy(proof->chunk + proof->fill, bytes, part);
            bytes += part;
        } else {
            memset(proof->chunk + proof->fill, 0, part);
        }
        proof->fill += part;
        proof->position += part;
        len -= part;
        if (proof->fill == whole && !compare_chunk(proof, error))
            return FALSE;
    }
    return TRUE;
}

gboolean cst_proof_end(CstBackupProof *proof, uint64_t *ret_differ, uint64_t *ret_first,
                       GError **error)
{
    if (proof->position != proof->lists.size)
        return cst_fail(error, CST_ERROR_MISMATCH, _("the content is shorter than the backup"));
    *ret_differ = proof->differ;
    *ret_first = proof->first;
    return TRUE;
}
