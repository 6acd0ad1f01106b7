/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the content of a volume into a backup. An increment reads the chunks that may differ
 * between two snapshots: that of the previous backup, and the new one for this backup. All other
 * chunks keep the names that they have in the previous backup. This is correct only under these
 * conditions:
 *
 * - The older snapshot is the one that was read then. The storage reports its identity (mark),
 * which is unique, even among snapshots of the same name. The manifest has the mark too.
 * - The newer snapshot does not change from before the read until after it.
 * - The chunks have the same boundaries. If the size of the volume has changed, the chunks at its
 *   former end are read.
 *
 * If one condition is not met, the complete volume is read. A checkpoint of libvirt takes the place
 * of the snapshots for a disk of a running domain. Its mark identifies the checkpoint and the
 * image.
 */
#include "create.h"

#include <string.h>

#include <base/error.h>

#include "commands/changed.h"
#include "snapshots.h"

/* Two changes with a gap of at most this many equal bytes are read together. */
#define GAP (UINT64_C(256) << 10)

/* Longer identities are not stored. */
#define MARK_MAX 1024

/* --- complete volumes ------------------------------------------------------------------------- */

/* Returns the disk of the machine that the volume is, borrowed; NULL: not known. */
static char *source_target(const BackupSource *source)
{
    const GPtrArray *drives = source->machine->domain->drives;

    for (guint i = 0; i < drives->len; i++) {
        const CstDomainDrive *drive = drives->pdata[i];

        if (!drive->reads_only && g_strcmp0(drive->pool, source->ref->pool) == 0 &&
            g_strcmp0(drive->volume, source->ref->name) == 0)
            return drive->target;
    }
    return NULL;
}

static gboolean begin_volume(BackupCreate *create, uint64_t capacity, GError **error)
{
    const BackupSource *source = create->current;
    gboolean known = source->consistency != CST_CONSISTENCY_UNKNOWN;
    char *consistency = known ? (char *)cst_consistency_word(source->consistency) : NULL;
    g_autofree char *checkpoint =
        source->live ? g_strconcat(CST_CHECKPOINT_PREFIX, create->snapshot, NULL) : NULL;
    char *kept = checkpoint ? checkpoint : source->snapshot;
    const CstBackupVolume volume = {.pool = source->ref->pool,
                                    .name = source->ref->name,
                                    .format = source->format,
                                    .xml = source->xml,
                                    .snapshot = source->mark ? kept : NULL,
                                    .mark = source->mark,
                                    .identity = source->ref->key,
                                    .base = source->base ? (char *)source->base->id : NULL,
                                    .consistency = consistency,
                                    .reason = source->reason,
                                    .machine = source->machine ? source->machine->number : 0,
                                    .target = source->machine ? source_target(source) : NULL,
                                    .tags = source->tags,
                                    .note = source->note,
                                    .size = capacity};

    return cst_writer_volume(create->writer, &volume, source->previous, error);
}

static gboolean begin_whole(uint64_t capacity, gpointer data, GError **error)
{
    return begin_volume(data, capacity, error);
}

static gboolean backup_write_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                   GError **error)
{
    const BackupCreate *create = data;

    return len > 0 ? cst_writer_data(create->writer, bytes, len, error)
                   : cst_writer_hole(create->writer, hole, error);
}

static gboolean backup_source_read_all(BackupCreate *create, CstTask *task, GError **error)
{
    const BackupSource *source = create->current;
    const CstVolSend what = {.snapshot = source->snapshot, .flags = create->flags};
    const CstConnSink sink = {begin_whole, backup_write_piece, create};

    return cst_conn_vol_send(create->ctl->conn, source->ref, &what, &sink, task, error) &&
           cst_writer_volume_end(create->writer, error);
}

/* --- increments ------------------------------------------------------------------------------- */

void backup_read_whole(BackupSource *source, const char *why)
{
    source->base = NULL;
    source->previous = NULL;
    g_free(source->whole);
    source->whole = g_strdup(why);
}

/* If the size has changed, mark the chunk at the smaller of both ends and all chunks after it. */
static void mark_end(CliChanged *changed, uint64_t size_then)
{
    uint64_t from = MIN(size_then, changed->capacity);

    if (size_then != changed->capacity)
        cli_changed_mark(changed, from, changed->capacity - from);
}

/*
 * Whether the complete volume is read after this failure. A live snapshot can be read without its
 * bitmap. If its job has ended, the read fails, too.
 */
static gboolean changes_are_optional(const BackupSource *source, const GError *why)
{
    return source->live ? !g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED)
                        : g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND);
}

/*
 * Query the changes from the base to the new snapshot (in a dry run: until now). ret->dirty is NULL
 * if the complete source must be read.
 */
static gboolean backup_query_changes(const BackupCreate *create, uint64_t capacity, CstTask *task,
                                     CliChanged *ret, GError **error)
{
    BackupSource *source = create->current;
    const CstBackupVolume *then = source->previous;
    g_autoptr(GError) why = NULL;

    if (!then) {
        backup_read_whole(source, source->live
                                      ? _("no backup has a checkpoint of the volume")
                                      : _("no backup has a snapshot of it that is still there"));
        return TRUE;
    }
    if (source->live && capacity != then->size) {
        /* QEMU records no change of a part that was cut off and added again. */
        backup_read_whole(source, _("the size of the volume has changed"));
        return TRUE;
    }
    if (!cli_changed_ask(create->ctl->conn, source->ref, then->snapshot, source->snapshot,
                         cst_repo_chunk(create->repo), capacity, task, ret, &why)) {
        if (!changes_are_optional(source, why)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        backup_read_whole(source, why->message);
        return TRUE;
    }
    if (!ret->dirty) {
        backup_read_whole(source, _("its storage cannot report changes"));
    } else if (strcmp(ret->identity, then->mark) != 0) {
        backup_read_whole(
            source, source->live ? _("its image is another one than that of the backup before")
                                 : _("the snapshot is another one than that of the backup before"));
        cli_changed_clear(ret);
    } else {
        mark_end(ret, then->size);
    }
    return TRUE;
}

static gboolean backup_check_capacity(uint64_t capacity, gpointer data, GError **error)
{
    const BackupSource *source = ((const BackupCreate *)data)->current;

    return cli_check_size(source->ref->name, source->capacity, capacity, error);
}

static gboolean read_runs(BackupCreate *create, const GArray *runs, CstTask *task, GError **error)
{
    const BackupSource *source = create->current;
    const CstConnSink sink = {backup_check_capacity, backup_write_piece, create};
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
 * Read an increment. If the repository has lost chunks of the previous backup, *ret_done is FALSE,
 * and no chunk of the volume is written.
 */
static gboolean read_increment(BackupCreate *create, CstTask *task, gboolean *ret_done,
                               GError **error)
{
    BackupSource *source = create->current;
    g_auto(CliChanged) changed = {0};
    g_autoptr(GArray) runs = NULL;
    g_autoptr(GError) why = NULL;

    *ret_done = FALSE;
    if (!backup_query_changes(create, source->capacity, task, &changed, error))
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

/* --- full or incremental ---------------------------------------------------------------------- */

/* Get the identity of the new snapshot, with which the next backup can query changes. */
static gboolean backup_snapshot_identify(BackupCreate *create, GError **error)
{
    BackupSource *source = create->current;
    g_autofree char *mark = NULL;

    if (!cli_snapshot_identify(create->ctl->conn, source->ref, source->snapshot, &mark,
                               &source->capacity, error))
        return FALSE;
    if (*mark && strlen(mark) <= MARK_MAX && g_utf8_validate(mark, -1, NULL))
        source->mark = g_steal_pointer(&mark);
    else
        backup_read_whole(source, source->live ? _("libvirt does not record its changes")
                                               : _("its storage cannot report changes"));
    return TRUE;
}

/* Fail with BUSY if the snapshot named in the manifest is not the one that was read. */
static gboolean backup_check_snapshot(const BackupCreate *create, GError **error)
{
    const BackupSource *source = create->current;
    g_autofree char *mark = NULL;
    uint64_t capacity;

    if (!cli_snapshot_identify(create->ctl->conn, source->ref, source->snapshot, &mark, &capacity,
                               error))
        return FALSE;
    return strcmp(mark, source->mark) == 0 ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("snapshot '%s' or the volume changed during the operation; try again"),
                    source->snapshot);
}

/*
 * Sets *ret_state to the state of a domain that can write to the volume; CST_DOMAIN_OFF: no domain.
 * Return: the name of the domain, which the caller frees; NULL: no domain, or it is not known.
 */
static char *source_find_domain(const BackupCreate *create, const BackupSource *source,
                                CstDomainState *ret_state, gboolean *ret_known)
{
    g_autoptr(GPtrArray) disks = cst_conn_vol_domains(create->ctl->conn, source->ref, NULL);
    char *name = NULL;

    *ret_state = CST_DOMAIN_OFF;
    *ret_known = disks != NULL;
    for (guint i = 0; disks && i < disks->len; i++) {
        const CstDomainDisk *disk = disks->pdata[i];

        if (disk->reads_only || disk->state > *ret_state)
            continue;
        *ret_state = disk->state;
        g_free(name);
        name = g_strdup(disk->domain);
    }
    return name;
}

/* Whether a process may write to the volume. An unknown answer counts as yes. */
static gboolean source_has_writer(const BackupCreate *create, const BackupSource *source)
{
    g_autoptr(GPtrArray) holders = cst_conn_vol_holders(create->ctl->conn, source->ref, NULL);

    for (guint i = 0; holders && i < holders->len; i++)
        if (!((const CstVolHolder *)holders->pdata[i])->reads_only)
            return TRUE;
    return !holders;
}

/* Returns the disk of a domain that can write to the volume now, borrowed; NULL: no disk can. */
static const CstDomainDrive *domain_find_writer(const CstDomain *domain, const CstVolRef *ref)
{
    for (guint i = 0; domain->state < CST_DOMAIN_SAVED && i < domain->drives->len; i++) {
        const CstDomainDrive *drive = domain->drives->pdata[i];

        if (!drive->reads_only && g_strcmp0(drive->pool, ref->pool) == 0 &&
            g_strcmp0(drive->volume, ref->name) == 0)
            return drive;
    }
    return NULL;
}

/*
 * Fails with BUSY if a domain that ran when the backup began can write to the volume. libvirt is
 * asked once, because a pool may have many volumes. Without an answer the volume is read.
 */
static gboolean source_check_domains(BackupCreate *create, const BackupSource *source,
                                     GError **error)
{
    if (!create->domains)
        create->domains = cst_conn_domains(create->ctl->conn, NULL, NULL);
    if (!create->domains)
        create->domains = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_free);
    for (guint i = 0; i < create->domains->len; i++) {
        const CstDomain *domain = create->domains->pdata[i];
        const CstDomainDrive *drive = domain_find_writer(domain, source->ref);

        if (drive)
            return cst_fail(error, CST_ERROR_BUSY,
                            _("domain '%s' runs with vol '%s' as disk '%s'; back up the "
                              "domain (--machine), or say --force-share"),
                            domain->name, source->ref->name, drive->target ? drive->target : "-");
    }
    return TRUE;
}

/*
 * Sets the consistency of a volume that is read itself: the disk of a machine, or with a minimum
 * each volume. Fails with BUSY if a running domain can write to it. The saved memory of a domain
 * may have changes that the disk lacks.
 */
static gboolean source_set_rest(BackupCreate *create, BackupSource *source, GError **error)
{
    CstDomainState state;
    gboolean known;
    g_autofree char *domain = NULL;

    source->consistency = CST_CONSISTENCY_UNKNOWN;
    if (create->flags & CST_VOL_STREAM_FORCE_SHARE)
        return TRUE;
    if (!source->machine && !source_check_domains(create, source, error))
        return FALSE;
    /* The search for processes is for the minimum, and too slow for each volume of a pool. */
    if (!source->machine && create->minimum == CST_CONSISTENCY_UNKNOWN)
        return TRUE;
    domain = source_find_domain(create, source, &state, &known);
    if (state < CST_DOMAIN_SAVED)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("domain '%s' runs with vol '%s' as a disk, and its content cannot be "
                          "kept; shut the domain down, or say --force-share"),
                        domain, source->ref->name);
    if (state == CST_DOMAIN_SAVED) {
        source->consistency = CST_CONSISTENCY_CRASH;
        g_free(source->reason);
        source->reason = g_strdup_printf(_("domain '%s' has a managed save"), domain);
    } else if (known && !source_has_writer(create, source)) {
        source->consistency = CST_CONSISTENCY_OFFLINE;
    }
    return TRUE;
}

/* Fails with STATE if a volume that is read itself has a worse consistency than the minimum. */
static gboolean source_check_minimum(const BackupCreate *create, const BackupSource *source,
                                     GError **error)
{
    return source->snapshot || source->consistency >= create->minimum ||
           cst_fail(error, CST_ERROR_STATE,
                    _("the consistency of vol '%s' would be %s instead of %s, because it is read "
                      "without a snapshot while a program may write to it; use --snapshot, or "
                      "back up the domain with --machine"),
                    source->ref->name, cst_consistency_word(source->consistency),
                    cst_consistency_word(create->minimum));
}

/* Fails if the volume, which was at rest before it was read, may have been written meanwhile. */
static gboolean source_check_rest(const BackupCreate *create, const BackupSource *source,
                                  GError **error)
{
    CstDomainState state;
    gboolean known;
    g_autofree char *domain = NULL;

    if (source->snapshot || source->consistency != CST_CONSISTENCY_OFFLINE)
        return TRUE;
    domain = source_find_domain(create, source, &state, &known);
    return (known && state == CST_DOMAIN_OFF && !source_has_writer(create, source)) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("vol '%s' was opened for writing during the backup; try again"),
                    source->ref->name);
}

gboolean backup_content(BackupCreate *create, CstTask *task, GError **error)
{
    BackupSource *source = create->current;
    gboolean done = FALSE;

    if (!source->snapshot &&
        (!source_set_rest(create, source, error) || !source_check_minimum(create, source, error)))
        return FALSE;
    if (create->incremental && source->snapshot && !backup_snapshot_identify(create, error))
        return FALSE;
    if (source->mark && !read_increment(create, task, &done, error))
        return FALSE;
    return (done || backup_source_read_all(create, task, error)) &&
           (!source->mark || backup_check_snapshot(create, error)) &&
           source_check_rest(create, source, error);
}

gboolean backup_content_plan(BackupCreate *create, CstTask *task, GError **error)
{
    BackupSource *source = create->current;
    g_auto(CliChanged) changed = {0};
    g_autoptr(GArray) runs = NULL;
    CstVolInfo info;

    if (source->previous && backup_volume_has_checkpoint(source->previous))
        return TRUE;
    if (!cst_conn_vol_info(create->ctl->conn, source->ref, FALSE, &info, error) ||
        !backup_query_changes(create, info.capacity, task, &changed, error))
        return FALSE;
    if (!changed.dirty)
        return TRUE;
    runs = cli_changed_runs(&changed, GAP);
    source->planned = cli_runs_total(runs);
    return TRUE;
}
