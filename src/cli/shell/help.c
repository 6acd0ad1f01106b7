/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints the help of a command, a group or all groups from the command table, as virsh's text or
 * JSON. The synopsis and the usage of options follow virsh's rules. Common options, which virsh
 * does not have, are printed last. Hidden commands are omitted.
 */
#include "help.h"

#include <string.h>

#include <base/i18n.h>

#include "output/json.h"
#include "output/text.h"
#include "output/width.h"

/** Return: TRUE if an option before @option is positional, so that plain words are ambiguous. */
static gboolean other_positional(const CliCommand *command, const CliOption *option)
{
    for (const CliOption *other = command->options; other < option; other++)
        if (cli_option_is_positional(other))
            return TRUE;
    return FALSE;
}

static const char *value_word(const CliOption *option)
{
    return option->kind == CLI_OPT_INT ? _("number") : _("string");
}

static char *argv_synopsis(const CliCommand *command, const CliOption *option)
{
    gboolean required = option->flags & CLI_OPT_REQUIRED;

    if (other_positional(command, option))
        return g_strdup_printf(required ? "{[--%s] <%s>}..." : "[[--%s] <%s>]...", option->name,
                               _("string"));
    return g_strdup_printf(required ? "<%s>..." : "[<%s>]...", option->name);
}

char *cli_help_synopsis(const CliCommand *command, const CliOption *option)
{
    if (option->kind == CLI_OPT_BOOL)
        return g_strdup_printf("[--%s]", option->name);
    if (option->kind == CLI_OPT_ARGV)
        return argv_synopsis(command, option);
    if (!(option->flags & CLI_OPT_REQUIRED))
        return g_strdup_printf("[--%s <%s>]", option->name, value_word(option));
    if (option->flags & CLI_OPT_NAMED)
        return g_strdup_printf("--%s <%s>", option->name, value_word(option));
    return g_strdup_printf("<%s>", option->name);
}

static char *plain_usage(const CliCommand *command, const CliOption *option)
{
    if (option->kind == CLI_OPT_BOOL)
        return g_strdup_printf("--%s", option->name);
    if (option->kind == CLI_OPT_ARGV && !other_positional(command, option))
        return g_strdup_printf("<%s>", option->name);
    if (option->kind == CLI_OPT_ARGV ||
        ((option->flags & CLI_OPT_REQUIRED) && !(option->flags & CLI_OPT_NAMED)))
        return g_strdup_printf("[--%s] <%s>", option->name, value_word(option));
    return g_strdup_printf("--%s <%s>", option->name, value_word(option));
}

char *cli_help_usage(const CliCommand *command, const CliOption *option)
{
    char *usage = plain_usage(command, option);

    if (option->letter) {
        g_autofree char *plain = usage;

        usage = g_strdup_printf("-%c, %s", option->letter, plain);
    }
    return usage;
}

char *cli_help_text(const CliOption *option)
{
    g_autoptr(GPtrArray) words = NULL;
    g_autofree char *list = NULL;
    const char *text = _(option->help);
    const char *mark = strstr(text, "%s");

    if (!(option->flags & CLI_OPT_HELP_LISTS) || !mark)
        return g_strdup(text);
    words = g_ptr_array_new_with_free_func(g_free);
    option->complete(NULL, NULL, words);
    g_ptr_array_add(words, NULL);
    list = g_strjoinv(",", (char **)words->pdata);
    return g_strdup_printf("%.*s%s%s", (int)(mark - text), text, list, mark + 2);
}

static void print_options(CliCtl *ctl, const CliCommand *command)
{
    if (!command->options)
        return;
    cli_print_lines(ctl, _("\n  OPTIONS\n"));
    for (const CliOption *option = command->options; option->name; option++) {
        g_autofree char *usage = cli_help_usage(command, option);
        g_autofree char *padded = cli_text_pad(usage, 15);
        g_autofree char *help = cli_help_text(option);

        cli_print(ctl, "    %s  %s\n", padded, help);
    }
}

/** Print the options that virsh does not have, after all text that virsh has too. */
static void print_common_options(CliCtl *ctl, const CliCommand *command)
{
    cli_print_lines(ctl, _("\n  COMMON OPTIONS\n"));
    for (const CliOption *option = cli_common_options(); option->name; option++) {
        g_autofree char *usage = g_strdup_printf("--%s", option->name);

        if (cli_common_option_applies(option, command))
            cli_print(ctl, "    %-15s  %s\n", usage, _(option->help));
    }
}

static void print_synopsis(CliCtl *ctl, const CliCommand *command)
{
    cli_print(ctl, _("\n  SYNOPSIS\n"));
    cli_print(ctl, "    %s", command->name);
    for (const CliOption *option = command->options; option && option->name; option++) {
        g_autofree char *synopsis = cli_help_synopsis(command, option);

        cli_print(ctl, " %s", synopsis);
    }
    cli_print(ctl, "\n");
}

static void add_json_option(CliJson *json, const CliOption *option)
{
    static const char *const kinds[] = {"switch", "string", "number", "words"};
    g_autofree char *help = cli_help_text(option);

    cli_json_open(json, NULL, '{');
    cli_json_add_string(json, "name", option->name);
    cli_json_add_string(json, "kind", kinds[option->kind]);
    if (option->letter)
        cli_json_add_string(json, "letter", (const char[]){option->letter, 0});
    cli_json_add_bool(json, "required", (option->flags & CLI_OPT_REQUIRED) != 0);
    cli_json_add_bool(json, "positional", cli_option_is_positional(option));
    cli_json_add_bool(json, "file", (option->flags & CLI_OPT_FILE) != 0);
    cli_json_add_string(json, "help", help);
    cli_json_close(json, '}');
}

/** @key NULL: the command is an item of a list. */
static void add_json_command(CliJson *json, const char *key, const CliCommand *command)
{
    cli_json_open(json, key, '{');
    cli_json_add_string(json, "name", command->name);
    if (command->alias)
        cli_json_add_string(json, "alias", command->alias);
    cli_json_add_string(json, "summary", command->summary);
    cli_json_add_string(json, "description", command->description);
    cli_json_add_bool(json, "mutates", (command->flags & CLI_CMD_MUTATES) != 0);
    cli_json_add_bool(json, "destroys", (command->flags & CLI_CMD_DESTROYS) != 0);
    cli_json_open(json, "options", '[');
    for (const CliOption *option = command->options; option && option->name; option++)
        add_json_option(json, option);
    for (const CliOption *option = cli_common_options(); option->name; option++)
        if (cli_common_option_applies(option, command))
            add_json_option(json, option);
    cli_json_close(json, ']');
    cli_json_close(json, '}');
}

static void add_json_group(CliJson *json, const char *key, const CliGroup *group)
{
    cli_json_open(json, key, '{');
    cli_json_add_string(json, "title", group->title);
    cli_json_add_string(json, "keyword", group->keyword);
    cli_json_open(json, "commands", '[');
    for (const CliCommand *const *row = group->commands; *row; row++)
        if (!((*row)->flags & CLI_CMD_HIDDEN))
            add_json_command(json, NULL, *row);
    cli_json_close(json, ']');
    cli_json_close(json, '}');
}

void cli_help_command(CliCtl *ctl, const CliCommand *command)
{
    if (ctl->settings.json) {
        CliJson json;

        cli_json_begin(&json);
        add_json_command(&json, "command", command);
        cli_json_end(&json, ctl->out);
        return;
    }
    cli_print(ctl, _("  NAME\n"));
    cli_print(ctl, "    %s - %s\n", command->name, _(command->summary));
    print_synopsis(ctl, command);
    if (command->description[0]) {
        cli_print(ctl, _("\n  DESCRIPTION\n"));
        cli_print(ctl, "    ");
        cli_print_lines(ctl, _(command->description));
        cli_print(ctl, "\n");
    }
    print_options(ctl, command);
    print_common_options(ctl, command);
    if (command->alias)
        cli_print(ctl, _("\n  SHORT NAME\n    %s\n"), command->alias);
    cli_print(ctl, "\n");
}

static void print_row(CliCtl *ctl, const CliCommand *command)
{
    g_autofree char *short_for =
        command->alias ? g_strdup_printf(_("short for %s"), command->name) : NULL;

    cli_print(ctl, "    %-30s %s\n", command->name, _(command->summary));
    if (short_for)
        cli_print(ctl, "    %-30s %s\n", command->alias, short_for);
}

static void print_group(CliCtl *ctl, const CliGroup *group)
{
    cli_print(ctl, _(" %s (help keyword '%s'):\n"), _(group->title), group->keyword);
    for (const CliCommand *const *row = group->commands; *row; row++)
        if (!((*row)->flags & CLI_CMD_HIDDEN))
            print_row(ctl, *row);
}

void cli_help_group(CliCtl *ctl, const CliGroup *group)
{
    if (ctl->settings.json) {
        CliJson json;

        cli_json_begin(&json);
        add_json_group(&json, "group", group);
        cli_json_end(&json, ctl->out);
        return;
    }
    print_group(ctl, group);
}

gboolean cli_help_group_visible(const CliGroup *group)
{
    for (const CliCommand *const *row = group->commands; *row; row++)
        if (!((*row)->flags & CLI_CMD_HIDDEN))
            return TRUE;
    return FALSE;
}

void cli_help_groups(CliCtl *ctl)
{
    if (ctl->settings.json) {
        CliJson json;

        cli_json_begin(&json);
        cli_json_open(&json, "groups", '[');
        for (const CliGroup *group = ctl->groups; group->title; group++)
            if (cli_help_group_visible(group))
                add_json_group(&json, NULL, group);
        cli_json_close(&json, ']');
        cli_json_end(&json, ctl->out);
        return;
    }
    cli_print_lines(ctl, _("Grouped commands:\n\n"));
    for (const CliGroup *group = ctl->groups; group->title; group++) {
        if (!cli_help_group_visible(group))
            continue;
        print_group(ctl, group);
        cli_print(ctl, "\n");
    }
}
