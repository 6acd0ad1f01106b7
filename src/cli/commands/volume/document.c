/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XML documents of volumes. vol-create-as builds one from its options, and vol-clone edits that of
 * its source. The XML writer escapes each option, so that a name cannot add markup.
 */
#include <libxml2_library.h>
#include <limits.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <model/pool_type.h>
#include <model/xml_write.h>

#include "volume.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

/* --- vol-create-as --------------------------------------------------------------------------- */

char *cli_vol_spec_xml(const CliVolSpec *spec, GError **error)
{
    CstXmlWriter xml = {.out = g_string_new(NULL)};

    cst_xml_open(&xml, "volume", "xmlns:cistern", spec->thin ? CST_XML_NAMESPACE : NULL, NULL);
    cst_xml_element(&xml, "name", spec->name);
    cst_xml_size(&xml, "capacity", NULL, spec->capacity);
    if (spec->has_allocation)
        cst_xml_size(&xml, "allocation", NULL, spec->allocation);
    if (spec->format) {
        cst_xml_open(&xml, "target", NULL);
        cst_xml_empty(&xml, "format", "type", spec->format, NULL);
        cst_xml_close(&xml, "target");
    }
    if (spec->backing_path) {
        cst_xml_open(&xml, "backingStore", NULL);
        cst_xml_element(&xml, "path", spec->backing_path);
        if (spec->backing_format)
            cst_xml_empty(&xml, "format", "type", spec->backing_format, NULL);
        cst_xml_close(&xml, "backingStore");
    }
    if (spec->thin) {
        cst_xml_open(&xml, "cistern:options", NULL);
        cst_xml_empty(&xml, "cistern:option", "name", "thin", "value", spec->thin, NULL);
        cst_xml_close(&xml, "cistern:options");
    }
    cst_xml_close(&xml, "volume");
    return cst_xml_take(&xml, error);
}

/* --- vol-clone ------------------------------------------------------------------------------- */

static xmlNode *child_named(xmlNode *parent, const char *name)
{
    for (xmlNode *node = parent->children; node; node = node->next)
        if (node->type == XML_ELEMENT_NODE && g_str_equal((const char *)node->name, name))
            return node;
    return NULL;
}

/**
 * Set the name of the clone. As in virsh, entities in the name are parsed ("a&amp;b" is a&b),
 * because scripts may write them. An '&' that starts no entity is literal; virsh would lose the
 * name.
 */
static void set_clone_name(xmlNode *node, const char *name)
{
    const char *ampersand = strchr(name, '&');

    if (!ampersand || strchr(ampersand, ';')) {
        xmlNodeSetContent(node, (const xmlChar *)name);
        return;
    }
    xmlNodeSetContent(node, NULL);
    xmlNodeAddContent(node, (const xmlChar *)name);
}

char *cli_vol_clone_xml(const char *xml, const char *name, GError **error)
{
    g_autoptr(xmlDoc) doc = NULL;
    xmlNode *root;
    xmlNode *node;
    xmlBuffer *buffer;
    char *result;

    if (!cst_xml_check_text(name, error) || !cst_library_load(&cst_libxml2_library, error))
        return NULL;
    if (strlen(xml) <= INT_MAX)
        doc = xmlReadMemory(xml, (int)strlen(xml), "volume.xml", NULL,
                            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    root = doc ? xmlDocGetRootElement(doc) : NULL;
    node =
        root && g_str_equal((const char *)root->name, "volume") ? child_named(root, "name") : NULL;
    if (!node) {
        cst_fail(error, CST_ERROR_XML, "%s", _("the volume's definition has no name"));
        return NULL;
    }
    set_clone_name(node, name);
    buffer = xmlBufferCreate();
    xmlNodeDump(buffer, doc, root, 0, 1);
    result = g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return result;
}
