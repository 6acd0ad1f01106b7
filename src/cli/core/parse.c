/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parses command lines as virsh does. A word is the value of a preceding option, an option, one of
 * its letters, or data for the next positional option. After "--" all words are data. The command's
 * row lists its options. The message about an unknown name suggests the nearest known name.
 *
 * Lists with commas are joined, and `CMD … --help` becomes `help CMD`, so that handlers do not see
 * these forms.
 */
#include "parse.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "suggest.h"
#include "words.h"

/** State during the parsing of one command. */
typedef struct {
    const CliGroup *groups;
    CliArgs *args;
    const CliOption *pending; /**< option that waits for its value, which is the next word */
    const char *const *ahead; /**< the words after the current one */
    gboolean data_only;       /**< "--" was seen */
} Parser;

static const CliOption help_option = {
    .name = "help",
    .kind = CLI_OPT_BOOL,
    .help = N_("print help for this function"),
    .letter = 'h',
};

/** @name: the name or alias in the command line. */
static CliArgs *args_new_named(const CliCommand *command, const char *name)
{
    CliArgs *args = cli_args_new(command);

    args->by_alias = g_strcmp0(command->alias, name) == 0;
    return args;
}

/** Return: the earlier value of @option, or NULL. */
static CliArg *earlier_value(const Parser *parser, const CliOption *option)
{
    for (guint i = 0; i < parser->args->items->len; i++) {
        CliArg *arg = &g_array_index(parser->args->items, CliArg, i);

        if (arg->option == option)
            return arg;
    }
    return NULL;
}

/**
 * Return: TRUE if @list can be joined with another list by a comma. Fails for an empty part at
 * either end.
 */
static gboolean can_be_joined(const char *list, const CliOption *option, GError **error)
{
    size_t end = strlen(list), commas = 0;

    while (commas < end && list[end - commas - 1] == ',')
        commas++;
    return (*list != ',' && commas % 2 == 0) ||
           cst_fail(error, CST_ERROR_USAGE, _("the list '%s' of option --%s has an empty part"),
                    list, option->name);
}

/**
 * Add a value. Lists with commas (CLI_OPT_LIST) are joined into one; other values become separate
 * items.
 */
static gboolean add_arg(Parser *parser, const CliOption *option, const char *value, GError **error)
{
    CliArg *earlier = option->flags & CLI_OPT_LIST ? earlier_value(parser, option) : NULL;
    CliArg arg = {.option = option, .value = g_strdup(value)};

    parser->pending = NULL;
    if (earlier) {
        g_autofree char *first = g_steal_pointer(&earlier->value);

        earlier->value = g_strdup_printf("%s,%s", first, arg.value);
        g_free(arg.value);
        return can_be_joined(first, option, error) && can_be_joined(value, option, error);
    }
    g_array_append_val(parser->args->items, arg);
    return TRUE;
}

static gboolean may_be_given(const Parser *parser, const CliOption *option, const char *name,
                             GError **error)
{
    return option->kind == CLI_OPT_ARGV || (option->flags & CLI_OPT_LIST) ||
           !cli_args_has(parser->args, option->name) ||
           cst_fail(error, CST_ERROR_USAGE, _("option --%s already seen"), name);
}

static const CliOption *common_option(const char *name)
{
    for (const CliOption *option = cli_common_options(); option->name; option++)
        if (g_str_equal(option->name, name))
            return option;
    return NULL;
}

/** Return: the command's own or common option @name; NULL: not found. */
static const CliOption *lookup_option(const CliCommand *command, const char *name)
{
    const CliOption *option = cli_command_option(command, name);

    if (option)
        return option;
    if (g_str_equal(name, help_option.name))
        return &help_option;
    option = common_option(name);
    return option && cli_common_option_applies(option, command) ? option : NULL;
}

/** For a command that virsh also has, the message is virsh's. */
static gboolean fail_option(const CliGroup *groups, const CliCommand *command, const char *name,
                            GError **error)
{
    g_autofree char *meant = cli_suggest_option(command, name);
    g_autofree char *others = !meant && (command->flags & CLI_CMD_OURS)
                                  ? cli_suggest_commands_with(groups, command, name)
                                  : NULL;

    if (others)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("command '%s' doesn't support option --%s, but these do: %s"),
                        command->name, name, others);
    if (meant)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("command '%s' doesn't support option --%s; did you mean --%s?"),
                        command->name, name, meant);
    return cst_fail(error, CST_ERROR_USAGE, _("command '%s' doesn't support option --%s"),
                    command->name, name);
}

static gboolean parse_long_option(Parser *parser, const char *word, GError **error)
{
    const CliCommand *command = parser->args->command;
    const char *equals = strchr(word, '=');
    g_autofree char *name = equals ? g_strndup(word, equals - word) : g_strdup(word);
    g_autofree char *value = equals ? g_strdup(equals + 1) : NULL;
    const CliOption *option = lookup_option(command, name);

    if (!option)
        return fail_option(parser->groups, command, name, error);
    if (!may_be_given(parser, option, name, error))
        return FALSE;
    if (value && option->kind == CLI_OPT_BOOL)
        return cst_fail(error, CST_ERROR_USAGE, _("invalid '=' after option --%s"), name);
    if (option->kind == CLI_OPT_BOOL || value)
        return add_arg(parser, option, value, error);
    parser->pending = option;
    return TRUE;
}

static const CliOption *option_of_letter(const CliCommand *command, char letter)
{
    for (const CliOption *option = command->options; option && option->name; option++)
        if (option->letter == letter)
            return option;
    /* Where each word may be data, as for `echo`, letters of common options are data too. */
    for (const CliOption *option = command->options; option && option->name; option++)
        if (option->kind == CLI_OPT_ARGV && (option->flags & CLI_OPT_EMPTY_OK))
            return NULL;
    for (const CliOption *option = cli_common_options(); option->name; option++)
        if (option->letter == letter && cli_common_option_applies(option, command))
            return option;
    return letter == help_option.letter ? &help_option : NULL;
}

/** Consume "-f" and "-fVALUE" if the command has the letter. FALSE: @word is a plain word. */
static gboolean parse_letter_option(Parser *parser, const char *word, gboolean *ret_ok,
                                    GError **error)
{
    const CliOption *option = word[0] == '-' && g_ascii_isalpha(word[1])
                                  ? option_of_letter(parser->args->command, word[1])
                                  : NULL;

    if (!option || (option->kind == CLI_OPT_BOOL && word[2]))
        return FALSE;
    *ret_ok = TRUE;
    if (!may_be_given(parser, option, option->name, error))
        *ret_ok = FALSE;
    else if (option->kind == CLI_OPT_BOOL || word[2])
        *ret_ok = add_arg(parser, option, option->kind == CLI_OPT_BOOL ? NULL : word + 2, error);
    else
        parser->pending = option;
    return TRUE;
}

/**
 * Return: TRUE if option @name is given by its name in a later word. virsh commands ignore this:
 * there the plain word fills the option, and the later name is reported as a duplicate.
 */
static gboolean is_named_ahead(const Parser *parser, const char *name)
{
    size_t len = strlen(name);

    if (!(parser->args->command->flags & CLI_CMD_OURS))
        return FALSE;
    for (const char *const *word = parser->ahead; *word && !g_str_equal(*word, "--"); word++)
        if (g_str_has_prefix(*word, "--") && strncmp(*word + 2, name, len) == 0 &&
            ((*word)[2 + len] == '\0' || (*word)[2 + len] == '='))
            return TRUE;
    return FALSE;
}

/* Return: TRUE if another option that is given replaces @option. */
static gboolean is_replaced(const Parser *parser, const CliOption *option)
{
    return option->unless &&
           (cli_args_has(parser->args, option->unless) || is_named_ahead(parser, option->unless));
}

/**
 * Return: the first option in table order that the plain @word may fill and that is not given by
 * name.
 */
static const CliOption *next_positional(const Parser *parser, const char *word)
{
    const CliArgs *args = parser->args;

    for (const CliOption *option = args->command->options; option && option->name; option++) {
        if (!cli_args_takes_word(args, option, word) || is_named_ahead(parser, option->name) ||
            is_replaced(parser, option))
            continue;
        if (option->kind == CLI_OPT_ARGV || !cli_args_has(args, option->name))
            return option;
    }
    return NULL;
}

static gboolean parse_positional(Parser *parser, const char *word, GError **error)
{
    const CliOption *option = next_positional(parser, word);

    if (!option)
        return cst_fail(error, CST_ERROR_USAGE, _("unexpected data '%s'"), word);
    if (!add_arg(parser, option, word, error))
        return FALSE;
    earlier_value(parser, option)->plain = TRUE;
    return TRUE;
}

static gboolean parse_command_word(Parser *parser, const char *const *at, GError **error)
{
    const char *word = *at;
    gboolean ok = FALSE;

    parser->ahead = at + 1;
    if (parser->pending)
        return add_arg(parser, parser->pending, word, error);
    if (parser->data_only)
        return parse_positional(parser, word, error);
    if (g_str_equal(word, "--")) {
        parser->data_only = TRUE;
        return TRUE;
    }
    if (g_str_has_prefix(word, "--") && g_ascii_isalnum(word[2]))
        return parse_long_option(parser, word + 2, error);
    if (parse_letter_option(parser, word, &ok, error))
        return ok;
    return parse_positional(parser, word, error);
}

static gboolean is_missing(const CliArgs *args, const CliOption *option)
{
    if (cli_args_has(args, option->name) || cli_args_name_pool(args, option))
        return FALSE;
    return option->flags & CLI_OPT_REQUIRED ||
           (option->unless && !cli_args_has(args, option->unless));
}

static gboolean check_required(const CliArgs *args, GError **error)
{
    g_autoptr(GString) missing = g_string_new(NULL);

    for (const CliOption *option = args->command->options; option && option->name; option++) {
        if (!is_missing(args, option))
            continue;
        if (missing->len)
            g_string_append_c(missing, '\n');
        g_string_append_printf(missing,
                               option->flags & CLI_OPT_NAMED
                                   ? _("command '%s' requires --%s option")
                                   : _("command '%s' requires <%s> option"),
                               args->command->name, option->name);
    }
    if (missing->len)
        return cst_fail(error, CST_ERROR_USAGE, "%s", missing->str);
    return TRUE;
}

/** Remove the plain words from @args and return them. */
static GPtrArray *steal_plain_words(CliArgs *args)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

    for (guint i = args->items->len; i-- > 0;) {
        CliArg *arg = &g_array_index(args->items, CliArg, i);

        if (!arg->plain)
            continue;
        g_ptr_array_insert(words, 0, g_steal_pointer(&arg->value));
        g_array_remove_index(args->items, i);
    }
    return words;
}

/**
 * Use the configured pool for an omitted pool option. A line with too few words, which virsh
 * rejects, is parsed again as if its words started after the pool.
 */
static gboolean imply_pool(Parser *parser, const CliConfig *config, GError **error)
{
    CliArgs *args = parser->args;
    const CliOption *first = args->command->options;
    g_autoptr(GPtrArray) words = NULL;

    if (config->pool.value && first && (first->flags & CLI_OPT_POOL) &&
        cli_args_is_plain(args, first->name) && !check_required(args, NULL))
        words = steal_plain_words(args);
    cli_config_imply_pool(config, args);
    for (guint i = 0; words && i < words->len; i++)
        if (!parse_positional(parser, words->pdata[i], error))
            return FALSE;
    return TRUE;
}

/** Build `help CMD` for `CMD … --help`. The name is the first option of `help`. */
static CliArgs *help_for(const CliGroup *groups, const CliCommand *command)
{
    const CliCommand *help = cli_command_with(groups, CLI_CMD_HELP);
    CliArgs *args = args_new_named(help, help->name);
    CliArg arg = {.option = args->command->options, .value = g_strdup(command->name)};

    g_array_append_val(args->items, arg);
    return args;
}

/** Find the command at the start of @words. *ret_used is the number of words that name it. */
static const CliCommand *command_from_words(const CliGroup *groups, const char *const *words,
                                            guint *ret_used)
{
    const CliCommand *command = cli_command_find(groups, words[0]);

    *ret_used = 1;
    if (!command && words[1]) {
        command = cli_command_find_joined(groups, words[0], words[1]);
        *ret_used = 2;
    }
    return command;
}

static gboolean fail_command(const CliGroup *groups, const char *const *words, GError **error)
{
    g_autofree char *meant = cli_suggest_command(groups, words);

    if (meant)
        return cst_fail(error, CST_ERROR_USAGE, _("unknown command: '%s'; did you mean '%s'?"),
                        words[0], meant);
    return cst_fail(error, CST_ERROR_USAGE, _("unknown command: '%s'"), words[0]);
}

static CliArgs *parse_one(const CliGroup *groups, const CliConfig *config, const char *const *words,
                          GError **error)
{
    guint used;
    const CliCommand *command = command_from_words(groups, words, &used);
    g_autoptr(CliArgs) args = NULL;
    Parser parser = {.groups = groups};

    if (!command) {
        fail_command(groups, words, error);
        return NULL;
    }
    args = args_new_named(command, words[0]);
    parser.args = args;
    for (const char *const *word = words + used; *word; word++)
        if (!parse_command_word(&parser, word, error)) {
            if (!(command->flags & CLI_CMD_HELP))
                return NULL;
            g_clear_error(error);
        }
    if (parser.pending) {
        cst_fail(error, CST_ERROR_USAGE, _("expected syntax: --%s <%s>"), parser.pending->name,
                 parser.pending->kind == CLI_OPT_INT ? _("number") : _("string"));
        return NULL;
    }
    if (cli_args_has(args, help_option.name))
        return help_for(groups, command);
    if (!imply_pool(&parser, config, error) || !check_required(args, error))
        return NULL;
    return g_steal_pointer(&args);
}

static GPtrArray *parse_all(const CliGroup *groups, const CliConfig *config, GPtrArray *lines,
                            GError **error)
{
    g_autoptr(GPtrArray) result = g_ptr_array_new_with_free_func((GDestroyNotify)cli_args_free);

    for (guint i = 0; i < lines->len; i++) {
        const char *const *words = g_ptr_array_index(lines, i);
        CliArgs *args = parse_one(groups, config, words, error);

        if (!args)
            return NULL;
        g_ptr_array_add(result, args);
    }
    return g_steal_pointer(&result);
}

GPtrArray *cli_parse_argv(const CliGroup *groups, const CliConfig *config, int argc, char **argv,
                          GError **error)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    char **words = g_new0(char *, argc + 1);

    memcpy(words, argv, argc * sizeof(char *));
    g_ptr_array_add(lines, words);
    return parse_all(groups, config, lines, error);
}

GPtrArray *cli_parse_string(const CliGroup *groups, const CliConfig *config, const char *text,
                            GError **error)
{
    g_autoptr(GPtrArray) lines = cli_words_split(text, error);

    return lines ? parse_all(groups, config, lines, error) : NULL;
}

CliArgs *cli_parse_partial(const CliGroup *groups, int argc, char **argv,
                           const CliOption **ret_pending, gboolean *ret_data_only)
{
    g_autofree const char **words = g_new0(const char *, argc + 1);
    const CliCommand *command;
    Parser parser = {.groups = groups};
    guint used;

    if (argc == 0)
        return NULL;
    memcpy(words, argv, argc * sizeof(char *));
    command = command_from_words(groups, words, &used);
    if (!command)
        return NULL;
    parser.args = args_new_named(command, words[0]);
    for (const char *const *word = words + used; *word; word++)
        parse_command_word(&parser, word, NULL);
    *ret_pending = parser.pending;
    *ret_data_only = parser.data_only;
    return parser.args;
}
