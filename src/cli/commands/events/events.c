/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * events: the log of events of the host. With --follow the command asks for new events each second,
 * because the log is a database that other processes write, too.
 */
#include "events.h"

#include <poll.h>
#include <pwd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <conn/events.h>

#include "core/interrupt.h"
#include "output/sheet.h"
#include "output/table.h"
#include "output/text.h"
#include "output/view.h"

#define SINCE_DEFAULT_S 86400
#define EVENTS_MAX      50000 /* the log has no more */
#define FOLLOW_MS       1000

static const CliColumn columns[] = {
    {N_("Time"), "time", CLI_CELL_TIME, NULL, 0},
    {N_("Severity"), "severity", CLI_CELL_WORD, NULL, 0},
    {N_("Event"), "event", CLI_CELL_TEXT, NULL, 0},
    {N_("Over"), "over", CLI_CELL_BOOL, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Type"), "type", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Object"), "object", CLI_CELL_TEXT, "-", 0},
    {N_("User"), "user", CLI_CELL_TEXT, "-", 0},
    {N_("UID"), "uid", CLI_CELL_NUMBER, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Message"), "message", CLI_CELL_TEXT, NULL, 0},
    {N_("Number"), "id", CLI_CELL_NUMBER, NULL, CLI_COLUMN_JSON_ONLY},
};

/* Returns the name of a user, or the number of an unknown one; NULL: no user. g_free() it. */
static char *user_text(uint32_t uid)
{
    char buffer[4096];
    struct passwd entry, *found = NULL;

    if (uid == CST_EVENT_NO_USER)
        return NULL;
    if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found)
        return g_strdup(found->pw_name);
    return g_strdup_printf("%u", uid);
}

/* Returns "over" for the end of a state, else the severity. */
static const char *event_severity(const CstEventRecord *event)
{
    return event->over ? N_("over") : cst_severity_word((int)event->severity);
}

static void events_add(CliTable *table, const CstEventRecord *event)
{
    g_autofree char *user = user_text(event->uid);

    cli_table_add_time(table, event->time / G_USEC_PER_SEC);
    cli_table_add_word(table, event_severity(event));
    cli_table_add_text(table, event->kind);
    cli_table_add_bool(table, event->over);
    cli_table_add_text(table, event->type);
    cli_table_add_text(table, *event->object ? event->object : NULL);
    cli_table_add_text(table, user);
    cli_table_add_known_number(table, event->uid != CST_EVENT_NO_USER, event->uid);
    cli_table_add_text(table, event->message);
    cli_table_add_number(table, (uint64_t)event->id);
}

/* --- --follow --------------------------------------------------------------------------------- */

static void event_print(CliCtl *ctl, const CstEventRecord *event)
{
    g_autofree char *time = cli_time_text(event->time / G_USEC_PER_SEC);
    g_autofree char *iso = cli_json_time(event->time / G_USEC_PER_SEC);
    g_autofree char *user = user_text(event->uid);

    if (ctl->settings.json) {
        const CliFact facts[] = {
            cli_fact_number("id", NULL, TRUE, (uint64_t)event->id),
            cli_fact_text("time", NULL, iso),
            cli_fact_text("severity", NULL, event_severity(event)),
            cli_fact_text("event", NULL, event->kind),
            cli_fact_bool("over", NULL, TRUE, event->over),
            cli_fact_text("type", NULL, event->type),
            cli_fact_text("object", NULL, event->object),
            cli_fact_nullable("user", NULL, user),
            cli_fact_text("message", NULL, event->message),
        };

        cli_sheet_print(ctl, facts, G_N_ELEMENTS(facts));
    } else {
        cli_print(ctl, "%s  %s  %s  %s\n", time, _(event_severity(event)), event->kind,
                  event->message);
    }
    fflush(ctl->out);
}

/*
 * Prints the events that @query selects, then new events as they come, until a signal. New events
 * are found by their ids, because the clock of the server may differ from the clock of this host.
 */
static gboolean events_follow(CliCtl *ctl, CstEventQuery *query, GError **error)
{
    struct pollfd wake = {.events = POLLIN};
    gboolean ok = TRUE;

    cli_interrupt_begin();
    wake.fd = cli_interrupt_fd();
    while (ok && !cli_interrupted()) {
        int64_t last;
        g_autoptr(GPtrArray) events = cst_conn_events(ctl->conn, query, &last, error);

        ok = events != NULL;
        for (guint i = 0; ok && i < events->len; i++) {
            const CstEventRecord *event = events->pdata[i];

            query->after = event->id;
            event_print(ctl, event);
        }
        /* The server has read the last id before the events. */
        if (ok && events->len < query->max)
            query->after = MAX(query->after, last);
        query->since = 0;
        ok = ok && !ferror(ctl->out);
        if (ok)
            poll(&wake, wake.fd >= 0 ? 1 : 0, FOLLOW_MS);
    }
    cli_interrupt_end();
    return ok;
}

/* --- the command ------------------------------------------------------------------------------ */

static gboolean events_read_query(const CliArgs *args, CstEventQuery *query, GError **error)
{
    const char *severity = NULL;
    int64_t since = g_get_real_time() / G_USEC_PER_SEC - SINCE_DEFAULT_S;
    CstEventKind kind;

    if (!cli_args_string(args, "kind", &query->kind, error) ||
        !cli_args_string(args, "object", &query->object, error) ||
        !cli_args_string(args, "severity", &severity, error) ||
        !cli_args_since(args, "since", &since, error))
        return FALSE;
    if (query->kind && !cst_event_kind_parse(query->kind, &kind))
        return cst_fail(error, CST_ERROR_USAGE, _("unknown kind of event '%s'; see --kinds"),
                        query->kind);
    if (severity && !cst_severity_parse(severity, &query->severity))
        return cst_fail(error, CST_ERROR_USAGE, _("'%s' is not one of note, warning, error"),
                        severity);
    query->since = since * G_USEC_PER_SEC;
    return TRUE;
}

static void kinds_print(CliCtl *ctl)
{
    static const CliColumn kind_columns[] = {
        {N_("Event"), "event", CLI_CELL_TEXT, NULL, 0},
        {N_("Severity"), "severity", CLI_CELL_WORD, NULL, 0},
        {N_("Meaning"), "meaning", CLI_CELL_WORD, NULL, 0},
    };
    g_autoptr(CliTable) table = cli_table_new(kind_columns, G_N_ELEMENTS(kind_columns));

    for (int i = 0; i < CST_EVENT_KIND_LAST; i++) {
        const CstEventKindInfo *info = cst_event_kind_info((CstEventKind)i);

        cli_table_add_text(table, info->name);
        cli_table_add_word(table, cst_severity_word((int)info->severity));
        cli_table_add_word(table, info->help);
    }
    cli_table_print(ctl, table, "kinds");
}

static gboolean cmd_events(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    g_auto(CliView) view = {0};
    CstEventQuery query = {.max = EVENTS_MAX};
    g_autoptr(GPtrArray) events = NULL;
    int64_t last;

    if (!cli_view_read(&view, args, columns, G_N_ELEMENTS(columns), NULL, error) ||
        !events_read_query(args, &query, error))
        return FALSE;
    if (cli_args_has(args, "kinds")) {
        kinds_print(ctl);
        return TRUE;
    }
    if (!cli_conn(ctl, error))
        return FALSE;
    if (cli_args_has(args, "follow")) {
        /* Without --since no event of the log is printed. */
        if (!cli_args_has(args, "since"))
            query.since = G_MAXINT64;
        return events_follow(ctl, &query, error) ||
               cli_failed(ctl, "%s", _("Failed to follow events"));
    }
    events = cst_conn_events(ctl->conn, &query, &last, error);
    if (!events)
        return cli_failed(ctl, "%s", _("Failed to list events"));
    for (guint i = 0; i < events->len; i++)
        events_add(table, events->pdata[i]);
    cli_view_print(ctl, &view, table, "events");
    return TRUE;
}

static void complete_event_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(columns, G_N_ELEMENTS(columns), words);
}

static void complete_kinds(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (int i = 0; i < CST_EVENT_KIND_LAST; i++)
        g_ptr_array_add(words, g_strdup(cst_event_kind_info((CstEventKind)i)->name));
}

static void complete_severities(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (int i = 0; i < CST_SEVERITY_LAST; i++)
        g_ptr_array_add(words, g_strdup(cst_severity_word(i)));
}

static const CliOption event_options[] = {
    CLI_SWITCH("follow", N_("print new events until Ctrl-C")),
    CLI_NAMED("since", N_("a time such as 2026-12-01, or a duration such as 2h (default: 1d)")),
    {.name = "kind",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("only events of this kind"),
     .complete = complete_kinds},
    {.name = "severity",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("only this severity and higher ones: note, warning, error"),
     .complete = complete_severities},
    CLI_NAMED("object", N_("only events of this object: a pool, POOL/VOLUME, a schedule")),
    CLI_SWITCH("kinds", N_("list the kinds of events")),
    CLI_VIEW_OPTIONS(complete_event_columns),
    {0},
};

const CliCommand cli_events_command = {
    .name = "events",
    .summary = N_("list the events of the host"),
    .description =
        N_("List events of pools, jobs, schedules and secrets, the oldest first. The log "
           "keeps them for 30 days. \"over\" marks the end of a state that an earlier "
           "event reported."),
    .options = event_options,
    .handler = cmd_events,
    .flags = CLI_CMD_OURS,
};
