/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hidden commands for completion scripts and the build. Programs read their output. */
#include <base/error.h>
#include <base/i18n.h>

#include "commands.h"
#include "commands/xml.h"
#include "complete.h"
#include "core/ctl.h"
#include "man.h"
#include "output/report.h"
#include "output/text.h"

/**
 * Print the candidates for the last word. If no candidate exists and file names are possible, fail
 * silently, as virsh's command does. The scripts then offer file names.
 */
static gboolean cmd_complete(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) typed = cli_args_rest(args);
    g_autoptr(GPtrArray) words = NULL;
    gboolean files;

    words = cli_complete_program(ctl, (int)typed->len, (char **)typed->pdata,
                                 cli_args_has(args, "describe"), &files);
    for (guint i = 0; i < words->len; i++) {
        cli_print_lines(ctl, g_ptr_array_index(words, i));
        cli_print(ctl, "\n");
    }
    ctl->silent = TRUE;
    return words->len > 0 || !files ||
           cst_fail(error, CST_ERROR_FAILED, "%s", _("the line has no completion"));
}

static const CliOption complete_options[] = {
    CLI_SWITCH("describe", N_("add a tab and a description to each word")),
    {.name = "string",
     .kind = CLI_OPT_ARGV,
     .flags = CLI_OPT_EMPTY_OK,
     .help = N_("partial string to autocomplete")},
    {0},
};

static const CliCommand complete_command = {
    .name = "complete",
    .summary = N_("internal command for autocompletion"),
    .description = N_("internal use only"),
    .options = complete_options,
    .handler = cmd_complete,
    .flags = CLI_CMD_OFFLINE | CLI_CMD_HIDDEN,
};

static gboolean cmd_gen_man(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autofree char *template = NULL;
    g_autofree char *page = NULL;
    const char *path;

    if (!cli_args_string(args, "template", &path, error) || !cli_read_xml(path, &template, error))
        return FALSE;
    page = cli_man_fill(ctl->groups, template);
    cli_document(ctl, "page", page);
    ctl->silent = TRUE;
    return TRUE;
}

static const CliOption gen_man_options[] = {
    CLI_FILE("template", CLI_OPT_REQUIRED, N_("scdoc text with @…@ lines to be filled in")),
    {0},
};

static const CliCommand gen_man_command = {
    .name = "gen-man",
    .summary = N_("print the manual page's source"),
    .description = N_("internal use only"),
    .options = gen_man_options,
    .handler = cmd_gen_man,
    .flags = CLI_CMD_OFFLINE | CLI_CMD_HIDDEN,
};

const CliCommand *const cli_internal_commands[] = {
    &complete_command,
    &gen_man_command,
    NULL,
};
