/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Notification rules of a configuration file: a group "notify NAME" with the keys of the table. */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <base/url.h>

#include "notify_private.h"

#define GROUP_PREFIX "notify "
#define NAME_MAX_LEN 64
#define REPEAT_S     86400
#define INTERVAL_S   60
#define SECONDS_MAX  (366 * UINT64_C(86400))

static void notify_rule_free(gpointer data)
{
    CstNotifyRule *rule = data;

    g_free(rule->name);
    g_strfreev(rule->events);
    g_strfreev(rule->mail);
    g_free(rule->sendmail);
    g_free(rule->webhook);
    g_free(rule->program);
    g_free(rule->webhook_key);
    g_free(rule->webhook_ca);
    g_free(rule);
}

CstNotifyRules *cst_notify_rules_new(void)
{
    CstNotifyRules *rules = g_new0(CstNotifyRules, 1);

    rules->rules = g_ptr_array_new_with_free_func(notify_rule_free);
    return rules;
}

void cst_notify_rules_free(CstNotifyRules *rules)
{
    if (!rules)
        return;
    g_ptr_array_unref(rules->rules);
    g_free(rules);
}

/* --- values ----------------------------------------------------------------------------------- */

/* Returns the words of a list with blanks or commas between them. */
static GStrv words_split(const char *value)
{
    g_auto(GStrv) parts = g_strsplit_set(value, ", \t", -1);
    g_autoptr(GPtrArray) words = g_ptr_array_new();

    for (char **part = parts; *part; part++)
        if (**part)
            g_ptr_array_add(words, g_strdup(*part));
    g_ptr_array_add(words, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&words), FALSE);
}

static gboolean rule_set_events(CstNotifyRule *rule, const char *value, GError **error)
{
    CstEventKind kind;
    CstSeverity severity;

    g_strfreev(rule->events);
    rule->events = words_split(value);
    for (char **word = rule->events; *word; word++)
        if (strcmp(*word, "all") != 0 && !cst_severity_parse(*word, &severity) &&
            !cst_event_kind_parse(*word, &kind))
            return cst_fail(error, CST_ERROR_CONFIG,
                            _("'%s' is no kind of event and no severity (events --kinds)"), *word);
    return TRUE;
}

/* An address becomes an argument of sendmail and a line of the header. */
static gboolean address_is_plain(const char *address)
{
    for (const char *p = address; *p; p++)
        if (!g_ascii_isgraph(*p) || strchr("<>()[]\\;:\"'`|&$!*?{}", *p))
            return FALSE;
    return *address != '-' && strlen(address) <= 254;
}

static gboolean rule_set_mail(CstNotifyRule *rule, const char *value, GError **error)
{
    g_strfreev(rule->mail);
    rule->mail = words_split(value);
    for (char **word = rule->mail; *word; word++)
        if (!address_is_plain(*word))
            return cst_fail(error, CST_ERROR_CONFIG, _("'%s' is no address of mail"), *word);
    return *rule->mail ||
           cst_fail(error, CST_ERROR_CONFIG, "%s", _("an address of mail is missing"));
}

static gboolean url_host_is_local(const char *rest)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
    size_t len = strcspn(rest, "/?#");

    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
        size_t host = strlen(hosts[i]);

        if (len >= host && g_ascii_strncasecmp(rest, hosts[i], host) == 0 &&
            (len == host ||
             (rest[host] == ':' && strspn(rest + host + 1, "0123456789") == len - host - 1)))
            return TRUE;
    }
    return FALSE;
}

static gboolean rule_set_webhook(CstNotifyRule *rule, const char *value, GError **error)
{
    for (const char *p = value; *p; p++)
        if (!g_ascii_isgraph(*p))
            return cst_fail(error, CST_ERROR_CONFIG, "%s", _("the URL has a blank"));
    if (!g_str_has_prefix(value, "https://") &&
        !(g_str_has_prefix(value, "http://") && url_host_is_local(value + strlen("http://"))))
        return cst_fail(error, CST_ERROR_CONFIG, "%s",
                        _("a webhook needs a URL of https, or of http on this host"));
    g_free(rule->webhook);
    rule->webhook = g_strdup(value);
    return TRUE;
}

static gboolean path_set(char **path, const char *value, GError **error)
{
    if (!g_path_is_absolute(value))
        return cst_fail(error, CST_ERROR_CONFIG, _("'%s' is no absolute path"), value);
    g_free(*path);
    *path = g_strdup(value);
    return TRUE;
}

static gboolean rule_set_program(CstNotifyRule *rule, const char *value, GError **error)
{
    return path_set(&rule->program, value, error);
}

static gboolean rule_set_sendmail(CstNotifyRule *rule, const char *value, GError **error)
{
    return path_set(&rule->sendmail, value, error);
}

static gboolean rule_set_key(CstNotifyRule *rule, const char *value, GError **error)
{
    return path_set(&rule->webhook_key, value, error);
}

static gboolean rule_set_ca(CstNotifyRule *rule, const char *value, GError **error)
{
    return path_set(&rule->webhook_ca, value, error);
}

static gboolean seconds_set(uint64_t *seconds, const char *value, GError **error)
{
    return (cst_units_parse_seconds(value, seconds) && *seconds <= SECONDS_MAX) ||
           cst_fail(error, CST_ERROR_CONFIG,
                    _("'%s' is no duration; give a number followed by s, m, h or d"), value);
}

static gboolean rule_set_repeat(CstNotifyRule *rule, const char *value, GError **error)
{
    return seconds_set(&rule->repeat_s, value, error);
}

static gboolean rule_set_interval(CstNotifyRule *rule, const char *value, GError **error)
{
    return seconds_set(&rule->interval_s, value, error);
}

static const struct {
    const char *key;
    gboolean (*set)(CstNotifyRule *rule, const char *value, GError **error);
} keys[] = {
    {"events", rule_set_events},     {"mail", rule_set_mail},       {"webhook", rule_set_webhook},
    {"sendmail", rule_set_sendmail}, {"program", rule_set_program}, {"webhook_key", rule_set_key},
    {"webhook_ca", rule_set_ca},     {"repeat", rule_set_repeat},   {"interval", rule_set_interval},
};

/* --- rules ------------------------------------------------------------------------------------ */

gboolean cst_notify_is_rule(const char *group)
{
    return g_str_has_prefix(group, GROUP_PREFIX);
}

static gboolean rule_name_is_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= NAME_MAX_LEN &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

/* Returns the rule @name, which is new if it does not exist; NULL with an error. */
static CstNotifyRule *rules_need(CstNotifyRules *rules, const char *name, GError **error)
{
    CstNotifyRule *rule;

    for (guint i = 0; i < rules->rules->len; i++) {
        rule = rules->rules->pdata[i];
        if (strcmp(rule->name, name) == 0)
            return rule;
    }
    if (!rule_name_is_valid(name)) {
        cst_fail(error, CST_ERROR_CONFIG,
                 _("the name of a rule has letters, digits, '.', '_' and '-', at most %d"),
                 NAME_MAX_LEN);
        return NULL;
    }
    if (rules->rules->len >= CST_NOTIFY_RULES_MAX) {
        cst_fail(error, CST_ERROR_CONFIG, _("there are more than %d rules"), CST_NOTIFY_RULES_MAX);
        return NULL;
    }
    rule = g_new0(CstNotifyRule, 1);
    rule->name = g_strdup(name);
    rule->repeat_s = REPEAT_S;
    rule->interval_s = INTERVAL_S;
    g_ptr_array_add(rules->rules, rule);
    return rule;
}

gboolean cst_notify_rules_set(CstNotifyRules *rules, const char *group, const char *key,
                              const char *value, GError **error)
{
    CstNotifyRule *rule = rules_need(rules, group + strlen(GROUP_PREFIX), error);

    if (!rule)
        return FALSE;
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (strcmp(key, keys[i].key) == 0)
            return keys[i].set(rule, value, error);
    return cst_fail(error, CST_ERROR_CONFIG, "%s", _("there is no such setting"));
}

static int rule_compare(gconstpointer a, gconstpointer b)
{
    return strcmp((*(CstNotifyRule *const *)a)->name, (*(CstNotifyRule *const *)b)->name);
}

gboolean cst_notify_rules_check(CstNotifyRules *rules, GError **error)
{
    for (guint i = 0; i < rules->rules->len; i++) {
        const CstNotifyRule *rule = rules->rules->pdata[i];

        if (!rule->events || !*rule->events)
            return cst_fail(error, CST_ERROR_CONFIG, _("[notify %s] needs events"), rule->name);
        if (!!rule->mail + !!rule->webhook + !!rule->program != 1)
            return cst_fail(error, CST_ERROR_CONFIG,
                            _("[notify %s] needs one of mail, webhook and program"), rule->name);
    }
    g_ptr_array_sort(rules->rules, rule_compare);
    return TRUE;
}

char *cst_notify_rules_text(const CstNotifyRules *rules)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; rules && i < rules->rules->len; i++) {
        const CstNotifyRule *rule = rules->rules->pdata[i];
        g_autofree char *events = g_strjoinv(" ", rule->events);
        g_autofree char *mail = rule->mail ? g_strjoinv(" ", rule->mail) : NULL;

        const char *const values[] = {rule->name,        events,          mail,
                                      rule->sendmail,    rule->webhook,   rule->program,
                                      rule->webhook_key, rule->webhook_ca};

        for (size_t k = 0; k < G_N_ELEMENTS(values); k++)
            g_string_append_printf(text, "%s\n", values[k] ? values[k] : "");
        g_string_append_printf(text, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "\n",
                               rule->repeat_s, rule->interval_s);
    }
    return g_string_free(text, FALSE);
}

gboolean cst_notify_rule_selects(const CstNotifyRule *rule, const CstEventRecord *event)
{
    CstEventKind kind;
    /* The end of a state goes to the rules that select its begin. */
    CstSeverity severity = event->over && cst_event_kind_parse(event->kind, &kind)
                               ? cst_event_kind_info(kind)->severity
                               : event->severity;

    if (strcmp(event->type, "rule") == 0 && strcmp(event->object, rule->name) == 0)
        return FALSE;
    for (char **word = rule->events; *word; word++) {
        CstSeverity least;

        if (strcmp(*word, "all") == 0 || strcmp(*word, event->kind) == 0 ||
            (cst_severity_parse(*word, &least) && severity >= least))
            return TRUE;
    }
    return FALSE;
}

char *cst_notify_rule_target(const CstNotifyRule *rule)
{
    g_autofree char *shown = NULL;

    if (rule->mail) {
        shown = g_strjoinv(" ", rule->mail);
        return g_strdup_printf("mail %s", shown);
    }
    if (rule->program)
        return g_strdup_printf("program %s", rule->program);
    /* The path of a webhook often has its secret. */
    shown = g_strndup(rule->webhook, strcspn(rule->webhook, "?#"));
    {
        char *host = strstr(shown, "://") + strlen("://");
        char *path = host + strcspn(host, "/");
        char *user = memchr(host, '@', (size_t)(path - host));
        g_autofree char *scheme = g_strndup(shown, (size_t)(host - shown));
        g_autofree char *name = user ? g_strndup(user + 1, (size_t)(path - user - 1))
                                     : g_strndup(host, (size_t)(path - host));

        return g_strdup_printf("webhook %s%s", scheme, name);
    }
}
