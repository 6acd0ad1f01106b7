/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libxml/tree.h>
#include <stdint.h>

#include <base/error.h>

/**
 * Reading untrusted XML: one guarded way in, and look-ups that behave as libvirt's XPath ones do
 * (first match in document order, an empty string counts as absent).
 *
 * A path is element names joined by '/', all without a namespace, relative to a node.
 */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

/**
 * Parses @text, whose root must be <@root> in any namespace. @what names the document in messages
 * ("(storage_pool_definition)"). Nothing is fetched, no entity is defined: a document type
 * declaration is refused (XML), so are more than CST_XML_MAX_BYTES or CST_XML_MAX_ATTRIBUTES (XML)
 * and more than 256 levels (XML_SYNTAX). Prints nothing anywhere.
 */
xmlDoc *cst_xml_parse(const char *text, const char *root, const char *what, GError **error);

/** Fails with XML_SCHEMA unless @doc satisfies @schema ("storagepool.rng"). */
gboolean cst_xml_validate(const xmlDoc *doc, const char *schema, GError **error);

/** First element at @path; NULL: none. */
xmlNode *cst_xml_find(xmlNode *node, const char *path);

/** Next sibling with the same name and no namespace; NULL: none. */
xmlNode *cst_xml_next(xmlNode *node);

/** Text inside the first element at @path; NULL when it is missing or empty. g_free() it. */
char *cst_xml_text(xmlNode *node, const char *path);

/** Attribute of the first element at @path that has it; NULL when missing or empty. */
char *cst_xml_path_attr(xmlNode *node, const char *path, const char *attr);

/** Attribute of @node itself; NULL only when missing ("" stays ""). */
char *cst_xml_attr(xmlNode *node, const char *attr);

/** Yes/no attribute: *ret_value is 1, 0, or -1 when missing. Anything else is an XML error. */
gboolean cst_xml_attr_yes_no(xmlNode *node, const char *attr, int *ret_value, GError **error);

/** Index of the attribute's value in NULL-terminated @names; *ret_index is -1 when missing. */
gboolean cst_xml_attr_enum(xmlNode *node, const char *attr, const char *const *names,
                           int *ret_index, GError **error);

/** Non-negative number, base 0 takes 0x and 0 prefixes; untouched result when missing. */
gboolean cst_xml_attr_uint(xmlNode *node, const char *attr, unsigned base, uint32_t *ret_value,
                           GError **error);

/** "Invalid value for attribute …", as libvirt words it. */
gboolean cst_xml_bad_attr(xmlNode *node, const char *attr, const char *value, const char *expected,
                          GError **error);
#define cst_xml_bad_attr(...) CST_GIVES_FALSE(cst_xml_bad_attr(__VA_ARGS__))

/**
 * Whole-string integer between @min and @max. Like strtoll: blanks before it and a plus sign are
 * taken, nothing may follow.
 */
gboolean cst_parse_int(const char *text, unsigned base, int64_t min, int64_t max,
                       int64_t *ret_value);

/** As cst_parse_int() for 64 unsigned bits; a minus sign is refused. */
gboolean cst_parse_uint(const char *text, unsigned base, uint64_t *ret_value);

/** Index of @text in NULL-terminated @names; -1: not there. */
int cst_name_index(const char *const *names, const char *text);
