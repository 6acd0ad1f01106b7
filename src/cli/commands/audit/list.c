/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* audit-list: the records of the audit trail, and the options that select them. */
#include <json_glib_library.h>
#include <string.h>

#include <base/i18n.h>
#include <conn/audit.h>

#include "audit.h"
#include "core/args.h"
#include "output/table.h"
#include "output/view.h"

static const CliColumn list_columns[] = {
    {N_("Time"), "time", CLI_CELL_TIME, "-", 0},
    {N_("User"), "user", CLI_CELL_TEXT, "-", 0},
    {N_("Procedure"), "procedure", CLI_CELL_TEXT, "-", 0},
    {N_("Object"), "object", CLI_CELL_TEXT, "-", 0},
    {N_("Result"), "result", CLI_CELL_TEXT, "-", 0},
    {N_("Number"), "seq", CLI_CELL_NUMBER, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Kind"), "kind", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("UID"), "uid", CLI_CELL_NUMBER, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Login"), "login", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
    {N_("For"), "for", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
    {N_("PID"), "pid", CLI_CELL_NUMBER, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Program"), "program", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Via"), "via", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
    {N_("UUID"), "uuid", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Key"), "key", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Names"), "names", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Job"), "job", CLI_CELL_NUMBER, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Microseconds"), "duration_us", CLI_CELL_NUMBER, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Lost"), "lost", CLI_CELL_NUMBER, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Hash"), "hash", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
};

typedef struct {
    CliTable *table;
    int64_t since, until;
    const char *user, *object, *procedure, *result; /* NULL: any */
} AuditSelection;

/* Returns whether @user is the name or the uid of the caller, of its login, or its name for. */
static gboolean record_has_user(const AuditRecord *record, const char *user)
{
    guint64 uid;

    if (g_strcmp0(record->user, user) == 0 || g_strcmp0(record->login, user) == 0 ||
        g_strcmp0(record->actor, user) == 0)
        return TRUE;
    return g_ascii_string_to_unsigned(user, 10, 0, G_MAXUINT32, &uid, NULL) &&
           ((record->has_uid && record->uid == uid) ||
            (record->has_login && record->login_uid == uid));
}

static gboolean record_has_object(const AuditRecord *record, const char *object)
{
    for (guint i = 0; i < record->names->len; i++)
        if (g_str_equal(record->names->pdata[i], object))
            return TRUE;
    return FALSE;
}

/* Compares without regard to case, because libvirt's names have capitals inside. */
static gboolean record_has_procedure(const AuditRecord *record, const char *part)
{
    g_autofree char *name = record->procedure ? g_ascii_strdown(record->procedure, -1) : NULL;
    g_autofree char *wanted = g_ascii_strdown(part, -1);

    return name && strstr(name, wanted);
}

static gboolean record_has_result(const AuditRecord *record, const char *result)
{
    if (!record->result)
        return FALSE;
    return g_str_equal(result, "failed") ? !g_str_equal(record->result, "done")
                                         : g_str_equal(record->result, result);
}

static gboolean record_selected(const AuditSelection *selection, const AuditRecord *record)
{
    return record->time >= selection->since && record->time <= selection->until &&
           (!selection->user || record_has_user(record, selection->user)) &&
           (!selection->object || record_has_object(record, selection->object)) &&
           (!selection->procedure || record_has_procedure(record, selection->procedure)) &&
           (!selection->result || record_has_result(record, selection->result));
}

/* Implements CstConnAuditLine. */
static gboolean list_add_line(const char *line, gpointer data, GError **error)
{
    const AuditSelection *selection = data;
    g_autoptr(AuditRecord) record = audit_record_parse(line);
    CliTable *table = selection->table;

    if (!record || !record_selected(selection, record))
        return TRUE;
    cli_table_add_time(table, record->time);
    cli_table_add_text(table, record->user);
    cli_table_add_text(table, record->procedure);
    cli_table_add_text(table, record->object);
    cli_table_add_text(table, record->result);
    cli_table_add_number(table, record->seq);
    cli_table_add_text(table, record->kind);
    cli_table_add_known_number(table, record->has_uid, record->uid);
    cli_table_add_text(table, record->login);
    cli_table_add_text(table, record->actor);
    cli_table_add_known_number(table, record->pid > 0, record->pid);
    cli_table_add_text(table, record->program);
    cli_table_add_text(table, record->via);
    cli_table_add_text(table, record->uuids);
    cli_table_add_text(table, record->keys);
    cli_table_add_text(table, record->detail);
    cli_table_add_known_number(table, record->has_job, record->job);
    cli_table_add_known_number(table, record->has_duration, record->duration_us);
    cli_table_add_known_number(table, record->lost > 0, record->lost);
    cli_table_add_text(table, record->hash);
    return TRUE;
}

static gboolean cmd_list(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(list_columns, G_N_ELEMENTS(list_columns));
    AuditSelection selection = {.table = table, .since = G_MININT64, .until = G_MAXINT64};
    g_auto(CliView) view = {0};

    if (!cli_view_read(&view, args, list_columns, G_N_ELEMENTS(list_columns), NULL, error) ||
        !cli_args_since(args, "since", &selection.since, error) ||
        !cli_args_since(args, "until", &selection.until, error) ||
        !cli_args_string(args, "user", &selection.user, error) ||
        !cli_args_string(args, "object", &selection.object, error) ||
        !cli_args_string(args, "procedure", &selection.procedure, error) ||
        !cli_args_string(args, "result", &selection.result, error) || !cli_conn(ctl, error) ||
        !cst_library_load(&cst_json_glib_library, error))
        return FALSE;
    if (!cst_conn_audit_list(ctl->conn, list_add_line, &selection, error))
        return cli_failed(ctl, "%s", _("Failed to read the audit trail"));
    cli_view_print(ctl, &view, table, "records");
    return TRUE;
}

static void complete_list_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(list_columns, G_N_ELEMENTS(list_columns), words);
}

static const CliOption list_options[] = {
    CLI_NAMED("since", N_("only records from this time on, such as 2026-12-01, or 2h before now")),
    CLI_NAMED("until", N_("only records up to this time")),
    CLI_NAMED("user", N_("only changes of this user: a name, a uid, or a name by SASL or TLS")),
    CLI_NAMED("object", N_("only changes of this object: a name, POOL/VOL, a UUID or a key")),
    CLI_NAMED("procedure", N_("only procedures with this in their name, such as delete")),
    CLI_NAMED("result", N_("done, failed, or the word of an error, such as no-volume")),
    CLI_VIEW_OPTIONS(complete_list_columns),
    {0}};

const CliCommand cli_audit_list_command = {
    .name = "audit-list",
    .summary = N_("list the changes in the audit trail"),
    .description = N_("List the recorded changes, the oldest first: the caller, the object and the "
                      "result. With --columns all also the program, the login, the job, the "
                      "duration and the hash of each record."),
    .options = list_options,
    .handler = cmd_list,
    .flags = CLI_CMD_OURS,
};
