/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration of the command line. Files are read into a local struct, so that a mistake
 * leaves the caller's configuration unchanged. The user's file is read second, so that it overrides
 * the system's file.
 */
#include "config.h"

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/input.h>
#include <base/place.h>
#include <base/settings.h>
#include <model/pool_type.h>

#define CONFIG_MAX    65536 /* bytes */
#define SYSTEM_CONFIG "/etc/cistern/client.conf"

gboolean cli_color_parse(const char *word, CliColor *ret_color)
{
    static const char *const words[] = {
        [CLI_COLOR_AUTO] = "auto", [CLI_COLOR_ALWAYS] = "always", [CLI_COLOR_NEVER] = "never"};

    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        if (g_str_equal(word, words[i])) {
            *ret_color = (CliColor)i;
            return TRUE;
        }
    return FALSE;
}

static void default_clear(CliDefault *one)
{
    g_clear_pointer(&one->value, g_free);
    g_clear_pointer(&one->origin, g_free);
}

static void default_free(gpointer data)
{
    default_clear(data);
    g_free(data);
}

void cli_config_clear(CliConfig *config)
{
    g_free(config->uri);
    default_clear(&config->pool);
    g_free(config->format);
    g_clear_pointer(&config->columns, g_hash_table_unref);
    *config = (CliConfig){0};
}

/* --- settings --------------------------------------------------------------------------------- */

/* The file that is being read. */
typedef struct {
    const CliGroup *groups;
    const char *path;
    gboolean is_own; /* the user's own file, which may set output options */
    CliConfig *config;
    unsigned line;
} Loading;

static CliDefault default_at(const Loading *loading, const char *value)
{
    return (CliDefault){g_strdup(value),
                        g_strdup_printf(_("%s: line %u"), loading->path, loading->line)};
}

static gboolean not_empty(const char *value, GError **error)
{
    return *value || cst_fail(error, CST_ERROR_CONFIG, "%s", _("there is no value"));
}

static gboolean set_uri(const Loading *loading, const char *key, const char *value, GError **error)
{
    g_free(loading->config->uri);
    loading->config->uri = g_strdup(value);
    return not_empty(value, error);
}

static gboolean set_pool(const Loading *loading, const char *key, const char *value, GError **error)
{
    default_clear(&loading->config->pool);
    loading->config->pool = default_at(loading, value);
    return not_empty(value, error);
}

static gboolean set_format(const Loading *loading, const char *key, const char *value,
                           GError **error)
{
    for (CstPoolType type = 0; cst_pool_type_info(type); type++)
        if (cst_pool_volume_format_ok(type, value)) {
            g_free(loading->config->format);
            loading->config->format = g_strdup(value);
            return TRUE;
        }
    return cst_fail(error, CST_ERROR_CONFIG, _("'%s' is no format of volumes"), value);
}

static gboolean config_set_color(const Loading *loading, const char *key, const char *value,
                                 GError **error)
{
    loading->config->has_color = TRUE;
    return cli_color_parse(value, &loading->config->color) ||
           cst_fail(error, CST_ERROR_CONFIG, _("'%s' is not one of auto, always, never"), value);
}

/* The list command checks the column names later. Its error message names this file and line. */
static gboolean set_columns(const Loading *loading, const char *key, const char *value,
                            GError **error)
{
    const CliCommand *command = cli_command_find(loading->groups, key);
    CliDefault *one;

    if (!command || !cli_command_option(command, "columns"))
        return cst_fail(error, CST_ERROR_CONFIG, "%s", _("there is no such list"));
    one = g_new(CliDefault, 1);
    *one = default_at(loading, value);
    if (!loading->config->columns)
        loading->config->columns =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, default_free);
    g_hash_table_replace(loading->config->columns, g_strdup(command->name), one);
    return not_empty(value, error);
}

static const struct {
    const char *group, *key; /* key NULL: any key */
    gboolean is_output;      /* only accepted in the user's own file */
    gboolean (*set)(const Loading *loading, const char *key, const char *value, GError **error);
} settings[] = {
    {"defaults", "uri", FALSE, set_uri},       {"defaults", "pool", FALSE, set_pool},
    {"defaults", "format", FALSE, set_format}, {"output", "color", TRUE, config_set_color},
    {"columns", NULL, TRUE, set_columns},
};

static gboolean config_apply_setting(const char *group, const char *key, const char *value,
                                     unsigned line, gpointer data, GError **error)
{
    Loading *loading = data;

    loading->line = line;
    for (gsize i = 0; i < G_N_ELEMENTS(settings); i++) {
        if (!g_str_equal(group, settings[i].group) ||
            (settings[i].key && !g_str_equal(key, settings[i].key)))
            continue;
        if (settings[i].is_output && !loading->is_own)
            return cst_fail(error, CST_ERROR_CONFIG, "%s",
                            _("scripts rely on the output: only a user's own file may set this"));
        return settings[i].set(loading, key, value, error);
    }
    return cst_fail(error, CST_ERROR_CONFIG, "%s", _("there is no such setting"));
}

/* --- files ------------------------------------------------------------------------------------ */

static gboolean config_load_file(Loading *loading, gboolean required, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *text = NULL;
    size_t len = 0;

    if (!cst_input_read(loading->path, CST_FILE_TRUSTED, CONFIG_MAX, &text, &len, &why)) {
        if (!required && g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (cst_settings_read(text, len, config_apply_setting, loading, error))
        return TRUE;
    g_prefix_error(error, "%s: ", loading->path);
    return FALSE;
}

/*
 * Return: TRUE if the directory of @path belongs to this user, and no other user can exchange a
 * directory on the way. HOME may name another user's directory, whose links lead anywhere.
 */
static gboolean is_in_our_home(const char *path)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;

    return cst_place_init(&place, path, NULL) && cst_place_is_secure(&place) &&
           place.owner == geteuid();
}

static gboolean load_all(const CliGroup *groups, CliConfig *config, GError **error)
{
    const char *named = g_getenv("CISTERN_CONFIG");
    g_autofree char *own = g_build_filename(g_get_user_config_dir(), "cistern/client.conf", NULL);
    Loading loading = {groups, SYSTEM_CONFIG, FALSE, config, 0};

    if (named && (!*named || g_str_equal(named, "/dev/null")))
        return TRUE;
    if (!named && !config_load_file(&loading, FALSE, error))
        return FALSE;
    loading.path = named ? named : own;
    loading.is_own = TRUE;
    return (!named && !is_in_our_home(own)) || config_load_file(&loading, named != NULL, error);
}

gboolean cli_config_load(const CliGroup *groups, CliConfig *ret_config, GError **error)
{
    CliConfig config = {0};

    if (load_all(groups, &config, error)) {
        *ret_config = config;
        return TRUE;
    }
    cli_config_clear(&config);
    return FALSE;
}

/* --- defaults for missing words --------------------------------------------------------------- */

void cli_config_imply_pool(const CliConfig *config, CliArgs *args)
{
    for (const CliOption *option = args->command->options; option && option->name; option++)
        if (config->pool.value && (option->flags & CLI_OPT_POOL) &&
            !cli_args_has(args, option->name) && !cli_args_name_pool(args, option))
            cli_args_imply(args, option, config->pool.value, config->pool.origin);
}

void cli_config_imply_columns(const CliConfig *config, CliArgs *args)
{
    static const char *const shapes[] = {"columns", "details",  "name", "uuid",
                                         "format",  "parsable", NULL};
    const CliOption *option = cli_command_option(args->command, "columns");
    const CliDefault *one = option && config->columns
                                ? g_hash_table_lookup(config->columns, args->command->name)
                                : NULL;

    for (const char *const *shape = shapes; one && *shape; shape++)
        if (cli_args_has(args, *shape))
            return;
    if (one)
        cli_args_imply(args, option, one->value, one->origin);
}
