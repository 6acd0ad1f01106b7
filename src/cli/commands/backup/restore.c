/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup-restore and backup-prove. A restored volume appears whole or not at all. A proof restores
 * into a scratch volume, reads that back and compares it with the names of the backup's chunks, so
 * it covers the repository, the way to the storage, and the storage.
 */
#include "backup.h"

#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <model/pool_type.h>

#include "commands/pool/pool.h"
#include "commands/volume/volume.h"
#include "commands/xml.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"

#define PIECE (1u << 20)

/* --- content into a new volume ---------------------------------------------------------------- */

typedef struct {
    CliCtl *ctl;
    CstRepo *repo;
    const CstBackupVolume *volume;
    const CliRestore *how;
    char *xml;
    CstVolRef *made;
} Restore;

/*
 * The document of the new volume: the format of the one that was backed up, where the pool can have
 * such; and no space for holes where volumes are files.
 */
static gboolean write_document(Restore *restore, GError **error)
{
    g_autofree char *xml = cst_conn_pool_xml(restore->ctl->conn, restore->how->pool, 0, error);
    g_autofree char *type = xml ? cli_xml_text(xml, "/pool/@type") : NULL;
    const char *format = restore->how->format;
    g_autofree char *begin = NULL;
    g_autofree char *target = NULL;
    gboolean known, files;
    CstPoolType number;

    if (!xml)
        return FALSE;
    known = type && cst_pool_type_parse(type, &number);
    files = known && cst_pool_type_has_files(number);
    if (!format && known && cst_pool_volume_format_ok(number, restore->volume->format))
        format = restore->volume->format;
    begin = g_markup_printf_escaped("<volume><name>%s</name><capacity unit='bytes'>%" PRIu64
                                    "</capacity>",
                                    restore->how->name, restore->volume->size);
    target =
        format ? g_markup_printf_escaped("<target><format type='%s'/></target>", format) : NULL;
    restore->xml = g_strconcat(begin, files ? "<allocation>0</allocation>" : "",
                               target ? target : "", "</volume>", NULL);
    return TRUE;
}

static gboolean send_range(CstBlob *blob, const CstExtent *range, uint8_t *piece,
                           CstConnReceive *receive, GError **error)
{
    uint64_t offset = range->offset, end = range->offset + range->length;

    if (range->flags & CST_EXTENT_ZERO)
        return cst_conn_receive_piece(NULL, 0, range->length, receive, error);
    while (offset < end) {
        size_t len = (size_t)MIN(end - offset, PIECE);

        if (!cst_blob_pread(blob, piece, len, offset, error) ||
            !cst_conn_receive_piece(piece, len, 0, receive, error))
            return FALSE;
        offset += len;
    }
    return TRUE;
}

static gboolean run_restore(CstTask *task, gpointer data, GError **error)
{
    Restore *restore = data;
    uint64_t size = restore->volume->size;
    g_autofree uint8_t *piece = cst_alloc(PIECE, 1, restore->how->name, error);
    g_autoptr(CstBlob) blob = piece ? cst_backup_open(restore->repo, restore->volume, error) : NULL;
    g_autoptr(CstConnReceive) receive =
        blob ? cst_conn_vol_receive(restore->ctl->conn, restore->how->pool, restore->xml, 0, task,
                                    error)
             : NULL;

    for (uint64_t offset = 0; receive && offset < size;) {
        CstExtent range;

        if (!cst_blob_extent(blob, offset, size - offset, &range, error) ||
            !send_range(blob, &range, piece, receive, error))
            return FALSE;
        offset += range.length;
    }
    restore->made = receive ? cst_conn_receive_finish(receive, error) : NULL;
    return restore->made != NULL;
}

CstVolRef *cli_restore(CliCtl *ctl, CstRepo *repo, const CstBackupVolume *volume,
                       const CliRestore *how, GError **error)
{
    Restore restore = {.ctl = ctl, .repo = repo, .volume = volume, .how = how};
    gboolean done = write_document(&restore, error) &&
                    cli_run_task(ctl, _("Restoring"), run_restore, &restore, error);

    g_free(restore.xml);
    return done ? restore.made : NULL;
}

/* --- backup-restore --------------------------------------------------------------------------- */

/* --pool, or the pool that the volume was in. */
static CstPoolRef *pool_for(CliCtl *ctl, const CliArgs *args, const CstBackupVolume *volume,
                            GError **error)
{
    if (!cli_conn(ctl, error))
        return NULL;
    return cli_args_has(args, "pool") ? cli_pool(ctl, args, "pool", NULL, error)
                                      : cst_conn_pool_by_name(ctl->conn, volume->pool, error);
}

static gboolean cmd_restore(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstRepo) repo = NULL;
    g_autoptr(CstBackup) backup = NULL;
    g_autoptr(CstPoolRef) pool = NULL;
    g_autoptr(CstVolRef) made = NULL;
    const CstBackupVolume *volume;
    CliRestore how = {0};
    const char *name;

    if (!cli_args_string(args, "newname", &name, error) ||
        !cli_args_string(args, "format", &how.format, error))
        return FALSE;
    backup = cli_repo_backup(ctl, args, &repo, error);
    volume = backup ? cli_backup_volume(args, backup, error) : NULL;
    how.pool = pool = volume ? pool_for(ctl, args, volume, error) : NULL;
    if (!pool)
        return FALSE;
    how.name = name ? name : volume->name;
    cli_plan(ctl, _("Would restore vol %s in pool %s"), how.name, pool->name);
    made = cli_restore(ctl, repo, volume, &how, error);
    return cli_outcome(ctl, made != NULL, "volume", how.name, _("Vol %s restored in pool %s"),
                       _("Failed to restore vol %s in pool %s"), how.name, pool->name);
}

#define FORMAT                                                                              \
    {                                                                                       \
        .name = "format", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED,                   \
        .help = N_("format of the new vol; default: that of the backup where the pool can") \
    }

static const CliOption restore_options[] = {
    REPO,
    BACKUP,
    BACKUP_VOL,
    {.name = "pool",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("pool of the new vol; default: where the vol was"),
     .complete = cli_complete_active_pools},
    CLI_NAMED("newname", N_("name of the new vol; default: that of the backup")),
    FORMAT,
    REPO_OPTIONS,
    CLI_NAMED("rate-limit", N_("bytes per second at most, as scaled integer")),
    {0},
};

const CliCommand cli_backup_restore_command = {
    .name = "backup-restore",
    .summary = N_("restore a vol from a backup"),
    .description = N_("Make a vol, in any pool and format, that holds what the vol held when it "
                      "was backed up. It is there when the command has ended, or not at all."),
    .options = restore_options,
    .handler = cmd_restore,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

/* --- backup-prove ----------------------------------------------------------------------------- */

typedef struct {
    CliCtl *ctl;
    const CstVolRef *vol;
    const CstBackupVolume *volume;
    CstBackupProof *proof;
} Prove;

static gboolean begin_proof(uint64_t capacity, gpointer data, GError **error)
{
    const Prove *prove = data;

    /* Some technologies round sizes up; what is behind the content has to be zeroes. */
    return capacity >= prove->volume->size ||
           cst_fail(error, CST_ERROR_MISMATCH, _("the restored vol is smaller than the backup"));
}

static gboolean prove_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                            GError **error)
{
    const Prove *prove = data;

    return cst_proof_add(prove->proof, len > 0 ? bytes : NULL, len > 0 ? len : hole, error);
}

static gboolean run_prove(CstTask *task, gpointer data, GError **error)
{
    Prove *prove = data;
    const CstVolSend what = {.length = prove->volume->size};
    const CstConnSink sink = {begin_proof, prove_piece, prove};

    return cst_conn_vol_send(prove->ctl->conn, prove->vol, &what, &sink, task, error);
}

static gboolean compare(CliCtl *ctl, CstRepo *repo, const CstBackupVolume *volume,
                        const CstVolRef *scratch, GError **error)
{
    g_autoptr(CstBackupProof) proof = cst_proof_new(repo, volume, error);
    Prove prove = {.ctl = ctl, .vol = scratch, .volume = volume, .proof = proof};
    uint64_t differ = 0, first = 0;

    if (!proof || !cli_run_task(ctl, _("Comparing"), run_prove, &prove, error) ||
        !cst_proof_end(proof, &differ, &first, error))
        return FALSE;
    return differ == 0 || cst_fail(error, CST_ERROR_MISMATCH,
                                   _("the restored vol differs from the backup in %" PRIu64
                                     " bytes, from byte %" PRIu64 " on"),
                                   differ, first);
}

static gboolean prove_volume(CliCtl *ctl, const CliArgs *args, CstRepo *repo,
                             const CstBackupVolume *volume, const char *format, GError **error)
{
    g_autofree char *id = g_uuid_string_random();
    g_autofree char *name = g_strdup_printf("cistern-prove-%.8s", id);
    g_autoptr(CstPoolRef) pool = pool_for(ctl, args, volume, error);
    const CliRestore how = {.pool = pool, .name = name, .format = format};
    g_autoptr(CstVolRef) scratch = NULL;
    g_autoptr(GError) why = NULL;
    gboolean done;

    if (!pool)
        return FALSE;
    cli_plan(ctl, _("Would prove the backup of vol %s in pool %s"), volume->name, pool->name);
    scratch = cli_restore(ctl, repo, volume, &how, error);
    if (!scratch)
        return FALSE;
    done = compare(ctl, repo, volume, scratch, error);
    if (!cst_conn_vol_delete(ctl->conn, scratch, CST_VOL_DELETE_AT_ONCE, NULL, &why))
        cli_warn(ctl, _("warning: scratch vol '%s' is left: %s\n"), name, why->message);
    return done;
}

static gboolean cmd_prove(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstRepo) repo = NULL;
    g_autoptr(CstBackup) backup = NULL;
    const CstBackupVolume *one = NULL;
    const char *name, *format;

    if (!cli_args_string(args, "format", &format, error) ||
        !cli_args_string(args, "vol", &name, error))
        return FALSE;
    backup = cli_repo_backup(ctl, args, &repo, error);
    if (!backup)
        return FALSE;
    if (name && !(one = cst_backup_volume(backup, name, error)))
        return FALSE;
    for (guint i = 0; i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];

        if (one && volume != one)
            continue;
        if (!prove_volume(ctl, args, repo, volume, format, error))
            return cli_failed(ctl, _("Failed to prove the backup of vol %s"), volume->name);
    }
    cli_done(ctl, "backup", backup->id, _("Backup %.8s is proved"), backup->id);
    return TRUE;
}

static const CliOption prove_options[] = {
    REPO,
    BACKUP,
    CLI_STRING("vol", N_("volume of the backup; default: all (POOL/NAME)")),
    {.name = "pool",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("pool of the scratch vol; default: where the vol was"),
     .complete = cli_complete_active_pools},
    FORMAT,
    REPO_OPTIONS,
    CLI_NAMED("rate-limit", N_("bytes per second at most, as scaled integer")),
    {0},
};

const CliCommand cli_backup_prove_command = {
    .name = "backup-prove",
    .summary = N_("restore a backup into a scratch vol and compare"),
    .description =
        N_("Restore each vol of a backup into a scratch vol, read that back, compare it with what "
           "was backed up, and delete it. Exit status 7 says that something differs."),
    .options = prove_options,
    .handler = cmd_prove,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
