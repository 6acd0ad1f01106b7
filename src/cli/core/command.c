/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lookups in a table of commands, and the options common to many commands. The table is passed in
 * (CliCtl.groups), so that this file does not depend on any command.
 */
#include "command.h"

#include <base/i18n.h>

/*
 * Accepted after each command to which they apply, as well as before it. A letter of the command's
 * own option has precedence over these.
 */
static const CliOption common_options[] = {
    CLI_SWITCH("json", N_("print JSON instead of text")),
    CLI_SWITCH("bytes", N_("print sizes in bytes")),
    {.name = "dry-run",
     .kind = CLI_OPT_BOOL,
     .help = N_("show the actions, change no data"),
     .needs = CLI_CMD_MUTATES},
    {.name = "yes",
     .kind = CLI_OPT_BOOL,
     .help = N_("destroy data without asking"),
     .needs = CLI_CMD_DESTROYS},
    CLI_SWITCH("no-input", N_("never ask anything")),
    {.name = "quiet", .kind = CLI_OPT_BOOL, .help = N_("quiet mode"), .letter = 'q'},
    {.name = "root",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("root directory of definitions, state and sockets"),
     .excludes = CLI_CMD_CONNECTS},
    {.name = "connect",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_EMPTY_OK,
     .help = N_("server or embedded root to connect to"),
     .letter = 'c',
     .excludes = CLI_CMD_CONNECTS},
    CLI_SWITCH("readonly", N_("connect readonly")),
    {.name = "embedded",
     .kind = CLI_OPT_BOOL,
     .help = N_("work in this process, never through a daemon"),
     .excludes = CLI_CMD_CONNECTS},
    {0},
};

const CliGroup *cli_group_find(const CliGroup *groups, const char *title_or_keyword)
{
    for (const CliGroup *group = groups; group->title; group++)
        if (g_str_equal(group->title, title_or_keyword) ||
            g_str_equal(group->keyword, title_or_keyword))
            return group;
    return NULL;
}

const CliCommand *cli_command_find(const CliGroup *groups, const char *name)
{
    for (const CliGroup *group = groups; group->title; group++)
        for (const CliCommand *const *command = group->commands; *command; command++)
            if (g_str_equal((*command)->name, name) || g_strcmp0((*command)->alias, name) == 0)
                return *command;
    return NULL;
}

const CliCommand *cli_command_with(const CliGroup *groups, unsigned flag)
{
    for (const CliGroup *group = groups; group->title; group++)
        for (const CliCommand *const *command = group->commands; *command; command++)
            if ((*command)->flags & flag)
                return *command;
    return NULL;
}

const CliCommand *cli_command_find_joined(const CliGroup *groups, const char *first,
                                          const char *second)
{
    g_autofree char *name = g_strdup_printf("%s-%s", first, second);

    return cli_command_find(groups, name);
}

const CliOption *cli_common_options(void)
{
    return common_options;
}

const CliOption *cli_command_option(const CliCommand *command, const char *name)
{
    for (const CliOption *option = command->options; option && option->name; option++)
        if (g_str_equal(option->name, name))
            return option;
    return NULL;
}

gboolean cli_common_option_applies(const CliOption *option, const CliCommand *command)
{
    /* pool-info has its own --bytes, as in virsh. */
    return !cli_command_option(command, option->name) &&
           (command->flags & option->needs) == option->needs &&
           !(command->flags & option->excludes);
}

gboolean cli_option_is_positional(const CliOption *option)
{
    return option->kind != CLI_OPT_BOOL && !(option->flags & CLI_OPT_NAMED);
}
