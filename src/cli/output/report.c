/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a command ends: that it was done, what a dry run would do, one value or document, or an
 * error. Each is a line of text, or one JSON object.
 */
#include "report.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <base/error_class.h>
#include <base/i18n.h>

#include "json.h"
#include "text.h"

void cli_done(CliCtl *ctl, const char *key, const char *value, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    /* It was not done: a dry run ends with its plan. */
    if (ctl->plan)
        return;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    if (ctl->settings.json) {
        JsonBuilder *json = cli_json_begin();

        cli_json_add_string(json, "command", ctl->current->command->name);
        if (key)
            cli_json_add_string(json, key, value);
        cli_json_add_string(json, "message", text);
        cli_json_end(ctl->out, json);
    }
    cli_extra(ctl, "%s\n", text);
}

static void print_json_text(CliCtl *ctl, const char *key, const char *text)
{
    JsonBuilder *json = cli_json_begin();

    cli_json_add_string(json, key, text);
    cli_json_end(ctl->out, json);
}

void cli_value(CliCtl *ctl, const char *key, const char *value)
{
    if (ctl->settings.json)
        print_json_text(ctl, key, value);
    cli_print(ctl, "%s\n", value);
}

void cli_document(CliCtl *ctl, const char *key, const char *text)
{
    if (ctl->settings.json)
        print_json_text(ctl, key, text);
    cli_print(ctl, "%s", text);
}

void cli_tell_plan(CliCtl *ctl)
{
    g_autofree char *plan = g_steal_pointer(&ctl->plan);

    g_clear_pointer(&ctl->headline, g_free);
    if (!plan)
        return;
    if (ctl->settings.json) {
        JsonBuilder *json = cli_json_begin();

        cli_json_add_string(json, "command", ctl->current->command->name);
        cli_json_add_bool(json, "dry_run", TRUE);
        cli_json_add_string(json, "plan", plan);
        cli_json_end(ctl->out, json);
    }
    cli_print(ctl, "%s\n", plan);
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
        cli_error_line(ctl, ctl->headline);
    if (g_error_matches(error, CST_ERROR, CST_ERROR_USAGE)) {
        /* Several mistakes in one command line: one line each. */
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **line = lines; *line; line++)
            cli_error_line(ctl, *line);
    } else if (*text) {
        cli_error_line(ctl, text);
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
