/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The documents of a copy (see the header). */
#include <model/domain_copy.h>

#include <base/i18n.h>
#include <base/text.h>
#include <model/xml_write.h>

#include "domain_edit.h"

char *cst_domain_copy_format(const CstDomainCopy *copy, GError **error)
{
    CstXmlWriter xml = {.out = g_string_new(NULL)};

    cst_xml_open(&xml, "disk", "type", copy->is_device ? "block" : "file", NULL);
    cst_xml_empty(&xml, "driver", "type", copy->format, NULL);
    cst_xml_empty(&xml, "source", copy->is_device ? "dev" : "file", copy->path, NULL);
    cst_xml_close(&xml, "disk");
    return cst_xml_take(&xml, error);
}

/* --- the name of the copy --------------------------------------------------------------------- */

static xmlNode *renamed_disk_find(xmlNode *root, const char *target)
{
    for (xmlNode *disk = cst_xml_find(root, "devices/disk"); disk; disk = cst_xml_next(disk)) {
        g_autofree char *found = cst_xml_path_attr(disk, "target", "dev");

        if (g_strcmp0(found, target) == 0)
            return disk;
    }
    return NULL;
}

/* Whether the disk names the copy by its path, or the volume of before. */
static gboolean renamed_disk_matches(xmlNode *disk, const CstDomainDiskName *name)
{
    xmlNode *source = cst_xml_find(disk, "source");

    if (!source)
        return FALSE;
    if (node_has_attr(disk, "type", "volume"))
        return name->old_pool && name->old_volume &&
               node_has_attr(source, "pool", name->old_pool) &&
               node_has_attr(source, "volume", name->old_volume);
    return node_has_attr(source, "file", name->path) || node_has_attr(source, "dev", name->path);
}

static void renamed_disk_set_source(xmlNode *disk, const CstDomainDiskName *name)
{
    static const char *const removed[] = {"file", "dev", "mode", "index"};
    xmlNode *source = cst_xml_find(disk, "source");

    node_set_attr(disk, "type", "volume");
    for (guint i = 0; i < G_N_ELEMENTS(removed); i++)
        node_unset_attr(source, removed[i]);
    node_set_attr(source, "pool", name->pool);
    node_set_attr(source, "volume", name->volume);
    node_remove_all(disk, "backingStore");
    disk_set_driver(disk, name->format);
}

static gboolean renamed_disk_check(xmlNode *disk, const CstDomainDiskName *name, GError **error)
{
    g_autofree char *target = cst_text_escape(name->target);

    if (!disk || !renamed_disk_matches(disk, name))
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("disk '%s' of the persistent definition has another image"), target);
    if (cst_xml_find(disk, "encryption") || cst_xml_find(disk, "source/encryption") ||
        cst_xml_find(disk, "source/slices"))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("disk '%s' is encrypted or a slice of its image"), target);
    return cst_xml_check_text(name->pool, error) && cst_xml_check_text(name->volume, error) &&
           cst_xml_check_text(name->format, error);
}

char *cst_domain_disk_rename(const char *xml, const CstDomainDiskName *name, GError **error)
{
    g_autoptr(xmlDoc) doc = cst_xml_parse(xml, "domain", _("(domain_definition)"), error);
    xmlNode *disk = doc ? renamed_disk_find(xmlDocGetRootElement(doc), name->target) : NULL;
    xmlBuffer *buffer;
    char *text;

    if (!doc || !renamed_disk_check(disk, name, error))
        return NULL;
    renamed_disk_set_source(disk, name);
    buffer = xmlBufferCreate();
    xmlNodeDump(buffer, doc, disk, 0, 0);
    text = g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return text;
}
