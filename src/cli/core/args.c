/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values of a parsed command line. An option's row defines its kind and whether it may be empty. A
 * value is converted when the command asks for it. The first mistake in the command's own order is
 * therefore reported, as in virsh. Texts are borrowed from the CliArgs.
 */
#include "args.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

static void arg_clear(gpointer data)
{
    CliArg *arg = data;

    g_free(arg->value);
}

CliArgs *cli_args_new(const CliCommand *command)
{
    CliArgs *args = g_new0(CliArgs, 1);

    args->command = command;
    args->items = g_array_new(FALSE, FALSE, sizeof(CliArg));
    g_array_set_clear_func(args->items, arg_clear);
    return args;
}

void cli_args_free(CliArgs *args)
{
    if (!args)
        return;
    g_array_unref(args->items);
    g_free(args);
}

static const CliArg *args_find_item(const CliArgs *args, const char *name)
{
    for (guint i = 0; i < args->items->len; i++) {
        const CliArg *item = &g_array_index(args->items, CliArg, i);

        if (g_str_equal(item->option->name, name))
            return item;
    }
    return NULL;
}

const char *cli_full_name(const char *word)
{
    const char *slash = strchr(word, '/');

    return slash && slash > word && slash[1] ? slash + 1 : NULL;
}

char *cli_full_name_pool(const char *word)
{
    const char *name = cli_full_name(word);

    return name ? g_strndup(word, (size_t)(name - 1 - word)) : NULL;
}

static gboolean command_has_rest(const CliCommand *command)
{
    for (const CliOption *option = command->options; option && option->name; option++)
        if (option->kind == CLI_OPT_ARGV)
            return TRUE;
    return FALSE;
}

/*
 * Return: TRUE if a value POOL/NAME of @option also gives the pool, so that @pool may be omitted.
 */
static gboolean option_names_pool(const CliOption *option, const CliOption *pool)
{
    return option->names_pool && g_str_equal(option->names_pool, pool->name);
}

gboolean cli_args_name_pool(const CliArgs *args, const CliOption *option)
{
    for (guint i = 0; i < args->items->len; i++) {
        const CliArg *item = &g_array_index(args->items, CliArg, i);

        if (item->value && option_names_pool(item->option, option) && cli_full_name(item->value))
            return TRUE;
    }
    return FALSE;
}

/*
 * Return: TRUE if @word is POOL/NAME, or its beginning, at the position where virsh expects @pool.
 * The option for the name must not have been given yet.
 */
static gboolean stands_for_pool(const CliArgs *args, const CliOption *pool, const char *word)
{
    const char *slash = word ? strchr(word, '/') : NULL;

    for (const CliOption *option = args->command->options; option->name; option++)
        if (option_names_pool(option, pool) && cli_option_is_positional(option))
            return (pool->flags & CLI_OPT_REQUIRED) && slash && slash > word &&
                   !cli_args_has(args, option->name);
    return FALSE;
}

gboolean cli_args_takes_word(const CliArgs *args, const CliOption *option, const char *word)
{
    return cli_option_is_positional(option) && !cli_args_name_pool(args, option) &&
           !stands_for_pool(args, option, word) &&
           (!(option->flags & CLI_OPT_NO_SLASH) || !command_has_rest(args->command) ||
            (!args->by_alias && !(word && strchr(word, '/'))));
}

gboolean cli_args_has(const CliArgs *args, const char *name)
{
    return args_find_item(args, name) != NULL;
}

gboolean cli_args_is_plain(const CliArgs *args, const char *name)
{
    const CliArg *item = args_find_item(args, name);

    return item && item->plain;
}

const char *cli_args_origin(const CliArgs *args, const char *name)
{
    const CliArg *item = args_find_item(args, name);

    return item ? item->origin : NULL;
}

void cli_args_imply(CliArgs *args, const CliOption *option, const char *value, const char *origin)
{
    const CliArg item = {.option = option, .value = g_strdup(value), .origin = origin};

    g_array_append_val(args->items, item);
}

gboolean cli_args_string(const CliArgs *args, const char *name, const char **ret_value,
                         GError **error)
{
    const CliArg *item = args_find_item(args, name);

    if (!item) {
        *ret_value = NULL;
        return TRUE;
    }
    if (item->value[0] == '\0' && !(item->option->flags & CLI_OPT_EMPTY_OK))
        return cst_fail(error, CST_ERROR_USAGE,
                        _("Failed to get option '%s': Option argument is empty"), name);
    *ret_value = item->value;
    return TRUE;
}

gboolean cli_args_bad_number(const char *value, const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_USAGE,
                    _("Numeric value '%s' for <%s> option is malformed or out of range"), value,
                    name);
}

gboolean cli_args_uint(const CliArgs *args, const char *name, unsigned *ret_value, GError **error)
{
    const CliArg *item = args_find_item(args, name);
    guint64 value = 0;

    if (!item)
        return TRUE;
    if (!g_ascii_string_to_unsigned(item->value, 10, 0, G_MAXUINT, &value, NULL))
        return cli_args_bad_number(item->value, name, error);
    *ret_value = (unsigned)value;
    return TRUE;
}

gboolean cli_args_size(const CliArgs *args, const char *name, uint64_t default_scale,
                       uint64_t *ret_value, GError **error)
{
    const CliArg *item = args_find_item(args, name);

    if (!item)
        return TRUE;
    if (!cst_units_parse(item->value, default_scale, ret_value, NULL))
        return cli_args_bad_number(item->value, name, error);
    return TRUE;
}

gboolean cli_parse_time(const char *text, int64_t *ret_time)
{
    g_autoptr(GTimeZone) zone = g_time_zone_new_local();
    g_autofree char *full = strlen(text) == strlen("2026-12-01")
                                ? g_strconcat(text, "T00:00:00", NULL)
                                : g_strdup(text);
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(full, zone);

    if (time)
        *ret_time = g_date_time_to_unix(time);
    return time != NULL;
}

gboolean cli_args_time(const CliArgs *args, const char *name, int64_t *ret_time, GError **error)
{
    const char *text = NULL;

    if (!cli_args_string(args, name, &text, error))
        return FALSE;
    return !text || cli_parse_time(text, ret_time) ||
           cst_fail(error, CST_ERROR_USAGE,
                    _("--%s '%s' is no time, such as 2026-12-01 or 2026-12-01T12:00:00"), name,
                    text);
}

gboolean cli_args_since(const CliArgs *args, const char *name, int64_t *ret_time, GError **error)
{
    const char *text = NULL;
    uint64_t ago;

    if (!cli_args_string(args, name, &text, error))
        return FALSE;
    /* A number without a unit may be meant as days. */
    if (text && *text && !g_ascii_isdigit(text[strlen(text) - 1]) &&
        cst_units_parse_seconds(text, &ago) && ago > 0 && ago <= CLI_SINCE_MAX_S) {
        *ret_time = MAX(g_get_real_time() / G_USEC_PER_SEC - (int64_t)ago, 0);
        return TRUE;
    }
    return !text || cli_parse_time(text, ret_time) ||
           cst_fail(error, CST_ERROR_USAGE,
                    _("--%s '%s' is no time and no duration, such as 2026-12-01, 2h or 30d"), name,
                    text);
}

gboolean cli_args_timeout(const CliArgs *args, int *ret_ms, GError **error)
{
    const CliArg *item = args_find_item(args, "timeout");
    unsigned seconds = 0;

    if (!item)
        return TRUE;
    if (!cli_args_uint(args, "timeout", &seconds, error))
        return FALSE;
    if (seconds == 0 || seconds > G_MAXINT / 1000)
        return cli_args_bad_number(item->value, "timeout", error);
    *ret_ms = (int)seconds * 1000;
    return TRUE;
}

gboolean cli_args_exclusive(const CliArgs *args, const char *a, const char *b, GError **error)
{
    if (cli_args_has(args, a) && cli_args_has(args, b))
        return cst_fail(error, CST_ERROR_USAGE, _("Options --%s and --%s are mutually exclusive"),
                        a, b);
    return TRUE;
}

GPtrArray *cli_args_rest(const CliArgs *args)
{
    GPtrArray *rest = g_ptr_array_new();

    for (guint i = 0; i < args->items->len; i++) {
        const CliArg *item = &g_array_index(args->items, CliArg, i);

        if (item->option->kind == CLI_OPT_ARGV)
            g_ptr_array_add(rest, item->value);
    }
    return rest;
}
