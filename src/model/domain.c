/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The disks of libvirt's domains. A domain's document comes from libvirt and from the administrator
 * who defined the domain, so it is untrusted. The XML reader bounds its size. The backing files of
 * a disk are nested <backingStore> elements, and the reader bounds their depth.
 */
#include <model/domain.h>

#include <string.h>

#include <base/i18n.h>

#include "xml_read.h"

/* The name of the channel is fixed by QEMU's guest agent. */
#define AGENT_CHANNEL "org.qemu.guest_agent.0"

const char *cst_domain_state_word(int state)
{
    static const char *const words[CST_DOMAIN_STATE_LAST] = {
        [CST_DOMAIN_RUNNING] = N_("running"),
        [CST_DOMAIN_PAUSED] = N_("paused"),
        [CST_DOMAIN_IO_ERROR] = N_("paused by an I/O error"),
        [CST_DOMAIN_ENDING] = N_("ending"),
        [CST_DOMAIN_SAVED] = N_("saved"),
        [CST_DOMAIN_OFF] = N_("shut off"),
    };

    return state >= 0 && state < CST_DOMAIN_STATE_LAST ? words[state] : "unknown";
}

const char *cst_domain_agent_word(int agent)
{
    static const char *const words[CST_DOMAIN_AGENT_LAST] = {
        [CST_DOMAIN_AGENT_NONE] = N_("none"),
        [CST_DOMAIN_AGENT_DISCONNECTED] = N_("disconnected"),
        [CST_DOMAIN_AGENT_CONNECTED] = N_("connected"),
    };

    return agent >= 0 && agent < CST_DOMAIN_AGENT_LAST ? words[agent] : "unknown";
}

void cst_domain_disk_free(CstDomainDisk *disk)
{
    if (!disk)
        return;
    g_free(disk->domain);
    g_free(disk->uuid);
    g_free(disk->target);
    g_free(disk->uri);
    g_free(disk);
}

static void domain_drive_free(CstDomainDrive *drive)
{
    g_free(drive->target);
    g_free(drive->path);
    g_free(drive->pool);
    g_free(drive->volume);
    g_free(drive->problem);
    g_free(drive);
}

CstDomain *cst_domain_new(void)
{
    CstDomain *domain = g_new0(CstDomain, 1);

    domain->drives = g_ptr_array_new_with_free_func((GDestroyNotify)domain_drive_free);
    return domain;
}

void cst_domain_free(CstDomain *domain)
{
    if (!domain)
        return;
    g_free(domain->name);
    g_free(domain->uuid);
    g_free(domain->uri);
    g_free(domain->document);
    g_ptr_array_unref(domain->drives);
    g_free(domain);
}

/* --- the document ----------------------------------------------------------------------------- */

static void domain_layer_free(CstDomainLayer *layer)
{
    g_free(layer->target);
    g_free(layer->path);
    g_free(layer->pool);
    g_free(layer->volume);
    g_free(layer->format);
    g_free(layer->index);
    g_free(layer->mirror_path);
    g_free(layer);
}

void cst_domain_def_free(CstDomainDef *def)
{
    if (!def)
        return;
    g_ptr_array_unref(def->layers);
    g_free(def);
}

/* Whether an image is encrypted or only a slice of the file. */
static gboolean domain_layer_is_translated(xmlNode *node)
{
    return cst_xml_find(node, "encryption") || cst_xml_find(node, "source/encryption") ||
           cst_xml_find(node, "source/slices");
}

static gboolean domain_disk_is_removable(xmlNode *disk)
{
    g_autofree char *device = cst_xml_attr(disk, "device");

    return g_strcmp0(device, "cdrom") == 0 || g_strcmp0(device, "floppy") == 0;
}

/* Returns the path of a file or device, or NULL. The caller frees it. */
static char *domain_source_path(xmlNode *node)
{
    char *path = cst_xml_path_attr(node, "source", "file");

    return path ? path : cst_xml_path_attr(node, "source", "dev");
}

/* libvirt shows the number of the top layer in its <source>, and others in their <backingStore>. */
static char *domain_layer_index(xmlNode *node, guint level)
{
    return level == 0 ? cst_xml_path_attr(node, "source", "index") : cst_xml_attr(node, "index");
}

static void domain_mirror_read(CstDomainLayer *layer, xmlNode *disk)
{
    xmlNode *mirror = cst_xml_find(disk, "mirror");
    g_autofree char *ready = mirror ? cst_xml_attr(mirror, "ready") : NULL;

    if (!mirror)
        return;
    layer->mirror_path = domain_source_path(mirror);
    layer->mirror = CST_DOMAIN_MIRROR_COPIES;
    if (ready)
        layer->mirror =
            strcmp(ready, "yes") == 0 ? CST_DOMAIN_MIRROR_READY : CST_DOMAIN_MIRROR_ENDS;
}

/* @node is the <disk>, or a <backingStore> in it. */
static void domain_layer_add(CstDomainDef *def, xmlNode *disk, xmlNode *node, guint level)
{
    CstDomainLayer *layer = g_new0(CstDomainLayer, 1);

    layer->target = cst_xml_path_attr(disk, "target", "dev");
    layer->path = domain_source_path(node);
    layer->index = domain_layer_index(node, level);
    if (level == 0)
        domain_mirror_read(layer, disk);
    layer->pool = cst_xml_path_attr(node, "source", "pool");
    layer->volume = cst_xml_path_attr(node, "source", "volume");
    layer->format = level == 0 ? cst_xml_path_attr(disk, "driver", "type") : NULL;
    layer->read_only = cst_xml_find(disk, "readonly") != NULL;
    layer->shareable = cst_xml_find(disk, "shareable") != NULL;
    layer->mirrored = cst_xml_find(disk, "mirror") != NULL;
    layer->removable = domain_disk_is_removable(disk);
    layer->translated = domain_layer_is_translated(node);
    layer->level = level;
    g_ptr_array_add(def->layers, layer);
}

static void domain_disk_add(CstDomainDef *def, xmlNode *disk)
{
    guint level = 0;

    /* An empty <backingStore/> marks the end of the chain. */
    for (xmlNode *node = disk; node && def->layers->len <= CST_DOMAIN_LAYERS_MAX;
         node = cst_xml_find(node, "backingStore"))
        if (level == 0 || cst_xml_find(node, "source"))
            domain_layer_add(def, disk, node, level++);
}

static CstDomainAgent domain_agent(xmlNode *root)
{
    for (xmlNode *channel = cst_xml_find(root, "devices/channel"); channel;
         channel = cst_xml_next(channel)) {
        g_autofree char *name = cst_xml_path_attr(channel, "target", "name");
        g_autofree char *state = cst_xml_path_attr(channel, "target", "state");

        if (g_strcmp0(name, AGENT_CHANNEL) == 0)
            return g_strcmp0(state, "connected") == 0 ? CST_DOMAIN_AGENT_CONNECTED
                                                      : CST_DOMAIN_AGENT_DISCONNECTED;
    }
    return CST_DOMAIN_AGENT_NONE;
}

/* Parses "+UID:+GID", the form of a label that libvirt has made. */
static void domain_label_parse(CstDomainDef *def, const char *label)
{
    g_auto(GStrv) words = g_strsplit(label, ":", 3);
    guint64 uid, gid;

    if (g_strv_length(words) != 2 || words[0][0] != '+' || words[1][0] != '+' ||
        !g_ascii_string_to_unsigned(words[0] + 1, 10, 0, G_MAXUINT32 - 1, &uid, NULL) ||
        !g_ascii_string_to_unsigned(words[1] + 1, 10, 0, G_MAXUINT32 - 1, &gid, NULL))
        return;
    def->has_owner = TRUE;
    def->uid = (uint32_t)uid;
    def->gid = (uint32_t)gid;
}

static void domain_owner_read(CstDomainDef *def, xmlNode *root)
{
    for (xmlNode *seclabel = cst_xml_find(root, "seclabel"); seclabel;
         seclabel = cst_xml_next(seclabel)) {
        g_autofree char *model = cst_xml_attr(seclabel, "model");
        g_autofree char *label = cst_xml_text(seclabel, "label");

        if (g_strcmp0(model, "dac") == 0 && label)
            domain_label_parse(def, label);
    }
}

CstDomainDef *cst_domain_def_parse(const char *xml, GError **error)
{
    g_autoptr(xmlDoc) doc = cst_xml_parse(xml, "domain", _("(domain_definition)"), error);
    g_autoptr(CstDomainDef) def = NULL;
    xmlNode *root;

    if (!doc)
        return NULL;
    root = xmlDocGetRootElement(doc);
    def = g_new0(CstDomainDef, 1);
    def->layers = g_ptr_array_new_with_free_func((GDestroyNotify)domain_layer_free);
    def->agent = domain_agent(root);
    domain_owner_read(def, root);
    for (xmlNode *disk = cst_xml_find(root, "devices/disk"); disk; disk = cst_xml_next(disk))
        domain_disk_add(def, disk);
    if (def->layers->len > CST_DOMAIN_LAYERS_MAX) {
        cst_fail(error, CST_ERROR_LIMIT, _("the domain has more than %d disks and backing files"),
                 CST_DOMAIN_LAYERS_MAX);
        return NULL;
    }
    return g_steal_pointer(&def);
}
