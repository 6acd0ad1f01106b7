/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Findings about schedules: their runs, their backups, and the objects that they select. */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <conn/schedules.h>
#include <conn/tags.h>
#include <schedule/calendar.h>
#include <schedule/selector.h>

#include "output/text.h"

#include "doctor.h"

static int64_t seconds_now(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

static void schedule_report(DoctorWork *work, const CstSchedule *schedule, const char *id,
                            const char *command, char *evidence)
{
    char *repair =
        command ? cst_doctor_command("cistern", command, "--", schedule->name, NULL) : NULL;

    cst_doctor_findings_add(work->findings, id, cst_doctor_rule(id)->severity, schedule->name,
                            repair, evidence);
}

gboolean doctor_pool_answers(const DoctorWork *work, const char *pool)
{
    for (guint i = 0; i < work->findings->len; i++) {
        const CstDoctorFinding *finding = work->findings->pdata[i];

        if (strcmp(finding->id, "pool-not-answering") == 0 && strcmp(finding->object, pool) == 0)
            return FALSE;
    }
    return TRUE;
}

/* --- runs ------------------------------------------------------------------------------------- */

/* Reports the last run if it has failed. Returns whether a run is under way. */
static gboolean last_run_check(DoctorWork *work, const CstSchedule *schedule)
{
    g_autoptr(GPtrArray) runs = cst_conn_schedule_history(work->ctl->conn, schedule->name, 1, NULL);
    const CstScheduleRun *run = runs && runs->len > 0 ? runs->pdata[0] : NULL;

    if (!run || run->state == CST_SCHEDULE_DONE)
        return FALSE;
    if (run->state == CST_SCHEDULE_RUNNING)
        return TRUE;
    schedule_report(work, schedule, "schedule-failed", "schedule-run",
                    g_strdup_printf(_("its last run ended as '%s': %s"),
                                    cst_schedule_state_word((int)run->state),
                                    run->message ? run->message : "-"));
    return FALSE;
}

static void lateness_check(DoctorWork *work, const CstSchedule *schedule)
{
    int64_t due = cst_schedule_due(schedule, seconds_now() - CST_SCHEDULE_LATE_S, NULL, NULL);
    g_autofree char *text = due == CST_CALENDAR_NEVER ? NULL : cli_time_text(due);

    if (text)
        schedule_report(
            work, schedule, "schedule-late", "schedule-run",
            g_strdup_printf(_("its run of %s has not begun; cisternd begins the runs"), text));
}

/* --- backups ---------------------------------------------------------------------------------- */

static void backup_check_age(DoctorWork *work, const CstSchedule *schedule)
{
    g_autoptr(GPtrArray) copies = cst_conn_schedule_copies(work->ctl->conn, schedule->name, NULL);
    int64_t newest = copies ? cst_schedule_newest_copy(copies) : 0;
    g_autofree char *text = NULL;

    if (!copies || !cst_schedule_backup_is_old(schedule, newest, seconds_now()))
        return;
    text = cli_time_text(newest ? newest : schedule->created);
    schedule_report(
        work, schedule, "backup-too-old", "schedule-run",
        newest ? g_strdup_printf(_("its newest backup is of %s"), text)
               : g_strdup_printf(_("it has made no backup since its creation at %s"), text));
}

/* Whether a schedule proves the backups of @repo. */
static gboolean repo_is_proven(const GPtrArray *schedules, const char *repo)
{
    for (guint i = 0; i < schedules->len; i++) {
        const CstSchedule *schedule = schedules->pdata[i];

        if (schedule->action == CST_SCHEDULE_PROVE && !schedule->paused &&
            g_strcmp0(cst_schedule_option(schedule, "repo"), repo) == 0)
            return TRUE;
    }
    return FALSE;
}

static void backup_check_proof(DoctorWork *work, const GPtrArray *schedules,
                               const CstSchedule *schedule)
{
    const char *repo = cst_schedule_option(schedule, "repo");
    const char *secret = cst_schedule_option(schedule, "secret");
    const char *key = cst_schedule_option(schedule, "key-file");
    g_autofree char *name = g_strconcat(schedule->name, "-prove", NULL);

    char *repair;

    if (!repo || repo_is_proven(schedules, repo))
        return;
    if (secret || key)
        repair = cst_doctor_command("cistern", "schedule-create", "--every", "monthly", "--do",
                                    "prove", "--repo", repo, secret ? "--secret" : "--key-file",
                                    secret ? secret : key, "--", name, NULL);
    else
        repair = cst_doctor_command("cistern", "schedule-create", "--every", "monthly", "--do",
                                    "prove", "--repo", repo, "--", name, NULL);
    cst_doctor_findings_add(
        work->findings, "backup-unproven", cst_doctor_rule("backup-unproven")->severity,
        schedule->name, repair,
        g_strdup_printf(_("no schedule restores a backup of the repository '%s' and compares it"),
                        repo));
}

/* --- selectors -------------------------------------------------------------------------------- */

/* Returns whether a pool or volume exists that @selector selects; TRUE also if that is unknown. */
static gboolean selector_matches(DoctorWork *work, const CstSelector *selector)
{
    g_autoptr(CstPoolRef) pool = NULL;
    g_autoptr(GPtrArray) rows = NULL;
    g_autoptr(GError) why = NULL;

    if (selector->kind == CST_SELECT_MACHINE)
        return TRUE;
    if (selector->kind == CST_SELECT_TAG) {
        rows = cst_conn_tag_matches(work->ctl->conn, selector->pattern, NULL);
        return !rows || rows->len > 0;
    }
    pool = cst_conn_pool_by_name(work->ctl->conn, selector->pool, &why);
    if (!pool)
        return !g_error_matches(why, CST_ERROR, CST_ERROR_NO_POOL);
    if (selector->kind == CST_SELECT_POOL || !doctor_pool_answers(work, selector->pool))
        return TRUE;
    rows = cst_conn_vol_list(work->ctl->conn, pool, FALSE, NULL);
    for (guint i = 0; rows && i < rows->len; i++)
        if (g_pattern_match_simple(selector->pattern, ((const CstVolRow *)rows->pdata[i])->name))
            return TRUE;
    return !rows;
}

static void selectors_check(DoctorWork *work, const CstSchedule *schedule)
{
    for (char **on = schedule->on; *on; on++) {
        g_autoptr(CstSelector) selector = cst_selector_parse(*on, NULL);

        if (selector && !selector_matches(work, selector))
            schedule_report(work, schedule, "schedule-matches-nothing", NULL,
                            g_strdup_printf(_("no pool or volume is '%s' (schedule-edit)"), *on));
    }
}

gboolean doctor_check_schedules(DoctorWork *work, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) schedules = cst_conn_schedules(work->ctl->conn, NULL, &why);

    if (!schedules) {
        if (g_error_matches(why, CST_ERROR, CST_ERROR_NO_SUPPORT))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    for (guint i = 0; i < schedules->len; i++) {
        const CstSchedule *schedule = schedules->pdata[i];

        selectors_check(work, schedule);
        if (schedule->paused) {
            schedule_report(work, schedule, "schedule-paused", "schedule-resume",
                            g_strdup(_("it is paused, so it does not run")));
            continue;
        }
        if (last_run_check(work, schedule))
            continue;
        lateness_check(work, schedule);
        if (schedule->action != CST_SCHEDULE_BACKUP)
            continue;
        backup_check_age(work, schedule);
        backup_check_proof(work, schedules, schedule);
    }
    return TRUE;
}
