/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options of the program itself, before the command. One table drives getopt_long(), --help and the
 * manual page. Parsing stops at the command, which is the first word that is not an option. virsh
 * options without a meaning here are accepted.
 */
#include "options.h"

#include <getopt.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

/* Letters as in virsh. -e, -k, -K and -l are accepted so that its command lines work unchanged. */
static const CliGlobalOption options[] = {
    {"connect", 'c', N_("URI"), FALSE, N_("server or embedded root to connect to")},
    {"root", 0, N_("DIR"), FALSE, N_("root directory of definitions, state and sockets")},
    {"embedded", 0, NULL, FALSE, N_("work in this process, never through a daemon")},
    {"readonly", 'r', NULL, FALSE, N_("connect readonly")},
    {"json", 0, NULL, FALSE, N_("print JSON instead of text")},
    {"bytes", 0, NULL, FALSE, N_("print sizes in bytes")},
    {"dry-run", 0, NULL, FALSE, N_("show the actions, change no data")},
    {"yes", 0, NULL, FALSE, N_("destroy data without asking")},
    {"no-input", 0, NULL, FALSE, N_("never ask anything")},
    {"no-config", 0, NULL, FALSE, N_("do not read client.conf")},
    {"no-pager", 0, NULL, FALSE, N_("accepted; no pager is ever used")},
    {"color", 0, N_("WHEN"), FALSE, N_("colours: auto, always or never")},
    {"quiet", 'q', NULL, FALSE, N_("quiet mode")},
    {"timing", 't', NULL, FALSE, N_("print timing information")},
    {"debug", 'd', N_("NUM"), FALSE, N_("debug level [0-4]")},
    {"log", 'l', N_("FILE"), FALSE, N_("accepted for virsh's sake; messages go to stderr")},
    {"escape", 'e', N_("CHAR"), FALSE, N_("accepted for virsh's sake; there is no console")},
    {"keepalive-interval", 'k', N_("NUM"), FALSE,
     N_("keepalive interval in seconds, 0 for disable")},
    {"keepalive-count", 'K', N_("NUM"), FALSE, N_("number of possible missed keepalive messages")},
    {"help", 'h', NULL, FALSE, N_("this help")},
    {"version", 'v', N_("TYPE"), TRUE, N_("version, TYPE is short or long (default short)")},
    {"", 'V', NULL, FALSE, N_("long version")},
    {0},
};

const CliGlobalOption *cli_global_options(void)
{
    return options;
}

static const CliGlobalOption *option_by_letter(int letter)
{
    for (const CliGlobalOption *option = options; option->name; option++)
        if (option->short_name && option->short_name == letter)
            return option;
    return NULL;
}

/* Long options are identified by their index in the table plus this base, above all letters. */
#define LONG_BASE 256

static void build_getopt(struct option *ret_long, GString *letters)
{
    /* "+": stop at the first word; ":": distinguish a missing value from an unknown option. */
    g_string_assign(letters, "+:");
    for (gsize i = 0; options[i].name; i++) {
        const CliGlobalOption *option = &options[i];
        int has_value = !option->value           ? no_argument
                        : option->optional_value ? optional_argument
                                                 : required_argument;

        if (*option->name)
            *ret_long++ = (struct option){option->name, has_value, NULL, LONG_BASE + (int)i};
        if (!option->short_name)
            continue;
        g_string_append_c(letters, option->short_name);
        /* `-v` alone never consumes the next word. */
        if (option->value && !option->optional_value)
            g_string_append_c(letters, ':');
    }
    *ret_long = (struct option){0};
}

static gboolean set_debug(const char *value, GError **error)
{
    static const CstLogLevel levels[] = {CST_LOG_DEBUG, CST_LOG_INFO, CST_LOG_WARNING,
                                         CST_LOG_WARNING, CST_LOG_ERROR};
    guint64 level;

    if (!g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT, &level, NULL))
        return cst_fail(error, CST_ERROR_USAGE, _("option %s takes a numeric argument"), "-d");
    if (level >= G_N_ELEMENTS(levels))
        g_printerr("%s%s\n", _("error: "), _("ignoring a debug level out of range [0-4]"));
    else
        cst_log_set_level(levels[level]);
    return TRUE;
}

static gboolean options_set_color(CliSettings *settings, const char *value, GError **error)
{
    settings->has_color = TRUE;
    return cli_color_parse(value, &settings->color) ||
           cst_fail(error, CST_ERROR_USAGE, _("--color takes auto, always or never, not '%s'"),
                    value);
}

static gboolean options_check_number(char letter, const char *value, GError **error)
{
    guint64 number;

    if (g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT, &number, NULL))
        return TRUE;
    return cst_fail(error, CST_ERROR_USAGE, _("Invalid value for option -%c"), letter);
}

static gboolean options_set_switch(CliSettings *settings, const char *name)
{
    const struct {
        const char *name;
        gboolean *value;
    } switches[] = {
        {"readonly", &settings->read_only}, {"embedded", &settings->embedded},
        {"quiet", &settings->quiet},        {"timing", &settings->timing},
        {"json", &settings->json},          {"bytes", &settings->bytes},
        {"dry-run", &settings->dry_run},    {"yes", &settings->yes},
        {"no-input", &settings->no_input},  {"no-config", &settings->no_config},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(switches); i++)
        if (g_str_equal(switches[i].name, name)) {
            *switches[i].value = TRUE;
            return TRUE;
        }
    return FALSE;
}

static gboolean options_apply_option(const CliGlobalOption *option, const char *value,
                                     CliSettings *settings, CliAction *action, GError **error)
{
    if (options_set_switch(settings, option->name))
        return TRUE;
    switch (option->short_name) {
    case 'c': settings->uri = value; return TRUE;
    case 'd': return set_debug(value, error);
    case 'k':
    case 'K': return options_check_number(option->short_name, value, error);
    case 'h': *action = CLI_SHOW_HELP; return TRUE;
    case 'V': *action = CLI_SHOW_LONG_VERSION; return TRUE;
    case 'v':
        *action = g_strcmp0(value, "long") == 0 ? CLI_SHOW_LONG_VERSION : CLI_SHOW_VERSION;
        return TRUE;
    default: break;
    }
    if (g_str_equal(option->name, "root"))
        settings->root = value;
    else if (g_str_equal(option->name, "color"))
        return options_set_color(settings, value, error);
    return TRUE;
}

static gboolean missing_value(const char *word, GError **error)
{
    const CliGlobalOption *option =
        optopt >= LONG_BASE ? &options[optopt - LONG_BASE] : option_by_letter(optopt);

    if (option && option->short_name)
        return cst_fail(error, CST_ERROR_USAGE, _("option '-%c'/'--%s' requires an argument"),
                        option->short_name, option->name);
    return cst_fail(error, CST_ERROR_USAGE, _("option '%s' requires an argument"), word);
}

static gboolean unknown_option(const char *word, GError **error)
{
    if (optopt && optopt < LONG_BASE)
        return cst_fail(error, CST_ERROR_USAGE, _("unsupported option '-%c'. See --help."), optopt);
    return cst_fail(error, CST_ERROR_USAGE, _("unsupported option '%s'. See --help."), word);
}

gboolean cli_options_parse(int argc, char **argv, CliSettings *ret_settings, CliAction *ret_action,
                           int *ret_first, GError **error)
{
    g_autoptr(GString) letters = g_string_new(NULL);
    struct option long_options[G_N_ELEMENTS(options)];
    int got;

    build_getopt(long_options, letters);
    *ret_action = CLI_RUN;
    optind = 0;
    opterr = 0;
    while ((got = getopt_long(argc, argv, letters->str, long_options, NULL)) != -1) {
        const char *word = argv[MAX(optind - 1, 0)];
        const CliGlobalOption *option;

        if (got == ':')
            return missing_value(word, error);
        if (got == '?')
            return unknown_option(word, error);
        option = got >= LONG_BASE ? &options[got - LONG_BASE] : option_by_letter(got);
        if (!options_apply_option(option, optarg, ret_settings, ret_action, error))
            return FALSE;
        /* As in virsh, later words are ignored. */
        if (*ret_action != CLI_RUN)
            break;
    }
    *ret_first = optind;
    return TRUE;
}
