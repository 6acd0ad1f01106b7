/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The output at the end of a command: the completed action, the plan of a dry run, a value, a
 * document or an error. Each is text or one JSON object. Errors are printed on stderr, between the
 * headline and a hint.
 */
#include "report.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <base/error_class.h>
#include <base/i18n.h>
#include <base/place.h>
#include <base/url.h>

#include "text.h"

void cli_warn_of_exchange(CliCtl *ctl, const CstPlace *place)
{
    if (place->exchanged && !ctl->settings.quiet)
        cli_warn(ctl,
                 _("warning: another user can exchange the directory '%s' of '%s'; look where the "
                   "file is afterwards\n"),
                 place->exchanged, place->path);
}

void cli_warn_of_path(CliCtl *ctl, const char *path)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;

    if (cst_place_init(&place, path, NULL))
        cli_warn_of_exchange(ctl, &place);
}

double cli_seconds(const CliCtl *ctl)
{
    return (double)(g_get_monotonic_time() - ctl->started_us) / G_USEC_PER_SEC;
}

gboolean cli_shows_sizes(const CliCtl *ctl)
{
    return !ctl->plan && (ctl->settings.json || isatty(fileno(ctl->out)));
}

void cli_print_size_line(CliCtl *ctl, uint64_t bytes)
{
    g_autofree char *size = bytes == CLI_BYTES_UNKNOWN ? NULL : cli_size_text(ctl, bytes);

    if (ctl->settings.json || !isatty(fileno(ctl->out)))
        return;
    if (size)
        cli_extra(ctl, _("%s in %.1f s"), size, cli_seconds(ctl));
    else
        cli_extra(ctl, _("done in %.1f s"), cli_seconds(ctl));
    cli_extra(ctl, "\n");
}

/* Prints @facts and @count facts @more as one object. */
static void done_print_json(CliCtl *ctl, const CliFact *facts, guint n_facts, const CliFact *more,
                            guint count)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(CliFact));

    g_array_append_vals(all, facts, n_facts);
    if (count > 0)
        g_array_append_vals(all, more, count);
    cli_sheet_print_json(ctl, ctl->out, (const CliFact *)(void *)all->data, all->len);
}

/* @sized: the result includes @bytes and the time. */
static void print_done(CliCtl *ctl, const char *key, const char *value, const char *message,
                       gboolean sized, uint64_t bytes, const CliFact *more, guint count)
{
    const CliFact facts[] = {
        cli_fact_text("command", NULL, ctl->current->command->name),
        {key, NULL, key != NULL, CLI_FACT_TEXT, value, 0, 0},
        cli_fact_text("message", NULL, message),
        cli_fact_number("bytes", NULL, sized && bytes != CLI_BYTES_UNKNOWN, bytes),
        {"seconds", NULL, sized, CLI_FACT_REAL, NULL, 0, cli_seconds(ctl)},
    };

    /* In a dry run, the plan is printed instead. */
    if (ctl->plan)
        return;
    if (!ctl->one_of_several)
        done_print_json(ctl, facts, G_N_ELEMENTS(facts), more, count);
    cli_extra_lines(ctl, message);
    cli_extra(ctl, "\n");
    if (sized)
        cli_print_size_line(ctl, bytes);
}

void cli_done(CliCtl *ctl, const char *key, const char *value, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = cli_format(ctl, format, args);
    va_end(args);
    print_done(ctl, key, value, message, FALSE, 0, NULL, 0);
}

void cli_done_sized(CliCtl *ctl, const char *key, const char *value, uint64_t bytes,
                    const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = cli_format(ctl, format, args);
    va_end(args);
    print_done(ctl, key, value, message, TRUE, bytes, NULL, 0);
}

void cli_done_with(CliCtl *ctl, const char *key, const char *value, uint64_t bytes,
                   const CliFact *more, guint count, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = cli_format(ctl, format, args);
    va_end(args);
    print_done(ctl, key, value, message, TRUE, bytes, more, count);
}

void cli_done_facts(CliCtl *ctl, const char *key, const char *value, const CliFact *more,
                    guint count, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = cli_format(ctl, format, args);
    va_end(args);
    print_done(ctl, key, value, message, FALSE, 0, more, count);
}

gboolean cli_outcome(CliCtl *ctl, gboolean ok, const char *key, const char *value, const char *done,
                     const char *failed, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, failed);
    message = cli_format(ctl, ok ? done : failed, args);
    va_end(args);
    if (!ok)
        return cli_failed(ctl, "%s", message);
    print_done(ctl, key, value, message, FALSE, 0, NULL, 0);
    return TRUE;
}

void cli_value(CliCtl *ctl, const char *key, const char *value)
{
    const CliFact fact = cli_fact_nullable(key, NULL, value);

    cli_sheet_print_json(ctl, ctl->out, &fact, 1);
    cli_print(ctl, "%s\n", value);
}

void cli_document(CliCtl *ctl, const char *key, const char *text)
{
    const CliFact fact = cli_fact_nullable(key, NULL, text);

    cli_sheet_print_json(ctl, ctl->out, &fact, 1);
    if (ctl->settings.json)
        return;
    /* On a file or a pipe, the document is exact. */
    if (isatty(fileno(ctl->out)))
        cli_print_lines(ctl, text);
    else
        fputs(text, ctl->out);
}

void cli_print_plan(CliCtl *ctl)
{
    g_autofree char *plan = g_steal_pointer(&ctl->plan);

    g_clear_pointer(&ctl->headline, g_free);
    if (!plan)
        return;
    {
        const CliFact facts[] = {
            cli_fact_text("command", NULL, ctl->current->command->name),
            cli_fact_bool("dry_run", NULL, TRUE, TRUE),
            cli_fact_text("plan", NULL, plan),
        };

        cli_sheet_print_json(ctl, ctl->out, facts, G_N_ELEMENTS(facts));
    }
    cli_print_lines(ctl, plan);
    cli_print(ctl, "\n");
}

/** Return: the next step for an error class; NULL: no general advice. */
static const char *hint_for(CstErrorCode code)
{
    switch (code) {
    case CST_ERROR_NO_POOL: return _("`cistern pool-list --all` lists the pools that exist");
    case CST_ERROR_NO_VOL: return _("`cistern vol-list POOL` lists the volumes of a pool");
    case CST_ERROR_NO_SECRET: return _("`cistern secret-list` lists the secrets that exist");
    case CST_ERROR_USAGE: return _("`cistern help COMMAND` shows the arguments of a command");
    case CST_ERROR_READ_ONLY: return _("connect without --readonly to change things");
    case CST_ERROR_UNREACHABLE:
        return _("check that the server is running and that the URI names its socket");
    case CST_ERROR_TIMEOUT: return _("try again later");
    default: return NULL;
    }
}

/* For a terminal and for JSON: the step that the command set, else that of the error class. */
static char *next_step_for(const CliCtl *ctl, CstErrorCode code)
{
    if (ctl->next_step)
        return g_strdup(ctl->next_step);
    if (code == CST_ERROR_USAGE && ctl->current)
        return g_strdup_printf(_("`cistern help %s` shows the arguments of the command"),
                               ctl->current->command->name);
    return g_strdup(hint_for(code));
}

/* An error may quote words of the command line, which may be a mistyped URL with a password. */
static char *error_shown(const GError *error)
{
    char *text = cst_error_text(error);

    cst_url_mask(text);
    return text;
}

static void report_json(CliCtl *ctl, const GError *error)
{
    const CstErrorInfo *info = cst_error_info(cst_error_code(error));
    g_autofree char *next_step = next_step_for(ctl, cst_error_code(error));
    const char *hint = ctl->hint ? ctl->hint : next_step;
    g_autofree char *text = error_shown(error);
    g_autofree char *context = g_strdup(ctl->headline);
    const CliFact facts[] = {
        cli_fact_text("code", NULL, info->word),
        cli_fact_text("message", NULL, text),
        cli_fact_text("context", NULL, context),
        cli_fact_number("exit", NULL, TRUE, cli_exit_status(ctl, error)),
        cli_fact_text("hint", NULL, hint),
    };
    CliSheet sheet;

    if (context)
        cst_url_mask(context);
    cli_sheet_begin(&sheet, ctl);
    cli_sheet_begin_object(&sheet, "error", NULL);
    cli_sheet_add(&sheet, facts, G_N_ELEMENTS(facts));
    cli_sheet_end_object(&sheet);
    cli_sheet_end_on(&sheet, ctl->err);
}

static void report_text(CliCtl *ctl, const GError *error)
{
    g_autofree char *text = error_shown(error);
    g_autofree char *hint = next_step_for(ctl, cst_error_code(error));

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
    /*
     * Scripts compare stderr, so the general hint of an error class is printed only on a terminal.
     * A hint that the command set is always printed.
     */
    if (ctl->hint || (hint && isatty(fileno(ctl->err))))
        cli_warn(ctl, _("hint: %s\n"), ctl->hint ? ctl->hint : hint);
}

static void report_reset(CliCtl *ctl)
{
    ctl->reported = FALSE;
    g_clear_pointer(&ctl->headline, g_free);
    g_clear_pointer(&ctl->hint, g_free);
    g_clear_pointer(&ctl->next_step, g_free);
}

void cli_report_part(CliCtl *ctl, const GError *error)
{
    fflush(ctl->out);
    if (!ctl->settings.json && !ctl->reported)
        report_text(ctl, error);
    report_reset(ctl);
}

void cli_report(CliCtl *ctl, const GError *error)
{
    fflush(ctl->out);
    if (ctl->settings.json && !ctl->silent)
        report_json(ctl, error);
    else if (!ctl->reported && !ctl->silent)
        report_text(ctl, error);
    report_reset(ctl);
}
