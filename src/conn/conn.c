/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "conn_private.h"

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>

CstConn *cst_conn_new(const CstConnOps *ops, gpointer self, gboolean read_only)
{
    CstConn *conn = g_new0(CstConn, 1);

    conn->ops = ops;
    conn->self = self;
    conn->read_only = read_only;
    return conn;
}

void cst_conn_free(CstConn *conn)
{
    if (!conn)
        return;
    conn->ops->close(conn->self);
    g_free(conn);
}

gboolean cst_conn_is_read_only(const CstConn *conn)
{
    return conn->read_only;
}

gboolean cst_conn_is_embedded(const CstConn *conn)
{
    return conn->ops->embedded;
}

/* --- checks that every call passes ----------------------------------------------------------- */

gboolean cst_conn_allow(const CstConn *conn, CstConnAccess access, const char *api, GError **error)
{
    cst_dry_run_set(conn->dry_run);
    if (access == CST_ACCESS_WRITE && conn->read_only)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("read only access prevents %s"), api);
    return TRUE;
}

gboolean(cst_conn_lacks)(const char *api, GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SUPPORT, _("%s: not supported by this server"), api);
}

gboolean cst_conn_checked(gboolean ok, const char *api, GError **error)
{
    if (!ok && error && !*error)
        return cst_fail(error, CST_ERROR_INTERNAL, _("%s failed without saying why"), api);
    return ok;
}

gboolean cst_conn_set_dry_run(CstConn *conn, gboolean dry_run, GError **error)
{
    if (conn->dry_run == dry_run)
        return TRUE;
    if (conn->ops->set_dry_run && !conn->ops->set_dry_run(conn->self, dry_run, error))
        return FALSE;
    conn->dry_run = dry_run;
    cst_dry_run_set(dry_run);
    return TRUE;
}

/* --- about the connection -------------------------------------------------------------------- */

char *cst_conn_uri(CstConn *conn, GError **error)
{
    char *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, uri, CST_ACCESS_READ, "virConnectGetURI"))
        return NULL;
    return result;
}

char *cst_conn_hostname(CstConn *conn, GError **error)
{
    char *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, hostname, CST_ACCESS_READ, "virConnectGetHostname"))
        return NULL;
    return result;
}

char *cst_conn_type(CstConn *conn, GError **error)
{
    char *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, type, CST_ACCESS_READ, "virConnectGetType"))
        return NULL;
    return result;
}

gboolean cst_conn_lib_version(CstConn *conn, uint64_t *ret_version, GError **error)
{
    return CST_DISPATCH(conn, lib_version, CST_ACCESS_READ, "virConnectGetLibVersion", ret_version);
}

gboolean cst_conn_hv_version(CstConn *conn, uint64_t *ret_version, GError **error)
{
    return CST_DISPATCH(conn, hv_version, CST_ACCESS_READ, "virConnectGetVersion", ret_version);
}

char *cst_conn_capabilities(CstConn *conn, GError **error)
{
    char *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, capabilities, CST_ACCESS_READ, "virConnectGetCapabilities"))
        return NULL;
    return result;
}

/* --- events ---------------------------------------------------------------------------------- */

gboolean cst_conn_subscribe(CstConn *conn, CstConnEventType type, const CstUuid *uuid,
                            CstConnEventFunc func, gpointer data, guint *ret_id, GError **error)
{
    return CST_DISPATCH(conn, subscribe, CST_ACCESS_READ, "virConnectStoragePoolEventRegisterAny",
                        type, uuid, func, data, ret_id);
}

gboolean cst_conn_unsubscribe(CstConn *conn, guint id, GError **error)
{
    return CST_DISPATCH(conn, unsubscribe, CST_ACCESS_READ,
                        "virConnectStoragePoolEventDeregisterAny", id);
}

gboolean cst_conn_wait_events(CstConn *conn, int timeout_ms, int wake_fd, guint *ret_delivered,
                              GError **error)
{
    return CST_DISPATCH(conn, wait_events, CST_ACCESS_READ, "virEventRunDefaultImpl", timeout_ms,
                        wake_fd, ret_delivered);
}
