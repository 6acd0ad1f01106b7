/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup-prove. Each volume is restored onto a scratch disk, an unnamed file on this host. With
 * --pool it is restored through a scratch volume, so that the test covers the storage and the path
 * to it. The restored data is read back and compared with the names of the backup's chunks. Then
 * the file systems on the scratch disk are checked, and with --boot the disk is booted. Checks
 * continue after a failure.
 *
 * The command ends with MISMATCH if it finds any damage, including a chunk in the repository. Else
 * it ends with UNPROVEN if a check was not possible on this host.
 */
#include "backup.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/place.h>
#include <base/spool.h>
#include <base/units.h>
#include <guest/guest.h>
#include <model/consistency.h>

#include "commands/pool/pool.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/sheet.h"
#include "output/text.h"
#include "scratch.h"

typedef struct {
    CliScratch scratch; /* scratch.pool is NULL without --pool */
    const char *format;
    char *dir; /* directory of scratch disks */
    gboolean content_only, boot;
    CstGuestBoot how;
    CliTable *table;
    guint faults, unproven;

    /* The current volume: */
    const CstBackupVolume *volume;
    CstGuestDisk *disk; /* NULL: only compare the content, in the pool */
    CstBackupProof *proof;
    uint64_t at; /* bytes compared so far */
    CstVolRef *vol;
    GPtrArray *parts;
    CstGuestLife life;
} Prove;

static void verification_clear(Prove *prove)
{
    g_clear_pointer(&prove->how.expect, g_regex_unref);
    g_clear_pointer(&prove->table, cli_table_free);
    g_free(prove->dir);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Prove, verification_clear)

static void verification_reset_volume(Prove *prove)
{
    g_clear_pointer(&prove->disk, cst_guest_disk_free);
    g_clear_pointer(&prove->proof, cst_proof_free);
    g_clear_pointer(&prove->vol, cst_vol_ref_free);
    g_clear_pointer(&prove->parts, g_ptr_array_unref);
    cst_guest_life_clear(&prove->life);
    prove->at = 0;
}

/* --- results ---------------------------------------------------------------------------------- */

static const CliColumn columns[] = {
    {N_("Vol"), "volume", CLI_CELL_TEXT, "-", 0},
    {N_("Check"), "check", CLI_CELL_WORD, "-", 0},
    {N_("Part"), "partition", CLI_CELL_NUMBER, "-", 0},
    {N_("Type"), "type", CLI_CELL_TEXT, "-", 0},
    {N_("Offset"), "offset", CLI_CELL_NUMBER, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Size"), "size", CLI_CELL_SIZE, "-", 0},
    {N_("Result"), "result", CLI_CELL_WORD, "-", 0},
    {N_("Detail"), "detail", CLI_CELL_TEXT, "-", 0},
    {N_("Console"), "console", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
};

static const char *const verdicts[] = {
    [CST_GUEST_SOUND] = N_("sound"),
    [CST_GUEST_DAMAGED] = N_("damaged"),
    [CST_GUEST_UNKNOWN] = N_("unknown"),
    [CST_GUEST_UNPROVEN] = N_("unproven"),
};

/* @part NULL: the row is about the complete volume. */
static void verification_add_row(Prove *prove, const char *check, const CstGuestPart *part,
                                 CstGuestVerdict verdict, const char *detail, const char *console)
{
    const CstBackupVolume *volume = prove->volume;
    g_autofree char *name = g_strdup_printf("%s/%s", volume->pool, volume->name);

    cli_table_add_text(prove->table, name);
    cli_table_add_word(prove->table, check);
    cli_table_add_known_number(prove->table, part && part->number > 0, part ? part->number : 0);
    cli_table_add_text(prove->table, part ? part->type : NULL);
    cli_table_add_number(prove->table, part ? part->offset : 0);
    cli_table_add_size(prove->table, part ? part->length : volume->size);
    cli_table_add_word(prove->table, verdicts[verdict]);
    cli_table_add_text(prove->table, detail);
    cli_table_add_text(prove->table, console);
    prove->faults += verdict == CST_GUEST_DAMAGED;
    prove->unproven += verdict == CST_GUEST_UNPROVEN;
}

/* --- content ---------------------------------------------------------------------------------- */

static gboolean begin_proof(uint64_t capacity, gpointer data, GError **error)
{
    const Prove *prove = data;

    /* Some storage technologies round sizes up. The bytes after the content must be zero. */
    return capacity >= prove->volume->size ||
           cst_fail(error, CST_ERROR_MISMATCH, _("the restored vol is smaller than the backup"));
}

static gboolean compare_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                              GError **error)
{
    const Prove *prove = data;

    return cst_proof_add(prove->proof, len > 0 ? bytes : NULL, len > 0 ? len : hole, error);
}

/* Write the content read from the pool to the scratch disk, and compare it. */
static gboolean verification_write_piece(const void *bytes, size_t len, uint64_t hole,
                                         gpointer data, GError **error)
{
    Prove *prove = data;

    if (prove->disk && len > 0 &&
        !cst_blob_pwrite(cst_guest_disk_blob(prove->disk), bytes, len, prove->at, error))
        return FALSE;
    prove->at += len > 0 ? len : hole;
    return compare_piece(bytes, len, hole, data, error);
}

static gboolean run_compare_vol(CstTask *task, gpointer data, GError **error)
{
    Prove *prove = data;
    const CstVolSend what = {.length = prove->volume->size};
    const CstConnSink sink = {begin_proof, verification_write_piece, prove};

    return cst_conn_vol_send(prove->scratch.ctl->conn, prove->vol, &what, &sink, task, error);
}

static gboolean through_pool(Prove *prove, GError **error)
{
    gboolean done;

    prove->vol = cli_scratch_restore(&prove->scratch, prove->volume, prove->format, error);
    if (!prove->vol)
        return FALSE;
    done = cli_run_task(prove->scratch.ctl, _("Comparing"), run_compare_vol, prove, error);
    cli_scratch_drop(&prove->scratch, prove->vol);
    return done;
}

static gboolean run_restore_disk(CstTask *task, gpointer data, GError **error)
{
    const Prove *prove = data;
    uint64_t size = prove->volume->size;
    g_autoptr(CstBlob) blob = cst_backup_open(prove->scratch.repo, prove->volume, error);

    cst_task_set_total(task, size);
    return blob && cst_blob_copy(blob, 0, cst_guest_disk_blob(prove->disk), 0, size,
                                 CST_COPY_DST_ZERO, task, error);
}

typedef struct {
    Prove *prove;
    CstTask *task;
} Compare;

static gboolean compare_watched(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                GError **error)
{
    const Compare *compare = data;

    cst_task_advance(compare->task, len);
    cst_task_skip(compare->task, hole);
    return cst_task_check(compare->task, error) &&
           compare_piece(bytes, len, hole, compare->prove, error);
}

static gboolean run_compare_disk(CstTask *task, gpointer data, GError **error)
{
    Prove *prove = data;
    Compare compare = {prove, task};

    cst_task_set_total(task, prove->volume->size);
    return cli_backup_give(cst_guest_disk_blob(prove->disk), prove->volume->size, compare_watched,
                           &compare, error);
}

static gboolean verify_without_pool(Prove *prove, GError **error)
{
    CliCtl *ctl = prove->scratch.ctl;

    return cst_may_change(error) &&
           cli_run_task(ctl, _("Restoring"), run_restore_disk, prove, error) &&
           cli_run_task(ctl, _("Comparing"), run_compare_disk, prove, error);
}

/*
 * Verify the content. *@ret_whole is TRUE if the scratch disk has all content. Else the row reports
 * the damage.
 */
static gboolean verify_content(Prove *prove, gboolean *ret_whole, GError **error)
{
    g_autofree char *detail = NULL;
    g_autoptr(GError) why = NULL;
    uint64_t differ = 0, first = 0;

    *ret_whole = FALSE;
    prove->proof = cst_proof_new(prove->scratch.repo, prove->volume, &why);
    if (!prove->proof ||
        !(prove->scratch.pool ? through_pool(prove, &why) : verify_without_pool(prove, &why)) ||
        !cst_proof_end(prove->proof, &differ, &first, &why)) {
        if (cst_error_code(why) != CST_ERROR_CORRUPT) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        verification_add_row(prove, N_("content"), NULL, CST_GUEST_DAMAGED, why->message, NULL);
        return TRUE;
    }
    *ret_whole = TRUE;
    if (differ > 0)
        detail = g_strdup_printf(
            _("differs from the backup in %" PRIu64 " bytes, from byte %" PRIu64 " on"), differ,
            first);
    verification_add_row(prove, N_("content"), NULL,
                         differ > 0 ? CST_GUEST_DAMAGED : CST_GUEST_SOUND, detail, NULL);
    return TRUE;
}

/* --- file systems and boot -------------------------------------------------------------------- */

static gboolean run_disk_check(CstTask *task, gpointer data, GError **error)
{
    Prove *prove = data;

    prove->parts = cst_guest_disk_check(prove->disk, task, error);
    return prove->parts != NULL;
}

/*
 * Adds a row for a volume whose file systems were frozen, as its backup has recorded. A frozen ext3
 * or ext4 has an empty journal. XFS and NTFS do not show whether they were frozen.
 */
static void verification_judge_consistency(Prove *prove)
{
    const CstGuestPart *judged = NULL;
    CstConsistency recorded;

    if (!cst_consistency_parse(prove->volume->consistency, &recorded) ||
        (recorded != CST_CONSISTENCY_FILESYSTEM && recorded != CST_CONSISTENCY_APPLICATION))
        return;
    for (guint i = 0; i < prove->parts->len; i++) {
        const CstGuestPart *part = prove->parts->pdata[i];

        if (!judged || part->journal > judged->journal)
            judged = part;
    }
    if (!judged || judged->journal == CST_GUEST_JOURNAL_UNKNOWN)
        verification_add_row(prove, N_("consistency"), NULL, CST_GUEST_UNKNOWN,
                             _("no file system shows whether it was frozen"), NULL);
    else if (judged->journal == CST_GUEST_JOURNAL_EMPTY)
        verification_add_row(prove, N_("consistency"), NULL, CST_GUEST_SOUND,
                             _("the file systems were frozen"), NULL);
    else
        verification_add_row(prove, N_("consistency"), judged, CST_GUEST_DAMAGED,
                             _("the backup has recorded frozen file systems, and this one was in "
                               "use; its content is that of a crash"),
                             NULL);
}

static gboolean verify_file_systems(Prove *prove, GError **error)
{
    if (!cli_run_task(prove->scratch.ctl, _("Checking file systems"), run_disk_check, prove, error))
        return FALSE;
    for (guint i = 0; i < prove->parts->len; i++) {
        const CstGuestPart *part = prove->parts->pdata[i];

        verification_add_row(prove, N_("file system"), part, part->verdict, part->detail, NULL);
    }
    verification_judge_consistency(prove);
    return TRUE;
}

static gboolean run_boot(CstTask *task, gpointer data, GError **error)
{
    Prove *prove = data;

    return cst_guest_disk_boot(prove->disk, &prove->how, task, &prove->life, error);
}

static gboolean verify_boot(Prove *prove, GError **error)
{
    const CstGuestLife *life = &prove->life;

    if (!cli_run_task(prove->scratch.ctl, _("Booting"), run_boot, prove, error))
        return FALSE;
    verification_add_row(prove, N_("boot"), NULL, life->verdict, life->detail, life->console);
    if (life->verdict != CST_GUEST_SOUND && *life->console) {
        g_auto(GStrv) lines = g_strsplit(life->console, "\n", -1);

        cli_warn(prove->scratch.ctl, _("last lines of the console:\n%s"), "");
        for (char **line = lines; *line; line++)
            if (**line)
                cli_warn(prove->scratch.ctl, "%s\n", *line);
    }
    return TRUE;
}

static gboolean verify_backup_volume(Prove *prove, GError **error)
{
    const CstBackupVolume *volume = prove->volume;
    gboolean whole;

    if (!prove->content_only || !prove->scratch.pool) {
        prove->disk = cst_guest_disk_new(prove->dir, volume->size, volume->data, error);
        if (!prove->disk)
            return FALSE;
    }
    if (!verify_content(prove, &whole, error))
        return FALSE;
    return !whole || ((prove->content_only || verify_file_systems(prove, error)) &&
                      (!prove->boot || verify_boot(prove, error)));
}

/* --- the command ------------------------------------------------------------------------------ */

static gboolean known_word(const char *option, const char *word, const char *const *words,
                           GError **error)
{
    g_autofree char *all = g_strjoinv(", ", (char **)words);

    return g_strv_contains(words, word) ||
           cst_fail(error, CST_ERROR_USAGE, _("--%s is one of: %s"), option, all);
}

/*
 * The confined child opens the firmware by its path, and its guest can read it. Fails with DENIED
 * if another user can exchange the file, and with NOT_FOUND if it is missing, because another user
 * could create it before the child opens it.
 */
static gboolean check_firmware(const char *path, GError **error)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    struct stat st;

    if (strcmp(path, "bios") == 0 || strcmp(path, "uefi") == 0)
        return TRUE;
    if (!cst_place_init(&place, path, error))
        return FALSE;
    if (!cst_place_stat(&place, &st))
        return cst_fail_errno(error, errno, _("cannot open '%s'"), path);
    if (cst_place_is_secure(&place) && (place.closed || cst_owner_is_us(st.st_uid)))
        return TRUE;
    return cst_fail(error, CST_ERROR_DENIED,
                    _("cannot use the firmware '%s': another user can exchange it; copy it to a "
                      "directory that only you or root can write to"),
                    path);
}

static gboolean read_boot(Prove *prove, const CliArgs *args, GError **error)
{
    static const char *const only_boot[] = {"expect", "wait", "memory", "cpus", "firmware", "bus"};
    static const char *const buses[] = {"virtio", "sata", NULL};
    const char *expect, *firmware, *bus;
    CstGuestBoot *how = &prove->how;
    g_autoptr(GError) why = NULL;

    prove->boot = cli_args_has(args, "boot");
    for (guint i = 0; i < G_N_ELEMENTS(only_boot); i++)
        if (!prove->boot && cli_args_has(args, only_boot[i]))
            return cst_fail(error, CST_ERROR_USAGE, _("--%s goes with --boot only"), only_boot[i]);
    *how = (CstGuestBoot){.wait_s = 180, .memory = CST_GIB, .cpus = 1};
    if (!cli_args_string(args, "expect", &expect, error) ||
        !cli_args_uint(args, "wait", &how->wait_s, error) ||
        !cli_args_size(args, "memory", CST_MIB, &how->memory, error) ||
        !cli_args_uint(args, "cpus", &how->cpus, error) ||
        !cli_args_string(args, "firmware", &firmware, error) ||
        !cli_args_string(args, "bus", &bus, error))
        return FALSE;
    if (firmware && !check_firmware(firmware, error))
        return FALSE;
    how->firmware = firmware ? firmware : "bios";
    how->bus = bus ? bus : buses[0];
    if (how->wait_s == 0 || how->cpus == 0 || how->memory < CST_MIB || how->memory > CST_TIB)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("--wait and --cpus are at least 1, --memory 1M to 1T"));
    if (expect)
        how->expect = g_regex_new(expect, G_REGEX_RAW, 0, &why);
    if (why)
        return cst_fail(error, CST_ERROR_USAGE, "--expect: %s", why->message);
    return known_word("bus", how->bus, buses, error) &&
           (!prove->boot || cli_args_exclusive(args, "boot", "content-only", error));
}

static gboolean read_scratch_dir(Prove *prove, const CliArgs *args, GError **error)
{
    const char *scratch;

    if (!cli_args_string(args, "scratch", &scratch, error))
        return FALSE;
    if (!scratch)
        prove->dir = g_strdup(cst_spool_dir(NULL));
    else if (strchr(scratch, '/') || *scratch == '.')
        prove->dir = g_canonicalize_filename(scratch, NULL);
    else if (cli_conn(prove->scratch.ctl, error))
        prove->dir = cli_pool_directory(prove->scratch.ctl, scratch, error);
    return prove->dir != NULL;
}

static gboolean verify_backup_volumes(Prove *prove, const CstBackup *backup,
                                      const CstBackupVolume *one, GError **error)
{
    CliCtl *ctl = prove->scratch.ctl;

    for (guint i = 0; i < backup->volumes->len; i++) {
        gboolean done;

        prove->volume = backup->volumes->pdata[i];
        if (one && prove->volume != one)
            continue;
        cli_plan(ctl, _("Would prove the backup of vol %s"), prove->volume->name);
        done = verify_backup_volume(prove, error);
        verification_reset_volume(prove);
        if (!done)
            return cli_failed(ctl, _("Failed to prove the backup of vol %s"), prove->volume->name);
    }
    return TRUE;
}

static gboolean print_verification(Prove *prove, const CstBackup *backup, GError **error)
{
    CliCtl *ctl = prove->scratch.ctl;
    g_auto(CliSheet) sheet = {0};
    const CliFact facts[] = {
        cli_fact_text("backup", NULL, backup->id),
        cli_fact_bool("proved", NULL, TRUE, prove->faults + prove->unproven == 0),
    };

    cli_sheet_begin(&sheet, ctl);
    cli_sheet_add(&sheet, facts, G_N_ELEMENTS(facts));
    cli_sheet_add_table(&sheet, "checks", prove->table);
    cli_sheet_end(&sheet);
    if (prove->faults > 0)
        return cst_fail(error, CST_ERROR_MISMATCH,
                        ngettext("backup %.8s is not proved: %u check failed",
                                 "backup %.8s is not proved: %u checks failed", prove->faults),
                        backup->id, prove->faults);
    if (prove->unproven > 0)
        return cst_fail(error, CST_ERROR_UNPROVEN,
                        ngettext("backup %.8s could not be proven here: %u check was not made",
                                 "backup %.8s could not be proven here: %u checks were not made",
                                 prove->unproven),
                        backup->id, prove->unproven);
    if (!ctl->settings.json)
        cli_done(ctl, NULL, NULL, _("Backup %.8s is proved"), backup->id);
    return TRUE;
}

static gboolean cmd_backup_verify(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Prove) prove = {.scratch.ctl = ctl,
                           .content_only = cli_args_has(args, "content-only"),
                           .table = cli_table_new(columns, G_N_ELEMENTS(columns))};
    g_autoptr(CstRepo) repo = NULL;
    g_autoptr(CstBackup) backup = NULL;
    g_autoptr(CstPoolRef) pool = NULL;
    const CstBackupVolume *one = NULL;
    char id[CLI_BACKUP_SHORT + 1];
    const char *name;

    if (!cli_args_string(args, "format", &prove.format, error) ||
        !cli_args_string(args, "vol", &name, error) || !read_boot(&prove, args, error) ||
        !read_scratch_dir(&prove, args, error))
        return FALSE;
    backup = cli_repo_backup(ctl, args, &repo, error);
    if (!backup)
        return FALSE;
    prove.scratch.repo = repo;
    /* --boot is for one volume, because not each volume of a machine is bootable. */
    if ((name || prove.boot) && !(one = cst_backup_volume(backup, name, error)))
        return FALSE;
    if (cli_args_has(args, "pool")) {
        prove.scratch.pool = pool =
            cli_conn(ctl, error) ? cli_pool(ctl, args, "pool", NULL, error) : NULL;
        if (!pool || !cli_scratch_drop_stale(&prove.scratch, error))
            return FALSE;
    }
    g_strlcpy(id, backup->id, sizeof(id));
    return cli_repo_job_begin(ctl, args, "backup-prove", id, error) &&
           verify_backup_volumes(&prove, backup, one, error) &&
           print_verification(&prove, backup, error);
}

static const CliOption prove_options[] = {
    REPO,
    BACKUP,
    CLI_STRING("vol", N_("volume of the backup; default: all (POOL/NAME)")),
    {.name = "pool",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("restore into a scratch vol in this pool, and read that back"),
     .complete = cli_complete_active_pools},
    FORMAT,
    {.name = "scratch",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("where scratch disks are: a directory with a slash, or a pool of files; default: "
                "TMPDIR, else /var/tmp")},
    CLI_SWITCH("content-only", N_("compare the content, and look at no file systems")),
    CLI_SWITCH("boot", N_("boot the vol, without a network, and wait for a sign of life")),
    CLI_NAMED("expect", N_("regular expression for a line of the console; default: a prompt for a "
                           "login, or an answer of the guest agent")),
    {.name = "wait",
     .kind = CLI_OPT_INT,
     .flags = CLI_OPT_NAMED,
     .help = N_("seconds to wait for it; default: 180")},
    CLI_NAMED("memory", N_("memory of the machine, as scaled integer; default: 1G")),
    {.name = "cpus",
     .kind = CLI_OPT_INT,
     .flags = CLI_OPT_NAMED,
     .help = N_("processors of the machine; default: 1")},
    {.name = "firmware",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("bios, uefi or the path of an image; default: bios")},
    CLI_NAMED("bus", N_("how the machine has the disk: virtio or sata; default: virtio")),
    REPO_OPTIONS,
    CLI_NAMED("rate-limit", N_("bytes per second at most, as scaled integer")),
    CLI_DETACH,
    {0},
};

const CliCommand cli_backup_prove_command = {
    .name = "backup-prove",
    .summary = N_("restore a backup onto a scratch disk and look at it"),
    .description =
        N_("Restore each vol of a backup onto a scratch disk, read it back, compare it with the "
           "backup, check its file systems and, with --boot, boot it. The scratch disk is deleted. "
           "Exit status 7: content differs, is damaged or does not boot. Exit status 75: no damage "
           "was found, but this host cannot run a check, because a tool, memory or firmware is "
           "missing, a checker was killed, or QEMU does not run the guest."),
    .options = prove_options,
    .handler = cmd_backup_verify,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS | CLI_CMD_WORKS,
};
