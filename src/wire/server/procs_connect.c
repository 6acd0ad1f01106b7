/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <unistd.h>

#include "procedures.h"
#include "server.h"
#include <service/host.h>

/* Numbers of virDrvFeature that storage clients ask for. */
enum { FEATURE_KEEPALIVE = 10, FEATURE_EVENT_FILTER = 14, FEATURE_CLOSE_CALLBACK = 15 };

enum { OPEN_READ_ONLY = 1, OPEN_NO_ALIASES = 2 };

/* The names that a client may open, by scheme. */
static const struct {
    const char *scheme;
    const char *label; /* as libvirt writes it in "unexpected … URI path" */
    const char *type;  /* answer of GET_TYPE */
} drivers[] = {
    [DRIVER_STORAGE] = {"storage", "storage", "storage"},
    [DRIVER_SECRET] = {"secret", "secret", "secret"},
    [DRIVER_QEMU] = {"qemu", "QEMU", "QEMU"},
};

/* --- opening --------------------------------------------------------------------------------- */

static gboolean auth_list(Call *call, const void *args, void *data, GError **error)
{
    wire_auth_list_ret *ret = data;

    /* "None": the kernel has told who it is. Who may not be here hears so when it opens. */
    ret->types.types_val = g_new0(int, 1);
    ret->types.types_len = 1;
    return TRUE;
}

static gboolean auth_refused(Call *call, const void *args, void *ret, GError **error)
{
    return cst_fail(error, CST_ERROR_AUTH, _("this socket asks for no authentication"));
}

static gboolean driver_by_scheme(const char *scheme, Driver *ret_driver)
{
    for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++)
        if (g_strcmp0(scheme, drivers[i].scheme) == 0) {
            *ret_driver = (Driver)i;
            return TRUE;
        }
    return FALSE;
}

static gboolean parse_name(const char *name, gboolean session, Driver *ret_driver, GError **error)
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

static gboolean connect_open(Call *call, const void *data, void *ret, GError **error)
{
    const wire_open_args *args = data;
    Client *client = call->client;
    const gboolean session = client->loop->server->options.session;
    Driver driver = DRIVER_STORAGE;

    if (client->state == CLIENT_OPEN)
        return cst_fail(error, CST_ERROR_INTERNAL, _("connection already open"));
    if (!cst_flags_check(args->flags, OPEN_READ_ONLY | OPEN_NO_ALIASES, "virConnectOpenInternal",
                         error))
        return FALSE;
    if (args->name && **args->name && !parse_name(*args->name, session, &driver, error))
        return FALSE;
    client->driver = driver;
    client->read_only |= (args->flags & OPEN_READ_ONLY) != 0;
    client->uri =
        g_strdup_printf("%s:///%s", drivers[driver].scheme, session ? "session" : "system");
    client->state = CLIENT_OPEN;
    client_update_timed(client);
    return TRUE;
}

static gboolean connect_close(Call *call, const void *args, void *ret, GError **error)
{
    client_close(call->client);
    return TRUE;
}

static gboolean supports_feature(Call *call, const void *data, void *ret, GError **error)
{
    int feature = ((const wire_int *)data)->value;
    Client *client = call->client;

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

/* --- about the connection -------------------------------------------------------------------- */

static gboolean done(Call *call, const void *args, void *ret, GError **error)
{
    return TRUE;
}

static gboolean get_type(Call *call, const void *args, void *ret, GError **error)
{
    ((wire_text *)ret)->value = g_strdup(drivers[call->client->driver].type);
    return TRUE;
}

static gboolean get_uri(Call *call, const void *args, void *ret, GError **error)
{
    ((wire_text *)ret)->value = g_strdup(call->client->uri);
    return TRUE;
}

static gboolean get_version(Call *call, const void *args, void *ret, GError **error)
{
    unsigned major = 0, minor = 0, micro = 0;

    /* Tools switch off what old QEMUs lack: formats of volumes, backing files. */
    if (call->client->driver == DRIVER_QEMU) {
        ((wire_hyper *)ret)->value = CST_QEMU_GENERATION;
        return TRUE;
    }
    sscanf(CST_VERSION, "%u.%u.%u", &major, &minor, &micro);
    ((wire_hyper *)ret)->value = major * UINT64_C(1000000) + minor * 1000 + micro;
    return TRUE;
}

static gboolean get_lib_version(Call *call, const void *args, void *ret, GError **error)
{
    ((wire_hyper *)ret)->value = CST_LIBVIRT_GENERATION;
    return TRUE;
}

static gboolean get_hostname(Call *call, const void *args, void *ret, GError **error)
{
    ((wire_text *)ret)->value = g_strdup(g_get_host_name());
    return TRUE;
}

static gboolean is_secure(Call *call, const void *args, void *ret, GError **error)
{
    ((wire_int *)ret)->value = 1;
    return TRUE;
}

static gboolean get_capabilities(Call *call, const void *args, void *ret, GError **error)
{
    ((wire_text *)ret)->value = cst_service_capabilities(call->service, error);
    return ((wire_text *)ret)->value != NULL;
}

#define ROW(number, needs, api, permission, args, ret, handler)                               \
    {                                                                                         \
        WIRE_PROC_##number, RUN_INLINE, needs, api, permission, CST_WIRE_FROM_RPC, args, ret, \
            handler, NULL, NULL, NULL                                                         \
    }

const Procedure procedures_connect[] = {
    ROW(AUTH_LIST, NEEDS_NOTHING, "authentication", "none", NOTHING, WIRE_TYPE(auth_list_ret),
        auth_list),
    ROW(AUTH_SASL_INIT, NEEDS_NOTHING, "authentication", "none", NOTHING, WIRE_TYPE(text),
        auth_refused),
    ROW(AUTH_SASL_START, NEEDS_NOTHING, "authentication", "none", WIRE_TYPE(sasl_start_args),
        WIRE_TYPE(sasl_ret), auth_refused),
    ROW(AUTH_SASL_STEP, NEEDS_NOTHING, "authentication", "none", WIRE_TYPE(sasl_step_args),
        WIRE_TYPE(sasl_ret), auth_refused),
    ROW(AUTH_POLKIT, NEEDS_NOTHING, "authentication", "none", NOTHING, WIRE_TYPE(int),
        auth_refused),
    ROW(CONNECT_OPEN, NEEDS_READ, "virConnectOpen", "conn:getattr", WIRE_TYPE(open_args), NOTHING,
        connect_open),
    ROW(CONNECT_CLOSE, NEEDS_NOTHING, "virConnectClose", "none", NOTHING, NOTHING, connect_close),
    ROW(CONNECT_SUPPORTS_FEATURE, NEEDS_NOTHING, "virConnectSupportsFeature", "conn:getattr",
        WIRE_TYPE(int), WIRE_TYPE(int), supports_feature),
    ROW(CONNECT_GET_TYPE, NEEDS_READ, "virConnectGetType", "conn:getattr", NOTHING, WIRE_TYPE(text),
        get_type),
    ROW(CONNECT_GET_URI, NEEDS_READ, "virConnectGetURI", "conn:getattr", NOTHING, WIRE_TYPE(text),
        get_uri),
    ROW(CONNECT_GET_VERSION, NEEDS_READ, "virConnectGetVersion", "conn:getattr", NOTHING,
        WIRE_TYPE(hyper), get_version),
    ROW(CONNECT_GET_LIB_VERSION, NEEDS_READ, "virConnectGetLibVersion", "conn:getattr", NOTHING,
        WIRE_TYPE(hyper), get_lib_version),
    ROW(CONNECT_GET_HOSTNAME, NEEDS_READ, "virConnectGetHostname", "conn:getattr", NOTHING,
        WIRE_TYPE(text), get_hostname),
    ROW(CONNECT_IS_SECURE, NEEDS_READ, "virConnectIsSecure", "none", NOTHING, WIRE_TYPE(int),
        is_secure),
    ROW(CONNECT_REGISTER_CLOSE_CALLBACK, NEEDS_READ, "virConnectRegisterCloseCallback",
        "conn:getattr", NOTHING, NOTHING, done),
    ROW(CONNECT_UNREGISTER_CLOSE_CALLBACK, NEEDS_READ, "virConnectUnregisterCloseCallback",
        "conn:getattr", NOTHING, NOTHING, done),
    {WIRE_PROC_CONNECT_GET_CAPABILITIES, RUN_QUICK, NEEDS_READ, "virConnectGetCapabilities",
     "conn:read", CST_WIRE_FROM_RPC, NOTHING, WIRE_TYPE(text), get_capabilities, NULL, NULL, NULL},
    {0},
};
