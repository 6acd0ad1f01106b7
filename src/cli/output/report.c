/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/ctl.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <base/error_class.h>
#include <base/i18n.h>

gboolean cli_use_color(const CliCtl *ctl, FILE *stream)
{
    const char *term = g_getenv("TERM");

    if (ctl->settings.color != CLI_COLOR_AUTO)
        return ctl->settings.color == CLI_COLOR_ALWAYS;
    if (g_getenv("NO_COLOR") && *g_getenv("NO_COLOR"))
        return FALSE;
    return term && *term && !g_str_equal(term, "dumb") && isatty(fileno(stream));
}

static void error_line(CliCtl *ctl, const char *text, gsize len)
{
    gboolean color = cli_use_color(ctl, ctl->err);

    /* What went to stdout before comes first when both go to one place. */
    fflush(ctl->out);
    fprintf(ctl->err, "%s%s%s%.*s\n", color ? "\033[1;31m" : "", _("error: "),
            color ? "\033[0m" : "", (int)len, text);
}

void cli_complain(CliCtl *ctl, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    error_line(ctl, text, strlen(text));
}

gboolean(cli_failed)(CliCtl *ctl, const char *format, ...)
{
    va_list args;

    g_free(ctl->headline);
    va_start(args, format);
    ctl->headline = g_strdup_vprintf(format, args);
    va_end(args);
    return FALSE;
}

/** What to do next, where the error's class alone tells it; NULL otherwise. */
static const char *hint_for(CstErrorCode code)
{
    switch (code) {
    case CST_ERROR_NO_POOL: return _("`cistern pool-list --all` lists the pools that exist");
    case CST_ERROR_NO_VOL: return _("`cistern vol-list POOL` lists the volumes of a pool");
    case CST_ERROR_NO_SECRET: return _("`cistern secret-list` lists the secrets that exist");
    case CST_ERROR_USAGE: return _("`cistern help COMMAND` shows what a command takes");
    case CST_ERROR_READ_ONLY: return _("connect without --readonly to change things");
    case CST_ERROR_UNREACHABLE:
        return _("check that the server is running and that the URI names its socket");
    case CST_ERROR_TIMEOUT: return _("try again later");
    default: return NULL;
    }
}

CstExitStatus cli_exit_status(const CliCtl *ctl, const GError *error)
{
    CstErrorCode code = cst_error_code(error);
    gboolean is_document =
        code == CST_ERROR_XML || code == CST_ERROR_XML_SCHEMA || code == CST_ERROR_CONFIG;

    if ((ctl->blame & CLI_BLAME_ALL) || ((ctl->blame & CLI_BLAME_DOCUMENT) && is_document))
        return CST_EXIT_USAGE;
    return cst_error_info(code)->exit;
}

static void report_json(CliCtl *ctl, const GError *error)
{
    const CstErrorInfo *info = cst_error_info(cst_error_code(error));
    const char *hint = ctl->hint ? ctl->hint : hint_for(cst_error_code(error));
    g_autofree char *text = cst_error_text(error);
    JsonBuilder *json = cli_json_begin();

    json_builder_set_member_name(json, "error");
    json_builder_begin_object(json);
    cli_json_add_string(json, "code", info->word);
    cli_json_add_string(json, "message", text);
    if (ctl->headline)
        cli_json_add_string(json, "context", ctl->headline);
    json_builder_set_member_name(json, "exit");
    json_builder_add_int_value(json, cli_exit_status(ctl, error));
    if (hint)
        cli_json_add_string(json, "hint", hint);
    json_builder_end_object(json);
    cli_json_end(ctl->err, json);
}

static void report_text(CliCtl *ctl, const GError *error)
{
    g_autofree char *text = cst_error_text(error);
    const char *hint = hint_for(cst_error_code(error));

    if (ctl->headline)
        error_line(ctl, ctl->headline, strlen(ctl->headline));
    if (g_error_matches(error, CST_ERROR, CST_ERROR_USAGE)) {
        /* Several mistakes in one command line: one line each. */
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **line = lines; *line; line++)
            error_line(ctl, *line, strlen(*line));
    } else if (*text) {
        error_line(ctl, text, strlen(text));
    }
    /* Scripts compare stderr: a hint that goes with every such error is for the person at the
       terminal, one about this very name is for everybody. */
    if (ctl->hint || (hint && isatty(fileno(ctl->err))))
        fprintf(ctl->err, _("hint: %s\n"), ctl->hint ? ctl->hint : hint);
}

void cli_report(CliCtl *ctl, const GError *error)
{
    fflush(ctl->out);
    if (ctl->settings.json && !ctl->silent)
        report_json(ctl, error);
    else if (!ctl->told && !ctl->silent)
        report_text(ctl, error);
    fflush(ctl->err);
    ctl->told = FALSE;
    g_clear_pointer(&ctl->headline, g_free);
    g_clear_pointer(&ctl->hint, g_free);
}
