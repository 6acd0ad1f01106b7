/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed calls for the log of events. All belong to Cistern's own program. */
#include <conn/events.h>

#include "conn_private.h"

/* Makes an event from a reply. Takes ownership of its texts. */
static CstEventRecord *event_take(wire_event *wire)
{
    CstEventRecord *event = g_new0(CstEventRecord, 1);

    *event = (CstEventRecord){
        .id = wire->id,
        .time = wire->time,
        .kind = g_steal_pointer(&wire->kind),
        .severity = (CstSeverity)MIN(wire->severity, CST_SEVERITY_LAST),
        .over = wire->over != 0,
        .type = g_steal_pointer(&wire->type),
        .object = g_steal_pointer(&wire->object),
        .uid = wire->uid,
        .message = g_steal_pointer(&wire->message),
    };
    return event;
}

/* Adds one page to @rows. *after becomes the id of its last event. *ret_full: more may follow. */
static gboolean events_add_page(CstConn *conn, const CstEventQuery *query, int64_t *after,
                                GPtrArray *rows, int64_t *ret_last, gboolean *ret_full,
                                GError **error)
{
    guint max = MIN(query->max - rows->len, WIRE_PAGE_MAX);
    wire_event_list_args args = {.after = *after,
                                 .since = query->since,
                                 .kind = cst_opt_arg((char **)&query->kind),
                                 .object = cst_opt_arg((char **)&query->object),
                                 .severity = query->severity,
                                 .max = max};
    wire_event_list_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_EVENT_LIST, &args, &ret, NULL, error))
        return FALSE;
    for (guint i = 0; i < ret.events.events_len; i++) {
        *after = ret.events.events_val[i].id;
        g_ptr_array_add(rows, event_take(&ret.events.events_val[i]));
    }
    *ret_last = ret.last;
    *ret_full = ret.events.events_len == max;
    xdr_free((xdrproc_t)xdr_wire_event_list_ret, (char *)&ret);
    return TRUE;
}

GPtrArray *cst_conn_events(CstConn *conn, const CstEventQuery *query, int64_t *ret_last,
                           GError **error)
{
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_event_record_free);
    int64_t after = query->after;
    gboolean full;

    do {
        if (!events_add_page(conn, query, &after, rows, ret_last, &full, error))
            return NULL;
    } while (full && rows->len < query->max);
    return g_steal_pointer(&rows);
}

GPtrArray *cst_conn_notify_test(CstConn *conn, const char *rule, CstTask *task, GError **error)
{
    wire_notify_test_args args = {cst_opt_arg((char **)&rule)};
    wire_notify_test_ret ret = {0};
    GPtrArray *rows;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_NOTIFY_TEST, &args, &ret, task, error))
        return NULL;
    rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_notify_result_free);
    for (guint i = 0; i < ret.results.results_len; i++) {
        wire_notify_result *wire = &ret.results.results_val[i];
        CstNotifyResult *result = g_new0(CstNotifyResult, 1);

        *result = (CstNotifyResult){
            .rule = g_steal_pointer(&wire->rule),
            .target = g_steal_pointer(&wire->target),
            .problem = cst_opt_take(wire->problem),
        };
        g_ptr_array_add(rows, result);
    }
    xdr_free((xdrproc_t)xdr_wire_notify_test_ret, (char *)&ret);
    return rows;
}
