/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a definition to sessions, and back. Three steps for each portal: query it for the target,
 * which reports its portal group, create a record through one of our interfaces, log in. One
 * successful portal is sufficient. The other portals are for redundancy.
 *
 * Existing sessions of other programs with the target are used, because a second session would show
 * each LUN twice on this host. They are kept when the pool stops.
 *
 * A start that is killed leaves records and sessions through one of our interfaces. The next start
 * of the pool uses them, and its stop removes them.
 */
#include "iscsi.h"

#include <gio_library.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <pool/device.h>

#define GONE_STEP (100 * G_TIME_SPAN_MILLISECOND)
#define ANSWER_S  2

static const CstHost *host_of(const CstPoolDef *def, guint i)
{
    return g_ptr_array_index(def->source.hosts, i);
}

/* --- discovery -------------------------------------------------------------------------------- */

/* Resolves @name to the numeric address *ret_address. The caller frees it. */
static gboolean iscsi_resolve_host(const char *name, char **ret_address, GError **error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char address[NI_MAXHOST] = "";
    int result = getaddrinfo(name, NULL, &hints, &found);

    if (result == 0)
        result = getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof(address), NULL, 0,
                             NI_NUMERICHOST);
    if (found)
        freeaddrinfo(found);
    if (result != 0)
        return cst_fail(error, CST_ERROR_UNREACHABLE, _("cannot find the address of host '%s': %s"),
                        name, gai_strerror(result));
    *ret_address = g_strdup(address);
    return TRUE;
}

/* Queries a portal for its targets. The database does not keep the result. */
static GPtrArray *iscsi_discover_targets(const char *address, uint16_t port, const char *iface,
                                         GError **error)
{
    g_autofree char *portal =
        g_strdup_printf(strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, port);
    const char *const args[] = {"-m", "discovery",     "-t", "sendtargets", "-p", portal,
                                "-o", "nonpersistent", "-I", iface,         NULL};
    g_autofree char *text = NULL;

    if (!iscsi_run(args, iscsi_host.discover_s, ISCSI_NO_OBJECTS, &text, error))
        return NULL;
    return iscsi_offers_parse(text);
}

/*
 * Sets the group of @node to the group of the queried portal. If the target lists only other
 * addresses, because of address translation, uses the first one. Returns FALSE if the portal does
 * not offer the target.
 */
static gboolean find_group(const GPtrArray *offers, IscsiNode *node)
{
    gboolean any = FALSE;

    for (guint i = 0; i < offers->len; i++) {
        const IscsiOffer *offer = g_ptr_array_index(offers, i);
        gboolean asked = offer->port == node->port && strcmp(offer->address, node->address) == 0;

        if (strcmp(offer->target, node->target) != 0 || (any && !asked))
            continue;
        node->tpgt = offer->tpgt;
        any = TRUE;
        if (asked)
            break;
    }
    return any;
}

/* --- login ------------------------------------------------------------------------------------ */

static gboolean log_in_to_node(const IscsiNode *node, const CstChap *chap, GError **error)
{
    g_autofree char *portal = iscsi_portal(node);
    const char *const args[] = {"-m",   "node", "-T",        node->target, "-p",
                                portal, "-I",   node->iface, "--login",    NULL};

    if (!iscsi_record_make(node, chap, error))
        return FALSE;
    CST_CRASH_POINT("iscsi.start.record");
    if (!iscsi_run(args, iscsi_host.login_s, ISCSI_SESSION_EXISTS, NULL, error))
        return FALSE;
    CST_CRASH_POINT("iscsi.start.login");
    return TRUE;
}

/* Logs in to one of the definition's hosts, unless a session with it exists. */
static gboolean log_in_to_host(const CstPoolDef *def, const CstHost *host, const char *iface,
                               const CstChap *chap, GError **error)
{
    g_autofree char *address = NULL;
    g_autoptr(GPtrArray) sessions = iscsi_sessions_of(def);
    g_autoptr(GPtrArray) offers = NULL;
    IscsiNode node = {
        .target = iscsi_target(def), .port = host->port ? host->port : ISCSI_PORT, .iface = iface};

    if (!iscsi_resolve_host(host->name, &address, error))
        return FALSE;
    node.address = address;
    if (iscsi_has_session(sessions, &node))
        return TRUE;
    offers = iscsi_discover_targets(address, node.port, iface, error);
    if (!offers)
        return FALSE;
    if (!find_group(offers, &node))
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("host '%s' has no target '%s' for this initiator"), host->name,
                        node.target);
    return log_in_to_node(&node, chap, error);
}

static gboolean verify_session(const CstPoolDef *def, GError **error)
{
    g_autoptr(GPtrArray) sessions = iscsi_sessions_of(def);

    return sessions->len > 0 ||
           cst_fail(error, CST_ERROR_FAILED,
                    _("'iscsiadm' claims to have logged in to target '%s', but the kernel has no "
                      "session with it"),
                    iscsi_target(def));
}

/* Returns TRUE if one login succeeded. Otherwise returns the first error. */
static gboolean log_in_to_hosts(const CstPoolDef *def, const char *iface, const CstChap *chap,
                                GError **error)
{
    g_autoptr(GError) first = NULL;
    gboolean any = FALSE;

    for (guint i = 0; i < def->source.hosts->len; i++) {
        g_autoptr(GError) why = NULL;

        if (log_in_to_host(def, host_of(def, i), iface, chap, &why)) {
            any = TRUE;
            continue;
        }
        cst_log(CST_LOG_WARNING, "pool '%s': host '%s': %s", def->name, host_of(def, i)->name,
                why->message);
        if (!first)
            first = g_steal_pointer(&why);
    }
    if (!any)
        g_propagate_error(error, g_steal_pointer(&first));
    return any;
}

/* --- logout ----------------------------------------------------------------------------------- */

static gboolean await_end(const CstPoolDef *def)
{
    gint64 end = g_get_monotonic_time() + iscsi_host.gone_s * G_TIME_SPAN_SECOND;

    for (;;) {
        g_autoptr(GPtrArray) sessions = iscsi_sessions_of(def);
        guint ours = 0;

        for (guint i = 0; i < sessions->len; i++)
            ours += iscsi_session_is_ours(g_ptr_array_index(sessions, i));
        if (ours == 0)
            return TRUE;
        if (g_get_monotonic_time() > end)
            return FALSE;
        CST_TEST_POINT("iscsi.logout.wait");
        g_usleep(GONE_STEP);
    }
}

static gboolean log_out(const CstPoolDef *def, const GPtrArray *sessions, GError **error)
{
    for (guint i = 0; i < sessions->len; i++) {
        const IscsiSession *session = g_ptr_array_index(sessions, i);
        g_autofree char *sid = g_strdup_printf("%u", session->sid);
        const char *const args[] = {"-m", "session", "-r", sid, "--logout", NULL};

        if (iscsi_session_is_ours(session) &&
            !iscsi_run(args, iscsi_host.login_s, ISCSI_NO_OBJECTS, NULL, error))
            return FALSE;
        CST_CRASH_POINT("iscsi.stop.logout");
    }
    return await_end(def) ||
           cst_fail(error, CST_ERROR_BUSY, _("the kernel still has a session with target '%s'"),
                    iscsi_target(def));
}

/*
 * Removes the records of the target through our interface with its initiator, then the interface.
 */
static gboolean remove_records(const CstPoolDef *def, GError **error)
{
    g_autofree char *iface = NULL;

    if (!iscsi_iface_find(def->source.initiator_iqn, &iface, error))
        return FALSE;
    if (!iface)
        return TRUE;
    if (!iscsi_records_remove(iscsi_target(def), iface, error))
        return FALSE;
    CST_CRASH_POINT("iscsi.stop.records");
    return iscsi_iface_release(iface, error);
}

static gboolean iscsi_refuse_held(const CstPoolState *state, const GPtrArray *sessions,
                                  GError **error)
{
    g_autoptr(GPtrArray) luns = g_ptr_array_new_with_free_func((GDestroyNotify)cst_attached_free);

    for (guint i = 0; i < sessions->len; i++) {
        const IscsiSession *session = g_ptr_array_index(sessions, i);

        if (iscsi_session_is_ours(session))
            cst_luns_find(session->host, state->def->target_path, luns);
    }
    for (guint i = 0; i < luns->len; i++) {
        const CstAttached *lun = g_ptr_array_index(luns, i);

        if (!cst_device_refuse_held(lun->node, lun->name, error))
            return FALSE;
    }
    return TRUE;
}

gboolean iscsi_stop(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) sessions = NULL;
    g_auto(CstFd) lock = -1;

    CST_TEST_POINT("iscsi.stop.begin");
    lock = iscsi_lock(error);
    if (lock < 0)
        return FALSE;
    /*
     * Read the sessions under the lock, because a refresh in another process may have logged in
     * before.
     */
    sessions = iscsi_sessions_of(state->def);
    return iscsi_refuse_held(state, sessions, error) && log_out(state->def, sessions, error) &&
           remove_records(state->def, error);
}

/* --- start ------------------------------------------------------------------------------------ */

static gboolean iscsi_has_foreign_session(const GPtrArray *sessions)
{
    for (guint i = 0; i < sessions->len; i++)
        if (!iscsi_session_is_ours(g_ptr_array_index(sessions, i)))
            return TRUE;
    return FALSE;
}

static gboolean iscsi_rescan(const CstPoolDef *def, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) sessions = iscsi_sessions_of(def);

    for (guint i = 0; i < sessions->len; i++) {
        const IscsiSession *session = g_ptr_array_index(sessions, i);

        if (iscsi_session_works(session) && !cst_luns_rescan(session->host, task, error))
            return FALSE;
    }
    return TRUE;
}

/* --- portals without a session ---------------------------------------------------------------- */

typedef GSocketClient SocketClient;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SocketClient, g_object_unref)
typedef GSocketConnection SocketConnection;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SocketConnection, g_object_unref)

/* Returns whether the host accepts connections. A login to a silent host may take minutes. */
static gboolean portal_answers(const CstHost *host)
{
    g_autoptr(SocketClient) client = g_socket_client_new();
    g_autoptr(SocketConnection) connection = NULL;

    g_socket_client_set_timeout(client, ANSWER_S);
    g_socket_client_set_enable_proxy(client, FALSE);
    connection = g_socket_client_connect_to_host(client, host->name,
                                                 host->port ? host->port : ISCSI_PORT, NULL, NULL);
    return connection != NULL;
}

/*
 * Logs in to hosts that respond and have no session. A pool without any session was stopped by
 * another process, and stays stopped.
 */
static gboolean log_in_again(CstPoolState *state, GError **error)
{
    const CstPoolDef *def = state->def;
    g_autoptr(GPtrArray) sessions = NULL;
    g_auto(CstChap) chap = {0};
    g_auto(CstFd) lock = -1;
    g_autofree char *iface = NULL;

    if (!iscsi_chap_read(state, &chap, error))
        return FALSE;
    CST_TEST_POINT("iscsi.refresh.begin");
    lock = iscsi_lock(error);
    if (lock < 0)
        return FALSE;
    sessions = iscsi_sessions_of(def);
    if (sessions->len == 0)
        return TRUE;
    iface = iscsi_iface_ensure(def->source.initiator_iqn, error);
    for (guint i = 0; iface && i < def->source.hosts->len; i++) {
        g_autoptr(GError) why = NULL;

        if (portal_answers(host_of(def, i)) &&
            !log_in_to_host(def, host_of(def, i), iface, &chap, &why))
            cst_log(CST_LOG_WARNING, "pool '%s': host '%s': %s", def->name, host_of(def, i)->name,
                    why->message);
    }
    return iface != NULL;
}

/*
 * A failed login is only logged, because the pool works with fewer portals and its health shows
 * them.
 */
gboolean iscsi_refresh(CstPoolState *state, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) sessions = iscsi_sessions_of(state->def);
    g_autoptr(GError) why = NULL;

    if (sessions->len < state->def->source.hosts->len && !iscsi_has_foreign_session(sessions) &&
        !log_in_again(state, &why))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", state->def->name, why->message);
    return iscsi_rescan(state->def, task, error);
}

/* --- start ------------------------------------------------------------------------------------ */

/* A failed start removes its sessions and records. Errors of this removal are ignored. */
gboolean iscsi_start(CstPoolState *state, GError **error)
{
    const CstPoolDef *def = state->def;
    g_autoptr(GPtrArray) sessions = iscsi_sessions_of(def);
    g_auto(CstChap) chap = {0};
    g_auto(CstFd) lock = -1;
    g_autofree char *iface = NULL;

    if (iscsi_has_foreign_session(sessions))
        return iscsi_rescan(def, NULL, error);
    if (!iscsi_chap_read(state, &chap, error))
        return FALSE;
    CST_TEST_POINT("iscsi.start.begin");
    lock = iscsi_lock(error);
    if (lock < 0)
        return FALSE;
    iface = iscsi_iface_ensure(def->source.initiator_iqn, error);
    if (!iface)
        return FALSE;
    CST_CRASH_POINT("iscsi.start.iface");
    if (log_in_to_hosts(def, iface, &chap, error) && verify_session(def, error) &&
        iscsi_rescan(def, NULL, error))
        return TRUE;
    CST_TEST_POINT("iscsi.start.undo");
    g_clear_pointer(&sessions, g_ptr_array_unref);
    sessions = iscsi_sessions_of(def);
    if (log_out(def, sessions, NULL))
        remove_records(def, NULL);
    return FALSE;
}

/* --- discover --------------------------------------------------------------------------------- */

static void iscsi_add_source(GArray *sources, const CstPoolSource *spec, const char *target)
{
    const CstHost *host = g_ptr_array_index(spec->hosts, 0);
    CstPoolSource source;

    for (guint i = 0; i < sources->len; i++) {
        const CstPoolSource *other = &g_array_index(sources, CstPoolSource, i);
        const CstPoolDevice *device = g_ptr_array_index(other->devices, 0);

        if (strcmp(device->path, target) == 0)
            return; /* at another portal */
    }
    cst_pool_source_init(&source, CST_POOL_ISCSI);
    cst_pool_source_add_host(&source, host->name, host->port ? host->port : ISCSI_PORT);
    cst_pool_source_add_device(&source, target);
    source.initiator_iqn = g_strdup(spec->initiator_iqn);
    g_array_append_val(sources, source);
}

gboolean iscsi_discover(const CstPoolSource *spec, GArray *ret_sources, GError **error)
{
    const CstHost *host = spec && spec->hosts->len == 1 ? g_ptr_array_index(spec->hosts, 0) : NULL;
    g_autofree char *address = NULL, *iface = NULL;
    g_autoptr(GPtrArray) offers = NULL;
    g_auto(CstFd) lock = -1;

    if (!spec || spec->hosts->len == 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("hostname must be specified for iscsi sources"));
    if (!host)
        return cst_fail(error, CST_ERROR_CONFIG, _("Expected exactly 1 host for the storage pool"));
    if (!iscsi_resolve_host(host->name, &address, error))
        return FALSE;
    lock = iscsi_lock(error);
    iface = lock >= 0 ? iscsi_iface_ensure(spec->initiator_iqn, error) : NULL;
    if (!iface)
        return FALSE;
    offers = iscsi_discover_targets(address, host->port ? host->port : ISCSI_PORT, iface, error);
    for (guint i = 0; offers && i < offers->len; i++)
        iscsi_add_source(ret_sources, spec,
                         ((const IscsiOffer *)g_ptr_array_index(offers, i))->target);
    iscsi_iface_release(iface, NULL);
    return offers != NULL;
}
