/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-export: writes the guest-visible content of a volume, including its backing images, as a
 * standalone image. The target is a file (a draft until it is complete), a block device, or stdout.
 *
 * The volume's content is received as a stream, so that the daemon may be on another host. A second
 * thread writes the image. An image in a format that is not written sequentially is written to an
 * unnamed file first, and then copied to stdout.
 */
#include "transfer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/place.h>
#include <base/spool.h>
#include <image/convert.h>

#include "commands/consistency.h"
#include "commands/image/image.h"
#include "commands/room.h"
#include "commands/volume/live_copy.h"
#include "commands/volume/options.h"
#include "image_writer.h"
#include "output/confirm.h"
#include "output/job.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"
#include "package.h"

#define PIECE (1 << 20) /* bytes copied to stdout at a time */

typedef struct {
    CstConn *conn;
    gboolean dry_run;
    CstVolRef *vol;
    const char *name; /* as in the command line */
    const char *path;
    CstVolSend what;
    CliLiveCopy live;             /* the point in time of the content */
    const CstImageFormat *format; /* NULL: an OVA */
    CstImageOptions options;
    unsigned flags;      /* CstConvertFlags */
    char *checksum_path; /* NULL: no checksum is written */
    CstPlace checksum_place;
    gboolean checksum_replaces; /* an existing checksum file is replaced, with consent */
    char *checksum;
    char *stem; /* stem of the names in an OVA */

    gboolean to_stdout;
    CliImageTarget target;
    CstBlob *to; /* target's blob or unnamed file; NULL: stream to stdout */

    /* State of the transfer: */
    CstTask *task;
    CliImageWriter *writer;
} Export;

static void export_clear(Export *export)
{
    cli_live_copy_clear(&export->live);
    g_clear_pointer(&export->vol, cst_vol_ref_free);
    cst_image_options_clear(&export->options);
    if (export->to_stdout && export->to)
        cst_blob_unref(export->to);
    cli_image_target_clear(&export->target);
    cst_place_clear(&export->checksum_place);
    g_free(export->checksum_path);
    g_free(export->checksum);
    g_free(export->stem);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Export, export_clear)

/* --- arguments -------------------------------------------------------------------------------- */

/* The suffixes of the formats. */
static const struct {
    const char *suffix, *format;
} suffixes[] = {
    {".qcow2", "qcow2"},   {".qcow", "qcow"},     {".qed", "qed"}, {".vdi", "vdi"},
    {".vmdk", "vmdk"},     {".vpc", "vpc"},       {".vhd", "vpc"}, {".vhdx", "vhdx"},
    {".hdd", "parallels"}, {".hds", "parallels"}, {".ova", "ova"},
};

static const char *format_of_path(const char *path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++)
        if (g_str_has_suffix(path, suffixes[i].suffix))
            return suffixes[i].format;
    return "raw";
}

static gboolean read_format(CliCtl *ctl, const CliArgs *args, Export *export, gboolean *ret_help,
                            GError **error)
{
    const char *name = NULL;

    *ret_help = FALSE;
    if (!cli_args_string(args, "format", &name, error))
        return FALSE;
    name = name ? name : format_of_path(export->path);
    if (strcmp(name, "ova") == 0)
        return !cli_args_has(args, "options") ||
               cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("the image in an OVA takes no options; leave -o out"));
    export->format = cst_image_format_find(name, error);
    return export->format &&
           cli_image_options(ctl, args, export->format, &export->options, ret_help, error) &&
           (*ret_help || cst_image_options_for_copy(&export->options, error));
}

/* The file is that of --checksum-file, or "disk.qcow2.sha256" next to "disk.qcow2". */
static gboolean read_checksum(const CliArgs *args, Export *export, GError **error)
{
    const char *path = NULL;

    if (!cli_args_string(args, "checksum-file", &path, error))
        return FALSE;
    if (!path && !cli_args_has(args, "checksum"))
        return TRUE;
    if (export->to_stdout)
        return cst_fail(
            error, CST_ERROR_USAGE, "%s",
            _("no checksum file can be written for stdout; pipe the output through sha256sum(1)"));
    export->checksum_path = path ? g_strdup(path) : g_strconcat(export->path, ".sha256", NULL);
    return TRUE;
}

static gboolean export_read_arguments(CliCtl *ctl, const CliArgs *args, Export *export,
                                      gboolean *ret_help, GError **error)
{
    g_autofree char *base = NULL;

    if (!cli_args_string(args, "target", &export->path, error))
        return FALSE;
    export->to_stdout = g_str_equal(export->path, "-");
    if (export->to_stdout && cli_args_has(args, "detach"))
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("an export to stdout cannot run in the background: leave --detach out, "
                          "or name a file"));
    if (!read_format(ctl, args, export, ret_help, error))
        return FALSE;
    if (*ret_help)
        return TRUE;
    export->vol = cli_vol(ctl, args, "pool", &export->name, error);
    if (!export->vol || !cli_args_string(args, "snapshot", &export->what.snapshot, error) ||
        !read_checksum(args, export, error))
        return FALSE;
    if (export->what.snapshot &&
        !cli_vol_check_snapshot(ctl, export->vol, export->what.snapshot, error))
        return cli_failed(ctl, _("Failed to export vol %s"), export->name);
    if (!cli_live_copy_read(ctl, args, export->vol, export->name, &export->live, error))
        return FALSE;
    export->conn = ctl->conn;
    export->dry_run = ctl->settings.dry_run;
    export->what.flags = cli_args_has(args, "force-share") ? CST_VOL_STREAM_FORCE_SHARE : 0;
    export->flags = cli_args_has(args, "compress") ? CST_CONVERT_COMPRESS : 0;
    base = export->to_stdout ? g_strdup(export->vol->name) : g_path_get_basename(export->path);
    export->stem =
        g_strndup(base, strlen(base) - (g_str_has_suffix(base, ".ova") ? strlen(".ova") : 0));
    return TRUE;
}

/*
 * Record the volume's sector size if the format supports it. *ret_size is the size that is not
 * recorded, or CST_SECTOR_SIZE.
 */
static gboolean keep_sector_size(CliCtl *ctl, const CliArgs *args, Export *export,
                                 unsigned *ret_size, GError **error)
{
    CstImageCreate *create = &export->options.create;

    *ret_size = cli_vol_sector_size(ctl, export->vol);
    if (*ret_size == CST_SECTOR_SIZE)
        return TRUE;
    if (export->format && cst_image_format_has_sector_size(export->format)) {
        create->sector_size = create->sector_size ? create->sector_size : *ret_size;
        *ret_size = CST_SECTOR_SIZE; /* the size is recorded */
        return TRUE;
    }
    return cli_args_has(args, "drop-sector-size") ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("cannot export volume '%s': its sectors have %u bytes, which the image would "
                      "not record, so a guest would find no partitions; export it as vhdx, or say "
                      "--drop-sector-size"),
                    export->name, *ret_size);
}

/* --- target ----------------------------------------------------------------------------------- */

/* An image that is not written sequentially needs a temporary file. */
static gboolean export_open_spool(CliCtl *ctl, Export *export, GError **error)
{
    const char *dir = cst_spool_dir(NULL);
    int fd = cst_spool_open(dir);

    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot create a file in '%s'"), dir);
    if (!ctl->settings.quiet)
        cli_warn(ctl, _("The image is put together in '%s' (TMPDIR) before it goes to stdout\n"),
                 dir);
    export->to = cst_blob_file_new(fd, "stdout", TRUE, error);
    if (!export->to)
        return FALSE;
    cst_blob_file_skip_sync(export->to);
    export->flags |= CST_CONVERT_TARGET_ZERO;
    return TRUE;
}

static gboolean export_open_stdout(CliCtl *ctl, Export *export, GError **error)
{
    ctl->out_is_data = !ctl->settings.dry_run;
    if (isatty(fileno(ctl->out)) && ctl->out_is_data)
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("cannot write an image to a terminal; send it to a file or a pipe"));
    return (export->format && cst_image_format_is_plain(export->format)) ||
           export_open_spool(ctl, export, error);
}

/* An image has no defined length on a device, so only raw content can have a checksum. */
static gboolean export_check_device(const Export *export, GError **error)
{
    if (!export->format)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("an OVA is a file, and '%s' is a block device"), export->path);
    return !export->checksum_path || cst_image_format_is_plain(export->format) ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("an image of format '%s' on a block device has no length that a checksum "
                      "could be of"),
                    cst_image_format_name(export->format));
}

static gboolean confirm_checksum(CliCtl *ctl, Export *export, GError **error)
{
    struct stat st;

    if (!export->checksum_path)
        return TRUE;
    /* A symbolic link of that name is replaced, and not followed. */
    if (!cst_place_init_for(&export->checksum_place, export->checksum_path, geteuid(), FALSE,
                            error))
        return FALSE;
    cli_warn_of_exchange(ctl, &export->checksum_place);
    export->checksum_replaces = cst_place_stat(&export->checksum_place, &st);
    return !export->checksum_replaces || export->target.replace ||
           cli_confirm(ctl, error, _("'%s' exists. Overwrite it?"), export->checksum_path);
}

static gboolean export_give_content(CstPieceFunc piece, gpointer piece_data, gpointer data,
                                    GError **error)
{
    const Export *export = data;
    const CstConnSink sink = {.piece = piece, .data = piece_data};
    CstVolSend what = export->what;
    gboolean sent;

    /* An estimate suffices. The copy itself reads a live snapshot. */
    if (export->live.disk)
        what.flags |= CST_VOL_STREAM_FORCE_SHARE;
    /*
     * In a dry run, the server sends no content. Counting zeroes needs it, so clear the mode for
     * this call.
     */
    sent = cst_conn_set_dry_run(export->conn, FALSE, error) &&
           cst_conn_vol_send(export->conn, export->vol, &what, &sink, NULL, error);
    return cst_conn_set_dry_run(export->conn, export->dry_run, sent ? error : NULL) && sent;
}

/* Return: the number of bytes that are not known to be zero; at most @capacity. */
static uint64_t content_size(const Export *export, uint64_t capacity)
{
    CstMeasureReport measure = {0};

    /* The measure of an image: its tables and its allocated clusters, without holes. */
    if (export->what.snapshot ||
        !cst_conn_vol_measure(export->conn, export->vol, "qcow2", NULL, NULL, &measure, NULL))
        return capacity;
    return MIN(measure.required, capacity);
}

/*
 * The compressed size is not known before the copy, but it has a lower bound for deflate. Zstandard
 * has none that would help.
 */
static gboolean export_check_room(const Export *export, GError **error)
{
    CstImageCreate create = export->options.create;
    CliRoomCopy copy = {.name = export->path, .user = (gpointer) export};
    CstVolInfo info;

    if (export->to_stdout || create.data_file || g_strcmp0(create.compression, "zstd") == 0 ||
        !cli_room_of_path(export->path).known)
        return TRUE;
    /* An OVA has no format of its own. Its disk is compressed. */
    if (!export->format || export->flags & CST_CONVERT_COMPRESS)
        copy.shrink = CLI_DEFLATE_SHRINK;
    if (!cst_conn_vol_info(export->conn, export->vol, FALSE, &info, error))
        return FALSE;
    copy.data = info.capacity;
    if (create.preallocation != CST_PREALLOC_FALLOC && create.preallocation != CST_PREALLOC_FULL) {
        copy.give = export_give_content;
        copy.data = content_size(export, info.capacity);
    }
    return cli_room_check_file(&copy, error);
}

static gboolean open_target(CliCtl *ctl, Export *export, GError **error)
{
    if (export->to_stdout)
        return export_open_stdout(ctl, export, error);
    if (!export_check_room(export, error) ||
        !cli_image_target_open(ctl, export->path, &export->target, error) ||
        !confirm_checksum(ctl, export, error))
        return FALSE;
    export->to = export->target.blob;
    cli_vol_restrict_access(ctl, export->vol, TRUE, &export->target.access);
    if (export->target.dir)
        export->flags |= CST_CONVERT_TARGET_ZERO;
    else if (!ctl->settings.dry_run && !export_check_device(export, error))
        return FALSE;
    return TRUE;
}

/* --- transfer --------------------------------------------------------------------------------- */

static gboolean export_write_image(CstBlob *content, gpointer data, GError **error)
{
    Export *export = data;
    CstImageCreate *create = &export->options.create;
    const CstImageFiles files = cli_image_target_files(&export->target);

    if (!export->format)
        return cli_package_write(content, export->to, export->stem, error);
    if (!export->to_stdout) {
        create->files = &files;
        create->file_name = export->target.name;
    }
    return cst_image_convert(content, export->to, export->format, create, export->flags, NULL,
                             error);
}

static gboolean export_begin_content(uint64_t capacity, gpointer data, GError **error)
{
    Export *export = data;

    cst_task_set_total(export->task, capacity);
    if (!cst_may_change(error))
        return FALSE;
    export->writer = cli_image_writer_new(export->name, capacity, export_write_image, export);
    return TRUE;
}

static gboolean give_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                           GError **error)
{
    return cli_image_writer_put(bytes, len, hole, ((Export *)data)->writer, error);
}

static gboolean add_checksum(Export *export, GError **error)
{
    uint64_t size;

    if (!export->checksum_path)
        return TRUE;
    /* A device may be longer than the written content. */
    if (!cst_blob_get_size(export->to, &size, error))
        return FALSE;
    if (!export->target.dir)
        size = cst_task_progress(export->task).total;
    export->checksum = cli_blob_sha256(export->to, 0, size, error);
    return export->checksum != NULL;
}

static gboolean run_export(CstTask *task, gpointer data, GError **error)
{
    Export *export = data;
    const CstConnSink sink = {export_begin_content, give_piece, export};
    gboolean sent;

    export->task = task;
    sent = cst_conn_vol_send(export->conn, export->vol, &export->what, &sink, task, error);
    return cli_image_writer_end(export->writer, sent, error) && add_checksum(export, error);
}

/* Send raw content directly to stdout. */
static gboolean run_send(CstTask *task, gpointer data, GError **error)
{
    const Export *export = data;

    return cst_conn_vol_send_to(export->conn, export->vol, &export->what, STDOUT_FILENO, task,
                                error);
}

/* --- result ----------------------------------------------------------------------------------- */

static gboolean copy_out(const Export *export, FILE *out, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(PIECE);
    uint64_t size;

    if (!cst_blob_get_size(export->to, &size, error))
        return FALSE;
    for (uint64_t done = 0; done < size;) {
        size_t n = (size_t)MIN(size - done, (uint64_t)PIECE);

        if (!cst_blob_pread(export->to, buf, n, done, error))
            return FALSE;
        if (fwrite(buf, 1, n, out) != n)
            return cst_fail_errno(error, errno, "%s", _("cannot write to stdout"));
        done += n;
    }
    return fflush(out) == 0 || cst_fail_errno(error, errno, "%s", _("cannot write to stdout"));
}

/* Write the checksum in the format of sha256sum, which verifies it with -c. */
static gboolean write_checksum(const Export *export, GError **error)
{
    g_autofree char *base = g_path_get_basename(export->path);
    g_autofree char *line = NULL;

    if (!export->checksum)
        return TRUE;
    line = g_strdup_printf("%s  %s\n", export->checksum, base);
    return cst_place_replace(&export->checksum_place, line, strlen(line), 0644,
                             export->checksum_replaces || export->target.replace, error);
}

static gboolean export_commit_target(const CliCtl *ctl, Export *export, GError **error)
{
    if (export->to_stdout)
        return !export->to || copy_out(export, ctl->out, error);
    return cli_image_target_commit(&export->target, error) && write_checksum(export, error);
}

/* Reads the content at one point in time, and gives the target its name. */
static gboolean export_transfer(CliCtl *ctl, Export *export, GError **error)
{
    gboolean plain = export->to_stdout && !export->to && !ctl->settings.dry_run;
    gboolean done;

    if (!cli_live_copy_begin(&export->live, error))
        return FALSE;
    cli_live_copy_put(&export->live, &export->what);
    done = cli_run_task(ctl, _("Exporting"), plain ? run_send : run_export, export, error);
    return cli_live_copy_end(&export->live, done, error) &&
           export_commit_target(ctl, export, error);
}

static void export_report(CliCtl *ctl, const Export *export)
{
    CliFact facts[CLI_LIVE_COPY_FACTS];
    guint count = cli_live_copy_facts(&export->live, facts);

    if (!ctl->out_is_data)
        cli_done_with(ctl, "file", export->path, cli_vol_made_size(ctl, export->vol), facts, count,
                      _("Vol %s exported to %s"), export->name, export->path);
    cli_live_copy_print(&export->live);
}

static gboolean cmd_export(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Export) export = {0};
    gboolean help;
    unsigned sector_size;

    if (!export_read_arguments(ctl, args, &export, &help, error))
        return FALSE;
    if (help)
        return TRUE;
    cli_plan(ctl, _("Would export vol %s to %s, format %s"), export.name, export.path,
             export.format ? cst_image_format_name(export.format) : "ova");
    if (!keep_sector_size(ctl, args, &export, &sector_size, error) ||
        !open_target(ctl, &export, error))
        return cli_failed(ctl, _("Failed to export vol %s"), export.name);
    if (!cli_job_begin(ctl, "export", export.vol->pool, export.vol->name, error))
        return FALSE;
    if (!export_transfer(ctl, &export, error))
        return cli_failed(ctl, _("Failed to export vol %s"), export.name);
    cli_live_copy_warn(&export.live);
    if (sector_size != CST_SECTOR_SIZE)
        cli_warn_of_sector_size(ctl, export.name, sector_size);
    export_report(ctl, &export);
    return TRUE;
}

static const CliOption export_options[] = {
    VOL,
    {.name = "target",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_REQUIRED | CLI_OPT_FILE,
     .help = N_("file or block device to write; - is stdout")},
    POOL,
    {.name = "format",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("format of the image, or ova; default: by the ending of the file's name, else raw"),
     .complete = cli_complete_image_formats},
    CLI_IMAGE_OPTIONS,
    CLI_COMPRESS,
    CLI_DROP_SECTOR_SIZE,
    CLI_NAMED("snapshot", N_("use the content of this snapshot")),
    CLI_SWITCH("checksum", N_("write the SHA-256 of the file to FILE.sha256")),
    {.name = "checksum-file",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("write the SHA-256 into this file")},
    RATE_LIMIT,
    FORCE_SHARE,
    CLI_CONSISTENCY,
    CLI_DETACH,
    {0},
};

const CliCommand cli_vol_export_command = {
    .name = "vol-export",
    .alias = "export",
    .summary = N_("write a vol into an image file"),
    .description =
        N_("Write the guest-visible content of a vol, or of its snapshot, as an independent image "
           "of any format. An OVA has the compressed disk, a description of a minimal machine, and "
           "a manifest. A file appears when it is complete."),
    .options = export_options,
    .handler = cmd_export,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS | CLI_CMD_DESTROYS | CLI_CMD_WORKS,
};
