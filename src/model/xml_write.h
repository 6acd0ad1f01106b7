/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * Writing XML as libvirt lays it out: two spaces a level, single quotes, one element a line.
 * Attribute lists are name, value pairs that end with a NULL name; an attribute whose value is
 * NULL is left out. Values and text are escaped, control characters that XML can't hold dropped.
 */
typedef struct {
    GString *out;
    int depth;
} CstXmlWriter;

/** <name a='b'> and one level deeper. */
void cst_xml_open(CstXmlWriter *xml, const char *name, ...) G_GNUC_NULL_TERMINATED;
void cst_xml_close(CstXmlWriter *xml, const char *name);
/** <name a='b'/> */
void cst_xml_empty(CstXmlWriter *xml, const char *name, ...) G_GNUC_NULL_TERMINATED;
/** <name>text</name>; nothing at all when @text is NULL. */
void cst_xml_element(CstXmlWriter *xml, const char *name, const char *text);
/** <name unit='@unit'>value</name>; @unit NULL: no unit. */
void cst_xml_size(CstXmlWriter *xml, const char *name, const char *unit, uint64_t value);
