/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes of the document of a domain (see the header). */
#include "domain_edit.h"

#include <string.h>

static gboolean node_is_blank(const xmlNode *node)
{
    return node->type == XML_TEXT_NODE && node->content &&
           strspn((const char *)node->content, " \t\r\n") == strlen((const char *)node->content);
}

void node_remove(xmlNode *node)
{
    xmlNode *blank = node && node->prev && node_is_blank(node->prev) ? node->prev : NULL;

    if (blank) {
        xmlUnlinkNode(blank);
        xmlFreeNode(blank);
    }
    if (node) {
        xmlUnlinkNode(node);
        xmlFreeNode(node);
    }
}

void node_remove_all(xmlNode *node, const char *path)
{
    xmlNode *found;

    while ((found = cst_xml_find(node, path)))
        node_remove(found);
}

xmlNode *node_insert(xmlNode *parent, xmlNode *next, const char *name)
{
    xmlNode *node = xmlNewNode(NULL, BAD_CAST name);

    return next ? xmlAddPrevSibling(next, node) : xmlAddChild(parent, node);
}

xmlNode *element_from(xmlNode *node)
{
    while (node && node->type != XML_ELEMENT_NODE)
        node = node->next;
    return node;
}

void node_set_attr(xmlNode *node, const char *attr, const char *value)
{
    xmlSetProp(node, BAD_CAST attr, BAD_CAST value);
}

void node_unset_attr(xmlNode *node, const char *attr)
{
    if (node)
        xmlUnsetProp(node, BAD_CAST attr);
}

gboolean node_has_attr(xmlNode *node, const char *attr, const char *value)
{
    g_autofree char *found = cst_xml_attr(node, attr);

    return g_strcmp0(found, value) == 0;
}

void node_set_text(xmlNode *node, const char *text)
{
    xmlNodeSetContent(node, NULL);
    if (text)
        xmlNodeAddContent(node, BAD_CAST text);
}

/* An option of the old format, such as a cache of metadata, may not exist in the new one. */
void disk_set_driver(xmlNode *disk, const char *format)
{
    xmlNode *driver = cst_xml_find(disk, "driver");

    if (!driver)
        driver = node_insert(disk, element_from(disk->children), "driver");
    if (!node_has_attr(driver, "type", format))
        node_remove_all(driver, "metadata_cache");
    node_set_attr(driver, "type", format);
}
