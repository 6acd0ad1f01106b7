/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "complete.h"

#include <string.h>

#include "pool.h"

void cli_complete_add(GPtrArray *words, const char *const *list)
{
    for (; *list; list++)
        g_ptr_array_add(words, g_strdup(*list));
}

static void add_pools(CliCtl *ctl, unsigned filter, GPtrArray *words)
{
    CstConn *conn = cli_conn(ctl, NULL);
    g_autoptr(GPtrArray) pools = conn ? cst_conn_pool_list(conn, filter, NULL) : NULL;

    g_clear_pointer(&ctl->headline, g_free);
    for (guint i = 0; pools && i < pools->len; i++) {
        const CstPoolRef *pool = g_ptr_array_index(pools, i);

        g_ptr_array_add(words, g_strdup(pool->name));
    }
}

void cli_complete_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    add_pools(ctl, CST_LIST_POOLS_ACTIVE | CST_LIST_POOLS_INACTIVE, words);
}

void cli_complete_active_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    add_pools(ctl, CST_LIST_POOLS_ACTIVE, words);
}

void cli_complete_inactive_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    add_pools(ctl, CST_LIST_POOLS_INACTIVE, words);
}

void cli_complete_pool_types(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (const CliPoolType *type = cli_pool_types(); type->name; type++)
        g_ptr_array_add(words, g_strdup(type->name));
}

void cli_complete_commands(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (const CliGroup *group = cli_groups(); group->title; group++)
        for (const CliCommand *command = group->commands; command->name; command++)
            if (!(command->flags & CLI_CMD_HIDDEN))
                g_ptr_array_add(words, g_strdup(command->name));
}

/** The second word of `pool list`: what follows "FIRST-" in command names. */
static void add_second_words(const char *first, GPtrArray *words)
{
    g_autofree char *prefix = g_strdup_printf("%s-", first);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    cli_complete_commands(NULL, NULL, names);
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (g_str_has_prefix(name, prefix))
            g_ptr_array_add(words, g_strdup(name + strlen(prefix)));
    }
}

static void add_options(const CliOption *options, const CliArgs *args, GPtrArray *words)
{
    for (; options && options->name; options++) {
        if (options->kind == CLI_OPT_ALIAS || options->kind == CLI_OPT_ARGV)
            continue;
        if (!cli_args_has(args, options->name))
            g_ptr_array_add(words, g_strdup_printf("--%s", options->name));
    }
}

static void add_common_options(const CliArgs *args, GPtrArray *words)
{
    for (const CliOption *option = cli_common_options(); option->name; option++)
        if (cli_common_option_applies(option, args->command) && !cli_args_has(args, option->name))
            g_ptr_array_add(words, g_strdup_printf("--%s", option->name));
}

/** Values of @option; with a list, each goes after what was typed up to its last comma. */
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

/** The first option that a plain word would fill. */
static const CliOption *positional(const CliArgs *args)
{
    for (const CliOption *option = args->command->options; option && option->name; option++)
        if (option->kind != CLI_OPT_BOOL && option->kind != CLI_OPT_ALIAS &&
            !(option->flags & CLI_OPT_NAMED) &&
            (option->kind == CLI_OPT_ARGV || !cli_args_has(args, option->name)))
            return option;
    return NULL;
}

static void add_for_command(CliCtl *ctl, const CliArgs *args, const CliOption *pending,
                            gboolean data_only, const char *typed, GPtrArray *words)
{
    const CliOption *option = pending;

    if (!pending && !data_only && (!*typed || *typed == '-')) {
        add_options(args->command->options, args, words);
        if (*typed)
            add_common_options(args, words);
    }
    /* Optional ones too may be plain words, but offering them all the time would be noise. */
    if (!option) {
        option = positional(args);
        if (option && !(option->flags & CLI_OPT_REQUIRED) && option->kind != CLI_OPT_ARGV &&
            !g_str_equal(args->command->name, "help"))
            option = NULL;
    }
    if (option && (pending || *typed != '-'))
        add_values(ctl, args, option, typed, words);
}

static void drop_others(GPtrArray *words, const char *typed)
{
    for (guint i = words->len; i > 0; i--)
        if (!g_str_has_prefix(g_ptr_array_index(words, i - 1), typed))
            g_ptr_array_remove_index(words, i - 1);
}

GPtrArray *cli_complete_line(CliCtl *ctl, int argc, char **argv)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    const char *typed = argc > 0 ? argv[argc - 1] : "";
    const CliOption *pending = NULL;
    gboolean data_only = FALSE;
    g_autoptr(CliArgs) args = NULL;

    if (argc <= 1) {
        cli_complete_commands(ctl, NULL, words);
    } else {
        args = cli_parse_partial(argc - 1, argv, &pending, &data_only);
        if (args)
            add_for_command(ctl, args, pending, data_only, typed, words);
        else if (argc == 2)
            add_second_words(argv[0], words);
    }
    drop_others(words, typed);
    return words;
}
