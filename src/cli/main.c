/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The entry point: parses the program's own options, then runs one command line, a script or the
 * shell. Under the name cistern-qemu-img the program has another command line (src/cli/qemu_img).
 * The locale is set first, because all later messages are translated. With --json, all messages are
 * in the locale C, also messages about wrong options. The exit status is that of the last command.
 * If only writing to stdout fails, the exit status is CST_EXIT_FAILED.
 */
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include <base/error_class.h>
#include <base/foreign.h>
#include <base/i18n.h>
#include <base/liveness.h>
#include <base/locale.h>
#include <base/log.h>
#include <base/url.h>
#include <conn/domains.h>

#include "core/background.h"
#include "core/ctl.h"
#include "core/options.h"
#include "core/parse.h"
#include "groups.h"
#include "output/report.h"
#include "output/width.h"
#include "qemu_img/qemu_img.h"
#include "shell/help.h"
#include "shell/run.h"
#include "shell/shell.h"

static char *global_option_usage(const CliGlobalOption *option)
{
    if (!*option->name)
        return g_strdup_printf("-%c", option->short_name);
    if (option->value)
        return g_strdup_printf(option->optional_value ? "--%s[=%s]" : "--%s=%s", option->name,
                               _(option->value));
    return g_strdup_printf("--%s", option->name);
}

static void print_global_option(const CliGlobalOption *option)
{
    g_autofree char *usage = global_option_usage(option);
    g_autofree char *line = NULL;
    g_autofree char *padded = NULL;

    if (option->short_name && *option->name)
        line = g_strdup_printf("-%c | %s", option->short_name, usage);
    else
        line = g_strdup_printf("%s%s", *option->name ? "     " : "", usage);
    padded = cli_text_pad(line, 32);
    printf("    %s %s\n", padded, _(option->help));
}

static void print_usage(CliCtl *ctl)
{
    printf(_("\n%s [options]... [<command_string>]\n"
             "%s [options]... <command> [args...]\n\n"
             "  options:\n"),
           "cistern", "cistern");
    for (const CliGlobalOption *option = cli_global_options(); option->name; option++)
        print_global_option(option);
    printf("%s", _("  commands (non interactive mode):\n\n"));
    for (const CliGroup *group = ctl->groups; group->title; group++) {
        if (!cli_help_group_visible(group))
            continue;
        cli_help_group(ctl, group);
        printf("\n");
    }
    printf("%s", _("\n  (specify help <group> for details about the commands in the group)\n"));
    printf("%s", _("\n  (specify help <command> for details about the command)\n\n"));
}

static void print_long_version(void)
{
    printf(_("Storage command line tool of cistern %s\n"), CST_VERSION);
}

static CstExitStatus run_words(CliCtl *ctl, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) commands = NULL;

    /* A single word is a complete line: cistern 'pool-list; vol-list p'. */
    if (argc == 1 && !*argv[0])
        return CST_EXIT_FAILED;
    if (argc == 1)
        return cli_run_string(ctl, argv[0]);
    commands = cli_parse_argv(ctl->groups, &ctl->config, argc, argv, &error);
    if (!commands) {
        cli_next_step_help(ctl, argv[0], argv[1]);
        cli_report(ctl, error);
        return CST_EXIT_USAGE;
    }
    return cli_run_all(ctl, commands);
}

/**
 * Return: TRUE if --json occurs anywhere before "--". Parse errors are then reported as JSON too.
 */
static gboolean wants_json(int argc, char **argv)
{
    for (int i = 0; i < argc && !g_str_equal(argv[i], "--"); i++)
        if (g_str_equal(argv[i], "--json"))
            return TRUE;
    return FALSE;
}

static CstExitStatus cli_run_action(CliCtl *ctl, CliAction action, int argc, char **argv)
{
    switch (action) {
    case CLI_SHOW_HELP: print_usage(ctl); return CST_EXIT_OK;
    case CLI_SHOW_VERSION: printf("%s\n", CST_VERSION); return CST_EXIT_OK;
    case CLI_SHOW_LONG_VERSION: print_long_version(); return CST_EXIT_OK;
    case CLI_RUN: break;
    }
    return argc == 0 ? cli_shell(ctl) : run_words(ctl, argc, argv);
}

/* --- storage that hangs ----------------------------------------------------------------------- */

static CliCtl *running; /* the context of this process, for exit_storage_stuck() */

/*
 * End the program, because the command's thread blocks in a call into storage that does not answer
 * (embedded only). The state on disk is that of a crash. Called in another thread.
 */
static void exit_storage_stuck(const GError *why)
{
    cli_report(running, why);
    _exit(cli_exit_status(running, why));
}

static void start_locale(const CliSettings *settings)
{
    setlocale(LC_ALL, "");
    if (settings->json)
        setlocale(LC_MESSAGES, "C");
    cst_bind_locale();
}

static gboolean load_config(CliCtl *ctl, GError **error)
{
    if (!cli_config_load(ctl->groups, &ctl->config, error)) {
        cli_hint(ctl, "%s", _("--no-config goes without it"));
        return FALSE;
    }
    if (ctl->config.has_color && !ctl->settings.has_color)
        ctl->settings.color = ctl->config.color;
    return TRUE;
}

/*
 * Mask passwords of URLs in @argv, because each user of the host can read /proc/PID/cmdline.
 * Returns a copy with the original text.
 */
static GStrv arguments_hide(char **argv)
{
    GStrv words = g_strdupv(argv);

    for (char **word = argv; *word; word++)
        cst_url_mask(*word);
    return words;
}

static int cli_main(int argc, char **argv)
{
    g_auto(GStrv) words = arguments_hide(argv);
    g_autoptr(GError) error = NULL;
    CliSettings settings = {.json = wants_json(argc, words)};
    CstExitStatus status;
    CliAction action;
    CliCtl ctl;
    int first = argc;
    gboolean ok;

    start_locale(&settings);
    cst_log_init();
    /* Warnings of the embedded service are meant for a daemon's journal. -d shows them. */
    cst_log_set_level(CST_LOG_ERROR);
    ok = cli_options_parse(argc, words, &settings, &action, &first, &error);
    cli_ctl_init(&ctl, &settings, cli_groups());
    ctl.background = cli_background_take();
    running = &ctl;
    cst_liveness_given_up = exit_storage_stuck;
    if (ok && action == CLI_RUN && !settings.no_config)
        ok = load_config(&ctl, &error);
    if (ok) {
        status = cli_run_action(&ctl, action, argc - first, words + first);
    } else {
        status = cli_exit_status(&ctl, error);
        cli_report(&ctl, error);
    }
    cst_liveness_given_up = NULL;
    cli_ctl_clear(&ctl);
    if (fflush(stdout) != 0 || ferror(stdout))
        status = status == CST_EXIT_OK ? CST_EXIT_FAILED : status;
    cst_foreign_end(status);
    return status;
}

int main(int argc, char **argv)
{
    cst_conn_run_helper(argc, argv);
    return argc > 0 && cli_qemu_img_is_name(argv[0]) ? cli_qemu_img_main(argc, argv)
                                                     : cli_main(argc, argv);
}
