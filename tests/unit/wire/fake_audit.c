/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake service records changes only if a test gives it an audit trail. */
#include "fake_service.h"

#include <service/audit.h>

CstAudit *cst_service_audit(CstService *self)
{
    return fake.audit;
}

GPtrArray *cst_service_audit_lines(CstService *self, uint64_t *position, guint max, GError **error)
{
    return g_ptr_array_new_with_free_func(g_free);
}

gboolean cst_service_audit_verify(CstService *self, const char *head, CstTask *task,
                                  CstAuditState *ret_state, GError **error)
{
    *ret_state = (CstAuditState){.problems = g_ptr_array_new_with_free_func(g_free)};
    return TRUE;
}
