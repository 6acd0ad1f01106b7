/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "xml_read.h"

/** Changes of the document of a domain. A path is that of cst_xml_find(). */

/** Removes an element and the white space before it. NULL is accepted. */
void node_remove(xmlNode *node);
/** Removes all elements @path of @node. */
void node_remove_all(xmlNode *node, const char *path);
/** Inserts an element before @next, or at the end of @parent. */
xmlNode *node_insert(xmlNode *parent, xmlNode *next, const char *name);
/** Returns the first element child of @node, or the next one after it. NULL: there is none. */
xmlNode *element_from(xmlNode *node);

void node_set_attr(xmlNode *node, const char *attr, const char *value);
/** @node NULL is accepted. */
void node_unset_attr(xmlNode *node, const char *attr);
/** @value NULL: the attribute is missing. */
gboolean node_has_attr(xmlNode *node, const char *attr, const char *value);

/** Sets the text of an element. An '&' in it begins no entity. @text NULL: the element is empty. */
void node_set_text(xmlNode *node, const char *text);

/** Sets the format in the <driver> of a disk. */
void disk_set_driver(xmlNode *disk, const char *format);
