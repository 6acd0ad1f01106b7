/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>
#include <store/audit.h>

/**
 * Returns the audit trail of the service, borrowed. An embedded service reads its limit from
 * cisternd's configuration at the first call. From any thread.
 */
CstAudit *cst_service_audit(CstService *service);

/** Sets the limit in MiB of the audit trail's files. Call it before cst_service_start(). */
void cst_service_set_audit_limit(CstService *service, guint mib);

/** Parses [audit] max_size, from 1 to CST_AUDIT_MIB_MAX MiB. Fails with CONFIG. */
gboolean cst_audit_parse_limit(const char *value, guint *ret_mib, GError **error);

/** As cst_audit_lines(), for the root of @service. */
GPtrArray *cst_service_audit_lines(CstService *service, uint64_t *position, guint max,
                                   GError **error);
/** As cst_audit_verify(), for the root of @service. */
gboolean cst_service_audit_verify(CstService *service, const char *head, CstTask *task,
                                  CstAuditState *ret_state, GError **error);
