/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#include "vol.h"

/* The texts of this file are virsh's: scripts compare them. */

/** One upload or download. */
typedef struct {
    CstConn *conn;
    CstVolRef *vol;
    const char *name; /**< of the volume, as the user wrote it */
    const char *file;
    int fd;
    uint64_t offset, length;
    unsigned flags;
    CstProgress progress; /**< when it ended; tells in which step it failed */
} Transfer;

/**
 * A plain number of bytes. As in virsh, --length may be negative and then counts down from the
 * largest number there is ("-1": whatever comes).
 */
static gboolean read_number(const CliArgs *args, const char *option, gboolean wraps,
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
        return cst_fail(error, CST_ERROR_USAGE,
                        _("Numeric value '%s' for <%s> option is malformed or out of range"), text,
                        option);
    *ret_value = value;
    return TRUE;
}

static gboolean read_transfer(CliCtl *ctl, const CliArgs *args, Transfer *transfer, GError **error)
{
    *transfer = (Transfer){.fd = -1};
    if (!read_number(args, "offset", FALSE, &transfer->offset, error) ||
        !read_number(args, "length", TRUE, &transfer->length, error))
        return FALSE;
    transfer->vol = cli_vol(ctl, args, "pool", &transfer->name, error);
    transfer->conn = ctl->conn;
    if (cli_args_has(args, "sparse"))
        transfer->flags |= CST_VOL_STREAM_SPARSE;
    return transfer->vol && cli_args_string(args, "file", &transfer->file, error);
}

/**
 * virsh names the file but not what is wrong with it. Scripts get that sentence; a person at the
 * terminal and JSON get the reason too.
 */
static gboolean fail_file(CliCtl *ctl, GError **error, int err, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

static gboolean fail_file(CliCtl *ctl, GError **error, int err, const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) why = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    cst_fail_errno(&why, err, "%s", text);
    if (ctl->settings.json || isatty(fileno(ctl->err))) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return cst_fail(error, cst_error_code(why), "%s", text);
}

/** What virsh prints for a finished transfer is nothing. */
static void tell_json(CliCtl *ctl, const Transfer *transfer)
{
    JsonBuilder *json;

    if (!ctl->settings.json)
        return;
    json = cli_json_begin();
    cli_json_add_string(json, "command", ctl->current->command->name);
    cli_json_add_string(json, "volume", transfer->vol->name);
    cli_json_add_string(json, "file", transfer->file);
    cli_json_add_size(json, "bytes", transfer->progress.done);
    cli_json_end(ctl->out, json);
}

/* --- upload ---------------------------------------------------------------------------------- */

static gboolean run_upload(CstTask *task, gpointer data, GError **error)
{
    Transfer *transfer = data;
    gboolean ok = cst_conn_vol_upload(transfer->conn, transfer->vol, transfer->fd, transfer->offset,
                                      transfer->length, transfer->flags, task, error);

    transfer->progress = cst_task_progress(task);
    return ok;
}

static gboolean upload(CliCtl *ctl, Transfer *transfer, GError **error)
{
    g_auto(CstFd) fd = open(transfer->file, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail_file(ctl, error, errno, _("cannot read %s"), transfer->file);
    if (cli_dry_run(ctl, _("Would upload %s to vol %s"), transfer->file, transfer->name))
        return TRUE;
    transfer->fd = fd;
    if (!cli_run_task(ctl, _("Uploading"), run_upload, transfer, error))
        return cli_failed(ctl,
                          transfer->progress.done ? _("cannot send data to volume %s")
                                                  : _("cannot upload to volume %s"),
                          transfer->name);
    tell_json(ctl, transfer);
    return TRUE;
}

gboolean cli_cmd_vol_upload(CliCtl *ctl, const CliArgs *args, GError **error)
{
    Transfer transfer;
    gboolean ok = read_transfer(ctl, args, &transfer, error) && upload(ctl, &transfer, error);

    cst_vol_ref_free(transfer.vol);
    return ok;
}

/* --- download -------------------------------------------------------------------------------- */

static gboolean run_download(CstTask *task, gpointer data, GError **error)
{
    Transfer *transfer = data;
    gboolean ok =
        cst_conn_vol_download(transfer->conn, transfer->vol, transfer->fd, transfer->offset,
                              transfer->length, transfer->flags, task, error);

    transfer->progress = cst_task_progress(task);
    return ok;
}

/** Opens the file, *ret_created when it was not there before. Returns -1 with @error set. */
static int open_output(CliCtl *ctl, const char *file, gboolean *ret_created, GError **error)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    *ret_created = fd >= 0;
    if (fd < 0 && errno == EEXIST)
        fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        fail_file(ctl, error, errno, _("cannot create %s"), file);
    return fd;
}

static gboolean receive(CliCtl *ctl, Transfer *transfer, GError **error)
{
    int fd = transfer->fd;
    gboolean ok = cli_run_task(ctl, _("Downloading"), run_download, transfer, error);

    /* Some file systems tell of a full disk only here. */
    if (close(fd) < 0 && ok)
        return fail_file(ctl, error, errno, _("cannot close file %s"), transfer->file);
    if (!ok)
        return cli_failed(ctl,
                          transfer->progress.done ? _("cannot receive data from volume %s")
                                                  : _("cannot download from volume %s"),
                          transfer->name);
    return TRUE;
}

static gboolean download(CliCtl *ctl, Transfer *transfer, GError **error)
{
    gboolean created;

    if (cli_dry_run(ctl, _("Would download vol %s to %s"), transfer->name, transfer->file))
        return TRUE;
    transfer->fd = open_output(ctl, transfer->file, &created, error);
    if (transfer->fd < 0)
        return FALSE;
    if (!receive(ctl, transfer, error)) {
        if (created)
            unlink(transfer->file);
        return FALSE;
    }
    tell_json(ctl, transfer);
    return TRUE;
}

gboolean cli_cmd_vol_download(CliCtl *ctl, const CliArgs *args, GError **error)
{
    Transfer transfer;
    gboolean ok = read_transfer(ctl, args, &transfer, error) && download(ctl, &transfer, error);

    cst_vol_ref_free(transfer.vol);
    return ok;
}
