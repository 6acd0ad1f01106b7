/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes and opens repositories, reads and writes their encrypted files and manifests, and loads the
 * index. Indexes only save time. Each pack has a table of its own content, and packs without an
 * index entry are read when the index is loaded.
 */
#include "repo.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>

#include "pack.h"

#define CONFIG "config"

static const FolderKind folder_of[] = {
    [REPO_PACK] = FOLDER_PACKS, [REPO_INDEX] = FOLDER_INDEX, [REPO_MANIFEST] = FOLDER_BACKUPS};

/* --- make and open ---------------------------------------------------------------------------- */

static CstRepo *repo_new(void)
{
    CstRepo *repo = g_new0(CstRepo, 1);

    repo->lock = -1;
    repo->folders.root = -1;
    for (int i = 0; i < N_FOLDERS; i++)
        repo->folders.fds[i] = -1;
    repo_index_init(&repo->index);
    return repo;
}

void cst_repo_close(CstRepo *repo)
{
    if (!repo)
        return;
    repo_unlock(repo);
    repo_index_clear(&repo->index);
    repo_keys_clear(&repo->keys);
    folders_clear(&repo->folders);
    g_free(repo);
}

static gboolean write_config(CstRepo *repo, GError **error)
{
    uint8_t file[REPO_CONFIG_BYTES], draft[REPO_ID];
    g_auto(CstFd) fd = -1;

    repo_config_format(&repo->config, file);
    if (!repo_config_sum(file, file + REPO_CONFIG_SUM, error))
        return FALSE;
    fd = folder_draft(&repo->folders, draft, error);
    if (fd < 0)
        return FALSE;
    if (cst_pwrite_full(fd, file, sizeof(file), 0, repo->folders.path, error) &&
        folder_publish_config(&repo->folders, fd, draft, error))
        return TRUE;
    folder_drop_draft(&repo->folders, draft);
    return FALSE;
}

gboolean cst_repo_init(const char *path, const CstRepoInit *how, GError **error)
{
    g_autoptr(CstRepo) repo = repo_new();
    RepoConfig *config = &repo->config;

    config->chunk = how->chunk ? how->chunk : CST_CHUNK_DEFAULT;
    config->created = g_get_real_time() / G_USEC_PER_SEC;
    config->iterations = how->iterations ? how->iterations : REPO_ITERATIONS;
    if (config->chunk < CST_CHUNK_MIN || config->chunk > CST_CHUNK_MAX ||
        (config->chunk & (config->chunk - 1)) != 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("chunks have 64, 128, 256 or 512 KiB, or 1 MiB"));
    if (how->secret && how->secret->len == 0)
        return cst_fail(error, CST_ERROR_INVALID_SECRET, _("the secret has no value"));
    return folders_make(&repo->folders, path, error) && repo_random(config->id, REPO_ID, error) &&
           repo_keys_make(config, how->secret, &repo->keys, error) && write_config(repo, error);
}

static gboolean read_config(CstRepo *repo, const CstSecretBytes *secret, GError **error)
{
    g_autofree char *path = g_build_filename(repo->folders.path, CONFIG, NULL);
    g_autofree uint8_t *file = NULL;
    uint8_t sum[REPO_HASH];
    size_t len;

    file = folder_file_read(repo->folders.root, CONFIG, path, REPO_CONFIG_BYTES, &len, error);
    if (!file || !repo_config_parse(file, len, path, &repo->config, error) ||
        !repo_config_sum(file, sum, error))
        return FALSE;
    if (memcmp(sum, file + REPO_CONFIG_SUM, sizeof(sum)) != 0)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged"), path);
    repo_id_format(repo->config.id, repo->id);
    return repo_keys_open(&repo->config, secret, repo->folders.path, &repo->keys, error);
}

CstRepo *cst_repo_open(const char *path, const CstRepoOpen *how, GError **error)
{
    g_autoptr(CstRepo) repo = repo_new();

    repo->read_only = how->read_only;
    if (!folders_open(&repo->folders, path, how->shared_ok, error) ||
        !read_config(repo, how->secret, error))
        return NULL;
    return g_steal_pointer(&repo);
}

const char *cst_repo_id(const CstRepo *repo)
{
    return repo->id;
}

uint32_t cst_repo_chunk(const CstRepo *repo)
{
    return repo->config.chunk;
}

gboolean cst_repo_is_encrypted(const CstRepo *repo)
{
    return repo->config.wrapped;
}

/* --- encrypted files -------------------------------------------------------------------------- */

gboolean repo_file_write(CstRepo *repo, RepoFileKind kind, const GByteArray *body,
                         char ret_id[REPO_ID_TEXT], GError **error)
{
    size_t len = REPO_FILE_HEAD + body->len + REPO_TAG;
    g_autofree uint8_t *file = cst_alloc(len, 1, repo->folders.path, error);
    g_auto(FileCipher) cipher = {0};
    g_auto(CstFd) fd = -1;
    uint8_t draft[REPO_ID];
    char name[REPO_ID_TEXT];

    if (!file)
        return FALSE;
    fd = folder_draft(&repo->folders, draft, error);
    if (fd < 0)
        return FALSE;
    repo_head_format(kind, repo->config.id, draft, file);
    if (!file_cipher_init(&cipher, &repo->keys, file, error) ||
        !file_cipher_seal(&cipher, REPO_FILE_HEAD, body->data, body->len, file + REPO_FILE_HEAD,
                          error) ||
        !cst_pwrite_full(fd, file, len, 0, repo->folders.path, error) ||
        !folder_publish(&repo->folders, fd, draft, folder_of[kind], repo_id_format(draft, name),
                        error)) {
        folder_drop_draft(&repo->folders, draft);
        return FALSE;
    }
    if (ret_id)
        memcpy(ret_id, name, sizeof(name));
    return TRUE;
}

uint8_t *repo_file_read(CstRepo *repo, RepoFileKind kind, const char *id, size_t *ret_len,
                        GError **error)
{
    FolderKind folder = folder_of[kind];
    g_autofree char *path = folder_path(&repo->folders, folder, id);
    g_autofree uint8_t *file = NULL;
    g_autofree uint8_t *body = NULL;
    g_auto(FileCipher) cipher = {0};
    uint8_t bytes[REPO_ID], head[REPO_FILE_HEAD];
    size_t len;

    if (!repo_id_parse(id, bytes)) {
        cst_fail(error, CST_ERROR_NOT_FOUND, _("'%s' is no file of a repository"), path);
        return NULL;
    }
    file = folder_file_read(repo->folders.fds[folder], id, path,
                            MAX(REPO_INDEX_MAX, REPO_MANIFEST_MAX), &len, error);
    if (!file)
        return NULL;
    repo_head_format(kind, repo->config.id, bytes, head);
    if (len <= REPO_FILE_HEAD + REPO_TAG || memcmp(file, head, sizeof(head)) != 0) {
        cst_fail(error, CST_ERROR_CORRUPT, _("'%s' does not begin as it should"), path);
        return NULL;
    }
    len -= REPO_FILE_HEAD;
    body = cst_alloc(len, 1, path, error);
    if (!body || !file_cipher_init(&cipher, &repo->keys, head, error) ||
        !file_cipher_open(&cipher, REPO_FILE_HEAD, file + REPO_FILE_HEAD, len, body, path, error))
        return NULL;
    *ret_len = len - REPO_TAG;
    return g_steal_pointer(&body);
}

/* --- the index -------------------------------------------------------------------------------- */

static gboolean add_pack(const uint8_t pack[REPO_ID], const ChunkEntry *entries, uint32_t count,
                         gpointer data, GError **error)
{
    CstRepo *repo = data;
    uint32_t number = repo_index_pack(&repo->index, pack);
    IndexPack *known = repo_index_pack_at(&repo->index, number);

    /* The pack was removed, or is already known. */
    if (!known->present || known->indexed)
        return TRUE;
    known->indexed = TRUE;
    for (uint32_t i = 0; i < count; i++)
        if (!repo_index_add(&repo->index, number, &entries[i], error))
            return FALSE;
    return TRUE;
}

gboolean repo_is_damage(const GError *error)
{
    return cst_error_code(error) == CST_ERROR_CORRUPT || cst_error_code(error) == CST_ERROR_IO;
}

static void repo_add_problem(GPtrArray *problems, const GError *why)
{
    if (problems)
        g_ptr_array_add(problems, cst_error_text(why));
}

/* A damaged index only costs time, so it is logged. Other failures are errors. */
static gboolean read_indexes(CstRepo *repo, GPtrArray *problems, GError **error)
{
    g_autoptr(GPtrArray) names = folder_list(&repo->folders, FOLDER_INDEX, NULL, error);

    for (guint i = 0; names && i < names->len; i++) {
        g_autoptr(GError) why = NULL;
        size_t len;
        g_autofree uint8_t *body = repo_file_read(repo, REPO_INDEX, names->pdata[i], &len, &why);

        if (body && repo_index_parse(body, len, names->pdata[i], add_pack, repo, &why))
            continue;
        if (!repo_is_damage(why) && cst_error_code(why) != CST_ERROR_NOT_FOUND) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        cst_log(CST_LOG_WARNING, "%s", why->message);
        repo_add_problem(problems, why);
    }
    return names != NULL;
}

static gboolean read_tables(CstRepo *repo, GPtrArray *names, GPtrArray *problems, GError **error)
{
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(GError) why = NULL;
        g_autofree ChunkEntry *entries = NULL;
        uint8_t id[REPO_ID];
        uint64_t size;
        uint32_t count, number;

        (void)repo_id_parse(names->pdata[i], id);
        number = repo_index_pack(&repo->index, id);
        if (repo_index_pack_at(&repo->index, number)->indexed)
            continue;
        entries = pack_table(repo, names->pdata[i], &count, &size, &why);
        if (entries && !add_pack(id, entries, count, repo, error))
            return FALSE;
        repo_index_pack_at(&repo->index, number)->indexed = FALSE;
        if (entries)
            continue;
        if (!repo_is_damage(why) || !problems) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        repo_index_pack_at(&repo->index, number)->present = FALSE;
        repo_add_problem(problems, why);
    }
    return TRUE;
}

gboolean repo_index_load(CstRepo *repo, GPtrArray *problems, GError **error)
{
    g_autoptr(GPtrArray) packs = NULL;

    if (repo->index_loaded)
        return TRUE;
    repo_index_drop(repo);
    packs = folder_list(&repo->folders, FOLDER_PACKS, NULL, error);
    for (guint i = 0; packs && i < packs->len; i++) {
        uint8_t id[REPO_ID];

        (void)repo_id_parse(packs->pdata[i], id);
        repo_index_pack_at(&repo->index, repo_index_pack(&repo->index, id))->present = TRUE;
    }
    CST_TEST_POINT("repo_index.load.listed");
    repo->index_loaded =
        packs && read_indexes(repo, problems, error) && read_tables(repo, packs, problems, error);
    return repo->index_loaded;
}

void repo_index_drop(CstRepo *repo)
{
    repo_index_clear(&repo->index);
    repo_index_init(&repo->index);
    repo->index_loaded = FALSE;
}

/* --- manifests -------------------------------------------------------------------------------- */

static CstBackup *repo_read_manifest(CstRepo *repo, const char *id, GError **error)
{
    size_t len;
    g_autofree uint8_t *body = repo_file_read(repo, REPO_MANIFEST, id, &len, error);
    CstBackup *backup = body ? repo_manifest_parse(body, len, repo->config.chunk, id, error) : NULL;

    if (backup && !repo_digest(body, len, backup->digest, error))
        g_clear_pointer(&backup, cst_backup_free);
    if (backup)
        g_strlcpy(backup->id, id, sizeof(backup->id));
    return backup;
}

static int by_time(gconstpointer a, gconstpointer b)
{
    const CstBackup *first = *(CstBackup *const *)a, *second = *(CstBackup *const *)b;

    if (first->time_us != second->time_us)
        return first->time_us < second->time_us ? -1 : 1;
    return strcmp(first->id, second->id);
}

static void free_backup(gpointer backup)
{
    cst_backup_free(backup);
}

GPtrArray *cst_repo_backups(CstRepo *repo, GPtrArray *damaged, GError **error)
{
    g_autoptr(GPtrArray) backups = g_ptr_array_new_with_free_func(free_backup);
    g_autoptr(GPtrArray) names = folder_list(&repo->folders, FOLDER_BACKUPS, NULL, error);

    CST_TEST_POINT("repo.backups.listed");
    for (guint i = 0; names && i < names->len; i++) {
        g_autoptr(GError) why = NULL;
        CstBackup *backup = repo_read_manifest(repo, names->pdata[i], &why);

        if (backup) {
            g_ptr_array_add(backups, backup);
        } else if (cst_error_code(why) == CST_ERROR_NOT_FOUND) {
            continue; /* forgotten after the list was read */
        } else if (damaged && repo_is_damage(why)) {
            repo_add_problem(damaged, why);
        } else {
            g_propagate_error(error, g_steal_pointer(&why));
            return NULL;
        }
    }
    if (!names)
        return NULL;
    g_ptr_array_sort(backups, by_time);
    return g_steal_pointer(&backups);
}

CstBackup *cst_repo_backup(CstRepo *repo, const char *prefix, GError **error)
{
    gboolean latest = strcmp(prefix, "latest") == 0;
    g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) backups = cst_repo_backups(repo, damaged, error);
    guint found = 0, at = 0;

    for (guint i = 0; backups && i < backups->len; i++) {
        const CstBackup *backup = backups->pdata[i];

        if (latest || g_str_has_prefix(backup->id, prefix)) {
            found = latest ? 1 : found + 1;
            at = i;
        }
    }
    if (!backups)
        return NULL;
    for (guint i = 0; i < damaged->len; i++)
        cst_log(CST_LOG_WARNING, "%s", (const char *)damaged->pdata[i]);
    if (found == 0 && damaged->len > 0)
        cst_fail(error, CST_ERROR_NOT_FOUND,
                 _("repository '%s' has no backup '%s' that can be read: %s"), repo->folders.path,
                 prefix, (const char *)damaged->pdata[0]);
    else if (found == 0)
        cst_fail(error, CST_ERROR_NOT_FOUND, _("repository '%s' has no backup '%s'"),
                 repo->folders.path, prefix);
    if (found > 1)
        cst_fail(error, CST_ERROR_INVALID, _("the ids of %u backups begin with '%s'"), found,
                 prefix);
    return found == 1 ? g_ptr_array_steal_index(backups, at) : NULL;
}

static gboolean backup_holds(const CstBackup *backup, const char *name)
{
    for (guint i = 0; i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];
        g_autofree char *full = g_strdup_printf("%s/%s", volume->pool, volume->name);

        if (strcmp(name, volume->name) == 0 || strcmp(name, full) == 0 ||
            strcmp(name, volume->pool) == 0)
            return TRUE;
    }
    return FALSE;
}

CstBackup *cst_repo_latest(CstRepo *repo, const char *volume, GError **error)
{
    g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) backups = cst_repo_backups(repo, damaged, error);

    if (!backups)
        return NULL;
    for (guint i = 0; i < damaged->len; i++)
        cst_log(CST_LOG_WARNING, "%s", (const char *)damaged->pdata[i]);
    for (guint i = backups->len; i-- > 0;)
        if (backup_holds(backups->pdata[i], volume))
            return g_ptr_array_steal_index(backups, i);
    cst_fail(error, CST_ERROR_NO_VOL, _("no backup in repository '%s' has a volume '%s'"),
             repo->folders.path, volume);
    return NULL;
}

const CstBackupVolume *cst_backup_volume(const CstBackup *backup, const char *name, GError **error)
{
    const CstBackupVolume *found = NULL;
    guint count = 0;

    for (guint i = 0; i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];
        g_autofree char *full = g_strdup_printf("%s/%s", volume->pool, volume->name);

        if (!name || strcmp(name, volume->name) == 0 || strcmp(name, full) == 0) {
            found = volume;
            count++;
        }
    }
    if (count == 1)
        return found;
    if (count == 0)
        cst_fail(error, CST_ERROR_NO_VOL, _("backup '%.8s' has no volume '%s'"), backup->id, name);
    else if (name)
        cst_fail(error, CST_ERROR_INVALID,
                 _("backup '%.8s' has several volumes '%s'; name the "
                   "pool as well (POOL/VOLUME)"),
                 backup->id, name);
    else
        cst_fail(error, CST_ERROR_INVALID, _("backup '%.8s' has %u volumes; name one"), backup->id,
                 count);
    return NULL;
}

gboolean cst_repo_forget(CstRepo *repo, const char *const *ids, GError **error)
{
    if (!repo_lock_to_write(repo, error))
        return FALSE;
    for (size_t i = 0; ids[i]; i++) {
        uint8_t id[REPO_ID];

        if (!repo_id_parse(ids[i], id))
            return cst_fail(error, CST_ERROR_INVALID, _("'%s' is no id of a backup"), ids[i]);
        if (!folder_remove(&repo->folders, FOLDER_BACKUPS, ids[i], error))
            return FALSE;
    }
    return folder_sync(&repo->folders, FOLDER_BACKUPS, error);
}
