/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures that read the audit trail. Both need WRITE, because a client on the read-only socket
 * must not see the actions of other users.
 */
#include <service/audit.h>

#include "api_private.h"

G_STATIC_ASSERT(CST_AUDIT_PROBLEMS_MAX == WIRE_AUDIT_PROBLEMS_MAX);

/* Moves the strings of @from to an array, which the caller frees with xdr_free(). */
static wire_string *strings_move(GPtrArray *from, u_int *ret_count)
{
    wire_string *strings = g_new0(wire_string, from->len + 1);

    *ret_count = from->len;
    for (guint i = 0; i < from->len; i++)
        strings[i] = g_steal_pointer(&from->pdata[i]);
    return strings;
}

static gboolean api_audit_list(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_audit_list_args *args = data;
    wire_audit_list_ret *ret = ret_data;
    uint64_t position = args->position;
    g_autoptr(GPtrArray) lines =
        cst_service_audit_lines(call->service, &position, MIN(args->max, WIRE_PAGE_MAX), error);

    if (!lines)
        return FALSE;
    ret->lines.lines_val = strings_move(lines, &ret->lines.lines_len);
    ret->position = position;
    return TRUE;
}

static gboolean api_audit_verify(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_audit_verify_args *args = data;
    wire_audit_verify_ret *ret = ret_data;
    g_auto(CstAuditState) state = {0};

    if (!cst_service_audit_verify(call->service, cst_api_opt_text(args->head), call->task, &state,
                                  error))
        return FALSE;
    *ret = (wire_audit_verify_ret){.records = state.records,
                                   .first = state.first,
                                   .last = state.last,
                                   .repairs = state.repairs,
                                   .head = g_strdup(state.head)};
    ret->problems.problems_val = strings_move(state.problems, &ret->problems.problems_len);
    return TRUE;
}

const CstProcedure cst_api_audit_procedures[] = {
    CST_OWN_PROCEDURE(AUDIT_LIST, LONG, WRITE, "cisternAuditList", audit_list_args, audit_list_ret,
                      api_audit_list, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(AUDIT_VERIFY, LONG, WRITE, "cisternAuditVerify", audit_verify_args,
                      audit_verify_ret, api_audit_verify, .reads = cst_api_only_reads),
    {0},
};
