/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks a repository. It reads and compares every index and the table of every pack. On request it
 * reads every chunk. Every name in every backup must be the name of an existing, sound chunk. These
 * reads cover every byte of a repository's files, except locks and drafts, which are not needed.
 */
#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/threads.h>

#include "lists.h"
#include "pack.h"

typedef struct {
    CstRepo *repo;
    CstTask *task;
    CstRepoReport *report;
    GHashTable *lists;   /* names of lists that are known to be complete */
    GPtrArray *backups;  /* of CstBackup * */
    GHashTable *counted; /* numbers + 1 of the packs that the report counts */
    GMutex lock;         /* guards the fields below and the report while chunks are read */
    GHashTable *bad;     /* entries of the index whose chunk cannot be read */
    GError *failure;
    gint next, failed;
} Check;

void cst_repo_report_clear(CstRepoReport *report)
{
    g_clear_pointer(&report->problems, g_ptr_array_unref);
    g_clear_pointer(&report->notes, g_ptr_array_unref);
    g_clear_pointer(&report->broken, g_hash_table_unref);
}

static void add_problem(Check *check, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void add_problem(Check *check, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(check->report->problems, g_strdup_vprintf(format, args));
    va_end(args);
}

/*
 * Reports damage as a problem and returns TRUE. Other failures are errors of the check. From any
 * thread.
 */
static gboolean repo_check_add_damage(Check *check, GError *why, GError **error)
{
    if (!repo_is_damage(why)) {
        g_propagate_error(error, why);
        return FALSE;
    }
    g_mutex_lock(&check->lock);
    g_ptr_array_add(check->report->problems, cst_error_text(why));
    g_mutex_unlock(&check->lock);
    g_error_free(why);
    return TRUE;
}

/* --- indexes and tables ----------------------------------------------------------------------- */

static gboolean same_entries(const ChunkEntry *a, const ChunkEntry *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t first[REPO_ENTRY], second[REPO_ENTRY];

        repo_entry_format(&a[i], first);
        repo_entry_format(&b[i], second);
        if (memcmp(first, second, REPO_ENTRY) != 0)
            return FALSE;
    }
    return TRUE;
}

/* Counts a pack once, because two indexes may describe it. */
static void count_pack(Check *check, guint number, uint32_t chunks, uint64_t size)
{
    if (!g_hash_table_add(check->counted, GUINT_TO_POINTER(number + 1)))
        return;
    check->report->packs++;
    check->report->chunks += chunks;
    check->report->bytes += size;
}

/* Compares the table of a pack with its description in an index. */
static gboolean compare_table(const uint8_t pack[REPO_ID], const ChunkEntry *entries,
                              uint32_t count, gpointer data, GError **error)
{
    Check *check = data;
    GError *why = NULL;
    g_autofree ChunkEntry *table = NULL;
    char id[REPO_ID_TEXT];
    uint64_t size;
    uint32_t in_table;

    if (!cst_task_check(check->task, error))
        return FALSE;
    table = pack_table(check->repo, repo_id_format(pack, id), &in_table, &size, &why);
    /* An interrupted prune leaves indexes of packs that it has removed. */
    if (!table && cst_error_code(why) == CST_ERROR_NOT_FOUND) {
        g_error_free(why);
        return TRUE;
    }
    if (!table)
        return repo_check_add_damage(check, why, error);
    count_pack(check, repo_index_pack(&check->repo->index, pack), in_table, size);
    if (in_table != count || !same_entries(table, entries, count))
        add_problem(check, _("an index describes pack '%s' otherwise than it is"), id);
    return TRUE;
}

static gboolean check_indexes(Check *check, GError **error)
{
    CstRepo *repo = check->repo;
    g_autoptr(GPtrArray) names = folder_list(&repo->folders, FOLDER_INDEX, NULL, error);

    for (guint i = 0; names && i < names->len; i++) {
        GError *why = NULL;
        size_t len;
        g_autofree uint8_t *body = repo_file_read(repo, REPO_INDEX, names->pdata[i], &len, &why);

        /* Loading the index has already reported damaged indexes. */
        if (body && !repo_index_parse(body, len, names->pdata[i], compare_table, check, &why) &&
            !repo_is_damage(why)) {
            g_propagate_error(error, why);
            return FALSE;
        }
        g_clear_error(&why);
    }
    return names != NULL;
}

/* Loading the index has already read the packs that no index describes. */
static void count_unindexed(Check *check)
{
    const RepoIndex *index = &check->repo->index;
    guint without = 0;

    for (guint i = 0; i < index->packs->len; i++) {
        const IndexPack *pack = repo_index_pack_at(index, i);
        g_autofree ChunkEntry *table = NULL;
        char id[REPO_ID_TEXT];
        uint64_t size;
        uint32_t count;

        if (!pack->present || pack->indexed)
            continue;
        without++;
        table = pack_table(check->repo, repo_id_format(pack->id, id), &count, &size, NULL);
        if (table)
            count_pack(check, i, count, size);
    }
    if (without > 0)
        g_ptr_array_add(
            check->report->notes,
            g_strdup_printf(ngettext("no index describes %u pack; a prune makes one",
                                     "no index describes %u packs; a prune makes one", without),
                            without));
}

static gboolean note_leftovers(Check *check, GError **error)
{
    g_autoptr(GPtrArray) locks = cst_repo_locks(check->repo, error);

    for (guint i = 0; locks && i < locks->len; i++) {
        const CstRepoLock *lock = locks->pdata[i];

        if (lock->dead)
            g_ptr_array_add(check->report->notes,
                            g_strdup_printf(_("process %" PRId64 " has died and left a "
                                              "lock"),
                                            lock->pid));
    }
    for (FolderKind kind = FOLDER_PACKS; locks && kind <= FOLDER_BACKUPS; kind++) {
        guint others = 0;
        g_autoptr(GPtrArray) names = folder_list(&check->repo->folders, kind, &others, error);

        if (!names)
            return FALSE;
        if (others > 0)
            g_ptr_array_add(
                check->report->notes,
                g_strdup_printf(
                    _("directory '%s' has a file that does not belong to the repository"),
                    folder_name(kind)));
    }
    return locks != NULL;
}

/* --- chunks ----------------------------------------------------------------------------------- */

/* Reads every chunk of a pack. */
static gboolean repo_check_read_pack(Check *check, const IndexPack *pack, uint8_t *content,
                                     GError **error)
{
    CstRepo *repo = check->repo;
    g_auto(PackReader) reader = {.fd = -1};
    g_autofree ChunkEntry *table = NULL;
    GError *why = NULL;
    char id[REPO_ID_TEXT];
    uint64_t size;
    uint32_t count;

    table = pack_table(repo, repo_id_format(pack->id, id), &count, &size, &why);
    /* A damaged table is already reported. */
    if (!table || !pack_reader_open(&reader, repo, pack->id, &why)) {
        gboolean noted = repo_is_damage(why) || cst_error_code(why) == CST_ERROR_NOT_FOUND;

        if (noted)
            g_error_free(why);
        else
            g_propagate_error(error, why);
        return noted;
    }
    for (uint32_t i = 0; i < count; i++) {
        const IndexEntry *entry = repo_index_find(&repo->index, table[i].hash, table[i].kind);

        if (!cst_task_check(check->task, error))
            return FALSE;
        cst_task_advance(check->task, table[i].stored);
        if (pack_reader_chunk(&reader, repo, &table[i], content, &why))
            continue;
        if (!repo_check_add_damage(check, g_steal_pointer(&why), error))
            return FALSE;
        g_mutex_lock(&check->lock);
        /* If the index refers to another pack, the chunk is read from there. */
        if (entry &&
            memcmp(repo_index_pack_at(&repo->index, entry->pack)->id, pack->id, REPO_ID) == 0)
            g_hash_table_add(check->bad, (gpointer)entry);
        g_mutex_unlock(&check->lock);
    }
    return TRUE;
}

static gpointer read_packs(gpointer data)
{
    Check *check = data;
    const RepoIndex *index = &check->repo->index;
    GError *error = NULL;
    g_autofree uint8_t *content = cst_alloc(CST_CHUNK_MAX, 1, check->repo->folders.path, &error);

    while (content && !g_atomic_int_get(&check->failed)) {
        guint i = (guint)g_atomic_int_add(&check->next, 1);

        if (i >= index->packs->len)
            return NULL;
        if (repo_index_pack_at(index, i)->present &&
            !repo_check_read_pack(check, repo_index_pack_at(index, i), content, &error))
            break;
    }
    g_mutex_lock(&check->lock);
    g_atomic_int_set(&check->failed, 1);
    if (error && !check->failure)
        check->failure = error;
    else
        g_clear_error(&error);
    g_mutex_unlock(&check->lock);
    return NULL;
}

static gboolean read_data(Check *check, GError **error)
{
    cst_task_set_total(check->task, check->report->bytes);
    cst_threads_run(read_packs, check, CLAMP(g_get_num_processors(), 1, CST_THREADS_MAX));
    if (check->failure)
        g_propagate_error(error, g_steal_pointer(&check->failure));
    return !check->failed;
}

/* --- backups ---------------------------------------------------------------------------------- */

static gboolean chunk_is_intact(const Check *check, const uint8_t *name, ChunkKind kind,
                                uint32_t len)
{
    const IndexEntry *entry = repo_index_find(&check->repo->index, name, kind);

    return entry && entry->chunk.raw == len && !g_hash_table_contains(check->bad, entry);
}

/* Counts the chunks of one list that cannot be restored. */
static gboolean repo_check_list(Check *check, ChunkLists *lists, uint64_t number, uint64_t *lost,
                                GError **error)
{
    uint32_t chunk = check->repo->config.chunk;
    uint64_t first = number * REPO_LIST_IDS;
    uint64_t end = MIN(first + REPO_LIST_IDS, repo_chunks_of(lists->size, chunk));
    const uint8_t *list = lists->lists + number * REPO_HASH;
    g_autoptr(GBytes) key = g_bytes_new(list, REPO_HASH);
    uint64_t before = *lost;
    GError *why = NULL;

    if (chunk_name_is_zero(list))
        return TRUE;
    /*
     * Skip a list that was checked for another backup. The last list of a volume may be shorter, or
     * end in a partial chunk.
     */
    if (end - first == REPO_LIST_IDS && end * chunk <= lists->size &&
        g_hash_table_contains(check->lists, key))
        return TRUE;
    for (uint64_t i = first; i < end; i++) {
        const uint8_t *name = chunk_lists_name(lists, i, &why);

        if (!name) {
            *lost += end - first;
            return repo_check_add_damage(check, why, error);
        }
        if (!chunk_name_is_zero(name) &&
            !chunk_is_intact(check, name, CHUNK_DATA, repo_chunk_len(lists->size, chunk, i)))
            ++*lost;
    }
    if (*lost == before)
        g_hash_table_add(check->lists, g_bytes_ref(key));
    return TRUE;
}

static gboolean repo_check_volume(Check *check, const CstBackup *backup,
                                  const CstBackupVolume *volume, GError **error)
{
    g_auto(ChunkLists) lists = {0};
    uint64_t lost = 0;

    if (!chunk_lists_init(&lists, check->repo, volume, error))
        return FALSE;
    for (uint32_t i = 0; i < volume->n_lists; i++)
        if (!cst_task_check(check->task, error) || !repo_check_list(check, &lists, i, &lost, error))
            return FALSE;
    if (lost > 0) {
        add_problem(check,
                    _("backup %.8s: %" PRIu64 " chunks of volume '%s' in pool '%s' "
                      "cannot be restored"),
                    backup->id, lost, volume->name, volume->pool);
        g_hash_table_add(check->report->broken, g_strdup(backup->id));
    }
    return TRUE;
}

static gboolean check_backups(Check *check, GError **error)
{
    for (guint i = 0; i < check->backups->len; i++) {
        const CstBackup *backup = check->backups->pdata[i];

        check->report->backups++;
        for (guint k = 0; k < backup->volumes->len; k++)
            if (!repo_check_volume(check, backup, backup->volumes->pdata[k], error))
                return FALSE;
    }
    return TRUE;
}

gboolean cst_repo_check(CstRepo *repo, const CstRepoCheck *how, CstTask *task,
                        CstRepoReport *ret_report, GError **error)
{
    Check check = {.repo = repo, .task = task, .report = ret_report};
    gboolean done;

    memset(ret_report, 0, sizeof(*ret_report));
    ret_report->problems = g_ptr_array_new_with_free_func(g_free);
    ret_report->notes = g_ptr_array_new_with_free_func(g_free);
    ret_report->broken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    check.lists =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    check.bad = g_hash_table_new(NULL, NULL);
    check.counted = g_hash_table_new(NULL, NULL);
    g_mutex_init(&check.lock);
    if (!repo_lock(repo, FALSE, error)) {
        done = FALSE;
    } else {
        /*
         * Read the manifests first. The chunks of a backup are published before its manifest, so
         * the index loaded afterwards has them. This holds even if another process writes a backup
         * at the same time.
         */
        check.backups = cst_repo_backups(repo, ret_report->problems, error);
        repo_index_drop(repo);
        done = check.backups && repo_index_load(repo, ret_report->problems, error) &&
               check_indexes(&check, error);
        if (done)
            count_unindexed(&check);
        done = done && (!how->read_data || read_data(&check, error)) &&
               check_backups(&check, error) && note_leftovers(&check, error);
    }
    /*
     * The check may have skipped parts of the index. Drop it, so that the next user loads a
     * complete one.
     */
    if (!done || ret_report->problems->len > 0)
        repo_index_drop(repo);
    g_clear_pointer(&check.backups, g_ptr_array_unref);
    g_hash_table_unref(check.lists);
    g_hash_table_unref(check.bad);
    g_hash_table_unref(check.counted);
    g_mutex_clear(&check.lock);
    return done;
}
