/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads cisternd.conf, a GLib key file. The table settings has a row for each key; a setter checks
 * the value and stores it. The file is read into a local struct, so that a file with an error
 * changes nothing.
 *
 * A number that the file does not set stays 0, which means the built-in default. max_wait has a
 * flag, because 0 is a valid value of it.
 */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/settings.h>
#include <hypervisor/hypervisor.h>
#include <service/audit.h>

/* --- settings -------------------------------------------------------------------------------- */

/*
 * Fails if the group does not exist, because a start without it would silently lock out its
 * members.
 */
static gboolean set_group(const char *value, DaemonConfig *config, GError **error)
{
    const struct group *group = getgrnam(value);

    if (!group)
        return cst_fail(error, CST_ERROR_CONFIG, _("there is no group '%s'"), value);
    config->has_group = TRUE;
    config->group = group->gr_gid;
    return TRUE;
}

static gboolean daemon_parse_mode(const char *value, mode_t *ret_mode, GError **error)
{
    char *end;
    unsigned long mode = strtoul(value, &end, 8);

    if (*value == '\0' || *end != '\0' || mode > 0777)
        return cst_fail(error, CST_ERROR_CONFIG, _("'%s' is not an octal mode such as 0770"),
                        value);
    *ret_mode = (mode_t)mode;
    return TRUE;
}

static gboolean set_mode(const char *value, DaemonConfig *config, GError **error)
{
    return daemon_parse_mode(value, &config->mode, error);
}

static gboolean set_mode_ro(const char *value, DaemonConfig *config, GError **error)
{
    return daemon_parse_mode(value, &config->mode_ro, error);
}

static gboolean parse_count(const char *value, guint max, guint *ret_count, GError **error)
{
    guint64 count;

    if (!g_ascii_string_to_unsigned(value, 10, 1, max, &count, NULL))
        return cst_fail(error, CST_ERROR_CONFIG, _("'%s' is not a number from 1 to %u"), value,
                        max);
    *ret_count = (guint)count;
    return TRUE;
}

static gboolean set_max_clients(const char *value, DaemonConfig *config, GError **error)
{
    return parse_count(value, 1000000, &config->max_clients, error);
}

static gboolean set_max_requests(const char *value, DaemonConfig *config, GError **error)
{
    return parse_count(value, 65536, &config->max_requests, error);
}

static gboolean set_workers(const char *value, DaemonConfig *config, GError **error)
{
    return parse_count(value, 1024, &config->workers, error);
}

static gboolean set_max_wait(const char *value, DaemonConfig *config, GError **error)
{
    guint64 seconds;

    if (!g_ascii_string_to_unsigned(value, 10, 0, 86400, &seconds, NULL))
        return cst_fail(error, CST_ERROR_CONFIG, _("'%s' is not a number from 0 to %u"), value,
                        86400);
    config->has_max_wait = TRUE;
    config->max_wait = (guint)seconds;
    return TRUE;
}

static gboolean set_copies(const char *value, DaemonConfig *config, GError **error)
{
    return parse_count(value, 1024, &config->copies, error);
}

static gboolean set_max_user_memory(const char *value, DaemonConfig *config, GError **error)
{
    return parse_count(value, 1048576, &config->max_user_memory, error);
}

/*
 * Sets *@ret_number to the index of @value in @words. Accepts the value with or without quotes,
 * because libvirt's configuration files use quotes and key files do not.
 */
static gboolean parse_word(const char *value, const char *const *words, guint *ret_number,
                           GError **error)
{
    g_autofree char *bare = g_strndup(value + (*value == '"'), strlen(value));
    g_autofree char *all = NULL;

    if (g_str_has_suffix(bare, "\""))
        bare[strlen(bare) - 1] = '\0';
    for (guint i = 0; words[i]; i++)
        if (g_str_equal(bare, words[i])) {
            *ret_number = i;
            return TRUE;
        }
    all = g_strjoinv(", ", (char **)words);
    return cst_fail(error, CST_ERROR_CONFIG, _("'%s' is not one of %s"), value, all);
}

static gboolean set_compatibility(const char *value, DaemonConfig *config, GError **error)
{
    static const char *const words[] = {"cistern", "libvirt", NULL};
    guint number;

    if (!parse_word(value, words, &number, error))
        return FALSE;
    config->like_libvirt = number == 1;
    return TRUE;
}

static gboolean set_hypervisor(const char *value, DaemonConfig *config, GError **error)
{
    g_clear_pointer(&config->hypervisor, g_strfreev);
    return cst_hypervisor_parse_uris(value, &config->hypervisor, error);
}

static gboolean set_backup_scratch(const char *value, DaemonConfig *config, GError **error)
{
    return cst_hypervisor_parse_scratch(value, &config->backup_scratch, error);
}

static gboolean parse_yes_no(const char *value, gboolean *ret_yes, GError **error)
{
    static const char *const words[] = {"no", "yes", NULL};
    guint number;

    if (!parse_word(value, words, &number, error))
        return FALSE;
    *ret_yes = number == 1;
    return TRUE;
}

static gboolean set_core_dumps(const char *value, DaemonConfig *config, GError **error)
{
    return parse_yes_no(value, &config->core_dumps, error);
}

static gboolean set_serve_secrets(const char *value, DaemonConfig *config, GError **error)
{
    gboolean serve;

    if (!parse_yes_no(value, &serve, error))
        return FALSE;
    config->leave_secrets = !serve;
    return TRUE;
}

static gboolean set_seal_secrets(const char *value, DaemonConfig *config, GError **error)
{
    static const char *const words[] = {
        [CST_SEAL_AUTO] = "auto", [CST_SEAL_ALWAYS] = "yes", [CST_SEAL_NEVER] = "no", NULL};
    guint number;

    if (!parse_word(value, words, &number, error))
        return FALSE;
    config->secrets.seal = (CstSealPolicy)number;
    return TRUE;
}

static gboolean set_secret_max_age(const char *value, DaemonConfig *config, GError **error)
{
    return parse_count(value, 36500, &config->secrets.max_age_days, error);
}

static gboolean set_audit_max_size(const char *value, DaemonConfig *config, GError **error)
{
    return cst_audit_parse_limit(value, &config->audit_mib, error);
}

static gboolean config_set_log_level(const char *value, DaemonConfig *config, GError **error)
{
    static const struct {
        const char *word;
        CstLogLevel level;
    } levels[] = {{"error", CST_LOG_ERROR},
                  {"warning", CST_LOG_WARNING},
                  {"info", CST_LOG_INFO},
                  {"debug", CST_LOG_DEBUG}};

    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
        if (g_str_equal(value, levels[i].word)) {
            config->log_level = levels[i].level;
            return TRUE;
        }
    return cst_fail(error, CST_ERROR_CONFIG, _("'%s' is not one of error, warning, info, debug"),
                    value);
}

static const struct {
    const char *group, *key;
    gboolean (*set)(const char *value, DaemonConfig *config, GError **error);
} settings[] = {
    {"access", "group", set_group},
    {"access", "socket_mode", set_mode},
    {"access", "socket_ro_mode", set_mode_ro},
    {"limits", "max_clients", set_max_clients},
    {"limits", "max_requests", set_max_requests},
    {"limits", "workers", set_workers},
    {"limits", "copies", set_copies},
    {"limits", "max_wait", set_max_wait},
    {"limits", "max_user_memory", set_max_user_memory},
    {"service", "compatibility", set_compatibility},
    {"service", "core_dumps", set_core_dumps},
    {"secrets", "serve", set_serve_secrets},
    {"service", "hypervisor", set_hypervisor},
    {"service", "backup_scratch", set_backup_scratch},
    {"secrets", "seal_secrets", set_seal_secrets},
    {"secrets", "secret_max_age", set_secret_max_age},
    {"audit", "max_size", set_audit_max_size},
    {"log", "level", config_set_log_level},
};

static gboolean daemon_config_apply(const char *group, const char *key, const char *value,
                                    unsigned line, gpointer data, GError **error)
{
    DaemonConfig *config = data;

    if (cst_notify_is_rule(group)) {
        if (!config->notify)
            config->notify = cst_notify_rules_new();
        return cst_notify_rules_set(config->notify, group, key, value, error);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++)
        if (g_str_equal(group, settings[i].group) && g_str_equal(key, settings[i].key))
            return settings[i].set(value, config, error);
    return cst_fail(error, CST_ERROR_CONFIG, "%s", _("there is no such setting"));
}

/* --- the file -------------------------------------------------------------------------------- */

gboolean daemon_config_load(const char *packaged, const char *path, gboolean required,
                            DaemonConfig *ret_config, GError **error)
{
    DaemonConfig config = {.mode_ro = 0777, .log_level = CST_LOG_WARNING};

    if ((packaged &&
         !cst_settings_read_file(packaged, FALSE, daemon_config_apply, &config, error)) ||
        !cst_settings_read_file(path, required, daemon_config_apply, &config, error)) {
        daemon_config_clear(&config);
        return FALSE;
    }
    if (config.notify && !cst_notify_rules_check(config.notify, error)) {
        g_prefix_error(error, "%s: ", path);
        daemon_config_clear(&config);
        return FALSE;
    }
    if (config.mode == 0)
        /*
         * Without a group only the owner may connect. The server checks the permissions of each
         * connection again.
         */
        config.mode = config.has_group ? 0770 : 0700;
    *ret_config = config;
    return TRUE;
}

void daemon_config_clear(DaemonConfig *config)
{
    g_clear_pointer(&config->hypervisor, g_strfreev);
    g_clear_pointer(&config->backup_scratch, g_free);
    g_clear_pointer(&config->notify, cst_notify_rules_free);
}

void daemon_config_limits(const DaemonConfig *config, CstWireOptions *options)
{
    options->has_group = config->has_group;
    options->group = config->group;
    if (config->max_clients)
        options->max_clients = config->max_clients;
    if (config->max_requests)
        options->max_requests = config->max_requests;
    if (config->workers)
        options->workers = config->workers;
    if (config->has_max_wait)
        options->max_wait_seconds = config->max_wait;
    if (config->max_user_memory)
        options->max_user_bytes = (size_t)config->max_user_memory * 1024 * 1024;
}

/* Whether two settings differ. NULL: not set. */
static gboolean uris_differ(const char *const *used, const char *const *read)
{
    return used && read ? !g_strv_equal(used, read) : used != read;
}

static gboolean rules_differ(const CstNotifyRules *used, const CstNotifyRules *read)
{
    g_autofree char *used_text = cst_notify_rules_text(used);
    g_autofree char *read_text = cst_notify_rules_text(read);

    return strcmp(used_text, read_text) != 0;
}

char *daemon_config_changes(const DaemonConfig *used, const DaemonConfig *read)
{
    const struct {
        const char *name;
        gboolean changed;
    } settings_of_start[] = {
        {"group",
         used->has_group != read->has_group || (used->has_group && used->group != read->group)},
        {"socket_mode", used->mode != read->mode},
        {"socket_ro_mode", used->mode_ro != read->mode_ro},
        {"max_clients", used->max_clients != read->max_clients},
        {"max_requests", used->max_requests != read->max_requests},
        {"workers", used->workers != read->workers},
        {"copies", used->copies != read->copies},
        {"max_wait", used->has_max_wait != read->has_max_wait || used->max_wait != read->max_wait},
        {"max_user_memory", used->max_user_memory != read->max_user_memory},
        {"hypervisor",
         uris_differ((const char *const *)used->hypervisor, (const char *const *)read->hypervisor)},
        {"backup_scratch", g_strcmp0(used->backup_scratch, read->backup_scratch) != 0},
        {"core_dumps", used->core_dumps != read->core_dumps},
        {"max_size", used->audit_mib != read->audit_mib},
        {"serve", used->leave_secrets != read->leave_secrets},
        {"seal_secrets", used->secrets.seal != read->secrets.seal},
        {"secret_max_age", used->secrets.max_age_days != read->secrets.max_age_days},
        {"notify", rules_differ(used->notify, read->notify)},
    };
    g_autoptr(GString) names = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(settings_of_start); i++)
        if (settings_of_start[i].changed)
            g_string_append_printf(names, "%s%s", names->len ? ", " : "",
                                   settings_of_start[i].name);
    return names->len ? g_string_free(g_steal_pointer(&names), FALSE) : NULL;
}
