/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed calls for schedules. All belong to Cistern's own program. */
#include <conn/schedules.h>

#include <string.h>

#include "conn_private.h"

/* --- conversion ------------------------------------------------------------------------------- */

/* Borrows all texts of @schedule. */
static wire_schedule schedule_arg(const CstSchedule *schedule)
{
    const CstRetention *keep = &schedule->keep;
    wire_schedule wire = {
        .name = schedule->name,
        .every = schedule->every,
        .action = schedule->action,
        .selectors = {g_strv_length(schedule->on), schedule->on},
        .options = {g_strv_length(schedule->options), schedule->options},
        .last = keep->last,
        .hourly = keep->hourly,
        .daily = keep->daily,
        .weekly = keep->weekly,
        .monthly = keep->monthly,
        .yearly = keep->yearly,
        .minimum = schedule->keep_min,
        .paused = schedule->paused,
    };

    memcpy(wire.uuid, schedule->uuid.bytes, sizeof(wire.uuid));
    return wire;
}

/* Takes the texts out of an array of a reply. */
static GStrv texts_take(wire_string *texts, guint count)
{
    GStrv taken = g_new0(char *, count + 1);

    for (guint i = 0; i < count; i++)
        taken[i] = g_steal_pointer(&texts[i]);
    return taken;
}

/* Makes a schedule from a reply. Takes ownership of its texts. */
static CstSchedule *schedule_take(wire_schedule *wire)
{
    CstSchedule *schedule = g_new0(CstSchedule, 1);

    *schedule = (CstSchedule){
        .name = g_steal_pointer(&wire->name),
        .every = g_steal_pointer(&wire->every),
        /* An unknown action of a newer server has no word. */
        .action = (CstScheduleAction)MIN(wire->action, CST_SCHEDULE_ACTION_LAST),
        .on = texts_take(wire->selectors.selectors_val, wire->selectors.selectors_len),
        .options = texts_take(wire->options.options_val, wire->options.options_len),
        .keep = {wire->last, wire->hourly, wire->daily, wire->weekly, wire->monthly, wire->yearly},
        .keep_min = wire->minimum,
        .paused = wire->paused != 0,
        .created = wire->created,
        .handled = wire->handled,
    };
    memcpy(schedule->uuid.bytes, wire->uuid, sizeof(wire->uuid));
    return schedule;
}

/* Borrows all texts of @run. */
static wire_schedule_run run_arg(const CstScheduleRun *run)
{
    return (wire_schedule_run){
        .id = run->id,
        .schedule = run->schedule,
        .planned = run->planned,
        .began = run->began,
        .ended = run->ended,
        .state = run->state,
        .manual = run->manual,
        .job = run->job,
        .made = run->made,
        .removed = run->removed,
        .consistency = run->consistency,
        .message = cst_opt_arg((char **)&run->message),
    };
}

static CstScheduleRun *run_take(wire_schedule_run *wire)
{
    CstScheduleRun *run = g_new0(CstScheduleRun, 1);

    *run = (CstScheduleRun){
        .id = wire->id,
        .schedule = g_steal_pointer(&wire->schedule),
        .planned = wire->planned,
        .began = wire->began,
        .ended = wire->ended,
        .state = (CstScheduleState)wire->state,
        .manual = wire->manual != 0,
        .job = wire->job,
        .made = wire->made,
        .removed = wire->removed,
        .consistency = wire->consistency,
        .message = cst_opt_take(wire->message),
    };
    return run;
}

/* --- definitions ------------------------------------------------------------------------------ */

GPtrArray *cst_conn_schedules(CstConn *conn, const char *name, GError **error)
{
    char *one = (char *)name;
    wire_schedule_list_args args = {cst_opt_arg(&one)};
    wire_schedule_list_ret ret = {0};
    GPtrArray *rows;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_SCHEDULE_LIST, &args, &ret, NULL, error))
        return NULL;
    rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_free);
    for (guint i = 0; i < ret.schedules.schedules_len; i++)
        g_ptr_array_add(rows, schedule_take(&ret.schedules.schedules_val[i]));
    xdr_free((xdrproc_t)xdr_wire_schedule_list_ret, (char *)&ret);
    return rows;
}

gboolean cst_conn_schedule_set(CstConn *conn, const CstSchedule *schedule, GError **error)
{
    wire_schedule_set_args args = {schedule_arg(schedule)};

    return cst_conn_own_call(conn, WIRE_CISTERN_SCHEDULE_SET, &args, NULL, NULL, error);
}

gboolean cst_conn_schedule_delete(CstConn *conn, const char *name, GError **error)
{
    wire_schedule_args args = {(char *)name};

    return cst_conn_own_call(conn, WIRE_CISTERN_SCHEDULE_DELETE, &args, NULL, NULL, error);
}

/* --- runs ------------------------------------------------------------------------------------- */

GPtrArray *cst_conn_schedule_history(CstConn *conn, const char *name, guint max, GError **error)
{
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_run_free);
    int64_t before = 0;
    guint count;

    do {
        char *one = (char *)name;
        wire_schedule_history_args args = {cst_opt_arg(&one), before,
                                           MIN(max - rows->len, WIRE_PAGE_MAX)};
        wire_schedule_history_ret ret = {0};

        if (!cst_conn_own_call(conn, WIRE_CISTERN_SCHEDULE_HISTORY, &args, &ret, NULL, error))
            return NULL;
        count = ret.runs.runs_len;
        for (guint i = 0; i < count && rows->len < max; i++) {
            before = ret.runs.runs_val[i].id;
            g_ptr_array_add(rows, run_take(&ret.runs.runs_val[i]));
        }
        xdr_free((xdrproc_t)xdr_wire_schedule_history_ret, (char *)&ret);
    } while (count > 0 && rows->len < max);
    return g_steal_pointer(&rows);
}

gboolean cst_conn_schedule_begin(CstConn *conn, CstScheduleRun *run, int64_t handled,
                                 GError **error)
{
    wire_schedule_begin_args args = {run_arg(run), handled};
    wire_schedule_begin_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_SCHEDULE_BEGIN, &args, &ret, NULL, error))
        return FALSE;
    run->id = ret.id;
    return TRUE;
}

gboolean cst_conn_schedule_end(CstConn *conn, const CstScheduleRun *run, GError **error)
{
    wire_schedule_end_args args = {run_arg(run)};

    return cst_conn_own_call(conn, WIRE_CISTERN_SCHEDULE_END, &args, NULL, NULL, error);
}

/* --- copies ----------------------------------------------------------------------------------- */

static int newest_first(gconstpointer a, gconstpointer b)
{
    const CstScheduleCopy *first = *(CstScheduleCopy *const *)a;
    const CstScheduleCopy *second = *(CstScheduleCopy *const *)b;

    return first->time > second->time ? -1 : first->time < second->time;
}

/* Appends the copies with an id above *after, which becomes that of the last one; 0: at the end. */
static gboolean copies_add_page(CstConn *conn, const char *name, int64_t *after, GPtrArray *rows,
                                GError **error)
{
    wire_schedule_copies_args args = {(char *)name, *after};
    wire_schedule_copies_ret ret = {0};
    int64_t last = 0;
    guint ret_count;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_SCHEDULE_COPIES, &args, &ret, NULL, error))
        return FALSE;
    ret_count = ret.copies.copies_len;
    for (guint i = 0; i < ret.copies.copies_len; i++) {
        wire_schedule_copy *wire = &ret.copies.copies_val[i];
        CstScheduleCopy *copy = g_new0(CstScheduleCopy, 1);

        last = wire->id;
        *copy = (CstScheduleCopy){
            .id = wire->id,
            .place = g_steal_pointer(&wire->place),
            .pool = g_steal_pointer(&wire->pool),
            .volume = g_steal_pointer(&wire->volume),
            .name = g_steal_pointer(&wire->name),
            .time = wire->time,
            .created = wire->created,
        };
        g_ptr_array_add(rows, copy);
    }
    xdr_free((xdrproc_t)xdr_wire_schedule_copies_ret, (char *)&ret);
    *after = ret_count == WIRE_PAGE_MAX ? last : 0;
    return TRUE;
}

GPtrArray *cst_conn_schedule_copies(CstConn *conn, const char *name, GError **error)
{
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_copy_free);
    int64_t after = 0;

    while (copies_add_page(conn, name, &after, rows, error))
        if (after == 0) {
            g_ptr_array_sort(rows, newest_first);
            return g_steal_pointer(&rows);
        }
    return NULL;
}

/* Stores a part of the copies that fits into a call. */
static gboolean copies_set_page(CstConn *conn, const char *name, CstScheduleCopy **copies,
                                guint count, GError **error)
{
    g_autofree wire_schedule_copy *rows = g_new0(wire_schedule_copy, count);
    wire_schedule_copies_set_args args = {(char *)name, {count, rows}};
    wire_schedule_copies_set_ret ret = {0};

    for (guint i = 0; i < count; i++)
        rows[i] = (wire_schedule_copy){
            .id = copies[i]->id,
            .place = copies[i]->place,
            .pool = copies[i]->pool,
            .volume = copies[i]->volume,
            .name = copies[i]->name,
            .time = copies[i]->time,
            .created = copies[i]->created,
        };
    if (!cst_conn_own_call(conn, WIRE_CISTERN_SCHEDULE_COPIES_SET, &args, &ret, NULL, error))
        return FALSE;
    for (guint i = 0; i < MIN(count, ret.ids.ids_len); i++)
        copies[i]->id = ret.ids.ids_val[i];
    xdr_free((xdrproc_t)xdr_wire_schedule_copies_set_ret, (char *)&ret);
    return TRUE;
}

gboolean cst_conn_schedule_set_copies(CstConn *conn, const char *name, const GPtrArray *copies,
                                      GError **error)
{
    for (guint at = 0; at < copies->len; at += WIRE_PAGE_MAX)
        if (!copies_set_page(conn, name, (CstScheduleCopy **)&copies->pdata[at],
                             MIN(copies->len - at, WIRE_PAGE_MAX), error))
            return FALSE;
    return TRUE;
}

gboolean cst_conn_schedule_forget_copies(CstConn *conn, const GPtrArray *copies, GError **error)
{
    g_autofree int64_t *ids = g_new(int64_t, copies->len);

    for (guint i = 0; i < copies->len; i++)
        ids[i] = ((const CstScheduleCopy *)copies->pdata[i])->id;
    for (guint at = 0; at < copies->len; at += WIRE_PAGE_MAX) {
        wire_schedule_copies_forget_args args = {{MIN(copies->len - at, WIRE_PAGE_MAX), &ids[at]}};

        if (!cst_conn_own_call(conn, WIRE_CISTERN_SCHEDULE_COPIES_FORGET, &args, NULL, NULL, error))
            return FALSE;
    }
    return TRUE;
}
