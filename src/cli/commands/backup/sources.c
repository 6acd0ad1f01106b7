/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The volumes of a backup. */
#include "create.h"

#include <string.h>

#include "commands/xml.h"

void backup_source_free(gpointer data)
{
    BackupSource *source = data;

    cst_vol_ref_free(source->ref);
    g_free(source->xml);
    g_free(source->format);
    g_free(source->snapshot);
    g_free(source->mark);
    g_free(source->whole);
    g_free(source->reason);
    g_clear_error(&source->failure);
    g_free(source);
}

static BackupSource *backup_find_source(const BackupCreate *create, const CstVolRef *ref)
{
    for (guint i = 0; i < create->sources->len; i++) {
        BackupSource *source = create->sources->pdata[i];

        if (strcmp(source->ref->pool, ref->pool) == 0 && strcmp(source->ref->name, ref->name) == 0)
            return source;
    }
    return NULL;
}

gboolean backup_add_source(BackupCreate *create, CstVolRef *ref, BackupMachine *machine,
                           GError **error)
{
    BackupSource *source;

    if (!ref)
        return FALSE;
    source = backup_find_source(create, ref);
    if (source) {
        if (!source->machine)
            source->machine = machine;
        cst_vol_ref_free(ref);
        return TRUE;
    }
    source = g_new0(BackupSource, 1);
    source->ref = ref;
    source->machine = machine;
    source->xml = cst_conn_vol_xml(create->ctl->conn, ref, 0, error);
    source->format = source->xml ? cli_xml_text(source->xml, "/volume/target/format/@type") : NULL;
    if (!source->xml) {
        backup_source_free(source);
        return FALSE;
    }
    g_ptr_array_add(create->sources, source);
    return TRUE;
}
