/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fills the source of the manual page (scdoc) from the tables of options, commands and exit
 * statuses. Therefore the page cannot differ from the program. Texts are escaped. A line of the
 * template that is a mark is replaced completely.
 */
#include "man.h"

#include <string.h>

#include <base/error_class.h>

#include "core/command.h"
#include "core/interrupt.h"
#include "core/options.h"
#include "help.h"

static const struct {
    int status;
    const char *meaning;
} exits[] = {
    {CST_EXIT_OK, "done"},
    {CST_EXIT_FAILED, "failed"},
    {CST_EXIT_USAGE, "usage: the command line is wrong"},
    {CST_EXIT_NOT_FOUND, "not found: no such pool, volume, secret or file"},
    {CST_EXIT_DENIED, "denied: permission, authentication or a read-only connection"},
    {CST_EXIT_CONFLICT,
     "conflict: the name exists, the thing is busy or in the wrong state, or its "
     "pool is not active"},
    {CST_EXIT_UNREACHABLE, "backend or server unreachable"},
    {CST_EXIT_MISMATCH, "verification found a mismatch"},
    {CST_EXIT_PARTIAL, "partly done"},
    {CST_EXIT_TRY_AGAIN, "try again: timed out or temporarily not possible"},
    {CST_EXIT_CANCELLED, "cancelled: by job-cancel, by the answer to a question, or a lost client"},
    {CLI_EXIT_INTERRUPTED, "interrupted (Ctrl-C)"},
    {CLI_EXIT_TERMINATED, "terminated by SIGTERM"},
};

/** Escape the characters that are markup in scdoc. */
static void man_append_escaped(GString *page, const char *text)
{
    for (; *text; text++) {
        if (strchr("\\*_<>[]#|.-", *text))
            g_string_append_c(page, '\\');
        g_string_append_c(page, *text);
    }
}

/** Append a text. Its lines after the first may be indented for the screen. */
static void append_paragraph(GString *page, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    g_string_append_c(page, '\t');
    for (char **line = lines; *line; line++) {
        if (line != lines)
            g_string_append_c(page, ' ');
        man_append_escaped(page, g_strstrip(*line));
    }
    g_string_append(page, "\n\n");
}

static void append_term(GString *page, const char *term, const char *help)
{
    g_string_append_c(page, '*');
    man_append_escaped(page, term);
    g_string_append(page, "*\n");
    append_paragraph(page, help);
}

static void append_global_options(GString *page, const CliGroup *groups)
{
    for (const CliGlobalOption *option = cli_global_options(); option->name; option++) {
        g_autoptr(GString) term = g_string_new(NULL);

        if (option->short_name)
            g_string_append_printf(term, "-%c", option->short_name);
        if (option->short_name && *option->name)
            g_string_append(term, ", ");
        if (*option->name)
            g_string_append_printf(term, "--%s", option->name);
        if (option->value)
            g_string_append_printf(term, option->optional_value ? "[=%s]" : "=%s", option->value);
        append_term(page, term->str, option->help);
    }
}

static void append_command_option(GString *page, const CliCommand *command, const CliOption *option)
{
    g_autofree char *usage = cli_help_usage(command, option);
    g_autofree char *help = cli_help_text(option);

    g_string_append(page, "\t*");
    man_append_escaped(page, usage);
    g_string_append(page, "*\n\t");
    append_paragraph(page, help);
}

static void append_command(GString *page, const CliCommand *command)
{
    g_string_append_printf(page, "*%s*", command->name);
    for (const CliOption *option = command->options; option && option->name; option++) {
        g_autofree char *synopsis = cli_help_synopsis(command, option);

        g_string_append_c(page, ' ');
        man_append_escaped(page, synopsis);
    }
    for (const CliOption *option = cli_common_options(); option->name; option++)
        /* --json and --bytes apply to each command, and the page describes them once, above. */
        if (option->needs && cli_common_option_applies(option, command))
            g_string_append_printf(page, " \\[\\-\\-%s\\]", option->name);
    g_string_append_c(page, '\n');
    if (command->alias) {
        g_autofree char *text = g_strdup_printf("Short: %s.", command->alias);

        append_paragraph(page, text);
    }
    append_paragraph(page, command->description[0] ? command->description : command->summary);
    for (const CliOption *option = command->options; option && option->name; option++)
        append_command_option(page, command, option);
}

static void append_commands(GString *page, const CliGroup *groups)
{
    for (const CliGroup *group = groups; group->title; group++) {
        gboolean titled = FALSE;

        for (const CliCommand *const *row = group->commands; *row; row++) {
            if ((*row)->flags & CLI_CMD_HIDDEN)
                continue;
            if (!titled)
                g_string_append_printf(page, "## %s (help %s)\n\n", group->title, group->keyword);
            titled = TRUE;
            append_command(page, *row);
        }
    }
}

static void append_exits(GString *page, const CliGroup *groups)
{
    for (gsize i = 0; i < G_N_ELEMENTS(exits); i++) {
        g_autofree char *number = g_strdup_printf("%d", exits[i].status);

        append_term(page, number, exits[i].meaning);
    }
}

char *cli_man_fill(const CliGroup *groups, const char *template)
{
    static const struct {
        const char *mark;
        void (*append)(GString *page, const CliGroup *groups);
    } parts[] = {
        {"@OPTIONS@", append_global_options},
        {"@COMMANDS@", append_commands},
        {"@EXIT@", append_exits},
    };
    g_auto(GStrv) lines = g_strsplit(template, "\n", -1);
    GString *page = g_string_new(NULL);

    for (char **line = lines; *line; line++) {
        gboolean filled = FALSE;

        for (gsize i = 0; i < G_N_ELEMENTS(parts) && !filled; i++)
            if ((filled = g_str_equal(*line, parts[i].mark)))
                parts[i].append(page, groups);
        if (!filled && (line[1] || **line))
            g_string_append_printf(page, "%s\n", *line);
    }
    return g_string_free(page, FALSE);
}
