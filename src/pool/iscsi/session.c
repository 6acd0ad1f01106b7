/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's iSCSI sessions:
 *
 *     /sys/class/iscsi_session/session3         a link to …/host7/session3/iscsi_session/session3;
 *                                               targetname, initiatorname, ifacename, state
 *     /sys/class/iscsi_connection/connection3:0 persistent_address, persistent_port: the portal
 *                                               of the login, before any redirection
 *
 * A session belongs to a pool if its target and initiator are equal to the target and initiator of
 * the definition. If the definition has no initiator's name, the host's name is meant. The
 * interface "default" and our plain interface (ISCSI_IFACE_PLAIN) have this name.
 */
#include "iscsi.h"

#include <string.h>

#include <base/file.h>
#include <pool/device.h>

#define SESSIONS    "/sys/class/iscsi_session"
#define CONNECTIONS "/sys/class/iscsi_connection"

void iscsi_session_free(IscsiSession *session)
{
    g_free(session->iface);
    g_free(session->address);
    g_free(session->state);
    g_free(session);
}

const char *iscsi_target(const CstPoolDef *def)
{
    return ((const CstPoolDevice *)g_ptr_array_index(def->source.devices, 0))->path;
}

/* Reads the SCSI host from the path of the session: …/host7/session3/iscsi_session/session3. */
static gboolean read_host(const char *dir, unsigned sid, unsigned *ret_host)
{
    g_autofree char *end = g_strdup_printf("/session%u/iscsi_session/session%u", sid, sid);
    g_autofree char *path = cst_kernel_resolve(dir);
    g_autofree char *above = NULL;
    guint64 number;

    if (!path || !g_str_has_suffix(path, end))
        return FALSE;
    path[strlen(path) - strlen(end)] = '\0';
    above = g_path_get_basename(path);
    if (!g_str_has_prefix(above, "host") ||
        !g_ascii_string_to_unsigned(above + strlen("host"), 10, 0, G_MAXUINT, &number, NULL))
        return FALSE;
    *ret_host = (unsigned)number;
    return TRUE;
}

/*
 * The portal stays unknown if the session has no connection, for example while it is being closed.
 */
static void read_portal(IscsiSession *session)
{
    g_autofree char *dir = g_strdup_printf(CONNECTIONS "/connection%u:0", session->sid);
    g_autofree char *port = cst_sysfs_read(dir, "persistent_port");
    guint64 number = 0;

    session->address = cst_sysfs_read(dir, "persistent_address");
    if (port && g_ascii_string_to_unsigned(port, 10, 0, G_MAXUINT16, &number, NULL))
        session->port = (unsigned)number;
}

static gboolean has_initiator(const char *dir, const char *iface, const char *initiator)
{
    g_autofree char *name = cst_sysfs_read(dir, "initiatorname");

    if (initiator)
        return g_strcmp0(name, initiator) == 0;
    return g_strcmp0(iface, "default") == 0 || g_strcmp0(iface, ISCSI_IFACE_PLAIN) == 0;
}

/* Returns NULL if the session has another target or initiator, or is being removed. */
static IscsiSession *read_session(unsigned sid, const CstPoolDef *def)
{
    g_autofree char *dir = g_strdup_printf(SESSIONS "/session%u", sid);
    g_autofree char *target = cst_sysfs_read(dir, "targetname");
    g_autofree char *iface = cst_sysfs_read(dir, "ifacename");
    g_autofree char *state = cst_sysfs_read(dir, "state");
    IscsiSession *session;
    unsigned host;

    if (g_strcmp0(target, iscsi_target(def)) != 0 || !state ||
        !has_initiator(dir, iface, def->source.initiator_iqn) || !read_host(dir, sid, &host))
        return NULL;
    session = g_new0(IscsiSession, 1);
    session->sid = sid;
    session->host = host;
    session->iface = g_steal_pointer(&iface);
    session->state = g_steal_pointer(&state);
    read_portal(session);
    return session;
}

static gint compare_sessions(gconstpointer a, gconstpointer b)
{
    const IscsiSession *x = *(IscsiSession *const *)a, *y = *(IscsiSession *const *)b;

    return x->sid < y->sid ? -1 : x->sid > y->sid;
}

GPtrArray *iscsi_sessions_of(const CstPoolDef *def)
{
    GPtrArray *sessions = g_ptr_array_new_with_free_func((GDestroyNotify)iscsi_session_free);
    g_auto(GStrv) names = cst_kernel_list(SESSIONS);

    for (char **name = names; *name; name++) {
        IscsiSession *session = NULL;
        guint64 sid;

        if (g_str_has_prefix(*name, "session") &&
            g_ascii_string_to_unsigned(*name + strlen("session"), 10, 0, G_MAXUINT, &sid, NULL))
            session = read_session((unsigned)sid, def);
        if (session)
            g_ptr_array_add(sessions, session);
    }
    g_ptr_array_sort(sessions, compare_sessions);
    return sessions;
}

gboolean iscsi_session_works(const IscsiSession *session)
{
    return strcmp(session->state, "LOGGED_IN") == 0;
}

gboolean iscsi_session_is_ours(const IscsiSession *session)
{
    return session->iface && g_str_has_prefix(session->iface, ISCSI_IFACE_PREFIX);
}

gboolean iscsi_has_session(const GPtrArray *sessions, const IscsiNode *node)
{
    for (guint i = 0; i < sessions->len; i++) {
        const IscsiSession *session = g_ptr_array_index(sessions, i);

        if (session->port == node->port && g_strcmp0(session->address, node->address) == 0)
            return TRUE;
    }
    return FALSE;
}
