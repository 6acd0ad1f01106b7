/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Procedures for the log of events and its notifications. */
#include <service/events.h>

#include "api_private.h"

static void event_fill(wire_event *ret, const CstEventRecord *event)
{
    *ret = (wire_event){
        .id = event->id,
        .time = event->time,
        .kind = g_strdup(event->kind),
        .severity = event->severity,
        .over = event->over,
        .type = g_strdup(event->type),
        .object = g_strdup(event->object),
        .uid = event->uid,
        .message = g_strdup(event->message),
    };
}

static gboolean api_event_list(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_event_list_args *args = data;
    wire_event_list_ret *ret = ret_data;
    const CstEventQuery query = {
        .after = args->after,
        .since = args->since,
        .kind = cst_api_opt_text(args->kind),
        .object = cst_api_opt_text(args->object),
        .severity = (CstSeverity)MIN(args->severity, CST_SEVERITY_LAST),
        .max = MIN(args->max, WIRE_PAGE_MAX),
    };
    int64_t last;
    g_autoptr(GPtrArray) rows = cst_service_events(call->service, &query, &last, error);

    if (!rows)
        return FALSE;
    ret->last = last;
    ret->events.events_val = g_new0(wire_event, rows->len + 1);
    for (guint i = 0; i < rows->len; i++)
        event_fill(&ret->events.events_val[ret->events.events_len++], rows->pdata[i]);
    return TRUE;
}

static gboolean api_notify_test(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_notify_test_args *args = data;
    wire_notify_test_ret *ret = ret_data;
    g_autoptr(GPtrArray) rows =
        cst_service_notify_test(call->service, cst_api_opt_text(args->rule), call->task, error);

    if (!rows)
        return FALSE;
    ret->results.results_val = g_new0(wire_notify_result, rows->len + 1);
    for (guint i = 0; i < rows->len; i++) {
        const CstNotifyResult *row = rows->pdata[i];

        ret->results.results_val[ret->results.results_len++] = (wire_notify_result){
            .rule = g_strdup(row->rule),
            .target = g_strdup(row->target),
            .problem = cst_api_opt(g_strdup(row->problem)),
        };
    }
    return TRUE;
}

const CstProcedure cst_api_event_procedures[] = {
    CST_OWN_PROCEDURE(EVENT_LIST, QUICK, READ, "cisternEventList", event_list_args, event_list_ret,
                      api_event_list),
    CST_OWN_PROCEDURE(NOTIFY_TEST, LONG, WRITE, "cisternNotifyTest", notify_test_args,
                      notify_test_ret, api_notify_test),
    {0},
};
