/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checked dispatcher of calls, and the calls that concern the connection.
 *
 * Every call passes through conn_call_program(). It finds the procedure's row in the procedure
 * table, rejects changes over a read-only connection, sets the thread's dry-run state, and checks
 * afterwards that a failure has set an error. The typed calls of conn.h are in files by object
 * (pools.c, volumes.c, …). Each fills in the procedure's arguments and converts its reply.
 */
#include "conn_private.h"

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>

CstConn *cst_conn_new(const CstTransport *transport, gpointer self, const char *given_uri,
                      gboolean read_only)
{
    CstConn *conn = g_new0(CstConn, 1);

    conn->transport = transport;
    conn->self = self;
    conn->given_uri = g_strdup(given_uri);
    conn->read_only = read_only;
    return conn;
}

void cst_conn_free(CstConn *conn)
{
    if (!conn)
        return;
    g_free(conn->stale_socket);
    g_free(conn->root);
    conn->transport->close(conn->self);
    cst_conn_uri_clear(&conn->uri);
    g_free(conn->given_uri);
    g_free(conn);
}

gboolean cst_conn_is_read_only(const CstConn *conn)
{
    return conn->read_only;
}

const char *cst_conn_stale_socket(const CstConn *conn)
{
    return conn->stale_socket;
}

gboolean cst_conn_is_embedded(const CstConn *conn)
{
    return conn->transport->embedded;
}

/* --- calls ----------------------------------------------------------------------------------- */

gboolean(cst_conn_fail_unsupported)(const char *what, GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SUPPORT, _("%s: not supported by this server"), what);
}

gboolean cst_conn_check_result(gboolean ok, const char *name, GError **error)
{
    if (!ok && error && !*error)
        return cst_fail(error, CST_ERROR_INTERNAL, _("%s failed without setting an error"), name);
    return ok;
}

gboolean cst_conn_check_access(const CstConn *conn, const CstProcedure *procedure, GError **error)
{
    /*
     * Set for each call, because an embedded call runs in this thread and another connection may
     * have changed it.
     */
    cst_dry_run_set(conn->dry_run);
    if (procedure->needs == CST_NEEDS_WRITE && conn->read_only)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("read only access prevents %s"),
                        procedure->name);
    return TRUE;
}

static gboolean conn_call_program(CstConn *conn, uint32_t program, int number, const void *args,
                                  void *ret, CstTask *task, GError **error)
{
    const CstProcedure *procedure = cst_api_find(program, number);
    wire_void none = {0};

    g_return_val_if_fail(procedure, FALSE);
    return cst_conn_check_access(conn, procedure, error) &&
           cst_conn_check_result(conn->transport->call(conn->self, procedure, args ? args : &none,
                                                       ret ? ret : &none, task, error),
                                 procedure->name, error);
}

gboolean cst_conn_call(CstConn *conn, int number, const void *args, void *ret, CstTask *task,
                       GError **error)
{
    return conn_call_program(conn, WIRE_REMOTE_PROGRAM, number, args, ret, task, error);
}

gboolean cst_conn_own_call(CstConn *conn, int number, const void *args, void *ret, CstTask *task,
                           GError **error)
{
    return conn_call_program(conn, WIRE_CISTERN_PROGRAM, number, args, ret, task, error);
}

char *cst_conn_text(CstConn *conn, int number, const void *args, GError **error)
{
    wire_text ret = {0};

    /* XDR allocates strings with malloc(), so g_free() may free them. */
    return cst_conn_call(conn, number, args, &ret, NULL, error) ? ret.value : NULL;
}

gboolean cst_conn_supports(CstConn *conn, int number, gboolean *ret_supported, GError **error)
{
    return conn->transport->supports(conn->self, number, ret_supported, error);
}

gboolean cst_conn_set_dry_run(CstConn *conn, gboolean dry_run, GError **error)
{
    if (conn->dry_run == dry_run)
        return TRUE;
    /*
     * The server first: if it does not support dry runs, this side must not treat the following
     * calls as dry runs.
     */
    if (!conn->transport->set_dry_run(conn->self, dry_run, error))
        return FALSE;
    conn->dry_run = dry_run;
    cst_dry_run_set(dry_run);
    return TRUE;
}

/* --- properties of the connection ------------------------------------------------------------ */

char *cst_conn_uri(CstConn *conn, GError **error)
{
    return conn->given_uri ? g_strdup(conn->given_uri)
                           : cst_conn_text(conn, WIRE_PROC_CONNECT_GET_URI, NULL, error);
}

char *cst_conn_hostname(CstConn *conn, GError **error)
{
    return cst_conn_text(conn, WIRE_PROC_CONNECT_GET_HOSTNAME, NULL, error);
}

char *cst_conn_type(CstConn *conn, GError **error)
{
    return cst_conn_text(conn, WIRE_PROC_CONNECT_GET_TYPE, NULL, error);
}

char *cst_conn_capabilities(CstConn *conn, GError **error)
{
    return cst_conn_text(conn, WIRE_PROC_CONNECT_GET_CAPABILITIES, NULL, error);
}

static gboolean ask_version(CstConn *conn, int number, uint64_t *ret_version, GError **error)
{
    wire_hyper version = {0};

    if (!cst_conn_call(conn, number, NULL, &version, NULL, error))
        return FALSE;
    *ret_version = version.value;
    return TRUE;
}

gboolean cst_conn_lib_version(CstConn *conn, uint64_t *ret_version, GError **error)
{
    return ask_version(conn, WIRE_PROC_CONNECT_GET_LIB_VERSION, ret_version, error);
}

gboolean cst_conn_hv_version(CstConn *conn, uint64_t *ret_version, GError **error)
{
    return ask_version(conn, WIRE_PROC_CONNECT_GET_VERSION, ret_version, error);
}

/* --- events ---------------------------------------------------------------------------------- */

gboolean cst_conn_subscribe(CstConn *conn, CstConnEventType type, const CstUuid *uuid,
                            CstConnEventFunc func, gpointer data, guint *ret_id, GError **error)
{
    return conn->transport->subscribe(conn->self, type, uuid, func, data, ret_id, error);
}

gboolean cst_conn_unsubscribe(CstConn *conn, guint id, GError **error)
{
    return conn->transport->unsubscribe(conn->self, id, error);
}

gboolean cst_conn_wait_events(CstConn *conn, int timeout_ms, int wake_fd, guint *ret_delivered,
                              GError **error)
{
    return conn->transport->wait_events(conn->self, timeout_ms, wake_fd, ret_delivered, error);
}
