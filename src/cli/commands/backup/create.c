/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup-create: content of volumes, as their guests see it, goes into a repository. With
 * --together (or --snapshot) it is read from snapshots that are made first, one right after the
 * other, and deleted when all has been read; what a killed command leaves of them, the next one
 * replaces.
 */
#include "backup.h"

#include <string.h>

#include <base/error.h>

#include "commands/pool/pool.h"
#include "commands/volume/volume.h"
#include "commands/xml.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/sheet.h"
#include "output/text.h"

typedef struct {
    CstVolRef *ref;
    char *xml;
    char *format;
    gboolean snapshot; /* ours is there */
} Source;

typedef struct {
    CliCtl *ctl;
    CstRepo *repo;
    CstBackupWriter *writer;
    GPtrArray *sources; /* of Source * */
    char *snapshot;     /* name of those that are made; NULL: none are */
    Source *current;
    const char *tags; /* with commas; NULL: none */
    uint64_t capacity, read;
} Create;

static void source_free(gpointer data)
{
    Source *source = data;

    cst_vol_ref_free(source->ref);
    g_free(source->xml);
    g_free(source->format);
    g_free(source);
}

static void create_clear(Create *create)
{
    cst_writer_free(create->writer);
    g_clear_pointer(&create->sources, g_ptr_array_unref);
    g_free(create->snapshot);
    cst_repo_close(create->repo);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Create, create_clear)

/* --- what is backed up ------------------------------------------------------------------------ */

/* Takes @ref over. */
static gboolean add_source(Create *create, CstVolRef *ref, GError **error)
{
    Source *source;

    if (!ref)
        return FALSE;
    for (guint i = 0; i < create->sources->len; i++) {
        const CstVolRef *other = ((Source *)create->sources->pdata[i])->ref;

        if (strcmp(other->pool, ref->pool) == 0 && strcmp(other->name, ref->name) == 0) {
            cst_vol_ref_free(ref);
            return TRUE;
        }
    }
    source = g_new0(Source, 1);
    source->ref = ref;
    g_ptr_array_add(create->sources, source);
    source->xml = cst_conn_vol_xml(create->ctl->conn, ref, 0, error);
    source->format = source->xml ? cli_xml_text(source->xml, "/volume/target/format/@type") : NULL;
    return source->xml != NULL;
}

static gboolean add_pool(Create *create, const CstPoolRef *pool, GError **error)
{
    g_autoptr(GPtrArray) rows = cst_conn_vol_list(create->ctl->conn, pool, TRUE, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        const CstVolRow *row = rows->pdata[i];

        /* A directory has no content of its own. */
        if (row->info.type == CST_VOL_DIR || row->info.type == CST_VOL_NETDIR)
            continue;
        if (!add_source(create, cst_conn_vol_by_name(create->ctl->conn, pool, row->name, error),
                        error))
            return FALSE;
    }
    return rows != NULL;
}

static gboolean find_sources(Create *create, const CliArgs *args, GError **error)
{
    CliCtl *ctl = create->ctl;
    g_autoptr(GPtrArray) names = cli_args_rest(args);
    g_autoptr(CstPoolRef) pool = NULL;

    create->sources = g_ptr_array_new_with_free_func(source_free);
    if (!cli_conn(ctl, error))
        return FALSE;
    for (guint i = 0; i < names->len; i++)
        if (!add_source(create, cli_vol_named(ctl, args, names->pdata[i], "pool", error), error))
            return FALSE;
    if (names->len > 0)
        return TRUE;
    if (!cli_args_has(args, "pool"))
        return cst_fail(error, CST_ERROR_USAGE, _("name vols, or a pool whose vols are meant"));
    pool = cli_pool(ctl, args, "pool", NULL, error);
    if (!pool || !add_pool(create, pool, error))
        return FALSE;
    return create->sources->len > 0 ||
           cst_fail(error, CST_ERROR_NO_VOL, _("pool '%s' has no volumes"), pool->name);
}

/* --- snapshots -------------------------------------------------------------------------------- */

static gboolean has_snapshot(Create *create, const Source *source, gboolean *ret_has,
                             GError **error)
{
    g_autoptr(GPtrArray) list = cst_conn_snapshot_list(create->ctl->conn, source->ref, error);

    *ret_has = FALSE;
    for (guint i = 0; list && i < list->len; i++)
        if (strcmp(((CstSnapshot *)list->pdata[i])->name, create->snapshot) == 0)
            *ret_has = TRUE;
    return list != NULL;
}

/* What slows down, or fails, comes before the first snapshot: all are made in one go. */
static gboolean make_snapshots(Create *create, GError **error)
{
    CstConn *conn = create->ctl->conn;

    for (guint i = 0; i < create->sources->len; i++) {
        Source *source = create->sources->pdata[i];
        gboolean left;

        if (!has_snapshot(create, source, &left, error) ||
            (left && !cst_conn_snapshot_delete(conn, source->ref, create->snapshot, NULL, error)))
            return FALSE;
    }
    for (guint i = 0; i < create->sources->len; i++) {
        Source *source = create->sources->pdata[i];

        if (!cst_conn_snapshot_create(conn, source->ref, create->snapshot, 0, NULL, error))
            return FALSE;
        source->snapshot = TRUE;
    }
    return TRUE;
}

/* One that can't be deleted does no harm to the backup. */
static void drop_snapshots(Create *create)
{
    for (guint i = 0; i < create->sources->len; i++) {
        Source *source = create->sources->pdata[i];
        g_autoptr(GError) why = NULL;

        if (!source->snapshot ||
            cst_conn_snapshot_delete(create->ctl->conn, source->ref, create->snapshot, NULL, &why))
            continue;
        cli_warn(create->ctl, _("warning: snapshot '%s' of vol '%s' is left: %s\n"),
                 create->snapshot, source->ref->name, why->message);
    }
}

/* --- content ---------------------------------------------------------------------------------- */

static gboolean begin_volume(uint64_t capacity, gpointer data, GError **error)
{
    Create *create = data;
    const Source *source = create->current;
    const CstBackupVolume volume = {.pool = source->ref->pool,
                                    .name = source->ref->name,
                                    .format = source->format,
                                    .xml = source->xml,
                                    .identity = source->ref->key,
                                    .size = capacity};

    create->capacity += capacity;
    return cst_writer_volume(create->writer, &volume, NULL, error);
}

static gboolean take_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                           GError **error)
{
    Create *create = data;

    create->read += len;
    return len > 0 ? cst_writer_data(create->writer, bytes, len, error)
                   : cst_writer_hole(create->writer, hole, error);
}

static gboolean run_create(CstTask *task, gpointer data, GError **error)
{
    Create *create = data;
    const CstVolSend what = {.snapshot = create->current->snapshot ? create->snapshot : NULL,
                             .flags = cli_args_has(create->ctl->current, "force-share")
                                          ? CST_VOL_STREAM_FORCE_SHARE
                                          : 0};
    const CstConnSink sink = {begin_volume, take_piece, create};

    return cst_conn_vol_send(create->ctl->conn, create->current->ref, &what, &sink, task, error) &&
           cst_writer_volume_end(create->writer, error);
}

static gboolean read_all(Create *create, GError **error)
{
    for (guint i = 0; i < create->sources->len; i++) {
        g_autofree char *label = NULL;

        create->current = create->sources->pdata[i];
        label = g_strdup_printf(_("Backing up %s"), create->current->ref->name);
        if (!cli_run_task(create->ctl, label, run_create, create, error))
            return cli_failed(create->ctl, _("Failed to back up vol %s"),
                              create->current->ref->name);
    }
    return TRUE;
}

static gboolean would_do(gboolean done, GError *why, GError **error)
{
    if (done || cst_error_code(why) == CST_ERROR_DRY_RUN) {
        g_clear_error(&why);
        return TRUE;
    }
    g_propagate_error(error, why);
    return FALSE;
}

/* The snapshots that would be made could be; none is. */
static gboolean try_snapshots(Create *create, GError **error)
{
    for (guint i = 0; i < create->sources->len; i++) {
        const Source *source = create->sources->pdata[i];
        GError *why = NULL;
        gboolean left, done;

        if (!has_snapshot(create, source, &left, error))
            return FALSE;
        done = left || cst_conn_snapshot_create(create->ctl->conn, source->ref, create->snapshot, 0,
                                                NULL, &why);
        if (!would_do(done, why, error))
            return FALSE;
    }
    return TRUE;
}

/* Everything that would be read could be; nothing is. */
static gboolean try_all(Create *create, GError **error)
{
    if (create->snapshot)
        return try_snapshots(create, error);
    for (guint i = 0; i < create->sources->len; i++) {
        GError *why = NULL;
        gboolean done;

        create->current = create->sources->pdata[i];
        done = cli_run_task(create->ctl, "", run_create, create, &why);
        if (!would_do(done, why, error))
            return cli_failed(create->ctl, _("Failed to back up vol %s"),
                              create->current->ref->name);
    }
    return TRUE;
}

/* --- the command ------------------------------------------------------------------------------ */

static gboolean begin_writer(Create *create, const CliArgs *args, GError **error)
{
    CstBackupHow how = {.host = g_get_host_name(), .together = cli_args_has(args, "together")};
    g_auto(GStrv) tags = create->tags ? g_strsplit(create->tags, ",", -1) : NULL;

    how.tags = (const char *const *)tags;
    how.time_us = g_get_real_time();
    create->writer = cst_writer_new(create->repo, &how, error);
    return create->writer != NULL;
}

static void print_created(Create *create, const char *id)
{
    g_autoptr(CstBackup) backup = cst_repo_backup(create->repo, id, NULL);
    uint64_t data = 0, stored = 0;
    g_autofree char *size = cli_size_text(create->ctl, create->capacity);
    g_autofree char *data_text = NULL;
    g_autofree char *stored_text = NULL;

    for (guint i = 0; backup && i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];

        data += volume->data;
        stored += volume->stored;
    }
    data_text = cli_size_text(create->ctl, data);
    stored_text = cli_size_text(create->ctl, stored);
    cli_done(create->ctl, "backup", id,
             ngettext("Backup %.8s of %u vol: %s, data %s, added %s",
                      "Backup %.8s of %u vols: %s, data %s, added %s", create->sources->len),
             id, create->sources->len, size, data_text, stored_text);
}

static gboolean cmd_create(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Create) create = {.ctl = ctl};
    gboolean snapshots = cli_args_has(args, "together") || cli_args_has(args, "snapshot"), done;
    char id[CST_BACKUP_ID_TEXT];

    if (!cli_args_string(args, "tag", &create.tags, error))
        return FALSE;
    create.repo = cli_repo(ctl, args, error);
    if (!create.repo || !find_sources(&create, args, error))
        return FALSE;
    cli_plan(ctl, ngettext("Would back up %u vol", "Would back up %u vols", create.sources->len),
             create.sources->len);
    if (snapshots)
        create.snapshot = g_strdup_printf("cistern-backup-%.8s", cst_repo_id(create.repo));
    if ((ctl->settings.dry_run && !try_all(&create, error)) || !begin_writer(&create, args, error))
        return FALSE;
    done = (!snapshots || make_snapshots(&create, error)) && read_all(&create, error);
    drop_snapshots(&create);
    if (!done || !cst_writer_commit(create.writer, id, error))
        return FALSE;
    print_created(&create, id);
    return TRUE;
}

static const CliOption create_options[] = {
    REPO,
    {.name = "pool",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("pool of the vols; all of them if none is named"),
     .complete = cli_complete_active_pools},
    {.name = "tag",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_LIST,
     .help = N_("tags of the backup, with commas")},
    CLI_SWITCH("snapshot", N_("read from snapshots that are made for it")),
    CLI_SWITCH("together", N_("make all snapshots before anything is read")),
    {.name = "force-share",
     .kind = CLI_OPT_BOOL,
     .letter = 'U',
     .help = N_("read also what another program is writing to")},
    REPO_OPTIONS,
    CLI_NAMED("rate-limit", N_("bytes per second at most, as scaled integer")),
    {.name = "vol",
     .kind = CLI_OPT_ARGV,
     .help = N_("vol names, keys or paths"),
     .complete = cli_complete_vols},
    {0},
};

const CliCommand cli_backup_create_command = {
    .name = "backup-create",
    .summary = N_("back up vols"),
    .description =
        N_("Back up what guests see of vols, whatever their pools and formats. What the repository "
           "has already is not stored again. The backup is there when the command has ended, or "
           "not at all."),
    .options = create_options,
    .handler = cmd_create,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
