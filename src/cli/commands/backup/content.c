/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The content of a volume, into a backup. An increment reads what may differ between two snapshots:
 * the one that the backup before was read from, and the one that was made for this backup; all
 * other chunks have the names that they have in the backup before. It holds only if
 *
 * - the older snapshot is the very one that was read then: the storage tells its identity (mark),
 *   which no other snapshot has, also not one of the same name, and the manifest has it, too;
 * - the newer one is the same from before it is read until after it;
 * - the volume is cut alike: where its size has changed, what was its end is read.
 *
 * Whatever is missing of that, all of the volume is read.
 */
#include "create.h"

#include <string.h>

#include <base/error.h>

#include "commands/changed.h"

/* Equal bytes between two changes that are read rather than asked for separately. */
#define GAP (UINT64_C(256) << 10)

/* Longer ones of an identity are not kept. */
#define MARK_MAX 1024

/* --- all of it -------------------------------------------------------------------------------- */

static gboolean begin_volume(BackupCreate *create, uint64_t capacity, GError **error)
{
    const BackupSource *source = create->current;
    const CstBackupVolume volume = {.pool = source->ref->pool,
                                    .name = source->ref->name,
                                    .format = source->format,
                                    .xml = source->xml,
                                    .snapshot = source->mark ? source->snapshot : NULL,
                                    .mark = source->mark,
                                    .identity = source->ref->key,
                                    .base = source->base ? (char *)source->base->id : NULL,
                                    .size = capacity};

    return cst_writer_volume(create->writer, &volume, source->previous, error);
}

static gboolean begin_whole(uint64_t capacity, gpointer data, GError **error)
{
    return begin_volume(data, capacity, error);
}

static gboolean take_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                           GError **error)
{
    const BackupCreate *create = data;

    return len > 0 ? cst_writer_data(create->writer, bytes, len, error)
                   : cst_writer_hole(create->writer, hole, error);
}

static gboolean read_whole(BackupCreate *create, CstTask *task, GError **error)
{
    const CstVolSend what = {.snapshot = create->current->snapshot, .flags = create->flags};
    const CstConnSink sink = {begin_whole, take_piece, create};

    return cst_conn_vol_send(create->ctl->conn, create->current->ref, &what, &sink, task, error) &&
           cst_writer_volume_end(create->writer, error);
}

/* --- what has changed ------------------------------------------------------------------------- */

void backup_read_whole(BackupSource *source, const char *why)
{
    source->base = NULL;
    source->previous = NULL;
    g_free(source->whole);
    source->whole = g_strdup(why);
}

/* What the end was is cut otherwise when the size has changed. */
static void mark_end(CliChanged *changed, uint64_t size_then)
{
    uint64_t from = MIN(size_then, changed->capacity);

    if (size_then != changed->capacity)
        cli_changed_mark(changed, from, changed->capacity - from);
}

/*
 * What has changed since the base, until the snapshot that was made (none in a dry run: now).
 * ret->dirty is NULL when the source has to be read whole.
 */
static gboolean ask(const BackupCreate *create, uint64_t capacity, CstTask *task, CliChanged *ret,
                    GError **error)
{
    BackupSource *source = create->current;
    const CstBackupVolume *then = source->previous;
    g_autoptr(GError) why = NULL;

    if (!then) {
        backup_read_whole(source, _("no backup has a snapshot of it that is still there"));
        return TRUE;
    }
    if (!cli_changed_ask(create->ctl->conn, source->ref, then->snapshot, source->snapshot,
                         cst_repo_chunk(create->repo), capacity, task, ret, &why)) {
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        backup_read_whole(source, why->message);
        return TRUE;
    }
    if (!ret->dirty) {
        backup_read_whole(source, _("its storage can't tell what has changed"));
    } else if (strcmp(ret->identity, then->mark) != 0) {
        backup_read_whole(source, _("the snapshot is another one than that of the backup before"));
        cli_changed_clear(ret);
    } else {
        mark_end(ret, then->size);
    }
    return TRUE;
}

static gboolean check_capacity(uint64_t capacity, gpointer data, GError **error)
{
    const BackupSource *source = ((const BackupCreate *)data)->current;

    return cli_check_size(source->ref->name, source->capacity, capacity, error);
}

static gboolean read_runs(BackupCreate *create, const GArray *runs, CstTask *task, GError **error)
{
    const BackupSource *source = create->current;
    const CstConnSink sink = {check_capacity, take_piece, create};
    CstVolSend what = {.snapshot = source->snapshot};
    uint64_t at = 0;

    cst_task_set_total(task, cli_runs_total(runs));
    if (!begin_volume(create, source->capacity, error))
        return FALSE;
    for (guint i = 0; i < runs->len; i++) {
        const CstRange *run = &g_array_index(runs, CstRange, i);

        what.offset = run->offset;
        what.length = run->length;
        if (!cst_writer_same(create->writer, run->offset - at, error) ||
            !cst_conn_vol_send(create->ctl->conn, source->ref, &what, &sink, task, error))
            return FALSE;
        at = run->offset + run->length;
    }
    return cst_writer_same(create->writer, source->capacity - at, error) &&
           cst_writer_volume_end(create->writer, error);
}

/*
 * What the repository has lost of the backup before is read, too: *ret_done is FALSE then, and
 * nothing of the volume is written.
 */
static gboolean read_increment(BackupCreate *create, CstTask *task, gboolean *ret_done,
                               GError **error)
{
    BackupSource *source = create->current;
    g_auto(CliChanged) changed = {0};
    g_autoptr(GArray) runs = NULL;
    g_autoptr(GError) why = NULL;

    *ret_done = FALSE;
    if (!ask(create, source->capacity, task, &changed, error))
        return FALSE;
    if (!changed.dirty)
        return TRUE;
    runs = cli_changed_runs(&changed, GAP);
    *ret_done = read_runs(create, runs, task, &why);
    if (*ret_done)
        return TRUE;
    if (cst_error_code(why) != CST_ERROR_CORRUPT) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    backup_read_whole(source, why->message);
    return TRUE;
}

/* --- which of them ---------------------------------------------------------------------------- */

/* Which snapshot was made, and whether the next backup can ask what has changed since. */
static gboolean identify(BackupCreate *create, GError **error)
{
    BackupSource *source = create->current;
    g_autofree char *mark = NULL;

    if (!cli_snapshot_identify(create->ctl->conn, source->ref, source->snapshot, &mark,
                               &source->capacity, error))
        return FALSE;
    if (*mark && strlen(mark) <= MARK_MAX && g_utf8_validate(mark, -1, NULL))
        source->mark = g_steal_pointer(&mark);
    else
        backup_read_whole(source, _("its storage can't tell what has changed"));
    return TRUE;
}

/* The snapshot of which the manifest speaks is the one that was read. */
static gboolean check_snapshot(const BackupCreate *create, GError **error)
{
    const BackupSource *source = create->current;
    g_autofree char *mark = NULL;
    uint64_t capacity;

    if (!cli_snapshot_identify(create->ctl->conn, source->ref, source->snapshot, &mark, &capacity,
                               error))
        return FALSE;
    return strcmp(mark, source->mark) == 0 ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("snapshot '%s' or the volume was changed meanwhile; try again"),
                    source->snapshot);
}

gboolean backup_content(BackupCreate *create, CstTask *task, GError **error)
{
    BackupSource *source = create->current;
    gboolean done = FALSE;

    if (create->incremental && source->snapshot && !identify(create, error))
        return FALSE;
    if (source->mark && !read_increment(create, task, &done, error))
        return FALSE;
    return (done || read_whole(create, task, error)) &&
           (!source->mark || check_snapshot(create, error));
}

gboolean backup_content_plan(BackupCreate *create, CstTask *task, GError **error)
{
    BackupSource *source = create->current;
    g_auto(CliChanged) changed = {0};
    g_autoptr(GArray) runs = NULL;
    CstVolInfo info;

    if (!cst_conn_vol_info(create->ctl->conn, source->ref, FALSE, &info, error) ||
        !ask(create, info.capacity, task, &changed, error))
        return FALSE;
    if (!changed.dirty)
        return TRUE;
    runs = cli_changed_runs(&changed, GAP);
    source->planned = cli_runs_total(runs);
    return TRUE;
}
