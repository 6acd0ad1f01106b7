/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typed calls for the audit trail. Both belong to Cistern's own program, so a stock server rejects
 * them with NO_SUPPORT.
 */
#include <conn/audit.h>

#include "conn_private.h"

#define PAGE 4096 /* lines; WIRE_PAGE_MAX */

G_STATIC_ASSERT(PAGE <= WIRE_PAGE_MAX);

gboolean cst_conn_audit_list(CstConn *conn, CstConnAuditLine func, gpointer data, GError **error)
{
    wire_audit_list_args args = {.position = 0, .max = PAGE};
    gboolean ok = TRUE;
    guint count;

    do {
        wire_audit_list_ret ret = {0};

        if (!cst_conn_own_call(conn, WIRE_CISTERN_AUDIT_LIST, &args, &ret, NULL, error))
            return FALSE;
        count = ret.lines.lines_len;
        args.position = ret.position;
        for (guint i = 0; i < count && ok; i++)
            ok = func(ret.lines.lines_val[i], data, error);
        xdr_free((xdrproc_t)xdr_wire_audit_list_ret, (char *)&ret);
    } while (ok && count > 0);
    return ok;
}

gboolean cst_conn_audit_verify(CstConn *conn, const char *head, CstTask *task,
                               CstConnAudit *ret_audit, GError **error)
{
    char *one = (char *)head;
    wire_audit_verify_args args = {cst_opt_arg(&one)};
    wire_audit_verify_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_AUDIT_VERIFY, &args, &ret, task, error))
        return FALSE;
    *ret_audit = (CstConnAudit){.records = ret.records,
                                .first = ret.first,
                                .last = ret.last,
                                .repairs = ret.repairs,
                                .head = g_steal_pointer(&ret.head),
                                .problems = g_ptr_array_new_with_free_func(g_free)};
    for (guint i = 0; i < ret.problems.problems_len; i++)
        g_ptr_array_add(ret_audit->problems, g_steal_pointer(&ret.problems.problems_val[i]));
    xdr_free((xdrproc_t)xdr_wire_audit_verify_ret, (char *)&ret);
    return TRUE;
}

void cst_conn_audit_clear(CstConnAudit *audit)
{
    g_clear_pointer(&audit->head, g_free);
    g_clear_pointer(&audit->problems, g_ptr_array_unref);
}
