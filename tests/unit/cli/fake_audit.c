/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake server has recorded no changes. */
#include <conn/audit.h>

gboolean cst_conn_audit_list(CstConn *conn, CstConnAuditLine func, gpointer data, GError **error)
{
    return TRUE;
}

gboolean cst_conn_audit_verify(CstConn *conn, const char *head, CstTask *task,
                               CstConnAudit *ret_audit, GError **error)
{
    *ret_audit =
        (CstConnAudit){.head = g_strdup(""), .problems = g_ptr_array_new_with_free_func(g_free)};
    return TRUE;
}

void cst_conn_audit_clear(CstConnAudit *audit)
{
    g_clear_pointer(&audit->head, g_free);
    g_clear_pointer(&audit->problems, g_ptr_array_unref);
}
