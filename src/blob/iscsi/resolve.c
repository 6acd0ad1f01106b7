/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resolves names of hosts. libiscsi would call the resolver itself and wait without a limit, so it
 * only receives addresses. GLib resolves in a separate thread, which is abandoned if its answer
 * takes too long.
 */
#include "initiator.h"

#include <stdlib.h>
#include <string.h>

#include <gio_library.h>

#include <base/error.h>
#include <base/i18n.h>

/* Maximum number of addresses of a name that are tried. */
#define ADDRESSES_MAX 4
/* Interval in which a wait checks for its end. */
#define STEP_MS 50

char *cst_iscsi_portal(const char *host, uint16_t port)
{
    return g_strdup_printf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

/* "[::1]:3260" to "::1" and 3260. Without a port, *port stays unchanged. */
static char *portal_split(const char *portal, uint16_t *port)
{
    const char *end = strrchr(portal, ':');
    const char *bracket = strrchr(portal, ']');

    if (end && end > bracket && end[1])
        *port = (uint16_t)atoi(end + 1);
    else
        end = portal + strlen(portal);
    if (portal[0] == '[' && bracket)
        return g_strndup(portal + 1, (gsize)(bracket - portal - 1));
    return g_strndup(portal, (gsize)(end - portal));
}

typedef GResolver Resolver;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Resolver, g_object_unref)
typedef GCancellable Cancellable;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cancellable, g_object_unref)

typedef struct {
    GList *addresses;
    GError *error;
    gboolean done;
} Lookup;

static void lookup_done(GObject *resolver, GAsyncResult *result, gpointer data)
{
    Lookup *lookup = data;

    lookup->addresses =
        g_resolver_lookup_by_name_finish((GResolver *)resolver, result, &lookup->error);
    lookup->done = TRUE;
}

static gboolean wake_up(gpointer unused)
{
    return G_SOURCE_CONTINUE;
}

/* After the cancellation the callback runs at once, even if the resolver still works. */
static void look_up(const char *host, gint64 deadline, gint *closing, Lookup *lookup)
{
    g_autoptr(Resolver) resolver = g_resolver_get_default();
    g_autoptr(Cancellable) cancellable = g_cancellable_new();
    g_autoptr(GMainContext) context = g_main_context_new();
    g_autoptr(GSource) timer = g_timeout_source_new(STEP_MS);

    g_main_context_push_thread_default(context);
    g_source_set_callback(timer, wake_up, NULL, NULL);
    g_source_attach(timer, context);
    g_resolver_lookup_by_name_async(resolver, host, cancellable, lookup_done, lookup);
    while (!lookup->done) {
        g_main_context_iteration(context, TRUE);
        if (g_get_monotonic_time() > deadline || g_atomic_int_get(closing))
            g_cancellable_cancel(cancellable);
    }
    g_source_destroy(timer);
    g_main_context_pop_thread_default(context);
}

gboolean iscsi_resolve(const char *portal, gint64 deadline, gint *closing, GPtrArray *found,
                       GError **error)
{
    uint16_t port = CST_ISCSI_PORT;
    g_autofree char *host = portal_split(portal, &port);
    Lookup lookup = {0};
    guint count = 0;

    if (g_hostname_is_ip_address(host)) {
        g_ptr_array_add(found, cst_iscsi_portal(host, port));
        return TRUE;
    }
    if (!cst_library_load(&cst_gio_library, error))
        return FALSE;
    look_up(host, deadline, closing, &lookup);
    for (GList *at = lookup.addresses; at && count < ADDRESSES_MAX; at = at->next, count++) {
        g_autofree char *address = g_inet_address_to_string(at->data);

        g_ptr_array_add(found, cst_iscsi_portal(address, port));
    }
    g_resolver_free_addresses(lookup.addresses);
    if (count == 0)
        cst_fail(error, CST_ERROR_UNREACHABLE, _("cannot find the address of host '%s': %s"), host,
                 lookup.error ? lookup.error->message : "");
    g_clear_error(&lookup.error);
    return count > 0;
}
