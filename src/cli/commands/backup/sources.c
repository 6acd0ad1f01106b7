/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The volumes of a backup. */
#include "create.h"

#include <string.h>

#include <base/error.h>
#include <conn/tags.h>

#include "commands/xml.h"
#include "snapshots.h"

void backup_source_free(gpointer data)
{
    BackupSource *source = data;

    cst_vol_ref_free(source->ref);
    g_free(source->xml);
    g_free(source->format);
    g_free(source->tags);
    g_free(source->note);
    g_free(source->snapshot);
    g_free(source->mark);
    g_free(source->whole);
    g_free(source->reason);
    g_clear_error(&source->failure);
    g_free(source);
}

BackupSource *backup_find_source(const BackupCreate *create, const char *pool, const char *name)
{
    for (guint i = 0; i < create->sources->len; i++) {
        BackupSource *source = create->sources->pdata[i];

        if (strcmp(source->ref->pool, pool) == 0 && strcmp(source->ref->name, name) == 0)
            return source;
    }
    return NULL;
}

/* Reads the tags and the note. A server without tags gives no tags. */
static gboolean source_read_tags(BackupSource *source, CstConn *conn, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    const CstTagged *tagged;
    gboolean has = FALSE;

    if (!cst_conn_has_tags(conn, &has, error))
        return FALSE;
    if (!has)
        return TRUE;
    rows = cst_conn_vol_tagged(conn, source->ref, error);
    tagged = rows ? cst_conn_tagged_find(rows, NULL) : NULL;
    source->tags = cst_tagged_text(tagged);
    source->note = tagged ? g_strdup(tagged->note) : NULL;
    return rows != NULL;
}

gboolean backup_add_source(BackupCreate *create, CstVolRef *ref, BackupMachine *machine,
                           GError **error)
{
    BackupSource *source;

    if (!ref)
        return FALSE;
    source = backup_find_source(create, ref->pool, ref->name);
    if (source && machine && source->machine) {
        cst_fail(error, CST_ERROR_INVALID, _("domains '%s' and '%s' share vol '%s'"),
                 source->machine->domain->name, machine->domain->name, ref->name);
        cst_vol_ref_free(ref);
        return FALSE;
    }
    if (source) {
        cst_vol_ref_free(ref);
        return TRUE;
    }
    source = g_new0(BackupSource, 1);
    source->ref = ref;
    source->machine = machine;
    source->xml = cst_conn_vol_xml(create->ctl->conn, ref, 0, error);
    source->format = source->xml ? cli_xml_text(source->xml, "/volume/target/format/@type") : NULL;
    if (!source->xml || !source_read_tags(source, create->ctl->conn, error)) {
        backup_source_free(source);
        return FALSE;
    }
    g_ptr_array_add(create->sources, source);
    return TRUE;
}

GPtrArray *backup_vols_of(const GPtrArray *members)
{
    GPtrArray *vols = g_ptr_array_new();

    for (guint i = 0; i < members->len; i++)
        g_ptr_array_add(vols, ((BackupSource *)members->pdata[i])->ref);
    return vols;
}

/* Whether the backup @volume is of the source, and its state is known by one of @names. */
static gboolean source_has_previous(const BackupSource *source, const CstBackupVolume *volume,
                                    GPtrArray *names)
{
    const CstVolRef *ref = source->ref;

    return strcmp(volume->pool, ref->pool) == 0 && strcmp(volume->name, ref->name) == 0 &&
           strcmp(volume->identity, ref->key) == 0 && *volume->mark != '\0' &&
           (names ? g_ptr_array_find_with_equal_func(names, volume->snapshot, g_str_equal, NULL)
                  : backup_volume_has_checkpoint(volume));
}

const CstBackupVolume *backup_find_previous(const BackupCreate *create, const BackupSource *source,
                                            GPtrArray *names, const CstBackup **ret_backup)
{
    for (guint i = create->backups->len; i-- > 0;) {
        const CstBackup *backup = create->backups->pdata[i];

        for (guint j = 0; j < backup->volumes->len; j++)
            if (source_has_previous(source, backup->volumes->pdata[j], names)) {
                *ret_backup = backup;
                return backup->volumes->pdata[j];
            }
    }
    return NULL;
}
