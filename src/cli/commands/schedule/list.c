/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schedule-list, schedule-info and schedule-history. */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <schedule/calendar.h>

#include "output/report.h"
#include "output/sheet.h"
#include "output/table.h"
#include "output/text.h"
#include "output/view.h"
#include "schedule.h"

#define HISTORY_DEFAULT 50

static int64_t seconds_now(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

/* Returns the next run; 0: no run. */
static int64_t next_run(const CstSchedule *schedule)
{
    int64_t next, now = seconds_now();
    int64_t due = cst_schedule_due(schedule, now, NULL, &next);

    if (due != CST_CALENDAR_NEVER)
        return now;
    return next == CST_CALENDAR_NEVER ? 0 : next;
}

/* Returns the latest run, NULL without one or after a failure. The caller frees it. */
static CstScheduleRun *last_run(CstConn *conn, const char *name)
{
    g_autoptr(GPtrArray) runs = cst_conn_schedule_history(conn, name, 1, NULL);

    return runs && runs->len > 0 ? g_ptr_array_steal_index(runs, 0) : NULL;
}

/* --- schedule-list ---------------------------------------------------------------------------- */

static const CliColumn list_columns[] = {
    {N_("Name"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("Action"), "action", CLI_CELL_TEXT, NULL, 0},
    {N_("Every"), "every", CLI_CELL_TEXT, NULL, 0},
    {N_("On"), "on", CLI_CELL_TEXT, "-", 0},
    {N_("Paused"), "paused", CLI_CELL_BOOL, NULL, 0},
    {N_("Last run"), "last_run", CLI_CELL_TIME, "-", 0},
    {N_("Result"), "result", CLI_CELL_WORD, "-", 0},
    {N_("Next run"), "next_run", CLI_CELL_TIME, "-", 0},
    {N_("UUID"), "uuid", CLI_CELL_TEXT, NULL, CLI_COLUMN_ON_REQUEST},
};

static void list_add(CliTable *table, CstConn *conn, const CstSchedule *schedule)
{
    g_autoptr(CstScheduleRun) run = last_run(conn, schedule->name);
    g_autofree char *on = g_strjoinv(" ", schedule->on);
    const char *action = cst_schedule_action_word((int)schedule->action);
    char uuid[CST_UUID_TEXT_LEN];

    cli_table_add_text(table, schedule->name);
    cli_table_add_text(table, action ? action : "?");
    cli_table_add_text(table, schedule->every);
    cli_table_add_text(table, *on ? on : NULL);
    cli_table_add_bool(table, schedule->paused);
    cli_table_add_time(table, run ? run->began : 0);
    cli_table_add_word(table, run ? cst_schedule_state_word((int)run->state) : NULL);
    cli_table_add_time(table, next_run(schedule));
    cli_table_add_text(table, cst_uuid_format(&schedule->uuid, uuid));
}

static gboolean cmd_list(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(list_columns, G_N_ELEMENTS(list_columns));
    g_autoptr(GPtrArray) schedules = NULL;
    g_auto(CliView) view = {0};

    if (!cli_view_read(&view, args, list_columns, G_N_ELEMENTS(list_columns), NULL, error) ||
        !cli_conn(ctl, error))
        return FALSE;
    schedules = cst_conn_schedules(ctl->conn, NULL, error);
    if (!schedules)
        return cli_failed(ctl, "%s", _("Failed to list schedules"));
    for (guint i = 0; i < schedules->len; i++)
        list_add(table, ctl->conn, schedules->pdata[i]);
    cli_view_print(ctl, &view, table, "schedules");
    return TRUE;
}

static void complete_list_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(list_columns, G_N_ELEMENTS(list_columns), words);
}

static const CliOption list_options[] = {CLI_VIEW_OPTIONS(complete_list_columns), {0}};

const CliCommand cli_schedule_list_command = {
    .name = "schedule-list",
    .summary = N_("list schedules"),
    .description = N_("List schedules with their last and their next run."),
    .options = list_options,
    .handler = cmd_list,
    .flags = CLI_CMD_OURS,
};

/* --- schedule-info ---------------------------------------------------------------------------- */

static const char *const keep_labels[] = {N_("Keep last"),    N_("Keep hourly"),  N_("Keep daily"),
                                          N_("Keep weekly"),  N_("Keep monthly"), N_("Keep yearly"),
                                          N_("Keep at least")};
static const char *const keep_keys[] = {"keep_last",    "keep_hourly", "keep_daily", "keep_weekly",
                                        "keep_monthly", "keep_yearly", "keep_min"};

static void info_add_keep(CliSheet *sheet, const CstSchedule *schedule)
{
    const CstRetention *keep = &schedule->keep;
    const unsigned counts[] = {keep->last,    keep->hourly, keep->daily,       keep->weekly,
                               keep->monthly, keep->yearly, schedule->keep_min};

    for (guint i = 0; i < G_N_ELEMENTS(counts); i++) {
        const CliFact fact =
            cli_fact_number(keep_keys[i], keep_labels[i], counts[i] > 0, counts[i]);

        cli_sheet_add(sheet, &fact, 1);
    }
}

static void info_add_words(CliSheet *sheet, const char *key, const char *label, char **words)
{
    if (!*words)
        return;
    cli_sheet_begin_list(sheet, key, label, "");
    for (guint i = 0; words[i]; i++)
        cli_sheet_add_item(sheet, i, words[i]);
    cli_sheet_end_list(sheet);
}

static gboolean cmd_info(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstSchedule) schedule = cli_schedule(ctl, args, error);
    g_autoptr(GPtrArray) copies =
        schedule ? cst_conn_schedule_copies(ctl->conn, schedule->name, error) : NULL;
    g_autoptr(CstCalendar) calendar = NULL;
    g_autoptr(CstScheduleRun) run = NULL;
    g_autofree char *next = NULL, *last = NULL;
    g_auto(CliSheet) sheet = {0};
    char uuid[CST_UUID_TEXT_LEN];

    if (!copies)
        return FALSE;
    calendar = cst_calendar_parse(schedule->every, NULL);
    run = last_run(ctl->conn, schedule->name);
    next = next_run(schedule) ? cli_time_text(next_run(schedule)) : NULL;
    last = run ? cli_time_text(run->began) : NULL;
    {
        const CliFact facts[] = {
            cli_fact_text("name", N_("Name"), schedule->name),
            cli_fact_text("uuid", N_("UUID"), cst_uuid_format(&schedule->uuid, uuid)),
            cli_fact_text("action", N_("Action"), cst_schedule_action_word((int)schedule->action)),
            cli_fact_text("every", N_("Every"), schedule->every),
            cli_fact_text("calendar", N_("Calendar"),
                          calendar ? cst_calendar_text(calendar) : NULL),
            cli_fact_bool("paused", N_("Paused"), TRUE, schedule->paused),
            cli_fact_text("next_run", N_("Next run"), next),
            cli_fact_text("last_run", N_("Last run"), last),
            cli_fact_text("result", N_("Result"),
                          run ? cst_schedule_state_word((int)run->state) : NULL),
            cli_fact_text("message", N_("Message"), run ? run->message : NULL),
            cli_fact_number("copies", N_("Copies"), cst_schedule_action_makes(schedule->action),
                            copies->len),
        };

        cli_sheet_begin(&sheet, ctl);
        cli_sheet_add(&sheet, facts, G_N_ELEMENTS(facts));
    }
    info_add_keep(&sheet, schedule);
    info_add_words(&sheet, "on", _("On"), schedule->on);
    info_add_words(&sheet, "options", _("Options"), schedule->options);
    cli_sheet_end(&sheet);
    return TRUE;
}

static const CliOption info_options[] = {SCHEDULE(CLI_OPT_REQUIRED), {0}};

const CliCommand cli_schedule_info_command = {
    .name = "schedule-info",
    .summary = N_("show a schedule"),
    .description = N_("Show the definition of a schedule, its last and its next run, and the "
                      "number of copies that it has made and not removed."),
    .options = info_options,
    .handler = cmd_info,
    .flags = CLI_CMD_OURS,
};

/* --- schedule-history ------------------------------------------------------------------------- */

static const CliColumn history_columns[] = {
    {N_("Schedule"), "schedule", CLI_CELL_TEXT, NULL, 0},
    {N_("Planned"), "planned", CLI_CELL_TIME, "-", 0},
    {N_("Began"), "began", CLI_CELL_TIME, "-", CLI_COLUMN_ON_REQUEST},
    {N_("Duration"), "seconds", CLI_CELL_DURATION, "-", 0},
    {N_("Result"), "result", CLI_CELL_WORD, "-", 0},
    {N_("Made"), "made", CLI_CELL_NUMBER, NULL, 0},
    {N_("Removed"), "removed", CLI_CELL_NUMBER, NULL, 0},
    {N_("Consistency"), "consistency", CLI_CELL_WORD, "-", 0},
    {N_("Manual"), "manual", CLI_CELL_BOOL, NULL, CLI_COLUMN_ON_REQUEST},
    {N_("Job"), "job", CLI_CELL_NUMBER, "-", CLI_COLUMN_ON_REQUEST},
    {N_("Message"), "message", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
};

static void history_add(CliTable *table, const CstScheduleRun *run)
{
    cli_table_add_text(table, run->schedule);
    cli_table_add_time(table, run->planned);
    cli_table_add_time(table, run->began);
    cli_table_add_known_duration(table, run->ended > 0, (uint64_t)MAX(run->ended - run->began, 0));
    cli_table_add_word(table, cst_schedule_state_word((int)run->state));
    cli_table_add_number(table, run->made);
    cli_table_add_number(table, run->removed);
    cli_table_add_word(table,
                       run->consistency ? cst_consistency_word((int)run->consistency) : NULL);
    cli_table_add_bool(table, run->manual);
    cli_table_add_known_number(table, run->job > 0, run->job);
    cli_table_add_text(table, run->message);
}

static gboolean cmd_history(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(history_columns, G_N_ELEMENTS(history_columns));
    g_autoptr(GPtrArray) runs = NULL;
    g_auto(CliView) view = {0};
    unsigned count = HISTORY_DEFAULT;
    const char *name = NULL;

    if (!cli_view_read(&view, args, history_columns, G_N_ELEMENTS(history_columns), NULL, error) ||
        !cli_args_string(args, "schedule", &name, error) ||
        !cli_args_uint(args, "count", &count, error) || !cli_conn(ctl, error))
        return FALSE;
    runs = cst_conn_schedule_history(ctl->conn, name, count, error);
    if (!runs)
        return cli_failed(ctl, "%s", _("Failed to list runs of schedules"));
    for (guint i = 0; i < runs->len; i++)
        history_add(table, runs->pdata[i]);
    cli_view_print(ctl, &view, table, "runs");
    return TRUE;
}

static void complete_history_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(history_columns, G_N_ELEMENTS(history_columns), words);
}

static const CliOption history_options[] = {SCHEDULE(CLI_OPT_OFFERED),
                                            CLI_NAMED("count", N_("number of runs (default: 50)")),
                                            CLI_VIEW_OPTIONS(complete_history_columns),
                                            {0}};

const CliCommand cli_schedule_history_command = {
    .name = "schedule-history",
    .summary = N_("list the runs of schedules"),
    .description = N_("List the recorded runs of a schedule, or of all, the newest first. A run "
                      "whose process was killed is \"interrupted\". The column message has the "
                      "reasons of failures."),
    .options = history_options,
    .handler = cmd_history,
    .flags = CLI_CMD_OURS,
};
