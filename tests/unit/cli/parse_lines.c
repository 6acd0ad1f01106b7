/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parses command lines of `cistern` without running them, for documents_test.py. Reads one line of
 * shell words from stdin at a time. Answers each with a line: "fine", or the parser's message.
 */
#include <stdio.h>
#include <string.h>

#include "core/options.h"
#include "core/parse.h"
#include "groups.h"

static gboolean parse_line(const char *line, GError **error)
{
    static const CliConfig no_config;
    CliSettings settings = {0};
    CliAction action = CLI_RUN;
    g_auto(GStrv) argv = NULL;
    g_autoptr(GPtrArray) commands = NULL;
    int argc, first;

    if (!g_shell_parse_argv(line, &argc, &argv, error) ||
        !cli_options_parse(argc, argv, &settings, &action, &first, error))
        return FALSE;
    if (action != CLI_RUN)
        return TRUE;
    commands = cli_parse_argv(cli_groups(), &no_config, argc - first, argv + first, error);
    return commands != NULL;
}

int main(void)
{
    char line[4096];

    while (fgets(line, sizeof(line), stdin)) {
        g_autoptr(GError) error = NULL;
        gboolean fine = parse_line(line, &error);

        puts(fine ? "fine" : g_strdelimit(error->message, "\n", ' '));
        fflush(stdout);
    }
    return 0;
}
