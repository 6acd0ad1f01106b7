/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run.h"

#include <locale.h>

#include <base/error_class.h>
#include <base/i18n.h>

/** Common options given after the command count for that command. */
static void apply_common(CliSettings *settings, const CliArgs *args)
{
    settings->json |= cli_args_has(args, "json");
    settings->bytes |= cli_args_has(args, "bytes");
    settings->dry_run |= cli_args_has(args, "dry-run");
    settings->yes |= cli_args_has(args, "yes");
}

static gboolean run_handler(CliCtl *ctl, const CliArgs *args, gboolean *ret_connected,
                            GError **error)
{
    *ret_connected = TRUE;
    if (!(args->command->flags & CLI_CMD_OFFLINE) && !ctl->conn && ctl->connected_uri &&
        !cli_conn(ctl, error)) {
        *ret_connected = FALSE;
        return FALSE;
    }
    return args->command->handler(ctl, args, error);
}

static void print_end(CliCtl *ctl, gint64 started)
{
    double ms = (double)(g_get_monotonic_time() - started) / 1000.0;

    if (ctl->settings.timing)
        cli_print(ctl, _("\n(Time: %.3f ms)\n\n"), ms);
    else
        cli_extra(ctl, "\n");
    fflush(ctl->out);
}

/* What was to be done is being done, by the server. */
static void tell_detached(CliCtl *ctl)
{
    g_autofree char *id = g_strdup_printf("%" G_GUINT64_FORMAT, ctl->detached);

    ctl->detached = 0;
    g_clear_pointer(&ctl->headline, g_free);
    if (ctl->settings.json)
        cli_done(ctl, "job", id, _("Job %s goes on"), id);
    else
        cli_value(ctl, "job", id);
}

static CstExitStatus run_one(CliCtl *ctl, const CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    CliSettings saved = ctl->settings;
    gint64 started = g_get_monotonic_time();
    CstExitStatus status = CST_EXIT_OK;
    gboolean connected;

    apply_common(&ctl->settings, args);
    /* JSON is for programs: the same words everywhere. */
    if (ctl->settings.json && !saved.json)
        setlocale(LC_MESSAGES, "C");
    ctl->current = args;
    if (!run_handler(ctl, args, &connected, &error) && ctl->detached) {
        tell_detached(ctl);
    } else if (error) {
        status = cst_error_info(cst_error_code(error))->exit;
        cli_report(ctl, error);
    }
    if (!ctl->leave && connected && !ctl->silent)
        print_end(ctl, started);
    ctl->silent = FALSE;
    ctl->current = NULL;
    if (ctl->settings.json && !saved.json)
        setlocale(LC_MESSAGES, "");
    /* `connect` has changed what lasts. */
    saved.read_only = ctl->settings.read_only;
    ctl->settings = saved;
    return status;
}

CstExitStatus cli_run_all(CliCtl *ctl, const GPtrArray *commands)
{
    CstExitStatus status = CST_EXIT_OK;

    for (guint i = 0; i < commands->len && !ctl->leave; i++)
        status = run_one(ctl, g_ptr_array_index(commands, i));
    return status;
}

CstExitStatus cli_run_string(CliCtl *ctl, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) commands = cli_parse_string(text, &error);

    if (!commands) {
        cli_report(ctl, error);
        return CST_EXIT_USAGE;
    }
    return cli_run_all(ctl, commands);
}
