/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the SCSI host of an adapter. The kernel numbers hosts in the order of detection, so "host3"
 * is valid only for the current boot. The address of the hardware and world wide names are
 * permanent. The data is read from sysfs:
 *
 *     /sys/class/scsi_host/host3   a link to
 *                                  …/pci0000:00/0000:00:1f.2/ata3/host3/scsi_host/host3
 *     …/host3/unique_id            distinguishes the hosts of one PCI function
 *     /sys/class/fc_host/host3     node_name, port_name ("0x2001001b32a9da4e"), …
 */
#include "scsi.h"

#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <pool/device.h>

#define SCSI_HOSTS "/sys/class/scsi_host"
#define FC_HOSTS   "/sys/class/fc_host"

gboolean scsi_host_number(const char *name, unsigned *ret_host)
{
    guint64 number;

    if (g_str_has_prefix(name, "scsi_"))
        name += strlen("scsi_");
    else if (g_str_has_prefix(name, "fc_"))
        name += strlen("fc_");
    if (!g_str_has_prefix(name, "host") ||
        !g_ascii_string_to_unsigned(name + strlen("host"), 10, 0, G_MAXUINT, &number, NULL))
        return FALSE;
    *ret_host = (unsigned)number;
    return TRUE;
}

static gint compare_host_numbers(gconstpointer a, gconstpointer b)
{
    const unsigned *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Returns the sorted numbers of the hosts in a class. */
static GArray *hosts_in(const char *class)
{
    g_auto(GStrv) names = cst_kernel_list(class);
    GArray *hosts = g_array_new(FALSE, FALSE, sizeof(unsigned));

    for (char **name = names; *name; name++) {
        unsigned host;

        if (scsi_host_number(*name, &host))
            g_array_append_val(hosts, host);
    }
    g_array_sort(hosts, compare_host_numbers);
    return hosts;
}

static char *read_in(const char *class, unsigned host, const char *name)
{
    g_autofree char *dir = g_strdup_printf("%s/host%u", class, host);

    return cst_sysfs_read(dir, name);
}

gboolean scsi_host_exists(unsigned host)
{
    g_autofree char *id = read_in(SCSI_HOSTS, host, "unique_id");

    return id != NULL;
}

char *scsi_host_place(unsigned host)
{
    g_autofree char *link = g_strdup_printf("%s/host%u", SCSI_HOSTS, host);
    g_autofree char *path = cst_kernel_resolve(link);
    g_autofree char *end = g_strdup_printf("/host%u/scsi_host/host%u", host, host);

    if (!path || !g_str_has_suffix(path, end))
        return NULL;
    path[strlen(path) - strlen(end)] = '\0';
    return g_steal_pointer(&path);
}

/* --- by address ------------------------------------------------------------------------------- */

static gboolean has_unique_id(unsigned host, uint32_t unique_id)
{
    g_autofree char *text = read_in(SCSI_HOSTS, host, "unique_id");
    guint64 number;

    return text && g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT32, &number, NULL) &&
           number == unique_id;
}

static gboolean find_by_address(const CstAdapter *adapter, unsigned *ret_host, GError **error)
{
    g_autofree char *address =
        g_strdup_printf("%04x:%02x:%02x.%x", adapter->pci_domain, adapter->pci_bus,
                        adapter->pci_slot, adapter->pci_function);
    g_autofree char *part = g_strdup_printf("/%s/", address);
    g_autoptr(GArray) hosts = hosts_in(SCSI_HOSTS);

    for (guint i = 0; i < hosts->len; i++) {
        unsigned host = g_array_index(hosts, unsigned, i);
        g_autofree char *link = g_strdup_printf("%s/host%u", SCSI_HOSTS, host);
        g_autofree char *path = cst_kernel_resolve(link);

        if (path && strstr(path, part) && has_unique_id(host, adapter->unique_id)) {
            *ret_host = host;
            return TRUE;
        }
    }
    return cst_fail(error, CST_ERROR_NOT_FOUND,
                    _("there is no SCSI host with unique_id %" PRIu32 " at PCI address %s"),
                    adapter->unique_id, address);
}

/* --- by world wide names ---------------------------------------------------------------------- */

char *scsi_fc_attribute(unsigned host, const char *name)
{
    return read_in(FC_HOSTS, host, name);
}

GArray *scsi_fc_hosts(void)
{
    return hosts_in(FC_HOSTS);
}

gboolean scsi_same_wwn(const char *a, const char *b)
{
    if (g_ascii_strncasecmp(a, "0x", 2) == 0)
        a += 2;
    if (g_ascii_strncasecmp(b, "0x", 2) == 0)
        b += 2;
    return g_ascii_strcasecmp(a, b) == 0;
}

gboolean scsi_fc_host_find(const char *wwnn, const char *wwpn, unsigned *ret_host)
{
    g_autoptr(GArray) hosts = hosts_in(FC_HOSTS);

    for (guint i = 0; i < hosts->len; i++) {
        unsigned host = g_array_index(hosts, unsigned, i);
        g_autofree char *node = scsi_fc_attribute(host, "node_name");
        g_autofree char *port = scsi_fc_attribute(host, "port_name");

        if (node && port && scsi_same_wwn(node, wwnn) && scsi_same_wwn(port, wwpn)) {
            *ret_host = host;
            return TRUE;
        }
    }
    return FALSE;
}

/* --- any adapter ------------------------------------------------------------------------------ */

static gboolean find_by_name(const char *name, const char *pool, unsigned *ret_host, GError **error)
{
    if (!scsi_host_number(name, ret_host))
        return cst_fail(
            error, CST_ERROR_CONFIG,
            _("invalid adapter name '%s' for SCSI pool '%s': expected one like 'host3'"), name,
            pool);
    return scsi_host_exists(*ret_host) ||
           cst_fail(error, CST_ERROR_NOT_FOUND,
                    _("there is no SCSI host '%s'; /sys/class/scsi_host lists the existing ones"),
                    name);
}

gboolean scsi_host_find(const CstAdapter *adapter, const char *pool, unsigned *ret_host,
                        GError **error)
{
    if (adapter->type == CST_ADAPTER_FC_HOST)
        return scsi_fc_host_find(adapter->wwnn, adapter->wwpn, ret_host) ||
               cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("there is no Fibre Channel host with wwnn='%s' and wwpn='%s'"),
                        adapter->wwnn, adapter->wwpn);
    if (adapter->has_parent_addr)
        return find_by_address(adapter, ret_host, error);
    return find_by_name(adapter->name, pool, ret_host, error);
}
