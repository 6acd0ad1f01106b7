/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures of the connection itself: authentication, opening, closing, features. They run in the
 * loop's thread and change the Client.
 *
 * No procedure asks for a password, because the kernel names the peer (peer.c). The URI that a
 * client opens selects the driver that it expects. An optional flag makes the connection read-only,
 * also on the read-write socket. A read-only connection never becomes read-write again.
 */
#include <string.h>
#include <unistd.h>

#include "procedures.h"
#include "server.h"

/* Numbers of virDrvFeature that storage clients ask for. */
enum { FEATURE_KEEPALIVE = 10, FEATURE_EVENT_FILTER = 14, FEATURE_CLOSE_CALLBACK = 15 };

enum { OPEN_READ_ONLY = 1, OPEN_NO_ALIASES = 2 };

/* The schemes of the URIs that a client may open. */
static const struct {
    const char *scheme;
    const char *label; /* as in libvirt's "unexpected … URI path" */
} drivers[] = {
    [CST_API_STORAGE] = {"storage", "storage"},
    [CST_API_SECRET] = {"secret", "secret"},
    [CST_API_QEMU] = {"qemu", "QEMU"},
};

/* --- opening --------------------------------------------------------------------------------- */

static gboolean auth_list(CstApiCall *call, const void *args, void *data, GError **error)
{
    wire_auth_list_ret *ret = data;

    /*
     * One type, 0: no authentication, because the kernel has named the user. CONNECT_OPEN refuses a
     * user without access to the socket.
     */
    ret->types.types_val = g_new0(int, 1);
    ret->types.types_len = 1;
    return TRUE;
}

static gboolean auth_refused(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return cst_fail(error, CST_ERROR_AUTH, _("this socket asks for no authentication"));
}

static gboolean driver_by_scheme(const char *scheme, CstApiDriver *ret_driver)
{
    for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++)
        if (g_strcmp0(scheme, drivers[i].scheme) == 0) {
            *ret_driver = (CstApiDriver)i;
            return TRUE;
        }
    return FALSE;
}

static gboolean parse_driver_uri(const char *name, gboolean session, CstApiDriver *ret_driver,
                                 GError **error)
{
    const char *path = session ? "/session" : "/system";
    g_autoptr(GUri) uri = g_uri_parse(name, G_URI_FLAGS_PARSE_RELAXED, NULL);

    if (!uri || !driver_by_scheme(g_uri_get_scheme(uri), ret_driver) ||
        (g_uri_get_host(uri) && *g_uri_get_host(uri)))
        return cst_fail(error, CST_ERROR_NO_CONNECT, "%s", name);
    if (!g_str_equal(g_uri_get_path(uri), path))
        return cst_fail(error, CST_ERROR_INTERNAL, _("unexpected %s URI path '%s', try %s://%s"),
                        drivers[*ret_driver].label, g_uri_get_path(uri),
                        drivers[*ret_driver].scheme, path);
    return TRUE;
}

static gboolean connect_open(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_open_args *args = data;
    Client *client = client_of(call);
    const gboolean session = client->loop->server->options.session;
    CstApiDriver driver = CST_API_STORAGE;

    if (client->state == CLIENT_OPEN)
        return cst_fail(error, CST_ERROR_INTERNAL, _("connection already open"));
    if (!cst_flags_check(args->flags, OPEN_READ_ONLY | OPEN_NO_ALIASES, "virConnectOpenInternal",
                         error))
        return FALSE;
    if (args->name && **args->name && !parse_driver_uri(*args->name, session, &driver, error))
        return FALSE;
    client->session.driver = driver;
    client->read_only |= (args->flags & OPEN_READ_ONLY) != 0;
    client->session.uri =
        g_strdup_printf("%s:///%s", drivers[driver].scheme, session ? "session" : "system");
    client->state = CLIENT_OPEN;
    client_update_timed(client);
    return TRUE;
}

static gboolean connect_close(CstApiCall *call, const void *args, void *ret, GError **error)
{
    client_close(client_of(call));
    return TRUE;
}

static gboolean supports_feature(CstApiCall *call, const void *data, void *ret, GError **error)
{
    int feature = ((const wire_int *)data)->value;
    Client *client = client_of(call);

    /*
     * The query also enables keepalive, as in libvirt. It is allowed before the connection is open.
     */
    if (feature == FEATURE_KEEPALIVE) {
        client->keepalive = TRUE;
        client->heard = g_get_monotonic_time();
        client_update_timed(client);
    } else if (client->state != CLIENT_OPEN) {
        return cst_fail(error, CST_ERROR_INTERNAL, _("hypervisor connection not open"));
    }
    ((wire_int *)ret)->value = feature == FEATURE_KEEPALIVE || feature == FEATURE_EVENT_FILTER ||
                               feature == FEATURE_CLOSE_CALLBACK;
    return TRUE;
}

static gboolean session_empty_reply(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return TRUE;
}

#define ROW(number, needs, ...) CST_REMOTE_PROCEDURE(number, INLINE, needs, RPC, __VA_ARGS__)

const CstProcedure procedures_session[] = {
    ROW(AUTH_LIST, NOTHING, "authentication", void, auth_list_ret, auth_list),
    ROW(AUTH_SASL_INIT, NOTHING, "authentication", void, text, auth_refused),
    ROW(AUTH_SASL_START, NOTHING, "authentication", sasl_start_args, sasl_ret, auth_refused),
    ROW(AUTH_SASL_STEP, NOTHING, "authentication", sasl_step_args, sasl_ret, auth_refused),
    ROW(AUTH_POLKIT, NOTHING, "authentication", void, int, auth_refused),
    ROW(CONNECT_OPEN, READ, "virConnectOpen", open_args, void, connect_open),
    ROW(CONNECT_CLOSE, NOTHING, "virConnectClose", void, void, connect_close),
    ROW(CONNECT_SUPPORTS_FEATURE, NOTHING, "virConnectSupportsFeature", int, int, supports_feature),
    ROW(CONNECT_REGISTER_CLOSE_CALLBACK, READ, "virConnectRegisterCloseCallback", void, void,
        session_empty_reply),
    ROW(CONNECT_UNREGISTER_CLOSE_CALLBACK, READ, "virConnectUnregisterCloseCallback", void, void,
        session_empty_reply),
    {0},
};
