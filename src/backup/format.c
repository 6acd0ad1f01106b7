/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Formats and parses the files of a repository in memory (see the header). All parsed values are
 * checked before use. In an encrypted repository the files are authentic; without encryption any
 * writer may have made them.
 */
#include "format.h"

#include <string.h>

#include <base/alloc.h>
#include <base/bytes.h>
#include <base/error.h>
#include <base/i18n.h>

#define CONFIG_MAGIC "CSTREPO\n"
#define MAGIC_BYTES  8

static const char *const magics[] = {
    [REPO_PACK] = "CSTPACK\n", [REPO_INDEX] = "CSTINDX\n", [REPO_MANIFEST] = "CSTBKUP\n"};

/* --- numbers ---------------------------------------------------------------------------------- */

uint64_t repo_chunks_of(uint64_t size, uint32_t chunk)
{
    return size / chunk + (size % chunk != 0);
}

uint32_t repo_lists_of(uint64_t size, uint32_t chunk)
{
    uint64_t chunks = repo_chunks_of(size, chunk);

    return (uint32_t)(chunks / REPO_LIST_IDS + (chunks % REPO_LIST_IDS != 0));
}

uint32_t repo_chunk_len(uint64_t size, uint32_t chunk, uint64_t number)
{
    return (uint32_t)MIN(chunk, size - number * chunk);
}

const char *repo_id_format(const uint8_t id[REPO_ID], char ret_text[REPO_ID_TEXT])
{
    for (size_t i = 0; i < REPO_ID; i++)
        g_snprintf(ret_text + 2 * i, 3, "%02x", id[i]);
    return ret_text;
}

gboolean repo_id_parse(const char *text, uint8_t ret_id[REPO_ID])
{
    if (strlen(text) != REPO_ID_TEXT - 1 || strspn(text, "0123456789abcdef") != REPO_ID_TEXT - 1)
        return FALSE;
    for (size_t i = 0; i < REPO_ID; i++)
        ret_id[i] = (uint8_t)(g_ascii_xdigit_value(text[2 * i]) << 4 |
                              g_ascii_xdigit_value(text[2 * i + 1]));
    return TRUE;
}

/* --- config ----------------------------------------------------------------------------------- */

void repo_config_format(const RepoConfig *config, uint8_t ret_file[REPO_CONFIG_BYTES])
{
    memset(ret_file, 0, REPO_CONFIG_BYTES);
    memcpy(ret_file, CONFIG_MAGIC, MAGIC_BYTES);
    cst_put_be32(ret_file + 8, REPO_VERSION);
    memcpy(ret_file + 12, config->id, REPO_ID);
    cst_put_be32(ret_file + 28, config->chunk);
    cst_put_be64(ret_file + 32, (uint64_t)config->created);
    cst_put_be32(ret_file + 40, config->wrapped);
    memcpy(ret_file + 44, config->salt, sizeof(config->salt));
    cst_put_be32(ret_file + 60, config->iterations);
    memcpy(ret_file + 64, config->nonce, REPO_NONCE);
    memcpy(ret_file + REPO_CONFIG_KNOWN, config->key, sizeof(config->key));
}

gboolean repo_config_parse(const uint8_t *file, size_t len, const char *name,
                           RepoConfig *ret_config, GError **error)
{
    RepoConfig config = {0};

    if (len != REPO_CONFIG_BYTES || memcmp(file, CONFIG_MAGIC, MAGIC_BYTES) != 0)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is not that of a repository of backups"),
                        name);
    if (cst_be32(file + 8) != REPO_VERSION)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is of version %u, which this program does not know"), name,
                        cst_be32(file + 8));
    memcpy(config.id, file + 12, REPO_ID);
    config.chunk = cst_be32(file + 28);
    config.created = (int64_t)cst_be64(file + 32);
    config.wrapped = cst_be32(file + 40) == 1;
    memcpy(config.salt, file + 44, sizeof(config.salt));
    config.iterations = cst_be32(file + 60);
    memcpy(config.nonce, file + 64, REPO_NONCE);
    memcpy(config.key, file + REPO_CONFIG_KNOWN, sizeof(config.key));
    if (cst_be32(file + 40) > 1 || config.chunk < CST_CHUNK_MIN || config.chunk > CST_CHUNK_MAX ||
        (config.chunk & (config.chunk - 1)) != 0 || config.iterations > REPO_ITERATIONS_MAX ||
        (config.iterations == 0) == config.wrapped)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' has a value that it cannot have"), name);
    *ret_config = config;
    return TRUE;
}

/* --- packs and indexes ------------------------------------------------------------------------ */

void repo_head_format(RepoFileKind kind, const uint8_t repo[REPO_ID], const uint8_t id[REPO_ID],
                      uint8_t ret_head[REPO_FILE_HEAD])
{
    memset(ret_head, 0, REPO_FILE_HEAD);
    memcpy(ret_head, magics[kind], MAGIC_BYTES);
    cst_put_be32(ret_head + 8, REPO_VERSION);
    memcpy(ret_head + 16, repo, REPO_ID);
    memcpy(ret_head + 32, id, REPO_ID);
}

void repo_entry_format(const ChunkEntry *entry, uint8_t ret_bytes[REPO_ENTRY])
{
    memset(ret_bytes, 0, REPO_ENTRY);
    memcpy(ret_bytes, entry->hash, REPO_HASH);
    cst_put_be32(ret_bytes + 32, entry->offset);
    cst_put_be32(ret_bytes + 36, entry->stored);
    cst_put_be32(ret_bytes + 40, entry->raw);
    ret_bytes[44] = entry->kind;
    ret_bytes[45] = (uint8_t)entry->packed;
}

static gboolean entry_parse(const uint8_t *bytes, uint64_t offset, ChunkEntry *ret_entry)
{
    memcpy(ret_entry->hash, bytes, REPO_HASH);
    ret_entry->offset = cst_be32(bytes + 32);
    ret_entry->stored = cst_be32(bytes + 36);
    ret_entry->raw = cst_be32(bytes + 40);
    ret_entry->kind = bytes[44];
    ret_entry->packed = bytes[45];
    return bytes[44] <= CHUNK_LIST && bytes[45] <= 1 && cst_be16(bytes + 46) == 0 &&
           ret_entry->offset == offset && ret_entry->raw > 0 && ret_entry->raw <= CST_CHUNK_MAX &&
           ret_entry->stored > REPO_TAG &&
           (ret_entry->packed ? ret_entry->stored - REPO_TAG < ret_entry->raw
                              : ret_entry->stored - REPO_TAG == ret_entry->raw) &&
           offset + ret_entry->stored <= REPO_PACK_MAX;
}

ChunkEntry *repo_entries_parse(const uint8_t *bytes, size_t count, const char *name,
                               uint64_t *ret_end, GError **error)
{
    g_autofree ChunkEntry *entries = cst_alloc(count, sizeof(*entries), name, error);
    uint64_t offset = REPO_FILE_HEAD;

    for (size_t i = 0; entries && i < count; i++) {
        if (!entry_parse(bytes + i * REPO_ENTRY, offset, &entries[i])) {
            cst_fail(error, CST_ERROR_CORRUPT, _("'%s' describes a chunk that cannot be"), name);
            return NULL;
        }
        offset += entries[i].stored;
    }
    if (entries)
        *ret_end = offset;
    return g_steal_pointer(&entries);
}

void repo_index_append(GByteArray *body, const uint8_t pack[REPO_ID], const ChunkEntry *entries,
                       uint32_t count)
{
    uint8_t number[4], bytes[REPO_ENTRY];

    g_byte_array_append(body, pack, REPO_ID);
    cst_put_be32(number, count);
    g_byte_array_append(body, number, sizeof(number));
    for (uint32_t i = 0; i < count; i++) {
        repo_entry_format(&entries[i], bytes);
        g_byte_array_append(body, bytes, REPO_ENTRY);
    }
}

gboolean repo_index_parse(const uint8_t *body, size_t len, const char *name, RepoIndexFunc func,
                          gpointer data, GError **error)
{
    while (len > 0) {
        g_autofree ChunkEntry *entries = NULL;
        uint64_t count, end;

        if (len < REPO_ID + 4)
            return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' ends too early"), name);
        count = cst_be32(body + REPO_ID);
        if (count > (len - REPO_ID - 4) / REPO_ENTRY)
            return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' ends too early"), name);
        entries = repo_entries_parse(body + REPO_ID + 4, count, name, &end, error);
        if (!entries || !func(body, entries, (uint32_t)count, data, error))
            return FALSE;
        body += REPO_ID + 4 + count * REPO_ENTRY;
        len -= REPO_ID + 4 + count * REPO_ENTRY;
    }
    return TRUE;
}

/* --- manifests -------------------------------------------------------------------------------- */

static void put_32(GByteArray *body, uint32_t number)
{
    uint8_t bytes[4];

    cst_put_be32(bytes, number);
    g_byte_array_append(body, bytes, sizeof(bytes));
}

static void put_64(GByteArray *body, uint64_t number)
{
    uint8_t bytes[8];

    cst_put_be64(bytes, number);
    g_byte_array_append(body, bytes, sizeof(bytes));
}

static void manifest_put_text(GByteArray *body, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    put_32(body, (uint32_t)len);
    g_byte_array_append(body, (const uint8_t *)(text ? text : ""), (guint)len);
}

/*
 * Appends the position in the order of backups: number, then id and digest of the predecessor, or
 * zeroes.
 */
static void put_order(GByteArray *body, const CstBackup *backup)
{
    uint8_t id[REPO_ID] = {0};

    if (*backup->predecessor.id)
        (void)repo_id_parse(backup->predecessor.id, id);
    put_64(body, backup->number);
    g_byte_array_append(body, id, REPO_ID);
    g_byte_array_append(body, backup->predecessor.digest, REPO_HASH);
}

/* Appends the machines, and for each volume its consistency, its machine and its disk there. */
static void put_machines(GByteArray *body, const CstBackup *backup)
{
    put_32(body, backup->machines->len);
    for (guint i = 0; i < backup->machines->len; i++) {
        const CstBackupMachine *machine = backup->machines->pdata[i];

        manifest_put_text(body, machine->name);
        manifest_put_text(body, machine->uuid);
        manifest_put_text(body, machine->document);
        put_32(body, machine->one_moment ? 1 : 0);
    }
    for (guint i = 0; i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];

        manifest_put_text(body, volume->consistency);
        manifest_put_text(body, volume->reason);
        put_32(body, volume->machine);
        manifest_put_text(body, volume->target);
    }
}

/*
 * Appends the tags and the note of each volume. A manifest without any of them ends before, so that
 * older versions can read it.
 */
static void put_tags(GByteArray *body, const CstBackup *backup)
{
    gboolean present = FALSE;

    for (guint i = 0; i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];

        present |= (volume->tags && *volume->tags) || (volume->note && *volume->note);
    }
    for (guint i = 0; present && i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];

        manifest_put_text(body, volume->tags);
        manifest_put_text(body, volume->note);
    }
}

GByteArray *repo_manifest_format(const CstBackup *backup)
{
    GByteArray *body = g_byte_array_new();

    put_64(body, (uint64_t)backup->time_us);
    manifest_put_text(body, backup->host);
    put_32(body, backup->moment);
    if (backup->moment == CST_BACKUP_IN_TURN)
        put_64(body, backup->span_us);
    put_32(body, backup->tags ? g_strv_length(backup->tags) : 0);
    for (guint i = 0; backup->tags && backup->tags[i]; i++)
        manifest_put_text(body, backup->tags[i]);
    put_32(body, backup->volumes->len);
    for (guint i = 0; i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];

        manifest_put_text(body, volume->pool);
        manifest_put_text(body, volume->name);
        manifest_put_text(body, volume->format);
        manifest_put_text(body, volume->xml);
        manifest_put_text(body, volume->snapshot);
        manifest_put_text(body, volume->mark);
        manifest_put_text(body, volume->identity);
        manifest_put_text(body, volume->base);
        put_64(body, volume->size);
        put_64(body, volume->read);
        put_64(body, volume->taken);
        put_64(body, volume->data);
        put_64(body, volume->stored);
        put_32(body, volume->n_lists);
        g_byte_array_append(body, volume->lists, volume->n_lists * REPO_HASH);
    }
    if (backup->number > 0) {
        put_order(body, backup);
        put_machines(body, backup);
        put_tags(body, backup);
    }
    return body;
}

/* The unread part of a body. After a first failure all further reads fail. */
typedef struct {
    const uint8_t *at;
    size_t left;
    gboolean bad;
} Reading;

static const uint8_t *manifest_read_bytes(Reading *reading, size_t len)
{
    const uint8_t *at = reading->at;

    reading->bad = reading->bad || len > reading->left;
    if (reading->bad)
        return NULL;
    reading->at += len;
    reading->left -= len;
    return at;
}

static uint32_t manifest_read_u32(Reading *reading, uint32_t most)
{
    const uint8_t *at = manifest_read_bytes(reading, 4);
    uint32_t number = at ? cst_be32(at) : 0;

    reading->bad = reading->bad || number > most;
    return reading->bad ? 0 : number;
}

static uint64_t manifest_read_u64(Reading *reading)
{
    const uint8_t *at = manifest_read_bytes(reading, 8);

    return at ? cst_be64(at) : 0;
}

static char *manifest_read_text(Reading *reading, uint32_t most)
{
    uint32_t len = manifest_read_u32(reading, most);
    const uint8_t *at = manifest_read_bytes(reading, len);

    if (at && !g_utf8_validate((const char *)at, len, NULL))
        reading->bad = TRUE;
    return g_strndup(at && !reading->bad ? (const char *)at : "", reading->bad ? 0 : len);
}

static void volume_free(gpointer data)
{
    CstBackupVolume *volume = data;

    g_free(volume->pool);
    g_free(volume->name);
    g_free(volume->format);
    g_free(volume->xml);
    g_free(volume->snapshot);
    g_free(volume->mark);
    g_free(volume->identity);
    g_free(volume->base);
    g_free(volume->consistency);
    g_free(volume->reason);
    g_free(volume->target);
    g_free(volume->tags);
    g_free(volume->note);
    g_free(volume->lists);
    g_free(volume);
}

static void machine_free(gpointer data)
{
    CstBackupMachine *machine = data;

    g_free(machine->name);
    g_free(machine->uuid);
    g_free(machine->document);
    g_free(machine);
}

void cst_backup_free(CstBackup *backup)
{
    if (!backup)
        return;
    g_free(backup->host);
    g_strfreev(backup->tags);
    g_ptr_array_unref(backup->volumes);
    g_ptr_array_unref(backup->machines);
    g_free(backup);
}

CstBackup *repo_backup_new(void)
{
    CstBackup *backup = g_new0(CstBackup, 1);

    backup->volumes = g_ptr_array_new_with_free_func(volume_free);
    backup->machines = g_ptr_array_new_with_free_func(machine_free);
    return backup;
}

static void manifest_read_volume(Reading *reading, uint32_t chunk, CstBackup *backup)
{
    CstBackupVolume *volume = g_new0(CstBackupVolume, 1);
    const uint8_t *lists;

    g_ptr_array_add(backup->volumes, volume);
    volume->pool = manifest_read_text(reading, REPO_NAME_MAX);
    volume->name = manifest_read_text(reading, REPO_NAME_MAX);
    volume->format = manifest_read_text(reading, REPO_NAME_MAX);
    volume->xml = manifest_read_text(reading, REPO_TEXT_MAX);
    volume->snapshot = manifest_read_text(reading, REPO_NAME_MAX);
    volume->mark = manifest_read_text(reading, REPO_NAME_MAX);
    volume->identity = manifest_read_text(reading, REPO_NAME_MAX);
    volume->base = manifest_read_text(reading, REPO_NAME_MAX);
    volume->size = manifest_read_u64(reading);
    volume->read = manifest_read_u64(reading);
    volume->taken = manifest_read_u64(reading);
    volume->data = manifest_read_u64(reading);
    volume->stored = manifest_read_u64(reading);
    volume->n_lists = manifest_read_u32(reading, REPO_MANIFEST_MAX / REPO_HASH);
    lists = manifest_read_bytes(reading, (size_t)volume->n_lists * REPO_HASH);
    if (!lists || volume->size > REPO_VOLUME_MAX ||
        volume->n_lists != repo_lists_of(volume->size, chunk)) {
        reading->bad = TRUE;
        volume->n_lists = 0;
        return;
    }
    volume->lists = g_memdup2(lists, (size_t)volume->n_lists * REPO_HASH);
}

static void manifest_read_point_in_time(Reading *reading, CstBackup *backup)
{
    backup->moment = (CstBackupMoment)manifest_read_u32(reading, CST_BACKUP_IN_TURN);
    if (backup->moment == CST_BACKUP_IN_TURN)
        backup->span_us = manifest_read_u64(reading);
}

/* Manifests of older versions end before the order. */
static void manifest_read_order(Reading *reading, CstBackup *backup)
{
    const uint8_t *id, *digest;

    if (reading->bad || reading->left == 0)
        return;
    backup->number = manifest_read_u64(reading);
    id = manifest_read_bytes(reading, REPO_ID);
    digest = manifest_read_bytes(reading, REPO_HASH);
    if (!digest || backup->number == 0 || backup->number > REPO_NUMBER_MAX) {
        reading->bad = TRUE;
        return;
    }
    memcpy(backup->predecessor.digest, digest, REPO_HASH);
    backup->predecessor.number = backup->number - 1;
    if (!cst_bytes_are_zero(id, REPO_ID))
        repo_id_format(id, backup->predecessor.id);
}

static void manifest_read_machine(Reading *reading, CstBackup *backup)
{
    CstBackupMachine *machine = g_new0(CstBackupMachine, 1);

    g_ptr_array_add(backup->machines, machine);
    machine->name = manifest_read_text(reading, REPO_NAME_MAX);
    machine->uuid = manifest_read_text(reading, REPO_NAME_MAX);
    machine->document = manifest_read_text(reading, REPO_TEXT_MAX);
    machine->one_moment = manifest_read_u32(reading, 1) == 1;
}

/* Manifests of older versions end before the machines. */
static void manifest_read_machines(Reading *reading, CstBackup *backup)
{
    gboolean present = !reading->bad && reading->left > 0;
    uint32_t count = present ? manifest_read_u32(reading, REPO_VOLUMES_MAX) : 0;

    for (uint32_t i = 0; i < count && !reading->bad; i++)
        manifest_read_machine(reading, backup);
    for (guint i = 0; i < backup->volumes->len; i++) {
        CstBackupVolume *volume = backup->volumes->pdata[i];

        volume->consistency = present ? manifest_read_text(reading, REPO_NAME_MAX) : g_strdup("");
        volume->reason = present ? manifest_read_text(reading, REPO_NAME_MAX) : g_strdup("");
        volume->machine = present ? manifest_read_u32(reading, backup->machines->len) : 0;
        volume->target = present ? manifest_read_text(reading, REPO_NAME_MAX) : g_strdup("");
    }
}

static void manifest_read_tags(Reading *reading, CstBackup *backup)
{
    gboolean present = !reading->bad && reading->left > 0;

    for (guint i = 0; i < backup->volumes->len; i++) {
        CstBackupVolume *volume = backup->volumes->pdata[i];

        volume->tags = present ? manifest_read_text(reading, REPO_NAME_MAX) : g_strdup("");
        volume->note = present ? manifest_read_text(reading, REPO_NAME_MAX) : g_strdup("");
    }
}

CstBackup *repo_manifest_parse(const uint8_t *body, size_t len, uint32_t chunk, const char *name,
                               GError **error)
{
    g_autoptr(CstBackup) backup = repo_backup_new();
    g_autoptr(GPtrArray) tags = g_ptr_array_new_with_free_func(g_free);
    Reading reading = {.at = body, .left = len};
    uint32_t count;

    backup->time_us = (int64_t)manifest_read_u64(&reading);
    backup->host = manifest_read_text(&reading, REPO_NAME_MAX);
    manifest_read_point_in_time(&reading, backup);
    count = manifest_read_u32(&reading, REPO_TAGS_MAX);
    for (uint32_t i = 0; i < count && !reading.bad; i++)
        g_ptr_array_add(tags, manifest_read_text(&reading, REPO_NAME_MAX));
    g_ptr_array_add(tags, NULL);
    backup->tags = g_strdupv((char **)tags->pdata);
    count = manifest_read_u32(&reading, REPO_VOLUMES_MAX);
    for (uint32_t i = 0; i < count && !reading.bad; i++)
        manifest_read_volume(&reading, chunk, backup);
    manifest_read_order(&reading, backup);
    manifest_read_machines(&reading, backup);
    manifest_read_tags(&reading, backup);
    if (reading.bad || reading.left > 0 || backup->volumes->len == 0) {
        cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is no description of a backup"), name);
        return NULL;
    }
    return g_steal_pointer(&backup);
}
