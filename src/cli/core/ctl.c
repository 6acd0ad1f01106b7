/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/units.h>

void cli_ctl_init(CliCtl *ctl, const CliSettings *settings, const CliGroup *groups)
{
    *ctl = (CliCtl){
        .settings = *settings,
        .groups = groups,
        .out = stdout,
        .err = stderr,
        .connected_uri = g_strdup(settings->uri),
    };
}

void cli_ctl_clear(CliCtl *ctl)
{
    g_clear_pointer(&ctl->conn, cst_conn_free);
    g_clear_pointer(&ctl->connected_uri, g_free);
    g_clear_pointer(&ctl->headline, g_free);
    g_clear_pointer(&ctl->hint, g_free);
    g_clear_pointer(&ctl->plan, g_free);
}

/* A URI that can't be read, or whose scheme nobody serves, is no matter of a running server. */
static void hint_at_uris(CliCtl *ctl, const GError *why)
{
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_NO_CONNECT) &&
        !g_error_matches(why, CST_ERROR, CST_ERROR_INVALID))
        return;
    g_free(ctl->hint);
    ctl->hint = g_strdup(_("URIs are storage:///system, storage:///session, "
                           "storage+ssh://HOST/system and storage:///embed?root=DIR"));
}

CstConn *cli_conn(CliCtl *ctl, GError **error)
{
    const CstConnOptions options = {
        .root = ctl->settings.root,
        .read_only = ctl->settings.read_only,
        .embedded = ctl->settings.embedded,
        .must_exist = ctl->settings.dry_run || !ctl->current ||
                      !(ctl->current->command->flags & CLI_CMD_MUTATES),
    };

    if (!ctl->conn)
        ctl->conn = cst_conn_open(ctl->connected_uri, &options, error);
    if (!ctl->conn) {
        cli_failed(ctl, "%s", _("failed to connect to the hypervisor"));
        hint_at_uris(ctl, *error);
        return NULL;
    }
    return cst_conn_set_dry_run(ctl->conn, ctl->settings.dry_run, error) ? ctl->conn : NULL;
}

gboolean cli_reconnect(CliCtl *ctl, const char *uri, gboolean read_only, GError **error)
{
    g_clear_pointer(&ctl->conn, cst_conn_free);
    g_free(ctl->connected_uri);
    ctl->connected_uri = uri && *uri ? g_strdup(uri) : NULL;
    ctl->settings.read_only = read_only;
    return cli_conn(ctl, error) != NULL;
}

void cli_print(CliCtl *ctl, const char *format, ...)
{
    va_list args;

    if (ctl->settings.json)
        return;
    va_start(args, format);
    vfprintf(ctl->out, format, args);
    va_end(args);
}

void cli_extra(CliCtl *ctl, const char *format, ...)
{
    va_list args;

    if (ctl->settings.json || ctl->settings.quiet)
        return;
    va_start(args, format);
    vfprintf(ctl->out, format, args);
    va_end(args);
}

char *cli_size_text(const CliCtl *ctl, uint64_t bytes)
{
    const char *unit;
    double value;

    if (ctl->settings.bytes)
        return g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    value = cst_units_pretty(bytes, &unit);
    return g_strdup_printf("%.2lf %s", value, unit);
}

char *cli_time_text(int64_t seconds)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(seconds);

    return time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S%z") : g_strdup("-");
}

static gboolean read_stream(FILE *file, GString *text, const char *path, GError **error)
{
    char buffer[4096];
    size_t n;

    while ((n = fread(buffer, 1, sizeof(buffer), file)) > 0) {
        if (text->len + n > CLI_XML_MAX)
            return cst_fail(error, CST_ERROR_LIMIT,
                            _("Failed to read file '%s': Value too large for defined data type"),
                            path);
        g_string_append_len(text, buffer, n);
    }
    if (ferror(file))
        return cst_fail_errno(error, errno, _("Failed to read file '%s'"), path);
    return TRUE;
}

gboolean cli_read_xml(const char *path, char **ret_xml, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    FILE *file = fopen(path, "re");
    gboolean ok;

    if (!file)
        return cst_fail_errno(error, errno, _("Failed to open file '%s'"), path);
    ok = read_stream(file, text, path, error);
    fclose(file);
    if (ok)
        *ret_xml = g_string_free(g_steal_pointer(&text), FALSE);
    return ok;
}

void cli_plan(CliCtl *ctl, const char *format, ...)
{
    va_list args;

    if (!ctl->settings.dry_run)
        return;
    g_free(ctl->plan);
    va_start(args, format);
    ctl->plan = g_strdup_vprintf(format, args);
    va_end(args);
}

void cli_tell_plan(CliCtl *ctl)
{
    g_autofree char *plan = g_steal_pointer(&ctl->plan);

    g_clear_pointer(&ctl->headline, g_free);
    if (!plan)
        return;
    if (ctl->settings.json) {
        JsonBuilder *json = cli_json_begin();

        cli_json_add_string(json, "command", ctl->current->command->name);
        cli_json_add_bool(json, "dry_run", TRUE);
        cli_json_add_string(json, "plan", plan);
        cli_json_end(ctl->out, json);
    }
    cli_print(ctl, "%s\n", plan);
}

/* TRUE when @answer begins with the letter of @word, which is "yes" in some language. */
static gboolean begins_alike(const char *answer, const char *word)
{
    return *word && g_unichar_tolower(g_utf8_get_char_validated(answer, -1)) ==
                        g_unichar_tolower(g_utf8_get_char_validated(word, -1));
}

static gboolean ask(CliCtl *ctl, const char *question)
{
    char answer[16] = "";

    /* Translators: the letters for yes and no; "no" is the answer to Enter alone. */
    fprintf(ctl->err, "%s %s ", question, _("[y/N]"));
    fflush(ctl->err);
    if (!fgets(answer, sizeof(answer), stdin))
        return FALSE;
    /* Translators: the letter that means "yes" in the answer to "… [y/N]". */
    return begins_alike(answer, _("y")) || begins_alike(answer, "y");
}

gboolean cli_confirm(CliCtl *ctl, GError **error, const char *format, ...)
{
    g_autofree char *question = NULL;
    gboolean terminal = !ctl->settings.no_input && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    va_list args;

    g_assert(ctl->current->command->flags & CLI_CMD_DESTROYS);
    if (ctl->settings.yes || ctl->settings.dry_run)
        return TRUE;
    if (!terminal && !(ctl->current->command->flags & CLI_CMD_OURS))
        return TRUE;
    va_start(args, format);
    question = g_strdup_vprintf(format, args);
    va_end(args);
    if (!terminal)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("%s There is no terminal to ask at: --yes says yes"), question);
    if (!ask(ctl, question))
        return cst_fail(error, CST_ERROR_CANCELLED, "%s", _("not confirmed"));
    return TRUE;
}
