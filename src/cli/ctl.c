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

void cli_ctl_init(CliCtl *ctl, const CliSettings *settings)
{
    *ctl = (CliCtl){
        .settings = *settings,
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
}

CstConn *cli_conn(CliCtl *ctl, GError **error)
{
    const CstConnOptions options = {
        .root = ctl->settings.root,
        .read_only = ctl->settings.read_only,
        .embedded = ctl->settings.embedded,
    };

    if (ctl->conn)
        return ctl->conn;
    ctl->conn = cst_conn_open(ctl->connected_uri, &options, error);
    if (!ctl->conn)
        cli_failed(ctl, "%s", _("failed to connect to the hypervisor"));
    return ctl->conn;
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

gboolean cli_dry_run(CliCtl *ctl, const char *format, ...)
{
    g_autofree char *plan = NULL;
    va_list args;

    if (!ctl->settings.dry_run)
        return FALSE;
    va_start(args, format);
    plan = g_strdup_vprintf(format, args);
    va_end(args);
    if (ctl->settings.json) {
        JsonBuilder *json = cli_json_begin();

        cli_json_add_string(json, "command", ctl->current->command->name);
        cli_json_add_bool(json, "dry_run", TRUE);
        cli_json_add_string(json, "plan", plan);
        cli_json_end(ctl->out, json);
    }
    cli_print(ctl, "%s\n", plan);
    return TRUE;
}

static gboolean ask(CliCtl *ctl, const char *question)
{
    char answer[16] = "";

    fprintf(ctl->err, "%s [y/N] ", question);
    fflush(ctl->err);
    if (!fgets(answer, sizeof(answer), stdin))
        return FALSE;
    /* Translators: the letter that means "yes" in the answer to "… [y/N]". */
    return g_ascii_tolower(answer[0]) == _("y")[0] || g_ascii_tolower(answer[0]) == 'y';
}

gboolean cli_confirm(CliCtl *ctl, GError **error, const char *format, ...)
{
    g_autofree char *question = NULL;
    gboolean terminal = !ctl->settings.no_input && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    va_list args;

    if (ctl->settings.yes)
        return TRUE;
    if (!terminal && !(ctl->current->command->flags & CLI_CMD_OURS))
        return TRUE;
    if (!terminal)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("'%s' destroys data and there is no terminal to ask; say --yes"),
                        ctl->current->command->name);
    va_start(args, format);
    question = g_strdup_vprintf(format, args);
    va_end(args);
    if (!ask(ctl, question))
        return cst_fail(error, CST_ERROR_CANCELLED, "%s", _("not confirmed"));
    return TRUE;
}
