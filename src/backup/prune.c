/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frees the chunks that no backup uses, under the exclusive lock. It marks the chunks that backups
 * use. A pack without used chunks is removed. For a pack with few used chunks, these are first
 * copied into a new pack. Small packs, which small backups make, are merged in the same way.
 *
 * Invariant: a chunk that a backup uses is always in a complete and durable pack. New packs and an
 * index of all packs are published before a file is removed. An index entry of a removed pack, and
 * a chunk in two packs, are harmless.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "lists.h"
#include "pack.h"

/* A pack is rewritten if more than this share of its chunks' bytes is unused. */
#define WASTE_PERCENT 20u
#define SMALL_PACK    (REPO_PACK_TARGET / 4)

typedef struct {
    uint64_t size, stored, used; /* of the file; of its chunks; of its used chunks */
    uint32_t chunks;
    gboolean rewrite; /* its used chunks are copied to another pack */
} PackUse;

typedef struct {
    CstRepo *repo;
    CstTask *task;
    GPtrArray *backups;
    uint8_t *used;      /* for each entry of the index */
    GArray *packs;      /* of PackUse, for each pack of the index */
    GPtrArray *indexes; /* names of the existing indexes */
    GHashTable *lists;  /* names of lists whose chunks are marked */
    PackWriter writer;
    CstPruneReport report;
} Prune;

static void prune_clear(Prune *prune)
{
    pack_writer_clear(&prune->writer);
    g_clear_pointer(&prune->backups, g_ptr_array_unref);
    g_clear_pointer(&prune->used, g_free);
    g_clear_pointer(&prune->packs, g_array_unref);
    g_clear_pointer(&prune->indexes, g_ptr_array_unref);
    g_clear_pointer(&prune->lists, g_hash_table_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Prune, prune_clear)

/* --- used chunks ------------------------------------------------------------------------------ */

static gboolean prune_mark_chunk(Prune *prune, const uint8_t *name, ChunkKind kind,
                                 const CstBackup *backup, GError **error)
{
    const RepoIndex *index = &prune->repo->index;
    const IndexEntry *entry = repo_index_find(index, name, kind);

    if (!entry)
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("backup %.8s lacks content; forget it first (backup-check tells more)"),
                        backup->id);
    prune->used[entry - index->entries] = 1;
    return TRUE;
}

static gboolean mark_volume(Prune *prune, const CstBackup *backup, const CstBackupVolume *volume,
                            GError **error)
{
    uint32_t chunk = prune->repo->config.chunk;
    uint64_t chunks = repo_chunks_of(volume->size, chunk);
    g_auto(ChunkLists) lists = {0};

    if (!chunk_lists_init(&lists, prune->repo, volume, error))
        return FALSE;
    for (uint64_t list = 0; list < volume->n_lists; list++) {
        const uint8_t *name = volume->lists + list * REPO_HASH;
        uint64_t first = list * REPO_LIST_IDS, end = MIN(first + REPO_LIST_IDS, chunks);

        if (chunk_name_is_zero(name))
            continue;
        if (!cst_task_check(prune->task, error) ||
            !prune_mark_chunk(prune, name, CHUNK_LIST, backup, error))
            return FALSE;
        if (!g_hash_table_add(prune->lists, g_bytes_new(name, REPO_HASH)))
            continue;
        for (uint64_t i = first; i < end; i++) {
            name = chunk_lists_name(&lists, i, error);
            if (!name || (!chunk_name_is_zero(name) &&
                          !prune_mark_chunk(prune, name, CHUNK_DATA, backup, error)))
                return FALSE;
        }
    }
    return TRUE;
}

static gboolean mark_all(Prune *prune, GError **error)
{
    prune->used = cst_alloc0(prune->repo->index.n_entries, 1, prune->repo->folders.path, error);
    prune->lists =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    for (guint i = 0; prune->used && i < prune->backups->len; i++) {
        const CstBackup *backup = prune->backups->pdata[i];

        for (guint k = 0; k < backup->volumes->len; k++)
            if (!mark_volume(prune, backup, backup->volumes->pdata[k], error))
                return FALSE;
    }
    return prune->used != NULL;
}

/* --- the plan --------------------------------------------------------------------------------- */

static PackUse *use_of(const Prune *prune, guint pack)
{
    return &g_array_index(prune->packs, PackUse, pack);
}

/* Reads the sizes of packs, and counts the used bytes of each. */
static gboolean prune_measure_packs(Prune *prune, GError **error)
{
    CstRepo *repo = prune->repo;

    prune->packs = g_array_new(FALSE, TRUE, sizeof(PackUse));
    g_array_set_size(prune->packs, repo->index.packs->len);
    for (guint i = 0; i < repo->index.packs->len; i++) {
        const IndexPack *pack = repo_index_pack_at(&repo->index, i);
        PackUse *use = use_of(prune, i);
        g_autofree ChunkEntry *table = NULL;
        char id[REPO_ID_TEXT];

        if (!pack->present)
            continue;
        table = pack_table(repo, repo_id_format(pack->id, id), &use->chunks, &use->size, error);
        if (!table)
            return FALSE;
        for (uint32_t k = 0; k < use->chunks; k++)
            use->stored += table[k].stored;
        prune->report.packs++;
        prune->report.bytes += use->size;
        prune->report.chunks += use->chunks;
    }
    for (uint32_t i = 0; i < repo->index.n_entries; i++) {
        const IndexEntry *entry = &repo->index.entries[i];

        if (!prune->used[i])
            continue;
        use_of(prune, entry->pack)->used += entry->chunk.stored;
        prune->report.used++;
    }
    return TRUE;
}

static gboolean is_small(const PackUse *use)
{
    return use->used > 0 && use->size < SMALL_PACK;
}

static void prune_select_packs(Prune *prune)
{
    guint small = 0;

    for (guint i = 0; i < prune->packs->len; i++)
        small += is_small(use_of(prune, i));
    for (guint i = 0; i < prune->packs->len; i++) {
        PackUse *use = use_of(prune, i);

        if (!repo_index_pack_at(&prune->repo->index, i)->present)
            continue;
        if (use->used == 0) {
            prune->report.removed_packs++;
            prune->report.freed_bytes += use->size;
            continue;
        }
        use->rewrite = (use->stored - use->used) * 100 > use->stored * WASTE_PERCENT ||
                       (small > 1 && is_small(use));
        if (!use->rewrite)
            continue;
        prune->report.repacked++;
        prune->report.freed_bytes += use->size;
        prune->report.written += use->used;
        cst_task_add_total(prune->task, use->used);
    }
    prune->report.freed_bytes -= MIN(prune->report.written, prune->report.freed_bytes);
}

/* --- the work --------------------------------------------------------------------------------- */

static gboolean prune_copy_chunk(Prune *prune, const PackReader *reader, const IndexEntry *entry,
                                 uint8_t *content, uint8_t *packed, GError **error)
{
    ChunkEntry chunk = entry->chunk;
    size_t len;

    if (!cst_task_check(prune->task, error) ||
        !pack_reader_chunk(reader, prune->repo, &chunk, content, error))
        return FALSE;
    len = chunk_compress(content, chunk.raw, packed, 0);
    chunk.packed = len > 0;
    cst_task_advance(prune->task, entry->chunk.stored);
    return pack_writer_add(&prune->writer, &chunk, chunk.packed ? packed : content,
                           chunk.packed ? len : chunk.raw, error);
}

/*
 * Copies the used chunks of the packs that are rewritten. Entries of a pack are mostly consecutive.
 */
static gboolean prune_rewrite_packs(Prune *prune, GError **error)
{
    CstRepo *repo = prune->repo;
    uint32_t count = repo->index.n_entries, open_pack = 0;
    g_autofree uint8_t *content = cst_alloc(CST_CHUNK_MAX, 1, repo->folders.path, error);
    g_autofree uint8_t *packed =
        content ? cst_alloc(CST_CHUNK_MAX, 1, repo->folders.path, error) : NULL;
    g_auto(PackReader) reader = {.fd = -1};

    if (!packed)
        return FALSE;
    for (uint32_t i = 0; i < count; i++) {
        /* Copy the entry, because an addition may move the index. */
        const IndexEntry entry = repo->index.entries[i];

        if (!prune->used[i] || !use_of(prune, entry.pack)->rewrite)
            continue;
        if ((reader.fd < 0 || open_pack != entry.pack) &&
            !pack_reader_open(&reader, repo, repo_index_pack_at(&repo->index, entry.pack)->id,
                              error))
            return FALSE;
        open_pack = entry.pack;
        if (!prune_copy_chunk(prune, &reader, &entry, content, packed, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean pack_is_removed(const Prune *prune, guint pack)
{
    const PackUse *use = use_of(prune, pack);

    return repo_index_pack_at(&prune->repo->index, pack)->present &&
           (use->used == 0 || use->rewrite);
}

/* Writes one index of all remaining packs; it is published with the last new pack. */
static gboolean describe_rest(Prune *prune, GError **error)
{
    for (guint i = 0; i < prune->packs->len; i++) {
        const IndexPack *pack = repo_index_pack_at(&prune->repo->index, i);
        g_autofree ChunkEntry *table = NULL;
        char id[REPO_ID_TEXT];
        uint64_t size;
        uint32_t count;

        if (!pack->present || pack_is_removed(prune, i))
            continue;
        table = pack_table(prune->repo, repo_id_format(pack->id, id), &count, &size, error);
        if (!table || !pack_writer_describe(&prune->writer, pack->id, table, count, error))
            return FALSE;
    }
    return pack_writer_finish(&prune->writer, error);
}

static gboolean remove_old(Prune *prune, GError **error)
{
    Folders *folders = &prune->repo->folders;

    for (guint i = 0; i < prune->packs->len; i++) {
        char id[REPO_ID_TEXT];

        if (!pack_is_removed(prune, i))
            continue;
        repo_id_format(repo_index_pack_at(&prune->repo->index, i)->id, id);
        if (!folder_remove(folders, FOLDER_PACKS, id, error))
            return FALSE;
    }
    if (!folder_sync(folders, FOLDER_PACKS, error))
        return FALSE;
    CST_TEST_POINT("prune.packs.removed");
    for (guint i = 0; i < prune->indexes->len; i++) {
        if (!folder_remove(folders, FOLDER_INDEX, prune->indexes->pdata[i], error))
            return FALSE;
    }
    return folder_sync(folders, FOLDER_INDEX, error);
}

/*
 * Removes all drafts. Under the exclusive lock no other process writes, so their owners are dead.
 */
static gboolean drop_drafts(Prune *prune, GError **error)
{
    Folders *folders = &prune->repo->folders;
    g_autoptr(GPtrArray) names = folder_list(folders, FOLDER_DRAFTS, NULL, error);

    for (guint i = 0; names && i < names->len; i++)
        if (!folder_remove(folders, FOLDER_DRAFTS, names->pdata[i], error))
            return FALSE;
    return names != NULL;
}

static gboolean is_tidy(const Prune *prune)
{
    const RepoIndex *index = &prune->repo->index;

    for (guint i = 0; i < index->packs->len; i++) {
        const IndexPack *pack = repo_index_pack_at(index, i);

        if (pack->present != pack->indexed || pack_is_removed(prune, i))
            return FALSE;
    }
    return prune->indexes->len <= 1;
}

static gboolean prune_apply(Prune *prune, GError **error)
{
    if (!drop_drafts(prune, error))
        return FALSE;
    if (is_tidy(prune))
        return TRUE;
    if (!pack_writer_init(&prune->writer, prune->repo, error) ||
        !prune_rewrite_packs(prune, error) || !describe_rest(prune, error))
        return FALSE;
    CST_TEST_POINT("prune.packs.written");
    if (!remove_old(prune, error))
        return FALSE;
    prune->report.freed_bytes += prune->report.written;
    prune->report.written = prune->writer.written;
    prune->report.freed_bytes -= MIN(prune->report.written, prune->report.freed_bytes);
    return TRUE;
}

gboolean cst_repo_prune(CstRepo *repo, gboolean only_plan, CstTask *task,
                        CstPruneReport *ret_report, GError **error)
{
    g_auto(Prune) prune = {.repo = repo, .task = task};
    gboolean done;

    if (!repo_lock(repo, !only_plan, error))
        return FALSE;
    repo_index_drop(repo);
    /*
     * Read the manifests first. A plan holds only the shared lock, so another process may publish a
     * backup. An index loaded before that would lack its chunks.
     */
    prune.backups = cst_repo_backups(repo, NULL, error);
    prune.indexes = prune.backups ? folder_list(&repo->folders, FOLDER_INDEX, NULL, error) : NULL;
    done = prune.indexes && repo_index_load(repo, NULL, error) && mark_all(&prune, error) &&
           prune_measure_packs(&prune, error);
    if (done) {
        prune_select_packs(&prune);
        CST_TEST_POINT("prune.plan.made");
        done = only_plan || (cst_may_change(error) && prune_apply(&prune, error));
    }
    if (done)
        *ret_report = prune.report;
    prune_clear(&prune);
    repo_index_drop(repo);
    if (!only_plan)
        repo_unlock(repo);
    return done;
}
