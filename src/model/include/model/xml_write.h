/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * Writes XML in libvirt's layout: two spaces per level, single quotes, one element per line. An
 * attribute list consists of pairs of name and value and ends with a NULL name. An attribute with
 * the value NULL is omitted. Values and text are escaped. As in libvirt, a control character that
 * XML cannot represent is omitted; cst_xml_take() then fails.
 */
typedef struct {
    GString *out;
    int depth;
    const char *incomplete; /**< a value with an omitted character, borrowed; NULL: no such value */
} CstXmlWriter;

/** Writes <name a='b'> and increments the level. */
void cst_xml_open(CstXmlWriter *xml, const char *name, ...) G_GNUC_NULL_TERMINATED;
/** Decrements the level and writes </name>. */
void cst_xml_close(CstXmlWriter *xml, const char *name);
/** Writes <name a='b'/>. */
void cst_xml_empty(CstXmlWriter *xml, const char *name, ...) G_GNUC_NULL_TERMINATED;
/** Writes <name>text</name>. No output if @text is NULL. */
void cst_xml_element(CstXmlWriter *xml, const char *name, const char *text);
/** Writes <name unit='@unit'>value</name>; @unit NULL: no attribute. */
void cst_xml_size(CstXmlWriter *xml, const char *name, const char *unit, uint64_t value);
/**
 * Returns the document of @xml, which the caller frees. Fails with INVALID if XML cannot represent
 * one of its values: the value has a control character, or is not UTF-8. Frees the buffer in any
 * case. The values must still be valid.
 */
char *cst_xml_take(CstXmlWriter *xml, GError **error);
/** Fails with INVALID if XML cannot represent @text. */
gboolean cst_xml_check_text(const char *text, GError **error);
