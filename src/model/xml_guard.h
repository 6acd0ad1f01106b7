/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Refuses (XML) a document that would take libxml2 very long to parse: one with an element of more
 * than CST_XML_MAX_ATTRIBUTES attributes. Also refuses encodings that are not supersets of ASCII,
 * as the guard would see other characters than the parser. Anything else passes, well-formed or
 * not. @what names the document in messages.
 */
gboolean cst_xml_guard(const char *text, const char *what, GError **error);
