/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Virtual ports of Fibre Channel hosts (NPIV). The kernel creates a port, as a separate SCSI host,
 * after a write of "WWPN:WWNN" to vport_create of the physical host. A write to vport_delete
 * removes it.
 *
 * The adapter names the physical host by name, by world wide names or by the world wide name of the
 * fabric. Without a name, the first host that is online and has a free port is used, as in libvirt.
 */
#include "scsi.h"

#include <errno.h>
#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/test_point.h>

#define WAIT_STEP (100 * G_TIME_SPAN_MILLISECOND)

/* The driver creates the host during the write to vport_create, or soon afterwards. */
gint64 scsi_vport_wait_us = 10 * G_TIME_SPAN_SECOND;

static gboolean has_attribute(unsigned host, const char *name, const char *wwn)
{
    g_autofree char *value = scsi_fc_attribute(host, name);

    return value && scsi_same_wwn(value, wwn);
}

static gboolean read_count(unsigned host, const char *name, guint64 *ret_count)
{
    g_autofree char *text = scsi_fc_attribute(host, name);

    return text && g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32, ret_count, NULL);
}

/* Whether the host can create another port. */
static gboolean is_capable(unsigned host)
{
    g_autofree char *state = scsi_fc_attribute(host, "port_state");
    guint64 most, used;

    return g_strcmp0(state, "Online") == 0 && read_count(host, "max_npiv_vports", &most) &&
           read_count(host, "npiv_vports_inuse", &used) && used < most;
}

static gboolean is_parent(const CstAdapter *adapter, unsigned host)
{
    if (adapter->parent_wwnn)
        return has_attribute(host, "node_name", adapter->parent_wwnn) &&
               has_attribute(host, "port_name", adapter->parent_wwpn);
    if (adapter->parent_fabric_wwn &&
        !has_attribute(host, "fabric_name", adapter->parent_fabric_wwn))
        return FALSE;
    return is_capable(host);
}

/* Finds the physical host of the port, which has it or creates it. */
static gboolean find_parent(const CstAdapter *adapter, const char *pool, unsigned *ret_host,
                            GError **error)
{
    g_autoptr(GArray) hosts = scsi_fc_hosts();
    unsigned named = 0;

    if (adapter->parent && !scsi_host_number(adapter->parent, &named))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("'%s' of pool '%s' is no name of a parent host: expected one like "
                          "'scsi_host3'"),
                        adapter->parent, pool);
    for (guint i = 0; i < hosts->len; i++) {
        *ret_host = g_array_index(hosts, unsigned, i);
        if (adapter->parent ? *ret_host == named : is_parent(adapter, *ret_host))
            return TRUE;
    }
    if (hosts->len == 0)
        return cst_fail(
            error, CST_ERROR_NOT_FOUND,
            _("pool '%s' needs a Fibre Channel host, and this machine does not have one"), pool);
    return cst_fail(error, CST_ERROR_NOT_FOUND,
                    _("no Fibre Channel host of this machine can have the virtual port of pool "
                      "'%s': its parent is not there, not online, or has no port left"),
                    pool);
}

/* @command: vport_create or vport_delete. */
static gboolean write_command(unsigned parent, const char *command, const CstAdapter *adapter,
                              GError **error)
{
    g_autofree char *path = g_strdup_printf("/sys/class/fc_host/host%u/%s", parent, command);
    g_autofree char *names = g_strdup_printf("%s:%s", adapter->wwpn, adapter->wwnn);

    return cst_kernel_write(path, names) ||
           cst_fail_errno(error, errno, _("cannot write '%s' to '%s'"), names, path);
}

static gboolean await_host(const CstAdapter *adapter, gboolean there)
{
    gint64 end = g_get_monotonic_time() + scsi_vport_wait_us;
    unsigned host;

    while (scsi_fc_host_find(adapter->wwnn, adapter->wwpn, &host) != there) {
        if (g_get_monotonic_time() > end)
            return FALSE;
        CST_TEST_POINT("scsi.vport.wait");
        g_usleep(WAIT_STEP);
    }
    return TRUE;
}

gboolean scsi_vport_ensure(const CstAdapter *adapter, const char *pool, gboolean *ret_made,
                           GError **error)
{
    unsigned host, parent;

    *ret_made = FALSE;
    if (scsi_fc_host_find(adapter->wwnn, adapter->wwpn, &host))
        return TRUE;
    if (!find_parent(adapter, pool, &parent, error) ||
        !write_command(parent, "vport_create", adapter, error))
        return FALSE;
    *ret_made = await_host(adapter, TRUE);
    if (*ret_made)
        return TRUE;
    /* The driver may still create it later. */
    write_command(parent, "vport_delete", adapter, NULL);
    return cst_fail(error, CST_ERROR_TIMEOUT,
                    _("SCSI host %u has made no virtual port with wwnn='%s' and wwpn='%s'"), parent,
                    adapter->wwnn, adapter->wwpn);
}

/*
 * The directory of a virtual port is inside the directory of its parent: …/host5/vport-5:0-0/host6.
 */
static gboolean parent_of(unsigned host, unsigned *ret_parent)
{
    g_autofree char *place = scsi_host_place(host);
    g_autofree char *above = place ? g_path_get_dirname(place) : NULL;
    g_autofree char *port = place ? g_path_get_basename(place) : NULL;
    g_autofree char *name = above ? g_path_get_basename(above) : NULL;

    return port && g_str_has_prefix(port, "vport-") && scsi_host_number(name, ret_parent);
}

gboolean scsi_vport_remove(const CstAdapter *adapter, const char *pool, GError **error)
{
    unsigned host, parent;

    if (!scsi_fc_host_find(adapter->wwnn, adapter->wwpn, &host))
        return TRUE;
    if (!parent_of(host, &parent))
        return cst_fail(error, CST_ERROR_STATE,
                        _("SCSI host %u of pool '%s' is no virtual port, and is left alone"), host,
                        pool);
    if (!write_command(parent, "vport_delete", adapter, error))
        return FALSE;
    return await_host(adapter, FALSE) ||
           cst_fail(error, CST_ERROR_TIMEOUT,
                    _("SCSI host %u has not removed virtual port host %u"), parent, host);
}
