/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a backup. The content is cut into chunks of a fixed size at multiples of that size, so
 * that unchanged content has the same names again. Chunks are collected in a batch. For the batch,
 * threads on all processors compute names and compress new chunks. Then the chunks are appended to
 * the pack in order. The manifest is written last and makes the backup exist.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/threads.h>

#include "lists.h"
#include "pack.h"

#define BATCH_BYTES (8u << 20)
#define BATCH_MAX   (BATCH_BYTES / CST_CHUNK_MIN)

typedef struct {
    uint8_t *content; /* in the writer's buffer */
    uint8_t *packed;
    uint32_t len;
    size_t packed_len; /* 0: not compressed */
    gboolean known;    /* already in the repository */
    uint32_t at;       /* index of its name in the list */
    uint8_t hash[REPO_HASH];
} BatchItem;

struct CstBackupWriter {
    CstRepo *repo;
    CstBackup *backup;
    CstTask *task;
    int level;
    PackWriter packs;

    /* The current volume. It is moved to the backup when it is complete. */
    CstBackupVolume *volume;
    uint64_t position, previous_size;
    ChunkLists previous; /* names NULL: no previous backup */
    uint8_t *names;      /* of the current list */
    uint32_t n_names;
    GByteArray *lists;

    uint8_t *buffer, *packed; /* BATCH_BYTES each */
    BatchItem items[BATCH_MAX];
    uint32_t n_items, batch; /* used items, and their maximum */
    uint32_t fill;           /* bytes of the chunk after the last item */

    gint next, failed; /* of the threads: the next item; whether a thread has failed */
    GError *failure;
};

/* --- begin and end ---------------------------------------------------------------------------- */

CstBackupWriter *cst_writer_new(CstRepo *repo, const CstBackupHow *how, GError **error)
{
    g_autoptr(CstBackupWriter) writer = g_new0(CstBackupWriter, 1);
    const char *path = repo->folders.path;

    writer->repo = repo;
    writer->backup = repo_backup_new();
    writer->backup->host = g_strdup(how->host ? how->host : "");
    writer->backup->tags = g_strdupv((char **)how->tags);
    writer->backup->time_us = how->time_us ? how->time_us : g_get_real_time();
    writer->level = how->level;
    writer->task = how->task;
    writer->lists = g_byte_array_new();
    writer->batch = BATCH_BYTES / repo->config.chunk;
    writer->names = cst_alloc(REPO_LIST_IDS, REPO_HASH, path, error);
    writer->buffer = writer->names ? cst_alloc(BATCH_BYTES, 1, path, error) : NULL;
    writer->packed = writer->buffer ? cst_alloc(BATCH_BYTES, 1, path, error) : NULL;
    if (!writer->packed || !pack_writer_init(&writer->packs, repo, error) ||
        !repo_lock_to_write(repo, error) || !repo_index_load(repo, NULL, error) ||
        !cst_may_change(error))
        return NULL;
    return g_steal_pointer(&writer);
}

/* Drops the current volume, with its unstored chunks. */
static void writer_volume_clear(CstBackupWriter *writer)
{
    if (writer->volume) {
        CstBackup *owner = repo_backup_new();

        g_ptr_array_add(owner->volumes, g_steal_pointer(&writer->volume));
        cst_backup_free(owner);
    }
    chunk_lists_clear(&writer->previous);
    writer->n_names = writer->n_items = writer->fill = 0;
}

void cst_writer_free(CstBackupWriter *writer)
{
    if (!writer)
        return;
    pack_writer_clear(&writer->packs);
    writer_volume_clear(writer);
    cst_backup_free(writer->backup);
    g_byte_array_unref(writer->lists);
    g_clear_error(&writer->failure);
    g_free(writer->names);
    g_free(writer->buffer);
    g_free(writer->packed);
    g_free(writer);
}

static char *backup_text_dup(const char *text)
{
    return g_strdup(text ? text : "");
}

static gboolean backup_has_machine(const CstBackup *backup, uint32_t number)
{
    for (guint i = 0; i < backup->volumes->len; i++)
        if (((const CstBackupVolume *)backup->volumes->pdata[i])->machine == number)
            return TRUE;
    return FALSE;
}

void cst_writer_machine_end(CstBackupWriter *writer, uint32_t number, gboolean one_moment)
{
    GPtrArray *machines = writer->backup->machines;

    ((CstBackupMachine *)machines->pdata[number - 1])->one_moment = one_moment;
    if (number == machines->len && !backup_has_machine(writer->backup, number))
        g_ptr_array_remove_index(machines, number - 1);
}

void cst_writer_moment(CstBackupWriter *writer, CstBackupMoment moment, uint64_t span_us)
{
    writer->backup->moment = moment;
    writer->backup->span_us = span_us;
}

/* A manifest with other bytes could not be parsed, and would make the repository unusable. */
static gboolean texts_are_utf8(const CstBackupVolume *volume)
{
    const char *const texts[] = {
        volume->pool,   volume->name,     volume->format, volume->xml,         volume->snapshot,
        volume->mark,   volume->identity, volume->base,   volume->consistency, volume->reason,
        volume->target, volume->tags,     volume->note};

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        if (texts[i] && !g_utf8_validate(texts[i], -1, NULL))
            return FALSE;
    return TRUE;
}

gboolean cst_writer_machine(CstBackupWriter *writer, const CstBackupMachine *machine,
                            uint32_t *ret_number, GError **error)
{
    CstBackupMachine *copy;

    if (!g_utf8_validate(machine->name, -1, NULL) || !g_utf8_validate(machine->uuid, -1, NULL) ||
        !g_utf8_validate(machine->document, -1, NULL))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the name or the definition of a machine is not UTF-8"));
    if (strlen(machine->name) > REPO_NAME_MAX || strlen(machine->uuid) > REPO_NAME_MAX ||
        strlen(machine->document) > REPO_TEXT_MAX)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("the definition of machine '%s' is larger than a backup can hold"),
                        machine->name);
    copy = g_new0(CstBackupMachine, 1);
    copy->name = g_strdup(machine->name);
    copy->uuid = g_strdup(machine->uuid);
    copy->document = g_strdup(machine->document);
    copy->one_moment = machine->one_moment;
    g_ptr_array_add(writer->backup->machines, copy);
    *ret_number = writer->backup->machines->len;
    return TRUE;
}

/* A text that the manifest cannot hold is left out. */
static char *writer_text_dup(const char *text)
{
    return backup_text_dup(text && strlen(text) <= REPO_NAME_MAX ? text : NULL);
}

gboolean cst_writer_volume(CstBackupWriter *writer, const CstBackupVolume *volume,
                           const CstBackupVolume *previous, GError **error)
{
    if (volume->size > REPO_VOLUME_MAX)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("volume '%s' is larger than a backup can hold (64 TiB)"), volume->name);
    if (!texts_are_utf8(volume))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the name or the document of volume '%s' is not UTF-8, and a backup "
                          "cannot hold it; rename the volume"),
                        volume->name);
    writer_volume_clear(writer);
    if (previous && !chunk_lists_init(&writer->previous, writer->repo, previous, error))
        return FALSE;
    writer->previous_size = previous ? previous->size : 0;
    writer->volume = g_new0(CstBackupVolume, 1);
    writer->volume->pool = backup_text_dup(volume->pool);
    writer->volume->name = backup_text_dup(volume->name);
    writer->volume->format = backup_text_dup(volume->format);
    writer->volume->xml = backup_text_dup(volume->xml);
    writer->volume->snapshot = backup_text_dup(volume->snapshot);
    writer->volume->mark = backup_text_dup(volume->mark);
    writer->volume->identity = backup_text_dup(volume->identity);
    writer->volume->base = backup_text_dup(volume->base);
    writer->volume->consistency = backup_text_dup(volume->consistency);
    writer->volume->reason = writer_text_dup(volume->reason);
    writer->volume->machine = volume->machine;
    writer->volume->target = backup_text_dup(volume->target);
    writer->volume->tags = writer_text_dup(volume->tags);
    writer->volume->note = writer_text_dup(volume->note);
    writer->volume->size = volume->size;
    writer->position = 0;
    g_byte_array_set_size(writer->lists, 0);
    return TRUE;
}

/* --- batches ---------------------------------------------------------------------------------- */

static gboolean prepare_item(CstBackupWriter *writer, BatchItem *item, GError **error)
{
    if (!repo_chunk_name(&writer->repo->keys, CHUNK_DATA, item->content, item->len, item->hash,
                         error))
        return FALSE;
    item->known = repo_index_find(&writer->repo->index, item->hash, CHUNK_DATA) != NULL;
    item->packed_len =
        item->known ? 0 : chunk_compress(item->content, item->len, item->packed, writer->level);
    return TRUE;
}

static gpointer prepare_items(gpointer data)
{
    CstBackupWriter *writer = data;

    for (;;) {
        guint number = (guint)g_atomic_int_add(&writer->next, 1);
        GError *error = NULL;

        if (number >= writer->n_items || g_atomic_int_get(&writer->failed))
            return NULL;
        if (!prepare_item(writer, &writer->items[number], &error)) {
            if (g_atomic_int_compare_and_exchange(&writer->failed, 0, 1))
                writer->failure = error;
            else
                g_error_free(error);
        }
    }
}

static gboolean writer_store_chunk(CstBackupWriter *writer, const ChunkEntry *chunk,
                                   const uint8_t *content, size_t len, GError **error)
{
    /* An earlier chunk of this batch may have the same content. */
    if (repo_index_find(&writer->repo->index, chunk->hash, chunk->kind))
        return TRUE;
    writer->volume->stored += len + REPO_TAG + REPO_ENTRY;
    return pack_writer_add(&writer->packs, chunk, content, len, error);
}

static gboolean flush_batch(CstBackupWriter *writer, GError **error)
{
    if (!cst_task_check(writer->task, error))
        return FALSE;
    writer->next = 0;
    cst_threads_run(prepare_items, writer,
                    CLAMP(MIN(g_get_num_processors(), writer->n_items), 1, CST_THREADS_MAX));
    if (writer->failure) {
        g_propagate_error(error, g_steal_pointer(&writer->failure));
        return FALSE;
    }
    for (uint32_t i = 0; i < writer->n_items; i++) {
        const BatchItem *item = &writer->items[i];
        ChunkEntry chunk = {.raw = item->len, .kind = CHUNK_DATA, .packed = item->packed_len > 0};

        memcpy(chunk.hash, item->hash, REPO_HASH);
        memcpy(writer->names + item->at * REPO_HASH, item->hash, REPO_HASH);
        if (!item->known &&
            !writer_store_chunk(writer, &chunk, chunk.packed ? item->packed : item->content,
                                chunk.packed ? item->packed_len : item->len, error))
            return FALSE;
    }
    writer->n_items = 0;
    return TRUE;
}

static gboolean store_list(CstBackupWriter *writer, GError **error)
{
    size_t len = writer->n_names * REPO_HASH;
    ChunkEntry chunk = {.raw = (uint32_t)len, .kind = CHUNK_LIST};
    g_autofree uint8_t *packed = cst_alloc(len, 1, writer->repo->folders.path, error);
    size_t packed_len;

    if (!packed || !flush_batch(writer, error))
        return FALSE;
    writer->n_names = 0;
    if (!cst_bytes_are_zero(writer->names, len)) {
        if (!repo_chunk_name(&writer->repo->keys, CHUNK_LIST, writer->names, len, chunk.hash,
                             error))
            return FALSE;
        packed_len = chunk_compress(writer->names, len, packed, writer->level);
        chunk.packed = packed_len > 0;
        if (!writer_store_chunk(writer, &chunk, chunk.packed ? packed : writer->names,
                                chunk.packed ? packed_len : len, error))
            return FALSE;
    }
    g_byte_array_append(writer->lists, chunk.hash, REPO_HASH);
    return TRUE;
}

/* --- content ---------------------------------------------------------------------------------- */

/* Returns the length of the chunk at the position. */
static uint32_t chunk_len(const CstBackupWriter *writer)
{
    uint32_t chunk = writer->repo->config.chunk;

    return repo_chunk_len(writer->volume->size, chunk, (writer->position - writer->fill) / chunk);
}

/* Adds a chunk to the list, by its name or as the next item of the batch (@name NULL). */
static gboolean writer_add_name(CstBackupWriter *writer, const uint8_t *name, GError **error)
{
    if (name)
        memcpy(writer->names + writer->n_names * REPO_HASH, name, REPO_HASH);
    else
        writer->items[writer->n_items++].at = writer->n_names;
    writer->n_names++;
    if (writer->n_items == writer->batch && !flush_batch(writer, error))
        return FALSE;
    return writer->n_names < REPO_LIST_IDS || store_list(writer, error);
}

static const uint8_t zero_name[REPO_HASH];

static gboolean end_chunk(CstBackupWriter *writer, GError **error)
{
    BatchItem *item = &writer->items[writer->n_items];
    uint32_t len = writer->fill;

    item->content = writer->buffer + (size_t)writer->n_items * writer->repo->config.chunk;
    item->packed = writer->packed + (size_t)writer->n_items * writer->repo->config.chunk;
    item->len = len;
    writer->fill = 0;
    if (cst_bytes_are_zero(item->content, len))
        return writer_add_name(writer, zero_name, error);
    writer->volume->data += len;
    return writer_add_name(writer, NULL, error);
}

static gboolean has_room(const CstBackupWriter *writer, uint64_t len, GError **error)
{
    return (writer->volume && len <= writer->volume->size - writer->position) ||
           cst_fail(error, CST_ERROR_INVALID, _("there is more content than the volume has"));
}

/* Adds bytes to the chunk at the position; NULL: zeroes. */
static gboolean add_bytes(CstBackupWriter *writer, const uint8_t *data, uint32_t len,
                          GError **error)
{
    uint8_t *to =
        writer->buffer + (size_t)writer->n_items * writer->repo->config.chunk + writer->fill;

    if (data)
        memcpy(to, data, len);
    else
        memset(to, 0, len);
    writer->fill += len;
    writer->position += len;
    return writer->fill < repo_chunk_len(writer->volume->size, writer->repo->config.chunk,
                                         (writer->position - 1) / writer->repo->config.chunk) ||
           end_chunk(writer, error);
}

gboolean cst_writer_data(CstBackupWriter *writer, const void *data, size_t len, GError **error)
{
    const uint8_t *bytes = data;

    if (!has_room(writer, len, error))
        return FALSE;
    writer->volume->read += len;
    while (len > 0) {
        uint32_t part = (uint32_t)MIN(len, chunk_len(writer) - writer->fill);

        if (!add_bytes(writer, bytes, part, error))
            return FALSE;
        bytes += part;
        len -= part;
    }
    return TRUE;
}

gboolean cst_writer_hole(CstBackupWriter *writer, uint64_t len, GError **error)
{
    if (!has_room(writer, len, error))
        return FALSE;
    while (len > 0) {
        uint32_t chunk = chunk_len(writer);
        uint32_t part = (uint32_t)MIN(len, chunk - writer->fill);

        if (part < chunk) {
            if (!add_bytes(writer, NULL, part, error))
                return FALSE;
        } else {
            writer->position += chunk;
            if (!writer_add_name(writer, zero_name, error))
                return FALSE;
        }
        len -= part;
    }
    return TRUE;
}

gboolean cst_writer_same(CstBackupWriter *writer, uint64_t len, GError **error)
{
    uint32_t chunk = writer->repo->config.chunk;

    if (!has_room(writer, len, error))
        return FALSE;
    while (len > 0) {
        uint32_t part = chunk_len(writer);
        uint64_t number = writer->position / chunk;
        const uint8_t *name;

        if (!writer->previous.names || writer->fill > 0 || len < part ||
            writer->position >= writer->previous_size ||
            repo_chunk_len(writer->previous_size, chunk, number) != part)
            return cst_fail(error, CST_ERROR_INVALID,
                            _("the previous backup has no such chunk of the volume"));
        name = chunk_lists_name(&writer->previous, number, error);
        if (!name)
            return FALSE;
        if (!chunk_name_is_zero(name)) {
            if (!repo_index_find(&writer->repo->index, name, CHUNK_DATA))
                return cst_fail(error, CST_ERROR_CORRUPT,
                                _("the repository has lost a chunk of the previous backup"));
            writer->volume->data += part;
            writer->volume->taken += part;
        }
        writer->position += part;
        len -= part;
        if (!writer_add_name(writer, name, error))
            return FALSE;
    }
    return TRUE;
}

gboolean cst_writer_volume_drop(CstBackupWriter *writer)
{
    writer_volume_clear(writer);
    return !writer->packs.failed && !writer->failed;
}

gboolean cst_writer_volume_end(CstBackupWriter *writer, GError **error)
{
    CstBackupVolume *volume = writer->volume;

    if (!volume || writer->position != volume->size)
        return cst_fail(error, CST_ERROR_INVALID, _("the content of volume '%s' is not complete"),
                        volume ? volume->name : "");
    if (writer->n_names > 0 && !store_list(writer, error))
        return FALSE;
    volume->n_lists = writer->lists->len / REPO_HASH;
    volume->lists = g_memdup2(writer->lists->data, writer->lists->len);
    g_ptr_array_add(writer->backup->volumes, g_steal_pointer(&writer->volume));
    writer_volume_clear(writer);
    return TRUE;
}

/*
 * Chooses the newest backup as predecessor. Another program may commit a backup with the same
 * predecessor at the same time; both then have the same number. A damaged manifest counts as
 * missing.
 */
static gboolean choose_number(CstBackupWriter *writer, GError **error)
{
    g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) backups = cst_repo_backups(writer->repo, damaged, error);

    if (!backups)
        return FALSE;
    writer->backup->predecessor = cst_backups_newest(backups);
    writer->backup->number = writer->backup->predecessor.number + 1;
    return TRUE;
}

gboolean cst_writer_commit(CstBackupWriter *writer, char *ret_id, GError **error)
{
    g_autoptr(GByteArray) body = NULL;

    if (writer->volume || writer->backup->volumes->len == 0)
        return cst_fail(error, CST_ERROR_INVALID, _("the backup is not complete"));
    if (!choose_number(writer, error))
        return FALSE;
    body = repo_manifest_format(writer->backup);
    if (body->len > REPO_MANIFEST_MAX - REPO_FILE_HEAD - REPO_TAG)
        return cst_fail(error, CST_ERROR_LIMIT, _("these are too many volumes for one backup"));
    return pack_writer_finish(&writer->packs, error) &&
           repo_file_write(writer->repo, REPO_MANIFEST, body, ret_id, error);
}

/* --- blobs ------------------------------------------------------------------------------------ */

#define READ_BYTES (1u << 20)

/* Writes a range of a blob. Holes stay holes. */
static gboolean writer_copy_range(CstBackupWriter *writer, CstBlob *blob, uint64_t offset,
                                  uint64_t length, uint8_t *buffer, CstTask *task, GError **error)
{
    while (length > 0) {
        CstExtent extent;
        uint64_t part;

        if (!cst_task_check(task, error) || !cst_blob_extent(blob, offset, length, &extent, error))
            return FALSE;
        part = extent.length;
        if (extent.flags & CST_EXTENT_ZERO) {
            if (!cst_writer_hole(writer, part, error))
                return FALSE;
            cst_task_skip(task, part);
        } else {
            part = MIN(part, READ_BYTES);
            if (!cst_blob_pread(blob, buffer, (size_t)part, offset, error) ||
                !cst_writer_data(writer, buffer, (size_t)part, error))
                return FALSE;
            cst_task_advance(task, part);
        }
        offset += part;
        length -= part;
    }
    return TRUE;
}

/*
 * Returns the next range of whole chunks that may differ, at or after @offset. Without a further
 * range, begin and end are the size of the volume.
 */
static void next_changed(const CstBackupWriter *writer, const GArray *changed, guint *at,
                         uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end)
{
    uint64_t size = writer->volume->size, chunk = writer->repo->config.chunk;

    *ret_begin = *ret_end = size;
    for (; *at < changed->len; ++*at) {
        const CstExtent *extent = &g_array_index(changed, CstExtent, *at);
        uint64_t end = extent->offset + extent->length;

        if (end <= offset || extent->length == 0)
            continue;
        *ret_begin = MIN(MAX(offset, extent->offset / chunk * chunk), size);
        *ret_end = end >= size ? size : MIN((end + chunk - 1) / chunk * chunk, size);
        return;
    }
}

gboolean cst_writer_blob(CstBackupWriter *writer, const CstBackupVolume *volume, CstBlob *blob,
                         const CstBackupVolume *previous, const GArray *changed, CstTask *task,
                         GError **error)
{
    g_autofree uint8_t *buffer = cst_alloc(READ_BYTES, 1, volume->name, error);
    uint64_t offset = 0, begin = 0, end = volume->size;
    guint at = 0;

    if (!buffer || !cst_writer_volume(writer, volume, previous, error))
        return FALSE;
    while (offset < volume->size) {
        if (previous && changed)
            next_changed(writer, changed, &at, offset, &begin, &end);
        if (begin > offset && !cst_writer_same(writer, begin - offset, error))
            return FALSE;
        cst_task_skip(task, begin - offset);
        if (end > begin &&
            !writer_copy_range(writer, blob, begin, end - begin, buffer, task, error))
            return FALSE;
        offset = end;
    }
    return cst_writer_volume_end(writer, error);
}
