/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Schedules: each call opens the database, because calls are rare and an open one would cost memory
 * while the daemon is idle.
 */
#include <service/schedules.h>

#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log_context.h>
#include <service/jobs.h>
#include <store/schedules.h>

#include "core/service.h"

static CstSchedules *schedules_open(CstService *service, GError **error)
{
    return cst_schedules_open(service->paths, error);
}

/* Implements CstScheduleJobs.runs. */
static gboolean job_runs(uint64_t number, gpointer data)
{
    g_autoptr(CstJobInfo) job = cst_service_job(data, number, NULL);

    return job && job->ended == 0;
}

/* Opens the database for reading. *ret_schedules is NULL if no schedule was ever stored. */
static gboolean schedules_open_existing(CstService *service, CstSchedules **ret_schedules,
                                        GError **error)
{
    g_autoptr(GError) why = NULL;

    *ret_schedules = cst_schedules_open_existing(service->paths, &why);
    if (!why)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* --- events ----------------------------------------------------------------------------------- */

/* Adds the ends of all states of a schedule. */
static void states_record_ends(CstService *service, const char *name, const char *message)
{
    static const CstEventKind kinds[] = {CST_EVENT_RUN_PARTLY,   CST_EVENT_RUN_SKIPPED,
                                         CST_EVENT_RUN_FAILED,   CST_EVENT_RUN_INTERRUPTED,
                                         CST_EVENT_PROOF_FAILED, CST_EVENT_BACKUP_TOO_OLD};

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        event_log_add_end(service->events, kinds[i], "schedule", name, message);
}

/* Adds the states that the end of a run has changed to the log of events. */
static void run_record(CstService *service, const CstScheduleRun *run, gboolean is_proof)
{
    static const CstEventKind kinds[CST_SCHEDULE_STATE_LAST] = {
        [CST_SCHEDULE_DONE] = CST_EVENT_RUN_DONE,
        [CST_SCHEDULE_PARTLY] = CST_EVENT_RUN_PARTLY,
        [CST_SCHEDULE_SKIPPED] = CST_EVENT_RUN_SKIPPED,
        [CST_SCHEDULE_FAILED] = CST_EVENT_RUN_FAILED,
    };
    g_autofree char *message = NULL;

    message =
        run->message
            ? g_strdup_printf(_("schedule '%s': %s: %s"), run->schedule,
                              _(cst_schedule_state_word((int)run->state)), run->message)
            : g_strdup_printf(_("schedule '%s': %s, %u made, %u removed"), run->schedule,
                              _(cst_schedule_state_word((int)run->state)), run->made, run->removed);
    g_strdelimit(message, "\n", ' ');
    event_log_add(service->events,
                  is_proof && run->state == CST_SCHEDULE_FAILED ? CST_EVENT_PROOF_FAILED
                                                                : kinds[run->state],
                  "schedule", run->schedule, message);
    if (run->state == CST_SCHEDULE_DONE)
        states_record_ends(service, run->schedule, message);
}

/* @names: of the schedules with an interrupted run. */
static void interruptions_record(CstService *service, const GPtrArray *names)
{
    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        g_autofree char *message =
            g_strdup_printf(_("schedule '%s': the process of its run was killed"), name);

        event_log_add(service->events, CST_EVENT_RUN_INTERRUPTED, "schedule", name, message);
    }
}

/* Adds the event of a backup that is too old, or the end of that state. */
static gboolean backup_age_record(CstService *service, CstSchedules *schedules,
                                  const CstSchedule *schedule, int64_t now, GError **error)
{
    g_autoptr(GPtrArray) copies =
        cst_schedules_copies(schedules, schedule->name, 0, G_MAXINT, error);
    g_autofree char *message = NULL;

    if (!copies)
        return FALSE;
    if (cst_schedule_backup_is_old(schedule, cst_schedule_newest_copy(copies), now)) {
        message = g_strdup_printf(_("schedule '%s': two runs later, there is no newer backup"),
                                  schedule->name);
        event_log_add(service->events, CST_EVENT_BACKUP_TOO_OLD, "schedule", schedule->name,
                      message);
        return TRUE;
    }
    message = g_strdup_printf(_("schedule '%s': no backup is overdue"), schedule->name);
    event_log_add_end(service->events, CST_EVENT_BACKUP_TOO_OLD, "schedule", schedule->name,
                      message);
    return TRUE;
}

static gboolean schedules_mark_interrupted(CstService *service, CstSchedules *schedules,
                                           GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const CstScheduleJobs jobs = {job_runs, service, names};

    if (!cst_schedules_mark_interrupted(schedules, &jobs, error))
        return FALSE;
    interruptions_record(service, names);
    return TRUE;
}

/* --- definitions ------------------------------------------------------------------------------ */

/* Returns the schedule @name, NOT_FOUND also without a database. */
static CstSchedule *schedules_find(CstSchedules *schedules, const char *name, GError **error)
{
    if (schedules)
        return cst_schedules_find(schedules, name, error);
    cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no schedule '%s'"), name);
    return NULL;
}

GPtrArray *cst_service_schedules(CstService *service, const char *name, GError **error)
{
    g_autoptr(CstSchedules) schedules = NULL;
    g_autoptr(CstSchedule) schedule = NULL;
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_free);

    if (!schedules_open_existing(service, &schedules, error) ||
        (schedules && !schedules_mark_interrupted(service, schedules, error)))
        return NULL;
    if (!name)
        return schedules ? cst_schedules_list(schedules, error) : g_steal_pointer(&rows);
    schedule = schedules_find(schedules, name, error);
    if (!schedule)
        return NULL;
    g_ptr_array_add(rows, g_steal_pointer(&schedule));
    return g_steal_pointer(&rows);
}

static gboolean caller_is_owner(void)
{
    const CstLogContext *context = cst_log_context();

    return !context || context->connection == 0 || context->uid == geteuid();
}

/*
 * Runs have the rights of this process, and believe the records of the schedule. So another user
 * who may change the storage can neither define nor change a schedule that leaves the pools.
 */
static gboolean owner_check(const CstSchedule *schedule, GError **error)
{
    return caller_is_owner() || !cst_schedule_goes_outside(schedule) ||
           cst_fail(error, CST_ERROR_DENIED,
                    _("schedule '%s' has a repository or another host, so only user %u may define, "
                      "change or run it"),
                    schedule->name, (unsigned)geteuid());
}

/* Checks the stored schedule with the identity of @schedule. */
static gboolean former_owner_check(CstSchedules *schedules, const CstSchedule *schedule,
                                   GError **error)
{
    g_autoptr(GPtrArray) rows = cst_schedules_list(schedules, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        const CstSchedule *old = rows->pdata[i];

        if (cst_uuid_equal(&old->uuid, &schedule->uuid) && !owner_check(old, error))
            return FALSE;
    }
    return rows != NULL;
}

/* Opens the database to change the records of the schedule @name. NULL: it may not. */
static CstSchedules *schedules_open_for(CstService *service, const char *name, GError **error)
{
    g_autoptr(CstSchedules) schedules = schedules_open(service, error);
    g_autoptr(CstSchedule) schedule = schedules ? schedules_find(schedules, name, error) : NULL;

    return schedule && owner_check(schedule, error) ? g_steal_pointer(&schedules) : NULL;
}

gboolean cst_service_schedule_set(CstService *service, CstSchedule *schedule, GError **error)
{
    g_autoptr(CstSchedules) schedules = NULL;
    gboolean is_new = cst_uuid_is_zero(&schedule->uuid);

    if (!cst_schedule_check(schedule, error))
        return FALSE;
    schedules = schedules_open(service, error);
    if (!schedules || !owner_check(schedule, error) ||
        !former_owner_check(schedules, schedule, error) || !cst_may_change(error))
        return FALSE;
    schedule->created = schedule->handled = g_get_real_time() / G_USEC_PER_SEC;
    if (!is_new)
        return cst_schedules_change(schedules, schedule, error);
    cst_uuid_generate(&schedule->uuid);
    return cst_schedules_add(schedules, schedule, error);
}

gboolean cst_service_schedule_delete(CstService *service, const char *name, GError **error)
{
    g_autoptr(CstSchedules) schedules = NULL;
    g_autoptr(CstSchedule) schedule = NULL;
    g_autofree char *message = NULL;

    if (!schedules_open_existing(service, &schedules, error))
        return FALSE;
    schedule = schedules_find(schedules, name, error);
    if (!schedule || !owner_check(schedule, error) || !cst_may_change(error) ||
        !cst_schedules_remove(schedules, name, error))
        return FALSE;
    message = g_strdup_printf(_("schedule '%s' was deleted"), name);
    states_record_ends(service, name, message);
    return TRUE;
}

GPtrArray *cst_service_schedule_history(CstService *service, const char *name, int64_t before,
                                        guint max, GError **error)
{
    g_autoptr(CstSchedules) schedules = NULL;
    g_autoptr(CstSchedule) schedule = NULL;

    if (!schedules_open_existing(service, &schedules, error))
        return NULL;
    schedule = name ? schedules_find(schedules, name, error) : NULL;
    if (name && !schedule)
        return NULL;
    if (!schedules)
        return g_ptr_array_new();
    return schedules_mark_interrupted(service, schedules, error)
               ? cst_schedules_history(schedules, name, before, max, error)
               : NULL;
}

gboolean cst_service_schedule_begin(CstService *service, CstScheduleRun *run, int64_t handled,
                                    GError **error)
{
    g_autoptr(CstSchedules) schedules = schedules_open_for(service, run->schedule, error);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const CstScheduleJobs jobs = {job_runs, service, names};

    if (!schedules || !cst_schedules_begin(schedules, run, handled, &jobs, error))
        return FALSE;
    interruptions_record(service, names);
    return TRUE;
}

gboolean cst_service_schedule_end(CstService *service, const CstScheduleRun *run, GError **error)
{
    g_autoptr(CstSchedules) schedules = NULL;
    g_autoptr(CstSchedule) schedule = NULL;

    if (!cst_schedule_state_is_end((int)run->state))
        return cst_fail(error, CST_ERROR_INVALID, "%s", _("a run ends in another state"));
    schedules = schedules_open_for(service, run->schedule, error);
    if (!schedules || !cst_schedules_end(schedules, run, error))
        return FALSE;
    schedule = cst_schedules_find(schedules, run->schedule, NULL);
    run_record(service, run, schedule && schedule->action == CST_SCHEDULE_PROVE);
    return TRUE;
}

GPtrArray *cst_service_schedule_copies(CstService *service, const char *name, int64_t after,
                                       guint max, GError **error)
{
    g_autoptr(CstSchedules) schedules = NULL;
    g_autoptr(CstSchedule) schedule = NULL;

    if (!schedules_open_existing(service, &schedules, error))
        return NULL;
    schedule = schedules_find(schedules, name, error);
    return schedule ? cst_schedules_copies(schedules, name, after, max, error) : NULL;
}

gboolean cst_service_schedule_set_copies(CstService *service, const char *name,
                                         const GPtrArray *copies, GError **error)
{
    g_autoptr(CstSchedules) schedules = schedules_open_for(service, name, error);

    return schedules && cst_schedules_set_copies(schedules, name, copies, error);
}

static gboolean copies_have(const GPtrArray *copies, const int64_t *ids, guint count)
{
    for (guint i = 0; i < copies->len; i++)
        for (guint j = 0; j < count; j++)
            if (((const CstScheduleCopy *)copies->pdata[i])->id == ids[j])
                return TRUE;
    return FALSE;
}

/* Checks the schedules that have made the copies. */
static gboolean copies_owner_check(CstSchedules *schedules, const int64_t *ids, guint count,
                                   GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;

    if (caller_is_owner())
        return TRUE;
    rows = cst_schedules_list(schedules, error);
    for (guint i = 0; rows && i < rows->len; i++) {
        const CstSchedule *schedule = rows->pdata[i];
        g_autoptr(GPtrArray) copies =
            cst_schedules_copies(schedules, schedule->name, 0, G_MAXINT, error);

        if (!copies || (copies_have(copies, ids, count) && !owner_check(schedule, error)))
            return FALSE;
    }
    return rows != NULL;
}

gboolean cst_service_schedule_forget_copies(CstService *service, const int64_t *ids, guint count,
                                            GError **error)
{
    g_autoptr(CstSchedules) schedules = schedules_open(service, error);

    return schedules && copies_owner_check(schedules, ids, count, error) &&
           cst_schedules_forget_copies(schedules, ids, count, error);
}

gboolean cst_service_schedule_check_backups(CstService *service, int64_t now, GError **error)
{
    g_autoptr(CstSchedules) schedules = NULL;
    g_autoptr(GPtrArray) rows = NULL;

    if (!schedules_open_existing(service, &schedules, error))
        return FALSE;
    if (!schedules)
        return TRUE;
    rows = cst_schedules_list(schedules, error);
    for (guint i = 0; rows && i < rows->len; i++)
        if (((const CstSchedule *)rows->pdata[i])->action == CST_SCHEDULE_BACKUP &&
            !backup_age_record(service, schedules, rows->pdata[i], now, error))
            return FALSE;
    return rows != NULL;
}
