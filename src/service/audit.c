/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The audit trail of a service. The trail is opened at the first change, because most commands only
 * read. The procedures write its records (src/api/audit.c).
 */
#include <service/audit.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/settings.h>

#include "core/service.h"

gboolean cst_audit_parse_limit(const char *value, guint *ret_mib, GError **error)
{
    guint64 mib;

    if (!g_ascii_string_to_unsigned(value, 10, 1, CST_AUDIT_MIB_MAX, &mib, NULL))
        return cst_fail(error, CST_ERROR_CONFIG, _("'%s' is not a number from 1 to %u"), value,
                        CST_AUDIT_MIB_MAX);
    *ret_mib = (guint)mib;
    return TRUE;
}

/* Implements CstSettingFunc; @data is a guint *. Other settings are cisternd's. */
static gboolean audit_setting_set(const char *group, const char *key, const char *value,
                                  unsigned line, gpointer data, GError **error)
{
    if (!g_str_equal(group, "audit") || !g_str_equal(key, "max_size"))
        return TRUE;
    return cst_audit_parse_limit(value, data, error);
}

/* A damaged configuration must not stop the recording, so it means the default. */
static guint audit_limit_read(const CstPaths *paths)
{
    g_autofree char *path = cst_paths_daemon_config(paths);
    guint mib = CST_AUDIT_MIB;

    return cst_settings_read_file(path, FALSE, audit_setting_set, &mib, NULL) ? mib : CST_AUDIT_MIB;
}

CstAudit *cst_service_audit(CstService *service)
{
    CstAudit *audit = g_atomic_pointer_get(&service->audit);
    guint mib;

    if (audit)
        return audit;
    mib = service->audit_mib ? service->audit_mib : audit_limit_read(service->paths);
    audit = cst_audit_new(service->paths, NULL);
    cst_audit_set_limit(audit, (uint64_t)mib << 20);
    /* Another thread may have set it since. */
    if (!g_atomic_pointer_compare_and_exchange(&service->audit, NULL, audit)) {
        cst_audit_free(audit);
        audit = g_atomic_pointer_get(&service->audit);
    }
    return audit;
}

void cst_service_set_audit_limit(CstService *service, guint mib)
{
    service->audit_mib = mib;
}

GPtrArray *cst_service_audit_lines(CstService *service, uint64_t *position, guint max,
                                   GError **error)
{
    return cst_audit_lines(service->paths, position, max, error);
}

gboolean cst_service_audit_verify(CstService *service, const char *head, CstTask *task,
                                  CstAuditState *ret_state, GError **error)
{
    return cst_audit_verify(service->paths, head, task, ret_state, error);
}
