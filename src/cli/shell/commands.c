/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands about the program itself: help, the connection, and the commands of an interactive
 * shell. Names and texts are virsh's. These commands run without a connection. `connect` replaces
 * the connection for later commands.
 */
#include "commands.h"

#include <errno.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

#include "complete.h"
#include "core/ctl.h"
#include "core/suggest.h"
#include "core/words.h"
#include "help.h"
#include "output/report.h"
#include "output/text.h"

static gboolean cmd_cd(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *dir;

    if (!ctl->in_shell)
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("cd: command valid only in interactive mode"));
    if (!cli_args_string(args, "dir", &dir, error))
        return FALSE;
    if (!dir)
        dir = g_get_home_dir();
    if (chdir(dir && *dir ? dir : "/") < 0)
        return cst_fail(error, errno == ENOENT ? CST_ERROR_NOT_FOUND : CST_ERROR_IO, "cd: %s: %s",
                        g_strerror(errno), dir);
    return TRUE;
}

static const CliOption cd_options[] = {
    {.name = "dir",
     .kind = CLI_OPT_STRING,
     .help = N_("directory to switch to (default: home or else root)")},
    {0},
};

static const CliCommand cd_command = {
    .name = "cd",
    .summary = N_("change the current directory"),
    .description = N_("Change the current directory."),
    .options = cd_options,
    .handler = cmd_cd,
    .flags = CLI_CMD_OFFLINE,
};

static gboolean cmd_pwd(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autofree char *dir = g_get_current_dir();

    cli_value(ctl, "directory", dir);
    return TRUE;
}

static const CliCommand pwd_command = {
    .name = "pwd",
    .summary = N_("print the current directory"),
    .description = N_("Print the current directory."),
    .handler = cmd_pwd,
    .flags = CLI_CMD_OFFLINE,
};

static char *echo_word(const char *word, const CliArgs *args)
{
    if (cli_args_has(args, "shell"))
        return cli_words_quote(word);
    if (cli_args_has(args, "xml")) {
        g_autofree char *escaped = g_markup_escape_text(word, -1);
        g_auto(GStrv) parts = g_strsplit(escaped, "&#39;", -1);

        return g_strjoinv("&apos;", parts);
    }
    return g_strdup(word);
}

/** Append the parts of @word between commas, one on each line, for --split. ",," is a comma. */
static void append_split(GString *text, const char *word)
{
    if (!*word)
        return;
    for (; *word; word++) {
        if (*word == ',' && word[1] == ',')
            word++;
        else if (*word == ',') {
            g_string_append_c(text, '\n');
            continue;
        }
        g_string_append_c(text, *word);
    }
    g_string_append_c(text, '\n');
}

static gboolean cmd_echo(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) words = cli_args_rest(args);
    g_autoptr(GString) text = g_string_new(NULL);

    if (!cli_args_exclusive(args, "shell", "xml", error) ||
        !cli_args_exclusive(args, "shell", "split", error) ||
        !cli_args_exclusive(args, "xml", "split", error))
        return FALSE;
    for (guint i = 0; i < words->len; i++) {
        g_autofree char *word = echo_word(g_ptr_array_index(words, i), args);

        if (i)
            g_string_append_c(text, ' ');
        if (cli_args_has(args, "split"))
            append_split(text, word);
        else
            g_string_append(text, word);
    }
    if (cli_args_has(args, "err"))
        cli_error_line(ctl, text->str);
    else
        cli_document(ctl, "text", text->str);
    return TRUE;
}

static const CliOption echo_options[] = {
    {.name = "shell", .kind = CLI_OPT_BOOL, .help = N_("escape for shell use")},
    {.name = "xml", .kind = CLI_OPT_BOOL, .help = N_("escape for XML use")},
    {.name = "split",
     .kind = CLI_OPT_BOOL,
     .help = N_("split each argument on ','; ',,' is an escape sequence")},
    {.name = "err", .kind = CLI_OPT_BOOL, .help = N_("output to stderr")},
    {.name = "string",
     .kind = CLI_OPT_ARGV,
     .flags = CLI_OPT_EMPTY_OK,
     .help = N_("arguments to echo")},
    {0},
};

static const CliCommand echo_command = {
    .name = "echo",
    .summary = N_("echo arguments. Used for internal testing."),
    .description = N_("Echo back arguments, possibly with quoting. Used for internal testing."),
    .options = echo_options,
    .handler = cmd_echo,
    .flags = CLI_CMD_OFFLINE,
};

static gboolean cmd_quit(CliCtl *ctl, const CliArgs *args, GError **error)
{
    ctl->leave = TRUE;
    return TRUE;
}

static const CliCommand exit_command = {
    .name = "exit",
    .summary = N_("quit this interactive terminal"),
    .description = "",
    .handler = cmd_quit,
    .flags = CLI_CMD_OFFLINE,
};

static const CliCommand quit_command = {
    .name = "quit",
    .summary = N_("quit this interactive terminal"),
    .description = "",
    .handler = cmd_quit,
    .flags = CLI_CMD_OFFLINE,
};

static gboolean cmd_connect(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *uri;

    if (!cli_args_string(args, "name", &uri, error))
        return FALSE;
    return cli_reconnect(ctl, uri, cli_args_has(args, "readonly"), error);
}

static const CliOption connect_options[] = {
    {.name = "name",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_EMPTY_OK,
     .help = N_("hypervisor connection URI")},
    {.name = "readonly", .kind = CLI_OPT_BOOL, .help = N_("read-only connection")},
    {0},
};

static const CliCommand connect_command = {
    .name = "connect",
    .summary = N_("(re)connect to hypervisor"),
    .description =
        N_("Connect to local hypervisor. This is built-in command after shell start up."),
    .options = connect_options,
    .handler = cmd_connect,
    .flags = CLI_CMD_OFFLINE | CLI_CMD_CONNECTS,
};

static gboolean fail_help(const CliGroup *groups, const char *name, const GPtrArray *rest,
                          GError **error)
{
    const char *const words[] = {name, rest->len ? g_ptr_array_index(rest, 0) : NULL, NULL};
    g_autofree char *meant = cli_suggest_command(groups, words);

    if (meant)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("command or command group '%s' doesn't exist; did you mean '%s'?"), name,
                        meant);
    return cst_fail(error, CST_ERROR_USAGE, _("command or command group '%s' doesn't exist"), name);
}

static gboolean cmd_help(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) words = cli_args_rest(args);
    const CliCommand *command;
    const CliGroup *group;
    const char *name;

    if (!cli_args_string(args, "command", &name, error))
        return FALSE;
    if (!name) {
        cli_help_groups(ctl);
        return TRUE;
    }
    command = cli_command_find(ctl->groups, name);
    if (!command && words->len)
        command = cli_command_find_joined(ctl->groups, name, g_ptr_array_index(words, 0));
    group = cli_group_find(ctl->groups, name);
    if (command)
        cli_help_command(ctl, command);
    else if (group)
        cli_help_group(ctl, group);
    else
        return fail_help(ctl->groups, name, words, error);
    return TRUE;
}

static const CliOption help_options[] = {
    {.name = "command",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_OFFERED,
     .help = N_("Prints global help, command specific help, or help for a group of related "
                "commands"),
     .complete = cli_complete_commands},
    {0},
};

static const CliCommand help_command = {
    .name = "help",
    .summary = N_("print help"),
    .description = N_("Prints global help, command specific help, or help for a\n"
                      "    group of related commands"),
    .options = help_options,
    .handler = cmd_help,
    .flags = CLI_CMD_OFFLINE | CLI_CMD_HELP,
};

const CliCommand *const cli_self_commands[] = {
    &cd_command,  &echo_command, &exit_command,    &help_command,
    &pwd_command, &quit_command, &connect_command, NULL,
};
