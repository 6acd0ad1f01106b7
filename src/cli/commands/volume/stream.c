/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-upload and vol-download: transfer content from and to a file or a standard stream. A failed
 * download removes the file that it has created. A failed upload leaves the written data in the
 * volume. After an upload, the content may be declared (--format). The texts are virsh's, because
 * scripts compare them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/file_writers.h>
#include <base/i18n.h>
#include <base/input.h>
#include <base/place.h>

#include "commands/consistency.h"
#include "commands/room.h"
#include "commands/xml.h"
#include "live_copy.h"
#include "options.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/sheet.h"
#include "volume.h"

/** An upload or download. */
typedef struct {
    CstConn *conn;
    CstVolRef *vol;
    const char *name; /**< of the volume, as in the command line */
    const char *file;
    int fd;
    gboolean await; /**< wait for the data of a FIFO before the first read */
    uint64_t offset, length;
    unsigned flags;
    CliLiveCopy live;      /**< the point in time of a download */
    CstVolDeclare content; /**< declaration of the uploaded content */
    char *backing_path;    /**< owned */
    CstProgress progress;  /**< progress at the end; determines the failed step */
} Transfer;

/**
 * Parse a number of bytes. As in virsh, --length may be negative and then wraps around ("-1": up to
 * the end of the stream).
 */
static gboolean read_stream_number(const CliArgs *args, const char *option, gboolean wraps,
                                   uint64_t *ret_value, GError **error)
{
    const char *text;
    const char *start;
    unsigned long long value;
    char *end;

    if (!cli_args_string(args, option, &text, error))
        return FALSE;
    if (!text)
        return TRUE;
    for (start = text; g_ascii_isspace(*start); start++)
        continue;
    errno = 0;
    value = strtoull(start, &end, 10);
    if ((*start == '-' && !wraps) || end == start || *end || errno)
        return cli_args_bad_number(text, option, error);
    *ret_value = value;
    return TRUE;
}

/* "-" is stdin or stdout. A file with this name is "./-". */
static gboolean is_standard(const char *file)
{
    return g_str_equal(file, "-");
}

static gboolean read_transfer(CliCtl *ctl, const CliArgs *args, Transfer *transfer, GError **error)
{
    *transfer = (Transfer){.fd = -1};
    if (!read_stream_number(args, "offset", FALSE, &transfer->offset, error) ||
        !read_stream_number(args, "length", TRUE, &transfer->length, error))
        return FALSE;
    transfer->vol = cli_vol(ctl, args, "pool", &transfer->name, error);
    transfer->conn = ctl->conn;
    if (cli_args_has(args, "sparse"))
        transfer->flags |= CST_VOL_STREAM_SPARSE;
    if (cli_args_has(args, "force-share"))
        transfer->flags |= CST_VOL_STREAM_FORCE_SHARE;
    return transfer->vol && cli_args_string(args, "file", &transfer->file, error);
}

#define TRANSFER_FACTS 4

/** For a finished transfer, virsh prints no text. Print only JSON. */
static void print_transfer_json(CliCtl *ctl, const Transfer *transfer)
{
    CliFact facts[TRANSFER_FACTS + CLI_LIVE_COPY_FACTS] = {
        cli_fact_text("command", NULL, ctl->current->command->name),
        cli_fact_text("volume", NULL, transfer->vol->name),
        cli_fact_text("file", NULL, transfer->file),
        cli_fact_number("bytes", NULL, TRUE, transfer->progress.done),
    };
    guint live = cli_live_copy_facts(&transfer->live, facts + TRANSFER_FACTS);

    cli_sheet_print_json(ctl, ctl->out_is_data ? ctl->err : ctl->out, facts, TRANSFER_FACTS + live);
}

/*
 * Find the directory of @file. If it does not exist, fail with @complaint, which is virsh's message
 * with the name of the file.
 */
static gboolean file_place_init(CstPlace *place, const char *file, const char *complaint,
                                GError **error)
{
    g_autoptr(GError) why = NULL;

    if (cst_place_init(place, file, &why))
        return TRUE;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
        return cst_fail_errno(error, ENOENT, "%s", complaint);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* --- upload ---------------------------------------------------------------------------------- */

/* Wait for the data of a FIFO, until @task is cancelled. */
static gboolean await_data(const Transfer *transfer, CstTask *task, GError **error)
{
    g_autofree char *complaint = g_strdup_printf(_("cannot read %s"), transfer->file);
    g_autoptr(GError) why = NULL;

    if (cst_input_await(transfer->fd, complaint, &why))
        return TRUE;
    if (cst_task_check(task, error))
        g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean run_vol_upload(CstTask *task, gpointer data, GError **error)
{
    Transfer *transfer = data;
    gboolean ok = (!transfer->await || await_data(transfer, task, error)) &&
                  cst_conn_vol_upload(transfer->conn, transfer->vol, transfer->fd, transfer->offset,
                                      transfer->length, transfer->flags, task, error);

    transfer->progress = cst_task_progress(task);
    return ok;
}

/** Warn if the content does not match the volume's declaration. virsh has no such warning. */
static void warn_of_content(CliCtl *ctl, const Transfer *transfer)
{
    g_autoptr(GPtrArray) problems = cli_vol_problems(ctl, transfer->vol);

    cli_vol_warn(ctl, transfer->name, problems);
}

static gboolean refuse_writer(const CliArgs *args, const char *file, int fd, GError **error)
{
    g_autofree char *who = cli_args_has(args, "force-share") ? NULL : cst_file_writer_describe(fd);

    return !who ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("'%s' is open for writing in %s; stop it first, or say --force-share"), file,
                    who);
}

/* Fail with BUSY if the file was written to since @before, because the volume has a mixture. */
static gboolean upload_is_as_before(const Transfer *transfer, const CstFileStamp *before,
                                    GError **error)
{
    const CstFileStamp now = cst_file_stamp(transfer->fd);

    return !cst_file_stamp_differs(before, &now) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("another program has written to '%s' while it was copied; stop it and "
                      "repeat the copy, or say --force-share"),
                    transfer->file);
}

static int open_upload_input(const char *file, gboolean *ret_await, const char *complaint,
                             GError **error)
{
    int fd;

    *ret_await = FALSE;
    if (!is_standard(file))
        return cst_input_open_no_wait(file, ret_await, complaint, error);
    fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd < 0)
        cst_fail_errno(error, errno, "%s", complaint);
    return fd;
}

static gboolean upload_vol(CliCtl *ctl, Transfer *transfer, GError **error)
{
    g_autofree char *complaint = g_strdup_printf(_("cannot read %s"), transfer->file);
    g_auto(CstFd) fd = open_upload_input(transfer->file, &transfer->await, complaint, error);
    CstFileStamp before = {0};

    if (fd < 0)
        return FALSE;
    if (!cli_args_has(ctl->current, "force-share"))
        before = cst_file_stamp(fd);
    if (!refuse_writer(ctl->current, transfer->file, fd, error))
        return FALSE;
    cli_plan(ctl, _("Would upload %s to vol %s"), transfer->file, transfer->name);
    if (!cli_confirm(ctl, error, _("Overwrite the content of vol %s?"), transfer->name))
        return FALSE;
    transfer->fd = fd;
    transfer->flags &= ~(unsigned)CST_VOL_STREAM_FORCE_SHARE; /* for the file only */
    if (!cli_run_task(ctl, _("Uploading"), run_vol_upload, transfer, error) ||
        !upload_is_as_before(transfer, &before, error))
        return cli_failed(ctl,
                          transfer->progress.done ? _("cannot send data to volume %s")
                                                  : _("cannot upload to volume %s"),
                          transfer->name);
    if (!ctl->settings.dry_run && (transfer->content.format || transfer->content.backing) &&
        !cli_vol_declare(ctl, transfer->vol, &transfer->content, error))
        return FALSE;
    warn_of_content(ctl, transfer);
    print_transfer_json(ctl, transfer);
    return TRUE;
}

/** Parse --format and --backing-vol. */
static gboolean read_content(CliCtl *ctl, const CliArgs *args, Transfer *transfer, GError **error)
{
    CstVolDeclare *content = &transfer->content;
    g_autoptr(CstPoolRef) pool = NULL;
    g_autoptr(CstVolRef) backing = NULL;

    if (!cli_args_string(args, "format", &content->format, error) ||
        !cli_args_string(args, "backing-vol", &content->backing, error))
        return FALSE;
    if (!content->backing)
        return TRUE;
    pool = cst_conn_pool_of_vol(ctl->conn, transfer->vol, error);
    backing = pool ? cli_vol_beside(ctl, pool, content->backing, error) : NULL;
    if (!backing)
        return FALSE;
    transfer->backing_path = cst_conn_vol_path(ctl->conn, backing, error);
    content->backing = transfer->backing_path;
    return content->backing != NULL;
}

static gboolean cmd_upload(CliCtl *ctl, const CliArgs *args, GError **error)
{
    Transfer transfer;
    gboolean ok = read_transfer(ctl, args, &transfer, error) &&
                  read_content(ctl, args, &transfer, error) && upload_vol(ctl, &transfer, error);

    cst_vol_ref_free(transfer.vol);
    g_free(transfer.backing_path);
    return ok;
}

static const CliOption upload_options[] = {
    VOL,
    CLI_FILE("file", CLI_OPT_REQUIRED, N_("file")),
    POOL,
    CLI_NUMBER("offset", N_("volume offset to upload to")),
    CLI_NUMBER("length", N_("amount of data to upload")),
    SPARSE,
    FORCE_SHARE,
    CONTENT_FORMAT,
    {.name = "backing-vol",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("backing volume of the content; default: the content may refer to no file"),
     .complete = cli_complete_vols},
    RATE_LIMIT,
    {0},
};

const CliCommand cli_vol_upload_command = {
    .name = "vol-upload",
    .summary = N_("upload file contents to a volume"),
    .description = N_("Upload file contents to a volume"),
    .options = upload_options,
    .handler = cmd_upload,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};

/* --- download -------------------------------------------------------------------------------- */

static gboolean run_download(CstTask *task, gpointer data, GError **error)
{
    Transfer *transfer = data;
    const CstVolSend what = {.snapshot = transfer->live.snapshot,
                             .offset = transfer->offset,
                             .length = transfer->length};
    /* The stored bytes of a raw volume are its content. */
    gboolean ok =
        what.snapshot
            ? cst_conn_vol_send_to(transfer->conn, transfer->vol, &what, transfer->fd, task, error)
            : cst_conn_vol_download(transfer->conn, transfer->vol, transfer->fd, transfer->offset,
                                    transfer->length, transfer->flags, task, error);

    transfer->progress = cst_task_progress(task);
    return ok;
}

/** The file or standard stream that a download writes to. */
typedef struct {
    CstPlace place;
    gboolean created; /**< created by this command; @st describes it */
    struct stat st;
} Output;

static int open_download_stdout(CliCtl *ctl, GError **error)
{
    int fd;

    fflush(ctl->out);
    fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd < 0)
        cst_fail_errno(error, errno, "%s", _("cannot write to stdout"));
    return fd;
}

/* An empty file, a pipe or a device has no content that could be lost. */
static gboolean confirm_output(CliCtl *ctl, const char *file, const struct stat *st, GError **error)
{
    return !S_ISREG(st->st_mode) || st->st_size == 0 ||
           cli_confirm(ctl, error, _("'%s' exists. Overwrite it?"), file);
}

/*
 * Open the file, ask for confirmation, begin the live copy, and truncate the file. Return: the
 * descriptor; -1 with @error set.
 */
static int open_output(CliCtl *ctl, Transfer *transfer, Output *output, GError **error)
{
    CstAccess access = {.mode = 0666};
    g_auto(CstFd) fd = -1;

    cli_vol_restrict_access(ctl, transfer->vol, FALSE, &access);
    fd = cst_place_open_output(&output->place, cst_access_mode_at(&access, &output->place),
                               &output->created, error);
    if (fd < 0)
        return -1;
    if (fstat(fd, &output->st) < 0) {
        cst_fail_errno(error, errno, _("cannot create '%s'"), transfer->file);
        return -1;
    }
    if ((!output->created && !confirm_output(ctl, transfer->file, &output->st, error)) ||
        !cli_live_copy_begin(&transfer->live, error))
        return -1;
    if (S_ISREG(output->st.st_mode) && !output->created && ftruncate(fd, 0) < 0) {
        cst_fail_errno(error, errno, _("cannot create '%s'"), transfer->file);
        return -1;
    }
    return g_steal_fd(&fd);
}

/* Dry run: make the permission checks of open_output() without opening the file. */
static int check_output(CliCtl *ctl, const Transfer *transfer, const Output *output, GError **error)
{
    const CstPlace *place = &output->place;
    gboolean exists = cst_place_stat(place, &(struct stat){0});

    if (faccessat(place->dir, exists ? place->name : ".", exists ? W_OK : W_OK | X_OK,
                  AT_EACCESS) == 0)
        return open("/dev/null", O_WRONLY | O_CLOEXEC);
    cst_fail_errno(error, errno, _("cannot create '%s'"), transfer->file);
    return -1;
}

static gboolean receive_vol_content(CliCtl *ctl, Transfer *transfer, GError **error)
{
    int fd = transfer->fd;
    gboolean ok = cli_run_task(ctl, _("Downloading"), run_download, transfer, error);

    ok = cli_live_copy_end(&transfer->live, ok, error);
    /* Some file systems report a full disk only here. */
    if (close(fd) < 0 && ok)
        return cst_fail_errno(error, errno, _("cannot close file %s"), transfer->file);
    if (!ok)
        return cli_failed(ctl,
                          transfer->progress.done ? _("cannot receive data from volume %s")
                                                  : _("cannot download from volume %s"),
                          transfer->name);
    cli_live_copy_warn(&transfer->live);
    return TRUE;
}

/*
 * Refuse a target that another program has open for writing, because its writes would mix with the
 * download. Descriptors of this process (/dev/stdout) are not checked, because the shell often
 * shares them.
 */
static gboolean check_unused(CliCtl *ctl, const char *file, const CstPlace *place, GError **error)
{
    g_auto(CstFd) fd = -1;
    struct stat st;

    if (place->magic || !cst_place_stat(place, &st) ||
        !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
        return TRUE;
    fd = cst_place_open(place, O_RDONLY | O_NONBLOCK);
    return fd < 0 || refuse_writer(ctl->current, file, fd, error);
}

/*
 * Fail with NO_SPACE if the download certainly does not fit. The space of a file that will be
 * overwritten is not known, because its blocks may be shared. The data in a part of a volume are
 * not known either, so a sparse download of a part is not checked.
 */
static gboolean download_check_room(const Transfer *transfer, const CstPlace *place, GError **error)
{
    gboolean sparse = (transfer->flags & CST_VOL_STREAM_SPARSE) != 0;
    CliRoomCopy copy = {.name = transfer->file};
    CstVolInfo info;
    struct stat st;

    /* The download itself reports a volume that cannot be queried. */
    if (transfer->live.snapshot || (sparse && transfer->length > 0) ||
        (cst_place_stat(place, &st) && st.st_size > 0) ||
        !cst_conn_vol_info(transfer->conn, transfer->vol, !sparse, &info, NULL))
        return TRUE;
    copy.data = info.allocation - MIN(transfer->offset, info.allocation);
    if (transfer->length > 0)
        copy.data = MIN(copy.data, transfer->length);
    return cli_room_check_file(&copy, error);
}

static gboolean download_to_file(CliCtl *ctl, Transfer *transfer, GError **error)
{
    g_autofree char *complaint = g_strdup_printf(_("cannot create %s"), transfer->file);
    Output output = {.place = CST_PLACE_INIT};
    gboolean ok = FALSE;

    if (file_place_init(&output.place, transfer->file, complaint, error) &&
        check_unused(ctl, transfer->file, &output.place, error) &&
        download_check_room(transfer, &output.place, error)) {
        cli_warn_of_exchange(ctl, &output.place);
        transfer->fd = ctl->settings.dry_run ? check_output(ctl, transfer, &output, error)
                                             : open_output(ctl, transfer, &output, error);
        ok = transfer->fd >= 0 &&
             (!ctl->settings.dry_run || cli_live_copy_begin(&transfer->live, error)) &&
             receive_vol_content(ctl, transfer, error);
        if (!ok && output.created)
            cst_place_remove(&output.place, &output.st);
    }
    cst_place_clear(&output.place);
    return ok;
}

static gboolean download_vol(CliCtl *ctl, Transfer *transfer, GError **error)
{
    gboolean standard = is_standard(transfer->file);

    ctl->out_is_data = standard && !ctl->settings.dry_run;
    cli_plan(ctl, _("Would download vol %s to %s"), transfer->name, transfer->file);
    if (standard) {
        transfer->fd = open_download_stdout(ctl, error);
        if (transfer->fd < 0 || !cli_live_copy_begin(&transfer->live, error) ||
            !receive_vol_content(ctl, transfer, error))
            return FALSE;
    } else if (!download_to_file(ctl, transfer, error)) {
        return FALSE;
    }
    print_transfer_json(ctl, transfer);
    cli_live_copy_print(&transfer->live);
    return TRUE;
}

/* libvirt keeps the content that the guest sees, and a download has the stored bytes. */
static gboolean download_read_live(CliCtl *ctl, const CliArgs *args, Transfer *transfer,
                                   GError **error)
{
    CliLiveCopy *live = &transfer->live;
    GError *why = NULL;

    if (!cli_live_copy_read(ctl, args, transfer->vol, transfer->name, live, error))
        return FALSE;
    if (!live->disk || cli_live_copy_is_plain(live))
        return TRUE;
    cst_fail(
        &why, CST_ERROR_UNSUPPORTED,
        _("disk '%s' of domain '%s': a download has the stored bytes of the image, and libvirt "
          "has only its content; vol-export makes an image of it"),
        live->disk->target, live->disk->domain);
    cli_live_copy_give_up(live, why);
    return TRUE;
}

static gboolean cmd_download(CliCtl *ctl, const CliArgs *args, GError **error)
{
    Transfer transfer;
    gboolean ok = read_transfer(ctl, args, &transfer, error) &&
                  download_read_live(ctl, args, &transfer, error) &&
                  download_vol(ctl, &transfer, error);

    cli_live_copy_clear(&transfer.live);
    cst_vol_ref_free(transfer.vol);
    return ok;
}

static const CliOption download_options[] = {
    VOL,
    CLI_FILE("file", CLI_OPT_REQUIRED, N_("file")),
    POOL,
    CLI_NUMBER("offset", N_("volume offset to download from")),
    CLI_NUMBER("length", N_("amount of data to download")),
    SPARSE,
    FORCE_SHARE,
    CLI_CONSISTENCY,
    RATE_LIMIT,
    {0},
};

const CliCommand cli_vol_download_command = {
    .name = "vol-download",
    .summary = N_("download volume contents to a file"),
    .description = N_("Download volume contents to a file"),
    .options = download_options,
    .handler = cmd_download,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};
