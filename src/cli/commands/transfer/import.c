/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-import: a disk image from elsewhere becomes a volume. The command reads the image itself,
 * whoever manages the pool, and sends what a guest would see of it, so the daemon opens nothing
 * that others chose. The volume appears when all of it is there and was verified.
 *
 * A dry run reads, unpacks and verifies the source as well, for nothing else tells what is in it.
 */
#include "transfer.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <import/import.h>

#include "commands/volume/options.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"

typedef struct {
    CliCtl *ctl;
    CstImportHow how;
    const CstPoolRef *pool;
    const char *name; /* of the volume */
    CliVolSpec spec;
    unsigned flags;  /* CstVolCreateFlags */
    uint64_t resize; /* 0: as large as the image */
    CstVolRef *vol;  /* the result */
} Importing;

/* Called while the source is being opened, when no progress is on the screen yet. */
static void print_note(const char *text, gpointer data)
{
    CliCtl *ctl = data;

    if (!ctl->settings.quiet && !ctl->settings.json)
        cli_warn(ctl, _("note: %s\n"), text);
}

/* Before hours of unpacking; the volume's creation looks again. */
static gboolean check_name_is_free(const Importing *importing, GError **error)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(CstVolRef) vol =
        cst_conn_vol_by_name(importing->ctl->conn, importing->pool, importing->name, &missing);

    if (vol)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", importing->name);
    if (cst_error_code(missing) == CST_ERROR_NO_VOL)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&missing));
    return FALSE;
}

static gboolean choose_size(Importing *importing, const CstImport *import, GError **error)
{
    uint64_t size = cst_import_capacity(import);
    const char *unit;
    double value = cst_units_pretty(size, &unit);

    importing->spec.capacity = MAX(size, importing->resize);
    cli_plan(importing->ctl, _("Would import %s (%s, %.2f %s) as vol %s into pool %s"),
             importing->how.source, cst_import_format(import), value, unit, importing->name,
             importing->pool->name);
    return importing->resize == 0 || importing->resize >= size ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("'%s' has %.2f %s, and what it holds would be cut off by a smaller size"),
                    importing->how.source, value, unit);
}

static gboolean run_import(CstTask *task, gpointer data, GError **error)
{
    Importing *importing = data;
    g_autoptr(CstImport) import = cst_import_open(&importing->how, task, error);
    g_autoptr(CstConnReceive) receive = NULL;
    g_autofree char *xml = NULL;

    if (!import || !choose_size(importing, import, error))
        return FALSE;
    xml = cli_vol_spec_xml(&importing->spec);
    /* What was unpacked is done, and all of the content is to come. */
    cst_task_set_total(task, cst_task_progress(task).done + cst_import_capacity(import));
    receive = cst_conn_vol_receive(importing->ctl->conn, importing->pool, xml, importing->flags,
                                   task, error);
    if (!receive || !cst_import_send(import, cst_conn_receive_piece, receive, error))
        return FALSE;
    importing->vol = cst_conn_receive_finish(receive, error);
    return importing->vol != NULL;
}

static gboolean read_options(CliCtl *ctl, const CliArgs *args, Importing *importing, GError **error)
{
    CstImportHow *how = &importing->how;
    const char *resize;

    if (!cli_args_exclusive(args, "checksum", "checksum-file", error))
        return FALSE;
    if (cli_args_has(args, "keyring") && !cli_args_has(args, "checksum-file"))
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("--keyring is for the signature of a list: give --checksum-file"));
    if (!cli_vol_create_flags(args, &importing->flags, error))
        return FALSE;
    /* Where nobody asks for more, the volume takes what its content needs. */
    if (!cli_args_has(args, "preallocation"))
        importing->flags |= CST_VOL_CREATE_PREALLOC_OFF;
    return cli_args_string(args, "source", &how->source, error) &&
           cli_args_string(args, "source-format", &how->format, error) &&
           cli_args_string(args, "format", &importing->spec.format, error) &&
           cli_args_string(args, "checksum", &how->checksum, error) &&
           cli_args_string(args, "checksum-file", &how->checksum_file, error) &&
           cli_args_string(args, "keyring", &how->keyring, error) &&
           cli_args_string(args, "ca-file", &how->ca_file, error) &&
           cli_args_uint(args, "timeout", &how->timeout_s, error) &&
           cli_args_string(args, "spool-dir", &how->spool_dir, error) &&
           cli_args_size(args, "max-size", 1, &how->max_size, error) &&
           cli_args_string(args, "resize", &resize, error) &&
           (!resize || cli_vol_size(ctl, resize, &importing->resize, error));
}

static gboolean cmd_import(CliCtl *ctl, const CliArgs *args, GError **error)
{
    Importing importing = {.ctl = ctl, .how = {.note = print_note, .note_data = ctl}};
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autoptr(CstVolRef) vol = NULL;
    g_autofree char *name = NULL;
    gboolean ok;

    if (!pool || !cli_vol_new_name(ctl, args, "newname", &importing.name, error) ||
        !read_options(ctl, args, &importing, error))
        return FALSE;
    if (!importing.name)
        importing.name = name = cst_import_name(importing.how.source);
    importing.pool = pool;
    if (!importing.spec.format)
        importing.spec.format = cli_vol_default_format(ctl, pool);
    importing.spec.name = importing.name;
    ok = check_name_is_free(&importing, error) &&
         cli_run_task(ctl, _("Importing"), run_import, &importing, error);
    vol = importing.vol;
    if (!ok)
        return cli_failed(ctl, _("Failed to import %s"), importing.how.source);
    cli_done(ctl, "volume", vol->name, _("Vol %s imported from %s"), vol->name,
             importing.how.source);
    return TRUE;
}

static const CliOption import_options[] = {
    CLI_FILE("source", CLI_OPT_REQUIRED,
             N_("image file, device or URL, perhaps compressed; -: stdin")),
    CLI_STRING("newname", N_("name of the new volume; default: that of the source")),
    {.name = "pool",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_REQUIRED | CLI_OPT_NAMED | CLI_OPT_POOL,
     .help = N_("pool name or uuid"),
     .complete = cli_complete_active_pools},
    {.name = "format",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("format of the volume; default: what the pool makes"),
     .complete = cli_complete_vol_formats},
    {.name = "source-format",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("format of the source; default: what its content shows"),
     .complete = cli_complete_image_formats},
    CLI_NAMED("resize", N_("make the volume larger than the image, as scaled integer")),
    CLI_NAMED("checksum", N_("what the source must have: sha256:HEX, sha384:HEX or sha512:HEX")),
    {.name = "checksum-file",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("list of checksums, as SHA256SUMS, in which the source is found by its name")},
    {.name = "keyring",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("keys of which one must have signed that list, in it or beside it (gpgv)")},
    {.name = "ca-file",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("certificates that https servers are believed by; default: the system's")},
    {.name = "timeout",
     .kind = CLI_OPT_INT,
     .flags = CLI_OPT_NAMED,
     .help = N_("seconds for which a server may be silent, or nearly so (30)")},
    CLI_NAMED("max-size", N_("refuse what is larger, as scaled integer (16T)")),
    {.name = "spool-dir",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("where to unpack; default: TMPDIR, else /var/tmp")},
    PREALLOCATION,
    OVERWRITE,
    RATE_LIMIT,
    {0},
};

const CliCommand cli_vol_import_command = {
    .name = "vol-import",
    .alias = "import",
    .summary = N_("make a vol of a disk image from elsewhere"),
    .description =
        N_("Make a vol of a disk image in any format, compressed with gzip, xz, zstd or bzip2 or "
           "not, in the format of the pool or another one. The vol appears when all of it is "
           "there and the checksum was verified. An image that refers to other files is refused. "
           "What is compressed or comes from a pipe is spooled first, into a file without a name. "
           "The command reads the source itself, so it can't go on as a job of the daemon."),
    .options = import_options,
    .handler = cmd_import,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
