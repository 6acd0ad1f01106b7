/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines for people: on stdout, which --json and --quiet silence, and on stderr. stdout is flushed
 * before a line on stderr, so that the order is kept if both are the same file.
 */
#include "text.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <base/i18n.h>
#include <base/text.h>
#include <base/units.h>
#include <base/url.h>

/* Arguments are escaped, because they may come from other users, images and servers. */
static void print_escaped_format(FILE *stream, const char *format, va_list args)
    G_GNUC_PRINTF(2, 0);
static void print_escaped_format(FILE *stream, const char *format, va_list args)
{
    g_autofree char *text = cst_text_vformat(format, args);

    fputs(text, stream);
}

const char *cli_digits(uint64_t value, char buffer[CLI_DIGITS])
{
    char *first = buffer + CLI_DIGITS - 1;

    *first = '\0';
    do
        *--first = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    return first;
}

void cli_print_lines(CliCtl *ctl, const char *text)
{
    g_autofree char *lines = NULL;

    if (ctl->settings.json)
        return;
    lines = cst_text_escape_lines(text);
    fputs(lines, ctl->out);
}

void cli_extra_lines(CliCtl *ctl, const char *text)
{
    if (!ctl->settings.quiet)
        cli_print_lines(ctl, text);
}

void cli_print(CliCtl *ctl, const char *format, ...)
{
    va_list args;

    if (ctl->settings.json)
        return;
    va_start(args, format);
    print_escaped_format(ctl->out, format, args);
    va_end(args);
}

void cli_extra(CliCtl *ctl, const char *format, ...)
{
    va_list args;

    if (ctl->settings.json || ctl->settings.quiet)
        return;
    va_start(args, format);
    print_escaped_format(ctl->out, format, args);
    va_end(args);
}

/* On an unbuffered stream, the C library writes the bytes without copying them. */
gboolean cli_write_unbuffered(FILE *stream, const void *bytes, size_t len)
{
    fflush(stream);
    /* The in-memory streams of the tests have no descriptor and stay buffered. */
    if (fileno(stream) >= 0)
        setvbuf(stream, NULL, _IONBF, 0);
    return fwrite(bytes, 1, len, stream) == len;
}

gboolean cli_use_color(const CliCtl *ctl, FILE *stream)
{
    const char *term = g_getenv("TERM");

    if (ctl->settings.color != CLI_COLOR_AUTO)
        return ctl->settings.color == CLI_COLOR_ALWAYS;
    if (g_getenv("NO_COLOR") && *g_getenv("NO_COLOR"))
        return FALSE;
    return term && *term && !g_str_equal(term, "dumb") && isatty(fileno(stream));
}

/* Return: TRUE if @line starts like a message of this program. */
static gboolean is_like_message(const char *line)
{
    static const char *const words[] = {N_("error: "), "warning:", "hint:", "note:"};

    for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
        if (g_str_has_prefix(line, words[i]) || g_str_has_prefix(line, _(words[i])))
            return TRUE;
    return FALSE;
}

void cli_error_line(CliCtl *ctl, const char *text)
{
    gboolean color = cli_use_color(ctl, ctl->err);
    g_autofree char *escaped = cst_text_escape_lines(text);
    g_auto(GStrv) lines = NULL;

    cst_url_mask(escaped); /* it may quote a word of the command line */
    lines = g_strsplit(escaped, "\n", -1);

    /* Keep the order of stdout and stderr if both are the same file. */
    fflush(ctl->out);
    fprintf(ctl->err, "%s%s%s%s\n", color ? "\033[1;31m" : "", _("error: "), color ? "\033[0m" : "",
            lines[0] ? lines[0] : "");
    /* A line in the text of a server must not look like a message of this program. */
    for (guint i = 1; lines[0] && lines[i]; i++)
        fprintf(ctl->err, "%s%s\n", is_like_message(lines[i]) ? "  " : "", lines[i]);
}

void cli_complain(CliCtl *ctl, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = cst_text_vformat(format, args);
    va_end(args);
    cli_error_line(ctl, text);
}

void cli_warn(CliCtl *ctl, const char *format, ...)
{
    va_list args;

    fflush(ctl->out);
    va_start(args, format);
    print_escaped_format(ctl->err, format, args);
    va_end(args);
}

void cli_note(const char *text, gpointer data)
{
    CliCtl *ctl = data;

    if (!ctl->settings.quiet && !ctl->settings.json)
        cli_warn(ctl, _("note: %s\n"), text);
}

char *cli_size_text(const CliCtl *ctl, uint64_t bytes)
{
    return ctl->settings.bytes ? g_strdup_printf("%" G_GUINT64_FORMAT, bytes)
                               : cst_units_text(bytes);
}

char *cli_time_text(int64_t seconds)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(seconds);

    return time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S%z") : g_strdup("-");
}
