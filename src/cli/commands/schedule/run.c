/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * schedule-run: executes a run of a schedule.
 *
 *   due       the latest time of the calendar that is not handled yet, or now for a manual run
 *   job       the run is listed as a job; its number tells later whether the run was killed
 *   begin     the run is recorded, and its time is handled: a run that fails is not repeated
 *   action    failures of single volumes do not end the run
 *   prune     only after an action that succeeded for a volume
 *   end       the result is recorded
 *
 * With --due and without names, each due schedule gets a process of its own, so that a long backup
 * does not delay an hourly snapshot. The daemon and the timer of the package start it so.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <schedule/calendar.h>

#include "core/background.h"
#include "output/job.h"
#include "output/report.h"
#include "output/sheet.h"
#include "output/text.h"
#include "schedule.h"

#define PROGRAM "/proc/self/exe"

static const struct {
    gboolean (*run)(ScheduleWork *work, GError **error);
    gboolean (*prune)(ScheduleWork *work, GError **error); /* NULL: the action makes no copies */
} actions[CST_SCHEDULE_ACTION_LAST] = {
    [CST_SCHEDULE_SNAPSHOT] = {schedule_run_snapshots, schedule_prune_snapshots},
    [CST_SCHEDULE_BACKUP] = {schedule_run_backup, schedule_prune_backups},
    [CST_SCHEDULE_COPY] = {schedule_run_copy, schedule_prune_copies},
    [CST_SCHEDULE_PROVE] = {schedule_run_prove, NULL},
    [CST_SCHEDULE_CHECK] = {schedule_run_check, NULL},
    [CST_SCHEDULE_TRASH_EMPTY] = {schedule_run_trash_empty, NULL},
    [CST_SCHEDULE_ROTATE_CHECK] = {schedule_run_rotate_check, NULL},
    [CST_SCHEDULE_CONSOLIDATE] = {schedule_run_consolidate, NULL},
};

static int64_t seconds_now(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

/* --- the result ------------------------------------------------------------------------------- */

static CstScheduleState work_state(const ScheduleWork *work)
{
    if (work->failed > 0)
        return work->done > 0 ? CST_SCHEDULE_PARTLY : CST_SCHEDULE_FAILED;
    if (work->skipped > 0)
        return work->done > 0 ? CST_SCHEDULE_PARTLY : CST_SCHEDULE_SKIPPED;
    return CST_SCHEDULE_DONE;
}

/* Records the end. @error: why the action ended early; NULL: it did not. */
static gboolean work_end(ScheduleWork *work, const GError *why, GError **error)
{
    g_autofree char *text = why ? cst_error_text(why) : NULL;

    if (text)
        schedule_add_problem(work, work->schedule->name, text);
    work->run.state = why ? CST_SCHEDULE_FAILED : work_state(work);
    work->run.ended = seconds_now();
    work->run.message = work->problems->len ? work->problems->str : NULL;
    return cst_conn_schedule_end(work->ctl->conn, &work->run, error);
}

/* The failure of the command after the run was recorded. */
static gboolean work_result(const ScheduleWork *work, GError **error)
{
    const char *name = work->schedule->name;

    switch (work->run.state) {
    case CST_SCHEDULE_DONE: return TRUE;
    case CST_SCHEDULE_SKIPPED:
        return cst_fail(error, CST_ERROR_UNPROVEN, _("schedule '%s' was skipped"), name);
    case CST_SCHEDULE_PARTLY:
        return cst_fail(error, CST_ERROR_PARTIAL,
                        _("schedule '%s' is done in part: %u succeeded, %u failed, %u skipped"),
                        name, work->done, work->failed, work->skipped);
    default: return cst_fail(error, CST_ERROR_FAILED, _("schedule '%s' failed"), name);
    }
}

static void work_report(const ScheduleWork *work)
{
    const CstScheduleRun *run = &work->run;
    const CliFact facts[] = {
        cli_fact_text("state", NULL, cst_schedule_state_word((int)run->state)),
        cli_fact_number("made", NULL, TRUE, run->made),
        cli_fact_number("removed", NULL, TRUE, run->removed),
        cli_fact_text("consistency", NULL,
                      run->consistency ? cst_consistency_word((int)run->consistency) : NULL),
        cli_fact_text("problems", NULL, run->message),
    };

    cli_done_facts(work->ctl, "schedule", work->schedule->name, facts, G_N_ELEMENTS(facts),
                   _("Schedule %s: %s, %u made, %u removed"), work->schedule->name,
                   _(cst_schedule_state_word((int)run->state)), run->made, run->removed);
}

/* --- a run ------------------------------------------------------------------------------------ */

/* Executes the action, then the removal of old copies. */
static gboolean work_execute(ScheduleWork *work, GError **error)
{
    CstScheduleAction action = work->schedule->action;
    g_autoptr(GError) why = NULL;

    if (!actions[action].run(work, error))
        return FALSE;
    if (!actions[action].prune || work->ctl->settings.dry_run || work->done == 0 ||
        actions[action].prune(work, &why))
        return TRUE;
    /* The new copies exist, so the action is done in part. */
    return schedule_fail_object(work, _("removal of old copies"), g_steal_pointer(&why), error);
}

/* Begins the job and the record of the run. @handled: see cst_conn_schedule_begin(). */
static gboolean work_begin(ScheduleWork *work, int64_t handled, GError **error)
{
    CliCtl *ctl = work->ctl;

    if (!cli_job_begin(ctl, "schedule", work->schedule->name, NULL, error))
        return FALSE;
    work->run.job = cli_job_list_now(ctl);
    if (work->run.job == 0)
        return cst_fail(error, CST_ERROR_LIMIT, "%s",
                        _("the run cannot be listed as a job; see job-list"));
    work->run.began = seconds_now();
    return cst_conn_schedule_begin(ctl->conn, &work->run, handled, error);
}

/* Begins, executes and ends a run. @due: see cst_schedule_due(). */
static gboolean work_run(ScheduleWork *work, int64_t due, gboolean only_due, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!work_begin(work, due != CST_CALENDAR_NEVER ? due : 0, &why)) {
        /* Another process has begun the same run. */
        if (only_due && g_error_matches(why, CST_ERROR, CST_ERROR_BUSY))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (!work_execute(work, &why) && !why)
        return FALSE;
    if (!work_end(work, why, error))
        return FALSE;
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    work_report(work);
    return work_result(work, error);
}

static gboolean schedule_run(CliCtl *ctl, const CstSchedule *schedule, gboolean only_due,
                             GError **error)
{
    int64_t now = seconds_now(), due = cst_schedule_due(schedule, now, NULL, NULL);
    g_autoptr(GString) problems = g_string_new(NULL);
    g_autoptr(GTimeZone) zone = g_time_zone_new_local();
    ScheduleWork work = {
        .ctl = ctl,
        .schedule = schedule,
        .problems = problems,
        .zone = zone,
        .run = {.schedule = schedule->name,
                .planned = due != CST_CALENDAR_NEVER ? due : now,
                .manual = !only_due},
    };
    gboolean ok;

    if (only_due && due == CST_CALENDAR_NEVER)
        return TRUE;
    if (schedule->action >= CST_SCHEDULE_ACTION_LAST)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("schedule '%s' has an action that this program does not know"),
                        schedule->name);
    cli_plan(ctl, _("Would run schedule %s"), schedule->name);
    ok = ctl->settings.dry_run
             ? work_execute(&work, error) || g_error_matches(*error, CST_ERROR, CST_ERROR_DRY_RUN)
             : work_run(&work, due, only_due, error);
    g_clear_pointer(&work.earlier, g_ptr_array_unref);
    return ok;
}

/* --- the command ------------------------------------------------------------------------------ */

/* Starts a process for a run. Its messages go to the log of this process. */
static gboolean start_run(CliCtl *ctl, const char *name, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(argv, g_strdup(PROGRAM));
    cli_settings_add(argv, ctl);
    g_ptr_array_add(argv, g_strdup("--no-input"));
    g_ptr_array_add(argv, g_strdup("schedule-run"));
    g_ptr_array_add(argv, g_strdup("--due"));
    g_ptr_array_add(argv, g_strdup(name));
    g_ptr_array_add(argv, NULL);
    return g_spawn_async("/", (char **)argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, error);
}

static gboolean start_due(CliCtl *ctl, GError **error)
{
    g_autoptr(GPtrArray) schedules = cst_conn_schedules(ctl->conn, NULL, error);
    int64_t now = seconds_now();

    for (guint i = 0; schedules && i < schedules->len; i++) {
        const CstSchedule *schedule = schedules->pdata[i];

        if (cst_schedule_due(schedule, now, NULL, NULL) == CST_CALENDAR_NEVER)
            continue;
        cli_plan(ctl, _("Would run schedule %s"), schedule->name);
        if (!ctl->settings.dry_run && !start_run(ctl, schedule->name, error))
            return FALSE;
    }
    return schedules != NULL;
}

static gboolean cmd_run(CliCtl *ctl, const CliArgs *args, GError **error)
{
    gboolean only_due = cli_args_has(args, "due");
    g_autoptr(CstSchedule) schedule = NULL;

    if (!cli_conn(ctl, error))
        return FALSE;
    if (!cli_args_has(args, "schedule"))
        return only_due ? start_due(ctl, error)
                        : cst_fail(error, CST_ERROR_USAGE, "%s",
                                   _("name a schedule, or say --due for all that are due"));
    schedule = cli_schedule(ctl, args, error);
    if (!schedule)
        return FALSE;
    if (!schedule_run(ctl, schedule, only_due, error))
        return cli_failed(ctl, _("Failed to run schedule %s"), schedule->name);
    return TRUE;
}

static const CliOption run_options[] = {
    SCHEDULE(CLI_OPT_OFFERED),
    CLI_SWITCH("due", N_("only if it is due; without a name: start all schedules that are due")),
    CLI_DETACH,
    {0},
};

const CliCommand cli_schedule_run_command = {
    .name = "schedule-run",
    .summary = N_("run a schedule now"),
    .description =
        N_("Run a schedule now: its action on all volumes that it selects, then the removal of the "
           "copies that its rules do not keep. A time that is due is handled by it. Exit status 8: "
           "it is done in part. Exit status 75: it was skipped, for example for a lack of space."),
    .options = run_options,
    .handler = cmd_run,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS | CLI_CMD_WORKS,
};
