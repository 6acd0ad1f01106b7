/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Candidates for the last word of an unfinished command line: command names, options and values.
 * The completer in the option's row supplies the values. The line is parsed leniently, without
 * error messages. Words that do not start with the typed text are dropped at the end.
 *
 * A completer may ask a server. It reports no error, because a message would disturb the line that
 * is being typed.
 */
#include "complete.h"

#include <string.h>

#include <base/i18n.h>
#include <base/text.h>

#include "core/options.h"
#include "core/parse.h"

static void add_described(GPtrArray *words, char *word, const char *description)
{
    g_ptr_array_add(words, g_strdup_printf("%s\t%s", word, _(description)));
    g_free(word);
}

static void add_command(GPtrArray *words, const CliCommand *command)
{
    if (command->flags & CLI_CMD_HIDDEN)
        return;
    add_described(words, g_strdup(command->name), command->summary);
    if (command->alias)
        g_ptr_array_add(words,
                        g_strdup_printf(_("%s\tshort for %s"), command->alias, command->name));
}

void cli_complete_commands(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (const CliGroup *group = ctl->groups; group->title; group++)
        for (const CliCommand *const *row = group->commands; *row; row++)
            add_command(words, *row);
}

/** The second word of `pool list`: the rest of the command name after "FIRST-". */
static void add_second_words(CliCtl *ctl, const char *first, GPtrArray *words)
{
    g_autofree char *prefix = g_strdup_printf("%s-", first);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    cli_complete_commands(ctl, NULL, names);
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (g_str_has_prefix(name, prefix))
            g_ptr_array_add(words, g_strdup(name + strlen(prefix)));
    }
}

static void add_options(const CliOption *options, const CliArgs *args, GPtrArray *words)
{
    for (; options && options->name; options++)
        if (options->kind != CLI_OPT_ARGV && !cli_args_has(args, options->name))
            add_described(words, g_strdup_printf("--%s", options->name), options->help);
}

static void add_common_options(const CliArgs *args, GPtrArray *words)
{
    for (const CliOption *option = cli_common_options(); option->name; option++)
        if (cli_common_option_applies(option, args->command) && !cli_args_has(args, option->name))
            add_described(words, g_strdup_printf("--%s", option->name), option->help);
}

/**
 * Add the values of @option. In a list, each value is appended to the typed text up to its last
 * comma.
 */
static void add_values(CliCtl *ctl, const CliArgs *args, const CliOption *option, const char *typed,
                       GPtrArray *words)
{
    const char *comma = option->complete_by_list ? strrchr(typed, ',') : NULL;
    g_autofree char *head = comma ? g_strndup(typed, comma + 1 - typed) : NULL;
    guint first = words->len;

    if (!option->complete)
        return;
    option->complete(ctl, args, words);
    for (guint i = first; head && i < words->len; i++) {
        char *value = words->pdata[i];

        words->pdata[i] = g_strconcat(head, value, NULL);
        g_free(value);
    }
}

/** Return: the option that a plain word would fill, if its values should be offered. */
static const CliOption *wanted_positional(const CliArgs *args, const char *typed)
{
    for (const CliOption *option = args->command->options; option && option->name; option++) {
        if (!cli_args_takes_word(args, option, typed))
            continue;
        if (option->kind == CLI_OPT_ARGV)
            return option;
        if (cli_args_has(args, option->name))
            continue;
        /* Optional options are offered by name. */
        return option->flags & (CLI_OPT_REQUIRED | CLI_OPT_OFFERED) ? option : NULL;
    }
    return NULL;
}

static void add_for_command(CliCtl *ctl, const CliArgs *args, const CliOption *pending,
                            gboolean data_only, const char *typed, gboolean *ret_files,
                            GPtrArray *words)
{
    const CliOption *option = pending ? pending : wanted_positional(args, typed);

    /* The image commands work on files. Their other words all have a completer. */
    *ret_files = option && !option->complete &&
                 ((option->flags & CLI_OPT_FILE) || (args->command->flags & CLI_CMD_OFFLINE));
    if (!pending && !data_only && *typed == '-') {
        add_options(args->command->options, args, words);
        add_common_options(args, words);
        *ret_files = FALSE;
        return;
    }
    if (option)
        add_values(ctl, args, option, typed, words);
    if (!pending && !data_only && !*typed)
        add_options(args->command->options, args, words);
}

/*
 * Return: TRUE if @word is safe in a list of candidates on a terminal. The tab precedes a
 * description.
 */
static gboolean word_is_plain(const char *word)
{
    g_autofree char *shown = cst_text_escape_lines(word);

    return g_str_equal(shown, word) && !strchr(word, '\n');
}

/**
 * Drop words that do not start with @typed or cannot be printed. Drop descriptions unless
 * @describe.
 */
static void complete_filter_words(GPtrArray *words, const char *typed, gboolean describe)
{
    for (guint i = words->len; i > 0; i--) {
        char *word = g_ptr_array_index(words, i - 1);
        char *tab = strchr(word, '\t');

        if (tab && !describe)
            *tab = '\0';
        /*
         * A word with a newline would be read as two words. An escape sequence would control the
         * terminal.
         */
        if (!g_str_has_prefix(word, typed) || !word_is_plain(word))
            g_ptr_array_remove_index(words, i - 1);
    }
}

GPtrArray *cli_complete_line(CliCtl *ctl, int argc, char **argv, gboolean describe,
                             gboolean *ret_files)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    const char *typed = argc > 0 ? argv[argc - 1] : "";
    const CliOption *pending = NULL;
    gboolean data_only = FALSE;
    g_autoptr(CliArgs) args = NULL;

    *ret_files = FALSE;
    ctl->typed = typed;
    if (argc <= 1) {
        cli_complete_commands(ctl, NULL, words);
    } else {
        args = cli_parse_partial(ctl->groups, argc - 1, argv, &pending, &data_only);
        if (args)
            add_for_command(ctl, args, pending, data_only, typed, ret_files, words);
        else if (argc == 2)
            add_second_words(ctl, argv[0], words);
    }
    ctl->typed = NULL;
    complete_filter_words(words, typed, describe);
    return words;
}

static GPtrArray *complete_global(const char *typed, gboolean describe)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

    for (const CliGlobalOption *option = cli_global_options(); option->name; option++)
        if (*option->name)
            add_described(words, g_strdup_printf("--%s", option->name), option->help);
    complete_filter_words(words, typed, describe);
    return words;
}

GPtrArray *cli_complete_program(CliCtl *ctl, int argc, char **argv, gboolean describe,
                                gboolean *ret_files)
{
    g_autofree char **program = g_new0(char *, argc + 2);
    const char *typed = argc > 0 ? argv[argc - 1] : "";
    CliSettings settings = ctl->settings;
    CliAction action;
    int first;

    /*
     * The program's options end at the first plain word. The word that is being typed is not
     * parsed.
     */
    program[0] = (char *)"cistern";
    for (int i = 0; i + 1 < argc; i++)
        program[i + 1] = argv[i];
    *ret_files = FALSE;
    if (!cli_options_parse(MAX(argc, 1), program, &settings, &action, &first, NULL)) {
        /* The value of --root or another option of the program is being typed. */
        *ret_files = TRUE;
        return g_ptr_array_new_with_free_func(g_free);
    }
    ctl->settings.root = settings.root;
    ctl->settings.embedded = settings.embedded;
    if (settings.uri) {
        g_free(ctl->connected_uri);
        ctl->connected_uri = g_strdup(settings.uri);
    }
    ctl->settings.read_only = settings.read_only;
    if (first >= argc && *typed == '-')
        return complete_global(typed, describe);
    return cli_complete_line(ctl, argc - (first - 1), argv + (first - 1), describe, ret_files);
}
