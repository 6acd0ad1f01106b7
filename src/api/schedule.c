/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for schedules. They access the database of schedules only; the program that executes a
 * run is a client. So they are QUICK, and answer while storage hangs.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <service/jobs.h>
#include <service/schedules.h>
#include <store/schedules.h>

#include "api_private.h"
#include "audit.h"

/* --- conversion ------------------------------------------------------------------------------- */

static wire_string *texts_fill(const char *const *texts, guint *ret_count)
{
    *ret_count = g_strv_length((GStrv)texts);
    return (wire_string *)g_strdupv((GStrv)texts);
}

static GStrv texts_read(const wire_string *texts, guint count)
{
    GStrv copy = g_new0(char *, count + 1);

    for (guint i = 0; i < count; i++)
        copy[i] = g_strdup(texts[i]);
    return copy;
}

static void schedule_fill(wire_schedule *ret, const CstSchedule *schedule)
{
    *ret = (wire_schedule){
        .name = g_strdup(schedule->name),
        .every = g_strdup(schedule->every),
        .action = schedule->action,
        .last = schedule->keep.last,
        .hourly = schedule->keep.hourly,
        .daily = schedule->keep.daily,
        .weekly = schedule->keep.weekly,
        .monthly = schedule->keep.monthly,
        .yearly = schedule->keep.yearly,
        .minimum = schedule->keep_min,
        .paused = schedule->paused,
        .created = schedule->created,
        .handled = schedule->handled,
    };
    memcpy(ret->uuid, schedule->uuid.bytes, sizeof(ret->uuid));
    ret->selectors.selectors_val =
        texts_fill((const char *const *)schedule->on, &ret->selectors.selectors_len);
    ret->options.options_val =
        texts_fill((const char *const *)schedule->options, &ret->options.options_len);
}

static CstSchedule *schedule_read(const wire_schedule *wire)
{
    CstSchedule *schedule = g_new0(CstSchedule, 1);

    *schedule = (CstSchedule){
        .name = g_strdup(wire->name),
        .every = g_strdup(wire->every),
        .action = (CstScheduleAction)wire->action,
        .on = texts_read(wire->selectors.selectors_val, wire->selectors.selectors_len),
        .options = texts_read(wire->options.options_val, wire->options.options_len),
        .keep = {wire->last, wire->hourly, wire->daily, wire->weekly, wire->monthly, wire->yearly},
        .keep_min = wire->minimum,
        .paused = wire->paused != 0,
    };
    memcpy(schedule->uuid.bytes, wire->uuid, sizeof(wire->uuid));
    return schedule;
}

static void run_fill(wire_schedule_run *ret, const CstScheduleRun *run)
{
    *ret = (wire_schedule_run){
        .id = run->id,
        .schedule = g_strdup(run->schedule),
        .planned = run->planned,
        .began = run->began,
        .ended = run->ended,
        .state = run->state,
        .manual = run->manual,
        .job = run->job,
        .made = run->made,
        .removed = run->removed,
        .consistency = run->consistency,
        .message = cst_api_opt(g_strdup(run->message)),
    };
}

/* Borrows the texts of @wire. */
static CstScheduleRun run_read(const wire_schedule_run *wire)
{
    return (CstScheduleRun){
        .id = wire->id,
        .schedule = wire->schedule,
        .planned = wire->planned,
        .began = wire->began,
        .ended = wire->ended,
        .state = (CstScheduleState)wire->state,
        .manual = wire->manual != 0,
        .job = wire->job,
        .made = wire->made,
        .removed = wire->removed,
        .consistency = wire->consistency,
        .message = (char *)cst_api_opt_text(wire->message),
    };
}

/* --- definitions ------------------------------------------------------------------------------ */

static gboolean api_schedule_list(CstApiCall *call, const void *data, void *ret_data,
                                  GError **error)
{
    const wire_schedule_list_args *args = data;
    wire_schedule_list_ret *ret = ret_data;
    g_autoptr(GPtrArray) rows =
        cst_service_schedules(call->service, cst_api_opt_text(args->name), error);

    if (!rows)
        return FALSE;
    ret->schedules.schedules_val = g_new0(wire_schedule, rows->len + 1);
    for (guint i = 0; i < rows->len && i < WIRE_LIST_MAX; i++)
        schedule_fill(&ret->schedules.schedules_val[ret->schedules.schedules_len++],
                      rows->pdata[i]);
    return TRUE;
}

/* Adds the UUID of a schedule to the audit record of the call, before the schedule is changed. */
static void schedule_identify(CstApiCall *call, const char *name)
{
    g_autoptr(GPtrArray) rows = cst_service_schedules(call->service, name, NULL);

    if (rows && rows->len > 0)
        api_audit_set_schedule(&((const CstSchedule *)rows->pdata[0])->uuid);
}

static gboolean api_schedule_set(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_schedule_set_args *args = data;
    g_autoptr(CstSchedule) schedule = schedule_read(&args->schedule);

    if (!cst_service_schedule_set(call->service, schedule, error))
        return FALSE;
    api_audit_set_schedule(&schedule->uuid);
    return TRUE;
}

static gboolean api_schedule_delete(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_schedule_args *args = data;

    schedule_identify(call, args->name);
    return cst_service_schedule_delete(call->service, args->name, error);
}

/* --- runs ------------------------------------------------------------------------------------- */

static gboolean api_schedule_history(CstApiCall *call, const void *data, void *ret_data,
                                     GError **error)
{
    const wire_schedule_history_args *args = data;
    wire_schedule_history_ret *ret = ret_data;
    g_autoptr(GPtrArray) rows =
        cst_service_schedule_history(call->service, cst_api_opt_text(args->name), args->before,
                                     MIN(args->max, WIRE_PAGE_MAX), error);

    if (!rows)
        return FALSE;
    ret->runs.runs_val = g_new0(wire_schedule_run, rows->len + 1);
    for (guint i = 0; i < rows->len; i++)
        run_fill(&ret->runs.runs_val[ret->runs.runs_len++], rows->pdata[i]);
    return TRUE;
}

static gboolean api_schedule_begin(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_schedule_begin_args *args = data;
    CstScheduleRun run = run_read(&args->run);

    schedule_identify(call, run.schedule);
    if (!cst_service_schedule_begin(call->service, &run, args->handled, error))
        return FALSE;
    ((wire_schedule_begin_ret *)ret)->id = run.id;
    return TRUE;
}

static gboolean api_schedule_end(CstApiCall *call, const void *data, void *ret, GError **error)
{
    CstScheduleRun run = run_read(&((const wire_schedule_end_args *)data)->run);

    schedule_identify(call, run.schedule);
    return cst_service_schedule_end(call->service, &run, error);
}

/* --- copies ----------------------------------------------------------------------------------- */

static gboolean api_schedule_copies(CstApiCall *call, const void *data, void *ret_data,
                                    GError **error)
{
    const wire_schedule_copies_args *args = data;
    wire_schedule_copies_ret *ret = ret_data;
    g_autoptr(GPtrArray) rows =
        cst_service_schedule_copies(call->service, args->name, args->after, WIRE_PAGE_MAX, error);

    if (!rows)
        return FALSE;
    ret->copies.copies_val = g_new0(wire_schedule_copy, rows->len + 1);
    for (guint i = 0; i < rows->len; i++) {
        const CstScheduleCopy *copy = rows->pdata[i];

        ret->copies.copies_val[ret->copies.copies_len++] = (wire_schedule_copy){
            .id = copy->id,
            .place = g_strdup(copy->place),
            .pool = g_strdup(copy->pool),
            .volume = g_strdup(copy->volume),
            .name = g_strdup(copy->name),
            .time = copy->time,
            .created = copy->created,
        };
    }
    return TRUE;
}

static gboolean api_schedule_copies_set(CstApiCall *call, const void *data, void *ret_data,
                                        GError **error)
{
    const wire_schedule_copies_set_args *args = data;
    wire_schedule_copies_set_ret *ret = ret_data;
    guint count = args->copies.copies_len;
    g_autofree CstScheduleCopy *copies = g_new0(CstScheduleCopy, count);
    g_autoptr(GPtrArray) rows = g_ptr_array_new();

    for (guint i = 0; i < count; i++) {
        const wire_schedule_copy *wire = &args->copies.copies_val[i];

        copies[i] = (CstScheduleCopy){.id = wire->id,
                                      .place = wire->place,
                                      .pool = wire->pool,
                                      .volume = wire->volume,
                                      .name = wire->name,
                                      .time = wire->time,
                                      .created = wire->created};
        g_ptr_array_add(rows, &copies[i]);
    }
    schedule_identify(call, args->name);
    if (!cst_service_schedule_set_copies(call->service, args->name, rows, error))
        return FALSE;
    ret->ids.ids_val = g_new0(int64_t, count + 1);
    for (guint i = 0; i < count; i++)
        ret->ids.ids_val[ret->ids.ids_len++] = copies[i].id;
    return TRUE;
}

static gboolean api_schedule_copies_forget(CstApiCall *call, const void *data, void *ret,
                                           GError **error)
{
    const wire_schedule_copies_forget_args *args = data;

    return cst_service_schedule_forget_copies(call->service, args->ids.ids_val, args->ids.ids_len,
                                              error);
}

const CstProcedure cst_api_schedule_procedures[] = {
    CST_OWN_PROCEDURE(SCHEDULE_LIST, QUICK, READ, "cisternScheduleList", schedule_list_args,
                      schedule_list_ret, api_schedule_list),
    CST_OWN_PROCEDURE(SCHEDULE_SET, QUICK, WRITE, "cisternScheduleSet", schedule_set_args, void,
                      api_schedule_set),
    CST_OWN_PROCEDURE(SCHEDULE_DELETE, QUICK, WRITE, "cisternScheduleDelete", schedule_args, void,
                      api_schedule_delete),
    CST_OWN_PROCEDURE(SCHEDULE_HISTORY, QUICK, READ, "cisternScheduleHistory",
                      schedule_history_args, schedule_history_ret, api_schedule_history),
    CST_OWN_PROCEDURE(SCHEDULE_BEGIN, QUICK, WRITE, "cisternScheduleBegin", schedule_begin_args,
                      schedule_begin_ret, api_schedule_begin),
    CST_OWN_PROCEDURE(SCHEDULE_END, QUICK, WRITE, "cisternScheduleEnd", schedule_end_args, void,
                      api_schedule_end),
    CST_OWN_PROCEDURE(SCHEDULE_COPIES, QUICK, READ, "cisternScheduleCopies", schedule_copies_args,
                      schedule_copies_ret, api_schedule_copies),
    CST_OWN_PROCEDURE(SCHEDULE_COPIES_SET, QUICK, WRITE, "cisternScheduleCopiesSet",
                      schedule_copies_set_args, schedule_copies_set_ret, api_schedule_copies_set),
    CST_OWN_PROCEDURE(SCHEDULE_COPIES_FORGET, QUICK, WRITE, "cisternScheduleCopiesForget",
                      schedule_copies_forget_args, void, api_schedule_copies_forget),
    {0},
};
