/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interfaces of this program. open-iscsi distinguishes the initiators of a host by interface, so
 * each initiator's name gets one. Its name has libvirt's form ("libvirt-iface-1a2b3c4d"). Pools
 * with the same initiator share it. Pools with the host's name share ISCSI_IFACE_PLAIN.
 *
 * The removal of an interface also removes the records that use it, so no other process may create
 * one at the same time: iscsi_lock().
 */
#include "iscsi.h"

#include <fcntl.h>
#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

/* The maximum duration of another pool's login. */
#define LOCK_US (120 * G_TIME_SPAN_SECOND)

int iscsi_lock(GError **error)
{
    g_auto(CstFd) fd = cst_node_open(iscsi_host.config, O_RDONLY | O_DIRECTORY);

    if (fd < 0) {
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("there is no '%s' on this host; install package '%s'"), iscsi_host.config,
                 "open-iscsi");
        return -1;
    }
    if (!cst_flock_wait(fd, iscsi_host.config, LOCK_US,
                        _("another iSCSI pool is being started or stopped"), error))
        return -1;
    return g_steal_fd(&fd);
}

static gboolean iface_tool_run(const char *const *args, char **ret_out, GError **error)
{
    return iscsi_run(args, iscsi_host.change_s, ISCSI_NO_OBJECTS, ret_out, error);
}

static GPtrArray *list_ifaces(GError **error)
{
    static const char *const args[] = {"-m", "iface", NULL};
    g_autofree char *text = NULL;

    return iface_tool_run(args, &text, error) ? iscsi_ifaces_parse(text) : NULL;
}

/*
 * Returns our interface with @initiator. Otherwise, for an initiator's name, returns an interface
 * without an initiator that is not the plain one. Such an interface remains after the death of a
 * process between creation and naming. Returns NULL if neither exists.
 */
static const IscsiIface *iface_choose(const GPtrArray *ifaces, const char *initiator)
{
    const IscsiIface *unfinished = NULL;

    for (guint i = 0; i < ifaces->len; i++) {
        const IscsiIface *iface = g_ptr_array_index(ifaces, i);
        gboolean plain = strcmp(iface->name, ISCSI_IFACE_PLAIN) == 0;

        if (!g_str_has_prefix(iface->name, ISCSI_IFACE_PREFIX) || plain != !initiator)
            continue;
        if (plain || g_strcmp0(iface->initiator, initiator) == 0)
            return iface;
        if (!iface->initiator)
            unfinished = iface;
    }
    return unfinished;
}

/* Returns an unused name for an interface. */
static char *iface_new_name(const GPtrArray *ifaces)
{
    for (;;) {
        g_autofree char *name = g_strdup_printf(ISCSI_IFACE_PREFIX "%08x", g_random_int());
        gboolean taken = strcmp(name, ISCSI_IFACE_PLAIN) == 0;

        for (guint i = 0; i < ifaces->len; i++)
            taken |= strcmp(((const IscsiIface *)g_ptr_array_index(ifaces, i))->name, name) == 0;
        if (!taken)
            return g_steal_pointer(&name);
    }
}

static gboolean iface_create(const char *name, GError **error)
{
    const char *const args[] = {"-m", "iface", "-I", name, "-o", "new", NULL};

    return iscsi_run(args, iscsi_host.change_s, ISCSI_DONE, NULL, error);
}

static gboolean delete_iface(const char *name, GError **error)
{
    const char *const args[] = {"-m", "iface", "-I", name, "-o", "delete", NULL};

    return iface_tool_run(args, NULL, error);
}

static gboolean set_initiator(const char *name, const char *initiator, GError **error)
{
    const char *const args[] = {"-m", "iface",   "-I", name,
                                "-o", "update",  "-n", "iface.initiatorname",
                                "-v", initiator, NULL};

    return iscsi_run(args, iscsi_host.change_s, ISCSI_DONE, NULL, error);
}

gboolean iscsi_iface_find(const char *initiator, char **ret_name, GError **error)
{
    g_autoptr(GPtrArray) ifaces = list_ifaces(error);
    const IscsiIface *found = ifaces ? iface_choose(ifaces, initiator) : NULL;

    *ret_name = found ? g_strdup(found->name) : NULL;
    return ifaces != NULL;
}

char *iscsi_iface_ensure(const char *initiator, GError **error)
{
    g_autoptr(GPtrArray) ifaces = list_ifaces(error);
    const IscsiIface *found = ifaces ? iface_choose(ifaces, initiator) : NULL;
    g_autofree char *name = NULL;

    if (!ifaces)
        return NULL;
    if (found)
        name = g_strdup(found->name);
    else
        name = initiator ? iface_new_name(ifaces) : g_strdup(ISCSI_IFACE_PLAIN);
    if (!found && !iface_create(name, error))
        return NULL;
    CST_CRASH_POINT("iscsi.iface.unnamed");
    if (initiator && !(found && found->initiator) && !set_initiator(name, initiator, error)) {
        if (!found)
            delete_iface(name, NULL);
        return NULL;
    }
    return g_steal_pointer(&name);
}

gboolean iscsi_iface_release(const char *iface, GError **error)
{
    static const char *const list[] = {"-m", "node", "-P", "1", NULL};
    g_autofree char *text = NULL;

    if (!g_str_has_prefix(iface, ISCSI_IFACE_PREFIX))
        return TRUE;
    if (!iface_tool_run(list, &text, error))
        return FALSE;
    return iscsi_tree_uses(text, iface) || delete_iface(iface, error);
}
