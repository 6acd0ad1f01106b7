/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libxml2_library.h>
#include <stdint.h>

#include <base/error.h>

/**
 * Reading untrusted XML: one guarded parser, and look-ups with the semantics of libvirt's XPath
 * look-ups (first match in document order; an empty string counts as absent).
 *
 * A path consists of element names without a namespace, joined by '/', relative to a node.
 */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

/**
 * Parses @text. Its root element must be <@root> in any namespace. @what names the document in
 * messages ("(storage_pool_definition)"). Never reads other files and never expands entities:
 * rejects document type declarations (XML). Also rejects more than CST_XML_MAX_BYTES bytes or
 * CST_XML_MAX_ATTRIBUTES attributes of an element (XML), and more than 256 levels (XML_SYNTAX).
 * Prints no output.
 */
xmlDoc *cst_xml_parse(const char *text, const char *root, const char *what, GError **error);

/**
 * Validates @doc against @schema ("storagepool.rng"). Fails with XML_SCHEMA, or with
 * ARGUMENT_UNSUPPORTED if the schema cannot be loaded.
 */
gboolean cst_xml_validate(const xmlDoc *doc, const char *schema, GError **error);

/** Returns the first element at @path, or NULL. */
xmlNode *cst_xml_find(xmlNode *node, const char *path);

/** Returns the next sibling with the same name and without a namespace, or NULL. */
xmlNode *cst_xml_next(xmlNode *node);

/** Returns the text of the first element at @path; NULL if it is missing or empty. g_free() it. */
char *cst_xml_text(xmlNode *node, const char *path);

/**
 * Returns the attribute of the first element at @path that has it; NULL if it is missing or empty.
 * g_free() it.
 */
char *cst_xml_path_attr(xmlNode *node, const char *path, const char *attr);

/** Returns the attribute of @node itself; NULL only if missing, not if empty. g_free() it. */
char *cst_xml_attr(xmlNode *node, const char *attr);

/**
 * Parses a yes/no attribute: *ret_value is 1, 0, or -1 if it is missing. Fails with XML for any
 * other value.
 */
gboolean cst_xml_attr_yes_no(xmlNode *node, const char *attr, int *ret_value, GError **error);

/**
 * Returns in *ret_index the index of the attribute's value in NULL-terminated @names; -1 if it is
 * missing. Fails with XML for other values.
 */
gboolean cst_xml_attr_enum(xmlNode *node, const char *attr, const char *const *names,
                           int *ret_index, GError **error);

/**
 * Parses a non-negative number. Base 0 accepts the prefixes 0x and 0. *ret_value is unchanged if
 * the attribute is missing.
 */
gboolean cst_xml_attr_uint(xmlNode *node, const char *attr, unsigned base, uint32_t *ret_value,
                           GError **error);

/**
 * Parses the element at @path as bytes, scaled by its attribute "unit". The maximum is @max. If the
 * element is missing, *ret_bytes is unchanged and *ret_given (may be NULL) is FALSE. @called names
 * the element in messages.
 */
gboolean cst_xml_bytes(xmlNode *node, const char *path, const char *called, uint64_t max,
                       uint64_t *ret_bytes, gboolean *ret_given, GError **error);

/**
 * Sets the error "Invalid value for attribute …" with libvirt's text. @expected may be NULL. Always
 * returns FALSE.
 */
gboolean cst_xml_bad_attr(xmlNode *node, const char *attr, const char *value, const char *expected,
                          GError **error);
#define cst_xml_bad_attr(...) CST_GIVES_FALSE(cst_xml_bad_attr(__VA_ARGS__))

/**
 * Parses an integer in [@min, @max]. It must be the whole string. As with strtoll(), leading blanks
 * and a plus sign are accepted. Returns FALSE for any other text.
 */
gboolean cst_parse_int(const char *text, unsigned base, int64_t min, int64_t max,
                       int64_t *ret_value);

/** As cst_parse_int(), for unsigned 64-bit numbers. Rejects a minus sign. */
gboolean cst_parse_uint(const char *text, unsigned base, uint64_t *ret_value);

/** Returns the index of @text in NULL-terminated @names, or -1. */
int cst_name_index(const char *const *names, const char *text);
