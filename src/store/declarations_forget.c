/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of deleted files. Such a record describes no other file, because it contains the identity
 * of its file (inode, birth time). So its removal is not urgent, and does not need a transaction of
 * its own. It waits in memory and belongs to the next transaction that changes records. A full
 * group has a transaction of its own.
 *
 * A look-up that could find a waiting record removes the group first: a look-up by name, or of the
 * same file under a further name (hard links). If the process is killed, or the removal fails, the
 * record stays until a sweep drops it.
 *
 * CstDeclarations.lock guards the group.
 */
#include <string.h>

#include <base/log.h>

#include "declarations_db.h"

/* A transaction of this size costs little for each record. */
#define GROUP_MAX 256

typedef struct {
    CstFileId id; /* the key */
    char *dir;
    char *name;
} Forgotten;

static void forgotten_free(gpointer data)
{
    Forgotten *record = data;

    g_free(record->dir);
    g_free(record->name);
    g_free(record);
}

void db_forgotten_init(CstDeclarations *declarations)
{
    declarations->forgotten =
        g_hash_table_new_full(cst_file_id_hash, cst_file_id_equal, NULL, forgotten_free);
}

void db_forgotten_clear(CstDeclarations *declarations)
{
    g_hash_table_unref(declarations->forgotten);
}

static gboolean forgotten_remove(CstDeclarations *declarations, const Forgotten *record,
                                 GError **error)
{
    sqlite3_stmt *statement = db_use(declarations, SQL_DROP);

    database_bind_text(statement, 1, record->dir);
    database_bind_text(statement, 2, record->name);
    db_bind_id(statement, 3, &record->id);
    return db_run(declarations, statement, error);
}

gboolean db_begin(CstDeclarations *declarations, GError **error)
{
    gboolean done = TRUE;
    GHashTableIter iter;
    gpointer record;

    if (!db_run(declarations, db_use(declarations, SQL_BEGIN), error))
        return FALSE;
    g_hash_table_iter_init(&iter, declarations->forgotten);
    while (done && g_hash_table_iter_next(&iter, NULL, &record))
        done = forgotten_remove(declarations, record, error);
    return done || db_end_transaction(declarations, FALSE, NULL);
}

gboolean db_commit(CstDeclarations *declarations, gboolean done, GError **error)
{
    if (!db_end_transaction(declarations, done, error))
        return FALSE;
    g_hash_table_remove_all(declarations->forgotten);
    return TRUE;
}

gboolean db_forgotten_flush(CstDeclarations *declarations, GError **error)
{
    return g_hash_table_size(declarations->forgotten) == 0 ||
           (db_begin(declarations, error) && db_commit(declarations, TRUE, error));
}

void db_forgotten_before_find(CstDeclarations *declarations, const CstFileId *id, gboolean by_name)
{
    g_autoptr(GError) error = NULL;

    if (g_hash_table_size(declarations->forgotten) == 0 ||
        (!by_name && !g_hash_table_contains(declarations->forgotten, id)))
        return;
    if (!db_forgotten_flush(declarations, &error))
        cst_log(CST_LOG_WARNING, "%s", error->message);
}

gboolean cst_declarations_forget(CstDeclarations *declarations, const CstDeclaredFile *file,
                                 GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&declarations->lock);
    Forgotten *record;
    gboolean done = TRUE;

    if (!db_open(declarations, error))
        return FALSE;
    /* Of two names of one file, each may have a record. */
    if (g_hash_table_contains(declarations->forgotten, &file->id))
        done = db_forgotten_flush(declarations, error);
    record = g_new0(Forgotten, 1);
    *record = (Forgotten){.id = file->id, .dir = g_strdup(file->dir), .name = g_strdup(file->name)};
    g_hash_table_replace(declarations->forgotten, &record->id, record);
    if (g_hash_table_size(declarations->forgotten) < GROUP_MAX)
        return done;
    done = db_forgotten_flush(declarations, error);
    if (!done)
        g_hash_table_remove_all(declarations->forgotten);
    return done;
}
