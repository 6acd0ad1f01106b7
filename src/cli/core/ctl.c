/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The context of one run of the program: the user's options, the connection, and the headline, hint
 * and plan that the command sets for its end. The connection is opened when a command first needs
 * it. A failed handler sets an error and may set a headline. shell/run.c prints both and derives
 * the exit status. A context is not thread-safe: one thread uses it at a time.
 */
#include "ctl.h"

#include <stdarg.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/text.h>

#include "interrupt.h"

void cli_ctl_init(CliCtl *ctl, const CliSettings *settings, const CliGroup *groups)
{
    *ctl = (CliCtl){
        .settings = *settings,
        .groups = groups,
        .out = stdout,
        .err = stderr,
        .background = -1,
        .connected_uri = g_strdup(settings->uri),
    };
}

void cli_ctl_clear(CliCtl *ctl)
{
    g_clear_pointer(&ctl->conn, cst_conn_free);
    g_clear_pointer(&ctl->connected_uri, g_free);
    cli_config_clear(&ctl->config);
    g_clear_pointer(&ctl->headline, g_free);
    g_clear_pointer(&ctl->hint, g_free);
    g_clear_pointer(&ctl->next_step, g_free);
    g_clear_pointer(&ctl->plan, g_free);
}

/*
 * The hint is about the form of URIs. It is added for an invalid URI or an unknown scheme, but not
 * for a server that is unreachable.
 */
static void hint_at_uris(CliCtl *ctl, const GError *why)
{
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_NO_CONNECT) &&
        !g_error_matches(why, CST_ERROR, CST_ERROR_INVALID))
        return;
    cli_hint(ctl, "%s",
             _("URIs are storage:///system, storage:///session, "
               "storage+ssh://HOST/system and storage:///embed?root=DIR"));
}

/* The socket of a daemon exists, so the user may believe that the daemon runs. */
static void note_stale_socket(const CliCtl *ctl)
{
    const char *path = cst_conn_stale_socket(ctl->conn);
    g_autofree char *escaped = path ? cst_text_escape(path) : NULL;

    if (path && !ctl->settings.quiet && !ctl->settings.json)
        fprintf(ctl->err,
                _("note: no daemon answers at '%s'; the command works without it, start it with "
                  "'systemctl start cisternd'\n"),
                escaped);
}

CstConn *cli_conn(CliCtl *ctl, GError **error)
{
    const CstConnOptions options = {
        .root = ctl->settings.root,
        .default_uri = ctl->config.uri,
        .read_only = ctl->settings.read_only,
        .embedded = ctl->settings.embedded,
        .must_exist = ctl->settings.dry_run || !ctl->current ||
                      !(ctl->current->command->flags & CLI_CMD_MUTATES),
        .unattended = ctl->background >= 0,
    };
    GError *why = NULL;

    if (!ctl->conn) {
        ctl->conn = cst_conn_open(ctl->connected_uri, &options, &why);
        if (ctl->conn)
            note_stale_socket(ctl);
    }
    if (!ctl->conn) {
        cli_failed(ctl, "%s", _("failed to connect to the hypervisor"));
        hint_at_uris(ctl, why);
        g_propagate_error(error, why);
        return NULL;
    }
    return cst_conn_set_dry_run(ctl->conn, ctl->settings.dry_run, error) ? ctl->conn : NULL;
}

gboolean cli_reconnect(CliCtl *ctl, const char *uri, gboolean read_only, GError **error)
{
    g_clear_pointer(&ctl->conn, cst_conn_free);
    g_free(ctl->connected_uri);
    ctl->connected_uri = uri && *uri ? g_strdup(uri) : NULL;
    ctl->settings.read_only = read_only;
    return cli_conn(ctl, error) != NULL;
}

char *cli_format(const CliCtl *ctl, const char *format, va_list args)
{
    return ctl->settings.json ? g_strdup_vprintf(format, args) : cst_text_vformat(format, args);
}

static void ctl_set_text(const CliCtl *ctl, char **text, const char *format, va_list args)
    G_GNUC_PRINTF(3, 0);
static void ctl_set_text(const CliCtl *ctl, char **text, const char *format, va_list args)
{
    g_free(*text);
    *text = cli_format(ctl, format, args);
}

gboolean(cli_failed)(CliCtl *ctl, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    ctl_set_text(ctl, &ctl->headline, format, args);
    va_end(args);
    return FALSE;
}

void cli_hint(CliCtl *ctl, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    ctl_set_text(ctl, &ctl->hint, format, args);
    va_end(args);
}

void cli_next_step(CliCtl *ctl, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    ctl_set_text(ctl, &ctl->next_step, format, args);
    va_end(args);
}

void cli_blame_name(CliCtl *ctl, const char *name)
{
    if (!cst_name_check(name, "", NULL))
        ctl->blame |= CLI_BLAME_ALL;
}

CstExitStatus cli_exit_status(const CliCtl *ctl, const GError *error)
{
    CstErrorCode code = cst_error_code(error);
    gboolean is_document =
        code == CST_ERROR_XML || code == CST_ERROR_XML_SCHEMA || code == CST_ERROR_CONFIG;

    if ((ctl->blame & CLI_BLAME_ALL) || ((ctl->blame & CLI_BLAME_DOCUMENT) && is_document))
        return CST_EXIT_USAGE;
    if (code == CST_ERROR_CANCELLED && cli_interrupt_status())
        return (CstExitStatus)cli_interrupt_status();
    return cst_error_info(code)->exit;
}

void cli_plan_lines(CliCtl *ctl, const char *text)
{
    if (!ctl->settings.dry_run)
        return;
    g_free(ctl->plan);
    ctl->plan = g_strdup(text);
}

void cli_plan(CliCtl *ctl, const char *format, ...)
{
    va_list args;

    if (!ctl->settings.dry_run)
        return;
    va_start(args, format);
    ctl_set_text(ctl, &ctl->plan, format, args);
    va_end(args);
}
