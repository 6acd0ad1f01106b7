/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The <adapter> of scsi pools. It is a SCSI host, given by name or by the PCI address and unique id
 * of its parent, or a Fibre Channel host, given by its world wide names. Parsing, checks and
 * messages are libvirt's. The backend resolves an adapter to a host.
 */
#include "adapter.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

static const char *const type_names[] = {"scsi_host", "fc_host", NULL};

/* Parses an old document without the attribute type. It has only the name of the host. */
static gboolean parse_untyped(xmlNode *node, CstAdapter *adapter, GError **error)
{
    if (xmlHasNsProp(node, BAD_CAST "wwnn", NULL) || xmlHasNsProp(node, BAD_CAST "wwpn", NULL) ||
        xmlHasNsProp(node, BAD_CAST "parent", NULL))
        return cst_fail(error, CST_ERROR_XML,
                        _("Use of 'wwnn', 'wwpn', and 'parent' attributes requires use of the "
                          "adapter 'type'"));
    if (cst_xml_find(node, "parentaddr"))
        return cst_fail(error, CST_ERROR_XML,
                        _("Use of 'parentaddr' element requires use of the adapter 'type'"));
    adapter->name = cst_xml_attr(node, "name");
    if (adapter->name)
        adapter->type = CST_ADAPTER_SCSI_HOST;
    return TRUE;
}

/* Parses <address domain='0x0' bus='0x1f' slot='0x2' function='0x1'/>, with libvirt's bounds. */
static gboolean parse_pci(xmlNode *node, CstAdapter *adapter, GError **error)
{
    if (!cst_xml_attr_uint(node, "domain", 0, &adapter->pci_domain, error) ||
        !cst_xml_attr_uint(node, "bus", 0, &adapter->pci_bus, error) ||
        !cst_xml_attr_uint(node, "slot", 0, &adapter->pci_slot, error) ||
        !cst_xml_attr_uint(node, "function", 0, &adapter->pci_function, error))
        return FALSE;
    if (adapter->pci_bus > 0xff)
        return cst_fail(error, CST_ERROR_XML, _("Invalid PCI address bus='0x%x', must be <= 0xFF"),
                        adapter->pci_bus);
    if (adapter->pci_slot > 0x1f)
        return cst_fail(error, CST_ERROR_XML, _("Invalid PCI address slot='0x%x', must be <= 0x1F"),
                        adapter->pci_slot);
    if (adapter->pci_function > 7)
        return cst_fail(error, CST_ERROR_XML, _("Invalid PCI address function=0x%x, must be <= 7"),
                        adapter->pci_function);
    return TRUE;
}

/*
 * Parses <adapter type='scsi_host' name='host0'/>, or <parentaddr unique_id='1'> with an <address>
 * instead of the name. The name changes with the order of discovery.
 */
static gboolean parse_scsi_host(xmlNode *node, CstAdapter *adapter, GError **error)
{
    xmlNode *address = cst_xml_find(node, "parentaddr/address");
    g_autofree char *text = NULL;
    int64_t unique_id;

    adapter->name = cst_xml_attr(node, "name");
    if (!cst_xml_find(node, "parentaddr"))
        return TRUE;
    if (!address)
        return cst_fail(error, CST_ERROR_XML, _("Missing scsi_host PCI address element"));
    adapter->has_parent_addr = TRUE;
    if (!parse_pci(address, adapter, error))
        return FALSE;
    text = cst_xml_path_attr(node, "parentaddr", "unique_id");
    if (!text || !cst_parse_int(text, 10, 0, G_MAXINT32, &unique_id))
        return cst_fail(error, CST_ERROR_XML,
                        _("Missing or invalid scsi adapter 'unique_id' value"));
    adapter->unique_id = (uint32_t)unique_id;
    return TRUE;
}

/* Parses <adapter type='fc_host' parent='scsi_host5' wwnn='…' wwpn='…' managed='yes'/>. */
static gboolean parse_fc_host(xmlNode *node, CstAdapter *adapter, GError **error)
{
    if (!cst_xml_attr_yes_no(node, "managed", &adapter->managed, error))
        return FALSE;
    adapter->parent = cst_xml_attr(node, "parent");
    adapter->parent_wwnn = cst_xml_attr(node, "parent_wwnn");
    adapter->parent_wwpn = cst_xml_attr(node, "parent_wwpn");
    adapter->parent_fabric_wwn = cst_xml_attr(node, "parent_fabric_wwn");
    adapter->wwnn = cst_xml_attr(node, "wwnn");
    adapter->wwpn = cst_xml_attr(node, "wwpn");
    return TRUE;
}

gboolean cst_adapter_parse(xmlNode *node, CstAdapter *adapter, GError **error)
{
    int type;

    /* Attributes of the other type are ignored, as in libvirt. */
    adapter->managed = -1;
    if (!cst_xml_attr_enum(node, "type", type_names, &type, error))
        return FALSE;
    if (type < 0)
        return parse_untyped(node, adapter, error);
    adapter->type = type == 0 ? CST_ADAPTER_SCSI_HOST : CST_ADAPTER_FC_HOST;
    if (adapter->type == CST_ADAPTER_SCSI_HOST)
        return parse_scsi_host(node, adapter, error);
    return parse_fc_host(node, adapter, error);
}

/* Checks a world wide name: 16 hexadecimal digits, with or without the prefix 0x. */
static gboolean check_wwn(const char *wwn, GError **error)
{
    const char *digits = wwn;

    if (!wwn)
        return TRUE;
    if (g_str_has_prefix(wwn, "0x"))
        digits += 2;
    if (strlen(digits) != 16 || strspn(digits, "0123456789abcdefABCDEF") != 16)
        return cst_fail(error, CST_ERROR_XML, _("Malformed wwn: %s"), wwn);
    return TRUE;
}

/*
 * Requires the host's own names. A parent may be given by both of its names or by its fabric's
 * name.
 */
static gboolean check_fc_host(const CstAdapter *adapter, GError **error)
{
    if (!adapter->wwnn || !adapter->wwpn)
        return cst_fail(error, CST_ERROR_XML,
                        _("'wwnn' and 'wwpn' must be specified for adapter type 'fchost'"));
    if (!check_wwn(adapter->wwnn, error) || !check_wwn(adapter->wwpn, error))
        return FALSE;
    if (adapter->parent_wwnn && !adapter->parent_wwpn)
        return cst_fail(error, CST_ERROR_XML,
                        _("when providing parent_wwnn='%s', the parent_wwpn must also be provided"),
                        adapter->parent_wwnn);
    if (!adapter->parent_wwnn && adapter->parent_wwpn)
        return cst_fail(error, CST_ERROR_XML,
                        _("when providing parent_wwpn='%s', the parent_wwnn must also be provided"),
                        adapter->parent_wwpn);
    return check_wwn(adapter->parent_wwnn, error) && check_wwn(adapter->parent_wwpn, error) &&
           check_wwn(adapter->parent_fabric_wwn, error);
}

gboolean cst_adapter_check(const CstAdapter *adapter, GError **error)
{
    if (adapter->type == CST_ADAPTER_NONE)
        return cst_fail(error, CST_ERROR_XML, _("missing storage pool source adapter"));
    if (adapter->type == CST_ADAPTER_FC_HOST)
        return check_fc_host(adapter, error);
    if (!adapter->name && !adapter->has_parent_addr)
        return cst_fail(error, CST_ERROR_XML,
                        _("Either 'name' or 'parent' must be specified for the 'scsi_host' "
                          "adapter"));
    if (adapter->name && adapter->has_parent_addr)
        return cst_fail(error, CST_ERROR_XML,
                        _("Both 'name' and 'parent' cannot be specified for the 'scsi_host' "
                          "adapter"));
    return TRUE;
}

static void format_parent_addr(CstXmlWriter *xml, const CstAdapter *adapter)
{
    char unique_id[16], domain[16], bus[16], slot[16], function[16];

    g_snprintf(unique_id, sizeof(unique_id), "%u", adapter->unique_id);
    g_snprintf(domain, sizeof(domain), "0x%04x", adapter->pci_domain);
    g_snprintf(bus, sizeof(bus), "0x%02x", adapter->pci_bus);
    g_snprintf(slot, sizeof(slot), "0x%02x", adapter->pci_slot);
    g_snprintf(function, sizeof(function), "0x%u", adapter->pci_function);
    cst_xml_open(xml, "adapter", "type", "scsi_host", NULL);
    cst_xml_open(xml, "parentaddr", "unique_id", unique_id, NULL);
    cst_xml_empty(xml, "address", "domain", domain, "bus", bus, "slot", slot, "function", function,
                  NULL);
    cst_xml_close(xml, "parentaddr");
    cst_xml_close(xml, "adapter");
}

void cst_adapter_format(CstXmlWriter *xml, const CstAdapter *adapter)
{
    if (adapter->type == CST_ADAPTER_FC_HOST)
        cst_xml_empty(xml, "adapter", "type", "fc_host", "parent", adapter->parent, "parent_wwnn",
                      adapter->parent_wwnn, "parent_wwpn", adapter->parent_wwpn,
                      "parent_fabric_wwn", adapter->parent_fabric_wwn, "managed",
                      adapter->managed < 0 ? NULL
                      : adapter->managed   ? "yes"
                                           : "no",
                      "wwnn", adapter->wwnn, "wwpn", adapter->wwpn, NULL);
    else if (adapter->type == CST_ADAPTER_SCSI_HOST && adapter->name)
        cst_xml_empty(xml, "adapter", "type", "scsi_host", "name", adapter->name, NULL);
    else if (adapter->type == CST_ADAPTER_SCSI_HOST)
        format_parent_addr(xml, adapter);
}

void cst_adapter_copy(CstAdapter *to, const CstAdapter *from)
{
    *to = *from;
    to->name = g_strdup(from->name);
    to->parent = g_strdup(from->parent);
    to->parent_wwnn = g_strdup(from->parent_wwnn);
    to->parent_wwpn = g_strdup(from->parent_wwpn);
    to->parent_fabric_wwn = g_strdup(from->parent_fabric_wwn);
    to->wwnn = g_strdup(from->wwnn);
    to->wwpn = g_strdup(from->wwpn);
}

void cst_adapter_clear(CstAdapter *adapter)
{
    g_free(adapter->name);
    g_free(adapter->parent);
    g_free(adapter->parent_wwnn);
    g_free(adapter->parent_wwpn);
    g_free(adapter->parent_fabric_wwn);
    g_free(adapter->wwnn);
    g_free(adapter->wwpn);
    memset(adapter, 0, sizeof(*adapter));
}

/* Returns the number in the name: "scsi_host3", "host3" and "3" are the same adapter. */
static const char *host_number(const char *name)
{
    if (g_str_has_prefix(name, "scsi_"))
        name += strlen("scsi_");
    if (g_str_has_prefix(name, "host"))
        name += strlen("host");
    return name;
}

static gboolean same_address(const CstAdapter *a, const CstAdapter *b)
{
    return a->pci_domain == b->pci_domain && a->pci_bus == b->pci_bus &&
           a->pci_slot == b->pci_slot && a->pci_function == b->pci_function &&
           a->unique_id == b->unique_id;
}

gboolean cst_adapter_same(const CstAdapter *a, const CstAdapter *b)
{
    if (a->type != b->type || a->type == CST_ADAPTER_NONE)
        return FALSE;
    if (a->type == CST_ADAPTER_FC_HOST)
        return g_strcmp0(a->wwnn, b->wwnn) == 0 && g_strcmp0(a->wwpn, b->wwpn) == 0;
    /*
     * Without sysfs, an adapter given by name and an adapter given by address cannot be compared.
     */
    if (a->name && b->name)
        return strcmp(host_number(a->name), host_number(b->name)) == 0;
    return a->has_parent_addr && b->has_parent_addr && same_address(a, b);
}
