/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Documents of volumes: the one that vol-create-as makes of its options, and the one that vol-clone
 * makes of its source's. As in virsh, options are inserted as they are.
 */
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <limits.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <model/pool_type.h>

#include "volume.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

/* --- vol-create-as --------------------------------------------------------------------------- */

char *cli_vol_spec_xml(const CliVolSpec *spec)
{
    GString *xml = g_string_new("<volume");

    if (spec->thin)
        g_string_append(xml, " xmlns:cistern='" CST_XML_NAMESPACE "'");
    g_string_append(xml, ">\n");
    g_string_append_printf(xml, "  <name>%s</name>\n", spec->name);
    g_string_append_printf(xml, "  <capacity>%" G_GUINT64_FORMAT "</capacity>\n", spec->capacity);
    if (spec->has_allocation)
        g_string_append_printf(xml, "  <allocation>%" G_GUINT64_FORMAT "</allocation>\n",
                               spec->allocation);
    if (spec->format)
        g_string_append_printf(xml, "  <target>\n    <format type='%s'/>\n  </target>\n",
                               spec->format);
    if (spec->backing_path) {
        g_string_append_printf(xml, "  <backingStore>\n    <path>%s</path>\n", spec->backing_path);
        if (spec->backing_format)
            g_string_append_printf(xml, "    <format type='%s'/>\n", spec->backing_format);
        g_string_append(xml, "  </backingStore>\n");
    }
    if (spec->thin)
        g_string_append_printf(xml,
                               "  <cistern:options>\n    <cistern:option name='thin' value='%s'/>\n"
                               "  </cistern:options>\n",
                               spec->thin);
    g_string_append(xml, "</volume>\n");
    return g_string_free(xml, FALSE);
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
 * virsh reads entities in the new name ("a&amp;b" is a&b), so scripts may write them. An '&' that
 * begins none stands for itself, where virsh would lose the name.
 */
static void set_name(xmlNode *node, const char *name)
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
    set_name(node, name);
    buffer = xmlBufferCreate();
    xmlNodeDump(buffer, doc, root, 0, 1);
    result = g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return result;
}
