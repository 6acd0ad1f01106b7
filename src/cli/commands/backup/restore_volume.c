/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The content of a backup into a new volume, which appears completely or not at all. */
#include "backup.h"

#include <base/alloc.h>
#include <base/error.h>
#include <blob/room.h>
#include <conn/tags.h>
#include <model/pool_type.h>
#include <model/xml_write.h>

#include "commands/room.h"
#include "commands/xml.h"
#include "output/progress.h"
#include "output/text.h"

#define PIECE (1u << 20)

typedef struct {
    CliCtl *ctl;
    CstRepo *repo;
    const CstBackupVolume *volume;
    const CliRestore *how;
    char *xml;
    CstVolRef *made;
} Restore;

/*
 * Build the document of the new volume. Its format is that of the backup if the pool supports it.
 * If volumes are files, no space is allocated for holes.
 */
static gboolean write_document(Restore *restore, GError **error)
{
    g_autofree char *xml = cst_conn_pool_xml(restore->ctl->conn, restore->how->pool, 0, error);
    g_autofree char *type = xml ? cli_xml_text(xml, "/pool/@type") : NULL;
    const char *format = restore->how->format;
    CstXmlWriter out = {0};
    gboolean known, files;
    CstPoolType number;

    if (!xml)
        return FALSE;
    known = type && cst_pool_type_parse(type, &number);
    files = known && cst_pool_type_has_files(number);
    if (!format && known && cst_pool_volume_format_ok(number, restore->volume->format))
        format = restore->volume->format;
    out.out = g_string_new(NULL);
    cst_xml_open(&out, "volume", NULL);
    cst_xml_element(&out, "name", restore->how->name);
    cst_xml_size(&out, "capacity", "bytes", restore->volume->size);
    if (files)
        cst_xml_size(&out, "allocation", NULL, 0);
    if (format) {
        cst_xml_open(&out, "target", NULL);
        cst_xml_empty(&out, "format", "type", format, NULL);
        cst_xml_close(&out, "target");
    }
    cst_xml_close(&out, "volume");
    restore->xml = cst_xml_take(&out, error);
    return restore->xml != NULL;
}

static gboolean give_range(CstBlob *blob, const CstExtent *range, uint8_t *piece, CstPieceFunc give,
                           gpointer data, GError **error)
{
    uint64_t offset = range->offset, end = range->offset + range->length;

    if (range->flags & CST_EXTENT_ZERO)
        return give(NULL, 0, range->length, data, error);
    while (offset < end) {
        size_t len = (size_t)MIN(end - offset, PIECE);

        if (!cst_blob_pread(blob, piece, len, offset, error) || !give(piece, len, 0, data, error))
            return FALSE;
        offset += len;
    }
    return TRUE;
}

gboolean cli_backup_give(CstBlob *blob, uint64_t size, CstPieceFunc give, gpointer data,
                         GError **error)
{
    g_autofree uint8_t *piece = cst_alloc(PIECE, 1, blob->name, error);

    if (!piece)
        return FALSE;
    for (uint64_t offset = 0; offset < size;) {
        CstExtent range;

        if (!cst_blob_extent(blob, offset, size - offset, &range, error) ||
            !give_range(blob, &range, piece, give, data, error))
            return FALSE;
        offset += range.length;
    }
    return TRUE;
}

typedef struct {
    CstBlob *blob;
    uint64_t size;
} RestoredContent;

static gboolean restore_give_content(CstPieceFunc piece, gpointer piece_data, gpointer data,
                                     GError **error)
{
    const RestoredContent *content = data;

    return cli_backup_give(content->blob, content->size, piece, piece_data, error);
}

static gboolean restore_check_room(const Restore *restore, CstBlob *blob, CstTask *task,
                                   GError **error)
{
    RestoredContent content = {blob, restore->volume->size};
    CliRoomCopy copy = {
        .name = restore->how->name, .give = restore_give_content, .user = &content, .task = task};

    return cst_blob_data_size(blob, task, &copy.data, error) &&
           cli_room_check_pool(restore->ctl->conn, restore->how->pool, &copy, error);
}

static gboolean run_backup_restore(CstTask *task, gpointer data, GError **error)
{
    Restore *restore = data;
    g_autoptr(CstBlob) blob = cst_backup_open(restore->repo, restore->volume, error);
    g_autoptr(CstConnReceive) receive =
        blob && restore_check_room(restore, blob, task, error)
            ? cst_conn_vol_receive(restore->ctl->conn, restore->how->pool, restore->xml, 0, task,
                                   error)
            : NULL;

    if (receive &&
        cli_backup_give(blob, restore->volume->size, cst_conn_receive_piece, receive, error))
        restore->made = cst_conn_receive_finish(receive, error);
    return restore->made != NULL;
}

/*
 * The restored content matters more than the tags, so a failure is a warning. A repository may come
 * from another host, and the server checks its tags.
 */
static void restore_set_tags(const Restore *restore)
{
    const CstBackupVolume *volume = restore->volume;
    g_auto(GStrv) tags = g_strsplit(*volume->tags ? volume->tags : "", " ", -1);
    const CstTagChange change = {.clear = TRUE,
                                 .add = (const char *const *)tags,
                                 .sets_note = *volume->note != '\0',
                                 .note = *volume->note ? volume->note : NULL};
    g_autoptr(GError) error = NULL;

    if ((*volume->tags || *volume->note) &&
        !cst_conn_vol_tag(restore->ctl->conn, restore->made, NULL, &change, NULL, &error))
        cli_warn(restore->ctl, _("warning: the tags of volume '%s' are not restored: %s\n"),
                 restore->made->name, error->message);
}

CstVolRef *cli_restore(CliCtl *ctl, CstRepo *repo, const CstBackupVolume *volume,
                       const CliRestore *how, GError **error)
{
    Restore restore = {.ctl = ctl, .repo = repo, .volume = volume, .how = how};
    gboolean done = write_document(&restore, error) &&
                    cli_run_task(ctl, _("Restoring"), run_backup_restore, &restore, error);

    g_free(restore.xml);
    if (done && how->tags)
        restore_set_tags(&restore);
    return done ? restore.made : NULL;
}
