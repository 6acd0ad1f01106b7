/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs parsed commands. Options after a command apply to this command only. A dry run ends with its
 * plan, and a detached command ends with its job number. A failure is reported and determines the
 * exit status.
 *
 * Options after a command that select a server or root give this command a separate connection. The
 * connection of the shell is kept and restored afterwards.
 */
#include "run.h"

#include <locale.h>
#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/error_class.h>
#include <base/i18n.h>

#include "core/background.h"
#include "core/parse.h"
#include "output/job.h"
#include "output/report.h"
#include "output/text.h"

/** Apply the common options after the command to this command. */
static void apply_common(CliSettings *settings, const CliArgs *args)
{
    settings->json |= cli_args_has(args, "json");
    settings->bytes |= cli_args_has(args, "bytes");
    settings->dry_run |= cli_args_has(args, "dry-run");
    settings->yes |= cli_args_has(args, "yes");
    settings->no_input |= cli_args_has(args, "no-input");
    settings->quiet |= cli_args_has(args, "quiet");
}

/** The connection of the shell, saved while a command uses a separate connection. */
typedef struct {
    gboolean moved;
    CstConn *conn;
    char *uri;
} Moved;

/**
 * Switch to a separate connection if --root, --connect, --readonly or --embedded follow the
 * command.
 */
static gboolean move_connection(CliCtl *ctl, const CliArgs *args, Moved *moved, GError **error)
{
    const char *root = NULL, *uri = NULL;

    *moved = (Moved){0};
    if (!cli_args_string(args, "root", &root, error) ||
        !cli_args_string(args, "connect", &uri, error))
        return FALSE;
    /* `connect` has its own --readonly, which stays in effect. */
    moved->moved = root || uri || cli_args_has(args, "embedded") ||
                   (cli_args_has(args, "readonly") && !(args->command->flags & CLI_CMD_OFFLINE));
    if (!moved->moved)
        return TRUE;
    moved->conn = g_steal_pointer(&ctl->conn);
    moved->uri = g_steal_pointer(&ctl->connected_uri);
    ctl->connected_uri = uri ? g_strdup(uri) : root ? NULL : g_strdup(moved->uri);
    ctl->settings.root = root ? root : ctl->settings.root;
    ctl->settings.embedded |= cli_args_has(args, "embedded");
    ctl->settings.read_only |= cli_args_has(args, "readonly");
    return TRUE;
}

static void restore_connection(CliCtl *ctl, Moved *moved)
{
    if (!moved->moved)
        return;
    g_clear_pointer(&ctl->conn, cst_conn_free);
    g_free(ctl->connected_uri);
    ctl->conn = moved->conn;
    ctl->connected_uri = moved->uri;
}

/* Return: TRUE if a background process must run the command. */
static gboolean runs_elsewhere(const CliCtl *ctl, const CliArgs *args)
{
    return (args->command->flags & CLI_CMD_WORKS) && cli_args_has(args, "detach") &&
           !ctl->settings.dry_run && ctl->background < 0;
}

/*
 * Run the command in a background process. Return: FALSE without an error, and with ctl->detached
 * set, if the process continues. Return: TRUE if it has ended with *ret_status, after it reported
 * its result.
 */
static gboolean run_elsewhere(CliCtl *ctl, const CliArgs *args, CstExitStatus *ret_status,
                              gboolean *ret_connected, GError **error)
{
    if (!cli_background_start(ctl, args, &ctl->detached, ret_status, error))
        return FALSE;
    *ret_connected = ctl->detached != 0;
    return !ctl->detached;
}

static gboolean run_handler(CliCtl *ctl, const CliArgs *args, gboolean *ret_connected,
                            GError **error)
{
    gboolean ok;

    *ret_connected = TRUE;
    cst_dry_run_set(ctl->settings.dry_run);
    if (!(args->command->flags & CLI_CMD_OFFLINE) && (ctl->conn || ctl->connected_uri) &&
        !cli_conn(ctl, error)) {
        *ret_connected = FALSE;
        return FALSE;
    }
    if ((args->command->flags & CLI_CMD_WORKS) && !cli_job_check(args, error))
        return FALSE;
    ok = args->command->handler(ctl, args, error);
    return cli_job_end(ctl, ok, error);
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

/* Print the plan of a dry run. Return: TRUE if a dry run passed all checks. */
static gboolean ends_dry_run(CliCtl *ctl, gboolean ok, const GError *error)
{
    gboolean passed =
        ctl->settings.dry_run && (ok || g_error_matches(error, CST_ERROR, CST_ERROR_DRY_RUN));

    if (passed)
        cli_print_plan(ctl);
    g_clear_pointer(&ctl->plan, g_free);
    /* Ignore an error here: if the server cannot be reached, later calls fail as well. */
    if (ctl->settings.dry_run && ctl->conn)
        cst_conn_set_dry_run(ctl->conn, FALSE, NULL);
    cst_dry_run_set(FALSE);
    return passed;
}

/* Print the number of the job that the server continues. */
static void report_detached(CliCtl *ctl)
{
    g_autofree char *id = g_strdup_printf("%" G_GUINT64_FORMAT, ctl->detached);

    ctl->detached = 0;
    g_clear_pointer(&ctl->headline, g_free);
    if (ctl->settings.json)
        cli_done(ctl, "job", id, _("Job %s goes on"), id);
    else
        cli_value(ctl, "job", id);
}

/*
 * Return: the pool that @item names, by itself or as POOL/NAME; NULL: no pool. The caller frees it.
 */
static char *pool_named(const CliArg *item)
{
    const char *name = item->option->name;

    if (!item->value)
        return NULL;
    return g_str_equal(name, "pool") || g_str_equal(name, "newpool")
               ? g_strdup(item->value)
               : (item->option->names_pool ? cli_full_name_pool(item->value) : NULL);
}

/* Hint at the command that changes the state of the pool, if @error is about this state. */
static void hint_at_pool_state(CliCtl *ctl, const CliArgs *args, const GError *error)
{
    static const char *const of_inactive[] = {"pool-delete", "pool-undefine", "pool-build", NULL};

    if (!ctl->conn || !g_error_matches(error, CST_ERROR, CST_ERROR_STATE))
        return;
    for (guint i = 0; i < args->items->len; i++) {
        g_autofree char *name = pool_named(&g_array_index(args->items, CliArg, i));
        g_autoptr(CstPoolRef) pool = name ? cst_conn_pool_by_name(ctl->conn, name, NULL) : NULL;
        gboolean active;

        if (!pool || !cst_conn_pool_is_active(ctl->conn, pool, &active, NULL))
            continue;
        if (!active)
            cli_next_step(ctl, _("`cistern pool-start %s` starts it"), pool->name);
        else if (g_strv_contains(of_inactive, args->command->name))
            cli_next_step(ctl, _("`cistern pool-destroy %s` stops it"), pool->name);
    }
}

static CstExitStatus run_parsed_command(CliCtl *ctl, CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    CliSettings saved = ctl->settings;
    gint64 started = g_get_monotonic_time();
    CstExitStatus status = CST_EXIT_OK;
    gboolean connected = FALSE, ok;
    Moved moved;

    apply_common(&ctl->settings, args);
    /* Programs find JSON values by key, so the configured columns do not apply. */
    if (!ctl->settings.json)
        cli_config_imply_columns(&ctl->config, args);
    /* JSON output is for programs, so its messages are not translated. */
    if (ctl->settings.json && !saved.json)
        setlocale(LC_MESSAGES, "C");
    ctl->current = args;
    ctl->blame = 0;
    ctl->started_us = started;
    ok = move_connection(ctl, args, &moved, &error) &&
         (runs_elsewhere(ctl, args) ? run_elsewhere(ctl, args, &status, &connected, &error)
                                    : run_handler(ctl, args, &connected, &error));
    if (ends_dry_run(ctl, ok, error)) {
        /* The plan is the output of the command. */
    } else if (!ok && ctl->detached) {
        report_detached(ctl);
    } else if (!ok) {
        status = cli_exit_status(ctl, error);
        hint_at_pool_state(ctl, args, error);
        cli_report(ctl, error);
    }
    if (!ctl->leave && connected && !ctl->silent && !ctl->out_is_data)
        print_end(ctl, started);
    ctl->silent = FALSE;
    ctl->out_is_data = FALSE;
    ctl->current = NULL;
    if (ctl->settings.json && !saved.json)
        setlocale(LC_MESSAGES, "");
    restore_connection(ctl, &moved);
    /* `connect` has changed the connection of the shell, including its read-only flag. */
    if (!moved.moved)
        saved.read_only = ctl->settings.read_only;
    ctl->settings = saved;
    return status;
}

CstExitStatus cli_run_all(CliCtl *ctl, const GPtrArray *commands)
{
    CstExitStatus status = CST_EXIT_OK;

    for (guint i = 0; i < commands->len && !ctl->leave; i++)
        status = run_parsed_command(ctl, g_ptr_array_index(commands, i));
    return status;
}

void cli_next_step_help(CliCtl *ctl, const char *first, const char *second)
{
    const CliCommand *command = cli_command_find(ctl->groups, first);

    if (!command && second)
        command = cli_command_find_joined(ctl->groups, first, second);
    if (command)
        cli_next_step(ctl, _("`cistern help %s` shows the arguments of the command"),
                      command->name);
}

CstExitStatus cli_run_string(CliCtl *ctl, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) commands = cli_parse_string(ctl->groups, &ctl->config, text, &error);

    if (!commands) {
        g_autofree char *first = g_strndup(text, strcspn(text, " \t;\n"));

        cli_next_step_help(ctl, first, NULL);
        cli_report(ctl, error);
        return CST_EXIT_USAGE;
    }
    return cli_run_all(ctl, commands);
}
