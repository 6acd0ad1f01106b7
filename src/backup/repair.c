/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Removes damaged files, under the exclusive lock. Every chunk is read. A pack with a damaged chunk
 * or table is replaced: its sound chunks are copied into a new pack, then the old pack is removed.
 * A damaged chunk is lost unless another pack has a sound copy of it. Manifests keep the names of
 * the lost chunks. Chunks are named by their content, so the next backup of a volume that still has
 * a lost chunk stores it again. Then every backup with that chunk is complete again.
 *
 * As in a prune, new packs and an index of all packs are published before a pack is removed. Thus a
 * sound chunk is always in a durable pack, and an interrupted repair can be repeated.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "lists.h"
#include "pack.h"

typedef struct {
    CstRepo *repo;
    CstTask *task;
    uint8_t *bad;       /* one byte per entry of the index: the chunk is damaged */
    uint8_t *dropped;   /* one byte per pack of the index: the pack is replaced */
    GPtrArray *indexes; /* names of the existing indexes */
    GPtrArray *backups; /* of CstBackup * */
    uint8_t *content, *packed;
    PackWriter writer;
    CstRepairReport *report;
} Repair;

static void repair_clear(Repair *repair)
{
    pack_writer_clear(&repair->writer);
    g_clear_pointer(&repair->bad, g_free);
    g_clear_pointer(&repair->dropped, g_free);
    g_clear_pointer(&repair->content, g_free);
    g_clear_pointer(&repair->packed, g_free);
    g_clear_pointer(&repair->indexes, g_ptr_array_unref);
    g_clear_pointer(&repair->backups, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Repair, repair_clear)

static void loss_free(gpointer data)
{
    CstRepairLoss *loss = data;

    g_free(loss->pool);
    g_free(loss->volume);
    g_free(loss);
}

void cst_repair_report_clear(CstRepairReport *report)
{
    g_clear_pointer(&report->losses, g_ptr_array_unref);
    g_clear_pointer(&report->manifests, g_ptr_array_unref);
}

/* --- finding damage --------------------------------------------------------------------------- */

/*
 * Returns TRUE and frees *@why if it reports wrong content. Otherwise moves it to @error. A file
 * that cannot be opened or read may be sound: the process has too many open files, or a server does
 * not answer. Its removal would lose it.
 */
static gboolean is_damage(GError **why, GError **error)
{
    g_autoptr(GError) found = g_steal_pointer(why);

    if (cst_error_code(found) == CST_ERROR_CORRUPT)
        return TRUE;
    if (cst_error_code(found) == CST_ERROR_IO)
        return cst_fail(error, CST_ERROR_IO,
                        _("%s; the repair made no change, because the file may be sound: repeat "
                          "the command, or remove the file to give it up"),
                        found->message);
    g_propagate_error(error, g_steal_pointer(&found));
    return FALSE;
}

static gboolean check_table(Repair *repair, guint pack, GError **error)
{
    IndexPack *known = repo_index_pack_at(&repair->repo->index, pack);
    g_autofree ChunkEntry *table = NULL;
    GError *why = NULL;
    char id[REPO_ID_TEXT];
    uint64_t size;
    uint32_t count;

    table = pack_table(repair->repo, repo_id_format(known->id, id), &count, &size, &why);
    if (table && !known->present)
        return cst_fail(error, CST_ERROR_IO,
                        _("pack '%s' could not be read at first, so the repair made no change: "
                          "repeat the command"),
                        id);
    if (table || cst_error_code(why) == CST_ERROR_NOT_FOUND) {
        g_clear_error(&why);
        return TRUE;
    }
    repair->dropped[pack] = 1;
    return is_damage(&why, error);
}

static gboolean check_chunks(Repair *repair, GError **error)
{
    RepoIndex *index = &repair->repo->index;
    g_auto(PackReader) reader = {.fd = -1};
    uint32_t open_pack = 0;

    cst_task_set_total(repair->task, index->n_entries);
    for (uint32_t i = 0; i < index->n_entries; i++) {
        const IndexEntry *entry = &index->entries[i];
        GError *why = NULL;

        if (!cst_task_check(repair->task, error))
            return FALSE;
        cst_task_advance(repair->task, 1);
        if (!repo_index_pack_at(index, entry->pack)->present)
            continue;
        if (reader.fd < 0 || open_pack != entry->pack)
            pack_reader_clear(&reader);
        open_pack = entry->pack;
        if ((reader.fd >= 0 ||
             pack_reader_open(&reader, repair->repo, repo_index_pack_at(index, entry->pack)->id,
                              &why)) &&
            pack_reader_chunk(&reader, repair->repo, &entry->chunk, repair->content, &why))
            continue;
        if (!is_damage(&why, error))
            return FALSE;
        repair->bad[i] = repair->dropped[entry->pack] = 1;
        repair->report->chunks++;
    }
    return TRUE;
}

/* Uses the sound copies that pack @pack has of damaged chunks in the place of these chunks. */
static gboolean use_copies_of_pack(Repair *repair, guint pack, GError **error)
{
    RepoIndex *index = &repair->repo->index;
    const IndexPack *holder = repo_index_pack_at(index, pack);
    g_auto(PackReader) reader = {.fd = -1};
    g_autofree ChunkEntry *table = NULL;
    GError *why = NULL;
    char id[REPO_ID_TEXT];
    uint32_t count;
    uint64_t size;

    table = pack_table(repair->repo, repo_id_format(holder->id, id), &count, &size, &why);
    if (!table || !pack_reader_open(&reader, repair->repo, holder->id, &why)) {
        if (cst_error_code(why) != CST_ERROR_NOT_FOUND)
            return is_damage(&why, error);
        g_clear_error(&why);
        return TRUE;
    }
    for (uint32_t i = 0; i < count; i++) {
        const IndexEntry *known = repo_index_find(index, table[i].hash, table[i].kind);
        ptrdiff_t place = known ? known - index->entries : 0;

        if (!known || !repair->bad[place])
            continue;
        if (!cst_task_check(repair->task, error))
            return FALSE;
        if (pack_reader_chunk(&reader, repair->repo, &table[i], repair->content, &why)) {
            index->entries[place] = (IndexEntry){.chunk = table[i], .pack = pack};
            repair->bad[place] = 0;
        } else if (!is_damage(&why, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Backups that run at the same time may store a chunk twice. The index knows one of the copies. */
static gboolean find_second_copies(Repair *repair, GError **error)
{
    const RepoIndex *index = &repair->repo->index;

    for (guint i = 0; repair->report->chunks > 0 && i < index->packs->len; i++)
        if (repo_index_pack_at(index, i)->present && !use_copies_of_pack(repair, i, error))
            return FALSE;
    return TRUE;
}

static gboolean find_damage(Repair *repair, GError **error)
{
    CstRepo *repo = repair->repo;
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);

    repair->indexes = folder_list(&repo->folders, FOLDER_INDEX, NULL, error);
    if (!repair->indexes || !repo_index_load(repo, problems, error))
        return FALSE;
    repair->content = cst_alloc(CST_CHUNK_MAX, 1, repo->folders.path, error);
    repair->packed =
        repair->content ? cst_alloc(CST_CHUNK_MAX, 1, repo->folders.path, error) : NULL;
    if (!repair->packed)
        return FALSE;
    repair->bad = g_malloc0(repo->index.n_entries + 1);
    repair->dropped = g_malloc0(repo->index.packs->len + 1);
    for (guint i = 0; i < repo->index.packs->len; i++)
        if (!check_table(repair, i, error))
            return FALSE;
    return check_chunks(repair, error) && find_second_copies(repair, error);
}

/* --- ranges that backups have lost ------------------------------------------------------------ */

static void add_loss(Repair *repair, const CstBackup *backup, const CstBackupVolume *volume,
                     uint64_t offset, uint64_t length)
{
    GPtrArray *losses = repair->report->losses;
    CstRepairLoss *last = losses->len > 0 ? losses->pdata[losses->len - 1] : NULL;
    CstRepairLoss *loss;

    if (last && strcmp(last->backup, backup->id) == 0 && strcmp(last->pool, volume->pool) == 0 &&
        strcmp(last->volume, volume->name) == 0 && last->offset + last->length == offset) {
        last->length += length;
        return;
    }
    loss = g_new0(CstRepairLoss, 1);
    memcpy(loss->backup, backup->id, sizeof(loss->backup));
    loss->pool = g_strdup(volume->pool);
    loss->volume = g_strdup(volume->name);
    loss->offset = offset;
    loss->length = length;
    g_ptr_array_add(losses, loss);
}

static gboolean chunk_is_lost(const Repair *repair, const uint8_t *name, ChunkKind kind)
{
    const RepoIndex *index = &repair->repo->index;
    const IndexEntry *entry = chunk_name_is_zero(name) ? NULL : repo_index_find(index, name, kind);

    return !chunk_name_is_zero(name) && (!entry || repair->bad[entry - index->entries]);
}

static gboolean survey_volume(Repair *repair, const CstBackup *backup,
                              const CstBackupVolume *volume, GError **error)
{
    uint32_t chunk = repair->repo->config.chunk;
    uint64_t chunks = repo_chunks_of(volume->size, chunk);
    g_auto(ChunkLists) lists = {0};

    if (!chunk_lists_init(&lists, repair->repo, volume, error))
        return FALSE;
    for (uint64_t i = 0; i < chunks; i++) {
        const uint8_t *list = volume->lists + i / REPO_LIST_IDS * REPO_HASH;
        const uint8_t *name;

        if (i % REPO_LIST_IDS == 0 && !cst_task_check(repair->task, error))
            return FALSE;
        if (!chunk_is_lost(repair, list, CHUNK_LIST)) {
            name = chunk_lists_name(&lists, i, error);
            if (!name)
                return FALSE;
            if (!chunk_is_lost(repair, name, CHUNK_DATA))
                continue;
        }
        add_loss(repair, backup, volume, i * chunk, repo_chunk_len(volume->size, chunk, i));
    }
    return TRUE;
}

static gboolean find_losses(Repair *repair, GError **error)
{
    for (guint i = 0; i < repair->backups->len; i++) {
        const CstBackup *backup = repair->backups->pdata[i];

        for (guint k = 0; k < backup->volumes->len; k++)
            if (!survey_volume(repair, backup, backup->volumes->pdata[k], error))
                return FALSE;
    }
    return TRUE;
}

/* Reads the manifests. Adds the ids of damaged ones to the report. */
static gboolean find_backups(Repair *repair, GError **error)
{
    CstRepo *repo = repair->repo;
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) names = folder_list(&repo->folders, FOLDER_BACKUPS, NULL, error);

    for (guint i = 0; names && i < names->len; i++) {
        GError *why = NULL;
        size_t len;
        g_autofree uint8_t *body = repo_file_read(repo, REPO_MANIFEST, names->pdata[i], &len, &why);
        g_autoptr(CstBackup) backup =
            body ? repo_manifest_parse(body, len, repo->config.chunk, names->pdata[i], &why) : NULL;

        if (backup)
            continue;
        if (!is_damage(&why, error))
            return FALSE;
        g_ptr_array_add(repair->report->manifests, g_strdup(names->pdata[i]));
    }
    repair->backups = names ? cst_repo_backups(repo, problems, error) : NULL;
    return repair->backups != NULL;
}

/* --- the work --------------------------------------------------------------------------------- */

static gboolean repair_copy_chunk(Repair *repair, const IndexEntry *entry, GError **error)
{
    g_auto(PackReader) reader = {.fd = -1};
    ChunkEntry chunk = entry->chunk;
    size_t len;

    if (!cst_task_check(repair->task, error) ||
        !pack_reader_open(&reader, repair->repo,
                          repo_index_pack_at(&repair->repo->index, entry->pack)->id, error) ||
        !pack_reader_chunk(&reader, repair->repo, &chunk, repair->content, error))
        return FALSE;
    len = chunk_compress(repair->content, chunk.raw, repair->packed, 0);
    chunk.packed = len > 0;
    return pack_writer_add(&repair->writer, &chunk, chunk.packed ? repair->packed : repair->content,
                           chunk.packed ? len : chunk.raw, error);
}

/* Publishes the sound chunks of the replaced packs, and an index of all remaining packs. */
static gboolean write_sound(Repair *repair, guint packs, GError **error)
{
    RepoIndex *index = &repair->repo->index;
    uint32_t count = index->n_entries;

    if (!pack_writer_init(&repair->writer, repair->repo, error))
        return FALSE;
    for (uint32_t i = 0; i < count; i++) {
        /* Copy the entry, because an addition may move the index. */
        const IndexEntry entry = index->entries[i];

        if (repo_index_pack_at(index, entry.pack)->present && repair->dropped[entry.pack] &&
            !repair->bad[i] && !repair_copy_chunk(repair, &entry, error))
            return FALSE;
    }
    for (guint i = 0; i < packs; i++) {
        const IndexPack *pack = repo_index_pack_at(index, i);
        g_autofree ChunkEntry *table = NULL;
        char id[REPO_ID_TEXT];
        uint64_t size;
        uint32_t entries;

        if (!pack->present || repair->dropped[i])
            continue;
        table = pack_table(repair->repo, repo_id_format(pack->id, id), &entries, &size, error);
        if (!table || !pack_writer_describe(&repair->writer, pack->id, table, entries, error))
            return FALSE;
    }
    return pack_writer_finish(&repair->writer, error);
}

static gboolean remove_names(Repair *repair, FolderKind kind, const GPtrArray *names,
                             GError **error)
{
    Folders *folders = &repair->repo->folders;

    for (guint i = 0; i < names->len; i++)
        if (!folder_remove(folders, kind, names->pdata[i], error))
            return FALSE;
    return folder_sync(folders, kind, error);
}

static gboolean repair_apply(Repair *repair, GError **error)
{
    guint packs = repair->repo->index.packs->len;
    g_autoptr(GPtrArray) old = g_ptr_array_new_with_free_func(g_free);
    char id[REPO_ID_TEXT];

    for (guint i = 0; i < packs; i++)
        if (repair->dropped[i])
            g_ptr_array_add(
                old, g_strdup(repo_id_format(repo_index_pack_at(&repair->repo->index, i)->id, id)));
    if (old->len > 0 && !write_sound(repair, packs, error))
        return FALSE;
    CST_TEST_POINT("repair.packs.written");
    if (old->len > 0 && !remove_names(repair, FOLDER_PACKS, old, error))
        return FALSE;
    CST_TEST_POINT("repair.packs.removed");
    return (old->len == 0 || remove_names(repair, FOLDER_INDEX, repair->indexes, error)) &&
           remove_names(repair, FOLDER_BACKUPS, repair->report->manifests, error);
}

gboolean cst_repo_repair(CstRepo *repo, gboolean only_plan, CstTask *task,
                         CstRepairReport *ret_report, GError **error)
{
    g_auto(Repair) repair = {.repo = repo, .task = task, .report = ret_report, .writer.fd = -1};
    gboolean done;

    *ret_report = (CstRepairReport){
        .losses = g_ptr_array_new_with_free_func(loss_free),
        .manifests = g_ptr_array_new_with_free_func(g_free),
    };
    if (!repo_lock(repo, !only_plan, error))
        return FALSE;
    repo_index_drop(repo);
    done =
        find_backups(&repair, error) && find_damage(&repair, error) && find_losses(&repair, error);
    for (guint i = 0; done && i < repo->index.packs->len; i++)
        ret_report->packs += repair.dropped[i];
    done = done && (only_plan || (cst_may_change(error) && repair_apply(&repair, error)));
    /* Clear first, because a failed pack writer marks its pack as absent in the index. */
    repair_clear(&repair);
    repo_index_drop(repo);
    if (!only_plan)
        repo_unlock(repo);
    return done;
}
