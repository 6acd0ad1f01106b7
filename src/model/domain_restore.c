/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rewrite of a domain's definition for restored disks (see the header).
 *
 * The document is changed in place, so that elements that this file does not know are kept. The
 * white space before a removed element is removed with it. The targets of all disks are checked
 * before the first change.
 */
#include <model/domain_restore.h>

#include <string.h>

#include <base/i18n.h>
#include <base/text.h>
#include <model/domain.h>
#include <model/xml_write.h>

#include "domain_edit.h"

#define USER_ALIAS "ua-" /* libvirt keeps only such an alias of a definition */

void cst_domain_definition_clear(CstDomainDefinition *definition)
{
    g_clear_pointer(&definition->document, g_free);
    g_clear_pointer(&definition->name, g_free);
    g_clear_pointer(&definition->uuid, g_free);
    g_clear_pointer(&definition->display, g_free);
}

gboolean cst_domain_check_name(const char *name, GError **error)
{
    g_autofree char *plain = cst_text_escape(name);

    if (*name == '\0' || strchr(name, '/') || strchr(name, '\n') || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' cannot be the name of a domain; use a name without '/'"), plain);
    return cst_xml_check_text(name, error);
}

/* --- checks ----------------------------------------------------------------------------------- */

static const CstDomainNewDisk *restore_find_disk(const CstDomainRestore *restore,
                                                 const char *target)
{
    for (guint i = 0; i < restore->n_disks; i++)
        if (strcmp(restore->disks[i].target, target) == 0)
            return &restore->disks[i];
    return NULL;
}

/* Checks one disk of the domain that its guest can write. */
static gboolean restore_check_layer(const CstDomainRestore *restore, const CstDomainLayer *layer,
                                    GError **error)
{
    g_autofree char *target = cst_text_escape(layer->target);
    const CstDomainNewDisk *disk = restore_find_disk(restore, layer->target);

    if (layer->translated)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("disk '%s' is encrypted or a slice of its image; restore the volumes "
                          "(--all) and define the domain by hand"),
                        target);
    if (!disk)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("the backup lacks disk '%s' of the domain"),
                        target);
    return cst_xml_check_text(disk->path, error) && cst_xml_check_text(disk->format, error);
}

/* Checks the targets of all disks. @targets: of the disks so far, borrowed. */
static gboolean restore_check_target(const CstDomainLayer *layer, GHashTable *targets,
                                     GError **error)
{
    g_autofree char *target = cst_text_escape(layer->target ? layer->target : "");

    if (!layer->target)
        return cst_fail(error, CST_ERROR_XML, _("a disk of the domain has no <target dev>"));
    return g_hash_table_add(targets, layer->target) ||
           cst_fail(error, CST_ERROR_INVALID, _("two disks of the domain have the target '%s'"),
                    target);
}

static gboolean restore_check_disks(const CstDomainRestore *restore, const CstDomainDef *def,
                                    GError **error)
{
    g_autoptr(GHashTable) targets = g_hash_table_new(g_str_hash, g_str_equal);
    guint found = 0;

    for (guint i = 0; i < def->layers->len; i++) {
        const CstDomainLayer *layer = def->layers->pdata[i];

        if (layer->level > 0)
            continue;
        if (!restore_check_target(layer, targets, error))
            return FALSE;
        if (layer->removable || layer->read_only)
            continue;
        if (!restore_check_layer(restore, layer, error))
            return FALSE;
        found++;
    }
    return found == restore->n_disks ||
           cst_fail(error, CST_ERROR_NOT_FOUND,
                    _("the domain has %u disks, and %u were to be restored"), found,
                    restore->n_disks);
}

/* A memory device such as an NVDIMM has a file of its own, which no backup contains. */
static gboolean restore_check_memory(xmlNode *root, GError **error)
{
    for (xmlNode *memory = cst_xml_find(root, "devices/memory"); memory;
         memory = cst_xml_next(memory)) {
        g_autofree char *path = cst_xml_text(memory, "source/path");
        g_autofree char *shown = path ? cst_text_escape(path) : NULL;

        if (path)
            return cst_fail(error, CST_ERROR_UNSUPPORTED,
                            _("the domain has memory in file '%s', which two domains cannot share; "
                              "leave out --newname, or restore the volumes (--all) and define the "
                              "domain by hand"),
                            shown);
    }
    return TRUE;
}

/* --- disks ------------------------------------------------------------------------------------ */

/* A disk with device='lun' passes SCSI commands through, which a file cannot answer. */
static void disk_set_type(xmlNode *disk, gboolean is_device)
{
    node_set_attr(disk, "type", is_device ? "block" : "file");
    if (is_device || !node_has_attr(disk, "device", "lun"))
        return;
    node_set_attr(disk, "device", "disk");
    node_unset_attr(disk, "rawio");
    node_unset_attr(disk, "sgio");
}

static void disk_set_source(xmlNode *disk, const CstDomainNewDisk *new_disk)
{
    static const char *const removed[] = {"backingStore", "mirror", "auth", "encryption"};
    xmlNode *old = cst_xml_find(disk, "source");
    xmlNode *source = node_insert(disk, old ? old : cst_xml_find(disk, "target"), "source");

    while (old) {
        xmlNode *next = cst_xml_next(old);

        node_remove(old);
        old = next;
    }
    node_set_attr(source, new_disk->is_device ? "dev" : "file", new_disk->path);
    for (guint i = 0; i < G_N_ELEMENTS(removed); i++)
        node_remove_all(disk, removed[i]);
}

static void restore_rewrite_disks(const CstDomainRestore *restore, xmlNode *root)
{
    for (xmlNode *disk = cst_xml_find(root, "devices/disk"); disk; disk = cst_xml_next(disk)) {
        g_autofree char *target = cst_xml_path_attr(disk, "target", "dev");
        const CstDomainNewDisk *new_disk = target ? restore_find_disk(restore, target) : NULL;

        if (!new_disk)
            continue;
        disk_set_type(disk, new_disk->is_device);
        disk_set_source(disk, new_disk);
        disk_set_driver(disk, new_disk->format);
    }
}

/* --- the identity of the domain --------------------------------------------------------------- */

/* The device of an interface with managed='no' exists before the domain starts, so it is kept. */
static void interface_renew(xmlNode *interface)
{
    xmlNode *target = cst_xml_find(interface, "target");
    xmlNode *source = cst_xml_find(interface, "source");
    xmlNode *port = cst_xml_find(interface, "virtualport/parameters");

    node_remove_all(interface, "mac");
    if (target && !node_has_attr(target, "managed", "no"))
        node_remove(target);
    node_unset_attr(source, "portid");
    node_unset_attr(source, "connectionid");
    node_unset_attr(port, "interfaceid");
    node_unset_attr(port, "instanceid");
}

/*
 * Lets libvirt choose the ports and the path of the socket. A socket without <listen> is kept,
 * because the display would else listen on a port.
 */
static void graphics_renew(xmlNode *graphics)
{
    xmlNode *listen = cst_xml_find(graphics, "listen");

    if (xmlHasNsProp(graphics, BAD_CAST "port", NULL) ||
        xmlHasNsProp(graphics, BAD_CAST "tlsPort", NULL)) {
        node_unset_attr(graphics, "port");
        node_unset_attr(graphics, "tlsPort");
        node_set_attr(graphics, "autoport", "yes");
    }
    if (xmlHasNsProp(graphics, BAD_CAST "websocket", NULL))
        node_set_attr(graphics, "websocket", "-1");
    for (; listen; listen = cst_xml_next(listen))
        if (node_has_attr(listen, "type", "socket")) {
            node_unset_attr(listen, "socket");
            node_unset_attr(graphics, "socket");
        }
}

/* Removes the terminal of a pty, and the path of a channel's socket that libvirt makes. */
static void chardev_renew(xmlNode *chardev)
{
    g_autofree char *target = cst_xml_path_attr(chardev, "target", "type");
    g_autofree char *mode = cst_xml_path_attr(chardev, "source", "mode");
    gboolean is_bound = g_strcmp0(mode, "connect") != 0;

    if (node_has_attr(chardev, "type", "pty") ||
        (node_has_attr(chardev, "type", "unix") && is_bound && g_strcmp0(target, "virtio") == 0))
        node_remove_all(chardev, "source");
    node_unset_attr(chardev, "tty");
}

static void vsock_renew(xmlNode *vsock)
{
    xmlNode *cid = cst_xml_find(vsock, "cid");

    if (!cid)
        return;
    node_unset_attr(cid, "address");
    node_set_attr(cid, "auto", "yes");
}

/* The state of an emulated TPM is in a file that libvirt names after the domain. */
static void tpm_renew(xmlNode *tpm)
{
    xmlNode *backend = cst_xml_find(tpm, "backend");

    if (backend && node_has_attr(backend, "type", "emulator"))
        node_remove_all(backend, "source");
}

static void pstore_renew(xmlNode *pstore)
{
    node_remove_all(pstore, "path");
}

static void device_renew(xmlNode *device)
{
    static const struct {
        const char *name;
        void (*renew)(xmlNode *device);
    } kinds[] = {
        {"interface", interface_renew}, {"graphics", graphics_renew}, {"channel", chardev_renew},
        {"console", chardev_renew},     {"parallel", chardev_renew},  {"serial", chardev_renew},
        {"vsock", vsock_renew},         {"tpm", tpm_renew},           {"pstore", pstore_renew},
    };

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (!device->ns && strcmp((const char *)device->name, kinds[i].name) == 0)
            kinds[i].renew(device);
}

/* libvirt copies the template, or that of the firmware, to a file of the new domain. */
static void nvram_renew(xmlNode *root)
{
    xmlNode *nvram = cst_xml_find(root, "os/nvram");

    if (nvram && xmlHasNsProp(nvram, BAD_CAST "template", NULL)) {
        node_set_text(nvram, NULL);
        node_unset_attr(nvram, "type");
    } else {
        node_remove_all(root, "os/nvram");
    }
}

/* libvirt refuses another UUID in the SMBIOS tables than that of the domain. */
static void sysinfo_renew(xmlNode *root)
{
    xmlNode *entry = cst_xml_find(root, "sysinfo/system/entry");

    while (entry) {
        xmlNode *next = cst_xml_next(entry);

        if (node_has_attr(entry, "name", "uuid"))
            node_remove(entry);
        entry = next;
    }
}

static void seclabels_renew(xmlNode *root)
{
    for (xmlNode *seclabel = cst_xml_find(root, "seclabel"); seclabel;
         seclabel = cst_xml_next(seclabel))
        if (node_has_attr(seclabel, "type", "dynamic")) {
            node_remove_all(seclabel, "label");
            node_remove_all(seclabel, "imagelabel");
        }
}

static void domain_renew(xmlNode *root, const char *name)
{
    xmlNode *devices = cst_xml_find(root, "devices");

    node_set_text(cst_xml_find(root, "name"), name);
    node_remove_all(root, "uuid");
    node_remove_all(root, "hwuuid");
    nvram_renew(root);
    sysinfo_renew(root);
    seclabels_renew(root);
    for (xmlNode *device = devices ? element_from(devices->children) : NULL; device;
         device = element_from(device->next))
        device_renew(device);
}

/* --- facts for the administrator -------------------------------------------------------------- */

/* Returns the address of a display, or NULL: it is the one of libvirt's setting, or a socket. */
static char *graphics_address(xmlNode *graphics)
{
    xmlNode *listen = cst_xml_find(graphics, "listen");
    g_autofree char *type = listen ? cst_xml_attr(listen, "type") : NULL;

    if (g_strcmp0(type, "address") == 0)
        return cst_xml_attr(listen, "address");
    if (g_strcmp0(type, "network") == 0)
        return cst_xml_attr(listen, "network");
    return listen ? NULL : cst_xml_attr(graphics, "listen");
}

static gboolean address_is_loopback(const char *address)
{
    return g_str_has_prefix(address, "127.") || strcmp(address, "::1") == 0 ||
           strcmp(address, "localhost") == 0;
}

/* Returns the address of the first display that other hosts can reach, or NULL. */
static char *domain_find_display(xmlNode *root)
{
    for (xmlNode *graphics = cst_xml_find(root, "devices/graphics"); graphics;
         graphics = cst_xml_next(graphics)) {
        g_autofree char *address = graphics_address(graphics);

        if ((node_has_attr(graphics, "type", "vnc") || node_has_attr(graphics, "type", "spice")) &&
            address && !address_is_loopback(address))
            return g_steal_pointer(&address);
    }
    return NULL;
}

/* The element <qemu:commandline> has a namespace of its own. */
static gboolean domain_has_arguments(xmlNode *root)
{
    for (xmlNode *child = element_from(root->children); child; child = element_from(child->next))
        if (child->ns && strcmp((const char *)child->name, "commandline") == 0)
            return TRUE;
    return FALSE;
}

/* --- the document ----------------------------------------------------------------------------- */

/* Removes the parts that belong to one run of the domain. */
static void domain_remove_runtime(xmlNode *root)
{
    xmlNode *devices = cst_xml_find(root, "devices");
    xmlNode *genid = cst_xml_find(root, "genid");

    node_unset_attr(root, "id");
    if (genid)
        node_set_text(genid, NULL);
    for (xmlNode *device = devices ? element_from(devices->children) : NULL; device;
         device = element_from(device->next)) {
        xmlNode *alias = cst_xml_find(device, "alias");
        g_autofree char *name = alias ? cst_xml_attr(alias, "name") : NULL;

        if (!name || !g_str_has_prefix(name, USER_ALIAS))
            node_remove(alias);
    }
}

/* Returns the document in UTF-8, without an XML declaration. The caller frees it. */
static char *document_write(xmlDoc *doc, GError **error)
{
    xmlChar *text = NULL;
    char *begin, *document = NULL;
    int len = 0;

    xmlDocDumpMemoryEnc(doc, &text, &len, "UTF-8");
    begin = text ? strstr((const char *)text, "?>\n") : NULL;
    if (begin)
        document = g_strdup(begin + strlen("?>\n"));
    else
        cst_fail(error, CST_ERROR_INTERNAL, _("cannot write the definition of the domain"));
    if (text)
        xmlFree(text);
    return document;
}

gboolean cst_domain_restore(const char *xml, const CstDomainRestore *restore,
                            CstDomainDefinition *ret_definition, GError **error)
{
    g_autoptr(CstDomainDef) def = cst_domain_def_parse(xml, error);
    g_autoptr(xmlDoc) doc =
        def ? cst_xml_parse(xml, "domain", _("(domain_definition)"), error) : NULL;
    g_auto(CstDomainDefinition) definition = {0};
    xmlNode *root;

    if (!doc || !restore_check_disks(restore, def, error) ||
        (restore->name && !cst_domain_check_name(restore->name, error)))
        return FALSE;
    root = xmlDocGetRootElement(doc);
    if (!cst_xml_find(root, "name"))
        return cst_fail(error, CST_ERROR_XML, _("the definition of the domain has no name"));
    if (restore->name && !restore_check_memory(root, error))
        return FALSE;
    restore_rewrite_disks(restore, root);
    domain_remove_runtime(root);
    if (restore->name)
        domain_renew(root, restore->name);
    definition.document = document_write(doc, error);
    definition.name = cst_xml_text(root, "name");
    definition.uuid = cst_xml_text(root, "uuid");
    definition.has_arguments = domain_has_arguments(root);
    definition.display = domain_find_display(root);
    if (!definition.document)
        return FALSE;
    if (!definition.name)
        return cst_fail(error, CST_ERROR_XML, _("the definition of the domain has no name"));
    *ret_definition = definition;
    definition = (CstDomainDefinition){0};
    return TRUE;
}
